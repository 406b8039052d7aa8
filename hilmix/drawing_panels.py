"""Figures that take a whole sheet of paper, one panel beside the other: matrices and galleries."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Paper
    from numpy.typing import NDArray

Drawn = Mapping[str, Any]
Pictures = Mapping[str, "NDArray[np.uint8]"]

# From little to much, as in the browser; the lightness falls all the way, so that grey print keeps the order.
SHADES = ("#f7f5ee", "#4d9ac7", "#003a5d")
DARK = 0.65  # the shade from which on white is more legible than black
MATRICES, ITEMS = 2, 4  # panels in a row
PANEL, PLACE = 3.4, 1.9  # inches of height of a matrix, and of an item of a gallery
MOST_COUNTED = 20  # classes, with which numbers still fit their cells


def height_of(figure: Drawn) -> float:
    """Inches that the figure needs."""
    if figure["kind"] == "gallery":
        return 0.6 + PLACE * math.ceil(max(1, len(figure["items"])) / ITEMS)
    panels = max(1, len(figure["series"]))
    return 0.6 + (5.6 if panels == 1 else PANEL * math.ceil(panels / MATRICES))


def _matrix(paper: Paper, figure: Drawn, _pictures: Pictures) -> None:
    beside = min(MATRICES, max(1, len(figure["series"])))
    below = math.ceil(max(1, len(figure["series"])) / beside)
    grid = paper.subplots(below, beside, squeeze=False).ravel()
    for axes, series in zip(grid, figure["series"], strict=False):
        _cells(axes, figure, series)
    for axes in grid[len(figure["series"]) :]:
        axes.set_axis_off()


def _cells(axes: Axes, figure: Drawn, series: Drawn) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    columns, rows = figure["x_categories"], figure["y_categories"]
    shade = np.zeros((len(rows), len(columns)))
    size = 7 if len(figure["series"]) == 1 else 5
    for column, row, count, rate in series["points"]:
        shade[int(row), int(column)] = math.sqrt(rate or 0)
        if len(rows) <= MOST_COUNTED and count:
            ink = "white" if shade[int(row), int(column)] > DARK else "black"
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=size, color=ink)
    axes.imshow(shade, cmap=LinearSegmentedColormap.from_list("shades", SHADES), vmin=0, vmax=1)
    axes.set_title(series["name"], fontsize=9)
    axes.set_xlabel(figure["x_label"], fontsize=8)
    axes.set_ylabel(figure["y_label"], fontsize=8)
    every = max(1, math.ceil(len(rows) / 25))
    upright = sum(map(len, columns)) > 30
    axes.set_xticks(
        range(0, len(columns), every), columns[::every], rotation=90 if upright else 0, fontsize=6
    )
    axes.set_yticks(range(0, len(rows), every), rows[::every], fontsize=6)


def _gallery(paper: Paper, figure: Drawn, pictures: Pictures) -> None:
    items = figure["items"]
    sheets = paper.subfigures(max(1, math.ceil(len(items) / ITEMS)), ITEMS, squeeze=False).ravel()
    for sheet, item in zip(sheets, items, strict=False):
        sheet.supxlabel(textwrap.fill(item["caption"], 28), fontsize=7)
        places = sheet.subplots(1, max(1, len(item["images"])), squeeze=False).ravel()
        for axes in places:
            axes.set_xticks([])
            axes.set_yticks([])
        for axes, image in zip(places, item["images"], strict=False):
            _picture(axes, pictures.get(image["address"]), image["words"])


def _picture(axes: Axes, pixels: NDArray[np.uint8] | None, words: str) -> None:
    if pixels is None:
        axes.set_box_aspect(1)
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6, "transform": axes.transAxes}
        axes.text(0.5, 0.5, textwrap.fill(words, 14), **look)
        return
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    axes.imshow(plain, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


PANELS: dict[str, Callable[[Paper, Drawn, Pictures], None]] = {"matrix": _matrix, "gallery": _gallery}
