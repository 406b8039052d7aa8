"""The metrics of a classifier that are means over images, each one pure function on float64 arrays.

They take *probabilities* and never guess whether they were given logits, and they say what kind of target
they take: hard labels (class numbers) or soft labels (one distribution an image). What the usual libraries
get wrong on soft targets and on the guess is pinned in `tests/training/test_metrics.py`. Confusion and rankings are
in `ranking`, calibration in `calibration`; no statistics over seeds and no drawing here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_SUM_TOLERANCE = 1e-6


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """log p̂ = z − log Σ exp z, row by row: [N, K] → float64 [N, K].

    Always in float64: in float32 a softmax saturates to exactly 1 long before the model is certain.
    """
    wide = np.asarray(logits, dtype=np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log_clipped(probabilities: Floats) -> Floats:
    """log p̂ of probabilities that came without logits, held to [ε, 1 − ε] with float64's ε = 2.2e-16.

    As scikit-learn's `log_loss` does; a probability of 0 for what happened would otherwise cost infinitely much.
    """
    epsilon = np.finfo(np.float64).eps
    return np.log(np.clip(probabilities, epsilon, 1 - epsilon))


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """Share of images whose most probable class is the label; a tie goes to the lowest class number.

    Raises `DataError` for soft targets: the accuracy of an argmax against a distribution is not defined.
    """
    check_probabilities(probabilities)
    check_labels(labels, probabilities)
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(log_probabilities: Floats, targets: Labels | Floats) -> float:
    """−(1/N) Σ_i Σ_k q_ik log p̂_ik, in nats.

    `targets` are class numbers int64 [N] (then q is one-hot: the log loss) or distributions float64 [N, K]. A
    class with q = 0 contributes nothing, whatever its log probability.
    """
    return float(cross_entropies(log_probabilities, targets).mean())


def cross_entropies(log_probabilities: Floats, targets: Labels | Floats) -> Floats:
    """The terms of `cross_entropy`, one an image: [N]."""
    q = as_distribution(targets, log_probabilities.shape)
    return np.asarray(-(q * np.where(q > 0, log_probabilities, 0.0)).sum(axis=1))


def brier(probabilities: Floats, targets: Labels | Floats) -> float:
    """(1/N) Σ_i Σ_k (p̂_ik − q_ik)², from 0 to 2; targets as in `cross_entropy`."""
    return float(squared_distances(probabilities, targets).mean())


def squared_distances(probabilities: Floats, targets: Labels | Floats) -> Floats:
    """The terms of `brier`, one an image: [N]."""
    check_probabilities(probabilities)
    return np.asarray(np.square(probabilities - as_distribution(targets, probabilities.shape)).sum(axis=1))


def entropies(distributions: Floats) -> Floats:
    """H(q_i) = −Σ_k q_ik log q_ik in nats, with 0·log 0 = 0: [N, K] → [N].

    Their mean is the least cross-entropy that any model can reach on these soft targets.
    """
    q = np.asarray(distributions, dtype=np.float64)
    # −0, of certain rows, becomes 0.
    return np.asarray(-(q * np.log(np.where(q > 0, q, 1.0))).sum(axis=1) + 0.0)


def sums_by_group(rows: Floats, groups: Labels, n_groups: int) -> Floats:
    """Sums of each row [D, N] over the columns of each group (int [N], 0 to n_groups − 1): [D, n_groups]."""
    sizes = np.bincount(groups, minlength=n_groups)
    filled = np.flatnonzero(sizes)
    sums = np.zeros((len(rows), n_groups))
    if len(filled):
        order = np.argsort(groups, kind="stable")
        sums[:, filled] = np.add.reduceat(rows[:, order], (np.cumsum(sizes) - sizes)[filled], axis=1)
    return sums


def as_distribution(targets: Labels | Floats, shape: tuple[int, ...]) -> Floats:
    """Targets as float64 [N, K]: class numbers become one-hot rows, distributions are checked."""
    if targets.ndim == 1:
        check_labels(targets, np.empty(shape))
        return np.asarray(np.eye(shape[1])[targets])
    if targets.shape != shape:
        raise DataError(f"the targets have shape {targets.shape}, the predictions {shape}")
    q = np.asarray(targets, dtype=np.float64)
    check_probabilities(q, "targets")
    return q


def check_probabilities(values: NDArray[np.floating], what: str = "predictions") -> None:
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


def check_labels(labels: NDArray[np.generic], probabilities: Floats) -> None:
    """Refuse anything but one class number an image."""
    n, classes = probabilities.shape
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError("hard labels must be one class number an image, not soft targets")
    if len(labels) != n:
        raise DataError(f"there are {len(labels)} labels for {n} predictions")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(f"a label lies outside the {classes} classes")
