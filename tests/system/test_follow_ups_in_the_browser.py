"""An admin looks where model and people disagree, makes a study of it, and estimates its labels, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PREPARE = "from tests.training.asked_again import *; finished(small_release())"


@pytest.fixture(scope="module")
def held_out(start_instance):
    """An instance with a finished experiment whose mixed images were held out."""
    return start_instance(lambda instance: instance.manage("shell", "-c", PREPARE))


def fits(page: Page) -> None:
    """Nothing to scroll sideways, and axe finds nothing serious."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    found = [
        one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")
    ]
    assert not found


def test_what_they_disagree_on_becomes_a_study_with_labels(
    held_out, open_window: Callable[..., Page]
) -> None:
    page = open_window({"width": 1280, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(held_out.manage("sign_in_link", "ann", "--role", "admin").strip().split()[-1])
    page.get_by_role("main").get_by_role("button").click()
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("main").get_by_role("link", name="quick", exact=True).click()
    page.get_by_role("link", name="Mixed images", exact=True).click()
    expect(page.locator("[data-figure='mixing_response'] [data-drawn]")).to_be_attached()
    expect(page.locator("#disagreements img.pixels:not(.pixels-small)")).to_have_count(12)
    fits(page)
    page.get_by_label("Most apart first").select_option("model_people")
    page.get_by_role("button", name="Show").click()
    page.get_by_label("Link").fill("again")
    page.get_by_label("Images that the rule picks").fill("8")
    page.get_by_label("People who answer each").fill("2")
    page.get_by_role("button", name="Make the study").click()
    expect(page.get_by_role("heading", name="How its images were picked")).to_be_visible()
    expect(page.locator("#picked")).to_contain_text(
        "The 8 of 24 images on which model and people disagree most"
    )
    expect(page.locator("#picked")).to_contain_text("8/16 = 0.5")
    held_out.manage("shell", "-c", "from tests.training.asked_again import *; answered_again('again', 4)")
    page.get_by_role("button", name="Estimate the labels").click()
    expect(page.locator("#labels")).to_contain_text("32 new answers to 16 of 16 images", timeout=60_000)
    expect(page.locator("[data-figure='regression'] [data-drawn]")).to_be_attached()
    fits(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    fits(page)
    page.get_by_role("link", name="The study", exact=True).click()
    expect(page.get_by_role("heading", name="Follows up on an experiment")).to_be_visible()
    page.goto(f"{held_out.url}/experiments/1/mixed/")
    fits(page)
    assert not said
