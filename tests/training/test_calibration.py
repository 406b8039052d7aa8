"""Calibration errors against hand cases, other people's programs, and the mistakes that those make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilmix.core.errors import DataError
from training.evaluation import calibration, metrics
from training.evaluation.calibration import ECE, MCE, RMS


def predictions(n: int = 1000, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = np.exp(metrics.log_softmax(rng.normal(0, 2, size=(n, classes))))
    drawn = np.where(rng.random(n) < 0.6, p.argmax(1), rng.integers(0, classes, n))
    return p, drawn


def by_hand(confidence: np.ndarray, outcome: np.ndarray, which: np.ndarray) -> tuple[float, float, float]:
    gaps, shares = [], []
    for number in np.unique(which):
        inside = which == number
        shares.append(inside.mean())
        gaps.append(abs(outcome[inside].mean() - confidence[inside].mean()))
    gaps, shares = np.array(gaps), np.array(shares)
    return (shares * gaps).sum(), np.sqrt((shares * gaps**2).sum()), gaps.max()


@pytest.mark.parametrize(
    "binning", [calibration.equal_width, calibration.equal_mass, calibration.by_hundreds]
)
def test_the_three_errors_agree_with_a_plain_loop_over_bins(binning):
    confidence, outcome = calibration.top_class(*predictions(n=1234))
    which = binning(confidence)
    found = [calibration.error(confidence, outcome, which, power) for power in (ECE, RMS, MCE)]
    assert found == pytest.approx(by_hand(confidence, outcome, which))


@pytest.mark.parametrize(("norm", "power"), [("l1", ECE), ("l2", RMS), ("max", MCE)])
def test_bins_of_equal_width_agree_with_torchmetrics_where_no_confidence_is_1(norm, power):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchmetrics.functional.classification").multiclass_calibration_error
    p, labels = predictions()
    expected = theirs(torch.tensor(p), torch.tensor(labels), 5, n_bins=15, norm=norm)
    confidence, outcome = calibration.top_class(p, labels)
    found = calibration.error(confidence, outcome, calibration.equal_width(confidence), power)
    assert found == pytest.approx(float(expected), abs=1e-6)


def test_ece_and_mce_agree_with_netcal():
    theirs = pytest.importorskip("netcal.metrics", reason="pip install --no-deps netcal==1.4.0")
    p, labels = predictions()
    confidence, outcome = calibration.top_class(p, labels)
    which = calibration.equal_width(confidence)
    assert calibration.error(confidence, outcome, which, ECE) == pytest.approx(
        theirs.ECE(15).measure(p, labels)
    )
    assert calibration.error(confidence, outcome, which, MCE) == pytest.approx(
        theirs.MCE(15).measure(p, labels)
    )


def test_a_confidence_of_exactly_one_is_in_the_last_bin_where_torchmetrics_has_a_phantom_one():
    # torchmetrics #3510 puts it in a bin of its own past the last: 0.525 here, where the textbook has 0.475.
    p, labels = np.array([[1.0, 0.0], [0.95, 0.05]]), np.array([1, 0])
    assert calibration.ece(p, labels, n_bins=1) == pytest.approx(0.475)
    assert calibration.reliability(p, labels, n_bins=15)[-1].n == 2


def test_the_least_confident_image_is_in_a_bin_where_regmixup_drops_it():
    confidence = np.linspace(0.2, 0.9, 31)
    assert np.bincount(calibration.equal_mass(confidence, 15)).sum() == 31
    assert sorted(set(np.bincount(calibration.equal_mass(confidence, 15)))) == [2, 3]


def test_two_classes_are_judged_by_the_top_class_where_torchmetrics_takes_class_1():
    # issue #1105: P(class 1) of a sure and right "class 0" is not a confidence near 0, but one near 1.
    p, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
    assert calibration.ece(p, labels, n_bins=1) == pytest.approx(0.15)


def test_soft_targets_are_refused_where_netcal_takes_their_argmax():
    with pytest.raises(DataError, match="not soft targets"):
        calibration.ece(np.array([[0.9, 0.1]]), np.array([[0.6, 0.4]]))


def test_a_hundred_a_bin_goes_by_rising_stable_confidence_and_the_last_bin_takes_the_remainder():
    confidence = np.repeat([0.9, 0.5], [150, 100])
    which = calibration.by_hundreds(confidence)
    assert np.bincount(which).tolist() == [100, 150]
    assert set(which[:150]) == {1}
    assert calibration.by_hundreds(np.full(30, 0.5)).tolist() == [0] * 30
    tied = calibration.by_hundreds(np.full(200, 0.5))
    assert tied.tolist() == [0] * 100 + [1] * 100  # equal confidences keep the order of the file


def test_rms_100_counts_the_most_confident_bin_which_the_published_code_never_visits():
    p = np.repeat([[0.6, 0.4], [0.9, 0.1]], [100, 130], axis=0)
    labels = np.concatenate([np.repeat([0, 1], [60, 40]), np.repeat([0, 1], [65, 65])])
    assert calibration.rms_equal_mass_100(p, labels) == pytest.approx(np.sqrt(130 / 230 * 0.4**2))
    # There the sure half being right half of the time costs nothing at all.
    assert calibration.rms_equal_mass_100(p, labels, pixmix_compat=True) == pytest.approx(0)


def test_the_published_form_is_0_with_one_bin_and_fails_below_one():
    p, labels = predictions(n=150)
    assert calibration.rms_equal_mass_100(p, labels, pixmix_compat=True) == 0
    assert calibration.rms_equal_mass_100(p, labels) > 0.02
    with pytest.raises(DataError, match="fails on 50 images"):
        calibration.rms_equal_mass_100(p[:50], labels[:50], pixmix_compat=True)


def test_the_published_form_agrees_with_the_published_loop():
    p, labels = predictions(n=1050)
    confidence, outcome = calibration.top_class(p, labels)
    order = np.argsort(confidence, kind="stable")
    bins = [order[i * 100 : (i + 1) * 100] for i in range(10)]
    bins[-1] = order[900:]
    total = sum(
        len(bins[i]) / 1050 * (confidence[bins[i]].mean() - outcome[bins[i]].mean()) ** 2
        for i in range(len(bins) - 1)  # as published
    )
    assert calibration.rms_equal_mass_100(p, labels, pixmix_compat=True) == pytest.approx(np.sqrt(total))


def test_the_floor_of_rms_on_3000_calibrated_images_is_the_known_one():
    # With confidences spread evenly it is √(mean c(1 − c)/100); a hundredfold of images takes it to nearly nothing.
    confidence = np.random.default_rng(0).uniform(0.1, 1, 3000)
    expected = np.sqrt((confidence * (1 - confidence)).mean() / 100)
    assert calibration.floor(confidence, calibration.by_hundreds(confidence), RMS) == pytest.approx(
        expected, rel=0.02
    )


def test_the_debiased_rms_is_unbiased_in_its_square():
    rng = np.random.default_rng(3)
    squares = []
    for _ in range(200):
        confidence = rng.uniform(0.3, 1, 1000)
        outcome = (rng.random(1000) < confidence - 0.1) * 1.0
        found = calibration.calibration_error(confidence, outcome, calibration.equal_mass(confidence), RMS)
        squares.append((found.value**2, found.debiased**2))
    plain, debiased = np.mean(squares, axis=0)
    assert debiased == pytest.approx(0.01, abs=0.0006)
    assert plain > 0.012  # the plain one is above by the variance of each bin's mean


def test_classwise_is_the_mean_over_classes_of_each_ones_error():
    p, labels = predictions(n=600, classes=3)
    for adaptive, binning in ((False, calibration.equal_width), (True, calibration.equal_mass)):
        each = [calibration.error(p[:, k], (labels == k) * 1.0, binning(p[:, k]), ECE) for k in range(3)]
        found = calibration.classwise(p, labels, adaptive=adaptive)
        assert found.value == pytest.approx(np.mean(each))
        assert found.interval[0] <= found.value <= found.interval[1]


def test_a_model_that_is_wrong_by_class_alone_is_found_classwise_and_not_by_the_top_class():
    rng = np.random.default_rng(0)
    p = np.tile([0.5, 0.3, 0.2], (4000, 1))
    labels = rng.choice(3, p=[0.5, 0.2, 0.3], size=4000)
    assert calibration.ece(p, labels) < 0.03
    found = calibration.classwise(p, labels)
    assert found.interval[0] > 0.03
    assert found.value == pytest.approx(0.2 / 3, abs=0.015)


def test_a_calibrated_model_lies_within_the_consistency_bands_and_a_boastful_one_does_not():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 5000)
    right = (rng.random(5000) < confidence) * 1.0
    inside = [p.band[0] <= p.accuracy <= p.band[1] for p in calibration.curve(confidence, right)]
    assert sum(inside) >= 13
    boast = calibration.curve(confidence, (rng.random(5000) < confidence * 0.7) * 1.0)
    assert not any(p.band[0] <= p.accuracy <= p.band[1] for p in boast[5:])


def test_thin_and_empty_bins_are_marked():
    confidence = np.array([*[0.95] * 20, *[0.55] * 19])
    points = calibration.curve(confidence, np.ones(39), n_bins=10)
    assert [p.thin for p in points] == [True] * 9 + [False]
    assert points[0].band is None
    assert points[0].accuracy is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(0, 10_000), st.booleans())
def test_every_error_lies_in_its_interval_between_0_and_1(n, seed, sure):
    rng = np.random.default_rng(seed)
    confidence = np.ones(n) if sure else rng.uniform(0, 1, n)
    outcome = rng.integers(0, 2, n) * 1.0
    for binning in (calibration.equal_width, calibration.equal_mass, calibration.by_hundreds):
        for power in (ECE, RMS, MCE):
            found = calibration.calibration_error(confidence, outcome, binning(confidence), power)
            assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 1
            assert found.debiased >= 0


def test_the_same_predictions_give_the_same_bits():
    p, labels = predictions()
    assert calibration.classwise(p, labels) == calibration.classwise(p, labels)
    confidence, outcome = calibration.top_class(p, labels)
    which = calibration.equal_mass(confidence)
    one, two = (calibration.calibration_error(confidence, outcome, which, ECE) for _ in range(2))
    assert one == two
