"""Figures read in grey and by people who see colour differently: by symbol, pattern, lightness or number, too."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from hilmix.drawing import COLOURS, HATCHES, MARKERS, _hatch, draw
from hilmix.drawing_panels import SHADES
from tests.hub.test_figures import figure

LOOK = (Path(__file__).parents[2] / "static/js/figures/look.js").read_text("utf-8")
PANELS = (Path(__file__).parents[2] / "static/js/figures/panels.js").read_text("utf-8")
# What is seen of linear red, green and blue: Machado, Oliveira & Fernandes, IEEE TVCG 2009, severity 1.
SEEN = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip
WHITE = np.array([0.95047, 1.0, 1.08883])
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    """sRGB as linear light, float64 [3]."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*, a*, b* of linear light."""
    x, y, z = np.cbrt(np.clip(XYZ @ light, 0, None) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def listed(name: str, text: str = LOOK) -> tuple[str, ...]:
    found = re.search(rf"const {name} = \[([^\]]*)\]", text)
    assert found
    return tuple(re.findall(r"#[0-9a-f]{6}", found[1]))


def test_paper_and_screen_have_the_same_colours():
    assert listed("ON_LIGHT") == COLOURS
    assert listed("SHADES", PANELS) == SHADES


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("palette", ["ON_LIGHT", "ON_DARK"])
def test_colours_are_told_apart_by_people_who_see_them_differently(seen, palette):
    """No two nearer than 9 of CIE 1976; 2.3 is just seen. Each has a symbol of its own beside it."""
    colours = [lab(np.clip(np.array(SEEN[seen]) @ linear(one), 0, 1)) for one in listed(palette)]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(colours, 2)) > 9


def test_ten_groups_have_a_symbol_each_on_paper_and_on_the_screen():
    symbols = re.search(r"const SYMBOLS = \[([^\]]*)\]", LOOK)
    assert symbols
    names = re.findall(r'"([^"]+)"', symbols[1])
    assert len(set(names)) == len(set(MARKERS)) == 10
    # 20 arms: those of one symbol have another colour.
    for n, palette in ((len(names), listed("ON_LIGHT")), (len(MARKERS), COLOURS)):
        assert len({(group % n, group % len(palette)) for group in range(20)}) == 20


def test_what_goes_from_little_to_much_goes_from_light_to_dark():
    lightness = [lab(linear(one))[0] for one in SHADES]
    assert lightness == sorted(lightness, reverse=True)
    assert lightness[0] - lightness[-1] > 60
    on_dark = [lab(linear(one))[0] for one in listed("ON_DARK", PANELS)]
    assert on_dark == sorted(on_dark)


def test_no_two_of_twelve_bars_have_the_same_pattern():
    assert len({_hatch(place) for place in range(2 * len(HATCHES))}) == 2 * len(HATCHES)


def heat(values: np.ndarray) -> str:
    """A heat map as SVG; its texts stand in comments."""
    rows, columns = values.shape
    cells = [(c, r, float(values[r, c]), 9) for r in range(rows) for c in range(columns)]
    return draw(
        figure("heat")
        | {
            "series": [{"name": "all", "points": cells, "group": 0, "style": "line"}],
            "x_categories": [f"c{c}" for c in range(columns)],
            "y_categories": [f"r{r}" for r in range(rows)],
        },
        "",
        "svg",
    ).decode()


def test_a_heat_map_on_both_sides_of_0_says_the_sign_where_colours_do_not():
    small = heat(np.array([[-0.25, 0.5], [0.125, -0.5]]))
    assert {"<!-- −0.25 -->", "<!-- +0.5 -->", "<!-- +0.12 -->", "<!-- −0.5 -->"} <= set(
        re.findall(r"<!-- .*? -->", small)
    )
    large = np.ones((4, 40))
    large[:, :7] = -1
    assert heat(large).count("<!-- − -->") == 28
    assert "<!-- − -->" not in heat(np.abs(large))


def test_the_floor_of_each_arm_has_the_symbol_of_its_arm():
    line = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]
    series = [{"name": f"{n}, floor", "points": line, "group": n, "style": "dashed"} for n in range(3)]
    drawn = draw(figure("curve") | {"series": series}, "", "svg").decode()
    bare = draw(
        figure("curve") | {"series": [{**one, "style": "faint"} for one in series]}, "", "svg"
    ).decode()
    assert drawn.count("<use ") > bare.count("<use ")
