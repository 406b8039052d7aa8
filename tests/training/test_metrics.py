"""Metrics against hand cases, an independent implementation, and the mistakes of the usual libraries."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from hilmix.core.errors import DataError
from training.evaluation import calibration, metrics
from training.evaluation.scores import METRICS, score, summarise


def predictions(n: int = 400, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, size=(n, classes)), rng.integers(0, classes, n)


def test_a_hand_made_case_gives_the_numbers_on_paper():
    p = np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1], [0.5, 0.5]])
    labels = np.array([0, 1, 1, 1])
    assert metrics.accuracy(p, labels) == 0.5  # the tie of the last row goes to class 0
    assert metrics.cross_entropy(np.log(p), labels) == pytest.approx(-np.log(0.8 * 0.6 * 0.1 * 0.5) / 4)
    assert metrics.brier(p, labels) == pytest.approx((0.08 + 0.32 + 1.62 + 0.5) / 4)


def test_accuracy_and_log_loss_agree_with_scikit_learn():
    logits, labels = predictions()
    log_p = metrics.log_softmax(logits)
    assert metrics.accuracy(np.exp(log_p), labels) == accuracy_score(labels, logits.argmax(1))
    assert metrics.cross_entropy(log_p, labels) == pytest.approx(log_loss(labels, np.exp(log_p)), abs=1e-12)


def test_brier_agrees_with_one_sum_over_images_and_classes():
    logits, labels = predictions()
    p = np.exp(metrics.log_softmax(logits))
    expected = sum((p[i, k] - (labels[i] == k)) ** 2 for i in range(len(p)) for k in range(5)) / len(p)
    assert metrics.brier(p, labels) == pytest.approx(expected)
    assert metrics.brier(p, np.eye(5)[labels]) == pytest.approx(expected)


def test_ece_agrees_with_a_plain_loop_over_bins():
    logits, labels = predictions(n=1000)
    p = np.exp(metrics.log_softmax(logits))
    confidence, right = p.max(1), p.argmax(1) == labels
    expected = 0.0
    for b in range(15):
        low, high = b / 15, (b + 1) / 15
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration.ece(p, labels) == pytest.approx(expected)
    bins = calibration.reliability(p, labels)
    assert sum(b.n for b in bins) == 1000
    assert sum(b.n * abs(b.accuracy - b.confidence) for b in bins if b.n) / 1000 == pytest.approx(expected)


def test_a_confidence_of_exactly_one_falls_in_the_last_bin():
    # torchmetrics #3510 puts it in a bin of its own past the last and reports 0.525 here.
    p = np.array([[1.0, 0.0], [0.95, 0.05]])
    labels = np.array([1, 0])
    assert calibration.ece(p, labels, n_bins=1) == pytest.approx(0.475)
    assert calibration.reliability(p, labels, n_bins=15)[-1].n == 2


def test_confidences_on_an_edge_belong_to_the_bin_below():
    p = np.array([[0.6, 0.4], [0.8, 0.2]])
    bins = calibration.reliability(p, np.array([0, 0]), n_bins=5)
    assert [b.n for b in bins] == [0, 0, 1, 1, 0]
    assert bins[0].accuracy is None
    assert bins[0].confidence is None


def test_soft_targets_are_refused_where_only_labels_make_sense():
    # torchmetrics accepts floats of the predictions' shape and reports accuracy 1.0 with nothing right.
    p = np.array([[0.8, 0.2], [0.7, 0.3]])
    soft = np.array([[0.1, 0.9], [0.2, 0.8]])
    with pytest.raises(DataError, match="not soft targets"):
        metrics.accuracy(p, soft)
    with pytest.raises(DataError, match="not soft targets"):
        calibration.ece(p, soft)


def test_logits_that_happen_to_lie_between_0_and_1_are_not_taken_for_probabilities():
    # torchmetrics #3269 guesses from the range and reports a calibration error of 0.200 instead of 0.499.
    logits = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]])
    logits[0, 2] = 0.3
    with pytest.raises(DataError, match="softmax"):
        calibration.ece(logits, np.array([0, 1]))
    p = np.exp(metrics.log_softmax(np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]])))
    assert calibration.ece(p, np.array([0, 1])) == pytest.approx(0.499, abs=0.01)


def test_a_very_sure_model_keeps_a_finite_loss():
    logits = np.array([[200.0, 0.0], [0.0, 200.0]], dtype=np.float32)
    log_p = metrics.log_softmax(logits)
    assert metrics.cross_entropy(log_p, np.array([1, 1])) == pytest.approx(100.0)


def test_soft_cross_entropy_of_a_mixture_is_the_mixture_of_cross_entropies():
    # timm's mixup one-hot encodes targets that are soft already; ours must give λ·CE(a) + (1−λ)·CE(b).
    logits, first = predictions()
    second, lam = np.roll(first, 1), 0.3
    log_p, eye = metrics.log_softmax(logits), np.eye(5)
    mixed = lam * eye[first] + (1 - lam) * eye[second]
    expected = lam * metrics.cross_entropy(log_p, first) + (1 - lam) * metrics.cross_entropy(log_p, second)
    assert metrics.cross_entropy(log_p, mixed) == pytest.approx(expected)


def test_a_class_without_mass_costs_nothing_even_at_log_zero():
    log_p = np.array([[0.0, -np.inf]])
    assert metrics.cross_entropy(log_p, np.array([[1.0, 0.0]])) == 0.0


def test_entropy_is_the_least_soft_cross_entropy():
    q = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert metrics.entropies(q).mean() == pytest.approx(np.log(2) / 2)
    with np.errstate(divide="ignore"):
        assert metrics.cross_entropy(np.log(q), q) == pytest.approx(metrics.entropies(q).mean())


def test_the_ece_floor_falls_with_more_images_and_a_calibrated_model_sits_on_it():
    logits, _ = predictions(n=4000)
    p = np.exp(metrics.log_softmax(logits))
    rng = np.random.default_rng(1)
    labels = np.array([rng.choice(5, p=row) for row in p])
    assert calibration.ece_floor(p) < calibration.ece_floor(p[:400])
    assert abs(calibration.ece(p, labels) - calibration.ece_floor(p)) < 0.01


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.array([0]), "1 labels for 2"), (np.array([0, 2]), "outside"), (np.array([0, -1]), "outside")],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        metrics.accuracy(np.full((2, 2), 0.5), labels)


def test_predictions_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        metrics.brier(np.array([[np.nan, 1.0]]), np.array([0]))


def test_a_score_holds_every_metric_of_the_table_and_no_human_figure_without_human_labels():
    logits, labels = predictions()
    result = score(logits, labels)
    assert {metric.key for metric in METRICS} <= result.keys()
    assert result["ce_human"] is None
    human = np.full((400, 5), 0.2)
    expected = -metrics.log_softmax(logits).mean(axis=1).mean()
    assert score(logits, labels, human)["ce_human"] == pytest.approx(expected)


def test_one_seed_has_no_spread_and_an_unmeasured_metric_no_summary():
    assert summarise([0.5]).sd is None
    assert summarise([None, None]) is None
    both = summarise([0.4, 0.6])
    assert both.mean == pytest.approx(0.5)
    assert both.sd == pytest.approx(np.std([0.4, 0.6], ddof=1))
