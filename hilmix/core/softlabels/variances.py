"""How far images, and the answers to one image, lie apart at each λ: what intervals are made of.

People differ more over even mixes than over those that are nearly one image, so one variance for all λ would make
intervals too narrow in the middle and too wide at the ends. λ and 1 − λ count as one: which image is first is of no
account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.softlabels.counting import Numbers
from hilmix.core.softlabels.rows import Floats, Ints

POOLED = 20  # as many degrees of freedom of all λ are added to those of each


@dataclass(frozen=True, eq=False)
class Variances:
    """At the λ of each unit, float64 [n]: the variance `between` images, `within` the answers to one, and of the mean
    of all answers at this λ (`of_curve`, NaN where nobody answered). `by_lambda` the first two as JSON."""

    between: Floats
    within: Floats
    of_curve: Floats
    by_lambda: dict[str, dict[str, float]]

    def halves(self, own: Floats | float = 0.0, sizes: Ints | int = 1) -> Floats:
        """Half a 95% interval, float64 [n], of curve + `own` · (mean of the image − curve), the image with `sizes`
        answers; NaN where images are not known to differ and where nobody answered at this λ."""
        squares = (1 - own) ** 2 * (self.between + self.of_curve) + own**2 * self.within / np.maximum(
            sizes, 1
        )
        return np.where(self.between > 0, NORMAL_95 * np.sqrt(squares), np.nan)


def variances_of(lambdas: Ints, numbers: Numbers) -> Variances | None:
    """Of residuals about a curve, at `lambdas` int64 [n] in ten-thousandths; None where nobody shares an image.

    At each λ by analysis of variance (`agreement.one_way`), drawn to that of all λ as if that were `POOLED` degrees of
    freedom more; none below 0.
    """
    overall = one_way(numbers.values, numbers.groups)
    if overall is None:
        return None
    shown, level = np.unique(np.abs(lambdas - 5000), return_inverse=True)
    n_levels, sizes = len(shown), numbers.sizes.astype(np.float64)
    n, squares = np.bincount(level, sizes, n_levels), np.bincount(level, sizes**2, n_levels)
    k = np.bincount(level, sizes > 0, n_levels)
    centres = np.bincount(level, sizes * numbers.means, n_levels) / np.maximum(n, 1)
    about = np.bincount(level, sizes * (numbers.means - centres[level]) ** 2, n_levels)
    rest = np.bincount(level, sizes * numbers.spreads**2, n_levels)

    within = (rest + POOLED * overall.within) / (n - k + POOLED)
    freedom = np.maximum(k - 1, 0)
    each = np.maximum(n - squares / np.maximum(n, 1), 1e-12)  # n₀ · (k − 1)
    between = np.where(freedom > 0, (about - freedom * within) / each, 0.0)
    between = np.maximum((freedom * between + POOLED * overall.between) / (freedom + POOLED), 0.0)
    by_lambda = {
        str(5000 - apart): {"between": one, "within": other}
        for apart, one, other in zip(shown.tolist(), between.tolist(), within.tolist(), strict=True)
    }
    return Variances(
        between[level],
        within[level],
        _of_means(lambdas, sizes, between[level], within[level]),
        by_lambda,
    )


def _of_means(lambdas: Ints, sizes: Floats, between: Floats, within: Floats) -> Floats:
    """The variance of the mean of all answers at the λ of each unit, float64 [n]: (τ²·Σnᵢ² + σ²·N) / N²."""
    _, level = np.unique(lambdas, return_inverse=True)
    n, squares = np.bincount(level, sizes)[level], np.bincount(level, sizes**2)[level]
    known = n > 0
    return np.where(known, (between * squares + within * n) / np.where(known, n, 1.0) ** 2, np.nan)
