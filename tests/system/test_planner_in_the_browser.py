"""The planner beside a study's form, and what a simulation found, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, session_of
from tests.system.test_access import expect_accessible

pytestmark = pytest.mark.browser

MADE = """
from dataclasses import replace
from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Source
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress

digits = ImageSet.objects.get(name="digits")
design = Design(n_mixed_images=20, trials_per_person=20, repeats=0, answers_per_unit=8)
before = StudyPlan("before", "Before", digits, design=design)
study = create_study(plan=before, source=Source.SIMULATED, actor=OPERATOR)
open_study(study=study, actor=OPERATOR)
for seed in range(8):
    simulate_participant(study=study, seed=seed)
freeze_release(study=study, actor=OPERATOR, progress=Progress())
asked = Factor("asked", "between", (Level("one", {"bonus": "A pound."}), Level("two", {"bonus": "Two."})))
looked_for = (
    Hypothesis("seen", "People see more of the first image.", "deviation", effect=0.1),
    Hypothesis("bonus", "The bonus matters.", "difference", factor="asked", levels=("one", "two"), effect=0.2),
)
plan = StudyPlan("next", "The next study", digits, design=replace(design, answers_per_unit=3), factors=(asked,),
                 hypotheses=looked_for, information=demonstration_information())
create_study(plan=plan, actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Any:
    def prepare(instance: Any) -> None:
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(MADE)
        said = instance.manage(
            "simulate", "next", "--release", "before", "--repetitions", "40", "--answers", "2,4,8"
        )
        assert "6 simulated participants answered a copy of next" in said

    return start_instance(prepare)


@pytest.fixture(scope="module")
def session(site: Any, chromium: Any) -> list[Any]:
    return session_of(site, chromium, "rosa", "admin")


@pytest.fixture
def window(site: Any, session: list[Any], open_window: Callable[..., Page]) -> Callable[..., Page]:
    """`window(address, size)`: a page of somebody signed in."""

    def enter(address: str, size: dict[str, int] = DESKTOP, **options: Any) -> Page:
        page = open_window(size, **options)
        page.context.add_cookies(session)
        page.goto(site.url + address)
        return page

    return enter


def keep(page: Page, name: str) -> None:
    """Keep a picture of the page where somebody asked for it, to look at."""
    if folder := os.environ.get("HILMIX_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_the_planner_follows_the_form_while_it_is_filled_in(window):
    page = window("/studies/new/")
    panel = page.locator("#planner")
    expect(panel).to_contain_text("18 people for 9 answers each; reliability of a label 0.81.")
    page.get_by_label("People per mixed image").fill("2")
    expect(panel).to_contain_text("4 people for 2 answers each; reliability of a label 0.48.")
    page.locator("#id_reward_e2").fill("0.50")
    page.locator("#id_minutes").fill("10")
    panel.get_by_label("Recruiter").select_option("prolific")
    expect(panel).to_contain_text("Prolific asks for at least 6.00 GBP an hour")
    page.get_by_label("People per mixed image").fill("0")
    expect(panel).to_contain_text("greater than or equal to 1")
    page.get_by_label("People per mixed image").fill("5")
    expect(panel).to_contain_text("10 people for 5 answers each")


def test_choosing_in_the_planner_keeps_the_focus_and_what_was_folded_out(window):
    page = window("/studies/next/settings/")
    panel = page.locator("#planner")
    expect(panel).to_contain_text("6 people for 3 answers each")
    expect(panel).to_contain_text("Groups of people")
    panel.get_by_text("What these numbers mean").click()
    panel.get_by_label("People answer as in").focus()
    panel.get_by_label("People answer as in").select_option("before@1.0.0")
    expect(panel).to_contain_text("From before@1.0.0")
    expect(panel.get_by_label("People answer as in")).to_be_focused()
    expect(panel.get_by_text("From before@1.0.0")).to_be_visible()
    keep(page, "planner-1280")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
def test_the_form_with_its_planner_is_accessible(window, size):
    page = window("/studies/new/", size)
    expect(page.locator("#planner")).to_contain_text("18 people for 9 answers each")
    table = page.get_by_role("region", name="What more or fewer answers give and cost")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth"), "what it costs is out of sight"
    page.get_by_role("navigation", name="Parts of this form").get_by_role("link", name="Planner").click()
    expect(page.get_by_role("heading", name="Planner")).to_be_in_viewport()
    keep(page, f"new-study-{size['width']}")
    expect_accessible(page, "new study", targets=False)


def test_without_scripts_a_button_opens_the_same_numbers(window):
    page = window("/studies/new/", java_script_enabled=False)
    page.get_by_label("People per mixed image").fill("4")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Reckon people, time and cost").click()
    other = opened.value
    expect(other.get_by_role("main")).to_contain_text("8 people for 4 answers each")
    other.get_by_label("People per mixed image").fill("6")
    other.get_by_role("button", name="Reckon").click()
    expect(other.get_by_role("main")).to_contain_text("12 people for 6 answers each")
    keep(other, "planner-page")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
def test_what_a_simulation_found_is_drawn_and_accessible(window, size):
    page = window("/studies/next/simulations/", size)
    keep(page, f"simulations-{size['width']}")
    expect_accessible(page, "simulations", targets=False)
    page.get_by_role("region", name="Simulations").get_by_role("link").last.click()  # the oldest
    expect(page.get_by_role("main")).to_contain_text("simulated participants")
    table = page.get_by_role("region", name="Share of 40 repetitions")
    expect(table.locator("tbody tr")).to_have_count(2 * 3)
    page.locator(".figure-canvas").scroll_into_view_if_needed()
    expect(page.locator(".figure-canvas[data-drawn=yes]")).to_have_count(1)
    keep(page, f"simulation-{size['width']}")
    expect_accessible(page, "simulation", targets=False)


def test_a_simulation_is_started_in_the_browser_and_shows_when_it_is_done(window):
    page = window("/studies/next/simulations/")
    page.get_by_label("People like those of the release").select_option(label="before@1.0.0")
    page.get_by_label("Answers a unit to compare").fill("2")
    page.get_by_label("Repetitions in memory").fill("20")
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("heading", name="Simulation of “The next study”")).to_be_visible()
    # The page looks by itself how far the job is, and opens again when it is over.
    expect(page.get_by_role("region", name="Share of 20 repetitions")).to_be_visible(timeout=60_000)
