"""docs/how-to-prolific.md, walked from its first step to its last in a real browser; its pictures are taken on the way.

`make screenshots` puts the pictures into docs/images; else they go to a temporary folder, and only their names, sizes
and the way itself are tested. One person takes part in the browser, the others through the services that it calls.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.system import steps
from tests.system.steps import PHONE

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
PAGE = ROOT / "docs" / "how-to-prolific.md"
DESKTOP = {"width": 1280, "height": 860}
MOST_BYTES = 150_000

SLUG = "blended-digits"
PIDS = [f"{n:02d}0c1d2e3a4b5c6d7e8f9a0b" for n in range(10, 28)]
SESSIONS = [f"{n:02d}ffe5c8371090c7041d43f8" for n in range(10, 28)]
CARELESS, GONE, IN_BROWSER = (
    3,
    5,
    17,
)  # who of them answers without looking, leaves early, comes to the browser
TOLD = {
    "duration": "About nine minutes.",
    "controller": "The Vision Lab, Example University, vision@example.org",
    "purpose": "To learn what people see in blended pictures.",
    "legal_basis": "Your consent, which you may take back.",
    "retention": "Ten years, under a pseudonym.",
    "recipients": "Whoever downloads the published answers, if you agree that they are published.",
    "ethics_approval": "Ethics committee of Example University, no. 2026-17",
    "contact": "The Vision Lab, vision@example.org",
}
BONUS = "You get up to £0.50 more, the closer your answers come to what the other people in this study say."
COLUMNS = (
    *("Submission id", "Participant id", "Status", "Custom study tncs accepted at", "Started at"),
    *("Completed at", "Reviewed at", "Archived at", "Time taken", "Completion code", "Total approvals"),
)

ADD_RESEARCHER = """
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, issue_sign_in_link
print(issue_sign_in_link(person=add_person(username="rosa", kind="researcher", actor=OPERATOR), actor=OPERATOR))
"""
# Everybody who does not come to the browser. That they took minutes and not moments is written in afterwards.
OTHERS_TAKE_PART = """
import json
from dataclasses import replace
from datetime import timedelta
import numpy as np
from django.utils import timezone
from elicitation.flow import services
from elicitation.flow.saving import save_responses
from elicitation.flow.simulation import _answers
from elicitation.participants.services import Arrival
from elicitation.recruiters.services import remember_arrival
from elicitation.studies.models import Study
from elicitation.studies.texts import texts_of
from hilmix.core.observers import H_MIX, Observer
told = json.loads('''TOLD''')
study = Study.objects.get(slug=told["slug"])
boxes = {box.name: True for box in texts_of(study.protocol.content).boxes}
now = timezone.now()
Study.objects.filter(pk=study.pk).update(opened_at=now - timedelta(hours=3))
for n, (pid, session) in enumerate(zip(told["pids"], told["sessions"])):
    arrival = Arrival(pid=pid, session=session)
    person, _new = services.join_study(study=study, source="person", boxes=boxes, arrival=arrival)
    remember_arrival(person, arrival)
    rng = np.random.default_rng([7, n])
    answers = _answers(person, Observer.draw(rng, H_MIX), rng)
    if n == told["careless"]:
        same = {"cannot_tell": False, "mixing_percent": 50, "confidence_percent": 100}
        same["touched"] = {"mixing": True, "confidence": True}
        answers = [replace(one, payload={**one.payload, **same}, rt_ms=640) for one in answers]
    if n == told["gone"]:
        answers = answers[:9]
    for start in range(0, len(answers), 20):
        save_responses(participation=person, epoch=0, answers=answers[start : start + 20])
    began = now - timedelta(minutes=9 * (len(told["pids"]) - n) + 10)
    if n != told["gone"]:
        services.complete(participation=person)
        done = services.finish(participation=person, survey={})
        took = timedelta(minutes=3 if n == told["careless"] else 5, milliseconds=sum(a.rt_ms for a in answers))
        done.completed_at = began + took
        done.save(update_fields=["completed_at"])
    type(person).objects.filter(pk=person.pk).update(started_at=began)
"""


class Album:
    """The pictures of the page; each is taken once, at the place on the way that it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: list[str] = []

    def take(self, page: Page, name: str, at: str = "") -> None:
        """What the window shows, from the element `at` on where one is named."""
        if at:
            page.locator(at).first.evaluate("(element) => window.scrollTo(0, element.offsetTop - 16)")
        else:
            page.evaluate("window.scrollTo(0, 0)")
        file = f"howto-{name}.png"
        steps.picture(page, self.folder / file)
        self.taken.append(file)

    def check(self) -> None:
        """The page shows exactly these pictures, each as wide as a window and small enough to load."""
        shown = re.findall(r"\]\(images/(howto-[a-z-]+\.png)\)", PAGE.read_text("utf-8"))
        assert sorted(shown) == sorted(self.taken)
        assert sorted(path.name for path in IMAGES.glob("howto-*.png")) == sorted(self.taken)
        for folder in {self.folder, IMAGES}:
            for file in self.taken:
                assert (folder / file).stat().st_size <= MOST_BYTES, file
                with Image.open(folder / file) as picture:
                    assert picture.width in (DESKTOP["width"], PHONE["width"]), file


@pytest.fixture
def album(tmp_path: Path) -> Album:
    return Album(IMAGES if os.environ.get("HILMIX_SCREENSHOTS") else tmp_path)


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Any:
    return start_instance(lambda instance: instance.manage("import_images", "digits", "--name", "digits"))


def test_a_first_prolific_study_goes_from_empty_to_paid_as_the_how_to_says(site, open_window, album):
    page = open_window(DESKTOP)
    sign_in(page, site)
    design(page, site, album)
    preview(page, album)
    codes = recruit(page, site, album)
    pilot(page, site, album, open_window)
    open_the_study(page, site)
    take_part(open_window(DESKTOP), site, album, codes)
    tell = {
        "slug": SLUG,
        "pids": PIDS[:IN_BROWSER],
        "sessions": SESSIONS[:IN_BROWSER],
        "careless": CARELESS,
        "gone": GONE,
    }
    site.python(OTHERS_TAKE_PART.replace("TOLD", json.dumps(tell)))
    watch(page, site, album, open_window)
    judge(page, site, album)
    reconcile(page, site, album, codes)
    pay(page, site, album)
    release(page, site, album)
    album.check()


def sign_in(page: Page, site: Any) -> None:
    page.goto(site.url + "/" + site.python(ADD_RESEARCHER).split("/", 3)[3])
    page.get_by_role("main").get_by_role("button").click()
    page.wait_for_url(site.url + "/")


def design(page: Page, site: Any, album: Album) -> None:
    """Fill in the form of a new study, with the planner beside it."""
    page.goto(f"{site.url}/studies/")
    page.get_by_role("link", name="New study").click()
    fill(page, title="Blended digits", slug=SLUG, image_set="digits", perspective="100 others", bonus=BONUS)
    album.take(page, "new")
    fill(page, n_mixed_images="40", trials_per_person="20", checks="2", check_images="0 11 16 22")
    fill(page, min_width_px="700", reward_e2="1.50", minutes="9", bonus_kind="agreement", bonus_e2="0.50")
    page.locator("#planner select[name=planner_recruiter]").select_option("prolific")
    planner = page.locator("#planner")
    expect(planner).to_contain_text("18 people for 9 answers each; reliability of a label 0.81.")
    expect(planner).to_contain_text("about 8, stated 9")
    expect(planner).to_contain_text("10.00 GBP")
    album.take(page, "planner", "#shown")
    rules = page.locator("#rules")
    rules.locator("summary").click()
    row = page.get_by_role("group", name="failed attention checks")
    row.get_by_label("Leave the flagged out of labels").check()
    why = row.get_by_label("Why it may leave somebody out")
    why.fill("Two clear digits were not recognised.")
    why.blur()  # or the picture shows its end only
    album.take(page, "rules", "fieldset:has(> div #id_rules-failed_checks-excludes)")
    fill(page, **TOLD)
    page.get_by_role("button", name="Create the draft").click()
    page.wait_for_url(f"**/studies/{SLUG}/")
    album.take(page, "draft")


def fill(page: Page, **values: str) -> None:
    """Fields of the study's form, by their names; a list is chosen from by what stands there or by value."""
    for name, value in values.items():
        field = page.locator(f"#id_{name}")
        if field.evaluate("(element) => element.tagName") != "SELECT":
            field.fill(value)
        elif name == "image_set":
            field.select_option(label=value)
        else:
            field.select_option(value)


def preview(page: Page, album: Album) -> None:
    page.get_by_role("button", name="Preview as a participant").click()
    expect(page.get_by_text(re.compile("preview", re.IGNORECASE)).first).to_be_visible()
    album.take(page, "preview")
    steps_of_consent(page)
    page.go_back()
    page.go_back()


def recruit(page: Page, site: Any, album: Album) -> dict[str, str]:
    """Choose Prolific; the codes by outcome, as the page shows them."""
    page.goto(f"{site.url}/studies/{SLUG}/recruitment/")
    page.get_by_label("Prolific", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. Give these codes")).to_be_visible()
    holes = "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
    expect(page.get_by_label("Address of the study")).to_have_value(f"{site.url}/s/{SLUG}/?{holes}")
    album.take(page, "recruitment")
    fields = page.locator("input[name^=code_]").all()
    codes = {str(field.get_attribute("name")).removeprefix("code_"): field.input_value() for field in fields}
    album.take(page, "codes", "form.card")
    return codes


def pilot(page: Page, site: Any, album: Album, open_window: Callable[..., Page]) -> None:
    """Three places; the pilot's own link, opened on a telephone and at a desk."""
    page.goto(f"{site.url}/studies/{SLUG}/")
    page.get_by_label("Places").fill("3")
    with page.expect_navigation():
        page.get_by_role("button", name="Start a pilot").click()
    until_over(page)
    page.goto(f"{site.url}/studies/{SLUG}/recruitment/")
    address = page.get_by_label("Address of the pilot").input_value().partition("&PROLIFIC_PID")[0]
    album.take(page, "pilot")
    phone = open_window(PHONE)
    phone.goto(address)
    steps_of_consent(phone)
    expect(phone.get_by_role("heading", name="A wider window is needed")).to_be_visible()
    album.take(phone, "telephone")
    page.goto(f"{site.url}/studies/{SLUG}/")
    page.get_by_role("button", name="End the pilot").click()
    expect(page.locator(".steering .badge")).to_have_text("draft")


def open_the_study(page: Page, site: Any) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Open", exact=True).click()
    until_over(page)
    expect(page.locator(".steering .badge")).to_have_text("open")


def take_part(page: Page, site: Any, album: Album, codes: dict[str, str]) -> None:
    """One person from Prolific, from the link to the code."""
    page.goto(f"{site.url}/s/{SLUG}/?PROLIFIC_PID={PIDS[IN_BROWSER]}&SESSION_ID={SESSIONS[IN_BROWSER]}")
    album.take(page, "consent")
    steps_of_consent(page)
    steps.learn(page)
    page.get_by_role("button", name="Start").click()
    expect(steps.trial_heading(page)).to_have_text("Picture 1 of 24")
    steps.put(page, "mixing", 35)
    steps.put(page, "confidence", 70)
    album.take(page, "trial")
    total = 24
    for number in range(1, total + 1):
        if number == 21:  # after twenty a break is offered
            page.get_by_role("button", name=re.compile("Go on|Continue")).click()
        heading = steps.trial_heading(page).inner_text()
        steps.answer(page, 20 + (number * 37) % 60, 30 + (number * 23) % 60)
        steps.leave(page, heading)
    page.wait_for_url("**/survey/")
    assert steps.finish(page) == codes["completed"]
    expect(page.get_by_role("link", name="Back to Prolific")).to_have_attribute(
        "href", f"https://app.prolific.com/submissions/complete?cc={codes['completed']}"
    )
    album.take(page, "code")


def watch(page: Page, site: Any, album: Album, open_window: Callable[..., Page]) -> None:
    page.goto(f"{site.url}/studies/{SLUG}/monitor/")
    expect(page.get_by_role("row", name="Completed").get_by_role("cell").first).to_have_text("17")
    album.take(page, "monitor")
    album.take(page, "monitor-quality", "section:has(> h2:text('How carefully'))")
    phone = open_window(PHONE)
    phone.context.add_cookies(page.context.cookies())
    phone.goto(f"{site.url}/studies/{SLUG}/monitor/")
    album.take(phone, "monitor-telephone")


def judge(page: Page, site: Any, album: Album) -> None:
    """Who gave one and the same answer is looked at, replayed, and does not count; the place is free again."""
    page.get_by_role("link", name="gave one and the same answer").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.locator(".errorlist")).to_have_count(0)
    album.take(page, "participations")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    album.take(page, "participation")
    answers = page.get_by_role("region", name="Answers")
    answers.get_by_role("link", name=re.compile("Replay trial")).first.click()
    expect(page.locator("#replay[data-replayed]")).to_be_visible()
    album.take(page, "replay")
    page.go_back()
    page.get_by_label("Why it is not to count").fill("50 everywhere, in less than a second")
    page.get_by_role("button", name="Mark as not to count").click()
    expect(page.get_by_text("It does not count any more")).to_be_visible()
    page.goto(f"{site.url}/studies/{SLUG}/")
    expect(page.locator(".stat", has_text="Places filled").locator("dd")).to_have_text("16 / 18")


def reconcile(page: Page, site: Any, album: Album, codes: dict[str, str]) -> None:
    """Upload what Prolific exports, and read what to do about each submission."""
    page.goto(f"{site.url}/studies/{SLUG}/submissions/")
    page.get_by_label("The csv that Prolific exports").set_input_files(
        {"name": "prolific_export.csv", "mimeType": "text/csv", "buffer": export(codes).encode()}
    )
    page.get_by_role("button", name="Show").click()
    found = page.locator("#findings")
    expect(found).to_contain_text("pay by hand: 1")
    expect(found).to_contain_text("look at it: 1")
    expect(page.get_by_label("To approve")).not_to_be_empty()
    album.take(page, "payment")


def export(codes: dict[str, str]) -> str:
    """A list of Prolific's: one came back without the code, one timed out, one returned, one is unknown here."""
    people = [
        (session, pid, "AWAITING REVIEW", codes["completed"])
        for session, pid in zip(SESSIONS, PIDS, strict=True)
    ]
    people[1] = (*people[1][:3], "NOCODE")
    people[2] = (*people[2][:2], "TIMED-OUT", "")
    people[GONE] = (*people[GONE][:2], "RETURNED", "")
    people.append(
        ("99ffe5c8371090c7041d43f8", "990c1d2e3a4b5c6d7e8f9a0b", "AWAITING REVIEW", codes["completed"])
    )
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for session, pid, status, code in people:
        known = {"Submission id": session, "Participant id": pid, "Status": status, "Completion code": code}
        writer.writerow([known.get(column, "") for column in COLUMNS])
    return file.getvalue()


def pay(page: Page, site: Any, album: Album) -> None:
    page.get_by_role("link", name="Bonuses").click()
    album.take(page, "bonuses")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the list").click()
    lines = Path(download.value.path()).read_text().split()
    assert len(lines) >= 15
    assert all(re.fullmatch(r"[0-9a-f]{24},0\.\d\d", line) for line in lines)


def release(page: Page, site: Any, album: Album) -> None:
    page.goto(f"{site.url}/studies/{SLUG}/")
    page.get_by_role("button", name="Close for good").click()
    page.get_by_role("link", name="Freeze a release").click()
    page.get_by_role("button", name="Freeze", exact=True).click()
    page.wait_for_url("**/jobs/**")
    expect(page.locator("main")).to_contain_text("done", timeout=60_000)
    page.goto(f"{site.url}/releases/")
    page.get_by_role("link", name=re.compile(SLUG)).first.click()
    expect(page.get_by_text("1 were marked as invalid")).to_be_visible()
    album.take(page, "release", "section:has(> h2:text('How was asked'))")


def steps_of_consent(page: Page) -> None:
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    page.wait_for_url(re.compile(r"/p/[^/]+/"))


def until_over(page: Page) -> None:
    """Wait until the job that makes the places is done; the page loads itself anew."""
    expect(page.locator("[data-job]")).to_have_count(0, timeout=60_000)
