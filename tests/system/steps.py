"""What somebody does on the participant's pages of *infer*, step by step, and what the database holds of it afterwards.

The steps are a person's own: they press and read what is on the screen, and wait for what comes next.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


# -- an instance that was made up, and somebody's session in it


def told_by(start_instance: Callable[..., Any], code: str) -> tuple[Any, dict[str, Any]]:
    """An instance in which `code` was run before it was served, and the JSON that this printed in its last line."""
    told: dict[str, Any] = {}
    instance = start_instance(lambda one: told.update(json.loads(one.python(code).splitlines()[-1])))
    return instance, told


def enter_as(page: Page, session: str, url: str) -> None:
    """Give the page the `session` of somebody at the instance of `url`, as a header named it: `name=value; …`."""
    name, _, value = session.strip().partition(";")[0].partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": url}])


# -- researchers


def session_of(instance: Any, chromium: Browser, username: str, kind: str = "researcher") -> list[Any]:
    """The cookies of somebody new who signed in with a link."""
    link = instance.python(
        "from hilmix.accounts.roles import OPERATOR\n"
        "from hilmix.accounts.services import add_person, issue_sign_in_link\n"
        f"person = add_person(username={username!r}, kind={kind!r}, actor=OPERATOR)\n"
        "print(issue_sign_in_link(person=person, actor=OPERATOR))"
    )
    context = chromium.new_context()
    page = context.new_page()
    page.goto(instance.url + "/" + link.split("/", 3)[3])
    page.get_by_role("main").get_by_role("button").click()
    page.wait_for_url(instance.url + "/")
    cookies = context.cookies()
    context.close()
    return cookies


def picture(page: Page, file: Path) -> None:
    """What the window shows, as a picture of the documentation: a palette is enough for a page, and a third of the
    size."""
    with Image.open(io.BytesIO(page.screenshot())) as taken:
        taken.convert("RGB").quantize(128).save(file, optimize=True)


# -- steps that a person takes


def consent(page: Page, instance, query: str = "", slug: str = "digits") -> str:
    """Through the entry page; the private address of the participation."""
    page.goto(f"{instance.url}/s/{slug}/{query}")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    page.wait_for_url("**/p/*/")
    return page.url


def read_instructions(page: Page) -> None:
    page.locator("#jspsych-instructions-next").wait_for()
    while page.locator("#jspsych-instructions-next").count():
        page.locator("#jspsych-instructions-next").click()
    expect(page.get_by_role("heading", name="How an answer looks")).to_be_focused()
    page.get_by_role("button", name="Continue").click()


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


def learn(page: Page) -> None:
    """Through instructions, worked example, practice and questions."""
    read_instructions(page)
    practise(page)
    check(page)


def start(page: Page, instance, query: str = "") -> str:
    """From the link to the first trial; the private address of the participation."""
    address = consent(page, instance, query)
    learn(page)
    page.get_by_role("button", name="Start").click()
    expect(trial_heading(page)).to_have_text(re.compile(r"^Picture 1 of "))
    return address


def go_on(page: Page) -> None:
    """Past the page that greets somebody who comes back, once it is there."""
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Go on").click()
    expect(trial_heading(page)).to_be_visible()


def trial_heading(page: Page) -> Locator:
    return page.get_by_role("heading", name=re.compile(r"^Picture \d+ of \d+$"))


def numbers(page: Page) -> tuple[int, int]:
    """The number of the trial on the screen, and how many there are."""
    _picture, number, _of, total = trial_heading(page).inner_text().split()
    return int(number), int(total)


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
    leave(page, heading)
    return int(heading.split()[1])


def leave(page: Page, heading: str) -> None:
    """Wait until the screen under `heading` is gone."""
    page.wait_for_function("before => document.querySelector('h1')?.textContent !== before", arg=heading)


def answer_the_rest(page: Page) -> None:
    """Until the closing questions."""
    _number, total = numbers(page)
    while answer_trial(page) < total:
        pass
    page.wait_for_url("**/survey/")


def finish(page: Page) -> str:
    """Through the closing questions; the completion code."""
    page.get_by_role("button", name="Finish").click()
    return page.locator("#completion-code").inner_text()


# -- what is asserted


def saved(instance, address: str) -> list[dict[str, Any]]:
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


def participation(instance, address: str) -> dict[str, Any]:
    """The row of the participation at `address`; its link is the signed public id."""
    encoded = address.rstrip("/").rpartition("/")[2].split(":")[0]
    public_id = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return instance.rows("select * from elicitation_participation where public_id = ?", public_id)[0]


def all_events(instance, address: str, kind: str) -> list[dict[str, Any]]:
    """What happened on the way and is of this kind, in the order it arrived."""
    rows = instance.rows(
        "select data from elicitation_participationevent"
        " where participation_id = ? and kind = ? order by received_at",
        participation(instance, address)["id"],
        kind,
    )
    return [json.loads(row["data"]) for row in rows]


def events(instance, address: str) -> dict[str, dict[str, Any]]:
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


class Keys:
    """Somebody without a mouse: every step is a key, and goes on from where the focus is."""

    def __init__(self, page: Page, most_tabs: int) -> None:
        self.page, self.most_tabs = page, most_tabs

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, selector: str) -> None:
        """Tab until an element that fits `selector` has the focus."""
        for _ in range(self.most_tabs):
            self.press("Tab")
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    def write(self, text: str) -> None:
        self.page.keyboard.type(text)

    def choose(self, selector: str, search: str) -> None:
        """Take the first class that a search field finds."""
        self.tab_to(selector)
        self.write(search)
        self.press("Enter")

    def go_on(self, selector: str = "#trial-continue") -> None:
        self.tab_to(selector)
        self.press("Enter")
