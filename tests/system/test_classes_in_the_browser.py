"""Saying what a picture is among many classes: both interfaces that ask it, in a real browser.

With 100 classes each is gone through by keyboard alone, from the link to the code; with 10 the lists and bars are
used with mouse and finger. What counts in the end is what the database holds.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, Keys

pytestmark = pytest.mark.browser

TRIALS = 4
PLUGINS = {"categorical": "/plugins/soft-label-form", "distribution": "/plugins/distribution-bars"}
PREFIXES = ("red", "green", "blue", "grey", "dark", "light", "small", "large", "old", "new")
NOUNS = ("boat", "house", "tree", "horse", "lamp", "chair", "bridge", "bird", "clock", "apple")
HUNDRED = [f"{prefix}_{noun}" for prefix in PREFIXES for noun in NOUNS]
STUDIES = """
from elicitation.images.models import ImageSet
from elicitation.studies.protocol import Design
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
for images in ("digits", "hundred"):
    for interface in ("categorical", "distribution"):
        plan = StudyPlan(
            slug=f"{interface}-{images}", title="What is it?", image_set=ImageSet.objects.get(name=images),
            interface=interface, information=demonstration_information(),
            design=Design(n_mixed_images=8, trials_per_person=4, repeats=0, answers_per_unit=20),
        )
        open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def studies(start_instance):
    """An instance with an open study of four trials for each interface, of 10 and of 100 classes."""

    def prepare(instance):
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(100), 4)
        colours = rng.integers(0, 256, (100, 1, 1, 3))[labels]
        images = np.clip(colours + rng.normal(0, 30, (400, 8, 8, 3)), 0, 255).astype(np.uint8)
        archive = instance.var / "hundred.npz"
        np.savez(archive, images=images, labels=labels, classes=np.array(HUNDRED))
        instance.manage("import_images", "npz", str(archive), "--name", "hundred")
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDIES)

    return start_instance(prepare)


# -- steps that a person takes


def join(page: Page, instance, slug: str) -> str:
    """From the link to the instructions; the private address of the participation."""
    page.goto(f"{instance.url}/s/{slug}/")
    for box in page.get_by_role("checkbox").all():
        box.focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="I want to take part").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/*/")
    page.locator("#jspsych-instructions-next").wait_for()
    return page.url


def read(keys: Keys) -> None:
    """The instructions and the worked example."""
    forward = keys.page.locator("#jspsych-instructions-next")
    while forward.count():
        keys.go_on("#jspsych-instructions-next")
    expect(keys.page.get_by_role("heading", name="How an answer looks")).to_be_visible()
    expect_accessible(keys.page)
    keys.go_on(".button-primary")
    expect(keys.page.get_by_role("heading", name="Try the controls")).to_be_focused()


def pass_check(keys: Keys, rightly: tuple[int, ...]) -> None:
    """The questions about the controls, then the button that starts the trials."""
    keys.page.get_by_role("radiogroup").first.wait_for()
    for number, place in enumerate(rightly):
        keys.tab_to(f"#jspsych-survey-multi-choice-{number} input")
        keys.press("Space", *["ArrowDown"] * place)
    keys.go_on("#jspsych-survey-multi-choice-next")
    expect(keys.page.get_by_role("button", name="Start")).to_be_visible()
    keys.go_on(".button-primary")


def start(page: Page, instance, slug: str) -> str:
    """To the first trial without looking left or right, for tests of the trial itself."""
    address, keys = join(page, instance, slug), Keys(page, 80)
    read(keys)
    if slug.startswith("distribution"):
        page.locator(".pf-number").first.fill("50")
    else:
        page.locator("#sl-most-1").check()
        page.locator("#sl-most-percent-number").fill("50")
        page.locator("#sl-second-none").check()
    page.get_by_role("button", name="Continue").click()
    pass_check(keys, (2, 0))
    expect_trial(page, 1)
    return address


def finish(page: Page) -> None:
    page.wait_for_url("**/survey/")
    page.get_by_role("button", name="Finish").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#completion-code")).to_be_visible()


# -- what is asserted


def saved(instance, address: str) -> list[dict]:
    """The answers that the database holds for the participation at `address`, in order of their trials."""
    encoded = address.rstrip("/").rpartition("/")[2].split(":")[0]
    public_id = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    rows = instance.rows(
        "select response.payload from elicitation_response response"
        " join elicitation_trial trial on trial.id = response.trial_id"
        " join elicitation_participation person on person.id = trial.participation_id"
        " where person.public_id = ? order by trial.position",
        public_id,
    )
    return [json.loads(row["payload"]) for row in rows]


def expect_trial(page: Page, number: int) -> None:
    heading = page.get_by_role("heading", name=re.compile(r"^Picture \d+ of \d+$"))
    expect(heading).to_have_text(f"Picture {number} of {TRIALS}")


def expect_accessible(page: Page) -> None:
    """Axe finds nothing serious, and nothing has to be scrolled sideways."""
    found = Axe().run(page).response["violations"]
    bad = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in bad] == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the window"


def class_of(name: str) -> int:
    return HUNDRED.index(name)


# -- 100 classes, by keyboard alone


def test_a_hundred_classes_are_shared_out_by_keyboard_alone(studies, open_window):
    page = open_window()
    address, keys = join(page, studies, "distribution-hundred"), Keys(page, 80)
    read(keys)
    status = page.locator("#trial-status")
    summary = page.locator(".db-summary")
    expect(status).to_have_text("Search for what it could be, and set its bar.")
    keys.choose("#db-search", "blue cl")
    keys.write("100")
    keys.go_on()
    pass_check(keys, (2, 0))

    expect_trial(page, 1)
    keys.tab_to("#db-search")
    keys.press("ArrowDown")
    expect(page.get_by_role("option")).to_have_count(100)
    expect(page.get_by_role("option", selected=True)).to_have_count(1)
    expect_accessible(page)
    keys.write("bridge")
    expect(page.get_by_role("option")).to_have_count(10)
    keys.press("Escape", "Escape")
    expect(page.locator("#db-search")).to_have_value("")
    keys.write("red_hor")
    keys.press("Enter")
    horse, house = class_of("red_horse"), class_of("old_house")
    expect(page.locator(f"#db-{horse}-number")).to_be_focused()
    expect(status).to_have_text("Set the bar of red_horse too, or remove it.")
    keys.write("60")
    keys.choose("#db-search", "Old House")
    keys.write("70")
    keys.press("Shift+Tab")
    expect(page.locator(f"#db-{house}")).to_have_attribute("aria-valuetext", "70%")
    expect(summary).to_have_text("You set red_horse 30%, old_house 70%. All others together: 0%.")
    keys.press("PageDown")
    expect(page.locator(f"#db-{horse}")).to_have_attribute("aria-valuetext", re.compile("^(39|40|41)%$"))
    keys.press("Home", "ArrowRight")
    expect(summary).to_have_text("You set red_horse 60%, old_house 1%. All others together: 39%.")
    expect_accessible(page)
    keys.choose("#db-search", "old house")
    expect(page.get_by_role("option", name="has a bar already")).to_be_visible()
    keys.press("Escape", "Escape")
    keys.tab_to("#db-rest")
    expect(page.locator("#db-rest")).to_have_attribute("aria-valuetext", "39%, not set by you")
    keys.go_on()

    expect_trial(page, 2)
    keys.choose("#db-search", "small apple")
    keys.choose("#db-search", "small boat")
    expect(status).to_have_text("Set the bar of small_apple too, or remove it.")
    keys.write("25")
    keys.tab_to("#trial-continue")
    keys.press("Enter")
    expect_trial(page, 2)
    expect(page.locator(f"#db-{class_of('small_apple')}")).to_be_focused()
    keys.tab_to(".co-remove")
    keys.press("Enter")
    expect(page.locator("#db-search")).to_be_focused()
    expect(status).to_have_text("Ready to continue.")
    keys.go_on()
    for number in (3, 4):
        expect_trial(page, number)
        keys.choose("#db-search", "light la")
        keys.write("100")
        keys.go_on()
    finish(page)

    held = saved(studies, address)
    assert [answer["percents"] for answer in held] == [
        {str(horse): 60, str(house): 1},
        {str(class_of("small_boat")): 25},
        {str(class_of("light_lamp")): 100},
        {str(class_of("light_lamp")): 100},
    ]
    assert [answer["rest_percent"] for answer in held] == [39, 75, 0, 0]
    assert {answer["input_method"] for answer in held} == {"keyboard"}
    assert [step[1:] for step in held[0]["history"]][:2] == [[horse, 60], [house, 70]]


def test_a_hundred_classes_are_named_and_ruled_out_by_keyboard_alone(studies, open_window):
    page = open_window()
    address, keys = join(page, studies, "categorical-hundred"), Keys(page, 80)
    read(keys)
    status = page.locator("#trial-status")
    expect(status).to_have_text("Choose what it is most probably.")
    keys.choose("#sl-most", "blue cl")
    keys.write("100")
    keys.tab_to("#sl-second-none")
    keys.press("Space")
    keys.go_on()
    pass_check(keys, (2, 0))

    expect_trial(page, 1)
    keys.choose("#sl-most", "dark tree")
    expect(page.locator("#sl-most-percent-number")).to_be_focused()
    keys.write("70")
    keys.choose("#sl-second", "dark tree")
    expect(page.locator("#sl-second-percent-number")).to_be_hidden()
    expect(page.get_by_text("your first choice").last).to_be_visible()
    expect_accessible(page)
    keys.press("Escape", "Escape")
    keys.write("new tree")
    keys.press("Enter")
    keys.write("40")
    expect(status).to_have_text("The two percents come to 110. Together they can be 100 at most.")
    keys.go_on()
    expect_trial(page, 1)
    expect(page.locator("#sl-second-percent")).to_be_focused()
    keys.press("PageDown")
    expect(status).to_have_text("Ready to continue.")
    keys.choose("#sl-excluded", "red apple")
    keys.write("green apple")
    keys.press("Enter")
    keys.write("new tree")
    keys.press("Enter")
    expect(page.get_by_text("your second choice").last).to_be_visible()
    keys.press("Escape", "Escape")
    expect_accessible(page)
    keys.go_on()
    for number in (2, 3, 4):
        expect_trial(page, number)
        keys.choose("#sl-most", "old clock")
        keys.write("90")
        keys.tab_to("#sl-second-none")
        keys.press("Space")
        keys.go_on()
    finish(page)

    first, *others = saved(studies, address)
    assert (first["most_probable"], first["percent"]) == (class_of("dark_tree"), 70)
    assert first["second"] == class_of("new_tree")
    assert first["second_percent"] in range(28, 31)  # a page down is a tenth, or nearly
    assert first["excluded"] == sorted([class_of("red_apple"), class_of("green_apple")])
    assert first["warnings_shown"] == 3
    assert [(answer["most_probable"], answer["second"]) for answer in others] == [
        (class_of("old_clock"), None)
    ] * 3
    assert {answer["input_method"] for answer in (first, *others)} == {"keyboard"}


def test_a_class_that_was_ruled_out_among_a_hundred_is_refused_a_second_time(studies, open_window):
    page = open_window()
    address, keys = join(page, studies, "categorical-hundred"), Keys(page, 80)
    read(keys)

    def answer() -> None:
        keys.choose("#sl-most", "dark tree")
        keys.write("70")
        keys.tab_to("#sl-second-none")
        keys.press("Space")

    answer()
    keys.go_on()
    pass_check(keys, (2, 0))
    expect_trial(page, 1)
    answer()
    rows = page.locator(".co-chosen li", has_text="red_apple")
    keys.choose("#sl-excluded", "red apple")
    keys.write("red apple")
    expect(page.get_by_role("option", name="red_apple")).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_role("option", name="red_apple")).to_contain_text("you ruled it out")
    keys.press("Enter")
    expect(rows).to_have_count(1)
    keys.press("Escape", "Escape")
    page.get_by_role("button", name="Remove red_apple").click()
    expect(rows).to_have_count(0)
    keys.go_on()
    expect_trial(page, 2)
    answer()
    keys.choose("#sl-excluded", "red apple")
    keys.go_on()
    expect_trial(page, 3)
    studies.wait_until(lambda: len(saved(studies, address)) == 2, 10, lambda: "the answers were not saved")
    first, second = saved(studies, address)
    assert (first["excluded"], first["warnings_shown"]) == ([], 1)
    assert (second["excluded"], second["warnings_shown"]) == ([class_of("red_apple")], 0)


# -- 10 classes, all of them on the screen


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_class_in_one_list_is_not_to_be_had_in_another(studies, open_window, size):
    page = open_window(size)
    address = start(page, studies, "categorical-digits")
    press(page, "label[for=sl-most-3]")
    expect(page.locator("#sl-second-3")).to_be_disabled()
    expect(page.locator("label[for=sl-excluded-3]")).to_contain_text("your first choice")
    press(page, "label[for=sl-excluded-3]")
    expect(page.locator(".sl-notice")).to_have_text(
        "“3” cannot be chosen here: your first choice. Change that first."
    )
    expect_accessible(page)
    press(page, "label[for=sl-most-8]")
    press(page, "label[for=sl-excluded-3]")
    expect(page.locator(".sl-notice")).to_have_text("")
    expect(page.locator("#sl-excluded-3")).to_be_checked()
    set_bar(page, "#sl-most-percent", 0.8)
    press(page, "label[for=sl-second-none]")
    press(page, "#trial-continue")
    expect_trial(page, 2)
    studies.wait_until(lambda: saved(studies, address), 10, lambda: "the answer was not saved")
    (answer,) = saved(studies, address)
    assert (answer["most_probable"], answer["second"], answer["excluded"]) == (8, None, [3])
    assert abs(answer["percent"] - 80) <= 1
    assert answer["warnings_shown"] == 1
    assert answer["input_method"] == ("touch" if size == PHONE else "mouse")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_ten_bars_are_100_together_whatever_is_done_to_one(studies, open_window, size):
    page = open_window(size)
    address = start(page, studies, "distribution-digits")
    expect(page.get_by_role("button", name="Continue")).to_be_disabled()
    assert shown(page) == [10] * 10
    for number, (bar, share) in enumerate([(3, 0.6), (8, 0.3), (3, 1.0), (3, 0.5), (0, 0.9), (8, 0.0)]):
        set_bar(page, f"#db-{bar}", share)
        percents = shown(page)
        assert sum(percents) == 100, f"after change {number}: {percents}"
    page.locator("#db-5-number").fill("250")
    page.locator("#db-6-number").focus()
    expect(page.locator(".db-summary")).to_have_text("Give a whole number from 0 to 100.")
    assert sum(shown(page)) == 100
    expect_accessible(page)
    before = shown(page)
    press(page, "#trial-continue")
    expect_trial(page, 2)
    studies.wait_until(lambda: saved(studies, address), 10, lambda: "the answer was not saved")
    (answer,) = saved(studies, address)
    assert sorted(answer["percents"].values()) == sorted(before)
    assert sum(answer["percents"].values()) == 100
    assert answer["rest_percent"] == 0


def set_bar(page: Page, selector: str, share: float) -> None:
    """Press a bar at a place on it."""
    knob = 26
    press(page, selector, lambda width: knob / 2 + (width - knob) * share)


def press(page: Page, selector: str, across: Callable[[float], float] = lambda width: width - 12) -> None:
    """Press where something stands, even if it cannot be used: with a finger on a phone, with the mouse elsewhere."""
    control = page.locator(selector)
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    assert box is not None
    x, y = box["x"] + across(box["width"]), box["y"] + box["height"] / 2
    if page.viewport_size == PHONE:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)


def shown(page: Page) -> list[int]:
    """The numbers beside the bars; each bar stands where its number says."""
    numbers = page.locator(".pf-number").evaluate_all("fields => fields.map(field => Number(field.value))")
    bars = page.locator(".pf-range").evaluate_all("bars => bars.map(bar => bar.valueAsNumber)")
    assert numbers == bars
    return numbers


# -- answering by themselves


@pytest.mark.parametrize("images", ["digits", "hundred"])
@pytest.mark.parametrize("interface", ["categorical", "distribution"])
@pytest.mark.parametrize("mode", ["data-only", "visual"])
def test_the_plugin_answers_by_itself_in_a_simulation(studies, open_window, interface, images, mode):
    page = open_window()
    join(page, studies, f"{interface}-{images}")
    given = {"percents": {"3": 55, "7": 45}, "rest_percent": 0}
    if interface == "categorical":
        given = {"most_probable": 3, "percent": 55, "second": 7, "second_percent": 45, "excluded": [1]}
    elif images == "digits":
        given["percents"] |= {str(other): 0 for other in range(10) if other not in (3, 7)}
    payloads = page.evaluate(
        """async ([mode, given, name, classes]) => {
            const loaded = performance.getEntriesByType('resource').map((entry) => entry.name);
            const { default: type } = await import(loaded.find((address) => address.includes(name)));
            const person = { classes: classes.map((name, id) => ({ id, name })) };
            const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 8 });
            const image = Object.assign(new Image(), { src: canvas.toDataURL() });
            await image.decode();
            const pictures = [{ src: image.src, width: 8, height: 8, image }];
            const soon = (payload) => ({ simulation_options: { data: { rt: 90, payload } } });
            const trials = [soon(given), soon({})].map((more) => ({ type, pictures, person, ...more }));
            const stage = document.getElementById('stage');
            stage.replaceChildren();
            const jsPsych = initJsPsych({ display_element: 'stage' });
            await jsPsych.simulate(trials, mode);
            return jsPsych.data.get().values().map(({ payload }) => payload);
        }""",
        [mode, given, PLUGINS[interface], HUNDRED if images == "hundred" else list("0123456789")],
    )
    assert {name: payloads[0][name] for name in given} == given
    if interface == "distribution":
        assert [sum(said["percents"].values()) + said["rest_percent"] for said in payloads] == [100, 100]
    else:
        assert payloads[1]["percent"] + payloads[1]["second_percent"] <= 100
    assert payloads[0]["input_method"] == ("none" if mode == "data-only" else "keyboard")
