"""An owner lays two arms side by side, looks at images that one of them breaks, and takes a figure away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import enter_as, told_by

pytestmark = pytest.mark.browser

WIDTHS = (1280, 390)
# The world of the security tests, with the report of made-up arms; its images stand for the test images.
WORLD = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.world import made_world
from tests.training.test_robustness_page import content_of, made_arms
from training.reports.robustness import storing
from training.reports.robustness.comparing import compare_arms
world = ExitStack().enter_context(made_world(settings.VAR))
arms = made_arms(numbered=world.image_set.n_images)
report = world.experiment.report
report.content = content_of(arms)
report.content["robustness"]["compared"] = storing.store(world.experiment.pk, compare_arms(arms))
report.save()
print(json.dumps({"page": world.address("robustness"), "session": world["owner"].session}))
"""


@pytest.fixture(scope="module")
def made(start_instance):
    """An instance, the address of the page and the session of an owner."""
    return told_by(start_instance, WORLD)


@pytest.fixture
def opened(made, open_window: Callable[..., Page]) -> Callable[..., Page]:
    def enter(width: int = 1280) -> Page:
        instance, told = made
        page = open_window({"width": width, "height": 860})
        enter_as(page, told["session"], instance.url)
        page.goto(instance.url + told["page"])
        return page

    return enter


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_read_at_both_sizes(opened, width):
    page = opened(width)
    expect(page.locator('[data-figure="differences"] .figure-canvas[data-drawn]')).to_be_visible()
    expect(page.locator("#headline")).to_contain_text("Relative mCE")
    here = page.locator(".parts [aria-current]")
    expect(here).to_be_in_viewport(ratio=1)
    assert page.locator(".parts").bounding_box()["height"] < 60
    assert page.evaluate("document.body.scrollHeight") < (6_000 if width == 390 else 12_000)
    closed = page.locator(".fold > details:not([open]) > summary")
    while closed.count():
        closed.first.click()
    expect(page.locator(".figure-canvas[data-drawn]")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_folded_figure_is_drawn_when_it_is_unfolded_and_again_at_another_size(opened):
    page = opened(390)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.reload()
    canvas = page.locator('[data-figure="severities"] canvas')
    expect(page.locator('[data-figure="differences"] canvas')).to_be_visible()
    expect(canvas).to_have_count(0)
    page.get_by_role("heading", name="By change, group and severity").click()
    expect(canvas).to_be_visible()
    narrow = canvas.bounding_box()["width"]
    page.set_viewport_size({"width": 700, "height": 860})
    page.wait_for_function(
        "wide => document.querySelector('[data-figure=severities] canvas').clientWidth > wide", arg=narrow
    )
    assert said == []


def test_two_arms_are_compared_and_their_failures_seen(opened, tmp_path):
    page = opened()
    expect(page.get_by_role("heading", name="A beside B")).to_be_visible()
    expect(page.locator("#headline")).to_contain_text(
        "B breaks more often than A under: gaussian noise (noise)"
    )
    page.get_by_label("Arm A").select_option("C")
    page.get_by_label("Arm B").select_option("A")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="C beside A")).to_be_visible()
    page.get_by_label("Change drawn by severity").select_option("Rotation")
    page.locator("#by-change").get_by_role("button", name="Draw it").click()
    expect(page.get_by_role("heading", name="Rotation, by severity")).to_be_visible()
    page.get_by_label("Severity, all arms").select_option("3")
    page.locator("#heat-maps").get_by_role("button", name="Draw it").click()
    page.wait_for_url("**#heat-maps")
    expect(page.get_by_role("heading", name="C beside A")).to_be_attached()
    expect(page.get_by_role("heading", name="Rotation, by severity")).to_be_attached()
    expect(page.get_by_role("heading", name="All arms, severity 3")).to_be_visible()
    expect(
        page.locator("#heat-maps > details > summary")
    ).to_be_in_viewport()  # though parts above it unfolded

    images = page.locator('[data-figure="b_breaks"] img')
    images.first.scroll_into_view_if_needed()
    expect(images.first).to_have_js_property("complete", True)
    assert images.first.evaluate("(image) => image.naturalWidth") > 1
    with page.expect_download() as download:
        page.locator('[data-figure="severities"]').get_by_role("link", name="data").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith("# Rotation, by severity")
    assert len(text.splitlines()) == 3 + 1 + 5
