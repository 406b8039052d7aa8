"""Variance components of values in groups in larger groups, and what they make of each group: pair → class pair → all.

Components by analysis of variance for unbalanced nested groups (Henderson's first method, Searle, Casella & McCulloch,
Variance Components, 1992, §5.2–5.3), each at least 0; effects by best linear prediction with these as if known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilmix.core.softlabels.rows import Floats, Ints


@dataclass(frozen=True)
class Components:
    """Variances ≥ 0 of value = mean + upper effect + lower effect + rest."""

    upper: float
    lower: float
    rest: float


def fit(values: Floats, lower: Ints, upper: Ints) -> Components:
    """Components of float64 [N] `values` in groups `lower` int64 [N], which lie in groups `upper` int64 [L].

    Where no lower group has two values, its effects cannot be told from the rest and count as rest.
    """
    n, n_lower, n_upper = len(values), len(upper), int(upper.max(initial=-1)) + 1
    if n < 2:
        return Components(0.0, 0.0, 0.0)
    of_lower = np.bincount(lower, minlength=n_lower).astype(np.float64)
    of_upper = np.bincount(upper, of_lower, n_upper)
    lower_means = np.bincount(lower, values, n_lower) / np.maximum(of_lower, 1)
    upper_means = np.bincount(upper, of_lower * lower_means, n_upper) / np.maximum(of_upper, 1)
    k_lower, k_upper = np.count_nonzero(of_lower), np.count_nonzero(of_upper)

    squares_rest = np.sum((values - lower_means[lower]) ** 2)
    squares_lower = np.sum(of_lower * (lower_means - upper_means[upper]) ** 2)
    squares_upper = np.sum(of_upper * (upper_means - values.mean()) ** 2)
    size_lower = np.sum(of_lower**2 / np.maximum(of_upper[upper], 1))
    size_upper = np.sum(of_upper**2) / n

    rest = squares_rest / (n - k_lower) if n > k_lower else squares_lower / np.maximum(k_lower - k_upper, 1)
    between_lower = between_upper = 0.0
    if n > k_lower and k_lower > k_upper:
        between_lower = max(0.0, (squares_lower - (k_lower - k_upper) * rest) / (n - size_lower))
    if k_upper > 1:
        within = (k_upper - 1) * rest + (size_lower - np.sum(of_lower**2) / n) * between_lower
        between_upper = max(0.0, (squares_upper - within) / (n - size_upper))
    return Components(float(between_upper), float(between_lower), float(rest))


@dataclass(frozen=True, eq=False, slots=True)
class Effects:
    """What is predicted of each lower group, float64 [L] (upper and lower effect together), and of each upper group,
    float64 [U], with the variance that is left of each."""

    lower: Floats
    lower_variance: Floats
    upper: Floats
    upper_variance: Floats


def effects(parts: Components, means: Floats, sizes: Floats, upper: Ints, n_upper: int) -> Effects:
    """Effects from the mean of each lower group, float64 [L] less the mean of all, and the number of values that it is
    worth, float64 [L], 0 for none: a group without values has the effect of its upper group."""
    known = sizes > 0
    spread = np.maximum(parts.lower + parts.rest / np.where(known, sizes, 1.0), 1e-12)
    precision = np.where(known, 1 / spread, 0.0)
    of_upper = np.bincount(upper, precision, n_upper)
    upper_means = np.bincount(upper, precision * means, n_upper) / np.where(of_upper > 0, of_upper, 1.0)
    upper_weight = parts.upper * of_upper / (1 + parts.upper * of_upper)
    upper_effects = upper_weight * upper_means
    upper_variance = parts.upper * (1 - upper_weight)
    weight = parts.lower * precision
    return Effects(
        upper_effects[upper] + weight * (means - upper_effects[upper]),
        parts.lower * (1 - weight) + (1 - weight) ** 2 * upper_variance[upper],
        upper_effects,
        upper_variance,
    )
