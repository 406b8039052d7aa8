"""Means with intervals that know that one person gave many answers, and intervals by resampling for all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hilmix.core.agreement import clustered_error, t_975
from hilmix.core.analysis.table import Floats, Ints, Mask

Interval = tuple[float, float]
Statistic = Callable[[Floats], float]  # of how often each person or image was drawn, float64 [groups]

RESAMPLED = 1000  # times
LEAST_GROUPS = 4  # people or images, below which resampling says nothing
TOO_FEW = 0.05  # of the resamplings may leave a statistic undefined


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` shares (0–1) by `n_people`, its 95% interval within 0–1 (None for one person), the median."""

    n: int
    n_people: int
    mean: float
    median: float
    interval: Interval | None


def estimate(values: Floats, person: Ints) -> Estimate | None:
    """The mean of float64 [n] `values`, 0–1, clustered by int64 [n] `person`; NaN are left out. None without any."""
    told = ~np.isnan(values)
    values, person = values[told], person[told]
    if not len(values):
        return None
    mean, people = float(values.mean()), len(np.unique(person))
    error = clustered_error(values, person)
    interval = None
    if error is not None:
        low, high = around(mean, error, people)
        interval = max(0.0, low), min(1.0, high)
    return Estimate(len(values), people, mean, float(np.median(values)), interval)


def difference(values: Floats, person: Ints, one: Mask, other: Mask) -> tuple[float, Interval] | None:
    """mean(values[one]) − mean(values[other]) with its interval, clustered by person: whoever gave both is compared
    with themselves as well. None where one side is empty or there is one person only."""
    if not one.any() or not other.any():
        return None
    influence = np.zeros(len(values))
    for side, sign in ((one, 1), (other, -1)):
        influence[side] += sign * (values[side] - values[side].mean()) / side.sum()
    used = one | other
    error = clustered_error(influence[used], person[used], of="sum")
    if error is None:
        return None
    found = float(values[one].mean() - values[other].mean())
    return found, around(found, error, len(np.unique(person[used])))


def around(mean: float, error: float, people: int) -> Interval:
    """The 95% interval of a mean with this standard error over so many people (t, one degree less)."""
    half = t_975(people - 1) * error
    return mean - half, mean + half


def by_level(values: Floats, person: Ints, level: Floats | Ints) -> Iterator[tuple[float, Estimate]]:
    """The estimate at each of the levels (NaN is none), ascending."""
    for one in np.unique(level[~np.isnan(level)]):
        at = level == one
        if (found := estimate(values[at], person[at])) is not None:
            yield float(one), found


def resampled(
    statistic: Statistic, groups: int, rng: np.random.Generator, times: int = RESAMPLED
) -> Interval | None:
    """The 95% percentile interval of a statistic of so many people or images, drawn with replacement.

    None where there are too few of them, or more than a twentieth of the resamplings say nothing (NaN).
    """
    if groups < LEAST_GROUPS:
        return None
    drawn = np.array([statistic(_draw(groups, rng)) for _ in range(times)])
    known = drawn[~np.isnan(drawn)]
    if len(known) < (1 - TOO_FEW) * times:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def correlation(
    x: Floats, y: Floats, person: Ints, rng: np.random.Generator
) -> tuple[float, Interval | None] | None:
    """Pearson's r with its interval by resampling people; None where one of both does not vary."""
    _, index = np.unique(person, return_inverse=True)
    moments = (np.ones(len(x)), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(index, moment) for moment in moments], axis=1)

    def r(weights: Floats) -> float:
        n, sx, sy, sxx, syy, sxy = weights @ sums
        spread = (n * sxx - sx**2) * (n * syy - sy**2)
        return float((n * sxy - sx * sy) / np.sqrt(spread)) if spread > 1e-18 else np.nan

    whole = r(np.ones(len(sums)))
    return None if np.isnan(whole) else (whole, resampled(r, len(sums), rng))


def _draw(groups: int, rng: np.random.Generator) -> Floats:
    return np.bincount(rng.integers(0, groups, groups), minlength=groups).astype(np.float64)
