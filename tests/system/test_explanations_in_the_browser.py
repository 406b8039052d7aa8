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


def strengths(page: Page) -> dict[str, list[float]]:
    """How strongly images are drawn, filled ones and mixed ones, which are hollow."""
    return page.evaluate(
        "() => { const found = { filled: new Set(), hollow: new Set() };"
        " echarts.getInstanceByDom(document.querySelector('.map-canvas')).getModel().eachSeries((series) => {"
        "  const data = series.getData();"
        "  data.each((place) => { const { fill, opacity } = data.getItemVisual(place, 'style');"
        "   found[fill === 'transparent' ? 'hollow' : 'filled'].add(opacity); }); });"
        " return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, [...all].sort()])); }"
    )


def test_a_box_drawn_on_the_map_chooses_its_images_and_goes_again(page):
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")
    drag(page, (0.01, 0.08), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()
    left = n_chosen(page)
    assert 0 < left < N
    assert strengths(page) == {"filled": [0.12, 0.7], "hollow": [0.12, 0.6]}
    page.locator("#colour").select_option("right")  # what was drawn stays
    assert n_chosen(page) == left
    page.get_by_role("button", name="Clear the box").click()
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")
    drag(page, (0.5, 0.08), (0.99, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()
    assert abs(left + n_chosen(page) - N) <= 1  # one may lie on the edge of both
    page.locator("#plane").select_option("pca")  # another plane, on which the box means nothing
    expect(page.locator("#chosen")).to_contain_text(f"{N} of {N} images")


def near(page: Page) -> float:
    return float(page.locator("#near").inner_text().removesuffix(" ×"))


def ends(page: Page) -> list[float]:
    """What is seen of the plane, once it is drawn: from and to, along x and along y."""
    return page.evaluate(
        "() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        " const { xAxis, yAxis } = echarts.getInstanceByDom(document.querySelector('.map-canvas')).getOption();"
        " seen([...xAxis, ...yAxis].flatMap(({ min, max }) => [min, max])); })))"
    )


def test_what_is_zoomed_in_is_moved_and_brushed(page):
    whole = ends(page)
    page.get_by_role("button", name="Zoom in").press("Enter")
    page.get_by_role("button", name="Zoom in").click()
    assert near(page) == 2.3
    left, right, low, high = ends(page)
    assert whole[0] < left < right < whole[1]
    assert whole[2] < low < high < whole[3]
    drag(page, (0.02, 0.12), (0.98, 0.98))  # all that is seen, and nothing else
    expect(page.locator("#unbrush")).to_be_enabled()
    seen = n_chosen(page)
    assert 0 < seen < N

    page.get_by_role("button", name="Clear the box").click()
    page.get_by_role("button", name="Move").click()
    drag(page, (0.3, 0.5), (0.5, 0.5))  # what lies to the left comes in
    moved = ends(page)
    assert moved[0] < left
    assert moved[1] - moved[0] == pytest.approx(right - left)
    assert moved[2:] == pytest.approx([low, high])
    expect(page.locator("#unbrush")).to_be_disabled()
    drag(page, (0.1, 0.5), (0.9, 0.5))
    drag(page, (0.1, 0.5), (0.9, 0.5))
    assert ends(page)[0] == pytest.approx(whole[0])  # never beyond the whole

    page.locator("#colour").select_option("right")  # what is seen stays
    assert near(page) == 2.3
    page.get_by_role("button", name="Whole map").press("Enter")
    assert ends(page) == pytest.approx(whole)
    assert near(page) == 1


def test_the_wheel_zooms_where_it_is_told_to_and_else_scrolls(made, page):
    canvas = page.locator(".map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 120)  # with the box as the tool
    made[0].wait_until(lambda: page.evaluate("scrollY") > before, 15, lambda: "it does not scroll")
    assert near(page) == 1
    page.get_by_role("button", name="Move").click()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    whole = ends(page)
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -120)
    expect(page.locator("#near")).to_have_text("1.5 ×")
    left, right, *_ = ends(page)
    assert left - whole[0] < whole[1] - right  # nearer to where the mouse is
    assert page.evaluate("scrollY") == before
    page.mouse.wheel(0, 120)
    expect(page.locator("#near")).to_have_text("1 ×")


def test_the_map_is_zoomed_and_moved_with_the_keyboard(page):
    whole = ends(page)
    page.locator(".map-canvas").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    left, right, *_ = ends(page)
    assert left - whole[0] < whole[1] - right
    page.keyboard.press("0")
    assert ends(page) == pytest.approx(whole)


def test_two_fingers_zoom_and_one_scrolls_until_the_map_is_zoomed_in(made, open_window):
    instance, found = made
    page = open_window({"width": 390, "height": 844})
    enter_as(page, found["session"], instance.url)
    page.goto(instance.url + found["address"])
    page.locator(".map-canvas[data-drawn]").wait_for()
    canvas = page.locator(".map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)

    def touch(*steps: list[tuple[float, float]]) -> None:
        for kind, step in zip(("touchStart", *("touchMove",) * (len(steps) - 1)), steps, strict=True):
            points = [{"x": one, "y": two, "id": i} for i, (one, two) in enumerate(step)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    touch(*[[(x - 20 - 10 * i, y), (x + 20 + 10 * i, y)] for i in range(5)])
    assert near(page) > 1.5
    before = ends(page)
    scrolled = page.evaluate("scrollY")
    touch(*[[(x, y - 12 * i)] for i in range(6)])
    after = ends(page)
    assert after[2] < before[2]  # the map followed the finger
    assert page.evaluate("scrollY") == scrolled
    page.get_by_role("button", name="Whole map").tap()
    canvas.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    touch(*[[(x, y - 12 * i)] for i in range(6)])
    instance.wait_until(lambda: page.evaluate("scrollY") > scrolled, 15, lambda: "it does not scroll")
    assert near(page) == 1


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
    drag(page, (0.01, 0.08), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_disabled()
    box.click()
    box.click()
    drag(page, (0.01, 0.08), (0.5, 0.98))
    expect(page.locator("#unbrush")).to_be_enabled()


def test_what_is_drawn_around_is_chosen(page):
    page.get_by_role("button", name="Draw around").click()
    drag(page, (0.012, 0.08), (0.988, 0.08), (0.988, 0.96), (0.012, 0.96), (0.012, 0.09))
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
    expect(first.locator("img")).to_have_js_property("naturalWidth", 8)
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
