"""Intervals over images: a bootstrap in which every metric sees the same draws, and Wilson's for shares.

A draw is a row of weights, how often each image was drawn with replacement, so a metric that takes weights is
resampled without copying a prediction (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13: the
percentile interval). What varies is which images were judged; seeds and people are `inference`'s. The percentile
interval is wrong for calibration errors, which are biased upwards; those have theirs in `calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy.stats import binomtest

from training.evaluation.metrics import Floats
from training.evaluation.values import Interval

DRAWS = 1000
LEVEL = 0.95
_AT_ONCE = 500_000  # weights in memory at a time
_ENOUGH = 0.9  # share of the draws in which a metric must be defined to have an interval

Figures = Mapping[str, Floats]


def image_weights(n: int, draws: int = DRAWS, seed: int = 0) -> Iterator[Floats]:
    """Blocks of rows that say how often each of `n` images was drawn: float64 [≤ draws, n], rows summing to n."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // n)
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def bootstrap(
    figures: Callable[[Floats], Figures], n: int, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Each figure on the images as they are, and the ends of its percentile interval.

    Args:
        figures: takes weights float64 [D, n], returns arrays [D, ...] by name, NaN where a figure is not defined.

    Returns values [...] and intervals [2, ...] by name. Ends are NaN where the figure is undefined in more than a
    tenth of the draws.
    """
    values = {key: one[0] for key, one in figures(np.ones((1, n))).items()}
    drawn: dict[str, list[Floats]] = {key: [] for key in values}
    for weights in image_weights(n, draws, seed):
        for key, block in figures(weights).items():
            drawn[key].append(block)
    return values, {key: percentiles(np.concatenate(blocks), level) for key, blocks in drawn.items()}


def percentiles(drawn: Floats, level: float = LEVEL) -> Floats:
    """The central `level` of draws [D, ...] as ends [2, ...], over the draws in which the figure is defined."""
    known = np.isfinite(drawn)
    filled = np.sort(np.where(known, drawn, np.inf), axis=0)
    n = known.sum(axis=0)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        place = share * np.maximum(n - 1, 0)
        below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
        first, second = (np.take_along_axis(filled, at[None], axis=0)[0] for at in (below, above))
        gap = np.where(above > below, second - np.where(above > below, first, 0), 0.0)
        ends.append(first + (place - below) * gap)
    return np.where(n >= _ENOUGH * len(drawn), np.stack(ends), np.nan)


def wilson(share: float, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval (1927) for a share of `n` images; unlike the bootstrap's it is no point at 0 and 1."""
    ends = binomtest(round(share * n), n).proportion_ci(level, method="wilson")
    return float(ends.low), float(ends.high)
