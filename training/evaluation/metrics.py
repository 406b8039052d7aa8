"""The metrics of a classifier, each one pure function on float64 arrays.

They take *probabilities* and never guess whether they were given logits, and they say what kind of target
they take: hard labels (class numbers) or soft labels (one distribution an image). What the usual libraries
get wrong on soft targets, on a confidence of exactly 1 and on the guess is pinned in
`tests/training/test_metrics.py`. Definitions follow Guo et al. (ICML 2017) for calibration and Brier (1950);
no statistics over seeds and no drawing here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

N_BINS = 15
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: confidences in (low, high], the first bin closed at 0.

    `accuracy` and `confidence` are means over the bin's `n` images, or None where it is empty.
    """

    low: float
    high: float
    n: int
    accuracy: float | None
    confidence: float | None


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """log p̂ = z − log Σ exp z, row by row: [N, K] → float64 [N, K].

    Always in float64: in float32 a softmax saturates to exactly 1 long before the model is certain.
    """
    wide = np.asarray(logits, dtype=np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """Share of images whose most probable class is the label; a tie goes to the lowest class number.

    Raises `DataError` for soft targets: the accuracy of an argmax against a distribution is not defined.
    """
    _check_probabilities(probabilities)
    _check_labels(labels, probabilities)
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(log_probabilities: Floats, targets: Labels | Floats) -> float:
    """−(1/N) Σ_i Σ_k q_ik log p̂_ik, in nats.

    `targets` are class numbers int64 [N] (then q is one-hot: the log loss) or distributions float64 [N, K]. A
    class with q = 0 contributes nothing, whatever its log probability.
    """
    q = _as_distribution(targets, log_probabilities.shape)
    terms = np.where(q > 0, q * np.where(q > 0, log_probabilities, 0.0), 0.0)
    return float(-terms.sum(axis=1).mean())


def brier(probabilities: Floats, targets: Labels | Floats) -> float:
    """(1/N) Σ_i Σ_k (p̂_ik − q_ik)², from 0 to 2; targets as in `cross_entropy`."""
    _check_probabilities(probabilities)
    q = _as_distribution(targets, probabilities.shape)
    return float(np.square(probabilities - q).sum(axis=1).mean())


def reliability(probabilities: Floats, labels: Labels, n_bins: int = N_BINS) -> list[ReliabilityBin]:
    """Bins of equal width over the top-label confidence max_k p̂_k, from 0 to 1, empty bins among them."""
    _check_probabilities(probabilities)
    _check_labels(labels, probabilities)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = _bin_of(confidence, n_bins)
    bins = []
    for number in range(n_bins):
        inside = which == number
        n = int(inside.sum())
        bins.append(
            ReliabilityBin(
                low=number / n_bins,
                high=(number + 1) / n_bins,
                n=n,
                accuracy=float(correct[inside].mean()) if n else None,
                confidence=float(confidence[inside].mean()) if n else None,
            )
        )
    return bins


def ece(probabilities: Floats, labels: Labels, n_bins: int = N_BINS) -> float:
    """Expected calibration error Σ_b (n_b/N) |accuracy_b − confidence_b|: top label, bins of equal width."""
    _check_probabilities(probabilities)
    _check_labels(labels, probabilities)
    confidence = probabilities.max(axis=1)
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return _ece(confidence, correct, n_bins)


def ece_floor(probabilities: Floats, n_bins: int = N_BINS, draws: int = 200, seed: int = 0) -> float:
    """What the ECE of a *perfectly calibrated* model with these confidences would be, by chance alone.

    Mean over `draws` of the ECE where each image is right with probability equal to its confidence. An ECE
    near this floor is no evidence of miscalibration; the floor falls as the number of images grows.
    """
    _check_probabilities(probabilities)
    confidence = probabilities.max(axis=1)
    rng = np.random.default_rng(seed)
    return float(
        np.mean(
            [_ece(confidence, (rng.random(len(confidence)) < confidence) * 1.0, n_bins) for _ in range(draws)]
        )
    )


def entropies(distributions: Floats) -> Floats:
    """H(q_i) = −Σ_k q_ik log q_ik in nats, with 0·log 0 = 0: [N, K] → [N].

    Their mean is the least cross-entropy that any model can reach on these soft targets.
    """
    q = np.asarray(distributions, dtype=np.float64)
    return np.asarray(-(q * np.log(np.where(q > 0, q, 1.0))).sum(axis=1))


def _ece(confidence: Floats, correct: Floats, n_bins: int) -> float:
    """Σ_b |Σ_{i∈b} (correct_i − confidence_i)| / N, which is the ECE without a division a bin."""
    gaps = np.bincount(_bin_of(confidence, n_bins), weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _bin_of(confidence: Floats, n_bins: int) -> NDArray[np.int64]:
    """Number of the bin (low, high] of each confidence; exactly 0 is in the first, exactly 1 in the last."""
    edges = np.arange(1, n_bins) / n_bins
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def _as_distribution(targets: Labels | Floats, shape: tuple[int, ...]) -> Floats:
    """Targets as float64 [N, K]: class numbers become one-hot rows, distributions are checked."""
    if targets.ndim == 1:
        _check_labels(targets, np.empty(shape))
        return np.asarray(np.eye(shape[1])[targets])
    if targets.shape != shape:
        raise DataError(f"the targets have shape {targets.shape}, the predictions {shape}")
    q = np.asarray(targets, dtype=np.float64)
    _check_probabilities(q, "targets")
    return q


def _check_probabilities(values: NDArray[np.floating], what: str = "predictions") -> None:
    """Refuse what is not one distribution a row, logits above all."""
    if values.ndim != 2 or not len(values):
        raise DataError(f"{what} must be one row of class probabilities an image; got shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError(f"the {what} hold values that are not finite")
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise DataError(
            f"the {what} are not probabilities: each row must be non-negative and sum to 1 "
            "(put logits through a softmax)"
        )


def _check_labels(labels: NDArray[np.generic], probabilities: Floats) -> None:
    """Refuse anything but one class number an image."""
    n, classes = probabilities.shape
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError("hard labels must be one class number an image, not soft targets")
    if len(labels) != n:
        raise DataError(f"there are {len(labels)} labels for {n} predictions")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(f"a label lies outside the {classes} classes")
