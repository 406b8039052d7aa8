"""The engine: batches, the loop, what a run takes. Digits of scikit-learn and generated images; no Django."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest
import torch

from hilmix.core.errors import DataError
from tests.training.small import CPU, QUICK, digits, recorded
from training.engine.batches import Batches
from training.engine.config import Augment, OnTheFly, TrainConfig, tune_grid
from training.engine.data import DeviceImages, TrainData
from training.engine.device import describe, resolve_precision, resolved, settled
from training.engine.loop import TrainingDiverged, TrainingStopped, build_model, train
from training.engine.plan import Budget
from training.engine.predict import load_model, predict, save_weights
from training.engine.probe import Probe, forecast, free_memory, probe
from training.engine.schedule import learning_rate


def test_a_batch_is_cropped_and_mirrored_as_the_plan_says():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    resident = DeviceImages(images, crop=2, device=CPU)
    shifts = torch.tensor([[2, 2], [0, 4], [3, 1]])
    batch = resident.batch(torch.tensor([4, 0, 2]), shifts, torch.tensor([False, False, True]))
    assert (batch.shape, batch.dtype) == ((3, 8, 8, 3), torch.uint8)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    expected = np.stack([images[4], padded[0, 0:8, 4:12], padded[2, 3:11, 1:9][:, ::-1]])
    assert np.array_equal(batch.numpy(), expected)


def test_channels_are_normalised_by_the_plain_images_alone():
    rng = np.random.default_rng(0)
    images = (rng.random((1200, 4, 4, 3)) * [255, 100, 0]).astype(np.uint8)
    data = TrainData(images, np.eye(2)[np.zeros(1200, int)], 1100, images[:1], np.zeros(1, np.int64))
    mean, std = data.channel_statistics()
    plain = images[:1100].reshape(-1, 3) / 255
    assert mean.tolist() == pytest.approx(plain.mean(axis=0))
    assert std.tolist() == pytest.approx([*plain.std(axis=0)[:2], 1 / 255])


def test_the_rate_warms_up_peaks_and_ends_near_zero():
    config = dataclasses.replace(QUICK, epochs=10, warmup_epochs=2.0)
    rates = [learning_rate(config, step, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == pytest.approx(0.1) == rates[19] == rates[20]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_clipping_bounds_the_first_step_by_rate_times_norm():
    data = digits(128)
    config = dataclasses.replace(
        QUICK, epochs=1, batch_size=160, warmup_epochs=0, momentum=0.0, weight_decay=0.0, clip_norm=0.01
    )
    _, (after,) = recorded(config, data)
    before = build_model("resnet20", data, seed=0).named_parameters()
    moved = torch.stack([(after[name] - start.detach()).norm() for name, start in before]).norm()
    assert float(moved) == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_an_arm_starts_from_the_weights_it_is_given_or_says_what_does_not_fit():
    data = digits(128)
    first = train(QUICK, data, seed=1, device=CPU).state_dict
    still = dataclasses.replace(QUICK, epochs=1, lr=1e-12)
    after = train(still, data, seed=0, device=CPU, start=first).state_dict
    assert torch.allclose(after["net.0.weight"], first["net.0.weight"], atol=1e-8)
    head = {**first, "net.14.weight": torch.zeros(3, 64)}
    with pytest.raises(DataError, match=r"of another net: net\.14\.weight do not fit"):
        train(still, data, seed=0, device=CPU, start=head)


def test_noise_and_mixtures_give_the_same_bits_again_whatever_torch_drew_before():
    config = dataclasses.replace(QUICK, augment=Augment(crop=1, noise=0.2), on_the_fly=OnTheFly())
    torch.manual_seed(1)
    first = train(config, digits(128), seed=3, device=CPU)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = train(config, digits(128), seed=3, device=CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, again.state_dict[name]) for name, value in first.state_dict.items())


def test_an_arm_without_mixed_images_takes_the_same_steps_on_its_own_images_in_their_places():
    whole, data = digits(128, n_mixed=32), digits(128, n_mixed=32)
    base = dataclasses.replace(data, images=data.images[:128], targets=data.targets[:128])
    arms = [train(QUICK, arm, seed=0, device=CPU, budget=Budget(128, 32)) for arm in (whole, base)]
    assert arms[0].plan_sha256 == arms[1].plan_sha256
    assert arms[0].n_steps == arms[1].n_steps
    alone = train(QUICK, base, seed=0, device=CPU)
    assert alone.plan_sha256 != arms[1].plan_sha256


def test_the_floor_of_mixtures_made_on_the_fly_is_the_entropy_of_their_labels():
    data = digits(352, n_mixed=0)
    config = dataclasses.replace(QUICK, epochs=1, batch_size=352, on_the_fly=OnTheFly())
    result = train(config, data, seed=0, device=CPU)
    # λ uniform: the mean entropy of (λ, 1 − λ) is ½ nat, and about a tenth of the pairs are of one class.
    assert result.curves[0]["train_floor"] == pytest.approx(0.5 * 0.9, abs=0.05)


def test_labels_that_need_what_people_saw_are_refused_without_it():
    for labels, words in (("population_curve", "curve of a release"), ("warp_swapped", "perceptual warp")):
        config = dataclasses.replace(QUICK, on_the_fly=OnTheFly(labels=labels))
        with pytest.raises(DataError, match=words):
            train(config, digits(128), seed=0, device=CPU)


def test_a_deterministic_training_computes_in_fp32_and_leaves_torch_as_it_was():
    config = dataclasses.replace(QUICK, precision="auto", deterministic=True, threads=None)
    made = resolved(config, image_shape=(8, 8, 1), n_classes=10, device=CPU)
    assert (made.precision, made.threads) == ("fp32", torch.get_num_threads())
    with settled(1, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "tf32"
        with settled(1, deterministic=True):
            assert [kind.fp32_precision for kind in kinds] == ["ieee"] * 3
        with settled(1, deterministic=False):
            assert [kind.fp32_precision for kind in kinds] == ["tf32"] * 3
        assert [kind.fp32_precision for kind in kinds] == ["tf32"] * 3
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
    with pytest.raises(DataError, match="computes in fp32"):
        dataclasses.replace(QUICK, precision="bf16", deterministic=True)


def test_a_grid_is_every_combination_in_the_order_written():
    made = tune_grid(QUICK, {"lr": [0.1, 0.2], "augment.blur": [0.0, 1.0]})
    assert [(one.lr, one.augment.blur) for one in made] == [(0.1, 0.0), (0.1, 1.0), (0.2, 0.0), (0.2, 1.0)]
    assert {one.augment.crop for one in made} == {1}
    for wrong, words in (({"rate": [1]}, "tune.rate is not known"), ({"lr": []}, "at least one value"),
                         ({"augment.blur": [99]}, "blur is 99"), ({"lr": 0.1}, "at least one value"),
                         ({"lr": ["high"]}, "lr is 'high'"), ({"augment": [{"blur": 1}]}, "augment.blur"),
                         ({"warmup_epochs": [0.5, 9]}, "9 of 2 epochs")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            tune_grid(QUICK, wrong)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: OnTheFly("cutmix", labels="perceptual_warp"),
            "cutmix cannot be labelled by perceptual_warp",
        ),
        (lambda: OnTheFly("blend"), "one of mixup, cutmix"),
        (lambda: OnTheFly(alpha=0), "alpha is 0"),
        (lambda: OnTheFly(share=1.5), "share is 1.5"),
        (lambda: Augment(rotation=400), "from 0 to 180 degrees"),
        (lambda: TrainConfig(schedule="linear"), "one of cosine, steps"),
        (lambda: TrainConfig(milestones=(0.7, 0.5)), "larger than the one before"),
        (lambda: TrainConfig(milestones=("0.5",)), "must be a tuple of numbers"),
        (lambda: TrainConfig(milestones=0.5), "must be a tuple of numbers"),
        (lambda: TrainConfig(net="resnet99"), "net is 'resnet99'"),
        (lambda: TrainConfig(epochs=0), "epochs is 0; it must be a whole number from 1 to 1000"),
        (lambda: TrainConfig(epochs=2.5), "epochs is 2.5"),
        (lambda: TrainConfig(epochs=True), "epochs is True"),
        (lambda: TrainConfig(batch_size=1), "batch_size is 1; it must be a whole number from 2 to 8192"),
        (lambda: TrainConfig(lr=0), "lr is 0; it must be a number above 0 to 10"),
        (lambda: TrainConfig(lr="0.1"), "lr is '0.1'"),
        (lambda: TrainConfig(lr=math.nan), "lr is nan"),
        (lambda: TrainConfig(lr=None), "lr is None"),
        (lambda: TrainConfig(momentum=1.0), "momentum is 1.0; it must be a number from 0 to below 1"),
        (lambda: TrainConfig(weight_decay=-1e-4), "weight_decay is -0.0001"),
        (lambda: TrainConfig(factor=0), "factor is 0"),
        (lambda: TrainConfig(mixed_share=1), "mixed_share is 1"),
        (lambda: TrainConfig(ema=1.0), "ema is 1.0; it must be a number above 0 to below 1"),
        (lambda: TrainConfig(clip_norm=0.0), "clip_norm is 0.0; it must be a number above 0$"),
        (lambda: TrainConfig(clip_norm=math.inf), "clip_norm is inf"),
        (lambda: TrainConfig(threads=0), "threads is 0"),
        (lambda: TrainConfig(deterministic=1), "deterministic is 1; it must be true or false"),
        (lambda: TrainConfig(warmup_epochs=-0.5), "warmup_epochs is -0.5"),
        (lambda: TrainConfig(epochs=5, warmup_epochs=5), "5 of 5 epochs, so the rate would never fall"),
        (lambda: TrainConfig(epochs=1, warmup_epochs=1.5), "1.5 of 1 epochs"),
        (lambda: Augment(crop=1.5), "crop is 1.5; it must be a whole number"),
        (lambda: Augment(flip="no"), "flip is 'no'; it must be true or false"),
        (lambda: Augment(noise="much"), "noise is 'much'"),
        (lambda: OnTheFly(alpha="1"), "alpha is '1'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, words):
    with pytest.raises(DataError, match=words):
        make()


def test_a_probe_foretells_what_a_run_takes(tmp_path):
    data, config = digits(128), dataclasses.replace(QUICK, epochs=3, batch_size=32, ema=0.9)
    one = probe(config, data, device=CPU, steps=8)
    assert (one.epochs, one.steps_an_epoch) == (3, 5)
    start = time.perf_counter()
    result = train(config, data, seed=0, device=CPU, checkpoints=tmp_path / "run")
    assert min(one.seconds_forward, one.seconds_and_back) > 0
    assert one.seconds_judging == pytest.approx(one.seconds_forward * len(data.validation_images))
    assert one.seconds / 10 < time.perf_counter() - start < one.seconds * 10  # a busy machine is no clock
    save_weights(result.state_dict, tmp_path / "weights.safetensors")
    assert one.kept == pytest.approx((tmp_path / "weights.safetensors").stat().st_size, rel=0.05)
    (state,) = (tmp_path / "run").glob("*/state.safetensors")
    assert one.checkpoint == pytest.approx(state.stat().st_size, rel=0.05)
    assert data.images.nbytes < one.memory < 1 << 36
    told = forecast(one, n_runs=10, at_once=2, judged=7, directory=tmp_path / "not" / "there", device=CPU)
    assert (told.seconds, told.memory) == (pytest.approx(5 * one.seconds), 2 * one.memory)
    assert told.disk == 10 * one.kept + 4 * one.checkpoint + 7
    assert told.refusals == ()


def test_no_more_runs_are_side_by_side_than_there_are(tmp_path):
    one = Probe(1, 1, 1.0, 0.0, memory=1000, kept=10, checkpoint=5)
    told = forecast(one, n_runs=2, at_once=50, directory=tmp_path, device=CPU)
    assert (told.memory, told.disk, told.seconds) == (2000, 2 * 10 + 4 * 5, 1.0)


def test_a_step_is_measured_without_the_validation_after_it(monkeypatch):
    def slow(model, images, **how):
        time.sleep(0.5)
        return np.zeros((len(images), 10))

    monkeypatch.setattr("training.engine.loop.predict", slow)
    config = dataclasses.replace(QUICK, epochs=5, batch_size=64)
    one = probe(config, digits(64, n_mixed=0), device=CPU, steps=4)
    assert one.steps_an_epoch == 1
    assert one.seconds_a_step < 0.4


def test_what_a_gpu_holds_for_nothing_is_let_go_before_its_memory_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: asked.append("free") or (7, 9))
    assert free_memory(torch.device("cuda", 0)) == 7
    assert asked == ["empty", "free"]

    def measured(*told, **how):
        asked.append("measured")
        raise TrainingDiverged("far enough")

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: asked.append("reset"))
    monkeypatch.setattr("training.engine.probe.train", measured)
    with pytest.raises(TrainingDiverged):
        probe(QUICK, digits(64), device=torch.device("cuda", 0))
    assert asked[2:] == ["empty", "reset", "measured"]


def test_what_cannot_fit_is_refused_in_a_sentence(tmp_path):
    one = probe(dataclasses.replace(QUICK, epochs=1), digits(128), device=CPU, steps=1)
    free = free_memory(CPU)
    assert free is not None
    many = forecast(one, n_runs=10**9, at_once=2 * free // one.memory + 1, directory=tmp_path, device=CPU)
    assert len(many.refusals) == 2
    assert "of memory;" in many.refusals[0]
    assert "fewer seeds" in many.refusals[1]
    [judged] = forecast(one, n_runs=1, judged=10**18, directory=tmp_path, device=CPU).refusals
    assert "1000000000.0 GB of it for what judging keeps" in judged


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
    original = Batches.make
    for lam in (0.5, 0.9):
        batches = seen.setdefault(lam, [])

        def recording(self, step, into=batches):
            pixels, targets = original(self, step)
            into.append(pixels)
            return pixels, targets

        monkeypatch.setattr(Batches, "make", recording)
        results[lam] = train(QUICK, digits(lam=lam), seed=0, device=CPU)
    assert len(seen[0.5]) == len(seen[0.9]) == results[0.5].n_steps == results[0.9].n_steps
    assert all(torch.equal(a, b) for a, b in zip(seen[0.5], seen[0.9], strict=True))
    assert results[0.5].plan_sha256 == results[0.9].plan_sha256
    starts = [build_model("resnet20", digits(lam=lam), seed=0).state_dict() for lam in (0.5, 0.9)]
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert not torch.equal(results[0.5].state_dict["net.0.weight"], results[0.9].state_dict["net.0.weight"])


def test_digits_are_learnt_within_seconds():
    config = dataclasses.replace(QUICK, epochs=5, augment=Augment(crop=1, flip=False))
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
    result = train(dataclasses.replace(QUICK, epochs=3, precision="bf16"), digits(n=640), seed=0, device=CPU)
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
        ({"images": np.zeros((0, 8, 8, 1), np.uint8), "targets": np.zeros((0, 2))}, "no training images"),
        ({"targets": np.full((4, 2), 0.4)}, "distribution"),
        ({"targets": np.full((4, 2), np.nan)}, "distribution"),
        ({"targets": np.array([[0.5, 0.5]] * 3 + [[np.nan, 0.5]])}, "distribution"),
        ({"targets": np.full((3, 2), 0.5)}, "3 targets"),
        ({"targets": np.full(4, 1.0)}, "distribution"),
        ({"n_parents": 5}, "5 of 4 training images"),
        ({"validation_images": np.zeros((2, 9, 9, 1), np.uint8)}, "validation images"),
        ({"validation_images": np.zeros((2, 8, 8, 1), np.float32)}, "validation images must be uint8"),
        ({"validation_images": np.zeros((0, 8, 8, 1), np.uint8)}, "no validation images"),
        ({"validation_labels": np.zeros(3, np.int64)}, "2 validation images need 2 whole numbers"),
        ({"validation_labels": np.zeros(2)}, "need 2 whole numbers as validation labels; got float64"),
        ({"validation_labels": np.array([0, 2])}, "from 0 to 2; with targets over 2 classes"),
        ({"validation_labels": np.array([-1, 1])}, "from -1 to 1"),
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
    config = dataclasses.replace(QUICK, epochs=4, precision=precision, deterministic=precision == "auto")
    data, device = digits(n=1200), torch.device("cuda", 0)
    first, again = (train(config, data, seed=0, device=device) for _ in range(2))
    on_cpu = train(dataclasses.replace(config, precision="fp32"), data, seed=0, device=CPU)
    assert first.plan_sha256 == on_cpu.plan_sha256
    assert all(torch.equal(value, again.state_dict[name]) for name, value in first.state_dict.items())
    accuracies = [result.curves[-1]["validation_accuracy"] for result in (first, on_cpu)]
    assert abs(accuracies[0] - accuracies[1]) < 0.1
