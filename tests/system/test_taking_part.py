"""One person's way from the link to the completion code, in a real browser against a real instance.

What counts in the end is what the database holds. What goes wrong on the way is in `test_faults.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.system.steps import (
    DESKTOP,
    PHONE,
    answer,
    answer_the_rest,
    answer_trial,
    check,
    consent,
    events,
    expect_accessible,
    finish,
    participation,
    practise,
    put,
    read_instructions,
    saved,
    start,
    trial_heading,
)

pytestmark = pytest.mark.browser

TRIALS = 19
STUDY = """
from dataclasses import replace
from elicitation.images.models import ImageSet
from elicitation.studies.protocol import Design, Display, Flow
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
design = Design(n_mixed_images=36, trials_per_person=18, repeats=1, answers_per_unit=40)
plan = StudyPlan(
    slug="digits", title="What do you see?", image_set=ImageSet.objects.get(name="digits"), design=design,
    flow=Flow(max_comprehension_rounds=2, break_every=0), information=demonstration_information(),
)
open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
small = replace(design, n_mixed_images=20, trials_per_person=4, repeats=0)
row = replace(small, lambdas_e4=tuple(range(0, 10001, 1000)))
brief = Display(enlargement=16, pixels="device", resampling="bicubic", exposure_ms=200)
for other in (
    replace(plan, slug="grid", interface="select_shuffled", design=row),
    replace(plan, slug="row", interface="construct", design=row),
    replace(
        plan, slug="brief", design=replace(small, trials_per_person=6), display=brief, timing_reason="",
        flow=Flow(break_every=5),
    ),
):
    open_study(study=create_study(plan=other, actor=OPERATOR), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def study(start_instance):
    """An instance with one open study of 19 trials a person, and small ones that ask or show in other ways."""

    def prepare(instance):
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDY)

    return start_instance(prepare)


# -- what is asserted


def expect_whole_pixels(page: Page) -> None:
    """Each pixel of an 8×8 picture is a square of one colour on the screen, all of one size."""
    shown = page.locator("canvas.picture-canvas").evaluate(
        """canvas => {
            const { width, height } = canvas.getBoundingClientRect();
            const size = canvas.width / 8;
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const at = (x, y) => data[4 * (y * canvas.width + x)];
            let uneven = 0;
            const colours = new Set();
            for (let y = 0; y < canvas.height; y += 1)
                for (let x = 0; x < canvas.width; x += 1) {
                    colours.add(at(x, y));
                    uneven += at(x, y) !== at(x - (x % size), y - (y % size));
                }
            const dense = window.devicePixelRatio;
            return { size, uneven, colours: colours.size, fits: width * dense === canvas.width && width === height };
        }"""
    )
    assert shown["fits"]
    assert shown["uneven"] == 0
    assert shown["size"] == int(shown["size"]) > 1
    assert shown["colours"] > 4


# -- the whole way


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_from_the_link_to_the_code(study, open_window, size):
    page = open_window(size)
    page.goto(f"{study.url}/s/digits/")
    expect_accessible(page)
    page.get_by_role("button", name="I want to take part").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect_accessible(page)
    address = consent(page, study)
    page.locator("#jspsych-instructions-next").wait_for()
    expect_accessible(page)
    while page.locator("#jspsych-instructions-next").count():
        page.locator("#jspsych-instructions-next").click()
    expect(page.get_by_role("heading", name="How an answer looks")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Try the controls")).to_be_visible()
    expect_accessible(page)
    expect_whole_pixels(page)
    answer(page, 0, 100)
    expect(page.get_by_role("radiogroup").first).to_be_visible()
    expect_accessible(page)
    check(page)
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="Start").click()
    expect_accessible(page)
    expect_whole_pixels(page)

    answer_trial(page, 25, 90)
    page.get_by_label("I cannot tell").check()
    expect_accessible(page)
    page.get_by_role("button", name="Continue").click()
    expect(trial_heading(page)).to_have_text(f"Picture 3 of {TRIALS}")
    expect(page.locator("#saved")).to_have_text(f"Saved 2/{TRIALS}")
    answer_the_rest(page)
    expect_accessible(page)
    page.get_by_role("textbox").fill("The digits were hard.")
    code = finish(page)
    expect_accessible(page)

    held = saved(study, address)
    assert [row["position"] for row in held] == list(range(TRIALS))
    assert sorted({row["kind"] for row in held}) == ["main", "repeat"]
    first, second = held[0]["payload"], held[1]["payload"]
    assert abs(first["mixing_percent"] - 25) <= 1
    assert abs(first["confidence_percent"] - 90) <= 1
    assert first["touched"] == {"mixing": True, "confidence": True}
    assert first["n_moves"] == {"mixing": 1, "confidence": 1}
    assert first["image_css_px"] % 8 == 0
    assert first["viewport"][:2] == list(size.values())
    assert second["cannot_tell"] is True
    assert second["mixing_percent"] is second["confidence_percent"] is None
    assert all(row["rt_ms"] > 0 and row["started_at"] < row["ended_at"] for row in held)
    done = participation(study, address)
    assert done["state"] == "completed"
    assert done["completion_code"] == code
    assert "The digits were hard." in done["survey"] + done["comments"]
    assert {"instructions", "practice", "comprehension", "preload"} <= set(events(study, address))

    page.goto(address)
    assert page.locator("#completion-code").inner_text() == code


def test_the_keyboard_alone_is_enough(study, open_window):
    page = open_window()
    keys = page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(30):
            if page.locator(selector).evaluate_all("nodes => nodes.includes(document.activeElement)"):
                return
            keys.press("Tab")
        raise AssertionError(f"Tab does not reach {selector} on {page.url}")

    page.goto(f"{study.url}/s/digits/")
    for box in page.get_by_role("checkbox").all():
        tab_to(f"#{box.get_attribute('id')}")
        keys.press("Space")
    tab_to("button[value=consent]")
    keys.press("Enter")
    page.wait_for_url("**/p/*/")
    address = page.url
    page.locator("#jspsych-instructions-next").wait_for()
    while page.locator("#jspsych-instructions-next").count():
        tab_to("#jspsych-instructions-next")
        keys.press("Enter")
    tab_to("#read-on")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Try the controls")).to_be_focused()
    tab_to("#ms-mixing")
    keys.press("ArrowLeft")
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", re.compile(r"^51% .+, 49% .+$"))
    tab_to("#ms-confidence")
    keys.press("Enter")
    tab_to("#trial-continue")
    keys.press("Enter")
    page.get_by_role("radiogroup").first.wait_for()
    for group, downs in enumerate((2, 0)):
        tab_to(f"#jspsych-survey-multi-choice-{group} input")
        keys.press("Space")
        for _ in range(downs):
            keys.press("ArrowDown")
    tab_to("#jspsych-survey-multi-choice-next")
    keys.press("Enter")
    page.get_by_role("button", name="Start").wait_for()
    tab_to(".button-primary")
    keys.press("Enter")
    for number in range(1, TRIALS + 1):
        expect(trial_heading(page)).to_have_text(f"Picture {number} of {TRIALS}")
        if number == 1:
            tab_to("#ms-cannot-tell")
            keys.press("Space")
        else:
            tab_to("#ms-mixing")
            keys.press("Home")
            tab_to("#ms-confidence")
            keys.press("End")
        tab_to("#trial-continue")
        keys.press("Enter")
    page.wait_for_url("**/survey/")
    tab_to("form .button-primary")
    keys.press("Enter")
    expect(page.locator("#completion-code")).to_be_visible()

    held = [row["payload"] for row in saved(study, address)]
    assert len(held) == TRIALS
    assert {payload["input_method"] for payload in held} == {"keyboard"}
    assert held[0]["cannot_tell"] is True
    assert {(payload["mixing_percent"], payload["confidence_percent"]) for payload in held[1:]} == {(0, 100)}


def test_who_does_not_agree_leaves_nothing_behind(study, open_window):
    page = open_window()
    before = study.rows("select count(*) n from elicitation_participation")
    page.goto(f"{study.url}/s/digits/")
    page.get_by_role("button", name="I do not want to take part").click()
    expect(page.get_by_role("heading", name="You do not take part")).to_be_visible()
    expect_accessible(page)
    assert study.rows("select count(*) n from elicitation_participation") == before


# -- the sliders


def test_an_untouched_slider_has_no_position_and_nothing_can_be_submitted(study, open_window):
    page = open_window()
    address = start(page, study)
    button = page.get_by_role("button", name="Continue")
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", "not set yet")
    expect(button).to_be_disabled()
    button.click(force=True)
    expect(page.locator("#ms-mixing")).to_be_focused()
    put(page, "mixing", 50)  # exactly where an untouched slider stands: the press alone must count
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", re.compile("^50% .+, 50% "))
    button.click(force=True)
    expect(page.locator("#trial-status")).to_have_text("Set the slider of how sure you are too.")
    expect(trial_heading(page)).to_have_text(f"Picture 1 of {TRIALS}")
    put(page, "confidence", 10)
    button.click()
    expect(page.locator("#saved")).to_have_text(f"Saved 1/{TRIALS}")
    assert [row["payload"]["mixing_percent"] for row in saved(study, address)] == [50]


# -- other ways of asking and showing


def learn_with(page: Page, answer_practice: Callable[[], None], *, right: tuple[int, int]) -> None:
    """To the first trial, every screen of it accessible on the way."""
    read_instructions(page)
    expect(page.get_by_role("heading", name="Try the controls")).to_be_visible()
    expect_accessible(page)
    answer_practice()
    expect_accessible(page)
    page.get_by_role("button", name="Continue").click()
    for group, place in zip(page.get_by_role("radiogroup").all(), right, strict=True):
        group.get_by_role("radio").nth(place).check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Start").click()


def round_heading(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name=f"Round {number} of 4")).to_be_focused()


def rows_of(tiles: Locator) -> list[int]:
    """How many pictures each row of the grid has."""
    tops = tiles.evaluate_all("tiles => tiles.map((tile) => tile.offsetTop)")
    return [tops.count(top) for top in sorted(set(tops))]


def test_the_grid_is_walked_by_arrows_and_chosen_from_by_space(study, open_window):
    page = open_window()
    keys = page.keyboard
    address = consent(page, study, slug="grid")
    learn_with(page, lambda: page.get_by_role("radio").nth(4).click(), right=(1, 0))
    round_heading(page, 1)
    go_on = page.get_by_role("button", name="Continue")
    go_on.click(force=True)
    expect(page.locator("#trial-status")).to_have_text("Choose a picture.")
    tiles = page.get_by_role("radio")
    expect(tiles.nth(0)).to_be_focused()
    assert rows_of(tiles) == [4, 4, 3]
    keys.press("ArrowLeft")  # nothing lies before the first
    for key, place in (("ArrowRight", 1), ("ArrowDown", 5), ("ArrowUp", 1), ("End", 10), ("Home", 0)):
        keys.press(key)
        expect(tiles.nth(place)).to_be_focused()
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    keys.press("ArrowRight")
    keys.press("Space")
    expect(tiles.nth(1)).to_be_checked()
    keys.press("ArrowRight")
    keys.press("Space")
    expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    keys.press("Tab")
    expect(go_on).to_be_focused()
    keys.press("Enter")
    for number in (2, 3, 4):
        round_heading(page, number)
        page.get_by_role("radio").nth(number).click()
        page.get_by_role("button", name="Continue").click()
    finish(page)
    first, *others = [row["payload"] for row in saved(study, address)]
    assert (first["selected"], first["n_changes"], first["input_method"]) == (2, 1, "mixed")
    assert [place for _time, place in first["selection_history"]] == [1, 2]
    assert [answer["selected"] for answer in others] == [2, 3, 4]


def test_the_row_is_walked_by_keys_wherever_the_focus_is(study, open_window):
    page = open_window()
    address = consent(page, study, slug="row")
    learn_with(page, lambda: page.keyboard.press("h"), right=(0, 1))
    pictures = []
    for number in (1, 2, 3, 4):
        round_heading(page, number)
        if number == 1:  # both ends show another picture each, and none lies beyond
            for _ in range(12):
                page.keyboard.press("g")
            pictures.append(page.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
            page.get_by_role("button", name="To the right").focus()
            for _ in range(10):
                page.keyboard.press("h")
                pictures.append(page.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
            page.keyboard.press("h")
            page.locator("#cs-place").focus()
            page.keyboard.press("ArrowLeft")
        page.get_by_role("button", name="To the left").click()
        place = page.locator(".cs-place").inner_text()
        page.get_by_role("button", name="Continue").focus()
        page.keyboard.press("Enter")
    finish(page)
    rows = saved(study, address)
    first = rows[0]["payload"]
    assert len(set(pictures)) == 11
    assert (first["visited_min"], first["visited_max"], first["final_step"]) == (0, 10, 8)
    assert first["hit_bound"] is True
    assert {source for _time, _place, source in first["path"]} == {"key", "slider", "button"}
    assert place == f"Picture {rows[3]['payload']['final_step'] + 1} of 11 in the row"


@pytest.mark.parametrize("slug", ["grid", "row"])
def test_a_finger_is_enough_on_a_small_screen(study, open_window, slug):
    page = open_window(PHONE)
    address = consent(page, study, slug=slug)
    touch = {
        "grid": lambda: page.get_by_role("radio").nth(7).tap(),
        "row": lambda: page.get_by_role("button", name="To the left").tap(),
    }[slug]
    learn_with(page, touch, right=(1, 0) if slug == "grid" else (0, 1))
    round_heading(page, 1)
    touch()
    expect_accessible(page)
    if slug == "grid":
        assert rows_of(page.get_by_role("radio")) == [3, 3, 3, 2]
    page.get_by_role("button", name="Continue").tap()
    round_heading(page, 2)
    expect(page.locator("#saved")).to_have_text("Saved 1/4")
    assert saved(study, address)[0]["payload"]["input_method"] == "touch"


def test_a_brief_picture_is_shown_when_asked_for_then_covered_and_measured(study, open_window):
    page = open_window()
    address = consent(page, study, slug="brief")

    def content() -> str:
        return page.locator("canvas").evaluate("canvas => canvas.toDataURL()")

    def look_and_answer() -> None:
        page.get_by_role("button", name="Show the picture").click()
        expect(page.get_by_label("The picture is covered now")).to_be_visible()
        put(page, "mixing", 30)
        put(page, "confidence", 80)

    learn_with(page, look_and_answer, right=(2, 0))
    expect(trial_heading(page)).to_have_text("Picture 1 of 6")
    put(page, "mixing", 30)
    put(page, "confidence", 80)
    page.get_by_role("button", name="Continue").click(force=True)
    expect(page.locator("#trial-status")).to_have_text("First show the picture. It stays for a moment only.")
    expect(page.get_by_role("button", name="Show the picture")).to_be_focused()
    empty = content()
    page.get_by_role("button", name="Show the picture").click()
    page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=empty)
    shown = content()
    expect(page.get_by_label("The picture is covered now")).to_be_visible()
    assert len({empty, shown, content()}) == 3
    page.get_by_role("button", name="Continue").click()
    for _ in range(4):
        look_and_answer()
        page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Time for a break")).to_be_focused()
    expect_accessible(page)
    page.get_by_role("button", name="Go on").click()
    look_and_answer()
    page.get_by_role("button", name="Continue").click()
    finish(page)
    rows = saved(study, address)
    assert all(190 <= row["payload"]["exposure_ms"] < 400 for row in rows)
    assert {(row["payload"]["resampling"], row["payload"]["image_device_px"]) for row in rows} == {
        ("bicubic", 128)
    }
    assert [row["trial_index"] for row in rows] == list(range(6))
    timed = {"first_interaction_ms", "blur_count", "hidden_ms"}
    assert all(row["rt_ms"] is row["started_at"] is None and not timed & set(row["payload"]) for row in rows)


# -- simulation


GIVEN = {
    "mixture-sliders": [
        {"mixing_percent": 20, "confidence_percent": 60},
        {"cannot_tell": True},
    ],
    "select-shuffled-grid": [{"selected": 1}, {"selected": 2}],
    "construct-stepper": [{"final_step": 2}, {"final_step": 0}],
}


@pytest.mark.parametrize("mode", ["data-only", "visual"])
@pytest.mark.parametrize("plugin", sorted(GIVEN))
def test_a_plugin_answers_by_itself_in_a_simulation(study, open_window, plugin, mode):
    page = open_window()
    start(page, study)
    script = page.locator('script[type="module"]').get_attribute("src")
    assert script is not None
    answers = page.evaluate(
        """async ([mode, source, given]) => {
            const { default: type } = await import(source);
            const image = document.querySelector('canvas.picture-canvas');
            const pictures = ['a', 'b', 'c'].map((src) => ({ src, width: 8, height: 8, image }));
            const several = source.includes('mixture') ? pictures.slice(0, 1) : pictures;
            const trial = {
                type,
                pictures: () => several,
                shown: { left_class: 'ship', right_class: 'cat', n: 3, start: 1 },
                person: { keys: { left: 'g', right: 'h' } },
                display: { enlargement: null, pixels: 'css', resampling: 'bicubic', exposure_ms: null },
                timing: true,
                title: 'Simulated',
            };
            const soon = given.map((payload) => ({ rt: 60, payload }));
            document.getElementById('stage').replaceChildren();
            const jsPsych = initJsPsych({ display_element: 'stage' });
            await jsPsych.simulate(soon.map((data) => ({ ...trial, simulation_options: { data } })), mode);
            return jsPsych.data.get().values().map(({ payload }) => payload);
        }""",
        [mode, plain(script).replace("main.js", f"plugins/{plugin}.js"), GIVEN[plugin]],
    )
    assert [answer | given for answer, given in zip(answers, GIVEN[plugin], strict=True)] == answers
    assert all(answer["resampling"] == "bicubic" for answer in answers)
    if mode == "visual":
        assert all(answer["image_css_px"] % 8 == 0 for answer in answers)


def plain(path: str) -> str:
    """A static file's address without the hash of its content."""
    return re.sub(r"\.[0-9a-f]{12}\.", ".", path)


# -- the questions about the controls


def test_wrong_answers_lead_back_to_the_instructions_and_the_last_round_ends_it(study, open_window):
    page = open_window()
    address = consent(page, study)
    read_instructions(page)
    practise(page)
    check(page, rightly=False)
    expect(page.get_by_text("Not every answer was right.")).to_be_visible()
    expect_accessible(page)
    page.reload()
    read_instructions(page)
    practise(page)
    check(page, rightly=False)
    expect(page.get_by_role("heading", name="This is where it ends")).to_be_visible()
    study.wait_until(
        lambda: participation(study, address)["state"] == "declined", 10, lambda: "still running"
    )
    page.reload()
    expect(page.get_by_role("heading", name="You cannot go on here")).to_be_visible()


def test_an_address_that_is_not_complete_is_refused(study, open_window):
    page = open_window()
    address = consent(page, study)
    reply = page.goto(address.rstrip("/")[:-3] + "/")
    assert reply is not None
    assert reply.status == 404
