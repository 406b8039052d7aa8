"""A person who is asked in two ways, in a real browser: each is taught, each part says what comes, and every answer is
that of its own way."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import (
    DESKTOP,
    PHONE,
    answer,
    consent,
    expect_accessible,
    finish,
    leave,
    participation,
    read_instructions,
)

pytestmark = pytest.mark.browser

TRIALS = 8
STUDY = """
from elicitation.images.models import ImageSet
from elicitation.studies.factors import Factor, Level
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
design = Design(n_mixed_images=8, trials_per_person=8, repeats=0, answers_per_unit=40)
ways = (Level("sliders"), Level("row", {"interface": "construct", "options": {"controls": "buttons"}}))
controls = [Level(name, {"options": {"controls": name}}) for name in ("buttons", "slider")]
view = (Level("you"), Level("others", {"perspective": "100 others"}))
for slug, interface, factor in (
    ("two-ways", "infer", Factor("way", "within", ways)),
    ("mixed", "infer", Factor("view", "within", view, "mixed")),
    ("controls", "construct", Factor("controls", "within", tuple(controls))),
):
    plan = StudyPlan(
        slug=slug, title="What do you see?", image_set=ImageSet.objects.get(name="digits"), design=design,
        interface=interface, factors=(factor,), flow=Flow(break_every=0), information=demonstration_information(),
    )
    open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def study(start_instance):
    def prepare(instance):
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDY)

    return start_instance(prepare)


def is_row(page: Page) -> bool:
    return page.locator(".cs").count() > 0


def answer_either(page: Page) -> None:
    """Answer the trial or the practice on the screen, with whichever controls it has."""
    if is_row(page):
        page.locator(
            "#cs-left" if page.locator(".cs").get_attribute("data-place") != "0" else "#cs-right"
        ).click()
        page.get_by_role("button", name="Continue").click()
    else:
        answer(page, 30, 80)


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def learn_both(page: Page) -> None:
    """Instructions, example and practice of both, then all questions."""
    practised = []
    for _ in range(2):
        read_instructions(page)
        expect(page.get_by_role("heading", name="Try the controls")).to_be_visible()
        expect_accessible(page)
        practised.append(is_row(page))
        answer_either(page)
        page.wait_for_function("() => document.querySelector('h1')?.textContent !== 'Try the controls'")
    assert practised == [False, True]
    groups = page.get_by_role("radiogroup")
    groups.first.wait_for()
    for group, right in zip(groups.all(), (2, 0, 0, 1), strict=True):
        group.get_by_role("radio").nth(right).check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Start").click()


def through_part_page(page: Page) -> str:
    """What the page before a part says."""
    expect(page.get_by_role("heading", name="What comes next")).to_be_focused()
    expect_accessible(page)
    text = page.locator(".screen").inner_text()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name=re.compile(r"^(Picture|Round) \d+ of \d+$"))).to_be_visible()
    return text


def answer_next(page: Page) -> None:
    before = heading(page)
    answer_either(page)
    leave(page, before)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_ways_of_asking_in_one_sitting_with_a_pause_in_the_first(study, open_window, size):
    page = open_window(size)
    address = consent(page, study, slug="two-ways")
    learn_both(page)
    first = through_part_page(page)
    began_with_row = is_row(page)
    assert ("Step to the left" in first) == began_with_row
    assert ("Set one slider" in first) != began_with_row
    expect(page.get_by_role("heading", name=re.compile("^(Picture|Round) 1 of 8$"))).to_be_visible()
    answer_next(page)

    page.get_by_text(f"Saved 1/{TRIALS}").wait_for()
    page.reload()
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Go on").click()
    assert through_part_page(page) == first
    for _ in range(3):
        assert is_row(page) == began_with_row
        answer_next(page)
    second = through_part_page(page)
    assert ("Step to the left" in second) != began_with_row
    for _ in range(3):
        assert is_row(page) != began_with_row
        answer_next(page)
    answer_either(page)
    page.wait_for_url("**/survey/")
    assert finish(page)

    rows = study.rows(
        "select trial.levels, response.payload from elicitation_response response"
        " join elicitation_trial trial on trial.id = response.trial_id where trial.participation_id = ?"
        " order by trial.position",
        participation(study, address)["id"],
    )
    assert len(rows) == TRIALS
    for place, row in enumerate(rows):
        way, payload = json.loads(row["levels"])["way"], json.loads(row["payload"])
        assert (way == "row") == (began_with_row == (place < 4))
        assert ("final_step" in payload) == (way == "row")
        assert ("mixing_percent" in payload) == (way == "sliders")


def test_what_changes_from_trial_to_trial_stands_above_each_and_needs_no_page_between(study, open_window):
    page = open_window(DESKTOP)
    address = consent(page, study, slug="mixed")
    read_instructions(page)
    answer(page, 70, 40)
    groups = page.get_by_role("radiogroup")
    groups.first.wait_for()
    for group, right in zip(groups.all(), (2, 0), strict=True):
        group.get_by_role("radio").nth(right).check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Start").click()
    said = []
    for number in range(1, TRIALS + 1):
        expect(page.get_by_role("heading", name=f"Picture {number} of {TRIALS}")).to_be_visible()
        said.append("others" if "100 other" in page.locator(".trial-perspective").inner_text() else "you")
        before = heading(page)
        answer(page, 30, 80)
        if number < TRIALS:
            leave(page, before)
    page.wait_for_url("**/survey/")
    rows = study.rows(
        "select levels from elicitation_trial where participation_id = ? order by position",
        participation(study, address)["id"],
    )
    assert said == [json.loads(row["levels"])["view"] for row in rows]
    assert sorted(said) == ["others"] * 4 + ["you"] * 4


def test_other_controls_for_the_same_question_are_practised_and_its_instructions_read_once(
    study, open_window
):
    page = open_window(DESKTOP)
    consent(page, study, slug="controls")
    read_instructions(page)
    expect(page.locator("#cs-left")).to_be_visible()
    page.locator("#cs-left").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#cs-place")).to_be_visible()
    expect(page.locator("#cs-left")).to_have_count(0)
    expect(page.get_by_role("heading", name="Try the controls")).to_be_visible()
    page.locator("#cs-place").press("ArrowRight")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("radiogroup")).to_have_count(2)
