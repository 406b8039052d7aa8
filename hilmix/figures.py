"""Figures as data: what is drawn, what it means and what it was computed from; never how many pixels.

The browser draws a figure on a canvas (`static/js/figures.js`), paper is drawn by matplotlib (`hilmix.drawing`), one
renderer a kind in each; the table stands beside the figure for whoever cannot see it, and is all that a text report
prints. A new kind is one name here and one renderer in either place.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hilmix.core.cells import safe_cell
from hilmix.core.markdown import plain

Kind = Literal["curve", "reliability", "scatter", "bars", "heat", "forest", "matrix", "gallery"]
Style = Literal["line", "faint", "dashed", "behind"]
Cell = str | int | float | None
FEW = 4  # series that are told apart at one look

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_WITHIN_A_LINE = re.compile(r'([,;]\s*"?\s*)(?=[=+@-])')  # where another cell begins, with a formula in it


@dataclass(frozen=True)
class Series:
    """One line of a figure, or one colour of bars or points; series of one `group` share a colour.

    `points` by kind, None for what is not known:

    - curve: (x, y) or (x, y, low, high) in order of x; low and high are drawn as a band.
    - reliability: (confidence, accuracy, n), n predictions behind the point, or (confidence, accuracy, n, low, high,
      thin): the band in which a calibrated accuracy would be, and 1 where so few images say little (drawn hollow).
    - scatter: (x, y) or (x, y, n); the area says n.
    - bars: (place, y) or (place, y, low, high), place in `x_categories`.
    - heat: (column, row, value, n), places in `x_categories` and `y_categories`.
    - forest: (row, estimate, low, high), row in `y_categories`.
    - matrix: (column, row, count, rate), the rate of all in the row; cells that are not given hold nothing. Each
      series is a panel of its own.
    - gallery: none; it has `items`.

    `faint` is one of several behind their mean, `dashed` a reference such as a floor, `behind` another line to compare
    with: thin, light grey, without markers, behind the others.
    """

    name: str
    points: tuple[tuple[float | None, ...], ...]
    group: int
    style: Style = "line"


@dataclass(frozen=True)
class Picture:
    """An image of a gallery: the address on this site that a browser loads it from, and what it shows in
    words."""

    address: str
    words: str


@dataclass(frozen=True)
class Item:
    """What stands together in a gallery: images side by side, and a caption below them."""

    images: tuple[Picture, ...]
    caption: str


@dataclass(frozen=True)
class Table:
    """A table of plain cells; numbers are rounded when they are shown, never here. None is shown as a
    dash."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A figure with all that a reader must know to judge it.

    `definition` says what is drawn and over how much data, `source` names the release, the configuration and
    the code, `reading` says in one sentence what is to be seen. `reference` is a value of y (of x in a forest) that
    points are compared with; `diagonal` draws y = x. `first` names the series to be seen first where there are
    too many for one look (`first_seen`); empty: all. The table has them all.
    """

    key: str
    kind: Kind
    title: str
    definition: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    table: Table
    source: str
    log_y: bool = False
    reading: str = ""
    x_categories: tuple[str, ...] = ()
    y_categories: tuple[str, ...] = ()
    reference: float | None = None
    diagonal: bool = False
    items: tuple[Item, ...] = ()
    first: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON, the form in which a report keeps it."""
        return asdict(self)


def first_seen(figure: Figure, names: Iterable[str]) -> Figure:
    """The figure with those of its series to be seen first where there are more than `FEW`: the ones called so, as far
    as there are any, and then those that come first."""
    lines = [one.name for one in figure.series if one.style == "line"]
    known = [name for name in dict.fromkeys((*names, *lines)) if name in lines]
    return replace(figure, first=tuple(known[:FEW])) if len(lines) > FEW else figure


def needs_log(values: Iterable[float | None]) -> bool:
    """Whether only a logarithmic axis shows them all: they are above 0 and reach over more than a power of ten. Else it
    would only make them look alike."""
    known = [value for value in values if value is not None]
    return bool(known) and 0 < 10 * min(known) < max(known)


def show(cell: Cell) -> str:
    """A cell as people read it: four significant figures at most, a dash for what was not measured."""
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else number(cell)


def number(value: float, figures: int = 4) -> str:
    """A number as people read it: with a true minus, whole from 10,000 on, and below 0.0001 with a power of ten
    ("6.25×10⁻⁵"): nothing that is not 0 is said to be 0. A whole number stays as it is."""
    if isinstance(value, int):
        return str(value).replace("-", "−")
    # Adding 0.0 takes the sign of −0, which nobody means.
    said, _, power = f"{value + 0.0:.{figures}g}".partition("e")
    if power:
        said = f"{value:.0f}" if int(power) > 0 else f"{said}×10{str(int(power)).translate(_RAISED)}"
    return said.replace("-", "−")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The table as Markdown, which is also legible as plain text."""
    cells = [[plain(show(cell)) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def as_csv(figure: Mapping[str, Any], watermark: str = "") -> str:
    """The table of a figure, as it is stored, as a csv file: numbers in full, text that no spreadsheet runs.

    What the figure says of itself stands above the table in lines that begin with `#`.
    """
    told = [figure["title"], figure["definition"], figure["source"], watermark]
    file = io.StringIO()
    file.writelines(f"# {_harmless_line(line)}\n" for line in told if line)
    writer = csv.writer(file, lineterminator="\n")
    for row in (figure["table"]["columns"], *figure["table"]["rows"]):
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return file.getvalue()


def _harmless_line(text: str) -> str:
    """The text on one line, of which no part is a formula where a spreadsheet cuts it into cells."""
    return _WITHIN_A_LINE.sub(r"\1'", " ".join(text.split()))


def _harmless(text: str) -> str:
    """Text that no spreadsheet runs. A lone carriage return, at which spreadsheets begin another row, becomes a line
    feed, which csv puts in quotes."""
    return safe_cell(text.replace("\r", "\n"))
