"""What the sections of an analysis have in common: the answers they look at, and how estimates are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilmix.core.analysis.estimates import Estimate, Interval
from hilmix.core.analysis.table import AnswerTable, Kind
from hilmix.figures import Cell, Figure, Table
from hilmix.hub.analysed import Analysed, Asked

Row = tuple[Cell, ...]
Point = tuple[float | None, ...]
Section = Figure | str  # a figure, or why there is none

INTERVAL = "mean, 95% interval (t), clustered by person"
NO_SHARES = "nobody was asked how much of each image is seen"
NO_MIDPOINTS = "nobody was asked where both images are seen alike"
NO_CLASSES = "nobody was asked about other classes than the two that were mixed"


@dataclass(frozen=True)
class Look:
    """What figures are made of: the answers that labels count, and where these come from, for under each figure."""

    analysed: Analysed
    asked: Sequence[Asked]
    source: str
    seed: int

    def of(self, kind: Kind) -> list[Asked]:
        """The ways in which it was asked for this."""
        return [one for one in self.asked if len(one.answers) and one.answers.kind == kind]

    def main(self, kind: Kind) -> list[tuple[str, AnswerTable]]:
        """All answers but repeats that are a number (or name classes), by the name of the way of asking."""
        found = [(one.name, one.answers.main) for one in self.of(kind)]
        if kind != "classes":
            found = [(name, answers.told) for name, answers in found]
        return [(name, answers) for name, answers in found if len(answers)]

    def named(self, name: str, what: str) -> str:
        """`what` is told of, with the name of the way of asking where there is more than one."""
        return f"{name}: {what}" if len(self.asked) > 1 else what

    @property
    def rng(self) -> np.random.Generator:
        """The same draws for each figure, whatever others are made."""
        return np.random.default_rng(self.seed)

    def figure(self, **parts: Any) -> Figure:
        return Figure(source=self.source, **parts)


def table(caption: str, columns: Sequence[str], rows: Iterable[Row], names: Sequence[str]) -> Table:
    """Of rows that begin with the name of a way of asking, which is left out where there is one only."""
    if len(names) > 1:
        return Table(caption, ("asked", *columns), tuple(rows))
    return Table(caption, tuple(columns), tuple(row[1:] for row in rows))


def cells(one: Estimate) -> Row:
    """n, people, mean, low, high of an estimate."""
    low, high = one.interval or (None, None)
    return one.n, one.n_people, one.mean, low, high


def band(x: float, one: Estimate) -> Point:
    return (x, one.mean, *(one.interval or (None, None)))


def said(one: Estimate) -> str:
    """An estimate in a sentence."""
    if one.interval is None:
        return f"{one.mean:.3f}"
    return f"{one.mean:.3f} ({one.interval[0]:.3f} to {one.interval[1]:.3f})"


ESTIMATE = ("n", "people", "mean", "low", "high")


def r(known: tuple[float, Interval | None]) -> str:
    """A coefficient in a sentence."""
    value, interval = known
    return f"{value:.2f}" if interval is None else f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
