"""Taking part in Hebrew on a phone: two ways of asking, from the link to the code, every screen looked at.

On each the page runs from right to left, says nothing in English, fits the window and has nothing serious for axe.
Left and right of the controls stay what they are in every language: what is named on the left is on the left.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import PHONE, expect_accessible, put, saved

pytestmark = pytest.mark.browser

TRIALS = 4
CLASSES = ["ספינה", "חתול", "dog", "truck"]
# What stands in Latin letters in a Hebrew sentence, too: keys, and class names as the image set gives them.
LATIN = {"Tab", "Home", "End", "Enter", "Ctrl", "UTC", "dog", "truck"}
NEXT = "המשך"
STUDIES = """
from django.utils import translation
from elicitation.images.models import ImageSet
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
with translation.override("he"):
    information = {**demonstration_information(), "purpose": "לבדוק את הדפים"}
for interface in ("infer", "distribution"):
    plan = StudyPlan(
        slug=interface, title="מה רואים כאן?", image_set=ImageSet.objects.get(name="words"), interface=interface,
        language="he", information=information, flow=Flow(break_every=0),
        design=Design(n_mixed_images=8, trials_per_person=4, repeats=0, answers_per_unit=20),
    )
    open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
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
def studies(start_instance):
    """An instance with an open Hebrew study of each interface; some classes are named in Hebrew, some in English."""

    def prepare(instance):
        rng = np.random.default_rng(0)
        labels = np.arange(160) % len(CLASSES)
        colours = rng.integers(0, 256, (len(CLASSES), 1, 1, 3))[labels]
        images = np.clip(colours + rng.normal(0, 30, (160, 8, 8, 3)), 0, 255).astype(np.uint8)
        archive = instance.var / "words.npz"
        np.savez(archive, images=images, labels=labels, classes=np.array(CLASSES))
        instance.manage("import_images", "npz", str(archive), "--name", "words")
        instance.python(STUDIES)

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
    press(page, "ברצוני להשתתף")
    expect(page.get_by_role("alert")).to_be_focused()
    look(page)
    for box in page.get_by_role("checkbox").all():
        box.check()
    press(page, "ברצוני להשתתף")
    page.wait_for_url("**/p/*/")
    return page.url


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
    expect(page.locator("#completion-code")).to_have_text(re.compile("^[0-9A-F]{8}$"))
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
