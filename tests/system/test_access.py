"""For everybody: every page at two sizes, in light and dark, by keyboard, by finger, and as it is on the screen.

Researchers' pages come from the URLconf with the objects of the security tests' world behind them; participants'
screens are walked through. What a participant's browser asks of others, or is told to keep, is counted on every way:
nothing.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import get_resolver
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Response, Route, expect

from tests.security.routes import ROUTES, every_pattern
from tests.system.steps import DESKTOP, PHONE, Keys, enter_as

pytestmark = pytest.mark.browser

SIZES = (DESKTOP, PHONE)
SMALLEST = 24  # css pixels of a target, each way
TRIALS = 8

# -- every address: who looks at it, or that there is nothing to look at

PAGES = {
    "visitor": ("home", "study_entry", "study_problem", "sign_in", "sign_in_with_link", "api_docs"),
    "participant": (
        "participation", "participation_device", "participation_survey", "participation_withdraw",
        "participation_problem",
    ),
    "owner": (
        "home", "account", "image_sets", "image_set", "studies", "new_study", "study", "study_texts",
        "study_recruitment", "study_submissions", "study_bonuses",
        "import_study", "study_protocol", "copy_study", "study_versions", "study_version", "jobs", "job",
        "releases", "release", "release_changes", "freeze_release", "study_exports",
        "experiments", "experiment", "run", "run_images", "report_part", "run_explanations", "diagnosis",
        "robustness", "mixing", "follow_up", "experiment_choice", "model_card", "experiment_paper",
        "experiment_over_time",
        "study_monitor", "study_participations", "study_participation", "study_problems", "study_replay",
        "study_planner", "study_simulations", "simulation",
        "study_mixed_images", "mixed_image", "study_responses", "lineage", "study_label_scores", "study_analysis",
    ),
    "admin": ("home", "people", "audit_trail", "jobs", "new_experiment", "uploads", "upload_new", "upload"),
}  # fmt: skip
NOT_PAGES = {
    "healthz", "readyz", "schema",
    "parent_image", "study_mixed_image", "study_participation_picture", "study_participations_csv", "study_toml",
    "job_state", "upload_report", "release_file", "export_file", "source_rows", "analysis_figure",
    "run_live", "run_figure",
    "experiment_report_json", "experiment_report_markdown", "experiment_figure", "model_card_file", "run_weights",
    "experiment_explanations", "run_explanation_picture", "run_explanation_figure",
    "experiment_report_html", "experiment_report_pdf", "experiment_reproduce",
    "robustness_image",
    *(name for name, route in ROUTES.items() if "GET" not in route.verbs.split()),
    *(name for name in ROUTES if name.startswith("api_") and name != "api_docs"),
    "participation_plan", "participation_image", "participation_example",
}  # fmt: skip
WORLD = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.routes import ROUTES
from tests.security.world import made_world
world = ExitStack().enter_context(made_world(settings.VAR))
print(json.dumps({
    "addresses": {name: world.address(name) for name in ROUTES},
    "sessions": {name: world[name].session for name in ("owner", "admin")},
}))
"""

# -- the studies that people take part in

STUDIES = """
from dataclasses import replace
import json
from elicitation.flow.services import join_study
from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES
from elicitation.participants.services import link_of
from elicitation.studies.protocol import Design, Display, Flow
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import default_texts, demonstration_information
from hilmix.accounts.roles import OPERATOR

def opened(plan):
    study = create_study(plan=plan, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    return study

design = Design(n_mixed_images=20, trials_per_person=4, repeats=0, answers_per_unit=40)
row = replace(design, lambdas_e4=tuple(range(0, 10001, 1000)))
base = StudyPlan(
    slug="walk", title="What do you see?", image_set=ImageSet.objects.get(name="digits"), design=design,
    information=demonstration_information(), flow=Flow(break_every=5, min_width_px=320),
)
for interface in INTERFACES:
    chosen = row if INTERFACES[interface].UNIT == "pair" else design
    opened(replace(base, slug=interface.replace("_", "-"), interface=interface, design=chosen))

texts = default_texts(
    title=base.title, interface=INTERFACES["infer"], perspective="you", language="en-gb",
    information=base.information,
)
texts["survey"][0]["required"] = True
opened(replace(
    base, design=replace(design, trials_per_person=8), texts=texts,
    bonus="Ten people who answer every picture get **5 euros** each, drawn by lot.",
))

blots = replace(base, image_set=ImageSet.objects.get(name="blots"), design=replace(design, n_mixed_images=8))
opened(replace(blots, slug="crisp", display=Display(enlargement=7, pixels="device")))
opened(replace(blots, slug="smooth", display=Display(enlargement=20, resampling="bicubic")))
brief = Display(enlargement=8, resampling="bicubic", exposure_ms=500)
opened(replace(blots, slug="brief", display=brief, timing_reason=""))

ended = opened(replace(base, slug="ended"))
person, _ = join_study(study=ended, source="person", boxes={"adult": True, "agree": True})
close_study(study=ended, actor=OPERATOR)
print(json.dumps(link_of(person)))
"""


@dataclass(frozen=True)
class Site:
    """One instance, and what its database was filled with."""

    instance: Any
    addresses: dict[str, str]
    sessions: dict[str, str]
    ended: str

    @property
    def url(self) -> str:
        return self.instance.url


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Site:
    """The security tests' world, and open studies of every interface and display."""
    made: dict[str, Any] = {}

    def prepare(instance: Any) -> None:
        made.update(json.loads(instance.python(WORLD).splitlines()[-1]))
        instance.manage("import_images", "digits", "--name", "digits")
        rng = np.random.default_rng(0)
        labels = np.arange(90) % 3
        archive = instance.var / "blots.npz"
        images = rng.integers(0, 256, (90, 9, 9, 3), dtype=np.uint8)
        np.savez(archive, images=images, labels=labels, classes=np.array(["ant", "bee", "cat"]))
        instance.manage("import_images", "npz", str(archive), "--name", "blots")
        made["ended"] = json.loads(instance.python(STUDIES).splitlines()[-1])

    return Site(start_instance(prepare), **made)


@pytest.fixture
def open_private(site: Site, open_window: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Like `open_window`, for participants: nobody else is asked for anything, and no cookie is set."""
    asked: set[str] = set()
    cookies: list[object] = []
    pages: list[Page] = []

    def note(response: Response) -> None:
        if "set-cookie" in response.headers:
            cookies.append((response.url, response.headers["set-cookie"]))

    def open_page(*arguments: Any, **options: Any) -> Page:
        page = open_window(*arguments, **options)
        page.context.on("request", lambda request: asked.add(origin(request)))
        page.context.on("response", note)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        cookies += page.context.cookies()
    assert asked - {"blob", "data"} == {site.url}
    assert cookies == []


def origin(request: Request) -> str:
    """Scheme and host that a request goes to; the scheme alone of what the page holds itself."""
    parts = urlsplit(request.url)
    return (
        f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https", "ws", "wss") else parts.scheme
    )


# -- what is asserted

SERIOUS = """
async (options) => {
  const { violations } = await axe.run({ resultTypes: ['violations'], ...options });
  const bad = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return bad.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}
"""
# A target is what one may press: the label of a box is part of it. A link in a sentence is as tall as its line.
SMALL_TARGETS = """
(smallest) => {
  const found = document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex="0"]');
  const shown = [...found].filter((node) => node.type !== 'hidden' && node.checkVisibility());
  const inSentence = (node) => node.matches('a') && node.closest('p, li');
  return shown.filter((node) => !inSentence(node) && !node.matches('.skip')).flatMap((node) => {
    const boxes = [node, ...(node.labels ?? [])].map((part) => part.getBoundingClientRect());
    const [width, height] = ['width', 'height'].map((side) => Math.max(...boxes.map((box) => box[side])));
    return Math.min(width, height) < smallest ? [`${node.outerHTML.slice(0, 120)}: ${width} × ${height}`] : [];
  });
}
"""
CONTRAST = {"runOnly": ["color-contrast"]}


def problems(page: Page, *, targets: bool) -> list[str]:
    """What is wrong with the page on the screen at its present size, in light and in dark."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate(SERIOUS, {})
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {text}" for text in page.evaluate(SERIOUS, CONTRAST)]
    page.emulate_media(color_scheme="light")
    width, room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if width > room:
        found.append(f"{width} px wide in a window of {room}")
    if targets:
        found += [f"too small: {text}" for text in page.evaluate(SMALL_TARGETS, SMALLEST)]
    return found


def expect_accessible(page: Page, name: str, *, targets: bool = True) -> None:
    """Nothing is wrong at either size; the window is as it was afterwards."""
    page.wait_for_load_state("load")  # with its style sheets
    before = page.viewport_size
    for size in sorted(SIZES, key=lambda size: size == before):
        page.set_viewport_size(size)
        assert problems(page, targets=targets) == [], f"{name} at {size['width']} px: {page.url}"


# -- pages from the URLconf


def test_every_address_is_looked_at_or_known_to_be_no_page():
    names = {pattern.name for pattern in every_pattern(get_resolver().url_patterns)}
    looked_at = {name for pages in PAGES.values() for name in pages}
    assert names == looked_at | NOT_PAGES
    assert looked_at & NOT_PAGES == set()


@pytest.mark.parametrize(("caller", "name"), [(caller, name) for caller in PAGES for name in PAGES[caller]])
def test_a_page_is_accessible_to_whom_it_is_for(site, open_window, caller, name):
    page = open_window(DESKTOP)
    if session := site.sessions.get(caller):
        enter_as(page, session, site.url)
    reply = page.goto(site.url + site.addresses[name])
    assert reply is not None
    assert reply.status == 200
    assert urlsplit(page.url).path == site.addresses[name]
    if name == "participation":
        expect(page.locator("#jspsych-instructions-next")).to_be_visible()
    if name == "api_docs":
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect_accessible(page, name, targets=caller == "participant")


@pytest.mark.parametrize("address", ["/s/nowhere/", "/p/nobody/", "/studies/nothing/"])
def test_a_page_that_says_no_is_accessible_too(site, open_window, address):
    page = open_window(DESKTOP)
    page.goto(site.url + address)
    expect_accessible(page, address, targets=False)


# -- steps that a person takes


def consent(page: Page, site: Site, slug: str) -> str:
    """Through the entry page; the private address of the participation."""
    page.goto(f"{site.url}/s/{slug}/")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    page.wait_for_url("**/p/*/")
    page.locator("#jspsych-instructions-next").wait_for()
    return page.url


def heading(page: Page, name: str):
    """The screen's heading, once it is there; it has the focus, so that reading starts there."""
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_focused()


def trial_heading(page: Page, number: int, total: int) -> None:
    heading_of_trial = page.get_by_role("heading", name=re.compile(r"^(Picture|Round) \d+ of \d+$"))
    expect(heading_of_trial).to_have_text(re.compile(f" {number} of {total}$"))


def press(page: Page, selector: str, share: float = 0.5) -> None:
    """Press a control at a share of its width, with a finger where there is touch."""
    control = page.locator(selector).first
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * share, box["y"] + box["height"] / 2
    if page.viewport_size == PHONE:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)


def answer_infer(page: Page) -> None:
    press(page, "#ms-mixing", 0.3)
    press(page, "#ms-confidence", 0.8)


def answer_categorical(page: Page) -> None:
    press(page, "label[for=sl-most-3]", 0.9)
    press(page, "#sl-most-percent", 0.7)
    press(page, "label[for=sl-second-8]", 0.9)
    press(page, "#sl-second-percent", 0.2)
    press(page, "label[for=sl-excluded-1]", 0.9)


def answer_distribution(page: Page) -> None:
    press(page, "#db-3", 0.6)
    press(page, "#db-8", 0.3)


# How each interface is answered with a finger or a mouse, and the right answers about its controls.
ANSWERS: dict[str, Callable[[Page], None]] = {
    "infer": answer_infer,
    "select-shuffled": lambda page: press(page, "[role=radio] >> nth=7"),
    "construct": lambda page: press(page, "#cs-left"),
    "categorical": answer_categorical,
    "distribution": answer_distribution,
}
RIGHT = {
    "infer": (2, 0),
    "select-shuffled": (1, 0),
    "construct": (0, 1),
    "categorical": (2, 0),
    "distribution": (2, 0),
}


def check(page: Page, answers: tuple[int, ...]) -> None:
    """Answer the questions about the controls."""
    page.get_by_role("radiogroup").first.wait_for()
    for group, place in zip(page.get_by_role("radiogroup").all(), answers, strict=True):
        group.locator("label").nth(place).click()
    go_on(page)


def go_on(page: Page, name: str = "Continue") -> None:
    page.get_by_role("button", name=name, exact=True).click()


def read(page: Page, look: Callable[[Page, str], None] | None = None) -> None:
    """The instructions, to the worked example."""
    page.locator("#jspsych-instructions-next").wait_for()
    number = 0
    while page.locator("#jspsych-instructions-next").count():
        number += 1
        if look:
            look(page, f"instructions {number}")
        page.locator("#jspsych-instructions-next").click()


def learn(page: Page, interface: str = "infer") -> None:
    """Everything before the first trial."""
    read(page)
    go_on(page)
    heading(page, "Try the controls")
    if page.get_by_role("button", name="Show the picture").count():
        go_on(page, "Show the picture")
    ANSWERS[interface](page)
    go_on(page)
    check(page, RIGHT[interface])
    go_on(page, "Start")


def saved(site: Site, address: str) -> list[dict[str, Any]]:
    """The answers that the database holds for the participation at `address`, in order of their trials."""
    encoded = address.rstrip("/").rpartition("/")[2].split(":")[0]
    public_id = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    rows = site.instance.rows(
        "select response.payload from elicitation_response response"
        " join elicitation_trial trial on trial.id = response.trial_id"
        " join elicitation_participation person on person.id = trial.participation_id"
        " where person.public_id = ? order by trial.position",
        public_id,
    )
    return [json.loads(row["payload"]) for row in rows]


# -- every screen of a participant


class Gate:
    """Holds back what the browser asks for at some address, until it is opened."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.is_open = False
        self.held: list[Route] = []
        page.route(pattern, self.meet)

    def meet(self, route: Route) -> None:
        if self.is_open:
            route.continue_()
        else:
            self.held.append(route)

    def open(self) -> None:
        assert self.held, "nothing was held back"
        self.is_open = True
        for route in self.held:
            route.continue_()


@pytest.mark.parametrize("size", SIZES, ids=["desktop", "phone"])
def test_every_screen_from_the_link_to_the_withdrawal_is_accessible(site, open_private, size):
    page = open_private(size)
    look = expect_accessible
    page.goto(f"{site.url}/s/walk/")
    look(page, "consent")
    go_on(page, "I want to take part")
    expect(page.get_by_role("alert")).to_be_focused()
    look(page, "errors on consent")
    go_on(page, "I do not want to take part")
    expect(page.get_by_role("heading", name="You do not take part")).to_be_visible()
    look(page, "declined")

    address = consent(page, site, "walk")
    page.route("**/participation/images/**", lambda route: route.abort())
    page.reload()
    read(page, look)
    heading(page, "How an answer looks")
    look(page, "worked example")
    go_on(page)
    heading(page, "Try the controls")
    look(page, "practice")
    answer_infer(page)
    look(page, "practice, answered")
    go_on(page)
    heading(page, "A few questions before you start")
    look(page, "comprehension")
    check(page, (0, 1))
    expect(page.get_by_text("Not every answer was right.")).to_be_visible()
    look(page, "mistakes")
    go_on(page, "Read the instructions again")
    read(page)
    check(page, RIGHT["infer"])
    expect(page.get_by_text("Pictures that could not be loaded")).to_be_visible()
    look(page, "pictures that failed")
    page.unroute("**/participation/images/**")
    gate = Gate(page, "**/participation/images/**")
    go_on(page, "Try again")
    expect(page.get_by_text(re.compile(f"0 .*{TRIALS}"))).to_be_visible()
    look(page, "loading")
    gate.open()
    page.get_by_role("button", name="Start").wait_for()
    look(page, "start")
    go_on(page, "Start")

    trial_heading(page, 1, TRIALS)
    look(page, "trial")
    go_on_too_early(page)
    look(page, "trial, incomplete")
    answer_infer(page)
    look(page, "trial, answered")
    go_on(page)
    expect(page.locator("#saved")).to_have_text(f"Saved 1/{TRIALS}")
    page.context.set_offline(True)
    for number in (2, 3, 4, 5):
        trial_heading(page, number, TRIALS)
        answer_infer(page)
        go_on(page)
    heading(page, "Time for a break")
    look(page, "break")
    go_on(page, "Go on")
    for number in (6, 7):
        trial_heading(page, number, TRIALS)
        answer_infer(page)
        go_on(page)
    expect(page.get_by_role("dialog", name="Waiting for the connection")).to_be_visible()
    look(page, "hold")
    page.context.set_offline(False)
    gate = Gate(page, "**/participation/complete/")
    trial_heading(page, 8, TRIALS)
    expect(page.get_by_role("dialog")).to_be_hidden(timeout=40_000)
    answer_infer(page)
    go_on(page)
    expect(page.locator("#saved")).to_have_text(f"Saved {TRIALS}/{TRIALS}")
    look(page, "finish")
    gate.open()
    page.wait_for_url("**/survey/")
    look(page, "survey")
    go_on(page, "Finish")
    expect(page.get_by_role("alert")).to_be_focused()
    look(page, "survey, incomplete")
    page.get_by_label("4", exact=True).first.check()
    go_on(page, "Finish")
    expect(page.locator("#completion-code")).to_be_visible()
    look(page, "thanks")
    assert len(saved(site, address)) == TRIALS

    page.get_by_role("link", name="Report a problem").click()
    look(page, "problem")
    go_on(page, "Send")
    expect(page.get_by_role("alert")).to_be_focused()
    look(page, "problem, empty")
    page.get_by_role("textbox").fill("The second picture was grey.")
    go_on(page, "Send")
    expect(page.get_by_text("Your report was kept.")).to_be_visible()
    look(page, "problem, sent")
    page.goto(f"{address}withdraw/")
    look(page, "withdraw")
    go_on(page, "Withdraw now")
    expect(page.get_by_role("heading", name="You have withdrawn")).to_be_visible()
    look(page, "withdrawn")
    assert saved(site, address) == []
    for ended in (f"{site.url}/p/{site.ended}/", f"{site.url}/s/ended/"):
        page.goto(ended)
        expect(page.get_by_role("heading", name="You cannot go on here")).to_be_visible()
        look(page, "closed")


def go_on_too_early(page: Page) -> None:
    """Continue before everything is set: it says what is missing."""
    page.get_by_role("button", name="Continue").click(force=True)
    expect(page.locator(".trial-status-asked")).to_be_visible()


# -- every interface, with a finger


@pytest.mark.parametrize("interface", list(ANSWERS))
def test_a_finger_is_enough_and_every_screen_of_the_interface_is_accessible(site, open_private, interface):
    page = open_private(PHONE)
    look = expect_accessible
    address = consent(page, site, interface)
    read(page)
    heading(page, "How an answer looks")
    look(page, "worked example")
    page.get_by_role("button", name="Continue").tap()
    heading(page, "Try the controls")
    look(page, "practice")
    ANSWERS[interface](page)
    look(page, "practice, answered")
    page.get_by_role("button", name="Continue").tap()
    check(page, RIGHT[interface])
    page.get_by_role("button", name="Start").tap()
    trial_heading(page, 1, 4)
    look(page, "trial")
    ANSWERS[interface](page)
    look(page, "trial, answered")
    page.get_by_role("button", name="Continue").tap()
    trial_heading(page, 2, 4)
    expect(page.locator("#saved")).to_have_text("Saved 1/4")
    assert saved(site, address)[0]["input_method"] == "touch"


# -- two interfaces by keyboard alone; the other three: test_taking_part, test_classes_in_the_browser


def choose_a_picture(keys: Keys) -> None:
    keys.tab_to("[role=radio]")
    keys.press("ArrowRight", "ArrowDown", "ArrowLeft", "Space")


def step_along_the_row(keys: Keys) -> None:
    keys.press("h", "g")  # wherever the focus is
    keys.go_on("#cs-right")
    keys.tab_to("#cs-place")
    keys.press("ArrowLeft")


@pytest.mark.parametrize(
    ("interface", "answer"), [("select-shuffled", choose_a_picture), ("construct", step_along_the_row)]
)
def test_pairs_are_answered_by_keyboard_alone_from_the_link_to_the_code(
    site, open_private, interface, answer
):
    page = open_private(DESKTOP)
    keys = Keys(page, 40)
    page.goto(f"{site.url}/s/{interface}/")
    for box in ("adult", "agree"):
        keys.tab_to(f"[name={box}]")
        keys.press("Space")
    keys.go_on("[value=consent]")
    page.wait_for_url("**/p/*/")
    address = page.url
    page.locator("#jspsych-instructions-next").wait_for()
    while page.locator("#jspsych-instructions-next").count():
        keys.go_on("#jspsych-instructions-next")
    heading(page, "How an answer looks")
    keys.go_on("#read-on")
    heading(page, "Try the controls")
    answer(keys)
    keys.go_on("#trial-continue")
    page.get_by_role("radiogroup").first.wait_for()
    for number, place in enumerate(RIGHT[interface]):
        keys.tab_to(f"#jspsych-survey-multi-choice-{number} input")
        keys.press("Space", *["ArrowDown"] * place)
    keys.go_on("#jspsych-survey-multi-choice-next")
    page.get_by_role("button", name="Start").wait_for()
    keys.go_on(".button-primary")
    for number in range(1, 5):
        trial_heading(page, number, 4)
        answer(keys)
        keys.go_on("#trial-continue")
    page.wait_for_url("**/survey/")
    keys.tab_to("[type=radio]")
    keys.press("Space")
    keys.go_on("form .button-primary")
    expect(page.locator("#completion-code")).to_be_visible()
    held = saved(site, address)
    assert [said["input_method"] for said in held] == ["keyboard"] * 4
    if interface == "construct":
        assert {tuple(source for _t, _place, source in said["path"]) for said in held} == {
            ("key", "key", "button", "slider")
        }


# -- what is on the screen


def watch_plan(page: Page) -> dict[str, Any]:
    """Filled with the plan that the server sends, and the token it was asked for with."""
    plan: dict[str, Any] = {}

    def note(response: Response) -> None:
        if response.url.endswith("/participation/plan/"):
            plan.update(response.json(), token=response.request.headers["authorization"])

    page.on("response", note)
    return plan


@pytest.fixture
def open_dense(chromium: Browser) -> Iterator[Callable[[float], Page]]:
    """`open_dense(2)`: a window with two device pixels for a css pixel, as the screen says it, not as emulated: when it
    emulates, Chromium rounds places on the page to css pixels."""
    opened: list[Browser] = []

    def open_page(density: float) -> Page:
        browser = chromium.browser_type.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                f"--force-device-scale-factor={density}",
                "--window-size=1280,900",
            ],
        )
        opened.append(browser)
        return browser.new_context(no_viewport=True).new_page()

    yield open_page
    for browser in opened:
        browser.close()


@pytest.mark.parametrize("density", [1, 1.5, 2])
@pytest.mark.parametrize("slug", ["crisp", "smooth"])
def test_the_picture_on_the_screen_is_pillows_pixel_for_pixel(site, open_dense, slug, density):
    page = open_dense(density)
    plan = watch_plan(page)
    address = consent(page, site, slug)
    learn(page)
    trial_heading(page, 1, 4)
    box = page.locator("canvas").bounding_box()
    assert box is not None
    screen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # As the browser does: halves go up.
    left, top, width, height = (int(box[side] * density + 0.5) for side in ("x", "y", "width", "height"))
    shown = np.array(screen.crop((left, top, left + width, top + height))).astype(int)
    reply = page.request.get(
        site.url + plan["trials"][0]["images"][0], headers={"Authorization": plan["token"]}
    )
    native = Image.open(io.BytesIO(reply.body())).convert("RGB")
    if slug == "crisp":
        times, method = 7, Image.Resampling.NEAREST
    else:
        times, method = int(20 * density), Image.Resampling.BICUBIC
    wanted = np.array(native.resize((9 * times, 9 * times), method)).astype(int)
    assert shown.shape == wanted.shape
    assert np.abs(shown - wanted).max() <= (0 if slug == "crisp" else 1)
    answer_infer(page)
    go_on(page)
    expect(page.locator("#saved")).to_have_text("Saved 1/4")
    (said,) = saved(site, address)
    assert said["resampling"] == ("nearest" if slug == "crisp" else "bicubic")
    assert said["image_device_px"] == 9 * times
    assert said["image_css_px"] == pytest.approx(9 * times / density, abs=0.01)
    assert said["enlargement"] == (7 if slug == "crisp" else 20)
    assert said["viewport"][2] == density


FRAMES = """
() => {
  const canvas = document.querySelector('.picture-canvas');
  window.frames_seen = [];
  const note = (time) => {
    if (!canvas.isConnected) return;
    window.frames_seen.push([time, canvas.toDataURL()]);
    requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
}
"""


def test_a_brief_picture_is_covered_after_its_time_and_the_frames_it_stood_are_what_is_stored(
    site, open_private
):
    page = open_private(DESKTOP)
    address = consent(page, site, "brief")
    learn(page)
    trial_heading(page, 1, 4)
    page.evaluate(FRAMES)
    go_on(page, "Show the picture")
    expect(page.get_by_label("The picture is covered now")).to_be_visible()
    page.evaluate("() => new Promise((soon) => requestAnimationFrame(() => requestAnimationFrame(soon)))")
    seen = page.evaluate("window.frames_seen")
    shown = [(content, [time for time, _ in frames]) for content, frames in groupby(seen, key=lambda f: f[1])]
    assert len(shown) == 3, "an empty place, the picture, the mask"
    frames = [time for time, _content in seen]
    longest = max(later - sooner for sooner, later in pairwise(frames))
    stood = shown[2][1][0] - shown[1][1][0]
    answer_infer(page)
    go_on(page)
    expect(page.locator("#saved")).to_have_text("Saved 1/4")
    (said,) = saved(site, address)
    assert said["exposure_ms"] == pytest.approx(stood, abs=longest + 0.1)
    assert said["exposure_ms"] == pytest.approx(500, abs=longest / 2 + 0.1)
    assert said["resampling"] == "bicubic"
