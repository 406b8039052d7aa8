"""Of many arms a figure draws a few at first; the others are ticked beside it, by keyboard too."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import enter_as, expect_accessible, told_by

pytestmark = pytest.mark.browser

# The world of the security tests, with the report of seven made-up arms in place of its own.
WORLD = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.world import made_world
from tests.training.reported import arm, report as made_report
from tests.training.test_diagnosis_page import CLASSES, GOOD, healthy, runs
world = ExitStack().enter_context(made_world(settings.VAR))
report = world.experiment.report
arms = [arm(f"arm {number}", runs(healthy(), GOOD)) for number in range(7)]
contrasts = [{"arm": "arm 6", "against": "arm 5"}]
report.content = made_report(arms, config={"validation": 120, "contrasts": contrasts}, classes=CLASSES)
report.save()
print(json.dumps({"page": world.address("diagnosis"), "session": world["owner"].session}))
"""
# Thick lines, but for references.
DRAWN = """(place) => echarts.getInstanceByDom(place).getOption().series
  .filter(({ type, lineStyle }) => type === "line" && lineStyle.width === 2 && lineStyle.type !== "dashed")
  .map(({ name }) => name)"""


@pytest.fixture(scope="module")
def made(start_instance):
    return told_by(start_instance, WORLD)


def opened(made, open_window, part: str, width: int) -> Page:
    instance, told = made
    page: Page = open_window({"width": width, "height": 860})
    enter_as(page, told["session"], instance.url)
    page.goto(instance.url + told["page"].replace("diagnosis/", part))
    return page


def test_of_seven_arms_four_are_drawn_and_the_others_are_ticked(made, open_window):
    page = opened(made, open_window, "parts/curves/", 390)
    figure = page.locator('[data-figure="train_loss"]')
    place = figure.locator(".figure-canvas[data-drawn]")
    expect(place).to_be_visible()
    first = page.evaluate("() => JSON.parse(document.getElementById('figures').textContent)[0].first")
    assert len(first) == 4
    assert {"arm 5", "arm 6"} <= set(first)
    assert sorted(place.evaluate(DRAWN)) == sorted(first)
    figure.get_by_text("Drawn at first: 4 of 7").click()
    left_out = next(name for name in (f"arm {number}" for number in range(7)) if name not in first)
    figure.get_by_label(left_out).press(" ")
    assert sorted(place.evaluate(DRAWN)) == sorted([*first, left_out])
    figure.get_by_label(first[0]).uncheck()
    assert first[0] not in place.evaluate(DRAWN)
    expect_accessible(page)


def test_what_was_drawn_before_its_part_was_folded_is_drawn_anew_in_other_colours(made, open_window):
    page = opened(made, open_window, "", 1280)
    part = page.locator("#curves > details > summary")
    place = page.locator('[data-figure="train_loss"] .figure-canvas')
    part.click()
    expect(page.locator('[data-figure="train_loss"] .figure-canvas[data-drawn]')).to_be_visible()
    inked = "(place) => echarts.getInstanceByDom(place).getOption().legend[0].textStyle.color"
    ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    light = place.evaluate(inked)
    assert light == page.evaluate(ink)
    part.click()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ink) != light
    part.click()
    expect(place).to_be_visible()
    page.wait_for_function(
        "([place, ink]) => echarts.getInstanceByDom(place).getOption().legend[0].textStyle.color === ink",
        arg=[place.element_handle(), page.evaluate(ink)],
    )
