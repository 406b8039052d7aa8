"""Baseline for label policies: `human_lambda_shrunk` on arrays, without an object a label.

Same equations, same units in, same probabilities out. It omits: checks of judgements and classes, intervals and
spreads, repeats and a person's second answer (it takes every number it finds), and the fitted curve as text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilmix.core.judgements import Unit


def labels_of(units: Sequence[Unit], n_classes: int) -> np.ndarray:
    """float64 [n, K] of units whose answers are all numbers."""
    sizes = np.array([len(unit.answers) for unit in units])
    values = np.array([answer.judgement.value for unit in units for answer in unit.answers])
    recipes = np.array([(unit.lambda_e4, unit.first_class, unit.second_class) for unit in units])
    shares = shrunk(recipes[:, 0], np.repeat(np.arange(len(units)), sizes), values)
    return two_hot(shares, recipes[:, 1], recipes[:, 2], n_classes)


def shrunk(lambdas: np.ndarray, groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """λ̃ [n] of images at `lambdas` [n], from `values` [N] said of images `groups` [N]."""
    _, level = np.unique(lambdas, return_inverse=True)
    curve = (np.bincount(level[groups], values) / np.bincount(level[groups]))[level]
    n, total = np.bincount(groups, minlength=len(lambdas)), len(values)
    offsets = values - curve[groups]
    means = np.bincount(groups, offsets, len(lambdas)) / np.maximum(n, 1)
    k = np.count_nonzero(n)
    between = np.sum(n * (means - offsets.mean()) ** 2) / (k - 1)
    within = np.sum((offsets - means[groups]) ** 2) / (total - k)
    n0 = (total - np.sum(n.astype(float) ** 2) / total) / (k - 1)
    rho = max(0.0, (between - within) / (between + (n0 - 1) * within))
    return curve + n * rho / (1 + (n - 1) * rho) * means


def two_hot(shares: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> np.ndarray:
    """float64 [n, K]: the share at the first class, the rest at the second."""
    labels, rows = np.zeros((len(shares), n_classes)), np.arange(len(shares))
    labels[rows, first] += shares
    labels[rows, second] += 1 - shares
    return labels
