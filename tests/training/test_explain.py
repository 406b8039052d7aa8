"""Heat maps against their formulas, attention rollout by hand, planes of features and how far they can be trusted."""

from __future__ import annotations

import functools
import json
import sys
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn
from torchcam.methods import GradCAMpp

from hilmix.core.errors import DataError
from training.engine.data import to_pixels
from training.engine.net_table import NET_TABLE, cam_layer
from training.engine.nets import BUILDERS, Normalised, build_net, head_of
from training.evaluation.explain import cams, projections
from training.evaluation.explain.cams import class_maps, mixed_maps
from training.evaluation.explain.features import penultimate
from training.evaluation.explain.manifest import scaled
from training.evaluation.explain.projections import project
from training.evaluation.explain.rollout import attentions, roll_out, rollout_maps

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
CONVOLUTIONAL = [name for name, row in NET_TABLE.items() if row.cam_layers]


@functools.cache
def model(name: str = "resnet20", side: int = 32, channels: int = 3) -> Normalised:
    """An untrained model whose head is not zero and whose batch statistics are not the initial ones."""
    net = build_net(name, image_shape=(side, side, channels), n_classes=10, seed=0)
    generator = torch.Generator().manual_seed(0)
    nn.init.normal_(head_of(net)[1].weight, std=0.1, generator=generator)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
    return Normalised(net, torch.full((channels,), 0.5), torch.full((channels,), 0.25)).eval()


def pictures(n: int = 3, side: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def by_formula(
    net: Normalised, layer: str, images: np.ndarray, classes: list[int], method: str
) -> np.ndarray:
    """Grad-CAM and Grad-CAM++ [N, h, w] written out cell by cell, from the activations and their gradients."""
    held = {}
    hook = dict(net.named_modules())[f"net.{layer}"].register_forward_hook(
        lambda _m, _i, out: held.update(maps=out)
    )
    logits = net(to_pixels(torch.from_numpy(images)).requires_grad_())
    hook.remove()
    picked = sum(logits[n, k] for n, k in enumerate(classes))
    (gradient,) = torch.autograd.grad(picked, held["maps"])
    maps, gradient = held["maps"].detach().double().numpy(), gradient.double().numpy()
    result = np.zeros((len(maps), *maps.shape[2:]))
    for n in range(len(maps)):
        for a, g in zip(maps[n], gradient[n], strict=True):
            if method == "grad_cam":
                weight = g.mean()
            else:
                below = 2 * g**2 + a.sum() * g**3 + 1e-6
                weight = np.where(g > 0, g**2 / below * g, 0).sum()
            result[n] += weight * a
    return np.maximum(result, 0)


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus"])
@pytest.mark.parametrize(
    "name", ["resnet20", "preact_resnet18", "vgg11", "densenet121", "mobilenet_v3_small"]
)
def test_class_maps_are_those_of_the_formula(name, method):
    images, classes = pictures(), [3, 1, 9]
    layer = cam_layer(NET_TABLE[name], height=32, width=32).module
    expected = by_formula(model(name), layer, images, classes, method)
    made = class_maps(model(name), name, images, np.array(classes), device=CPU, method=method)
    assert made.cells == expected.shape[1:]
    assert made.cells != (1, 1)
    largest = expected.max(axis=(1, 2))
    assert made.raw_maximum[:, 0] == pytest.approx(largest, rel=1e-3, abs=1e-6 * largest.max())
    cells = expected / np.where(largest, largest, 1)[:, None, None]
    larger = F.interpolate(torch.from_numpy(cells)[:, None], (32, 32), mode="bilinear")[:, 0].numpy()
    assert made.values.shape == (3, 1, 32, 32)
    assert made.values[:, 0] == pytest.approx(larger, abs=2e-3)
    assert made.manifest.settings["layer"] == layer


def test_grad_cam_plus_plus_of_torchcam_leaves_alpha_undivided_and_ours_does_not():
    images, net, layer = pictures(), model(), "11"
    with GradCAMpp(net, f"net.{layer}") as theirs:
        scores = net(to_pixels(torch.from_numpy(images)).requires_grad_())
        wrong = theirs([3, 1, 9], scores, normalized=False)[0].double().numpy()
    right = by_formula(net, layer, images, [3, 1, 9], "grad_cam_plus_plus")
    # When this fails, torchcam divides: `_GradCAMpp` can go.
    assert np.abs(scaled(wrong)[0] - scaled(right)[0]).max() > 0.01
    ours = class_maps(net, "resnet20", images, np.array([3, 1, 9]), device=CPU, method="grad_cam_plus_plus")
    assert ours.raw_maximum[:, 0] == pytest.approx(right.max(axis=(1, 2)), rel=1e-3)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_convolutional_net_has_class_maps_of_small_images_too(name):
    side = NET_TABLE[name].least_side
    made = class_maps(
        model(name, side, 1), name, pictures(2, side, 1), np.array([[0, 1], [2, 3]]), device=CPU
    )
    assert made.values.shape == (2, 2, side, side)
    assert min(made.cells) >= 4
    assert made.values.min() >= 0
    assert made.values.max() <= 1


def test_maps_are_of_the_logit_and_not_of_the_probability():
    """A sure model: behind a softmax the gradients would vanish, and the map with them."""
    net = model()
    sure = Normalised(nn.Sequential(*net.net), net.mean, net.std).eval()
    images = pictures()
    plain = class_maps(net, "resnet20", images, np.array([3, 1, 9]), device=CPU)
    head = head_of(sure.net)[1]
    before = head.bias.detach().clone()
    try:
        with torch.no_grad():
            head.bias += torch.eye(10)[3] * 200
        shifted = class_maps(sure, "resnet20", images, np.array([3, 1, 9]), device=CPU)
    finally:
        with torch.no_grad():
            head.bias.copy_(before)
    assert np.allclose(plain.raw_maximum, shifted.raw_maximum)
    assert np.allclose(plain.values, shifted.values)
    assert shifted.logits[0, 0] - plain.logits[0, 0] == pytest.approx(200, abs=1e-3)


def test_a_map_without_evidence_stays_empty_beside_one_with_much():
    raw = np.stack([np.zeros((2, 2)), np.array([[4.0, 2.0], [2.0, 2.0]])])
    cells, maximum = scaled(raw)
    assert maximum.tolist() == [0, 4]
    assert cells[0].tolist() == [[0, 0], [0, 0]]
    assert cells[1].tolist() == [[1, 0.5], [0.5, 0.5]]  # not from 0: what is everywhere is shown everywhere


def test_a_map_does_not_depend_on_the_images_beside_it_or_on_the_classes_before_it(monkeypatch):
    images, classes = pictures(5), np.array([[3, 1], [1, 2], [9, 9], [0, 4], [5, 6]])
    together = class_maps(model(), "resnet20", images, classes, device=CPU)
    monkeypatch.setattr("training.evaluation.explain.drawing._CHUNK", 2)
    in_parts = class_maps(model(), "resnet20", images, classes, device=CPU)
    alone = class_maps(model(), "resnet20", images[2:3], classes[2:3, :1], device=CPU)
    assert np.allclose(together.values, in_parts.values, atol=1e-5)
    assert np.allclose(together.logits, in_parts.logits, atol=1e-5)
    assert np.allclose(alone.values[0, 0], together.values[2, 0], atol=1e-5)
    assert np.allclose(together.values[2, 0], together.values[2, 1])


@pytest.mark.parametrize("explain", ["maps", "rollout", "features"])
def test_a_model_is_afterwards_as_it_was(explain):
    name = "vit_small_p4" if explain == "rollout" else "resnet20"
    net = model(name, 8, 1)
    net.train()
    head_of(net.net)[1].eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    try:
        state = {key: value.clone() for key, value in net.state_dict().items()}
        modes = [module.training for module in net.modules()]
        if explain == "maps":
            class_maps(net, name, pictures(2, 8, 1), np.array([1, 2]), device=CPU)
        elif explain == "rollout":
            rollout_maps(net, name, pictures(2, 8, 1), device=CPU)
        else:
            penultimate(net, pictures(2, 8, 1), device=CPU)
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
        assert [module.training for module in net.modules()] == modes
        assert all(parameter.grad is None for parameter in net.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    finally:
        net.eval()
        for parameter in net.parameters():
            parameter.requires_grad_(True)


def test_a_mixed_image_has_the_maps_of_both_classes_beside_both_parents(monkeypatch):
    """A model of two places: class 0 is light on the left, class 1 on the right."""
    parents = np.zeros((1, 2, 8, 8, 1), np.uint8)
    parents[0, 0, 2:6, :3], parents[0, 1, 2:6, 5:] = 200, 200
    mixed = (parents.astype(int).sum(axis=1) // 2).astype(np.uint8)
    net = build_net("resnet20", image_shape=(8, 8, 1), n_classes=2, seed=0)
    chain = nn.Sequential(*net)
    chain[8] = _Sides()
    chain[9], chain[10], chain[11] = nn.Identity(), nn.Identity(), nn.Identity()
    for number in range(8):
        chain[number] = nn.Identity()
    chain[14] = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        chain[14].weight.copy_(torch.eye(2))
    monkeypatch.setitem(BUILDERS, "resnet20", lambda *_: chain)
    made = mixed_maps(
        Normalised(chain, torch.zeros(1), torch.ones(1)),
        "resnet20",
        mixed,
        parents,
        np.array([[0, 1]]),
        device=CPU,
    )
    left, right = made.maps.values[0]
    assert left[:, :4].sum() > 10 * left[:, 4:].sum()
    assert right[:, 4:].sum() > 10 * right[:, :4].sum()
    assert made.maps.raw_maximum[0, 0] == pytest.approx(made.maps.raw_maximum[0, 1])
    assert made.parents is parents
    assert made.mixed is mixed


class _Sides(nn.Module):
    """Two maps [B, 2, H/2, W/2]: the light of the left half, and of the right half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(x, 2)
        left = torch.zeros_like(x)
        left[..., : x.shape[-1] // 2] = 1
        return torch.cat([x * left, x * (1 - left)], dim=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"net": "vit_small_p4"}, "no convolutional maps for Grad-CAM; its attention can be rolled out"),
        ({"net": "resnet19"}, "no net 'resnet19'"),
        ({"method": "score_cam"}, "no method 'score_cam'"),
        ({"classes": np.array([1, 2])}, "3 images need classes as whole numbers"),
        ({"classes": np.array([1.0, 2.0, 3.0])}, "whole numbers"),
        ({"classes": np.array([1, 2, 10])}, "classes 0 to 9; asked for 1 to 10"),
        ({"classes": np.array([1, 2, -1])}, "classes 0 to 9"),
        ({"images": pictures().astype(float)}, "must be uint8"),
        ({"net": "resnet18"}, "the model is no resnet18: its weights"),
        ({"net": "preact_resnet18"}, r"'0.weight' are \[16, 3, 3, 3\], those of preact_resnet18 are \[64, 3"),
        ({"net": "wide_resnet16_4"}, "the model is no wide_resnet16_4: its weights"),
        ({"images": pictures(channels=1)}, r"takes images \[N, H, W, 3\]; got \(3, 32, 32, 1\)"),
        ({"images": pictures()[..., 0]}, r"takes images \[N, H, W, 3\]"),
    ],
)
def test_what_cannot_be_explained_is_refused(change, said):
    asked = {"net": "resnet20", "images": pictures(), "classes": np.array([1, 2, 3]), **change}
    with pytest.raises(DataError, match=said):
        class_maps(model(), asked.pop("net"), asked.pop("images"), device=CPU, **asked)


def test_a_model_of_the_same_layers_and_another_width_is_refused(monkeypatch):
    of_grey = functools.partial(BUILDERS["resnet20"], (32, 32, 1))
    monkeypatch.setitem(BUILDERS, "resnet20", lambda _shape, classes: of_grey(classes))
    with pytest.raises(
        DataError, match=r"'0.weight' are \[16, 3, 3, 3\], those of resnet20 are \[16, 1, 3, 3\]"
    ):
        class_maps(model(), "resnet20", pictures(), np.array([1, 2, 3]), device=CPU)


def test_parents_of_another_size_are_refused():
    images = pictures()
    with pytest.raises(DataError, match="need parents uint8"):
        mixed_maps(model(), "resnet20", images, images[:, None], np.zeros((3, 2), int), device=CPU)
    with pytest.raises(DataError, match=r"need classes \[N, 2\]"):
        mixed_maps(model(), "resnet20", images, images[:, None], np.zeros(3, int), device=CPU)


def test_a_caution_stands_where_grad_cam_plus_plus_is_beside_its_assumption():
    def cautions(name, method):
        return class_maps(
            model(name), name, pictures(1), np.array([1]), device=CPU, method=method
        ).manifest.cautions

    assert cautions("resnet20", "grad_cam_plus_plus") == ()
    assert cautions("mobilenet_v3_small", "grad_cam") == ()
    assert "never negative" in cautions("mobilenet_v3_small", "grad_cam_plus_plus")[0]


def test_a_manifest_is_json_and_names_the_versions():
    manifest = class_maps(model(), "resnet20", pictures(1), np.array([1]), device=CPU).manifest
    said = json.loads(json.dumps(manifest.as_json()))
    assert said["libraries"]["torchcam"] == "0.5.0"
    assert set(said) == {"method", "definition", "source", "settings", "cautions", "libraries"}
    assert set(cams._METHODS) == {"grad_cam", "grad_cam_plus_plus"}


# -- attention


def by_hand(net: Normalised, images: np.ndarray) -> np.ndarray:
    """Attention [N, L, heads, T, T] from the weights themselves: softmax(q kᵀ / √d) of every head."""
    inner, layers = net.net, []
    x = (to_pixels(torch.from_numpy(images)) - net.mean) / net.std
    x = inner._process_input(x)
    x = torch.cat([inner.class_token.expand(len(x), -1, -1), x], dim=1) + inner.encoder.pos_embedding
    for block in inner.encoder.layers:
        attention = block.self_attention
        q, k, _ = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        n, tokens, width = q.shape
        heads = (n, tokens, attention.num_heads, width // attention.num_heads)
        q, k = (part.view(heads).transpose(1, 2) for part in (q, k))
        layers.append(torch.softmax(q @ k.transpose(2, 3) / heads[3] ** 0.5, dim=-1))
        x = block(x)
    return torch.stack(layers, dim=1).detach().numpy()


def test_attention_is_seen_although_the_model_computes_it_fused():
    net, images = model("vit_small_p4", 16, 1), pictures(2, 16, 1)
    with torch.inference_mode():
        before = net(to_pixels(torch.from_numpy(images)))
    (seen,) = attentions(net, images, device=CPU)
    assert seen.shape == (2, 12, 6, 17, 17)
    assert seen == pytest.approx(by_hand(net, images), abs=1e-5)
    with torch.inference_mode():
        assert torch.equal(before, net(to_pixels(torch.from_numpy(images))))


def test_rollout_is_the_product_of_the_layers_the_first_applied_first():
    first = np.array([[0.2, 0.8, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    second = np.array([[1.0, 0, 0], [0, 0, 1.0], [0.4, 0.3, 0.3]])
    attention = np.stack([first, second])[None, :, None]
    expected = (second + np.eye(3)) / 2 @ ((first + np.eye(3)) / 2)
    assert roll_out(attention)[0] == pytest.approx(expected)
    assert roll_out(attention)[0] != pytest.approx((first + np.eye(3)) / 2 @ ((second + np.eye(3)) / 2))


def test_rollout_divides_every_row_by_its_own_sum():
    """Without keepdim the sums are laid along the columns: where attention was taken away, rows miss 1."""
    rng = np.random.default_rng(0)
    attention = rng.random((2, 3, 4, 5, 5)) * (rng.random((2, 3, 4, 5, 5)) > 0.5)
    rolled = roll_out(attention)
    assert rolled.sum(axis=2) == pytest.approx(1)
    kept = (attention[0, 0].mean(axis=0) + np.eye(5)) / 2
    without_keepdim = kept / kept.sum(axis=-1)
    assert np.abs(without_keepdim.sum(axis=1) - 1).max() > 0.05
    rows = np.stack([row / row.sum() for row in kept])
    assert roll_out(attention[:1, :1])[0] == pytest.approx(rows)


def test_rollout_treats_every_image_of_a_batch_alike():
    attention = np.random.default_rng(0).random((3, 2, 4, 5, 5))
    one_by_one = np.concatenate([roll_out(attention[n : n + 1]) for n in range(3)])
    assert np.array_equal(roll_out(attention), one_by_one)


def test_a_rollout_map_shows_the_patch_that_the_class_token_took_from():
    net, images = model("vit_small_p4", 16, 1), pictures(2, 16, 1)
    made = rollout_maps(net, "vit_small_p4", images, device=CPU)
    rows = roll_out(by_hand(net, images))[:, 0]
    assert made.cells == (4, 4)
    assert made.values.shape == (2, 1, 16, 16)
    assert made.raw_maximum[:, 0] == pytest.approx(rows[:, 1:].max(axis=1), rel=1e-4)
    row, column = np.unravel_index(made.values[0, 0].argmax(), (16, 16))
    assert rows[0, 1 + (row // 4) * 4 + column // 4] == pytest.approx(rows[0, 1:].max())


def test_a_net_without_attention_is_refused_a_rollout():
    with pytest.raises(DataError, match="resnet20 has no attention to roll out"):
        rollout_maps(model(), "resnet20", pictures(), device=CPU)
    with pytest.raises(DataError, match="no attention layers"):
        next(attentions(model(), pictures(), device=CPU))
    with pytest.raises(DataError, match="attention must be"):
        roll_out(np.zeros((2, 3, 4, 5)))


# -- features and planes


@pytest.mark.parametrize("name", list(NET_TABLE))
def test_penultimate_features_and_the_head_give_the_logits(name):
    side = NET_TABLE[name].least_side
    net, images = model(name, side, 1), pictures(3, side, 1)
    features = penultimate(net, images, device=CPU)
    head = head_of(net.net)[1]
    with torch.inference_mode():
        logits = net(to_pixels(torch.from_numpy(images)))
        assert torch.allclose(head(torch.from_numpy(features)), logits, atol=1e-4)
    assert features.dtype == np.float32


def test_features_come_in_the_order_of_the_images(monkeypatch):
    images = pictures(5, 8, 1)
    together = penultimate(model("resnet20", 8, 1), images, device=CPU)
    monkeypatch.setattr("training.evaluation.explain.drawing._CHUNK", 2)
    assert np.allclose(penultimate(model("resnet20", 8, 1), images, device=CPU), together, atol=1e-5)


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    loaded = load_digits()
    return loaded.data[:300].astype(np.float32), loaded.target[:300]


@functools.cache
def planes():
    return project(digits()[0], seed=0, methods=("pca", "tsne"))


def test_planes_keep_neighbours_and_say_how_far():
    features, labels = digits()
    made = planes().made
    for projection in made.values():
        assert projection.coordinates.shape == (300, 2)
        expected = trustworthiness(features, projection.coordinates, n_neighbors=projection.neighbours)
        assert projection.trustworthiness == pytest.approx(expected)
    assert made["tsne"].trustworthiness > 0.95 > made["pca"].trustworthiness > 0.7
    distances = np.linalg.norm(
        made["tsne"].coordinates[:, None] - made["tsne"].coordinates[None], axis=2
    ) + np.diag(np.full(300, np.inf))
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.9


def test_pca_is_the_plane_of_the_largest_variances():
    centred = digits()[0].astype(float) - digits()[0].mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    plane = planes().made["pca"]
    assert np.abs(plane.coordinates) == pytest.approx(np.abs(centred @ directions[:2].T), abs=1e-3)
    share = 100 * (sizes[:2] ** 2).sum() / (sizes**2).sum()
    assert plane.manifest.settings["variance_percent"] == pytest.approx(share, rel=1e-4)


def test_a_random_plane_would_not_be_trusted():
    rng = np.random.default_rng(0)
    assert trustworthiness(digits()[0], rng.random((300, 2)), n_neighbors=10) < 0.6


def test_the_same_seed_gives_the_same_planes_to_the_bit():
    again = project(digits()[0], seed=0, methods=("pca", "tsne")).made
    for method, projection in planes().made.items():
        assert np.array_equal(projection.coordinates, again[method].coordinates)


def test_planes_are_made_on_one_thread_however_many_there_are(monkeypatch):
    """t-SNE on two threads sums in another order: a thousand points end tens of units from where they do on one."""
    seen = []

    def plane(kept, seed):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return kept[:, :2], {}

    monkeypatch.setitem(projections._METHODS, "tsne", (plane, "", "", ()))
    with threadpool_limits(2):
        project(digits()[0], seed=0, methods=("tsne",))
    assert set(seen) == {1}


def test_t_sne_is_made_as_the_reference_says():
    settings = planes().made["tsne"].manifest.settings
    assert (settings["perplexity"], settings["components"], settings["seed"]) == (30, 50, 0)
    few = project(digits()[0][:16], seed=0, methods=("tsne",)).made["tsne"]
    assert few.manifest.settings["perplexity"] == 5
    assert few.neighbours == 7


def test_a_missing_umap_is_said_and_the_others_are_made(monkeypatch):
    monkeypatch.setattr(projections.importlib.util, "find_spec", lambda name: None)
    made = project(digits()[0][:50], seed=0, methods=("pca", "umap"))
    assert list(made.made) == ["pca"]
    assert "not installed" in made.not_made["umap"]


def test_an_installed_umap_is_used_with_the_seed_and_one_thread(monkeypatch):
    asked = {}

    class Stub:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, values):
            asked["shape"] = values.shape
            return values[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Stub))
    monkeypatch.setattr(projections.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(projections, "libraries", lambda *names: dict.fromkeys(names, "0"))
    made = project(digits()[0], seed=4, methods=("umap",)).made["umap"]
    assert asked == {
        "n_components": 2,
        "n_neighbors": 15,
        "min_dist": 0.1,
        "random_state": 4,
        "n_jobs": 1,
        "shape": (300, 50),
    }
    assert made.coordinates.dtype == np.float64


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros((9, 4)), "choose 10 to 5,000"),
        (np.zeros((5001, 2)), "5,001 images cannot be projected"),
        (np.ones((20, 4)), "all images have the same features"),
        (np.full((20, 4), np.nan), "not finite"),
        (np.zeros(20), "features must be"),
        (np.zeros((20, 1)), "at least two numbers"),
    ],
)
def test_features_that_cannot_be_projected_are_refused(features, said):
    with pytest.raises(DataError, match=said):
        project(features, seed=0)


def test_an_unknown_projection_is_refused():
    with pytest.raises(DataError, match="no projection 'isomap'; choose among pca, tsne, umap"):
        project(np.random.default_rng(0).random((20, 4)), seed=0, methods=("isomap",))
