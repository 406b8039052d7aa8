"""A researcher writes a study, tries it out, opens it and changes it, without code, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, session_of

pytestmark = pytest.mark.browser

TOLD = {
    "controller": "The lab, a@b.example",
    "purpose": "To learn what people see.",
    "legal_basis": "Consent.",
    "retention": "Ten years.",
    "recipients": "Whoever reads the paper.",
    "ethics_approval": "Committee 7.",
    "contact": "The lab.",
}


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Any:
    return start_instance(lambda instance: instance.manage("import_images", "digits", "--name", "digits"))


@pytest.fixture(scope="module")
def session(site: Any, chromium: Any) -> list[Any]:
    return session_of(site, chromium, "rosa")


@pytest.fixture
def researcher(site: Any, session: list[Any], open_window: Callable[..., Page]) -> Callable[..., Page]:
    """`researcher(size)`: the window of a signed-in researcher."""

    def enter(size: dict[str, int] = DESKTOP) -> Page:
        page = open_window(size)
        page.context.add_cookies(session)
        page.goto(site.url + "/studies/")
        return page

    return enter


def write_study(page: Page, title: str, slug: str) -> None:
    """The form for a new study, filled in and sent."""
    page.get_by_role("link", name="New study").click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Link", exact=True).fill(slug)
    page.get_by_label("Image set").select_option(label="digits")
    page.get_by_label("Mixed images", exact=True).fill("20")
    page.get_by_label("Trials a person", exact=True).fill("20")
    page.get_by_label("Class pairs").fill("3 / 8\n1 / 7")
    page.get_by_label("People per mixed image").fill("2")
    for name, text in TOLD.items():
        page.locator(f"#id_{name}").fill(text)


def add_factor(page: Page) -> None:
    page.get_by_text("Add a factor").click()
    page.get_by_label("Factor", exact=True).fill("perspective")
    page.get_by_label("Level", exact=True).nth(0).fill("you")
    page.get_by_label("Level", exact=True).nth(1).fill("others")
    page.locator("#id_factors-0-levels-1-perspective").select_option("100 others")


def add_hypothesis(page: Page, factor: str = "perspective") -> None:
    page.get_by_text("Add a hypothesis").click()
    page.get_by_label("Name", exact=True).fill("others-differ")
    page.get_by_label("What is expected, in a sentence").fill("For others, people say otherwise.")
    page.get_by_label("Test", exact=True).select_option("difference")
    page.get_by_label("Factor, where levels differ").fill(factor)
    page.get_by_label("Its two levels").fill("you others")


def until_over(page: Page) -> None:
    """Wait until the job that makes the places is done; the page loads itself anew."""
    expect(page.locator("[data-job]")).to_have_count(0, timeout=60_000)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_study_is_written_tried_out_opened_changed_and_copied(site, researcher, size):
    page = researcher(size)
    slug = f"direction-{size['width']}"
    write_study(page, "Which direction?", slug)
    add_factor(page)
    add_hypothesis(page, factor="direction")  # there is no such factor
    page.get_by_role("button", name="Create the draft").click()

    contents = page.get_by_role("navigation", name="Parts of this form")
    expect(contents.get_by_role("listitem").filter(has_text="look here")).to_have_text(
        ["Hypotheses look here"]
    )
    expect(page.locator("#hypotheses")).to_contain_text("name the factor whose levels are compared")
    page.get_by_label("Factor, where levels differ").fill("perspective")
    page.get_by_role("button", name="Create the draft").click()
    expect(page.get_by_role("status")).to_contain_text("The study is a draft.")
    assert page.url == f"{site.url}/studies/{slug}/"

    page.get_by_label("Places").fill("3")
    with page.expect_navigation():
        page.get_by_role("button", name="Start a pilot").click()
    until_over(page)
    expect(page.locator(".steering .badge")).to_have_text("pilot")
    page.get_by_role("button", name="End the pilot").click()
    expect(page.locator(".steering .badge")).to_have_text("draft")

    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Trials a person", exact=True).fill("10")
    page.get_by_label("Repeated trials a person").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("The draft was changed.")

    with page.expect_navigation():
        page.get_by_role("button", name="Open").click()
    until_over(page)
    expect(page.locator(".steering .badge")).to_have_text("open")
    slots = site.rows(
        "select count(*) n from elicitation_slot s join elicitation_batch b on b.id = s.batch_id"
        " join elicitation_study t on t.id = b.study_id where t.slug = ? and b.mode = 'live'",
        slug,
    )
    assert slots == [{"n": 2 * 2 * 2}]  # two batches, two people a mixed image, two levels

    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_label("Trials a person", exact=True)).to_be_disabled()
    page.get_by_label("Days in which one can withdraw").fill("60")
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_role("link", name="Protocol").click()
    page.get_by_role("link", name="Version 2").click()
    expect(page.locator(".difference")).to_have_count(1)
    expect(page.locator(".difference del")).to_have_text("30")
    expect(page.locator(".difference ins")).to_have_text("60")

    page.goto(f"{site.url}/studies/{slug}/")
    page.get_by_role("button", name="Close for good").click()
    expect(page.locator(".steering .badge")).to_have_text("closed")
    page.get_by_role("link", name="Copy").click()
    page.get_by_role("button", name="Make the copy").click()
    assert page.url == f"{site.url}/studies/{slug}-2/"
    expect(page.locator(".steering .badge")).to_have_text("draft")


def test_a_study_is_opened_by_the_keyboard_alone(site, researcher):
    page = researcher()
    write_study(page, "By keys", "keys")
    page.get_by_role("button", name="Create the draft").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/keys/")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Open":
            break
    page.keyboard.press("Enter")
    until_over(page)
    expect(page.locator(".steering .badge")).to_have_text("open")


def test_a_list_is_filtered_and_stays_so_when_it_is_sorted(site, researcher):
    page = researcher(PHONE)
    page.get_by_label("Study").fill("no such study")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No study fits the filters.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_label("Study")).to_have_value("")
    page.get_by_label("Order").select_option("oldest")
    page.get_by_label("State").select_option("draft")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Order")).to_have_value("oldest")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_nothing_of_a_study_is_out_of_sight(site, researcher):
    page = researcher()
    write_study(page, "A study with a long title " * 4, "seen-whole")
    page.get_by_role("button", name="Create the draft").click()
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        page.goto(site.url + "/studies/seen-whole/")
        expect(page.get_by_role("link", name="Simulation")).to_be_in_viewport(ratio=1)
        page.goto(site.url + "/studies/")
        assert page.locator(".table-wrap").evaluate("box => box.scrollWidth <= box.clientWidth")
