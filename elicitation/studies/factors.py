"""Factors: settings of a study that vary between people or within them, to compare ways of asking.

A factor has levels; a level sets some of the study's settings to other values. Everybody (between) or every trial
(within) has one level of each factor. What a level changes, and reading a study as one level has it, is in ways.py.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VARIES = ("between", "within")
ORDERS = ("blocks", "mixed")
# What a level may set: the settings of the same names, and the texts of the same names.
SETTABLE = (
    *("interface", "options", "perspective", "bonus", "display", "wording"),
    *("instructions", "short_instructions", "comprehension"),
)
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
MAX_CELLS = 64

Levels = Mapping[str, str]  # factor → level
Problems = dict[str, list[str]]


@dataclass(frozen=True)
class Level:
    """One level: its name, and the settings it changes. `options`, `display` and `wording` name only what differs."""

    name: str
    set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Factor:
    """What varies. Levels that vary within a person come in `blocks`, or `mixed` from trial to trial."""

    name: str
    varies: str
    levels: tuple[Level, ...]
    order: str = "blocks"

    def level(self, name: str) -> Level:
        """The level called `name`."""
        return next(level for level in self.levels if level.name == name)


def read_factors(content: Sequence[Mapping[str, Any]]) -> tuple[Factor, ...]:
    """Factors as they stand in a protocol's content."""
    return tuple(
        Factor(**{**factor, "levels": tuple(Level(**level) for level in factor["levels"])})
        for factor in content
    )


def cells_of(factors: Sequence[Factor]) -> list[Levels]:
    """Every combination of levels that differ between people, in a fixed order; one empty cell where nothing does."""
    between = [factor for factor in factors if factor.varies == "between"]
    combined = itertools.product(*([level.name for level in factor.levels] for factor in between))
    return [dict(zip([factor.name for factor in between], names, strict=True)) for names in combined]


def levels_within(factors: Sequence[Factor]) -> list[Levels]:
    """Every combination of levels that one person meets, in a fixed order."""
    return cells_of([Factor(f.name, "between", f.levels) for f in factors if f.varies == "within"])


def factor_problems(factors: Sequence[Factor]) -> Problems:
    """What is wrong with the factors in themselves; whether what they set can be carried out is for the service."""
    said: list[str] = []
    names = [factor.name for factor in factors]
    said += [f"Two factors are called {name!r}." for name in sorted(set(names)) if names.count(name) > 1]
    for factor in factors:
        said += _problems_of(factor)
    n_cells = math.prod(len(factor.levels) for factor in factors)
    if n_cells > MAX_CELLS:
        said.append(f"{n_cells} combinations of levels are too many: at most {MAX_CELLS}.")
    return {"factors": said} if said else {}


def _problems_of(factor: Factor) -> list[str]:
    said = []
    if not NAME.fullmatch(factor.name):
        said.append(f"{factor.name!r} is no name of a factor: lower-case letters, digits, - and _.")
    if factor.varies not in VARIES:
        said.append(f"{factor.name!r} varies 'between' or 'within' people.")
    if factor.order not in ORDERS:
        said.append(f"The order of {factor.name!r} is 'blocks' or 'mixed'.")
    levels = [level.name for level in factor.levels]
    if len(levels) < 2 or len(set(levels)) != len(levels):
        said.append(f"{factor.name!r} needs at least two levels with names of their own.")
    for level in factor.levels:
        if not NAME.fullmatch(level.name):
            said.append(f"{level.name!r} is no name of a level: lower-case letters, digits, - and _.")
        if unknown := sorted(set(level.set) - set(SETTABLE)):
            said.append(f"A level sets {', '.join(SETTABLE)}; not {', '.join(unknown)}.")
    return said
