"""Draws figures (hilmix.figures) for paper: PNG, PDF and SVG by matplotlib, one renderer a kind.

Takes a figure as a report or an analysis stores it (`Figure.as_dict`). The same figure gives the same bytes within one
version of matplotlib. matplotlib is loaded when something is drawn, so that the web process starts without it.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from hilmix.drawing_panels import PANELS, Pictures, height_of
from hilmix.figures import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Paper

Format = Literal["png", "pdf", "svg"]
Drawn = Mapping[str, Any]  # a figure, or one of its series, as it is stored

WIDTH, HEIGHT, DPI = 7.0, 4.3, 160  # inches, and dots an inch of a PNG
ROW = 0.28  # inches for each row of a figure with named rows
# Without a date the same figure is the same file.
DATELESS: dict[Format, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None, "Creator": None},
}
# As in the browser, after Okabe and Ito; markers and line styles tell apart what is printed in grey.
COLOURS = ("#0072b2", "#c24e00", "#00785a", "#a3487f", "#724b00", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# The first for groups that have a colour to themselves, the others for those that come when all colours were used.
LINES = ("-", (0, (7, 1.5, 1, 1.5)), (0, (1, 1.5)), (0, (9, 3)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++")
GREYED = ("curve", "reliability")  # kinds of which lines may stand behind others
BEHIND = "#999999"  # of a line that stands behind the others
VALUED = (30, 14)  # rows and columns of a heat map, with which numbers still fit its cells
LIGHT = 0.5  # from which on black is more legible than white
DOTTED: dict[str, Any] = {"color": "#777777", "linestyle": ":", "linewidth": 1.2, "zorder": 0}


def draw(figure: Drawn, watermark: str, format: Format, pictures: Pictures | None = None) -> bytes:
    """The figure as the bytes of a PNG, PDF or SVG file; `watermark` (empty for none) stands across it.

    `pictures` are the images of a gallery by their addresses, uint8 [H, W] or [H, W, C]; in place of one that is not
    there stands what it shows in words.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = _few(_as_written({key: value for key, value in figure.items() if key != "table"}))
    kind = figure["kind"]
    named_rows = len(figure.get("y_categories", ()))
    height = height_of(figure) if kind in PANELS else max(HEIGHT, 1.6 + ROW * named_rows)
    paper = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(paper)
    if kind in PANELS:
        paper.suptitle(figure["title"], x=0.01, ha="left", fontsize=11)
        PANELS[kind](paper, figure, pictures or {})
    else:
        _draw_axes(paper, figure)
    if watermark:
        look: dict[str, Any] = {
            "color": "#b00020",
            "alpha": 0.25,
            "fontsize": 20,
            "weight": "bold",
            "ha": "center",
            "va": "center",
            "zorder": 10,
        }
        whole = paper.axes[0].transAxes if len(paper.axes) == 1 else paper.transFigure
        paper.text(0.5, 0.5, watermark.upper(), transform=whole, rotation=20, **look)
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": figure["key"]}):
        paper.savefig(file, format=format, dpi=DPI, metadata=DATELESS[format])
    return file.getvalue()


def _as_written(told: Any) -> Any:
    """The same with its dollar signs: matplotlib takes what stands between two of them for mathematics, and fails
    where it is none."""
    if isinstance(told, str):
        return told.replace("$", "\\$")
    if isinstance(told, Mapping):
        return {key: _as_written(value) for key, value in told.items()}
    return [_as_written(one) for one in told] if isinstance(told, (list, tuple)) else told


def _few(figure: Drawn) -> Drawn:
    """Of many series those that are to be seen first. Of curves the others stand grey behind them, else the title says
    how many there are. Panels all have their place."""
    if not figure.get("first") or figure["kind"] in PANELS:
        return figure
    named = [one for one in figure["series"] if one["style"] == "line"]
    others = {one["group"] for one in named if one["name"] not in figure["first"]}
    shown = [one for one in figure["series"] if one["group"] not in others]
    if figure["kind"] not in GREYED:
        n = len(named)
        return {**figure, "series": shown, "title": f"{figure['title']} ({n - len(others)} of {n})"}
    look = {"style": "behind", "name": f"{len(others)} other{'s' * (len(others) != 1)}"}
    return {**figure, "series": [*shown, *({**one, **look} for one in named if one["group"] in others)]}


def _draw_axes(paper: Paper, figure: Drawn) -> None:
    """What has one pair of axes, with its title, names and legend."""
    axes = paper.add_subplot()
    _RENDERERS[figure["kind"]](axes, figure)
    axes.set_title(figure["title"], loc="left", fontsize=11)
    axes.set_xlabel(figure["x_label"])
    axes.set_ylabel(figure["y_label"])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        named = dict(zip(labels, handles, strict=True))
        paper.legend(
            named.values(), named.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False
        )


def _curve(axes: Axes, figure: Drawn) -> None:
    _reference(axes, figure)
    # Where each line has a reference of its own, in its colour, the line alone is named.
    several = sum(series["style"] == "dashed" for series in figure["series"]) > 1
    lines = {series["group"] for series in figure["series"] if series["style"] == "line"}
    for series in figure["series"]:
        points = [[_number(value) for value in point] for point in series["points"]]
        faint, dashed = series["style"] == "faint", series["style"] == "dashed"
        behind = series["style"] == "behind"
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            color=BEHIND if behind else _colour(series),
            linestyle="--" if dashed else "-" if behind else _line(series),
            linewidth=0.8 if faint or behind else 1.6,
            alpha=0.4 if faint else 1.0,
            marker=None if faint or behind else _marker(series),
            markevery=[len(points) - 1] if dashed and points else None,  # whose reference it is, in grey too
            markersize=4,
            label="_hidden" if faint or (dashed and several and series["group"] in lines) else series["name"],
            zorder=1.5 if behind else None,
        )
        if points and not behind and all(len(point) > 2 for point in points):
            columns = list(zip(*points, strict=True))
            axes.fill_between(
                columns[0], columns[2], columns[3], color=_colour(series), alpha=0.18, linewidth=0
            )
    if figure.get("log_y"):
        axes.set_yscale("log")


def _reliability(axes: Axes, figure: Drawn) -> None:
    axes.plot([0, 1], [0, 1], **DOTTED)
    fore = [series for series in figure["series"] if series["style"] != "behind"]
    pale = min(0.18, 0.6 / max(1, len(fore)))  # many lie on each other
    for series in figure["series"]:
        columns = _columns(series)
        if series["style"] == "behind":
            axes.plot(*columns[:2], color=BEHIND, linewidth=0.8, alpha=0.7, label=series["name"], zorder=1)
            continue
        axes.plot(*columns[:2], color=_colour(series), linestyle=_line(series), linewidth=0.8, alpha=0.5)
        if len(columns) > 4:
            axes.vlines(columns[0], columns[3], columns[4], color=_colour(series), linewidth=5, alpha=pale)
    _dots(axes, {"series": fore})
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _scatter(axes: Axes, figure: Drawn) -> None:
    _reference(axes, figure)
    _dots(axes, figure)


def _dots(axes: Axes, figure: Drawn) -> None:
    largest = 110 if len(figure["series"]) == 1 else 40  # several should not cover each other
    for series in figure["series"]:
        columns = _columns(series)
        behind = [0 if math.isnan(n) else n for n in columns[2]] if len(columns) > 2 else []
        sizes = [10 + largest * n / (max(behind) or 1) for n in behind] if behind else 16
        thin = columns[5] if len(columns) > 5 else [0.0] * len(columns[0])
        look: dict[str, Any] = {
            "edgecolors": _colour(series),
            "facecolors": ["white" if few else _colour(series) for few in thin],
            "marker": _marker(series),
            "alpha": 0.6,
            "zorder": 3,
        }
        axes.scatter(columns[0], columns[1], s=sizes, **look)
        # The legend's point is full and of one size, whatever the first one is.
        axes.scatter([], [], s=16, color=_colour(series), marker=_marker(series), label=series["name"])


def _bars(axes: Axes, figure: Drawn) -> None:
    _reference(axes, figure)
    width = 0.8 / max(1, len(figure["series"]))
    for place, series in enumerate(figure["series"]):
        columns = _columns(series)
        shift = (place - (len(figure["series"]) - 1) / 2) * width
        xs = [x + shift for x in columns[0]]
        look: dict[str, Any] = {
            "color": _colour(series),
            "hatch": _hatch(place),
            "edgecolor": "white",
        }
        axes.bar(xs, columns[1], width, label=series["name"], **look)
        if len(columns) > 3:
            axes.errorbar(
                xs, columns[1], yerr=_arms(columns[1:]), fmt="none", ecolor="black", capsize=2, linewidth=0.8
            )
    names = figure["x_categories"]
    upright = sum(map(len, names)) > 60
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0, fontsize=8)
    if figure.get("log_y"):
        axes.set_yscale("log")


def _heat(axes: Axes, figure: Drawn) -> None:
    import numpy as np

    cells = np.full((len(figure["y_categories"]), len(figure["x_categories"])), np.nan)
    for column, row, value, *_n in figure["series"][0]["points"]:
        cells[int(row), int(column)] = _number(value)
    known = cells[~np.isnan(cells)]
    if not known.size:
        return
    least, most = known.min(), known.max()
    reach = max(-least, most)
    # What goes to either side of 0 has its middle there; other values go from little to much.
    around = {"cmap": "PuOr", "vmin": -reach, "vmax": reach} if least < 0 < most else {"cmap": "cividis"}
    picture = axes.imshow(cells, aspect="auto", **around)
    assert axes.figure is not None
    axes.figure.colorbar(picture, ax=axes, shrink=0.8)
    _values(axes, cells, signed=bool(least < 0 < most), shade=picture.to_rgba)
    axes.set_xticks(range(len(figure["x_categories"])), figure["x_categories"], fontsize=8)
    axes.set_yticks(range(len(figure["y_categories"])), figure["y_categories"], fontsize=7)


def _values(axes: Axes, cells: Any, *, signed: bool, shade: Callable[..., Any]) -> None:
    """The values in their cells, where they fit; else a minus in what is below 0, as in grey both sides look alike."""
    rows, columns = cells.shape
    fits = rows <= VALUED[0] and columns <= VALUED[1]
    for row, column in itertools.product(range(rows), range(columns)):
        value = cells[row, column]
        if math.isnan(value) or not (fits or (signed and value < 0)):
            continue
        red, green, blue, _ = shade(value)
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > LIGHT else "white"
        said = f"{'+' if signed and value > 0 else ''}{number(value, 2)}"
        said = "≈0" if 0 < abs(value) < 0.0001 else said
        axes.text(column, row, said if fits else "−", ha="center", va="center", fontsize=6, color=ink)


def _forest(axes: Axes, figure: Drawn) -> None:
    if figure.get("reference") is not None:
        axes.axvline(figure["reference"], **DOTTED)
    for place, series in enumerate(figure["series"]):
        columns = _columns(series)
        shift = (place - (len(figure["series"]) - 1) / 2) * 0.18
        look: dict[str, Any] = {
            "color": _colour(series),
            "fmt": _marker(series),
            "capsize": 2,
            "markersize": 5,
        }
        xerr = _arms(columns[1:]) if len(columns) > 3 else None
        axes.errorbar(
            columns[1], [row + shift for row in columns[0]], xerr=xerr, label=series["name"], **look
        )
    axes.set_yticks(range(len(figure["y_categories"])), figure["y_categories"], fontsize=8)
    axes.invert_yaxis()


_RENDERERS: dict[str, Callable[[Axes, Drawn], None]] = {
    "curve": _curve,
    "reliability": _reliability,
    "scatter": _scatter,
    "bars": _bars,
    "heat": _heat,
    "forest": _forest,
}


def _reference(axes: Axes, figure: Drawn) -> None:
    """What points are compared with: y = x, or one value of y."""
    if figure.get("diagonal"):
        shown = [x for series in figure["series"] for x in _columns(series)[0]] or [0, 1]
        ends = min(shown), max(shown)
        axes.plot(ends, ends, **DOTTED)
    if figure.get("reference") is not None:
        axes.axhline(figure["reference"], **DOTTED)


def _columns(series: Drawn) -> list[list[float]]:
    """The points by what they hold, as many as every point has; a value that is not known is not drawn."""
    known = [point for point in series["points"] if all(value is not None for value in point[:2])]
    least = min((len(point) for point in known), default=2)
    return [[_number(point[i]) for point in known] for i in range(least)]


def _arms(estimates: list[list[float]]) -> list[list[float]]:
    """How far an interval reaches below and above its estimate, as matplotlib wants it."""
    values, lows, highs = estimates[:3]
    return [
        [value - low for value, low in zip(values, lows, strict=True)],
        [high - value for value, high in zip(values, highs, strict=True)],
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _colour(series: Drawn) -> str:
    return COLOURS[series["group"] % len(COLOURS)]


def _marker(series: Drawn) -> str:
    return MARKERS[series["group"] % len(MARKERS)]


def _line(series: Drawn) -> Any:
    return LINES[_round(series) % len(LINES)]


def _hatch(place: int) -> str:
    """What tells bars apart in grey: another pattern each, and when all were used finer ones."""
    again = place // len(HATCHES)
    pattern = HATCHES[(place + again) % len(HATCHES)]
    return (pattern * 2 or "oo") if again % 2 else pattern


def _round(series: Drawn) -> int:
    """How often all colours were used before this one: its colour then comes with another marker and line."""
    return int(series["group"]) // len(COLOURS)
