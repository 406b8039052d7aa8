from __future__ import annotations

import numpy as np
import pytest

from hilmix.core.agreement import deviation_curve, icc1, one_way, retest_difference
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, Unit

# Shrout & Fleiss 1979, table 2: six targets, four judges; the paper gives ICC(1,1) = .17.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_icc_of_the_textbook_table():
    assert icc1(SHROUT_FLEISS) == pytest.approx(0.17, abs=0.005)


def test_icc_of_unequal_groups_by_hand():
    # Groups {0, 2} and {4}: grand mean 2, MSB = 2·1 + 1·4 = 6, MSW = 2, n0 = 3 − 5/3 = 4/3.
    assert icc1([[0, 2], [4]]) == pytest.approx((6 - 2) / (6 + (4 / 3 - 1) * 2))


def test_icc_agrees_with_an_independent_analysis_of_variance():
    from scipy.stats import f_oneway

    rng = np.random.default_rng(3)
    groups = [rng.normal(rng.normal(), 1, 5) for _ in range(30)]
    f = f_oneway(*groups).statistic  # balanced: ICC(1) = (F − 1) / (F + n − 1)
    assert icc1(groups) == pytest.approx((f - 1) / (f + 4))


def test_complete_agreement_is_one_and_no_agreement_is_not_above_zero():
    assert icc1([[0.1, 0.1], [0.9, 0.9]]) == 1
    assert icc1([[0.1, 0.9], [0.1, 0.9]]) < 0
    result = one_way(np.array([0.1, 0.9, 0.1, 0.9]), np.array([0, 0, 1, 1]))
    assert result is not None
    assert result.between == 0


@pytest.mark.parametrize("groups", [[], [[]], [[0.5, 0.5]], [[0.1], [0.9]], [[0.3, 0.3], [0.3, 0.3]]])
def test_icc_is_undefined_without_groups_pairs_or_variance(groups):
    assert icc1(groups) is None


def answered(key: str, lambda_e4: int, *answers: Answer) -> Unit:
    return Unit(key, lambda_e4, 0, 1, answers)


def test_a_repeat_is_compared_with_the_same_persons_first_answer():
    units = [
        answered(
            "a", 5000, Answer("ann", PerceivedLambda(0.5)), Answer("ann", PerceivedLambda(0.8), repeat=True)
        ),
        answered(
            "b", 5000, Answer("ann", PerceivedLambda(0.5)), Answer("ben", PerceivedLambda(0.9), repeat=True)
        ),
        answered(
            "c", 5000, Answer("ben", PerceivedLambda(0.4)), Answer("ben", PerceivedLambda(0.6), repeat=True)
        ),
        answered("d", 5000, Answer("cid", CannotTell()), Answer("cid", PerceivedLambda(0.6), repeat=True)),
    ]
    result = retest_difference(units)
    assert result is not None
    assert (result.n, result.threshold) == (2, 0.2)
    assert result.mean == pytest.approx(0.25)
    assert result.share_over == 0.5  # 0.2 exactly is not over 0.2, whatever the floats say
    assert retest_difference([]) is None


def test_the_deviation_curve_counts_first_answers_and_tells_who_could_not_tell():
    units = [
        answered("a", 9000, Answer("ann", PerceivedLambda(0.8, 0.6)),
                 Answer("ben", PerceivedLambda(1.0, 0.8)),
                 Answer("ann", PerceivedLambda(0.0, 0.0), repeat=True)),
        answered("b", 1000, Answer("ann", CannotTell())),
    ]  # fmt: skip
    low, high = deviation_curve(units)
    assert (low.lambda_e4, low.n, low.n_cannot_tell, low.mean, low.deviation) == (1000, 0, 1, None, None)
    assert (high.n, high.n_cannot_tell) == (2, 0)
    assert high.mean == pytest.approx(0.9)
    assert high.deviation == pytest.approx(0)
    assert high.mean_confidence == pytest.approx(0.7)


def test_the_interval_is_clustered_by_person():
    # One answer a person: the variance of a mean, Σr²/n² · k/(k − 1) = s²/n.
    values = [0.1, 0.4, 0.5, 0.6]
    (point,) = deviation_curve([answered("a", 5000, *(Answer(str(v), PerceivedLambda(v)) for v in values))])
    half = 1.959964 * np.std(values, ddof=1) / 2
    assert point.interval == pytest.approx((0.4 - half, 0.4 + half))
    # The same four answers from two people say less than from four.
    pairs = [answered(str(v), 5000, Answer(str(v < 0.45), PerceivedLambda(v))) for v in values]
    (clustered,) = deviation_curve(pairs)
    assert clustered.interval[1] - clustered.interval[0] > 2 * half
    (alone,) = deviation_curve([answered("a", 5000, Answer("ann", PerceivedLambda(0.3)))])
    assert alone.interval is None
