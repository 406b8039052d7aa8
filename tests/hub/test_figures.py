"""Figures on paper and as data: every kind is drawn in either place, and says the same."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as PaperFigure
from matplotlib.text import Text
from PIL import Image, ImageColor

from hilmix import drawing
from hilmix.drawing_panels import PANELS
from hilmix.figures import (
    Figure,
    Item,
    Kind,
    Picture,
    Series,
    Table,
    as_csv,
    first_seen,
    markdown,
    needs_log,
    show,
)

ROOT = Path(__file__).parents[2]
BAND = ((0.1, 0.14, 0.1, 0.2), (0.5, 0.48, 0.4, 0.5), (0.9, None, None, None))
POINTS = {
    "curve": BAND,
    "reliability": ((0.5, 0.4, 10), (0.9, 0.8, 100)),
    "scatter": ((0.1, 0.2, 3), (0.4, 0.1, 9), (0.5, None, 2)),
    "bars": ((0, 0.51, 0.5, 0.52), (1, 0.53, None, None)),
    "heat": ((0, 0, 0.2, 4), (1, 0, None, 0), (0, 1, -0.1, 5), (1, 1, 0.3, 6)),
    "forest": ((0, 0.8, 0.7, 0.9), (1, 0.1, None, None)),
    "matrix": ((0, 0, 8, 0.8), (1, 0, 2, 0.2), (1, 1, 5, 1.0)),
    "gallery": (),
}
ITEMS = (Item((Picture("/one.png", "a cat"), Picture("/two.png", "a dog")), "a cat taken for a dog"),)
RED, GREEN = (230, 20, 30), (20, 180, 60)
PIXELS = {
    "/one.png": np.full((8, 8, 3), RED, np.uint8),
    "/two.png": np.full((8, 8, 3), GREEN, np.uint8),
}
WANTED = {  # colours that a drawing must have, where they are not those of both series
    "heat": [(127, 59, 8), (45, 0, 75)],  # of what is below and above 0
    "matrix": [(247, 245, 238), (0, 58, 93)],  # of nothing and all
    "gallery": [RED, GREEN],
}


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two colours are hard to tell apart, or one is the other laid thinly on white."""
    thin = tuple(round(255 - 0.6 * (255 - value)) for value in other)
    return min(max(abs(a - b) for a, b in zip(one, ground, strict=True)) for ground in (other, thin)) < 12


def figure(kind: str, **more) -> dict:
    return Figure(
        key="seen",
        kind=kind,
        title="Perceived λ",
        definition="Mean of 20 answers.",
        x_label="shown λ",
        y_label="perceived λ",
        series=(Series("all", POINTS[kind], 0), Series("repeats", POINTS[kind], 1, "dashed")),
        table=Table("What is drawn", ("what", "value"), (("=1+1", -0.5), ("mean", None))),
        source="study “seen”",
        **({"x_categories": ("low", "high"), "y_categories": ("cat–dog", "car–van"), "items": ITEMS} | more),
    ).as_dict()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_is_drawn_on_paper_with_what_is_not_known_left_out(kind):
    drawn = figure(kind, reference=0.5, diagonal=True)
    picture = Image.open(io.BytesIO(drawing.draw(drawn, "", "png", PIXELS))).convert("RGB")
    assert min(picture.size) > (300 if kind == "gallery" else 600)
    drawn_in = {colour for _n, colour in picture.getcolors(1 << 24)}
    for wanted_colour in WANTED.get(kind) or map(ImageColor.getrgb, drawing.COLOURS[:2]):
        assert any(_alike(colour, wanted_colour) for colour in drawn_in)
    paper = drawing.draw(drawn, "", "pdf")
    assert paper.startswith(b"%PDF")
    assert paper == drawing.draw(drawn, "", "pdf")


NOTHING = dict.fromkeys(POINTS, ())
ODD = {
    "curve": ((0.1, None), (None, 0.2)),
    "reliability": ((0.5, 0.4, 0),),
    "scatter": ((0.1, 0.2, None), (0.3, 0.1, 0)),
    "bars": ((0, None),),
    "heat": ((0, 0, None, 0),),
    "forest": ((0, 0.5),),
    "matrix": ((0, 1, 0, None),),
    "gallery": (),
}


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("points", [NOTHING, ODD])
def test_little_or_nothing_to_draw_is_drawn_all_the_same(kind, points, monkeypatch):
    monkeypatch.setitem(POINTS, kind, points[kind])
    drawn = figure(kind, reference=0.5, diagonal=True, items=() if points is NOTHING else ITEMS)
    assert drawing.draw(drawn, "", "png").startswith(b"\x89PNG")


def test_dollar_signs_are_no_mathematics(monkeypatch):
    said = []
    monkeypatch.setattr(
        PaperFigure,
        "savefig",
        lambda self, *_, **__: said.extend(one.get_text() for one in self.findobj(Text)),
    )
    told = {**figure("curve"), "title": r"for $\frac$, not $5"}
    drawing.draw(told, "", "png")
    assert r"for \$\frac\$, not \$5" in said
    monkeypatch.undo()
    assert drawing.draw(told, "", "png").startswith(b"\x89PNG")


def test_every_kind_has_a_renderer_in_the_browser_and_one_on_paper():
    script = (ROOT / "static/js/figures.js").read_text("utf-8")
    named = re.search(r"const KINDS = \{ (.+) \};", script)[1].split(", ")
    assert named == list(get_args(Kind)) == [*drawing._RENDERERS, *PANELS]


def test_simulated_answers_are_marked_across_the_drawing_and_in_the_data():
    plain, marked = (drawing.draw(figure("curve"), text, "png") for text in ("", "simulated participants"))
    assert plain != marked
    assert "# simulated participants\n" in as_csv(figure("curve"), "simulated participants")


def test_a_figures_data_are_its_table_in_full_and_no_formula():
    text = as_csv(figure("bars"))
    assert text.startswith("# Perceived λ\n# Mean of 20 answers.\n# study “seen”\n")
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    assert rows == [["what", "value"], ["'=1+1", "-0.5"], ["mean", ""]]


def test_a_stored_figure_of_an_earlier_version_is_drawn_all_the_same():
    drawn = figure("curve")
    for later in ("reading", "x_categories", "y_categories", "reference", "diagonal", "items"):
        del drawn[later]
    assert drawing.draw(drawn, "", "png")


def _drawn(kind: str, points, monkeypatch) -> list:
    """What one series with these points puts on paper."""
    monkeypatch.setitem(POINTS, kind, points)
    paper = PaperFigure()
    FigureCanvasAgg(paper)
    drawing._RENDERERS[kind](paper.add_subplot(), {**figure(kind), "series": figure(kind)["series"][:1]})
    return paper.axes[0].collections


def test_a_bin_of_few_images_is_hollow_and_has_its_band(monkeypatch):
    full, thin = (0.5, 0.4, 100, 0.45, 0.55, 0), (0.9, 0.8, 3, 0.6, 1.0, 1)
    bands, dots, _named = _drawn("reliability", (full, thin), monkeypatch)
    assert [[tuple(end) for end in one] for one in bands.get_segments()] == [
        [(0.5, 0.45), (0.5, 0.55)],
        [(0.9, 0.6), (0.9, 1.0)],
    ]
    assert [tuple(one[:3]) == (1, 1, 1) for one in dots.get_facecolors()] == [False, True]
    # Of a report that was stored before there were bands.
    dots, _named = _drawn("reliability", (full[:3], thin[:3]), monkeypatch)
    assert not any(tuple(one[:3]) == (1, 1, 1) for one in dots.get_facecolors())


def test_no_two_of_twenty_arms_look_alike_on_paper_in_grey_either():
    looks = [{"group": group} for group in range(20)]
    assert len({(drawing._marker(one), str(drawing._line(one))) for one in looks}) == 20


def many(kind: str) -> dict:
    """Ten series, of which those of every third come first, in this order."""
    series = [Series(f"arm {group}", POINTS[kind], group) for group in range(10)]
    floors = [Series(f"arm {group}, floor", POINTS[kind], group, "dashed") for group in range(10)]
    made = Figure(**(figure(kind) | {"series": (*series, *floors), "table": Table("", (), ())}))
    return first_seen(made, ["arm 9", "nobody", "arm 6", "arm 3"]).as_dict()


def test_of_many_series_four_come_first_and_the_others_stand_grey_behind_them():
    drawn = many("curve")
    assert drawn["first"] == ("arm 9", "arm 6", "arm 3", "arm 0")
    shown = drawing._few(drawn)["series"]
    names = [one["name"] for one in shown if one["style"] == "line"]
    assert names == ["arm 0", "arm 3", "arm 6", "arm 9"]
    assert {(one["style"], one["name"]) for one in shown[8:]} == {("behind", "6 others")}
    assert [one["name"] for one in shown if one["style"] == "dashed"] == [f"{name}, floor" for name in names]
    five = drawing._few(
        {**drawn, "series": drawn["series"][:5], "first": ("arm 0", "arm 1", "arm 2", "arm 3")}
    )
    assert five["series"][-1]["name"] == "1 other"


def test_many_bars_are_as_many_as_the_title_says_and_few_series_are_all_seen():
    drawn = drawing._few(many("bars"))
    assert drawn["title"] == "Perceived λ (4 of 10)"
    assert {one["group"] for one in drawn["series"]} == {0, 3, 6, 9}
    few = first_seen(Figure(**(figure("curve") | {"series": (Series("one", (), 0),)})), ["one"])
    assert few.first == ()


@pytest.mark.parametrize("kind", ["curve", "reliability", "bars"])
def test_many_series_are_drawn_on_paper(kind):
    picture = Image.open(io.BytesIO(drawing.draw(many(kind), "", "png"))).convert("RGB")
    colours = {ImageColor.getrgb(drawing.COLOURS[group % 6]) for group in (0, 3, 9)}
    assert colours <= {colour for _, colour in picture.getcolors(1 << 24)}


@pytest.mark.parametrize(
    ("values", "wide"),
    [([2.3, 0.05], True), ([2.3, 0.5], False), ([5, 0], False), ([None], False), ([], False)],
)
def test_an_axis_is_logarithmic_where_values_reach_over_more_than_a_power_of_ten(values, wide):
    assert needs_log(values) is wide


def test_a_matrix_says_its_counts_and_leaves_them_out_where_they_do_not_fit():
    few, many = ("cat", "dog"), tuple(str(place) for place in range(50))
    for names, said in ((few, ["8", "2", "5"]), (many, [])):
        paper = PaperFigure()
        FigureCanvasAgg(paper)
        drawn = {**figure("matrix"), "x_categories": names, "y_categories": names}
        PANELS["matrix"](paper, drawn, {})
        assert len(paper.axes) == 2
        assert [text.get_text() for text in paper.axes[0].texts] == said


@pytest.mark.parametrize(
    ("group", "named"), [(0, ["all", "repeats"]), (2, ["all", "repeats", "all, floor", "repeats, floor"])]
)
def test_a_dashed_line_is_named_unless_a_line_has_its_colour(group, named):
    names = ("all", "repeats")
    lines = [
        {"name": name, "points": [(0, 1), (1, 2)], "group": place, "style": "line"}
        for place, name in enumerate(names)
    ]
    floors = [
        one | {"name": f"{one['name']}, floor", "group": one["group"] + group, "style": "dashed"}
        for one in lines
    ]
    paper = PaperFigure()
    FigureCanvasAgg(paper)
    axes = paper.add_subplot()
    drawing._curve(axes, {**figure("curve"), "series": [*lines, *floors]})
    assert [name for name in axes.get_legend_handles_labels()[1] if not name.startswith("_")] == named


def test_an_image_that_is_not_there_is_told_in_words():
    paper = PaperFigure()
    FigureCanvasAgg(paper)
    PANELS["gallery"](paper, figure("gallery"), {"/one.png": PIXELS["/one.png"]})
    there, missing = paper.axes
    assert (len(there.images), len(missing.images)) == (1, 0)
    assert missing.texts[0].get_text() == "a dog"


def test_nothing_is_shown_as_less_than_nothing():
    assert [show(one) for one in (-0.0, 0.0, -0.25, None, 3)] == ["0", "0", "−0.25", "–", "3"]


def test_a_bar_or_a_new_line_in_a_cell_does_not_break_a_table_of_markdown():
    text = markdown(("|p − q|", "what"), (("a|b", "one\ntwo"), (0.5, None)))
    assert text.splitlines() == [
        "| \\|p − q\\| | what    |",
        "| --------- | ------- |",
        "| a\\|b      | one two |",
        "| 0.5       | –       |",
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (3.629e-07, "3.629×10⁻⁷"),
        (-6.252e-05, "−6.252×10⁻⁵"),
        (123456.7, "123457"),
        (-3, "−3"),
        (0.0, "0"),
        (0.0372, "0.0372"),
        (None, "–"),
        (3, "3"),
    ],
)
def test_a_number_is_said_for_people_and_never_as_a_program_writes_it(cell, said):
    assert show(cell) == said
