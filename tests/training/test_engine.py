"""The engine: nets, plans, batches, the loop. Digits of scikit-learn and generated images; no Django."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hilmix.core.errors import DataError
from training.engine.config import NETS, TrainConfig
from training.engine.data import DeviceImages, TrainData
from training.engine.device import describe, resolve_precision
from training.engine.loop import TrainingStopped, build_model, learning_rate, train
from training.engine.nets import BUILDERS, build_net
from training.engine.plan import make_plan
from training.engine.predict import load_model, predict, save_weights

QUICK = TrainConfig(epochs=2, batch_size=64, lr=0.1, crop=1, flip=True, precision="fp32", threads=1)
CPU = torch.device("cpu")


def digits(n: int = 320, n_mixed: int = 32, lam: float = 0.5) -> TrainData:
    """`n` digits, `n_mixed` half-and-half mixtures of them labelled with λ = `lam`, 200 validation digits."""
    loaded = load_digits()
    images = (loaded.images / 16 * 255).round().astype(np.uint8)[..., None]
    labels = loaded.target.astype(np.int64)
    mixed = ((images[:n_mixed].astype(int) + images[n_mixed : 2 * n_mixed]) // 2).astype(np.uint8)
    hard = np.eye(10)[labels]
    soft = lam * hard[:n_mixed] + (1 - lam) * hard[n_mixed : 2 * n_mixed]
    return TrainData(
        images=np.concatenate([images[:n], mixed]),
        targets=np.concatenate([hard[:n], soft]),
        n_parents=n,
        validation_images=images[-200:],
        validation_labels=labels[-200:],
    )


@pytest.mark.parametrize("name", list(BUILDERS))
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_every_net_takes_small_grey_and_colour_images(name, shape):
    net = build_net(name, image_shape=shape, n_classes=7, seed=0)
    logits = net(torch.rand(2, shape[2], shape[0], shape[1]))
    assert logits.shape == (2, 7)


def test_the_table_of_nets_that_the_pages_use_names_the_nets_there_are():
    assert NETS.keys() == BUILDERS.keys()


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("preact_resnet18", 11.17)])
def test_a_net_has_as_many_weights_as_published(name, millions):
    net = build_net(name, image_shape=(32, 32, 3), n_classes=10, seed=0)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_images_too_small_for_a_net_are_refused():
    with pytest.raises(DataError, match="at least 8 pixels"):
        build_net("resnet20", image_shape=(6, 6, 1), n_classes=2, seed=0)


def test_building_a_net_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_net("resnet20", image_shape=(8, 8, 1), n_classes=2, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_plan_uses_each_image_once_an_epoch_and_drops_less_than_a_batch():
    plan = make_plan(QUICK, n_parents=300, n_mixed=30, seed=1)
    assert plan.indices.shape == (2, 5, 64)
    for epoch in plan.indices:
        assert len(np.unique(epoch)) == 320
    assert plan.indices.max() <= 329
    assert set(np.unique(plan.shifts)) == {0, 1, 2}


def test_a_plan_depends_on_the_seed_alone():
    first, again, other = (make_plan(QUICK, n_parents=300, n_mixed=30, seed=seed) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


def test_switching_the_flip_off_moves_neither_order_nor_crop():
    with_flip = make_plan(QUICK, n_parents=300, n_mixed=30, seed=1)
    without = make_plan(dataclasses.replace(QUICK, flip=False), n_parents=300, n_mixed=30, seed=1)
    assert np.array_equal(with_flip.indices, without.indices)
    assert np.array_equal(with_flip.shifts, without.shifts)
    assert not without.flips.any()


def test_a_fixed_share_of_mixed_images_is_in_every_batch():
    config = dataclasses.replace(QUICK, mixed_share=0.25)
    plan = make_plan(config, n_parents=300, n_mixed=30, seed=0)
    assert plan.indices.shape == (2, 6, 64)
    assert ((plan.indices >= 300).sum(axis=2) == 16).all()
    counts = np.bincount(plan.indices[plan.indices >= 300] - 300, minlength=30)
    assert counts.max() - counts.min() <= 1


def test_a_share_that_cannot_be_filled_is_refused():
    with pytest.raises(DataError, match="cannot be filled"):
        make_plan(dataclasses.replace(QUICK, mixed_share=0.5), n_parents=300, n_mixed=0, seed=0)


def test_a_batch_is_cropped_and_mirrored_as_the_plan_says():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    resident = DeviceImages(images, crop=2, device=CPU)
    shifts = torch.tensor([[2, 2], [0, 4], [3, 1]])
    batch = resident.batch(torch.tensor([4, 0, 2]), shifts, torch.tensor([False, False, True]))
    assert batch.shape == (3, 3, 8, 8)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    expected = np.stack([images[4], padded[0, 0:8, 4:12], padded[2, 3:11, 1:9][:, ::-1]])
    assert np.array_equal(batch.permute(0, 2, 3, 1).mul(255).round().to(torch.uint8).numpy(), expected)


def test_the_rate_warms_up_peaks_and_ends_near_zero():
    config = dataclasses.replace(QUICK, epochs=10, warmup_epochs=2.0)
    rates = [learning_rate(config, step, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == pytest.approx(0.1) == rates[19] == rates[20]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_two_trainings_with_one_seed_end_in_the_same_bits():
    first, again = (train(QUICK, digits(), seed=3, device=CPU) for _ in range(2))
    assert first.plan_sha256 == again.plan_sha256
    for name, weights in first.state_dict.items():
        assert torch.equal(weights, again.state_dict[name]), name
    other = train(QUICK, digits(), seed=4, device=CPU)
    assert not torch.equal(first.state_dict["net.0.weight"], other.state_dict["net.0.weight"])


def test_arms_see_the_same_batches_and_start_from_the_same_weights_and_only_labels_differ(monkeypatch):
    seen: dict[float, list[torch.Tensor]] = {}
    results = {}
    original = DeviceImages.batch
    for lam in (0.5, 0.9):
        batches = seen.setdefault(lam, [])

        def recording(self, indices, shifts, flips, into=batches):
            pixels = original(self, indices, shifts, flips)
            into.append(pixels)
            return pixels

        monkeypatch.setattr(DeviceImages, "batch", recording)
        results[lam] = train(QUICK, digits(lam=lam), seed=0, device=CPU)
    assert len(seen[0.5]) == len(seen[0.9]) == results[0.5].n_steps == results[0.9].n_steps
    assert all(torch.equal(a, b) for a, b in zip(seen[0.5], seen[0.9], strict=True))
    assert results[0.5].plan_sha256 == results[0.9].plan_sha256
    starts = [build_model("resnet20", digits(lam=lam), seed=0).state_dict() for lam in (0.5, 0.9)]
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert not torch.equal(results[0.5].state_dict["net.0.weight"], results[0.9].state_dict["net.0.weight"])


def test_digits_are_learnt_within_seconds():
    config = dataclasses.replace(QUICK, epochs=6, flip=False)
    start = time.perf_counter()
    result = train(config, digits(n=1200, n_mixed=60), seed=0, device=CPU)
    assert result.curves[-1]["validation_accuracy"] > 0.85
    assert time.perf_counter() - start < 60


def test_the_entropy_floor_of_an_epoch_is_that_of_the_targets_it_used():
    data = digits(n=320, n_mixed=32)
    result = train(dataclasses.replace(QUICK, batch_size=352), data, seed=0, device=CPU)
    two_class = np.count_nonzero((data.targets[320:] == 0.5).any(axis=1))
    assert result.curves[0]["train_floor"] == pytest.approx(two_class * np.log(2) / 352)
    assert all(curve["train_loss"] > curve["train_floor"] for curve in result.curves)


def test_a_training_that_is_told_to_stop_stops_before_the_next_step():
    steps = []
    with pytest.raises(TrainingStopped):
        train(QUICK, digits(), seed=0, device=CPU, on_step=steps.append, should_stop=lambda: len(steps) >= 3)
    assert [step.done for step in steps] == [1, 2, 3]


def test_progress_counts_to_the_end_and_says_how_long_is_left():
    steps, epochs = [], []
    result = train(QUICK, digits(), seed=0, device=CPU, on_step=steps.append, on_epoch=epochs.append)
    assert [step.done for step in steps] == list(range(1, result.n_steps + 1))
    assert {step.total for step in steps} == {result.n_steps}
    assert steps[0].seconds_left > 0 == steps[-1].seconds_left
    assert [epoch.epoch for epoch in epochs] == [1, 2]


def test_weights_saved_and_loaded_predict_the_same(tmp_path):
    data = digits()
    result = train(QUICK, data, seed=0, device=CPU)
    save_weights(result.state_dict, tmp_path / "weights.safetensors")
    model = load_model(tmp_path / "weights.safetensors", net="resnet20", image_shape=(8, 8, 1), n_classes=10)
    logits = predict(model, data.validation_images, device=CPU)
    assert logits.dtype == np.float64
    accuracy = np.mean(logits.argmax(1) == data.validation_labels)
    assert accuracy == pytest.approx(result.curves[-1]["validation_accuracy"])


def test_bf16_learns_too():
    result = train(dataclasses.replace(QUICK, epochs=4, precision="bf16"), digits(n=1200), seed=0, device=CPU)
    assert result.precision == "bf16"
    assert result.curves[-1]["train_loss"] < result.curves[0]["train_loss"]


def test_precision_asked_for_is_taken_and_auto_is_decided():
    kind = {"image_shape": (8, 8, 1), "n_classes": 10, "device": CPU}
    assert resolve_precision(QUICK, **kind) == "fp32"
    assert resolve_precision(dataclasses.replace(QUICK, precision="auto"), **kind) in {"fp32", "bf16"}


def test_the_environment_names_device_threads_and_versions():
    assert {"device", "threads", "torch", "python", "instructions"} == describe(CPU).keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((4, 8, 8, 1), np.float32)}, "uint8"),
        ({"targets": np.full((4, 2), 0.4)}, "distribution"),
        ({"targets": np.full((3, 2), 0.5)}, "3 targets"),
        ({"validation_images": np.zeros((2, 9, 9, 1), np.uint8)}, "validation images"),
    ],
)
def test_training_data_that_does_not_fit_is_refused(change, message):
    good = {
        "images": np.zeros((4, 8, 8, 1), np.uint8),
        "targets": np.full((4, 2), 0.5),
        "n_parents": 4,
        "validation_images": np.zeros((2, 8, 8, 1), np.uint8),
        "validation_labels": np.zeros(2, np.int64),
    }
    with pytest.raises(DataError, match=message):
        TrainData(**{**good, **change})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_gpu_trains_the_same_plan_deterministically(precision):
    config = dataclasses.replace(QUICK, epochs=4, precision=precision)
    data, device = digits(n=1200), torch.device("cuda", 0)
    first, again = (train(config, data, seed=0, device=device) for _ in range(2))
    on_cpu = train(dataclasses.replace(config, precision="fp32"), data, seed=0, device=CPU)
    assert first.plan_sha256 == on_cpu.plan_sha256
    assert all(torch.equal(value, again.state_dict[name]) for name, value in first.state_dict.items())
    accuracies = [result.curves[-1]["validation_accuracy"] for result in (first, on_cpu)]
    assert abs(accuracies[0] - accuracies[1]) < 0.1
