"""The map of a run's features is brushed with the mouse and chosen from with the keyboard, in a real browser."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import enter_as, told_by

pytestmark = pytest.mark.browser

WORLD = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.world import made_world
world = ExitStack().enter_context(made_world(settings.VAR))
print(json.dumps({"address": world.address("run_explanations"), "session": world["owner"].session}))
"""
N = 32  # images of the made-up map


@pytest.fixture(scope="module")
def made(start_instance):
    return told_by(start_instance, WORLD)


@pytest.fixture
def page(made, open_window) -> Page:
    instance, found = made
    window = open_window({"width": 1280, "height": 900})
    enter_as(window, found["session"], instance.url)
    window.goto(instance.url + found["address"])
    window.locator(".map-canvas[data-drawn]").wait_for()
    return window


def n_chosen(page: Page) -> int:
    return int(re.match(r"\d+", page.locator("#chosen").inner_text())[0])


def drag(page: Page, *places: tuple[float, float]) -> None:
    """With the mouse from place to place of the map, each as shares of its width and height."""
    canvas = page.locator(".map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_a_box_drawn_on_the_map_chooses_its_images_and_goes_again(page):
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")
    drag(page, (0.02, 0.12), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()
    left = n_chosen(page)
    assert 0 < left < N
    page.locator("#colour").select_option("right")  # what was drawn stays
    assert n_chosen(page) == left
    page.get_by_role("button", name="Clear the box").click()
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")
    drag(page, (0.5, 0.12), (0.98, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()
    assert abs(left + n_chosen(page) - N) <= 1  # one may lie on the edge of both
    page.locator("#plane").select_option("pca")  # another plane, on which the box means nothing
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")


def test_one_tool_is_on_and_a_click_on_it_keeps_it(page):
    box, around, move = (
        page.get_by_role("button", name=name) for name in ("Draw a box", "Draw around", "Move")
    )
    for tool, others in ((box, (around, move)), (around, (box, move)), (move, (box, around))):
        if tool is not box:  # which a mouse has from the start
            tool.click()
        for _ in range(2):
            expect(tool).to_have_attribute("aria-pressed", "true")
            for other in others:
                expect(other).to_have_attribute("aria-pressed", "false")
            tool.click()
    drag(page, (0.02, 0.12), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_disabled()
    box.click()
    box.click()
    drag(page, (0.02, 0.12), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()


def test_what_is_drawn_around_is_chosen(page):
    page.get_by_role("button", name="Draw around").click()
    drag(page, (0.012, 0.12), (0.988, 0.12), (0.988, 0.96), (0.012, 0.96), (0.012, 0.13))
    expect(page.locator("#unbrush")).to_be_enabled()
    assert n_chosen(page) == N


def test_the_list_alone_chooses_by_keyboard_and_its_images_are_there(page):
    page.locator("#kind").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#chosen")).to_contain_text(f"12 of {N} images")
    expect(page.locator("#chosen-images li")).to_have_count(12)
    page.locator("#lambda-least").press_sequentially("0.6")
    few = n_chosen(page)
    assert 0 < few < 12
    first = page.locator("#chosen-images li").first
    assert "+" in first.inner_text()
    page.wait_for_function("document.querySelector('#chosen-images img').naturalWidth === 8")
    page.get_by_role("button", name="All images again").press("Enter")
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator("#chosen-images li")).to_have_count(N)
    page.locator("#order").select_option("surest")
    said = page.locator("#chosen-images li").all_inner_texts()
    sure = [float(re.search(r"model: .* (\d\.\d\d)$", text, re.M)[1]) for text in said]
    assert sure == sorted(sure, reverse=True)


def test_the_page_is_accessible_and_fits_a_phone(page):
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    for colour in ("lambda", "entropy", "right", "class"):
        page.locator("#colour").select_option(colour)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
