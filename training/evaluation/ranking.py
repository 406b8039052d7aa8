"""Confusion matrices and rankings: what needs the predicted class, or the order of the scores, and no distance.

Every function takes weights [D, N], how often each image counts in each of D draws, and answers for all draws at
once; one row of ones is the plain metric. Definitions are scikit-learn's where it has one; an absent class is
undefined (NaN), left out of means and never 0, which is where torchmetrics differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import Floats, Labels, sums_by_group

_ROUNDING = 1e-13  # of a variance, relative to the mean square


def confusion_matrix(predicted: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """How often class t (row, actual) was taken for p (column): int64 [K, K]."""
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


@dataclass(frozen=True)
class Counts:
    """How often each class was rightly named, named, and there: [D, K] each, or [K]. A confusion matrix's diagonal
    and sums, which are all that the figures below take from it."""

    right: Floats
    predicted: Floats
    support: Floats


def counts(predicted: Labels, labels: Labels, classes: int, weights: Floats) -> Counts:
    """Counts in each draw of weights [D, N]."""
    right = predicted == labels
    return Counts(
        sums_by_group(weights[:, right], labels[right], classes),
        sums_by_group(weights, predicted, classes),
        sums_by_group(weights, labels, classes),
    )


def counts_of(confusion: NDArray[np.number]) -> Counts:
    """Counts [K] of a confusion matrix [K, K], rows actual."""
    return Counts(np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1))


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall, F1 and how often each class occurs, each [..., K]. NaN for a class that does not occur;
    0/0 of a class that occurs and is never predicted is 0."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Floats

    def macro(self, of: Floats) -> Floats:
        """Mean over the classes that occur."""
        return np.asarray(np.nanmean(of, axis=-1))

    def weighted(self, of: Floats) -> Floats:
        """Mean weighted by how often each class occurs."""
        return np.asarray(np.nansum(of * self.support, axis=-1) / self.support.sum(axis=-1))


def class_figures(of: Counts) -> ClassFigures:
    """P = C_kk/ΣC_·k, R = C_kk/ΣC_k·, F1 = 2C_kk/(ΣC_·k + ΣC_k·) = 2PR/(P + R)."""
    occurs = of.support > 0

    def share(part: Floats, total: Floats) -> Floats:
        return np.asarray(np.where(occurs, part / np.where(total > 0, total, 1), np.nan))

    return ClassFigures(
        share(of.right, of.predicted),
        share(of.right, of.support),
        share(2 * of.right, of.predicted + of.support),
        of.support,
    )


def mcc(of: Counts) -> Floats:
    """Matthews correlation of several classes (Gorodkin 2004), −1 to 1, 0 where it is 0/0: [...]."""
    total = of.support.sum(axis=-1).astype(np.float64)
    covariance = of.right.sum(axis=-1) * total - (of.predicted * of.support).sum(axis=-1)
    spread = (total**2 - (of.predicted**2).sum(axis=-1)) * (total**2 - (of.support**2).sum(axis=-1))
    return np.asarray(np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0))


def rank_of_label(probabilities: Floats, labels: Labels, log_p: Floats | None = None) -> Labels:
    """How many classes come before the label, the most probable first; of equal ones, the lower number.

    With `log_p` [N, K], classes whose probabilities have become 0 in float64 are still ranked as the logits do.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    lower = np.arange(probabilities.shape[1]) < labels[:, None]
    before = (probabilities > own) | ((probabilities == own) & lower)
    if log_p is not None:
        mine = np.take_along_axis(log_p, labels[:, None], axis=1)
        by_log = (log_p > mine) | ((log_p == mine) & lower)
        before = np.where((own < np.finfo(np.float64).tiny) & (probabilities == own), by_log, before)
    return before.sum(axis=1)


def auroc_and_precision(
    scores: Floats, positive: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats]:
    """AUROC = P(s⁺ > s⁻) + ½P(tie) (Mann–Whitney) and average precision Σ (Rₙ − Rₙ₋₁)Pₙ, each [D].

    `scores` [N], `positive` bool [N], `weights` [D, N]. NaN in a draw without positive images, and for AUROC in one
    without negative ones. Equal scores stand together, so the order of the images does not matter.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    own = np.flatnonzero(positive[order])
    below = np.searchsorted(ordered, ordered[own], side="left")
    through = np.searchsorted(ordered, ordered[own], side="right")
    every = np.zeros((len(weights), len(scores) + 1))
    moved = weights[:, order]
    np.cumsum(moved, axis=1, out=every[:, 1:])
    mine = moved[:, own]
    hits = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(mine, axis=1)], axis=1)
    hits_below, hits_through = (hits[:, np.searchsorted(own, at)] for at in (below, through))
    n, n_positive = every[:, -1], hits[:, -1]
    rest_below, rest_through = every[:, below] - hits_below, every[:, through] - hits_through
    above_all = n[:, None] - every[:, below]
    with np.errstate(invalid="ignore", divide="ignore"):
        wins = (mine * (rest_below + rest_through)).sum(axis=1) / 2
        auroc = wins / (n_positive * (n - n_positive))
        caught = (n_positive[:, None] - hits_below) / np.where(above_all > 0, above_all, 1.0)
        precision = (mine * caught).sum(axis=1) / n_positive
    return np.where(np.isfinite(auroc), auroc, np.nan), precision


def correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson's r of x and y, each [N] or [D, N], in each draw: [D]. NaN where either is constant."""
    total = weights.sum(axis=1)
    a, b = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)

    def mean(values: Floats) -> Floats:
        products = weights @ values if values.ndim == 1 else np.einsum("ij,ij->i", weights, values)
        with np.errstate(invalid="ignore"):
            return np.asarray(products / total)

    mean_a, mean_b = mean(a), mean(b)
    over = mean(a * b) - mean_a * mean_b
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    # What is constant comes out within rounding of 0, not at 0.
    constant = (spread_a <= _ROUNDING * (1 + mean(x * x))) | (spread_b <= _ROUNDING * (1 + mean(y * y)))
    return np.asarray(
        np.where(constant, np.nan, over / np.sqrt(np.where(constant, 1.0, spread_a * spread_b)))
    )


def weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Ranks of values [N] in each draw, [D, N]: of equal ones the mean, as `scipy.stats.rankdata` has them in the
    sample where each image stands as often as it was drawn."""
    _, group = np.unique(values, return_inverse=True)
    size = sums_by_group(weights, group, int(group.max()) + 1)
    last = np.cumsum(size, axis=1)
    return np.asarray((last - size / 2 + 0.5)[:, group])
