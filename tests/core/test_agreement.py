from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from hilmix.core.agreement import Ratings, clustered_error, one_way, t_975

# Shrout & Fleiss 1979, table 2: six targets, four judges; the paper gives ICC(1,1) = .17.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def icc1(groups: Sequence[Sequence[float]]) -> float | None:
    """ICC(1) of groups of ratings."""
    index = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    found = one_way(np.array([value for group in groups for value in group], dtype=np.float64), index)
    return found and found.icc


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


def test_the_error_of_a_mean_is_clustered_by_person():
    # One answer a person: the variance of a mean, Σr²/n² · k/(k − 1) = s²/n.
    values = np.array([0.1, 0.4, 0.5, 0.6])
    assert clustered_error(values, np.arange(4)) == pytest.approx(np.std(values, ddof=1) / 2)
    # Residuals −.3, 0, .1, .2 by two people: sums −.3 and .3, √(.18 · 2) / 4.
    assert clustered_error(values, np.array([0, 0, 1, 1])) == pytest.approx(0.15)
    assert clustered_error(np.array([0.3]), np.array([0])) is None


# Four observers of twelve units, as Krippendorff (Computing Krippendorff's alpha-reliability, 2011) prints them.
OBSERVED = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
    (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
)


def observed() -> tuple[np.ndarray, np.ndarray]:
    """Values and units; 0 is nothing said."""
    said = [(value, unit) for row in OBSERVED for unit, value in enumerate(row) if value]
    values, units = np.array(said).T
    return values, units


def test_krippendorffs_alpha_is_that_of_his_own_example():
    values, units = observed()
    assert Ratings.of(np.eye(6)[values], units).alpha() == pytest.approx(0.743, abs=5e-4)
    assert Ratings.of(values.astype(np.float64), units).alpha() == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_weighted_units_is_that_of_units_written_down_as_often():
    values, units = observed()
    weights = np.arange(12.0) % 3
    rows = [
        (value, 100 * unit + copy)
        for value, unit in zip(values, units, strict=True)
        for copy in range(unit % 3)
    ]
    again = Ratings.of(*np.array(rows, dtype=np.float64).T[:, :])
    weighted = Ratings.of(values.astype(np.float64), units)
    assert weighted.alpha(weights) == pytest.approx(again.alpha())
    assert weighted.icc(weights) == pytest.approx(again.icc())


def test_agreement_is_undefined_where_nobody_could_disagree():
    assert np.isnan(Ratings.of(np.full(4, 0.5), np.array([0, 0, 1, 1])).alpha())
    assert np.isnan(Ratings.of(np.array([0.1, 0.9]), np.array([0, 1])).alpha())
    assert np.isnan(Ratings.of(np.array([0.1, 0.9]), np.array([0, 1])).icc())


def test_icc_of_ratings_is_that_of_one_way_also_of_residuals():
    rng = np.random.default_rng(0)
    units = rng.integers(0, 40, 150)
    level = rng.integers(0, 3, 40)
    values = rng.normal(0, 1, 150) + rng.normal(0, 1, 40)[units] + 3 * level[units]
    assert Ratings.of(values, units).icc() == pytest.approx(one_way(values, units).icc)
    curve = np.bincount(level[units], values) / np.bincount(level[units])
    known, at = np.unique(units, return_inverse=True)
    left = Ratings.of(values, units).around(level[known])
    assert left.icc() == pytest.approx(one_way(values - curve[level[units]], at).icc)


def test_the_point_of_students_t_is_right_to_two_thousandths():
    freedoms = [*range(1, 40), 80, 1000]
    assert [t_975(n) for n in freedoms] == pytest.approx(list(stats.t.ppf(0.975, freedoms)), abs=2e-3)
