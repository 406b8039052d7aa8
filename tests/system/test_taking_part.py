"""One person's way from the link to the completion code, in a real browser against a real instance.

Faults are made on the wire (a reply lost after the server has committed, no connection, a picture that does
not load) and each test asserts that its fault happened. What counts in the end is what the database holds.
"""

from __future__ import annotations

import base64
import json
import re
import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TRIALS = 9
STUDY = """
from elicitation.images.models import ImageSet
from elicitation.studies.services import Design, StudyPlan, create_study, open_study
from hilmix.accounts.roles import OPERATOR
design = Design(n_mixed_images=16, trials_per_person=8, repeats=1, answers_per_unit=40)
plan = StudyPlan(
    slug="digits", title="What do you see?", image_set=ImageSet.objects.get(name="digits"), design=design,
    max_comprehension_rounds=2,
)
open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def study(start_instance):
    """An instance with one open study of nine trials a person."""

    def prepare(instance):
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDY)

    return start_instance(prepare)


# -- steps that a person takes


def consent(page: Page, instance, query: str = "") -> str:
    """Through the entry page; the private address of the participation."""
    page.goto(f"{instance.url}/s/digits/{query}")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    page.wait_for_url("**/p/*/")
    return page.url


def read_instructions(page: Page) -> None:
    page.locator("#jspsych-instructions-next").wait_for()
    while page.locator("#jspsych-instructions-next").count():
        page.locator("#jspsych-instructions-next").click()


def practise(page: Page) -> None:
    expect(page.get_by_role("heading", name="Try the controls")).to_be_visible()
    answer(page, 70, 40)


def check(page: Page, *, rightly: bool = True) -> None:
    """Answer the questions about the controls."""
    groups = page.get_by_role("radiogroup")
    groups.first.wait_for()
    for group, right in zip(groups.all(), (2, 0), strict=True):
        group.get_by_role("radio").nth(right if rightly else 1).check()
    page.get_by_role("button", name="Continue").click()


def start(page: Page, instance, query: str = "") -> str:
    """From the link to the first trial."""
    address = consent(page, instance, query)
    read_instructions(page)
    practise(page)
    check(page)
    page.get_by_role("button", name="Start").click()
    expect(trial_heading(page)).to_have_text(f"Picture 1 of {TRIALS}")
    return address


def trial_heading(page: Page):
    return page.get_by_role("heading", name=re.compile(r"^Picture \d+ of \d+$"))


def put(page: Page, slider: str, percent: int) -> None:
    """Press a slider at a place on it, as a mouse does."""
    control = page.locator(f"#ms-{slider}")
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    assert box is not None
    thumb = 30
    page.mouse.click(
        box["x"] + thumb / 2 + (box["width"] - thumb) * percent / 100, box["y"] + box["height"] / 2
    )


def answer(page: Page, mixing: int, confidence: int) -> None:
    put(page, "mixing", mixing)
    put(page, "confidence", confidence)
    page.get_by_role("button", name="Continue").click()


def answer_trial(page: Page, mixing: int = 30, confidence: int = 80) -> int:
    """Answer the trial on the screen and wait for what comes next; the trial's number."""
    heading = trial_heading(page).inner_text()
    answer(page, mixing, confidence)
    page.wait_for_function("before => document.querySelector('h1')?.textContent !== before", arg=heading)
    return int(heading.split()[1])


def answer_the_rest(page: Page) -> None:
    """Until the comments page."""
    while answer_trial(page) < TRIALS:
        pass
    page.wait_for_url("**/comments/")


def finish(page: Page) -> str:
    """Through the comments page; the completion code."""
    page.get_by_role("button", name="Finish").click()
    return page.locator("#completion-code").inner_text()


# -- what is asserted


def saved(instance, address: str) -> list[dict]:
    """The answers that the database holds for the participation at `address`, in order of their trials."""
    rows = instance.rows(
        "select trial.position, trial.kind, trial.params, response.* from elicitation_response response"
        " join elicitation_trial trial on trial.id = response.trial_id where trial.participation_id = ?"
        " order by trial.position",
        participation(instance, address)["id"],
    )
    return [
        {**row, "payload": json.loads(row["payload"]), "params": json.loads(row["params"])} for row in rows
    ]


def participation(instance, address: str) -> dict:
    """The row of the participation at `address`; its link is the signed public id."""
    encoded = address.rstrip("/").rpartition("/")[2].split(":")[0]
    public_id = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return instance.rows("select * from elicitation_participation where public_id = ?", public_id)[0]


def events(instance, address: str) -> dict[str, dict]:
    """What happened on the way, the last of each kind."""
    rows = instance.rows(
        "select kind, data from elicitation_participationevent"
        " where participation_id = ? order by received_at",
        participation(instance, address)["id"],
    )
    return {row["kind"]: json.loads(row["data"]) for row in rows}


def expect_accessible(page: Page) -> None:
    """Axe finds nothing serious, and nothing has to be scrolled sideways."""
    found = Axe().run(page).response["violations"]
    bad = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in bad] == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the window"


def expect_whole_pixels(page: Page) -> None:
    """The picture is shown at a whole multiple of its native size, without smoothing."""
    shown = page.locator("img.ms-image").evaluate(
        """image => {
            const { width, height } = image.getBoundingClientRect();
            const { naturalWidth, naturalHeight } = image;
            const times = [width / naturalWidth, height / naturalHeight];
            return { times, rendering: getComputedStyle(image).imageRendering };
        }"""
    )
    across, down = shown["times"]
    assert shown["rendering"] == "pixelated"
    assert across == down == int(across) >= 1


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
    read_instructions(page)
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
    expect(page.locator("#saved")).to_have_text(f"2 of {TRIALS} saved")
    answer_the_rest(page)
    expect_accessible(page)
    page.get_by_label("anything you would like to tell us").fill("The digits were hard.")
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
    assert done["comments"] == "The digits were hard."
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
    for place in range(3):
        tab_to(f".box:nth-of-type({place + 1}) input")
        keys.press("Space")
    tab_to("button[value=consent]")
    keys.press("Enter")
    page.wait_for_url("**/p/*/")
    address = page.url
    page.locator("#jspsych-instructions-next").wait_for()
    while page.locator("#jspsych-instructions-next").count():
        tab_to("#jspsych-instructions-next")
        keys.press("Enter")
    expect(page.get_by_role("heading", name="Try the controls")).to_be_focused()
    tab_to("#ms-mixing")
    keys.press("ArrowLeft")
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", re.compile(r"^51 % .+, 49 % .+$"))
    tab_to("#ms-confidence")
    keys.press("Enter")
    tab_to("#ms-continue")
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
        tab_to("#ms-continue")
        keys.press("Enter")
    page.wait_for_url("**/comments/")
    tab_to(".button-primary")
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
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", re.compile("^50 % .+, 50 % "))
    button.click(force=True)
    expect(page.locator("#ms-status")).to_have_text("Set the second slider too.")
    expect(trial_heading(page)).to_have_text(f"Picture 1 of {TRIALS}")
    put(page, "confidence", 10)
    button.click()
    expect(page.locator("#saved")).to_have_text(f"1 of {TRIALS} saved")
    assert [row["payload"]["mixing_percent"] for row in saved(study, address)] == [50]


@pytest.mark.parametrize("mode", ["data-only", "visual"])
def test_the_plugin_answers_by_itself_in_a_simulation(study, open_window, mode):
    page = open_window()
    start(page, study)
    script = page.locator('script[type="module"]').get_attribute("src")
    assert script is not None
    answers = page.evaluate(
        """async ([mode, source]) => {
            const { PLUGINS } = await import(source);
            const { src } = document.querySelector('.ms-image');
            const words = { title: 'Simulated', question: 'How much?', confidence_question: 'How sure?' };
            const names = { left_class: 'ship', right_class: 'cat' };
            const trial = { type: PLUGINS['mixture-sliders'], src, width: 8, height: 8, ...words, ...names };
            const soon = { rt: 60, first_interaction_ms: 10 };
            const given = [{ ...soon, mixing_percent: 20 }, { ...soon, cannot_tell: true }];
            document.getElementById('stage').replaceChildren();
            const jsPsych = initJsPsych({ display_element: 'stage' });
            await jsPsych.simulate(given.map((data) => ({ ...trial, simulation_options: { data } })), mode);
            return jsPsych.data.get().values();
        }""",
        [mode, plain(script).replace("main.js", "timeline.js")],
    )
    assert [given["mixing_percent"] for given in answers] == [20, None]
    assert [given["cannot_tell"] for given in answers] == [False, True]
    assert all(given["image_css_px"] == 320 for given in answers)


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


# -- interruptions


def test_a_reload_in_the_middle_goes_on_where_it_was(study, open_window):
    page = open_window()
    address = start(page, study)
    answer_trial(page)
    answer_trial(page)
    expect(page.locator("#saved")).to_have_text(f"2 of {TRIALS} saved")
    page.reload()
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="Go on").click()
    expect(trial_heading(page)).to_have_text(f"Picture 3 of {TRIALS}")
    answer_the_rest(page)
    finish(page)
    held = saved(study, address)
    assert [row["attempt"] for row in held[:2]] == [1, 1]
    assert held[2]["attempt"] > 1
    assert events(study, address)["resume"]["position"] == 2


def test_another_browser_goes_on_from_the_private_address(study, open_window):
    page = open_window()
    address = start(page, study)
    answer_trial(page)
    expect(page.locator("#saved")).to_have_text(f"1 of {TRIALS} saved")
    other = open_window(PHONE)
    other.goto(address)
    other.get_by_role("button", name="Go on").click()
    expect(trial_heading(other)).to_have_text(f"Picture 2 of {TRIALS}")
    answer_trial(page)
    expect(page.get_by_role("dialog", name="You continued in another window")).to_be_visible()
    expect_accessible(page)
    answer_the_rest(other)
    finish(other)
    assert len(saved(study, address)) == TRIALS


def test_a_second_window_in_the_same_browser_takes_over_at_once(study, open_window):
    page = open_window()
    address = start(page, study)
    second = page.context.new_page()
    second.goto(address)
    expect(page.get_by_role("dialog", name="You continued in another window")).to_be_visible()
    expect(second.get_by_role("button", name="Go on")).to_be_visible()


# -- faults on the wire


def test_a_reply_lost_after_commit_is_not_saved_twice(study, open_window):
    page = open_window()
    address = start(page, study)
    lost: list[str] = []

    def lose_the_first_reply(route: Route) -> None:
        if lost:
            return route.continue_()
        sent = json.loads(route.request.post_data or "{}")
        reply = route.fetch()
        assert reply.json()["results"][0]["status"] == "created"
        lost.append(sent["responses"][0]["id"])
        return route.abort("connectionreset")

    page.route("**/participation/responses/", lose_the_first_reply)
    with page.expect_response(lambda response: response.url.endswith("/responses/")) as second:
        answer_trial(page, 10, 20)
    receipt = second.value.json()["results"][0]
    assert receipt == {"id": lost[0], "status": "exists", "message": ""}
    expect(page.locator("#saved")).to_have_text(f"1 of {TRIALS} saved")
    answer_the_rest(page)
    finish(page)
    held = saved(study, address)
    assert len(held) == TRIALS
    assert uuid.UUID(held[0]["id"]) == uuid.UUID(lost[0])


def test_answers_given_without_a_connection_wait_and_are_saved_once_it_is_back(study, open_window):
    page = open_window()
    address = start(page, study)
    page.context.set_offline(True)
    for _ in range(5):
        answer_trial(page)
    expect(page.locator("#saved")).to_have_text(f"0 of {TRIALS} saved, 5 kept on this computer")
    assert saved(study, address) == []
    answer(page, 50, 50)
    expect(page.get_by_role("dialog", name="Waiting for the connection")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Waiting for the connection")).to_be_visible()
    expect_accessible(page)
    page.context.set_offline(False)
    expect(trial_heading(page)).to_have_text(f"Picture 7 of {TRIALS}", timeout=40_000)
    expect(page.locator("#saved")).to_have_text(f"6 of {TRIALS} saved")
    answer_the_rest(page)
    finish(page)
    assert len(saved(study, address)) == TRIALS
    assert events(study, address)["offline"]["ms"] > 0


def test_closing_the_window_before_answers_are_sent_loses_none(study, open_window):
    page = open_window()
    address = start(page, study)
    context = page.context
    context.set_offline(True)
    answer_trial(page)
    answer_trial(page)
    expect(page.locator("#saved")).to_contain_text("2 kept on this computer")
    page.close()
    assert saved(study, address) == []
    context.set_offline(False)
    again = context.new_page()
    again.goto(address)
    again.get_by_role("button", name="Go on").click()
    expect(trial_heading(again)).to_have_text(f"Picture 3 of {TRIALS}")
    expect(again.locator("#saved")).to_have_text(f"2 of {TRIALS} saved")
    assert [row["position"] for row in saved(study, address)] == [0, 1]


def test_an_answer_on_its_way_when_the_window_closes_still_arrives(study, open_window):
    page = open_window()
    address = start(page, study)
    stuck: list[str] = []
    page.route("**/participation/responses/", lambda route: (stuck.append(route.request.url), route.abort()))
    answer_trial(page)
    expect(page.locator("#saved")).to_contain_text("1 kept on this computer")
    assert stuck
    page.close()
    study.wait_until(lambda: len(saved(study, address)) == 1, 10, lambda: "the answer did not arrive")


def test_an_answer_that_the_server_refused_is_asked_for_again_before_the_end(study, open_window):
    page = open_window()
    address = start(page, study)
    refused: list[str] = []

    def refuse_the_first(route: Route) -> None:
        if refused:
            return route.continue_()
        refused.append(json.loads(route.request.post_data or "{}")["responses"][0]["id"])
        results = [{"id": refused[0], "status": "invalid", "message": "made invalid by a test"}]
        return route.fulfill(json={"results": results, "stale_epoch": False, "answered": 0, "total": TRIALS})

    page.route("**/participation/responses/", refuse_the_first)
    while answer_trial(page) < TRIALS:
        pass
    expect(page.get_by_role("heading", name="A few answers are missing")).to_be_visible()
    expect(page.get_by_role("link", name="Download my answers")).to_be_visible()
    expect_accessible(page)
    assert participation(study, address)["state"] == "running"
    page.get_by_role("button", name="Answer again").click()
    page.get_by_role("button", name="Go on").click()
    expect(trial_heading(page)).to_have_text(f"Picture {TRIALS} of {TRIALS}")
    answer_trial(page)
    page.wait_for_url("**/comments/")
    finish(page)
    assert len(saved(study, address)) == TRIALS
    assert events(study, address)["save_refused"]["id"] == refused[0]


def test_a_page_whose_token_has_expired_says_so_and_loses_nothing(study, open_window):
    page = open_window()
    address = start(page, study)
    page.route("**/participation/responses/", lambda route: route.fulfill(status=401, json={"detail": "no"}))
    answer_trial(page)
    expect(page.get_by_role("dialog", name="Please open the study again")).to_be_visible()
    expect_accessible(page)
    assert saved(study, address) == []
    page.unroute("**/participation/responses/")
    page.get_by_role("button", name="Open again").click()
    page.get_by_role("button", name="Go on").click()
    expect(trial_heading(page)).to_have_text(f"Picture 2 of {TRIALS}")
    assert len(saved(study, address)) == 1


def test_pictures_that_do_not_load_are_counted_and_can_be_tried_again(study, open_window):
    page = open_window()
    failed: list[str] = []
    page.route("**/participation/images/**", lambda route: (failed.append(route.request.url), route.abort()))
    address = consent(page, study)
    read_instructions(page)
    practise(page)
    check(page)
    expect(page.get_by_text(f"{TRIALS} pictures could not be loaded.")).to_be_visible()
    expect_accessible(page)
    assert len(failed) >= 3 * TRIALS
    page.unroute("**/participation/images/**")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Start").click()
    expect_whole_pixels(page)
    assert len(events(study, address)["preload_fail"]["urls"]) == TRIALS


def test_an_address_that_is_not_complete_is_refused(study, open_window):
    page = open_window()
    address = consent(page, study)
    reply = page.goto(address.rstrip("/")[:-3] + "/")
    assert reply is not None
    assert reply.status == 404
