"""How figures are made: work and baseline side by side in one run, medians of ratios, and a goal for each.

The machine is shared and noisy, so work is compared with a baseline that had the same minutes. A time stands
alone only where its limit is a person's patience.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured figure: the median of `n` repetitions, and whether it reaches its `goal` (">= 0.5")."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool
    n: int

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def at_least(name: str, values: list[float], goal: float, unit: str) -> Figure:
    value = median(values)
    return Figure(name, _rounded(value), unit, f">= {goal:g}", value >= goal, len(values))


def at_most(name: str, values: list[float], goal: float, unit: str) -> Figure:
    value = median(values)
    return Figure(name, _rounded(value), unit, f"<= {goal:g}", value <= goal, len(values))


def speed(
    name: str,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    *,
    goal: float,
    unit: str,
    work: int,
    n: int = 7,
) -> Figure:
    """Our speed over the baseline's, both doing `work` things a call, timed in turn (A B A B …)."""
    pairs = [(seconds_of(ours), seconds_of(baseline)) for _ in range(n + 1)][1:]  # the first warms up
    rates = [work / median(seconds) for seconds in zip(*pairs, strict=True)]
    say(f"{name}: {rates[0]:,.0f} a second, baseline {rates[1]:,.0f}")
    return at_least(name, [theirs / mine for mine, theirs in pairs], goal, unit)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def say(text: str) -> None:
    """Progress goes to standard error; standard output holds figures only."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
