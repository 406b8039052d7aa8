"""The rules by which a trained model is examined: what is looked at, and when it counts.

Each rule is one function of `Evidence`. It returns `Found` (whether it fires, with the numbers it rests on) or a
string that says what is missing. Names, thresholds in words and remedies are the table in `diagnosis`. The symptoms are
those of common checklists for training results (over-fitting, sudden changes, precision against recall, the accuracy
paradox, leakage, mixed inputs); the thresholds are ours. Several rules are about loss curves: with soft targets a loss
has the floor H(q), which is subtracted first, or every mixup run looks under-fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation.evidence import Evidence, Floats, Ints
from training.evaluation.near_duplicates import LEAST_SIDE

WINDOW = 10  # epochs over which a trend is judged
LEAST_EPOCHS = 6
GAP_FACTOR = 2.0
LEAST_GAP = 0.05  # nats: no smaller gap between the losses is over-fitting
RECENT = 20  # changes that the next is compared with, and how few will do
LEAST_RECENT = 10
ROBUST_SDS = 5.0
SCATTER = 0.03  # of validation accuracy from epoch to epoch
DROP = 0.05  # of validation accuracy below its best
PATIENCE = 10
LEAST_GAIN = 0.001  # nats
LEAST_FALL = 0.05  # of the training loss after the first epoch
CLASS_GAP = 0.15
LOW = 0.5
HEALTHY = 0.85
PARADOX_GAP = 0.10
PARADOX_ACCURACY = 0.9
LEAST_SUPPORT = 20
EQUAL_ACCURACY = 0.001
HARD_DATA = 0.95
CLEAR_E4 = 2500  # |λ − 0.5| from which one parent is clearly the larger
LEAST_AGREEMENT = 0.5

_MAD_TO_SD = 1.4826  # of a normal distribution


Numbers = dict[str, float | int | str | list[int] | list[str] | None]


@dataclass(frozen=True)
class Found:
    """Whether the rule fires, and the numbers that say so."""

    fires: bool
    numbers: Numbers = field(default_factory=dict)


Outcome = Found | str

_NO_CURVES = "the loss curves of training and validation"
_NO_MATRIX = "a confusion matrix"


def over_fitting(evidence: Evidence) -> Outcome:
    """Validation rises while training falls (Theil–Sen slopes of the last `WINDOW` epochs, both 95 % intervals without
    0), or the gap between them is more than `GAP_FACTOR` times that of the best epoch and more than `LEAST_GAP`: where
    training is augmented its loss is often the higher one at the best epoch, and there is no multiple of that. A gap
    says nothing of a model that does not learn (`not_learning`)."""
    from scipy import stats  # slow to import, and the table of rules is shown by processes that judge nothing

    curves = evidence.curves
    if curves is None or len(curves.train) < LEAST_EPOCHS:
        return f"{_NO_CURVES} over at least {LEAST_EPOCHS} epochs"
    train, validation = curves.train, curves.validation
    falling = stats.theilslopes(train[-WINDOW:], alpha=0.95)
    rising = stats.theilslopes(validation[-WINDOW:], alpha=0.95)
    best = int(validation.argmin())
    gap, gap_at_best = (float(validation[k] - train[k]) for k in (-1, best))
    apart = rising.low_slope > 0 and falling.high_slope < 0
    wider = bool(_above(gap, max(GAP_FACTOR * gap_at_best, LEAST_GAP)))
    return Found(
        bool(apart or (wider and _learns(evidence))),
        {
            "train_slope": float(falling.slope),
            "validation_slope": float(rising.slope),
            "gap": gap,
            "gap_at_best": gap_at_best,
            "best_epoch": best + 1,
        },
    )


def not_learning(evidence: Evidence) -> Outcome:
    """The training loss does not go down: it ends above what it was after its first epoch, or less than
    `LEAST_FALL` of that below it, in both cases with more than `LEAST_GAP` left to learn; or over the last `WINDOW`
    epochs it rises (Theil–Sen, 95 % interval above 0) and ends more than `LEAST_GAP` above its best."""
    from scipy import stats  # see over_fitting

    curves = evidence.curves
    if curves is None or len(curves.train) < LEAST_EPOCHS:
        return f"{_NO_CURVES} over at least {LEAST_EPOCHS} epochs"
    train = curves.train
    first, last, best = float(train[0]), float(train[-1]), float(train.min())
    stuck = (_above(last, first) | _above(LEAST_FALL * first, first - last)) & _above(last, LEAST_GAP)
    rising = stats.theilslopes(train[-WINDOW:], alpha=0.95)
    climbs = rising.low_slope > 0 and bool(_above(last - best, LEAST_GAP))
    return Found(
        bool(stuck or climbs),
        {"first": first, "last": last, "best_epoch": int(train.argmin()) + 1, "slope": float(rising.slope)},
    )


def sharp_change(evidence: Evidence) -> Outcome:
    """The validation loss rises in one epoch by more than `ROBUST_SDS` robust standard deviations (1.4826 MAD) of the
    `RECENT` changes before it, or of all before it where they are at least `LEAST_RECENT`, counted from their median;
    earlier changes are not judged. A sudden fall is what a step of the learning rate is for."""
    curves = evidence.curves
    if curves is None or len(curves.validation) < LEAST_RECENT + 2:
        return f"{_NO_CURVES} over at least {LEAST_RECENT + 2} epochs"
    changes = np.diff(curves.validation)
    ratios = np.zeros(len(changes))
    for k in range(LEAST_RECENT, len(changes)):
        before = changes[max(0, k - RECENT) : k]
        middle = np.median(before)
        spread = _MAD_TO_SD * np.median(np.abs(before - middle))
        # Changes that are equal but for rounding have no spread: then any real change is sharp.
        ratios[k] = min(changes[k], changes[k] - middle) / max(spread, 1e-9)
    worst = int(ratios.argmax())
    return Found(
        bool(_above(ratios[worst], ROBUST_SDS)),
        {"epoch": worst + 2, "change": float(changes[worst]), "robust_sds": float(ratios[worst])},
    )


def fluctuating(evidence: Evidence) -> Outcome:
    """Validation accuracy of the last `WINDOW` epochs fluctuates by a standard deviation of more than `SCATTER`, or is
    more than `DROP` below its best at the end. The fluctuation is judged by second differences, a variance of 6 σ²
    where accuracy is a straight line and noise: a rise that levels off is none, and a step weighs little."""
    curves = evidence.curves
    if curves is None or curves.validation_accuracy is None or len(curves.validation_accuracy) < WINDOW:
        return f"validation accuracy after each of at least {WINDOW} epochs"
    accuracy = curves.validation_accuracy
    scatter = float(np.sqrt((np.diff(accuracy[-WINDOW:], n=2) ** 2).mean() / 6))
    best = int(accuracy.argmax())
    drop = float(accuracy[best] - accuracy[-1])
    return Found(
        bool(_above(scatter, SCATTER) or _above(drop, DROP)),
        {"scatter": scatter, "drop": drop, "best_epoch": best + 1, "accuracy": float(accuracy[-1])},
    )


def plateau(evidence: Evidence) -> Outcome:
    """In the last `PATIENCE` epochs the best validation loss fell by no more than `LEAST_GAIN`. A training loss that
    does not go down (`not_learning`) has not settled."""
    curves = evidence.curves
    if curves is None or len(curves.validation) <= PATIENCE:
        return f"{_NO_CURVES} over more than {PATIENCE} epochs"
    best_before, best_since = curves.validation[:-PATIENCE].min(), curves.validation[-PATIENCE:].min()
    gain = float(best_before - best_since)
    return Found(
        _learns(evidence) and not _above(gain, LEAST_GAIN),
        {"gain": max(gain, 0.0), "best_epoch": int(curves.validation.argmin()) + 1},
    )


def conservative(evidence: Evidence) -> Outcome:
    """Precision − recall > `CLASS_GAP` for some class."""
    return _classes(evidence, lambda precision, recall: _above(precision - recall, CLASS_GAP))


def noisy_labels(evidence: Evidence) -> Outcome:
    """Recall − precision > `CLASS_GAP` for some class."""
    return _classes(evidence, lambda precision, recall: _above(recall - precision, CLASS_GAP))


def too_small(evidence: Evidence) -> Outcome:
    """Precision and recall both < `LOW` for some class."""
    return _classes(evidence, lambda precision, recall: _above(LOW, precision) & _above(LOW, recall))


def unhealthy(evidence: Evidence) -> Outcome:
    """Precision or recall not > `HEALTHY` for some class."""
    return _classes(
        evidence, lambda precision, recall: ~(_above(precision, HEALTHY) & _above(recall, HEALTHY))
    )


def accuracy_paradox(evidence: Evidence) -> Outcome:
    """Accuracy − balanced accuracy > `PARADOX_GAP`, or a class with `LEAST_SUPPORT` images or more has recall <
    `LOW` while accuracy > `PARADOX_ACCURACY`."""
    matrix = evidence.confusion
    if matrix is None:
        return _NO_MATRIX
    _check_matrix(matrix)
    _, recall, support = precision_recall(matrix)
    accuracy = float(np.trace(matrix) / matrix.sum())
    balanced = float(recall[support > 0].mean())
    missed = np.flatnonzero((support >= LEAST_SUPPORT) & _above(LOW, recall))
    fires = bool(
        _above(accuracy - balanced, PARADOX_GAP) or (_above(accuracy, PARADOX_ACCURACY) and len(missed))
    )
    least = int(np.where(support > 0, recall, np.inf).argmin())
    return Found(
        fires,
        {
            "accuracy": accuracy,
            "balanced_accuracy": balanced,
            "least_recall": float(recall[least]),
            "classes": [least] if fires and not len(missed) else missed.tolist(),
        },
    )


def leakage(evidence: Evidence) -> Outcome:
    """Any evaluation image that is trained on, is a parent of a mixed image, or has the pixels of a training image."""
    found = evidence.leakage
    if found is None:
        return "a check of the splits"
    return Found(
        bool(found.n_trained or found.n_leaked or found.n_identical),
        {"trained_on": found.n_trained, "parents": found.n_leaked, "identical": found.n_identical},
    )


def near_duplicate(evidence: Evidence) -> Outcome:
    """Any evaluation image with a near-duplicate among the training images."""
    found = evidence.near_duplicates
    if found is None:
        return "a search for near-duplicates"
    if not found.assessed:
        return f"images of at least {LEAST_SIDE} pixels a side, as smaller ones are too coarse to tell copies"
    return Found(found.n_images > 0, {"images": found.n_images, "of": found.n_evaluation})


def equal_accuracy(evidence: Evidence) -> Outcome:
    """Training and test accuracy within `EQUAL_ACCURACY` of each other where the test accuracy is < `HARD_DATA`."""
    train, test = evidence.train_accuracy, evidence.test_accuracy
    if train is None or test is None:
        return "accuracy on training and on test images"
    equal = not _above(abs(train - test), EQUAL_ACCURACY)
    return Found(bool(_above(HARD_DATA, test)) and equal, {"train_accuracy": train, "test_accuracy": test})


def robustness_ignored(evidence: Evidence) -> Outcome:
    """No corruptions, or no attacks, were evaluated."""
    said = {True: "assessed", False: "not assessed"}
    return Found(
        not (evidence.corruptions and evidence.attacks),
        {"corruptions": said[evidence.corruptions], "attacks": said[evidence.attacks]},
    )


def fails_on_mixed(evidence: Evidence) -> Outcome:
    """On held-out mixed images: the top class is that of the clearly larger parent (|λ − 0.5| ≥ 0.25) for fewer than
    `LEAST_AGREEMENT` of them, or KL to the labels from answers is no better than that of a uniform guess."""
    mixes = evidence.mixes
    if mixes is None or not len(mixes.lambda_e4):
        return "predictions on held-out mixed images"
    clear = np.abs(mixes.lambda_e4 - 5000) >= CLEAR_E4
    larger = np.where(mixes.lambda_e4 > 5000, mixes.first_class, mixes.second_class)
    agrees = (mixes.probabilities.argmax(axis=1) == larger)[clear]
    agreement = float(agrees.mean()) if len(agrees) else None
    numbers: Numbers = {"agreement_with_mixup": agreement, "n_clear": len(agrees), "human_kl": None}
    answered = None if mixes.human is None else np.isfinite(mixes.human).all(axis=1)
    if (answered is None or not answered.any()) and agreement is None:
        return f"held-out mixed images with |λ − 0.5| ≥ {CLEAR_E4 / 1e4}, or labels from answers"
    fires = agreement is not None and bool(_above(LEAST_AGREEMENT, agreement))
    if mixes.human is not None and answered is not None and answered.any():
        q = mixes.human[answered]
        entropy = float(-(q * np.log(np.where(q > 0, q, 1))).sum(axis=1).mean())
        log_p = np.log(np.maximum(mixes.probabilities[answered], np.finfo(np.float64).tiny))
        human_ce = float(-(q * log_p).sum(axis=1).mean())
        uniform = float(np.log(q.shape[1]))
        numbers |= {
            "human_cross_entropy": human_ce,
            "human_kl": human_ce - entropy,
            "uniform_kl": uniform - entropy,
        }
        fires = fires or not _above(uniform, human_ce)
    return Found(fires, numbers)


def miscalibrated(evidence: Evidence) -> Outcome:
    """The interval of the true calibration error leaves 0 out; the sign of confidence − accuracy says which way."""
    known = evidence.calibration
    if known is None:
        return "an ECE with its interval"
    way = "over-confident" if known.confidence > known.accuracy else "under-confident"
    return Found(
        bool(_above(known.interval[0], 0.0)),
        {
            "ece": known.ece,
            "low": known.interval[0],
            "high": known.interval[1],
            "confidence_less_accuracy": known.confidence - known.accuracy,
            "direction": way,
            "temperature": known.temperature,
            "ece_after": known.ece_after,
        },
    )


def _learns(evidence: Evidence) -> bool:
    """Whether, as far as can be told, its training loss goes down."""
    said = not_learning(evidence)
    return not (isinstance(said, Found) and said.fires)


def _above(value: float | Floats, limit: float | Floats) -> NDArray[np.bool_]:
    """value > limit, where what is equal but for rounding is not above: 1 − 0.85 is 0.15."""
    return np.asarray((np.asarray(value) > limit) & ~np.isclose(value, limit, rtol=1e-9, atol=1e-12))


def _classes(evidence: Evidence, which: Callable[[Floats, Floats], NDArray[np.bool_]]) -> Outcome:
    """The classes for which a condition on precision and recall holds, with the worst of each."""
    if evidence.confusion is None:
        return _NO_MATRIX
    _check_matrix(evidence.confusion)
    precision, recall, support = precision_recall(evidence.confusion)
    classes = np.flatnonzero(which(precision, recall) & (support > 0))
    judged = classes if len(classes) else np.flatnonzero(support > 0)
    return Found(
        len(classes) > 0,
        {
            "classes": classes.tolist(),
            "least_precision": float(precision[judged].min()),
            "least_recall": float(recall[judged].min()),
        },
    )


def precision_recall(matrix: Ints) -> tuple[Floats, Floats, Ints]:
    """Precision, recall (0 where undefined) and support of each class, [K] each."""
    right, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return right / np.maximum(predicted, 1), right / np.maximum(support, 1), support


def _check_matrix(matrix: Ints) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.min() < 0 or not matrix.sum():
        raise DataError("a confusion matrix is square, of counts, and holds at least one image")
