"""How answers came about: times along the trials, and how many answers each image or pair has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hilmix.core.analysis.table import AnswerTable, Ints

MOST_POSITIONS = 60  # that are told one by one; more are put together


@dataclass(frozen=True)
class Times:
    """Milliseconds on the page of `n` answers at positions `first` to `last` (from 1): quartiles and median."""

    first: int
    last: int
    n: int
    low: float
    median: float
    high: float


def times(answers: AnswerTable) -> Iterator[Times]:
    """Along the trials of a participant, of the answers whose times were kept."""
    timed = answers.where(~np.isnan(answers.rt_ms))
    if not len(timed):
        return
    width = int(timed.position.max()) // MOST_POSITIONS + 1
    for step in np.unique(timed.position // width):
        here = timed.rt_ms[timed.position // width == step]
        low, median, high = np.quantile(here, [0.25, 0.5, 0.75])
        yield Times(
            int(step * width) + 1, int((step + 1) * width), len(here), float(low), float(median), float(high)
        )


def quantiles_ms(answers: AnswerTable) -> tuple[float, float, float] | None:
    """The tenth, the median and the ninetieth percentile of all times; None where none were kept."""
    kept = answers.rt_ms[~np.isnan(answers.rt_ms)]
    if not len(kept):
        return None
    low, median, high = np.quantile(kept, [0.1, 0.5, 0.9])
    return float(low), float(median), float(high)


def coverage(answers: AnswerTable, n_units: int) -> Ints:
    """How many of the `n_units` that there are have 0, 1, 2 … answers: int64 [most + 1]."""
    counts = np.bincount(np.unique(answers.unit, return_counts=True)[1], minlength=1)
    counts[0] = max(0, n_units - counts.sum())
    return counts
