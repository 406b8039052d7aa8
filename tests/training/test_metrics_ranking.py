"""Confusion, F1, MCC and rankings against hand cases and scikit-learn, and what others make of absent classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from training.evaluation import intervals, ranking

ONES = np.ones((1, 500))


def case(n: int = 500, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.7] * classes, n).round(2)  # rounded: many ties
    p[:, 0] += 1 - p.sum(axis=1)
    return p, np.where(rng.random(n) < 0.5, p.argmax(1), rng.integers(0, classes, n))


def test_the_confusion_matrix_of_the_customers_page_gives_the_figures_on_it():
    # Cat: 45 right, 5 others called cat, 5 cats called something else.
    confusion = np.array([[45, 3, 2], [4, 43, 3], [1, 2, 47]])
    found = ranking.class_figures(ranking.counts_of(confusion))
    assert found.precision[0] == 0.9
    assert found.recall[0] == 0.9
    assert found.f1[0] == pytest.approx(0.9)


def test_rows_are_actual_and_columns_predicted():
    confusion = ranking.confusion_matrix(np.array([1, 1, 0]), np.array([0, 0, 2]), 3)
    assert confusion.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_precision_recall_f1_and_mcc_agree_with_scikit_learn():
    p, labels = case()
    predicted = p.argmax(axis=1)
    counted = ranking.counts(predicted, labels, 4, ONES)
    found = ranking.class_figures(counted)
    for average, of in (("macro", found.macro), ("weighted", found.weighted)):
        expected = sk.precision_recall_fscore_support(labels, predicted, average=average)[:3]
        assert [of(each)[0] for each in (found.precision, found.recall, found.f1)] == pytest.approx(
            list(expected)
        )
    expected = sk.precision_recall_fscore_support(labels, predicted)
    assert found.f1[0] == pytest.approx(expected[2])
    assert found.support[0] == pytest.approx(expected[3])
    assert ranking.mcc(counted)[0] == pytest.approx(sk.matthews_corrcoef(labels, predicted))
    matrix = sk.confusion_matrix(labels, predicted)
    assert (ranking.confusion_matrix(predicted, labels, 4) == matrix).all()
    assert ranking.mcc(ranking.counts_of(matrix)) == pytest.approx(sk.matthews_corrcoef(labels, predicted))


def test_auroc_and_average_precision_agree_with_scikit_learn_with_ties():
    p, labels = case()
    for k in range(4):
        auroc, precision = ranking.auroc_and_precision(p[:, k], labels == k, ONES)
        assert auroc[0] == pytest.approx(sk.roc_auc_score(labels == k, p[:, k]))
        assert precision[0] == pytest.approx(sk.average_precision_score(labels == k, p[:, k]))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10_000))
def test_weights_are_the_same_as_copies(n, seed):
    rng = np.random.default_rng(seed)
    p, labels = case(n, 3, seed)
    drawn = rng.integers(0, n, n)
    weights = np.bincount(drawn, minlength=n)[None].astype(float)
    ones = np.ones((1, n))

    def figures(p, labels, w):
        counted = ranking.counts(p.argmax(1), labels, 3, w)
        each = ranking.class_figures(counted)
        x, y = p[:, 0], p[:, 1] + labels
        return np.concatenate(
            [
                each.precision.ravel(),
                each.f1.ravel(),
                ranking.mcc(counted),
                *ranking.auroc_and_precision(p[:, 1], labels == 1, w),
                ranking.correlation(x, y, w),
                ranking.correlation(ranking.weighted_ranks(x, w), ranking.weighted_ranks(y, w), w),
            ]
        )

    with np.errstate(all="ignore"):
        expected = figures(p[drawn], labels[drawn], ones)
        np.testing.assert_allclose(figures(p, labels, weights), expected, rtol=1e-9, atol=1e-9)


def test_an_absent_class_has_no_auroc_where_torchmetrics_says_0():
    auroc, precision = ranking.auroc_and_precision(
        np.array([0.2, 0.4]), np.array([False, False]), np.ones((1, 2))
    )
    assert np.isnan(auroc).all()
    assert np.isnan(precision).all()
    auroc, precision = ranking.auroc_and_precision(
        np.array([0.2, 0.4]), np.array([True, True]), np.ones((1, 2))
    )
    assert np.isnan(auroc).all()
    assert precision[0] == 1


def test_an_absent_class_is_left_out_of_the_macro_and_a_class_never_named_counts_as_0():
    confusion = np.array([[3, 1, 0], [2, 0, 0], [0, 0, 0]])
    found = ranking.class_figures(ranking.counts_of(confusion))
    assert found.recall[:2].tolist() == [0.75, 0.0]
    assert np.isnan(found.recall[2])
    assert found.macro(found.recall) == 0.375
    assert found.precision[1] == 0


def test_the_mcc_of_a_constant_predictor_is_0():
    assert ranking.mcc(ranking.counts_of(np.array([[5, 0], [5, 0]]))) == 0


def test_top_k_counts_ties_by_the_lower_class_number():
    p = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])
    assert ranking.rank_of_label(p, np.array([0, 1, 0])).tolist() == [0, 1, 2]
    p, labels = case(n=300, classes=6)
    p += np.random.default_rng(1).random(p.shape) * 1e-6  # scikit-learn breaks ties the other way
    share = (ranking.rank_of_label(p, labels) < 2).mean()
    assert share == pytest.approx(sk.top_k_accuracy_score(labels, p, k=2))


def test_correlations_agree_with_scipy_and_a_constant_has_none():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, 500) / 7
    y = x + rng.normal(0, 1, 500).round(1)
    ranks = [ranking.weighted_ranks(values, ONES) for values in (x, y)]
    assert ranking.correlation(x, y, ONES)[0] == pytest.approx(stats.pearsonr(x, y)[0])
    assert ranking.correlation(*ranks, ONES)[0] == pytest.approx(stats.spearmanr(x, y)[0])
    assert ranks[0][0] == pytest.approx(stats.rankdata(x))
    assert np.isnan(ranking.correlation(np.full(500, 0.1), y, ONES))[0]


# -- intervals


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says_and_always_the_same():
    x = np.random.default_rng(0).exponential(size=2000)

    def mean(weights):
        return {"mean": weights @ x / 2000}

    values, ends = intervals.bootstrap(mean, 2000, draws=2000)
    assert values["mean"] == pytest.approx(x.mean())
    width = ends["mean"][1] - ends["mean"][0]
    assert width == pytest.approx(2 * 1.96 * x.std() / np.sqrt(2000), rel=0.08)
    assert (intervals.bootstrap(mean, 2000, draws=2000)[1]["mean"] == ends["mean"]).all()
    assert (intervals.bootstrap(mean, 2000, draws=2000, seed=1)[1]["mean"] != ends["mean"]).any()


def test_every_draw_has_as_many_images_as_there_are():
    blocks = list(intervals.image_weights(1_500_000, draws=3))
    assert [block.shape for block in blocks] == [(1, 1_500_000)] * 3
    assert all((block.sum(axis=1) == 1_500_000).all() for block in blocks)


def test_percentiles_go_by_the_draws_in_which_a_figure_is_defined():
    drawn = np.random.default_rng(0).normal(size=(1000, 2))
    drawn[:50, 0] = np.nan
    drawn[:200, 1] = np.nan
    ends = intervals.percentiles(drawn)
    assert ends[:, 0] == pytest.approx(np.quantile(drawn[50:, 0], [0.025, 0.975]))
    assert np.isnan(ends[:, 1]).all()


def test_a_share_of_none_or_all_has_an_interval_all_the_same():
    low, high = intervals.wilson(1.0, 100)
    assert high == 1
    assert low == pytest.approx(100 / (100 + 1.959964**2))
