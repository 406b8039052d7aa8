"""Every arm against every other, change by change: how often what both have right breaks, and which images one of them
breaks and the other does not.

Computed by the job that writes a report, and kept as arrays (`storing`), of which a page reads one pair. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import risk, robustness
from training.evaluation.components import Drawn, Measured
from training.evaluation.metrics import Floats
from training.evaluation.resampling import resampled
from training.evaluation.robustness import Assessment
from training.reports.estimating import estimated
from training.reports.inputs import ArmResult, RunResult
from training.reports.robustness.compared import FLIP_COLUMNS, FLIPS, Compared, Row

OF_ONE = 2  # images, at most, that one arm breaks and the other holds under one transform


def compare_arms(arms: Sequence[ArmResult]) -> Compared | None:
    """None where no arm has what changes did to each image with all its seeds, on the same images and changes."""
    usable: list[ArmResult] = []
    for arm in arms:
        if arm.runs and all(run.robustness is not None for run in arm.runs) and _fits(arm, usable):
            usable.append(arm)
    if not usable:
        return None
    first = _assessment(usable[0].runs[0])
    names = dict.fromkeys(name for name, _ in first.transforms)
    rows: tuple[Row, ...] = (*((name, 0) for name in names), *first.transforms)
    pairs = tuple(combinations(range(len(usable)), 2))
    found = [_pair(usable[i], usable[j], rows) for i, j in pairs]
    return Compared(
        arms=tuple(arm.name for arm in usable),
        rows=rows,
        alone=np.array([_alone(arm, rows) for arm in usable], dtype=np.float32),
        pairs=pairs,
        apart=np.array([one.apart for one in found], dtype=np.float32).reshape(-1, len(rows), 9),
        flips=np.array([one.flips for one in found]).reshape(-1, 2, FLIPS, len(FLIP_COLUMNS)),
        n_both=np.array([one.n_both for one in found], dtype=np.float64),
        n_seeds=np.array([one.n_seeds for one in found], dtype=np.int64),
        flip_seed=np.array([one.flip_seed for one in found], dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    apart: Floats
    flips: Floats
    n_both: float
    n_seeds: int
    flip_seed: int


def _fits(arm: ArmResult, others: Sequence[ArmResult]) -> bool:
    first = _assessment((others[0] if others else arm).runs[0])
    try:
        for run in arm.runs:
            robustness.check_same_images(first, _assessment(run))
    except DataError:
        return False
    return True


def _assessment(run: RunResult) -> Assessment:
    assert run.robustness is not None
    return run.robustness


def _alone(arm: ArmResult, rows: Sequence[Row]) -> Floats:
    each = [_assessment(run) for run in arm.runs]
    n = min(int(one.right.sum()) for one in each)
    try:
        found = resampled([_figures(one, rows) for one in each], len(each[0].labels))
    except DataError:
        found = {}
    return np.array([_three(found.get(_key(row)), n) for row in rows])


def _figures(one: Assessment, rows: Sequence[Row]) -> Callable[[Floats], Mapping[str, Floats]]:
    rates = risk.row_figures(one, one.right)
    return lambda weights: dict(zip(map(_key, rows), rates(weights).T, strict=True))


def _key(row: Row, side: str = "") -> str:
    return f"{side} {row[0]} {row[1]}"


def _three(one: Measured | None, n: int) -> tuple[float, float, float]:
    """A break rate and its interval."""
    return _ends(None if one is None else estimated(one, 0, 1, n))


def _ends(told: Mapping[str, Any] | None) -> tuple[float, float, float]:
    if told is None:
        return np.nan, np.nan, np.nan
    low, high = told["interval"] or (np.nan, np.nan)
    return told["value"], low, high


def _pair(one: ArmResult, other: ArmResult, rows: Sequence[Row]) -> _Pair:
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    each = [
        (_assessment(one.runs[one.seeds.index(seed)]), _assessment(other.runs[other.seeds.index(seed)]))
        for seed in seeds
    ]
    n_both = [int((a.right & b.right).sum()) for a, b in each]
    least = min(n_both, default=0)
    found: dict[str, Measured] = {}
    if least:
        found = resampled([_both(a, b, rows) for a, b in each], len(each[0][0].labels))
    apart = []
    for row in rows:
        first, second = found.get(_key(row, "a")), found.get(_key(row, "b"))
        less = None if first is None or second is None else _less(first, second)
        apart.append((*_three(first, least), *_three(second, least), *_ends(less)) if less else [np.nan] * 9)
    flips = np.full((2, FLIPS, len(FLIP_COLUMNS)), np.nan)
    if each:
        run = one.runs[one.seeds.index(seeds[0])]
        flips = np.stack([_flips(*each[0], run, rows), _flips(*each[0], run, rows, turned=True)])
    return _Pair(
        np.array(apart),
        flips,
        float(np.mean(n_both)) if n_both else 0.0,
        len(seeds),
        seeds[0] if seeds else -1,
    )


def _less(first: Measured, second: Measured) -> Mapping[str, Any]:
    assert isinstance(first, Drawn)
    return estimated(first.minus(second))


def _both(a: Assessment, b: Assessment, rows: Sequence[Row]) -> Callable[[Floats], Mapping[str, Floats]]:
    """Break rates of both on what both have right, of weights [D, N]."""
    alike = a.right & b.right
    first, second = risk.row_figures(a, alike), risk.row_figures(b, alike)

    def figures(weights: Floats) -> dict[str, Floats]:
        return {
            _key(row, side): rates
            for side, every in (("a", first(weights)), ("b", second(weights)))
            for row, rates in zip(rows, every.T, strict=True)
        }

    return figures


def _flips(
    a: Assessment, b: Assessment, run: RunResult, rows: Sequence[Row], *, turned: bool = False
) -> Floats:
    """Images that `a` breaks and `b` holds (`turned`: the other way round), by how much probability the label lost in
    the one that broke; each image once, both right without a change."""
    broken, held = (b, a) if turned else (a, b)
    alike = broken.broke & ~held.wrong_under & held.right
    drop = np.where(alike, broken.p_label - broken.p_label_under, -np.inf)
    worst, most = drop.argmax(axis=0), drop.max(axis=0)
    found: list[tuple[float, ...]] = []
    used: dict[str, int] = {}
    for image in np.argsort(-most, kind="stable"):
        k = int(worst[image])
        name = a.transforms[k][0]
        if len(found) == FLIPS or not np.isfinite(most[image]):
            break
        if used.get(name, 0) < OF_ONE:
            used[name] = used.get(name, 0) + 1
            number = image if run.numbers is None else run.numbers[image]
            sides = (
                (one.p_label[image], one.p_label_under[k, image], one.predicted_under[k, image])
                for one in (a, b)
            )
            place = rows.index(a.transforms[k])
            found.append((number, a.labels[image], place, *(value for side in sides for value in side)))
    table = np.full((FLIPS, len(FLIP_COLUMNS)), np.nan)
    table[: len(found)] = np.array(found, dtype=np.float64).reshape(-1, len(FLIP_COLUMNS))
    return table
