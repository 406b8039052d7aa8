"""Whole ways through a study, of researchers and people together: each in a real browser against a real instance.

How single pages work is in the other tests of this folder; here it is what one person's step means for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import (
    DESKTOP,
    PHONE,
    answer_the_rest,
    answer_trial,
    expect_accessible,
    finish,
    go_on,
    learn,
    participation,
    saved,
    session_of,
    trial_heading,
)

pytestmark = pytest.mark.browser

TRIALS = 4
STUDIES = f"""
from dataclasses import replace
from elicitation.images.models import ImageSet
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import set_recruitment
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
plan = StudyPlan(
    slug="paid", title="Blends", image_set=ImageSet.objects.get(), information=demonstration_information(),
    design=Design(
        n_mixed_images={TRIALS}, lambdas_e4=(2500, 7500), trials_per_person={TRIALS}, repeats=0, answers_per_unit=1
    ),
    flow=Flow(break_every=0),
)
for slug in ("one-place", "previewed"):
    create_study(plan=replace(plan, slug=slug), actor=OPERATOR)
paid = create_study(plan=plan, actor=OPERATOR)
codes = {{outcome: f"CODE-{{number}}" for number, outcome in enumerate(Outcome)}}
set_recruitment(study=paid, recruiter="prolific", options={{"codes": codes}}, actor=OPERATOR)
open_study(study=paid, actor=OPERATOR)
"""
COMPLETED, NO_CONSENT = "CODE-0", "CODE-1"
PID, OTHER = "5f0c1d2e3a4b5c6d7e8f9a0b", "60ffe5c8371090c7041d43f8"
SESSION, SECOND = "aa0c1d2e3a4b5c6d7e8f9a0b", "bb0c1d2e3a4b5c6d7e8f9a0b"


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Any:
    """An instance with two drafts and an open study whose people come from Prolific, each for one person."""

    def prepare(instance: Any) -> None:
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDIES)

    return start_instance(prepare)


@pytest.fixture(scope="module")
def session(site: Any, chromium: Any) -> list[Any]:
    return session_of(site, chromium, "ada", "admin")


@pytest.fixture
def researcher(site: Any, session: list[Any], open_window: Callable[..., Page]) -> Callable[[str], Page]:
    """`researcher(slug)`: a signed-in window at the study."""

    def enter(slug: str) -> Page:
        page = open_window(DESKTOP)
        page.context.add_cookies(session)
        page.goto(f"{site.url}/studies/{slug}/")
        return page

    return enter


def take_part(page: Page) -> str:
    """Consent; the private address of the participation."""
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    page.wait_for_url("**/p/*/")
    return page.url


def begin(page: Page) -> str:
    """From the consent page to the first trial."""
    address = take_part(page)
    learn(page)
    page.get_by_role("button", name="Start").click()
    expect(trial_heading(page)).to_have_text(f"Picture 1 of {TRIALS}")
    return address


def arrive(page: Page, site: Any, pid: str, session: str) -> None:
    """From Prolific's button to the study."""
    page.goto(f"{site.url}/s/paid/?PROLIFIC_PID={pid}&STUDY_ID={SESSION}&SESSION_ID={session}")


def places(site: Any, slug: str, mode: str) -> list[str]:
    """The states of a study's places."""
    rows = site.rows(
        "select slot.state from elicitation_slot slot join elicitation_batch batch on batch.id = slot.batch_id"
        " join elicitation_study study on study.id = batch.study_id where study.slug = ? and batch.mode = ?",
        slug,
        mode,
    )
    return [row["state"] for row in rows]


def versions(site: Any, slug: str) -> list[dict[str, Any]]:
    return site.rows(
        "select protocol.* from elicitation_protocol protocol join elicitation_study study"
        " on study.id = protocol.study_id where slug = ? order by version",
        slug,
    )


def until_over(page: Page, state: str) -> None:
    """Wait until the job that makes places is done and the study is in this state."""
    expect(page.locator("[data-job]")).to_have_count(0, timeout=60_000)
    expect(page.locator(".steering .badge")).to_have_text(state)


def withdrawal_days(page: Page, days: int, save: str) -> None:
    """Change one setting, and save it by the button of this name."""
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Days in which one can withdraw").fill(str(days))
    page.get_by_role("button", name=save).click()


def stat(page: Page, name: str) -> str:
    return page.locator(".stat", has_text=name).locator("dd").inner_text()


# The picture by its pixels, however large it is shown, and all words of the trial.
SHOWN = """
() => {
  const canvas = document.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const at = (step) => Math.floor((step + 0.5) * canvas.width / 8);
  const pixels = Array.from({ length: 64 }, (_, i) => data[4 * (at(i >> 3) * canvas.width + at(i % 8))]);
  const words = [...document.querySelectorAll('.trial h1, .trial label, .trial .ends span, .trial-perspective')];
  return { pixels, words: words.map((node) => node.textContent) };
}
"""


def test_a_preview_goes_the_whole_way_and_leaves_no_count(site, researcher):
    page = researcher("previewed")
    page.get_by_role("button", name="Preview as a participant").click()
    expect(page.get_by_role("complementary", name="Preview")).to_be_visible()
    expect_accessible(page)
    begin(page)
    expect(page.get_by_role("complementary", name="Preview")).to_be_visible()
    answer_the_rest(page)
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_text("In a preview there is no completion code")).to_be_visible()
    expect_accessible(page)
    page.goto(f"{site.url}/studies/previewed/")
    expect(page.locator(".steering .badge")).to_have_text("draft")
    assert (stat(page, "Participants finished"), stat(page, "Places filled")) == ("0", "0 / 0")
    page.get_by_role("link", name="Participations").click()
    expect(page.get_by_text("Nobody has taken part yet.")).to_be_visible()
    assert [row["frozen_at"] for row in versions(site, "previewed")] == [None]
    assert (places(site, "previewed", "live"), places(site, "previewed", "preview")) == ([], ["filled"])


def test_a_study_is_piloted_changed_and_opened_and_who_does_not_count_makes_room_for_the_next(
    site, researcher, open_window
):
    page = researcher("one-place")
    page.get_by_label("Places").fill("1")
    with page.expect_navigation():
        page.get_by_role("button", name="Start a pilot").click()
    until_over(page, "pilot")
    page.get_by_role("main").get_by_role("link", name="Recruitment").last.click()
    pilot = page.get_by_label("Address of the pilot").input_value()
    trying = open_window(DESKTOP)
    trying.goto(pilot)
    begin(trying)
    answer_the_rest(trying)
    assert finish(trying)

    page.get_by_role("link", name="Overview").click()
    assert stat(page, "Participants finished") == "0"
    page.get_by_role("button", name="End the pilot").click()
    withdrawal_days(page, 20, "Save")
    expect(page.get_by_role("status")).to_contain_text("The draft was changed.")
    with page.expect_navigation():
        page.get_by_role("button", name="Open", exact=True).click()
    until_over(page, "open")
    assert [row["frozen_at"] for row in versions(site, "one-place")] == [None, None]  # no live answer yet

    person = open_window(DESKTOP)
    person.goto(f"{site.url}/s/one-place/")
    address = begin(person)
    assert versions(site, "one-place")[1]["frozen_at"] is None
    seen = person.evaluate(SHOWN)
    assert len(seen["words"]) > 3
    answer_trial(person)
    expect(person.locator("#saved")).to_have_text(f"Saved 1/{TRIALS}")
    first, second = versions(site, "one-place")
    assert first["frozen_at"] is None
    assert second["frozen_at"] is not None
    withdrawal_days(page, 60, "Save as a new version")
    answer_the_rest(person)
    finish(person)

    page.get_by_role("link", name="Protocol").click()
    page.get_by_role("link", name="Version 3").click()
    expect(page.locator(".difference")).to_have_count(1)
    expect(page.locator(".difference del")).to_have_text("20")
    expect(page.locator(".difference ins")).to_have_text("60")
    told = versions(site, "one-place")
    assert told[1] == second
    assert (participation(site, address)["protocol_id"], len(told)) == (second["id"], 3)

    late = open_window(DESKTOP)
    late.goto(f"{site.url}/s/one-place/")
    for box in late.get_by_role("checkbox").all():
        box.check()
    late.get_by_role("button", name="I want to take part").click()
    expect(late.get_by_role("main")).to_contain_text("enough participants")
    expect_accessible(late)

    page.get_by_role("link", name="Participations").click()
    page.get_by_role("link", name=participation(site, address)["public_id"]).click()
    page.get_by_role("link", name="See it as the person saw it").click()
    expect(page.locator("#replay[data-replayed]")).to_be_visible()
    assert page.evaluate(SHOWN) == seen
    page.go_back()
    page.get_by_label("Why it is not to count").fill("It was me, trying.")
    page.get_by_role("button", name="Mark as not to count").click()
    expect(page.get_by_text("It does not count any more")).to_be_visible()
    assert places(site, "one-place", "live") == ["free"]

    late.goto(f"{site.url}/s/one-place/")
    took = participation(site, take_part(late))
    assert (took["protocol_id"], took["mode"]) == (told[2]["id"], "live")
    assert places(site, "one-place", "live") == ["held"]
    assert participation(site, address)["state"] == "completed"  # and nothing of it is gone
    assert len(saved(site, address)) == TRIALS


def test_from_prolific_and_back_with_a_refusal_a_second_device_and_a_return_between(
    site, researcher, open_window
):
    page = open_window(DESKTOP)
    arrive(page, site, OTHER, OTHER)
    page.get_by_role("button", name="I do not want to take part").click()
    expect(page.locator("#completion-code")).to_have_text(NO_CONSENT)
    assert places(site, "paid", "live") == ["free"]

    arrive(page, site, PID, SESSION)
    address = begin(page)
    answer_trial(page)
    expect(page.locator("#saved")).to_have_text(f"Saved 1/{TRIALS}")
    phone = open_window(PHONE)
    arrive(phone, site, PID, SESSION)
    go_on(phone)
    expect(trial_heading(phone)).to_have_text(f"Picture 2 of {TRIALS}")
    answer_trial(phone)
    expect(phone.locator("#saved")).to_have_text(f"Saved 2/{TRIALS}")

    desk = researcher("paid")
    desk.get_by_role("link", name="Payment").click()
    listed = f"Submission id,Participant id,Status,Completion code\n{SESSION},{PID},RETURNED,\n"
    file = {"name": "export.csv", "mimeType": "text/csv", "buffer": listed.encode()}
    desk.get_by_label("The csv that Prolific exports").set_input_files(files=[file])
    desk.get_by_role("button", name="Show").click()
    expect(desk.get_by_text("1 place was given back.")).to_be_visible()
    expect_accessible(desk)
    assert places(site, "paid", "live") == ["free"]
    assert len(saved(site, address)) == 2

    arrive(page, site, PID, SECOND)  # allowed to go on after all
    go_on(page)
    expect(trial_heading(page)).to_have_text(f"Picture 3 of {TRIALS}")
    assert places(site, "paid", "live") == ["held"]
    answer_the_rest(page)
    assert COMPLETED not in page.content()
    assert finish(page) == COMPLETED
    back = page.get_by_role("link", name="Back to Prolific")
    expect(back).to_have_attribute("href", f"https://app.prolific.com/submissions/complete?cc={COMPLETED}")
    people = site.rows(
        "select person.state from elicitation_participation person join elicitation_study study"
        " on study.id = person.study_id where slug = 'paid'"
    )
    assert [row["state"] for row in people] == ["completed"]
    assert places(site, "paid", "live") == ["filled"]
    assert [row["epoch"] for row in saved(site, address)] == [1, 2, 3, 3]
    arrive(phone, site, PID, SECOND)
    expect(phone.locator("#completion-code")).to_have_text(COMPLETED)
