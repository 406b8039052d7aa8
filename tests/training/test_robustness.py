"""Break rate, risk score, corruption error and failure examples against hand cases and known answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilmix.core.errors import DataError
from training.evaluation.corruptions import CORRUPTIONS, GROUPS, TRANSFORMS, CorruptedSet, suite
from training.evaluation.risk import Risk, compare_breaks, compare_risks, risk
from training.evaluation.robustness import (
    Assessment,
    assess,
    break_rates,
    corruption_error,
    failures,
    instability,
)
from training.evaluation.values import Value

SUITE = suite()
N = 400


def made(wrong_clean, wrong_under, labels=None, seed=0, keys=SUITE) -> Assessment:
    """An assessment with these errors: bool [N] and bool [T, N]; a wrong prediction is the next class."""
    wrong_clean, wrong_under = np.asarray(wrong_clean), np.asarray(wrong_under)
    rng = np.random.default_rng(seed)
    labels = np.arange(len(wrong_clean)) % 10 if labels is None else np.asarray(labels)
    return Assessment(
        labels=labels,
        predicted=np.where(wrong_clean, (labels + 1) % 10, labels),
        p_label=rng.uniform(0.5, 1, len(labels)),
        transforms=tuple(keys),
        predicted_under=np.where(wrong_under, (labels + 1) % 10, labels),
        p_label_under=rng.uniform(0, 0.5, wrong_under.shape),
    )


def random(error: float, seed: int = 0, clean: float = 0.1) -> Assessment:
    rng = np.random.default_rng(seed)
    return made(rng.random(N) < clean, rng.random((len(SUITE), N)) < error, seed=seed)


def by_group(**shares: float) -> Assessment:
    """Nothing is wrong as it is; under each transform of a group, the first share of the images is."""
    rows = [np.arange(N) < shares.get(TRANSFORMS[key].group, 0.0) * N for key, _ in SUITE]
    return made(np.zeros(N, dtype=bool), rows)


# Hand cases


def test_break_rate_counts_only_what_was_right_and_instability_everything_that_changed():
    keys = (("fog", 1),)
    labels = np.array([0, 1, 2, 3, 4])
    one = Assessment(
        labels=labels,
        predicted=np.array([0, 1, 2, 9, 8]),  # three right
        p_label=np.ones(5),
        transforms=keys,
        predicted_under=np.array([[0, 7, 2, 3, 7]]),  # one broken, one mended, one wrong in another way
        p_label_under=np.ones((1, 5)),
    )
    assert break_rates(one) == {("fog", 1): pytest.approx(1 / 3)}
    assert instability(one) == {("fog", 1): pytest.approx(3 / 5)}


def test_where_nothing_is_right_there_is_no_break_rate_and_no_risk_score():
    nothing = made(np.ones(N, dtype=bool), np.ones((len(SUITE), N), dtype=bool))
    assert set(break_rates(nothing).values()) == {None}
    with pytest.raises(DataError, match="no test image is classified correctly"):
        risk(nothing)


def test_the_score_is_the_mean_over_groups_and_no_group_counts_for_its_size():
    found = risk(by_group(noise=0.5, geometric=0.1))
    assert found.score.value == pytest.approx(100 * (0.5 + 0.1) / 5)
    assert {group: one.value for group, one in found.groups.items()} == pytest.approx(
        {"noise": 0.5, "blur": 0, "weather": 0, "digital": 0, "geometric": 0.1}
    )


@pytest.mark.parametrize(
    ("share", "band"),
    [(0, "green"), (0.2, "green"), (0.2025, "yellow"), (0.4, "yellow"), (0.4025, "red"), (1, "red")],
)
def test_the_bands_end_at_twenty_and_forty(share, band):
    assert risk(by_group(**dict.fromkeys(GROUPS, share))).band == band


def test_mean_corruption_error_of_a_hand_case():
    zeros = np.zeros(N, dtype=bool)
    first = {key: np.arange(N) < 100 for key in SUITE}
    ours = made(zeros, [first[key] if key[0] != "fog" else np.arange(N) < 25 * key[1] for key in SUITE])
    twice = made(zeros, [np.arange(N) < 200 for _ in SUITE])
    found = corruption_error(ours, twice, "twice as bad", draws=50)
    fog = 25 * (1 + 2 + 3 + 4 + 5) / (5 * 200)
    assert found.reference == "twice as bad"
    assert found.each_percent["fog"].value == pytest.approx(100 * fog)
    assert found.each_percent["snow"].value == pytest.approx(50)
    assert found.mce_percent.value == pytest.approx((14 * 50 + 100 * fog) / 15)
    assert found.mean_error.value == pytest.approx((14 * 0.25 + fog / 2) / 15)
    # Nobody errs on clean images.
    assert found.relative_mce_percent.value == pytest.approx(found.mce_percent.value)


def test_relative_corruption_error_takes_the_clean_error_off_both():
    base = np.arange(N) < 40  # 10 % wrong as they are
    ours = made(base, [np.arange(N) < 120 for _ in SUITE])
    reference = made(np.arange(N) < 80, [np.arange(N) < 240 for _ in SUITE])
    found = corruption_error(ours, reference, "base only", draws=50)
    assert found.mce_percent.value == pytest.approx(100 * 120 / 240)
    assert found.relative_mce_percent.value == pytest.approx(100 * (120 - 40) / (240 - 80))


def test_a_reference_without_errors_leaves_the_ratio_undefined_and_says_why():
    zeros = np.zeros(N, dtype=bool)
    perfect = made(zeros, np.zeros((len(SUITE), N), dtype=bool))
    found = corruption_error(random(0.3), perfect, "perfect", draws=20)
    assert found.mce_percent.value is None
    assert "perfect" in found.mce_percent.undefined[0]
    assert found.mean_error.value == pytest.approx(0.3, abs=0.02)


# Checks with known answers


def test_a_model_that_is_its_own_reference_has_a_corruption_error_of_exactly_100():
    one = random(0.3)
    found = corruption_error(one, one, "itself", draws=50)
    assert found.mce_percent.value == pytest.approx(100)
    assert found.mce_percent.interval == pytest.approx((100, 100))


def test_a_transform_that_changes_nothing_is_no_risk():
    wrong = np.random.default_rng(0).random(N) < 0.2
    found = risk(made(wrong, np.tile(wrong, (len(SUITE), 1))))
    assert found.score.value == 0
    assert found.band == "green"
    assert found.warnings == ()


def test_a_constant_classifier_has_no_risk_and_is_flagged_for_it():
    labels = np.arange(N) % 10
    constant = np.zeros(N, dtype=np.int64)
    one = Assessment(
        labels=labels,
        predicted=constant,
        p_label=np.full(N, 0.1),
        transforms=SUITE,
        predicted_under=np.tile(constant, (len(SUITE), 1)),
        p_label_under=np.full((len(SUITE), N), 0.1),
    )
    found = risk(one)
    assert found.score.value == 0
    assert found.clean_accuracy.value == pytest.approx(0.1)
    assert "same class" in found.warnings[0]


def test_a_guesser_is_flagged_and_a_model_that_knows_something_is_not():
    assert "commonest class" in risk(random(0.9, clean=0.9)).warnings[0]
    assert risk(random(0.9, clean=0.6)).warnings == ()


def test_an_arm_against_itself_differs_by_exactly_nothing():
    one = random(0.3)
    found = compare_risks(one, one)
    every = [found.score, found.accuracy, *found.groups.values(), *found.transforms.values()]
    assert all(each.value == 0 and each.interval == (0, 0) for each in every)
    both = compare_breaks(one, one)
    assert all(each.difference.value == 0 for each in both.values())


# Comparisons


def test_the_difference_of_two_arms_is_that_of_their_scores_and_its_interval_is_narrower_for_being_paired():
    rng = np.random.default_rng(0)
    hard = rng.random(N)  # the same images are hard for both
    clean = np.zeros(N, dtype=bool)
    a = made(clean, [hard < 0.30 for _ in SUITE])
    b = made(clean, [hard < 0.34 for _ in SUITE])
    found = compare_risks(a, b)
    assert found.score.value == pytest.approx(found.a.score.value - found.b.score.value)
    low, high = found.score.interval
    assert low < found.score.value < high < 0
    alone = found.a.score.interval
    assert high - low < (alone[1] - alone[0]) / 2
    assert found.groups["blur"].value == pytest.approx(found.score.value / 100)
    assert set(found.transforms) == {key for key, _ in SUITE}


def test_the_interval_of_a_score_holds_the_truth_about_as_often_as_it_says():
    """Images drawn from a population whose risk is known: 95 % of 200 intervals, give or take."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        weak = rng.beta(0.6, 1.4, 150)  # how easily each image breaks: its mean is the risk
        wrong = rng.random((len(SUITE), 150)) < weak
        low, high = risk(made(np.zeros(150, dtype=bool), wrong), draws=200, seed=1).score.interval
        held += low <= 30 <= high
    assert 0.90 <= held / 200 <= 0.985


def test_break_rates_of_two_arms_are_measured_on_images_that_both_had_right():
    keys = tuple(key for key in SUITE if key[0] == "fog")
    a_wrong, b_wrong = np.arange(N) < 100, (np.arange(N) >= 100) & (np.arange(N) < 200)  # both right: 200
    under = np.arange(N) < 250
    a = made(a_wrong, [under] * 5, keys=keys)
    b = made(b_wrong, [np.arange(N) < 210] * 5, keys=keys)
    found = compare_breaks(a, b)["fog"]
    assert found.a.n == found.difference.n == 200
    assert found.a.value == pytest.approx(50 / 200)
    assert found.b.value == pytest.approx(10 / 200)
    assert found.difference.value == pytest.approx(40 / 200)
    assert found.difference.interval[0] > 0


def test_the_same_seed_draws_the_same_interval():
    one = random(0.3)
    assert risk(one, seed=1).score == risk(one, seed=1).score
    assert risk(one, seed=1).score.interval != risk(one, seed=2).score.interval


# A score never comes alone


def test_a_risk_score_cannot_be_made_without_clean_accuracy_and_intervals():
    whole = risk(random(0.3))
    given = {field.name: getattr(whole, field.name) for field in dataclasses.fields(Risk)}
    for missing in ("score", "clean_accuracy"):
        with pytest.raises(TypeError):
            Risk(**{key: value for key, value in given.items() if key != missing})
        for bare in (None, 12.0, Value(12.0, N), Value(None, N)):
            with pytest.raises(DataError, match="without clean accuracy and intervals"):
                Risk(**{**given, missing: bare})
    written = whole.as_json()
    assert written["score"]["interval"]
    assert written["clean_accuracy"]["interval"]
    assert written["band"] == whole.band


def test_a_score_of_the_mildest_severities_alone_is_refused_and_a_whole_one_says_how_much_was_run():
    mild = [key for key in SUITE if key[1] == 1]
    one = made(np.zeros(N, dtype=bool), np.zeros((len(mild), N), dtype=bool), keys=mild)
    with pytest.raises(DataError, match="92 in all; run were 20 of them"):
        risk(one, draws=20)
    assert risk(random(0.2), draws=20).as_json()["n_transforms"] == len(SUITE) == 92


def test_a_score_of_some_of_the_groups_is_refused_and_the_others_named():
    some = [key for key in SUITE if TRANSFORMS[key[0]].group not in ("blur", "geometric")]
    one = made(np.zeros(N, dtype=bool), np.zeros((len(some), N), dtype=bool), keys=some)
    with pytest.raises(
        DataError, match=r"run were 55 of them, and missing are severities of defocus_blur.*scale"
    ):
        risk(one)
    with pytest.raises(DataError, match="not assessed: defocus_blur 1"):
        corruption_error(one, one, "itself")


def test_arms_on_other_images_or_transforms_are_not_compared():
    one, other = random(0.3), random(0.3)
    swapped = dataclasses.replace(other, labels=other.labels[::-1].copy())
    for compare in (compare_risks, compare_breaks, lambda a, b: corruption_error(a, b, "b")):
        with pytest.raises(DataError, match="same test images"):
            compare(one, swapped)


def test_shapes_that_do_not_fit_and_transforms_that_nobody_knows_are_refused():
    one = random(0.3)
    with pytest.raises(DataError, match="one label and prediction"):
        dataclasses.replace(one, p_label=one.p_label[:-1])
    with pytest.raises(DataError, match="one label and prediction"):
        dataclasses.replace(one, transforms=SUITE[:-1])
    with pytest.raises(DataError, match="unknown: rain"):
        dataclasses.replace(one, transforms=(("rain", 1), *SUITE[1:]))
    with pytest.raises(DataError, match="once"):
        dataclasses.replace(one, transforms=(SUITE[1], *SUITE[1:]))


# Examples


def test_failures_are_the_largest_drops_each_image_once_and_only_what_broke():
    keys = (("fog", 1), ("fog", 5), ("snow", 5))
    one = Assessment(
        labels=np.array([0, 1, 2, 3]),
        predicted=np.array([0, 1, 2, 9]),  # the last was never right
        p_label=np.array([0.875, 0.75, 0.625, 0.25]),
        transforms=keys,
        predicted_under=np.array([[0, 1, 5, 9], [4, 6, 2, 9], [4, 1, 2, 8]]),
        p_label_under=np.array([[0.5, 0.75, 0.125, 0.0], [0.375, 0.125, 0.0, 0.0], [0.25, 0.5, 0.625, 0.0]]),
    )
    found = failures(one, 10)
    assert [(one.image, one.transform, one.severity, one.predicted_under) for one in found] == [
        (0, "snow", 5, 4),  # 0.625, and not its 0.5 under fog; ties in order of the images
        (1, "fog", 5, 6),
        (2, "fog", 1, 5),  # its drop of 0.625 under fog 5 broke nothing
    ]
    assert [one.drop for one in found] == [0.625, 0.625, 0.5]
    assert [one.image for one in failures(one, 1)] == [0]


# The whole way


def test_assess_puts_a_model_through_every_transform_and_keeps_what_it_said(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(12) % 3
    weights = rng.normal(size=(3, 8 * 8 * 3))

    def predict(pixels):
        return (pixels.reshape(len(pixels), -1) / 255.0) @ weights.T

    stored = CorruptedSet(tmp_path, images)
    found = assess(predict, stored, labels)
    assert found.transforms == SUITE
    at = SUITE.index(("contrast", 3))
    logits = predict(stored.get("contrast", 3))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_array_equal(found.predicted_under[at], logits.argmax(axis=1))
    np.testing.assert_allclose(found.p_label_under[at], odds[np.arange(12), labels] / odds.sum(axis=1))
    assert len(list(tmp_path.rglob("*.npy"))) == len(SUITE)
    few = assess(predict, stored, labels, [("fog", 1)])
    assert few.predicted_under.shape == (1, 12)
    with pytest.raises(DataError, match="11 labels for 12"):
        assess(predict, stored, labels[1:])


def test_every_corruption_of_the_mean_is_in_the_suite_and_no_extra_one():
    assert {key for key, _ in SUITE} == {
        *CORRUPTIONS,
        *(k for k, t in TRANSFORMS.items() if t.group == "geometric"),
    }
