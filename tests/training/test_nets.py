"""The table of nets and the nets: each row is compared with what is built; weights come and go as safetensors."""

from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from hilmix.core.errors import DataError
from training.engine.config import NETS
from training.engine.net_table import NET_TABLE, cam_layer, check_images
from training.engine.nets import BUILDERS, Normalised, build_net, head_of
from training.engine.predict import load_model, load_weights, predict, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
EACH = pytest.mark.parametrize("name", list(NET_TABLE))


@functools.cache
def coloured(name: str) -> nn.Module:
    return build_net(name, image_shape=(32, 32, 3), n_classes=10, seed=0)


def model(name: str = "resnet20", *, n_classes: int = 10, seed: int = 0) -> Normalised:
    net = build_net(name, image_shape=(8, 8, 1), n_classes=n_classes, seed=seed)
    return Normalised(net, torch.full((1,), 0.3), torch.full((1,), 0.2))


def test_the_table_names_the_nets_there_are_and_needs_no_torch():
    assert list(NETS) == list(NET_TABLE) == list(BUILDERS)
    code = (
        "import sys, training.engine.net_table as t, training.engine.config; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@EACH
def test_a_net_has_as_many_weights_as_its_row_says(name):
    assert sum(p.numel() for p in coloured(name).parameters()) == NET_TABLE[name].parameters


def _cifar_form(weights, *, features: int, stem_saved: int) -> int:
    """The published number of weights, with a head of 10 classes in place of 1,000 and a smaller stem."""
    return weights.meta["num_params"] - 990 * (features + 1) - stem_saved


PUBLISHED = {
    "resnet18": _cifar_form(
        models.ResNet18_Weights.IMAGENET1K_V1, features=512, stem_saved=64 * 3 * (49 - 9)
    ),
    "resnet34": _cifar_form(
        models.ResNet34_Weights.IMAGENET1K_V1, features=512, stem_saved=64 * 3 * (49 - 9)
    ),
    "resnet50": _cifar_form(
        models.ResNet50_Weights.IMAGENET1K_V1, features=2048, stem_saved=64 * 3 * (49 - 9)
    ),
    "densenet121": _cifar_form(
        models.DenseNet121_Weights.IMAGENET1K_V1, features=1024, stem_saved=64 * 3 * (49 - 9)
    ),
    "mobilenet_v3_small": _cifar_form(
        models.MobileNet_V3_Small_Weights.IMAGENET1K_V1, features=1024, stem_saved=0
    ),
    "convnext_tiny": _cifar_form(
        models.ConvNeXt_Tiny_Weights.IMAGENET1K_V1, features=768, stem_saved=96 * 3 * (16 - 9)
    ),
    # Patches, class token and places; twelve layers of 4·d² + 8·d² weights, their biases and gains; the head.
    "vit_small_p4": (48 * 384 + 384) + 384 + 65 * 384 + 12 * (12 * 384**2 + 13 * 384) + 2 * 384 + 385 * 10,
    "vgg11": sum(
        9 * a * b + 2 * b
        for a, b in [
            (3, 64),
            (64, 128),
            (128, 256),
            (256, 256),
            (256, 512),
            (512, 512),
            (512, 512),
            (512, 512),
        ]
    )
    + 5130,
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_that_number_follows_from_the_published_one(name):
    assert NET_TABLE[name].parameters == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet20", 0.27), ("preact_resnet18", 11.17), ("wide_resnet16_4", 2.75)]
)
def test_a_residual_net_is_of_the_published_size(name, millions):
    assert NET_TABLE[name].parameters / 1e6 == pytest.approx(millions, abs=0.01)


@EACH
def test_a_net_learns_from_colour_images_in_channels_last(name):
    net = coloured(name).train().to(memory_format=torch.channels_last)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    random_state = torch.get_rng_state()
    logits = net(pixels.to(memory_format=torch.channels_last))
    assert logits.shape == (2, 10)
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 7])).backward()
    gradients = [p.grad for p in net.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)
    assert bool(head_of(net)[1].weight.grad.any())
    # Nothing is dropped at random: all arms draw alike, and a stopped training goes on alike.
    assert torch.equal(random_state, torch.get_rng_state())
    net.zero_grad(set_to_none=True)


@EACH
def test_a_net_takes_grey_images_of_its_least_side_and_none_smaller(name):
    least = NET_TABLE[name].least_side
    net = build_net(name, image_shape=(least, least, 1), n_classes=7, seed=0)
    assert net(torch.rand(2, 1, least, least)).shape == (2, 7)
    with pytest.raises(DataError, match=f"{name} needs images of at least {least} pixels"):
        build_net(name, image_shape=(least - 1, least, 1), n_classes=7, seed=0)


@pytest.mark.parametrize("shape", [(10, 10, 3), (8, 12, 3)])
def test_a_transformer_refuses_what_cannot_be_cut_into_patches(shape):
    with pytest.raises(DataError, match="patches of 4×4 and needs square ones"):
        check_images("vit_small_p4", shape)


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "mobilenet_v3_small"])
def test_other_nets_take_images_that_are_not_square(name):
    net = build_net(name, image_shape=(8, 12, 1), n_classes=3, seed=0)
    assert net(torch.rand(2, 1, 8, 12)).shape == (2, 3)


def test_an_unknown_net_is_refused_with_the_names_of_the_others():
    with pytest.raises(DataError, match="no net 'resnet19'; choose one of resnet20, preact_resnet18"):
        build_net("resnet19", image_shape=(8, 8, 1), n_classes=2, seed=0)


@EACH
def test_first_weights_depend_on_the_seed_alone_and_building_moves_no_random_state(name):
    shape = (NET_TABLE[name].least_side, NET_TABLE[name].least_side, 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_net(name, image_shape=shape, n_classes=2, seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    again = build_net(name, image_shape=shape, n_classes=2, seed=3).state_dict()
    other = build_net(name, image_shape=shape, n_classes=2, seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@EACH
def test_filters_start_at_the_scale_that_he_or_torchvision_gives_them(name):
    stem = next(m for m in coloured(name).modules() if isinstance(m, nn.Conv2d))
    expected = {"vit_small_p4": math.sqrt(1 / 48), "convnext_tiny": 0.02, "densenet121": math.sqrt(2 / 27)}
    fan_out = math.sqrt(2 / (9 * stem.out_channels))
    assert stem.stride == ((4, 4) if name == "vit_small_p4" else (1, 1))
    assert float(stem.weight.detach().std()) == pytest.approx(expected.get(name, fan_out), rel=0.15)


@pytest.mark.parametrize(
    ("name", "entries", "digest", "first"),
    [
        (
            "resnet20",
            116,
            "a37aecaec9502d510fec4c94c3e0441d5f274c054a03635a718cefe0f7e54471",
            [-0.11067913, -0.04676494, 0.03532584],
        ),
        (
            "preact_resnet18",
            107,
            "caadb1c0c464e81b4dc75d4e0da062e44d08688cdebb3d7dde75d8aff6a8c152",
            [-0.05027890, 0.08094241, 0.02223723],
        ),
    ],
)
def test_weights_of_earlier_versions_still_fit_and_seeds_still_give_the_same(name, entries, digest, first):
    state = coloured(name).state_dict()
    said = "\n".join(f"{key} {tuple(value.shape)}" for key, value in state.items())
    assert (len(state), hashlib.sha256(said.encode()).hexdigest()) == (entries, digest)
    assert state["0.weight"].flatten()[:3].tolist() == pytest.approx(first, abs=1e-6)


def test_the_page_about_training_has_the_table_of_nets():
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines()]
    said = {row[0]: row[1:] for row in rows if len(row) == 6 and row[0].startswith("`")}
    for net in NET_TABLE.values():
        weights, least, about, maps, source = said[f"`{net.name}`"]
        assert (int(weights.replace(",", "")), int(least)) == (net.parameters, net.least_side)
        assert (about, source) == (net.about, net.source)
        if net.cam_layers:
            assert maps == f"`{cam_layer(net, height=32, width=32).module}`"


def test_nets_that_diverge_at_the_usual_rate_on_tiny_images_say_so_on_the_page_too():
    cautious = {net.name: net.caution for net in NET_TABLE.values() if net.caution}
    assert cautious.keys() == {"vit_small_p4", "resnet34", "resnet50"}
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")
    (line,) = [" ".join(part.split()) for part in page.split("\n\n") if part.startswith("**Caution.**")]
    for name, caution in cautious.items():
        assert f"`{name}`" in line
        assert caution in line


# -- layers for heat maps


@EACH
def test_the_layers_for_heat_maps_reduce_and_rectify_as_the_table_says(name):
    row, net = NET_TABLE[name], coloured(name).eval()
    assert bool(row.cam_layers) != row.rollout
    seen = {}
    modules = dict(net.named_modules())
    hooks = [
        modules[layer.module].register_forward_hook(
            lambda _m, _i, out, layer=layer: seen.update({layer.module: out})
        )
        for layer in row.cam_layers
    ]
    with torch.no_grad():
        net(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    for layer in row.cam_layers:
        assert seen[layer.module].shape[2:] == (32 // layer.reduction,) * 2
        assert (float(seen[layer.module].min()) >= 0) == layer.rectified, layer
    reductions = [layer.reduction for layer in row.cam_layers]
    assert reductions == sorted(reductions, reverse=True)


def test_a_heat_map_is_never_made_of_a_layer_that_is_one_cell():
    assert cam_layer(NET_TABLE["vgg11"], height=32, width=32).module == "20"
    assert cam_layer(NET_TABLE["resnet18"], height=32, width=32).module == "layer4"
    assert cam_layer(NET_TABLE["resnet18"], height=8, width=8).module == "layer2"
    for row in NET_TABLE.values():
        if row.cam_layers:
            side = row.least_side
            assert side // cam_layer(row, height=side, width=side).reduction >= 4


# -- weights from a file


def test_weights_come_back_from_a_file_with_their_normalisation(tmp_path):
    trained = model(seed=1)
    save_weights(trained.state_dict(), tmp_path / "w.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    again = load_model(tmp_path / "w.safetensors", net="resnet20", image_shape=(8, 8, 1), n_classes=10)
    assert torch.equal(again.mean, trained.mean)
    assert np.allclose(predict(again, images, device=CPU), predict(trained, images, device=CPU), atol=1e-5)


def test_weights_of_a_net_alone_leave_the_normalisation_as_it_is(tmp_path):
    save_file(model(seed=1).net.state_dict(), tmp_path / "w.safetensors")
    target = model(seed=2)
    assert load_weights(tmp_path / "w.safetensors", target) == ("mean", "std")
    assert torch.equal(target.net.state_dict()["0.weight"], model(seed=1).net.state_dict()["0.weight"])
    assert float(target.mean) == pytest.approx(0.3)


def test_a_head_for_other_classes_is_kept_only_when_that_was_asked_for(tmp_path):
    trained = model(seed=1, n_classes=4)
    save_weights(trained.state_dict(), tmp_path / "w.safetensors")
    target, fresh = model(seed=2), model(seed=2)
    with pytest.raises(DataError, match=r"net\.14\.weight is \(4, 64\) in the file, \(10, 64\) in the net"):
        load_weights(tmp_path / "w.safetensors", target)
    assert all(torch.equal(a, b) for a, b in zip(target.parameters(), fresh.parameters(), strict=True))
    kept = load_weights(tmp_path / "w.safetensors", target, new_head=True)
    assert kept == ("net.14.weight", "net.14.bias")
    assert torch.equal(target.net[14].weight, fresh.net[14].weight)
    assert torch.equal(target.net[0].weight, trained.net[0].weight)


def test_everything_that_does_not_fit_is_named_and_nothing_is_loaded(tmp_path):
    state = model(seed=1).state_dict()
    del state["net.1.weight"]
    state["net.99.weight"] = torch.zeros(3)
    state["net.14.bias"] = torch.full((10,), float("nan"))
    save_weights(state, tmp_path / "w.safetensors")
    target = model(seed=2)
    with pytest.raises(DataError) as refusal:
        load_weights(tmp_path / "w.safetensors", target, new_head=False)
    said = str(refusal.value)
    assert "net.1.weight is not in the file" in said
    assert "net.99.weight is not in the net" in said
    assert "net.14.bias has values that are not finite" in said
    assert torch.equal(target.net[0].weight, model(seed=2).net[0].weight)


def test_weights_of_another_net_are_refused_with_a_short_list(tmp_path):
    save_weights(model("resnet18").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"\(and \d+ more\)"):
        load_weights(tmp_path / "w.safetensors", model(), new_head=True)


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 64])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load_weights(tmp_path / "w.safetensors", model())


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(tmp_path / "none.safetensors", model())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@EACH
def test_a_net_computes_on_a_gpu_what_it_computes_on_a_processor(name):
    net = build_net(name, image_shape=(32, 32, 3), n_classes=10, seed=0).eval()
    pixels = torch.rand(4, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        here = net(pixels)
        there = net.to("cuda", memory_format=torch.channels_last)(pixels.to("cuda")).cpu()
    assert torch.allclose(here, there, rtol=0.02, atol=0.02)
