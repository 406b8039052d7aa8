"""Every rule of the diagnosis: where it is found, where it is not, at its threshold, and what it needs."""

from __future__ import annotations

import numpy as np
import pytest

from hilmix.core.errors import DataError
from training.evaluation.diagnosis import RULES, Finding, diagnose
from training.evaluation.evidence import Calibrated, Curves, Evidence, HeldOutMixes
from training.evaluation.leakage import Leakage
from training.evaluation.near_duplicates import NearDuplicates, Pair

SEED_MATRIX = np.array([[45, 3, 2], [4, 43, 3], [1, 2, 47]])


def said(key: str, **known) -> Finding:
    (found,) = [one for one in diagnose(Evidence(**known)) if one.rule.key == key]
    return found


def state(key: str, **known) -> str:
    return said(key, **known).state


def curves(train, validation, **more) -> Curves:
    return Curves(np.asarray(train, float), np.asarray(validation, float), **more)


EPOCHS = np.arange(20.0)
FALLING = 2.0 - 0.09 * EPOCHS
WOBBLE = 0.004 * np.array([1, -1, 0.5, -0.5, 0.2, -1, 1, -0.3, 0.6, -0.6] * 2)


# -- the table


def test_nothing_is_healthy_for_want_of_a_measurement():
    findings = diagnose(Evidence())
    assert [one.rule for one in findings] == list(RULES)
    robustness = [one for one in findings if one.rule.key == "robustness_ignored"]
    assert [one.state for one in robustness] == ["found"]
    others = [one for one in findings if one.rule.key != "robustness_ignored"]
    assert all(one.state == "not assessed" and one.missing for one in others)


def test_every_rule_has_a_name_of_its_own_a_threshold_and_a_remedy():
    assert len({rule.key for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.threshold and rule.remedy for rule in RULES)


# -- curves


def test_a_validation_loss_that_rises_while_training_falls_is_over_fitting():
    rising = np.concatenate([FALLING[:10], 1.1 + 0.02 * np.arange(10)]) + WOBBLE
    found = said("over_fitting", curves=curves(FALLING + WOBBLE, rising))
    assert found.state == "found"
    assert found.numbers["validation_slope"] == pytest.approx(0.02, abs=0.003)


def test_curves_that_fall_together_are_not():
    assert state("over_fitting", curves=curves(FALLING, FALLING + 0.1 + WOBBLE)) == "not found"


def test_a_rise_that_noise_explains_is_not():
    flat = 1 + 0.05 * np.random.default_rng(0).standard_normal(20) + 0.0005 * EPOCHS
    train = flat - 0.5 - 0.001 * EPOCHS
    assert state("over_fitting", curves=curves(train, flat)) == "not found"


@pytest.mark.parametrize(("last", "expected"), [(2.0, "not found"), (2.001, "found")])
def test_a_gap_counts_from_more_than_twice_that_of_the_best_epoch(last, expected):
    # Training is at 0 and the best validation loss 1, in the middle; the last is 2 × 1, and just above.
    validation = [3, 2, 1, 1.5, 1.2, 1.6, 1.3, 1.5, 1.1, 1.4, last]
    found = said("over_fitting", curves=curves(np.zeros(11), validation))
    assert found.numbers["gap_at_best"] == 1
    assert found.state == expected


def test_a_gap_that_opens_after_training_was_the_harder_part_counts():
    """Augmented, training has the higher loss at the best epoch: no multiple of that gap is ever passed."""
    validation = np.concatenate([1.15 - 0.04 * np.arange(10), np.minimum(0.8 + 0.05 * np.arange(30), 1.6)])
    found = said("over_fitting", curves=curves(np.linspace(1.2, 0.05, 40), validation))
    assert found.numbers["gap_at_best"] < 0
    assert found.state == "found"


def test_a_gap_of_next_to_nothing_does_not_whatever_it_was_before():
    validation = np.full(20, 0.3)
    validation[5] = 0.296
    train = validation - 0.004
    train[5] = 0.2955
    assert state("over_fitting", curves=curves(train, validation)) == "not found"


def test_a_curve_with_mixup_is_judged_after_subtracting_the_entropy_of_its_targets():
    """The training loss of mixup lies above validation by H(q): as it stands the gap is negative and never grows."""
    entropy = 0.9
    train = np.full(11, 0.05) + entropy
    validation = [1.2, 0.4, 0.3, 0.35, 0.4, 0.45, 0.5, 0.45, 0.55, 0.6, 0.6]
    assert state("over_fitting", curves=curves(train, validation)) == "not found"
    found = said("over_fitting", curves=curves(train, validation, train_entropy=entropy))
    assert found.state == "found"
    assert found.numbers["gap"] == pytest.approx(0.55)


def test_the_entropy_may_differ_by_epoch():
    entropies = np.linspace(0.2, 0.9, 20)
    one = curves(0.3 + entropies, np.full(20, 0.3), train_entropy=entropies)
    assert one.train == pytest.approx(np.full(20, 0.3))


def test_five_epochs_are_too_few_for_a_trend():
    found = said("over_fitting", curves=curves(np.arange(5), np.arange(5)))
    assert (found.state, found.missing) == (
        "not assessed",
        "the loss curves of training and validation over at least 6 epochs",
    )


def changes(last: float) -> Curves:
    """Twenty changes with median 0 and median distance from it 1, so a robust standard deviation of 1.4826; `last`."""
    loss = np.concatenate([[0.0], np.cumsum([1.0, -1.0, 2.0, -2.0, 0.0] * 4 + [last])])
    return curves(np.zeros(22), loss)


def test_a_rise_beyond_five_robust_standard_deviations_is_sudden():
    assert state("sharp_change", curves=changes(5 * 1.4826)) == "not found"
    found = said("sharp_change", curves=changes(5 * 1.4827))
    assert found.state == "found"
    assert found.numbers["epoch"] == 22


def test_a_sudden_fall_is_not_as_a_step_of_the_learning_rate_makes_one():
    assert state("sharp_change", curves=changes(-50.0)) == "not found"
    rng = np.random.default_rng(0)
    before, after = 1 - 0.005 * np.arange(30), 0.6 - 0.002 * np.arange(20)
    stepped = np.concatenate([before, after]) + 0.005 * rng.standard_normal(50)
    assert state("sharp_change", curves=curves(stepped, stepped)) == "not found"


def test_a_fall_that_is_only_smaller_than_usual_is_no_rise():
    steady = np.concatenate([10 - 0.5 * np.arange(20), [0.5 - 0.1]])
    assert state("sharp_change", curves=curves(steady, steady)) == "not found"


def test_a_spike_in_a_quiet_curve_is_sudden_and_an_early_fast_fall_is_not():
    quiet = np.exp(-EPOCHS / 4)
    assert state("sharp_change", curves=curves(quiet, quiet)) == "not found"
    spiked = quiet.copy()
    spiked[15] += 1.0
    assert said("sharp_change", curves=curves(quiet, spiked)).numbers["epoch"] in (16, 17)


@pytest.mark.parametrize(("gain", "expected"), [(0.0009, "found"), (0.0011, "not found")])
def test_a_plateau_is_no_gain_above_the_least_in_ten_epochs(gain, expected):
    validation = np.concatenate([[2.0, 1.0], np.full(9, 1.0), [1.0 - gain]])
    assert state("plateau", curves=curves(validation, validation)) == expected


def test_a_plateau_at_exactly_the_least_gain_is_one():
    validation = np.concatenate([[0.001], np.zeros(10)])
    assert state("plateau", curves=curves(validation, validation)) == "found"
    assert state("plateau", curves=curves(validation[1:], validation[1:])) == "not assessed"


def test_losses_that_only_rise_are_no_plateau_but_a_model_that_does_not_learn():
    rising = 2.0 + 0.05 * np.arange(30)
    evidence = curves(rising, rising)
    assert state("not_learning", curves=evidence) == "found"
    assert state("plateau", curves=evidence) == "not found"


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (np.full(12, 2.3), "found"),  # nothing is learnt
        (np.linspace(2.716, 2.703, 12), "found"),  # a learning rate of 1e-6
        (np.full(12, 0.04), "not found"),  # nothing is left to learn
        (np.linspace(0.03, 0.04, 12), "not found"),  # nor where it was reached in the first epoch
        (np.linspace(1.2, 1.21, 12), "found"),
        (np.exp(-np.arange(12) / 4), "not found"),
        (
            np.concatenate([2 - 0.1 * np.arange(10), 1.1 + 0.06 * np.arange(11)]),
            "found",
        ),  # climbs after its best
        (
            np.concatenate([2 - 0.1 * np.arange(10), 1.1 + 0.004 * np.arange(11)]),
            "not found",
        ),  # by 0.04 nats only
    ],
)
def test_a_training_loss_that_does_not_fall_is_a_symptom(train, expected):
    assert state("not_learning", curves=curves(train, train)) == expected


def test_a_gap_in_a_model_that_learnt_nothing_is_no_over_fitting():
    """Digits at a learning rate of 1e-6: validation is best before batch normalisation has settled."""
    train, validation = np.linspace(2.716, 2.703, 14), np.r_[2.553, np.full(13, 2.841)]
    assert state("over_fitting", curves=curves(train, validation)) == "not found"
    assert state("over_fitting", curves=curves(train - np.linspace(0, 1, 14), validation)) == "found"


def test_a_training_loss_is_judged_less_the_entropy_of_its_targets():
    """Targets that soften as epochs pass raise the loss of a model that learns all the while."""
    entropy = np.linspace(0.1, 1.5, 12)
    learns = np.exp(-np.arange(12) / 4) + entropy
    assert state("not_learning", curves=curves(learns, learns)) == "found"
    assert state("not_learning", curves=curves(learns, learns, train_entropy=entropy)) == "not found"
    assert state("not_learning", curves=curves(learns[:5], learns[:5])) == "not assessed"


def test_a_curve_that_ends_in_nan_is_refused():
    with pytest.raises(DataError, match="one finite value for each epoch"):
        curves([1.0, 0.5], [1.0, np.nan])
    with pytest.raises(DataError, match="as many of one as of the other"):
        curves([1.0, 0.5], [1.0])


# -- classes


def test_the_matrix_of_the_customers_document_is_healthy():
    """Cat has precision and recall 0.9; Dog's recall is 43/50 = 0.86."""
    found = said("unhealthy", confusion=SEED_MATRIX)
    assert found.state == "not found"
    assert found.numbers["least_recall"] == pytest.approx(0.86)
    for key in ("conservative", "noisy_labels", "too_small", "accuracy_paradox"):
        assert state(key, confusion=SEED_MATRIX) == "not found"


def test_98_percent_accuracy_with_12_percent_recall_on_a_rare_class_is_the_paradox():
    matrix = np.array([[2446, 0], [44, 6]])
    found = said("accuracy_paradox", confusion=matrix)
    assert found.state == "found"
    assert found.rule.level == "red"
    assert found.numbers["accuracy"] == pytest.approx(0.98, abs=0.003)
    assert found.numbers["least_recall"] == 0.12
    assert found.numbers["classes"] == [1]


@pytest.mark.parametrize(("rare_right", "expected"), [(10, "not found"), (9, "found")])
def test_recall_of_half_is_not_yet_the_paradox(rare_right, expected):
    # Twenty classes, one of which is missed half: balanced accuracy stays within 0.1 of accuracy.
    matrix = np.diag([100] * 19 + [rare_right])
    matrix[19, 0] = 20 - rare_right
    assert state("accuracy_paradox", confusion=matrix) == expected


@pytest.mark.parametrize(("support", "expected"), [(19, "not found"), (20, "found")])
def test_a_class_of_fewer_than_twenty_images_is_too_few_to_say(support, expected):
    matrix = np.diag([100] * 19 + [4])
    matrix[19, 0] = support - 4
    assert state("accuracy_paradox", confusion=matrix) == expected


@pytest.mark.parametrize(("right", "expected"), [(75, "not found"), (74, "found")])
def test_accuracy_more_than_a_tenth_above_balanced_accuracy_is_the_paradox(right, expected):
    matrix = np.array([[800, 0], [100 - right, right]])
    found = said("accuracy_paradox", confusion=matrix)
    difference = (800 + right) / 900 - (1 + right / 100) / 2
    assert found.numbers["accuracy"] - found.numbers["balanced_accuracy"] == pytest.approx(difference)
    assert (difference > 0.1) == (expected == "found")
    assert found.numbers["classes"] == (
        [1] if expected == "found" else []
    )  # the class that is missed is named
    assert found.state == expected


@pytest.mark.parametrize(
    ("matrix", "key"),
    [
        ([[60, 40], [0, 100]], "conservative"),  # class 0: precision 1, recall 0.6
        ([[100, 0], [40, 60]], "noisy_labels"),  # class 0: precision 0.71, recall 1
    ],
)
def test_precision_and_recall_that_lie_apart(matrix, key):
    found = said(key, confusion=np.array(matrix))
    assert found.state == "found"
    assert found.numbers["classes"] == [0]


@pytest.mark.parametrize(("missed", "expected"), [(15, "not found"), (16, "found")])
def test_a_class_counts_from_a_difference_above_0_15(missed, expected):
    matrix = np.array([[100 - missed, missed], [0, 10_000]])
    assert state("conservative", confusion=matrix) == expected


@pytest.mark.parametrize(("right", "expected"), [(50, "not found"), (49, "found")])
def test_both_below_half_is_a_model_too_small(right, expected):
    matrix = np.array([[right, 100 - right], [100 - right, right]])
    assert state("too_small", confusion=matrix) == expected


@pytest.mark.parametrize(("right", "expected"), [(86, "not found"), (85, "found")])
def test_the_healthy_band_is_above_0_85(right, expected):
    matrix = np.array([[right, 100 - right], [100 - right, right]])
    assert state("unhealthy", confusion=matrix) == expected


def test_a_class_that_is_never_predicted_has_recall_0_and_one_that_is_absent_is_not_judged():
    never = said("too_small", confusion=np.array([[10, 0, 0], [10, 0, 0], [0, 0, 0]]))
    assert never.numbers["classes"] == [1]


def test_a_matrix_that_is_none_is_refused():
    with pytest.raises(DataError, match="square"):
        diagnose(Evidence(confusion=np.ones((2, 3), int)))
    with pytest.raises(DataError, match="at least one image"):
        diagnose(Evidence(confusion=np.zeros((2, 2), int)))


# -- splits


def leaks(**more) -> Leakage:
    found = {
        "n_evaluation": 10,
        "n_mixed": 5,
        "n_parents": 8,
        "n_leaked": 0,
        "n_trained": 0,
        "n_identical": 0,
    }
    return Leakage(**{**found, **more})


@pytest.mark.parametrize("what", ["n_leaked", "n_trained", "n_identical"])
def test_one_shared_image_is_leakage(what):
    assert state("leakage", leakage=leaks()) == "not found"
    assert state("leakage", leakage=leaks(**{what: 1})) == "found"


def test_near_duplicates_are_found_apart_from_leakage():
    pair = Pair(3, 4, 0.97, 0.9, False, (0, 0))
    none, one = NearDuplicates((), 50, 10), NearDuplicates((pair,), 50, 10)
    assert state("near_duplicate", near_duplicates=none) == "not found"
    assert said("near_duplicate", near_duplicates=one).numbers == {"images": 1, "of": 10}
    small = said("near_duplicate", near_duplicates=NearDuplicates((), 50, 10, assessed=False))
    assert small.state == "not assessed"
    assert "at least 16 pixels a side" in small.missing


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (0.801, 0.8, "found"),
        (0.8, 0.801, "found"),
        (0.8011, 0.8, "not found"),
        (0.95, 0.95, "not found"),  # easy data: both may well be right everywhere
        (0.9499, 0.9499, "found"),
    ],
)
def test_training_and_test_accuracy_that_are_equal_on_hard_data(train, test, expected):
    assert state("equal_accuracy", train_accuracy=train, test_accuracy=test) == expected


# -- robustness, mixed images, calibration


def test_robustness_that_was_not_looked_at_is_named():
    found = said("robustness_ignored", corruptions=True)
    assert (found.state, found.numbers) == (
        "found",
        {"corruptions": "assessed", "attacks": "not assessed"},
    )
    assert state("robustness_ignored", corruptions=True, attacks=True) == "not found"


def mixes(n_right: int, lambda_e4: int = 7500, human=None) -> HeldOutMixes:
    """Ten mixed images of classes 0 and 1 of three; the model takes 0, the first, for `n_right` of them."""
    probabilities = np.tile([0.1, 0.8, 0.1], (10, 1))
    probabilities[:n_right] = [0.8, 0.1, 0.1]
    return HeldOutMixes(
        probabilities, np.zeros(10, int), np.ones(10, int), np.full(10, lambda_e4), human=human
    )


@pytest.mark.parametrize(("n_right", "expected"), [(5, "not found"), (4, "found")])
def test_a_model_that_takes_mixtures_for_the_smaller_parent_fails_on_them(n_right, expected):
    found = said("fails_on_mixed", mixes=mixes(n_right))
    assert found.state == expected
    assert found.numbers["agreement_with_mixup"] == n_right / 10


def test_the_larger_parent_of_a_small_share_is_the_second():
    assert said("fails_on_mixed", mixes=mixes(0, lambda_e4=2500)).numbers["agreement_with_mixup"] == 1.0


def test_only_clear_mixtures_have_a_larger_parent():
    assert state("fails_on_mixed", mixes=mixes(0, lambda_e4=7499)) == "not assessed"
    assert state("fails_on_mixed", mixes=mixes(0, lambda_e4=7500)) == "found"


def test_a_model_no_better_than_a_guess_against_answers_fails_on_mixed_images():
    like_the_model = mixes(10, human=np.tile([0.8, 0.1, 0.1], (10, 1)))
    found = said("fails_on_mixed", mixes=like_the_model)
    assert found.state == "not found"
    assert found.numbers["human_kl"] == pytest.approx(0)
    unlike = said("fails_on_mixed", mixes=mixes(10, human=np.tile([0.1, 0.8, 0.1], (10, 1))))
    assert unlike.state == "found"
    assert unlike.numbers["human_kl"] > unlike.numbers["uniform_kl"]


def test_a_uniform_guess_itself_fails():
    guess = HeldOutMixes(
        np.full((4, 4), 0.25),
        np.zeros(4, int),
        np.ones(4, int),
        np.full(4, 5000),
        human=np.tile([0.7, 0.3, 0, 0], (4, 1)),
    )
    assert state("fails_on_mixed", mixes=guess) == "found"


@pytest.mark.parametrize(("low", "expected"), [(0.0, "not found"), (0.0001, "found")])
def test_calibration_is_judged_by_whether_the_interval_of_the_true_error_leaves_0_out(low, expected):
    known = Calibrated(0.05, (low, 0.08), confidence=0.7, accuracy=0.75, temperature=0.8, ece_after=0.02)
    found = said("miscalibrated", calibration=known)
    assert found.state == expected
    assert found.numbers["direction"] == "under-confident"
    assert found.numbers["temperature"] == 0.8
    assert "floor" not in found.numbers, "an interval of the true error has none"
    assert "floor" not in found.rule.threshold


def test_more_confidence_than_accuracy_is_over_confident():
    known = Calibrated(0.05, (0.03, 0.08), confidence=0.8, accuracy=0.75)
    assert said("miscalibrated", calibration=known).numbers["direction"] == "over-confident"


def test_mixed_images_need_all_of_their_columns():
    with pytest.raises(DataError, match="for each of them"):
        HeldOutMixes(np.ones((3, 2)) / 2, np.zeros(3, int), np.ones(3, int), np.full(2, 5000))
    with pytest.raises(DataError, match="same mixed images"):
        HeldOutMixes(
            np.ones((3, 2)) / 2,
            np.zeros(3, int),
            np.ones(3, int),
            np.full(3, 5000),
            human=np.ones((3, 4)) / 4,
        )


# -- validation accuracy


def accurate(values) -> Curves:
    flat = np.ones(len(values))
    return curves(flat, flat, validation_accuracy=np.asarray(values, float))


RISE = 0.9 - 0.4 * np.exp(-EPOCHS / 3)  # levels off


@pytest.mark.parametrize(("size", "expected"), [(0.029, "not found"), (0.032, "found")])
def test_validation_accuracy_that_goes_up_and_down_fluctuates(size, expected):
    noise = size * np.sqrt(6) / 4 * (-1.0) ** EPOCHS  # ± a: second differences of 4 a
    found = said("fluctuating", curves=accurate(0.5 + noise))
    assert found.state == expected
    assert found.numbers["scatter"] == pytest.approx(size)


def test_accuracy_that_rises_and_levels_off_or_makes_one_step_does_not_fluctuate():
    assert state("fluctuating", curves=accurate(RISE)) == "not found"
    stepped = np.where(EPOCHS < 15, 0.6, 0.68)
    assert state("fluctuating", curves=accurate(stepped)) == "not found"


@pytest.mark.parametrize(("end", "expected"), [(0.75, "not found"), (0.749, "found")])
def test_accuracy_that_ends_well_below_its_best_counts(end, expected):
    falling = np.concatenate([np.full(5, 0.8), np.linspace(0.8, end, 15)])
    assert state("fluctuating", curves=accurate(falling)) == expected


def test_without_accuracy_or_of_few_epochs_fluctuation_is_not_assessed():
    assert state("fluctuating", curves=curves(FALLING, FALLING)) == "not assessed"
    assert state("fluctuating", curves=accurate(RISE[:9])) == "not assessed"
    with pytest.raises(DataError):
        curves(FALLING, FALLING, validation_accuracy=np.ones(3))
