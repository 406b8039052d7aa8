"""Figures on paper and as data: every kind is drawn in either place, and says the same."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image, ImageColor

from hilmix import drawing
from hilmix.figures import Figure, Kind, Series, Table, as_csv

ROOT = Path(__file__).parents[2]
BAND = ((0.1, 0.14, 0.1, 0.2), (0.5, 0.48, 0.4, 0.5), (0.9, None, None, None))
POINTS = {
    "curve": BAND,
    "reliability": ((0.5, 0.4, 10), (0.9, 0.8, 100)),
    "scatter": ((0.1, 0.2, 3), (0.4, 0.1, 9), (0.5, None, 2)),
    "bars": ((0, 0.51, 0.5, 0.52), (1, 0.53, None, None)),
    "heat": ((0, 0, 0.2, 4), (1, 0, None, 0), (0, 1, -0.1, 5), (1, 1, 0.3, 6)),
    "forest": ((0, 0.8, 0.7, 0.9), (1, 0.1, None, None)),
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
        **({"x_categories": ("low", "high"), "y_categories": ("cat–dog", "car–van")} | more),
    ).as_dict()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_is_drawn_on_paper_with_what_is_not_known_left_out(kind):
    drawn = figure(kind, reference=0.5, diagonal=True)
    picture = Image.open(io.BytesIO(drawing.draw(drawn, "", "png"))).convert("RGB")
    assert min(picture.size) > 600
    drawn_in = {colour for _n, colour in picture.getcolors(1 << 24)}
    # Of a heat map, what is below and above 0; else both series.
    wanted = [(127, 59, 8), (45, 0, 75)] if kind == "heat" else map(ImageColor.getrgb, drawing.COLOURS[:2])
    for wanted_colour in wanted:
        assert any(_alike(colour, wanted_colour) for colour in drawn_in)
    paper = drawing.draw(drawn, "", "pdf")
    assert paper.startswith(b"%PDF")
    assert paper == drawing.draw(drawn, "", "pdf")


NOTHING = {"curve": (), "reliability": (), "scatter": (), "bars": (), "heat": (), "forest": ()}
ODD = {
    "curve": ((0.1, None), (None, 0.2)),
    "reliability": ((0.5, 0.4, 0),),
    "scatter": ((0.1, 0.2, None), (0.3, 0.1, 0)),
    "bars": ((0, None),),
    "heat": ((0, 0, None, 0),),
    "forest": ((0, 0.5),),
}


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("points", [NOTHING, ODD])
def test_little_or_nothing_to_draw_is_drawn_all_the_same(kind, points, monkeypatch):
    monkeypatch.setitem(POINTS, kind, points[kind])
    assert drawing.draw(figure(kind, reference=0.5, diagonal=True), "", "png").startswith(b"\x89PNG")


def test_every_kind_has_a_renderer_in_the_browser_and_one_on_paper():
    script = (ROOT / "static/js/figures.js").read_text("utf-8")
    named = re.search(r"const KINDS = \{ (.+) \};", script)[1].split(", ")
    assert named == list(get_args(Kind)) == list(drawing._RENDERERS)


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
    for later in ("reading", "x_categories", "y_categories", "reference", "diagonal"):
        del drawn[later]
    assert drawing.draw(drawn, "", "png")
