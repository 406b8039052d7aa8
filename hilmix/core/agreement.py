"""How far people agree, and how sure means are of which one person gave many answers: pure statistics of numbers.

Nothing here makes a label (see `softlabels`). ICC(1) follows Shrout & Fleiss, Psychological Bulletin 86, 1979, with the
usual mean group size for unbalanced groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NORMAL_95 = 1.959964  # half width of a 95% normal interval, in standard errors
T_95 = {1: 12.706205, 2: 4.302653, 3: 3.182446}  # the same of Student's t, by degrees of freedom


@dataclass(frozen=True)
class OneWay:
    """One-way random effects: variance between groups (≥ 0) and within, and ICC(1), which may be negative."""

    icc: float
    between: float
    within: float
    n_groups: int
    n_values: int


def one_way(values: Floats, groups: Ints) -> OneWay | None:
    """Analyse float64 [N] `values` that belong to groups int64 [N].

    ICC(1) = (MSB − MSW) / (MSB + (n₀ − 1)·MSW), n₀ = (N − Σnᵢ²/N)/(k − 1). None where it is undefined: fewer
    than two groups, no group with two values, or no variance at all.
    """
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    n, k = len(values), len(sizes)
    if k < 2 or n == k or np.ptp(values) < 1e-12:
        return None
    means = np.bincount(index, values) / sizes
    between = float(np.sum(sizes * (means - values.mean()) ** 2) / (k - 1))
    within = float(np.sum((values - means[index]) ** 2) / (n - k))
    n0 = float((n - np.sum(sizes.astype(np.float64) ** 2) / n) / (k - 1))
    icc = (between - within) / (between + (n0 - 1) * within)
    return OneWay(icc, max(0.0, (between - within) / n0), within, k, n)


def clustered_error(values: Floats, person: Ints, of: Literal["mean", "sum"] = "mean") -> float | None:
    """Standard error of the mean (or of the sum, of values whose mean is 0) of float64 [n] `values` given by int64 [n]
    `person`, whose answers go together (sandwich variance). None for one person."""
    _, index = np.unique(person, return_inverse=True)
    k = int(index.max()) + 1
    if k < 2:
        return None
    sums = np.bincount(index, values - values.mean())
    error = float(np.sqrt(np.sum(sums**2) * k / (k - 1)))
    return error if of == "sum" else error / len(values)


def t_975(freedom: int) -> float:
    """The 97.5% point of Student's t, to 0.002: Cornish and Fisher's expansion about the normal, from 4 degrees on."""
    if freedom in T_95:
        return T_95[freedom]
    z = NORMAL_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


@dataclass(frozen=True, eq=False)
class Ratings:
    """Answers as points, summed by what they are about, so that agreement can be had of any choice of units.

    `n` float64 [U] answers to each unit · `total` float64 [U, D] their sum · `squares` float64 [U] the sum of their
    squared lengths. Units without two answers say nothing about agreement and are not in α.
    """

    n: Floats
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, points: Floats, units: Ints) -> Ratings:
        """Of float64 [n] or [n, D] `points` about int64 [n] `units`.

        Numbers as they are give agreement on an interval scale; classes as one-hot vectors agreement on a nominal one.
        """
        points = points[:, None] if points.ndim == 1 else points
        _, index = np.unique(units, return_inverse=True)
        total = np.stack([np.bincount(index, column) for column in points.T], axis=1).astype(np.float64)
        squares = np.bincount(index, np.sum(points**2, axis=1)).astype(np.float64)
        return cls(np.bincount(index).astype(np.float64), total, squares)

    def alpha(self, weights: Floats | None = None) -> float:
        """Krippendorff's α, 1 − observed over expected disagreement (Content Analysis, 2004, ch. 11); NaN where nobody
        could disagree. `weights` float64 [U] says how often each unit counts."""
        w: Floats = (self.n > 1) * (np.ones(len(self.n)) if weights is None else weights)
        pairs = self.n * self.squares - np.sum(
            self.total**2, axis=1
        )  # half the sum over ordered pairs of |v − w|²
        observed = w @ (pairs / np.maximum(self.n - 1, 1))
        n = w @ self.n
        expected = n * (w @ self.squares) - np.sum((w @ self.total) ** 2)
        return float(1 - (n - 1) * observed / expected) if n > 1 and expected > 1e-12 * n else np.nan

    def icc(self, weights: Floats | None = None) -> float:
        """ICC(1) as `one_way` has it; NaN where it is undefined."""
        w = np.ones(len(self.n)) if weights is None else weights
        k, n = w.sum(), w @ self.n
        if k < 2 or n <= k:
            return np.nan
        about = w @ (np.sum(self.total**2, axis=1) / self.n)
        between = (about - np.sum((w @ self.total) ** 2) / n) / (k - 1)
        within = (w @ self.squares - about) / (n - k)
        n0 = (n - w @ self.n**2 / n) / (k - 1)
        bottom = between + (n0 - 1) * within
        return float((between - within) / bottom) if bottom > 1e-12 else np.nan

    def around(self, level: Ints, weights: Floats | None = None) -> Ratings:
        """The same less the mean of each level, int64 [U] counted from 0 (the λ of an image): residuals of a curve that
        is fitted on the units chosen."""
        w = np.ones(len(self.n)) if weights is None else weights
        n = np.maximum(np.bincount(level, w * self.n), 1e-12)
        sums = [np.bincount(level, w * column) for column in self.total.T]
        curve = (np.stack(sums, axis=1) / n[:, None])[level]
        squares = self.squares - 2 * np.sum(curve * self.total, axis=1) + self.n * np.sum(curve**2, axis=1)
        return Ratings(self.n, self.total - self.n[:, None] * curve, squares)
