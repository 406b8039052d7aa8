"""An owner reads the diagnosis, goes from a finding to its run, and unfolds what test images say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import enter_as, told_by

pytestmark = pytest.mark.browser

# The world of the security tests, with the report of made-up arms in place of its own.
WORLD = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.world import made_world
from tests.training.test_diagnosis_page import CLASSES, made_arms
from tests.training.reported import report as made_report
world = ExitStack().enter_context(made_world(settings.VAR))
report = world.experiment.report
names = [arm.name for arm in world.experiment.arms.all()]
report.content = made_report(made_arms(names), config={"validation": 120}, classes=CLASSES)
report.save()
print(json.dumps({"page": world.address("diagnosis"), "session": world["owner"].session}))
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


def test_a_finding_is_followed_and_test_images_are_unfolded(opened):
    page = opened(390)
    expect(page.locator("#others")).to_contain_text("not assessed (needs")
    expect(page.locator("#conservative > details > summary")).to_contain_text(
        "precision − recall > 0.15 for a class"
    )
    expect(page.locator("#over_fitting > details[open]")).to_have_count(0)
    assert page.evaluate("document.body.scrollHeight") < 6_000
    page.get_by_role("heading", name="All that was looked for").click()
    page.locator("#symptoms").get_by_role("link", name="Over-fitting").click()  # which opens it
    expect(
        page.locator('#over_fitting [data-figure="over_fitting"] .figure-canvas[data-drawn]')
    ).to_be_visible()
    expect(page.locator("#conservative")).to_contain_text("folded")
    expect(page.locator("#conservative .figure")).to_have_count(0)
    page.get_by_role("link", name="Show them").click()
    page.locator("#conservative > details > summary").click()
    expect(page.locator("#conservative .reading")).to_contain_text("cat: precision 1.000, recall 0.500")
    expect(page.locator("#conservative .figure-canvas[data-drawn]")).to_be_visible()
    page.locator("#over_fitting > details > summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    with page.expect_download() as download:
        page.locator("#over_fitting").get_by_role("link", name="data").click()
    assert download.value.suggested_filename.endswith("diagnosis-over_fitting.csv")
    page.locator("#over_fitting").get_by_role("link", name="seed").first.click()
    page.wait_for_url("**/experiments/runs/*/")
