"""How figures and tables of a report are laid out on a page: numbers to the right, an interval below its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import template

from hilmix.figures import Table, show

register = template.Library()

_NUMBER = r"[<>]?\s?[−+-]?\d[\d,.]*(?:\s?×\s?10[⁻⁰¹²³⁴-⁹]+)?(?:\s?%)?"
_WITHIN = re.compile(
    rf"({_NUMBER}) \(({_NUMBER} to {_NUMBER})\)"
)  # as `training.reports.tables.within` writes it
_FIGURE = re.compile(rf"{_NUMBER}(?: ± {_NUMBER})?(?:, \w+)?")
_WORDS = 24  # characters of what may stand beside numbers, as "100 (reference)"


@dataclass(frozen=True)
class Shown:
    """A cell with the head of its column."""

    text: str
    interval: str
    after: str
    head: str
    is_number: bool


@dataclass(frozen=True)
class LaidOut:
    """`of_figures`: most columns hold numbers, so that it is scrolled in a narrow window rather than stacked."""

    heads: list[tuple[str, bool]]
    rows: list[list[Shown]]
    of_figures: bool


@register.filter
def laid_out(table: Table) -> LaidOut:
    """The table as `training/_table.html` shows it."""
    cells = [[show(cell) for cell in row] for row in table.rows]
    heads = [_kept_together(head) for head in table.columns]
    columns = [[row[place] for row in cells] for place in range(len(table.columns))]
    numbers = [bool(place) and _is_of_figures(column) for place, column in enumerate(columns)]
    words = [column for column, is_number in zip(columns[1:], numbers[1:], strict=True) if not is_number]
    return LaidOut(
        list(zip(heads, numbers, strict=True)),
        [[_shown(*one) for one in zip(row, heads, numbers, strict=True)] for row in cells],
        2 * sum(numbers) > len(numbers) - 1
        and all(len(text) <= _WORDS for column in words for text in column),
    )


def _kept_together(text: str) -> str:
    """No line begins with an arrow."""
    return re.sub(r" (?=[↑↓])", "\N{NO-BREAK SPACE}", text)


def _is_of_figures(column: Sequence[str]) -> bool:
    found = [bool(_WITHIN.match(text) or _FIGURE.fullmatch(text)) or text == "–" for text in column]
    return any(found) and all(
        is_one or len(text) <= _WORDS for is_one, text in zip(found, column, strict=True)
    )


def _shown(text: str, head: str, is_number: bool) -> Shown:
    if is_number and (found := _WITHIN.match(text)):
        interval = found[2].replace(" to", "\N{NO-BREAK SPACE}to")
        return Shown(found[1], interval, text[found.end() :], head, is_number)
    return Shown(text, "", "", head, is_number)


@register.filter
def keyed(figures: Iterable[Mapping[str, Any]], keys: str) -> list[Mapping[str, Any]]:
    """Those of the figures that have one of the keys, in the order in which these stand in `keys`."""
    found = {figure["key"]: figure for figure in figures}
    return [found[key] for key in keys.split() if key in found]
