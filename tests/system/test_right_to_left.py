"""Taking part in Hebrew on a phone: ways of asking, alone and two in one sitting, from the link to the code; and the
ways of people whom a recruiter sends. Every screen is looked at.

On each the page runs from right to left, says nothing in English, fits the window and has nothing serious for axe.
Left and right of the controls stay what they are in every language: what is named on the left is on the left.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, expect_accessible, leave, participation, put, saved

pytestmark = pytest.mark.browser

TRIALS = 4
CLASSES = ["ספינה", "חתול", "dog", "truck"]
# What stands in Latin letters in a Hebrew sentence, too: keys, and class names as the image set gives them.
LATIN = {"Tab", "Home", "End", "Enter", "Ctrl", "UTC", "dog", "truck", "Prolific"}
NEXT, GO_ON, JOIN = "המשך", "להמשיך", "ברצוני להשתתף"
PID, SESSION = "5f0c1d2e3a4b5c6d7e8f9a0b", "aa0c1d2e3a4b5c6d7e8f9a0b"
UNFILLED = "?PROLIFIC_PID={{%PROLIFIC_PID%}}&SESSION_ID={{%SESSION_ID%}}"
STUDIES = """
import json
from django.utils import translation
from elicitation.flow.modes import address, start_preview
from elicitation.images.models import ImageSet
from elicitation.recruiters.services import recruitment_of, set_recruitment
from elicitation.studies.factors import Factor, Level
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
with translation.override("he"):
    information = {**demonstration_information(), "purpose": "לבדוק את הדפים"}
row = Level("row", {"interface": "construct", "options": {"controls": "buttons"}, "perspective": "100 others"})
two_ways = (Factor("way", "within", (Level("sliders"), row)),)
told = {}
for slug, interface, factors, min_width_px in (
    ("infer", "infer", (), 0), ("distribution", "distribution", (), 0), ("ways", "infer", two_ways, 0),
    ("wide", "infer", (), 700),
):
    plan = StudyPlan(
        slug=slug, title="מה רואים כאן?", image_set=ImageSet.objects.get(name="words"), interface=interface,
        language="he", information=information, flow=Flow(break_every=0, min_width_px=min_width_px), factors=factors,
        design=Design(n_mixed_images=8, trials_per_person=4, repeats=0, answers_per_unit=20),
    )
    study = create_study(plan=plan, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    if slug in ("ways", "wide"):
        set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
        told[slug] = dict(recruitment_of(study).options["codes"])
start_preview(study=study, actor=OPERATOR)
told["preview"] = address(study, "preview")
print(json.dumps(told))
"""
SAID = """() => {
    const names = ['aria-label', 'aria-valuetext', 'alt', 'title', 'placeholder', 'data-done', 'data-selected'];
    const nodes = [...document.querySelectorAll('*')];
    const attributes = nodes.flatMap((node) => names.map((name) => node.getAttribute(name)));
    const code = document.getElementById('completion-code')?.textContent ?? '';
    return [document.title, document.body.innerText, ...attributes].filter(Boolean).join('\\n').replace(code, '');
}"""

TO_THE_LEFT = """() => [...document.querySelectorAll('main *')]
    .filter((node) => getComputedStyle(node).textAlign === 'left' && !node.closest('.ends'))
    .map((node) => node.outerHTML)"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The codes of the studies that a recruiter sends people to, by slug and outcome; and the path of a preview."""
    return {}


@pytest.fixture(scope="module")
def studies(start_instance, told):
    """An instance with open Hebrew studies; some classes are named in Hebrew, some in English."""

    def prepare(instance):
        rng = np.random.default_rng(0)
        labels = np.arange(160) % len(CLASSES)
        colours = rng.integers(0, 256, (len(CLASSES), 1, 1, 3))[labels]
        images = np.clip(colours + rng.normal(0, 30, (160, 8, 8, 3)), 0, 255).astype(np.uint8)
        archive = instance.var / "words.npz"
        np.savez(archive, images=images, labels=labels, classes=np.array(CLASSES))
        instance.manage("import_images", "npz", str(archive), "--name", "words")
        told.update(json.loads(instance.python(STUDIES)))

    return start_instance(prepare)


# -- steps


def look(page: Page) -> None:
    """Everything that holds on every screen."""
    assert page.locator("html").get_attribute("lang") == "he"
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert page.evaluate("getComputedStyle(document.querySelector('main')).direction") == "rtl"
    said = page.evaluate(SAID)
    assert re.search("[א-ת]{3}", said), said
    assert set(re.findall("[A-Za-z]{2,}", said)) - LATIN == set(), said
    assert page.evaluate(TO_THE_LEFT) == []
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "wider than the window"
    expect_accessible(page)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def enter(page: Page, instance, slug: str) -> str:
    """From the link to the instructions, by the ways that most people do not go, too."""
    page.goto(f"{instance.url}/s/{slug}/")
    look(page)
    press(page, "אין ברצוני להשתתף")
    look(page)
    page.get_by_role("link", name="שיניתי את דעתי").click()
    press(page, JOIN)
    expect(page.get_by_role("alert")).to_be_focused()
    look(page)
    agree(page)
    return page.url


def agree(page: Page) -> None:
    """Tick every box of the entry page and go on from there."""
    for box in page.get_by_role("checkbox").all():
        box.check()
    press(page, JOIN)
    page.wait_for_url("**/p/*/**")


def read(page: Page) -> None:
    forward = page.locator("#jspsych-instructions-next")
    forward.wait_for()
    while forward.count():
        look(page)
        expect(forward).to_contain_text(NEXT)
        assert page.locator(".jspsych-instructions-pagenum").inner_text().startswith("עמוד ")
        back = page.locator("#jspsych-instructions-back").bounding_box()
        assert back["x"] > forward.bounding_box()["x"], "back is where reading begins"
        forward.click()


def practise(page: Page, answer) -> None:
    look(page)
    answer()
    look(page)
    press(page, NEXT)


def check(page: Page, places: tuple[int, ...]) -> None:
    groups = page.get_by_role("radiogroup")
    groups.first.wait_for()
    look(page)
    for group, place in zip(groups.all(), places, strict=True):
        group.get_by_role("radio").nth(place).check()
    press(page, NEXT)


def learn(page: Page, answer, right: tuple[int, ...]) -> None:
    """Instructions, worked example, practice, and the questions: wrong at first."""
    read(page)
    expect(page.get_by_role("heading", name="איך נראית תשובה")).to_be_visible()
    look(page)
    press(page, NEXT)
    practise(page, answer)
    check(page, tuple(1 for _ in right))
    look(page)
    press(page, "לקרוא שוב את ההוראות")
    read(page)
    check(page, right)
    look(page)
    press(page, "להתחלה")


def is_row(page: Page) -> bool:
    return page.locator(".cs").count() > 0


def answer_either(page: Page) -> None:
    """Answer what is on the screen, with sliders or in a row of pictures, and leave it."""
    heading = page.locator("h1").inner_text()
    if is_row(page):
        at_the_left = page.locator(".cs").get_attribute("data-place") == "0"
        page.locator("#cs-right" if at_the_left else "#cs-left").click()
    else:
        put(page, "mixing", 10)
        put(page, "confidence", 80)
    look(page)
    press(page, NEXT)
    leave(page, heading)


def expect_way_back(page: Page, code: str) -> None:
    """The code stands there, and the button to the recruiter takes it along."""
    expect(page.locator("#completion-code")).to_have_text(code)
    back = page.get_by_role("link", name="בחזרה אל Prolific")
    expect(back).to_have_attribute("href", f"https://app.prolific.com/submissions/complete?cc={code}")
    look(page)


def finish(page: Page, instance) -> None:
    """The closing questions and what stands around them, to the completion code."""
    page.wait_for_url("**/survey/")
    look(page)
    here = page.url
    for link in ("דיווח על בעיה", "ביטול השתתפות"):
        page.get_by_role("link", name=link).click()
        look(page)
        page.goto(here)
    press(page, "סיום")
    expect(page.locator("#completion-code")).to_have_text(re.compile("^[0-9A-Z]{8}$"))
    look(page)


def expect_trial(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(f"תמונה {number} מתוך {TRIALS}")


def plain(text: str) -> str:
    """Without the marks that keep names of either direction in their places."""
    return re.sub("[\u200f\u2066-\u2069]", "", text)


# -- tests


def test_a_mixture_is_judged_in_hebrew_from_the_link_to_the_code(studies, open_window):
    page = open_window(PHONE)
    address = enter(page, studies, "infer")

    def answer(mixing: int = 10, confidence: int = 80) -> None:
        put(page, "mixing", mixing)
        put(page, "confidence", confidence)

    learn(page, answer, (2, 0))
    for number in range(1, TRIALS + 1):
        expect_trial(page, number)
        look(page)
        left, right = page.locator(".slider.ms-mixing .ends span").all()
        assert left.bounding_box()["x"] < right.bounding_box()["x"]
        answer()
        reading = plain(page.locator(".slider.ms-mixing .slider-reading").inner_text())
        assert re.fullmatch(rf"(89|90|91)% {left.inner_text()}, (9|10|11)% {right.inner_text()}", reading), (
            reading
        )
        slider = page.locator("#ms-mixing")
        slider.press("ArrowRight")
        assert int(slider.input_value()) in (10, 11, 12)
        look(page)
        press(page, NEXT)
    finish(page, studies)
    held = saved(studies, address)
    assert len(held) == TRIALS
    for row in held:
        assert row["payload"]["mixing_percent"] in (10, 11, 12)
        assert row["payload"]["confidence_percent"] in (79, 80, 81)


def test_a_hundred_is_shared_out_in_hebrew_from_the_link_to_the_code(studies, open_window):
    page = open_window(PHONE)
    address = enter(page, studies, "distribution")

    def bar(index: int, percent: int) -> None:
        control, knob = page.locator(f"#db-{index}"), 26
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        x = box["x"] + knob / 2 + (box["width"] - knob) * percent / 100
        page.mouse.click(x, box["y"] + box["height"] / 2)

    def answer() -> None:
        bar(0, 0)
        bar(2, 70)

    learn(page, answer, (2, 0))
    for number in range(1, TRIALS + 1):
        expect_trial(page, number)
        look(page)
        label, control, number = (page.locator(f".pf-{part}").first for part in ("label", "range", "number"))
        assert label.bounding_box()["x"] > control.bounding_box()["x"], "a name stands where reading begins"
        sign = page.locator(".pf-amount span").first
        assert sign.bounding_box()["x"] > number.bounding_box()["x"], "15% is written so in Hebrew, too"
        answer()
        page.locator("#db-2").press("ArrowRight")
        dog = int(page.locator("#db-2-number").input_value())
        assert dog in (70, 71, 72)
        assert f"dog {dog}%" in plain(page.locator(".db-summary").inner_text())
        look(page)
        press(page, NEXT)
    finish(page, studies)
    held = saved(studies, address)
    assert len(held) == TRIALS
    for row in held:
        percents = row["payload"]["percents"]
        assert percents["2"] in (70, 71, 72)
        assert percents["0"] == 0
        assert sum(percents.values()) == 100


def test_two_ways_of_asking_in_hebrew_from_an_unfilled_link_of_prolific_to_its_code(
    studies, told, open_window
):
    page = open_window(PHONE)
    page.goto(f"{studies.url}/s/ways/{UNFILLED}")
    press(page, "אין ברצוני להשתתף")
    expect_way_back(page, told["ways"]["no_consent"])
    page.get_by_role("link", name="שיניתי את דעתי").click()
    asked = page.get_by_label("המזהה שלך ב-Prolific")
    for typed, said in (("", "נא להקליד אותו"), ("אני", "יש 24 תווים")):
        asked.fill(typed)
        press(page, JOIN)
        expect(page.get_by_text(said)).to_be_visible()
        look(page)
    asked.fill(PID)
    agree(page)
    address = page.url

    practised = []
    for _ in range(2):
        read(page)
        expect(page.get_by_role("heading", name="איך נראית תשובה")).to_be_visible()
        look(page)
        press(page, NEXT)
        practised.append(is_row(page))
        answer_either(page)
    assert practised == [False, True]
    check(page, (2, 0, 0, 1))
    press(page, "להתחלה")
    was_row = None
    for number in range(1, TRIALS + 1):
        if number in (1, 1 + TRIALS // 2):
            expect(page.get_by_role("heading", name="מה בהמשך")).to_be_focused()
            look(page)
            said = page.locator(".screen").inner_text()
            press(page, GO_ON)
            expect(page.get_by_role("heading", name=f"{number} מתוך {TRIALS}")).to_be_visible()
            assert is_row(page) is not was_row
            was_row = is_row(page)
            assert ("מה לדעתך היו רואים 100 אנשים אחרים" in said) == was_row
        assert is_row(page) == was_row
        answer_either(page)
    finish(page, studies)
    expect_way_back(page, told["ways"]["completed"])
    held = saved(studies, address)
    assert sorted("final_step" in row["payload"] for row in held) == [False, False, True, True]
    identity = "select typed from elicitation_identity where participation_id = ?"
    (row,) = studies.rows(identity, participation(studies, address)["id"])
    assert row["typed"]


def test_a_window_that_is_too_narrow_and_a_preview_say_so_in_hebrew(studies, told, open_window):
    page = open_window(PHONE)
    page.goto(f"{studies.url}/s/wide/?PROLIFIC_PID={PID}&SESSION_ID={SESSION}")
    expect(page.get_by_label("המזהה שלך ב-Prolific")).to_have_count(0)
    agree(page)
    expect(page.get_by_role("heading", name="דרוש חלון רחב יותר")).to_be_visible()
    look(page)
    press(page, "לעזוב את המחקר")
    expect_way_back(page, told["wide"]["wrong_device"])

    page.goto(studies.url + told["preview"])
    preview = page.get_by_role("complementary", name="תצוגה מקדימה")
    expect(preview).to_be_visible()
    look(page)
    page.set_viewport_size(DESKTOP)
    agree(page)
    read(page)
    expect(preview).to_be_visible()
    look(page)
