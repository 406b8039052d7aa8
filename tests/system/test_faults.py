"""Whatever goes wrong between an answer and the server, each answer ends up there once, as it was given.

Each fault is made for a real browser and a real instance, and its test asserts that it happened. Then somebody goes on
to the end, and the database is asked what it holds; until it holds everything there is no completion code.
"""

from __future__ import annotations

import json
import random
import re
import socket
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Error, Page, Route, expect

from tests.system.steps import (
    PHONE,
    all_events,
    answer,
    consent,
    events,
    expect_accessible,
    finish,
    go_on,
    learn,
    leave,
    numbers,
    participation,
    put,
    saved,
    start,
    trial_heading,
)

pytestmark = pytest.mark.browser

TRIALS = 20
CALLS = "**/api/v1/participation/**"
RESPONSES = "**/participation/responses/"
COMPLETE = "**/participation/complete/"
STUDY = f"""
from elicitation.images.models import ImageSet
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.opening import open_study
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
plan = StudyPlan(
    slug="digits", title="What do you see?", image_set=ImageSet.objects.get(name="digits"),
    design=Design(n_mixed_images={TRIALS}, trials_per_person={TRIALS}, repeats=0, answers_per_unit=40),
    flow=Flow(break_every=0), information=demonstration_information(),
)
open_study(study=create_study(plan=plan, actor=OPERATOR), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def study(start_instance):
    """An instance with one open study of twenty trials a person."""

    def prepare(instance):
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(STUDY)

    return start_instance(prepare)


@dataclass
class Person:
    """Somebody who takes part, and what they said of each trial."""

    instance: Any
    address: str
    token: str
    began: float
    given: dict[int, tuple[int, int]] = field(default_factory=dict)
    answers: int = 0

    @classmethod
    def starting(cls, page: Page, instance) -> Person:
        """Through everything before the first trial, until the server knows of it."""
        began = time.monotonic()
        with page.expect_request("**/participation/plan/") as asked:
            address = start(page, instance)
        person = cls(instance, address, asked.value.headers["authorization"], began)
        wait_for(page, lambda: person.row["comprehension_passed_at"])
        return person

    @property
    def row(self) -> dict[str, Any]:
        return participation(self.instance, self.address)

    @property
    def saved(self) -> list[dict[str, Any]]:
        return saved(self.instance, self.address)

    def give(self, page: Page, *, position: int | None = None, counts: bool = True) -> tuple[int, int]:
        """Answer the trial on the screen, like no other one; wait until it is gone.

        `position` is that of the trial where it is not the number on the screen. `counts` says whether this is the
        answer that the database should hold.
        """
        heading = trial_heading(page).inner_text()
        position = numbers(page)[0] - 1 if position is None else position
        self.answers += 1
        put(page, "mixing", 3 * self.answers)
        put(page, "confidence", 100 - 3 * self.answers)
        said = tuple(slider(page, name) for name in ("mixing", "confidence"))
        if counts:
            assert position not in self.given
            self.given[position] = said
        page.get_by_role("button", name="Continue").click()
        leave(page, heading)
        return said

    def finish(self, page: Page, *, windows: bool = False) -> list[dict[str, Any]]:
        """Answer what is left, up to the code; what the database holds then, by position."""
        missing = set(range(TRIALS)) - set(self.given)
        assert missing
        self.expect_no_code()
        for position in sorted(missing):
            self.give(page, position=position)
        page.wait_for_url("**/survey/")
        return self.finished(page, windows=windows)

    def finished(self, page: Page, *, windows: bool = False) -> list[dict[str, Any]]:
        """Each answer is held once, as it was given; the closing questions lead to the code.

        `windows` where several answered at the same time: then each has its own order.
        """
        held = self.saved
        planned = self.instance.rows(
            "select position from elicitation_trial where participation_id = ?", self.row["id"]
        )
        assert [row["position"] for row in held] == list(range(TRIALS)) == sorted(self.given)
        assert sorted(row["position"] for row in planned) == list(range(TRIALS))
        said = [(row["payload"]["mixing_percent"], row["payload"]["confidence_percent"]) for row in held]
        assert said == [self.given[position] for position in range(TRIALS)]
        for part in by_window(held) if windows else [held]:
            self.expect_in_order(part)
        assert (self.row["state"], self.row["completion_code"]) == ("answered", "")
        code = finish(page)
        assert re.fullmatch("[0-9A-F]{8}", code)
        assert (self.row["state"], self.row["completion_code"]) == ("completed", code)
        assert self.saved == held
        return held

    def expect_in_order(self, rows: list[dict[str, Any]]) -> None:
        """Numbers and elapsed times grow from answer to answer, and nobody was there longer than this test ran."""
        rows = sorted(rows, key=lambda row: row["trial_index"])
        elapsed = [row["time_elapsed_ms"] for row in rows]
        assert len({row["trial_index"] for row in rows}) == len(rows)
        assert elapsed == sorted(set(elapsed))
        assert 0 < elapsed[-1] < 1000 * (time.monotonic() - self.began)
        assert all(0 < row["rt_ms"] < elapsed[-1] for row in rows)

    def expect_no_code(self) -> None:
        """Asking for the end too early tells what is missing, and nothing else."""
        call = Request(
            f"{self.instance.url}/api/v1/participation/complete/",
            json.dumps({"count": TRIALS}).encode(),
            {"Authorization": self.token, "Content-Type": "application/json"},
        )
        with pytest.raises(HTTPError) as refused:
            urlopen(call, timeout=10)
        assert refused.value.status == 409
        assert list(json.load(refused.value)) == ["missing_positions"]
        assert (self.row["state"], self.row["completion_code"]) == ("running", "")


def by_window(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Answers that were given in two windows at once: each has a clock of its own."""
    return [
        [row for row in rows if row["epoch"] == epoch] for epoch in sorted({row["epoch"] for row in rows})
    ]


def slider(page: Page, name: str) -> int:
    """What a slider says now."""
    return page.locator(f"#ms-{name}").evaluate("slider => slider.valueAsNumber")


def wait_for(page: Page, happened: Callable[[], object], within: float = 20) -> None:
    """Wait for what the page's screen does not tell, while the page goes on."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, f"not within {within} s"
        page.wait_for_timeout(50)


def expect_saved(page: Page, text: str, within: float = 15) -> None:
    expect(page.locator("#saved")).to_have_text(text, timeout=within * 1000)


def sent_ids(route: Route) -> list[str]:
    return [one["id"] for one in json.loads(route.request.post_data or "{}")["responses"]]


# -- on the wire


def test_a_reply_lost_after_commit_is_not_saved_twice(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    lost: dict[str, list[str]] = {"responses": [], "complete": []}

    def lose_the_first_reply(route: Route) -> None:
        call = route.request.url.split("/")[-2]
        if lost[call]:
            return route.continue_()
        reply = route.fetch()
        assert reply.ok
        if call == "responses":
            assert [result["status"] for result in reply.json()["results"]] == ["created"]
            assert [uuid.UUID(row["id"]) for row in person.saved] == [
                uuid.UUID(one) for one in sent_ids(route)
            ]
            lost[call] += sent_ids(route)
        else:
            assert person.row["state"] == "answered"
            lost[call].append(route.request.url)
        return route.abort("connectionreset")

    page.route(RESPONSES, lose_the_first_reply)
    page.route(COMPLETE, lose_the_first_reply)
    with page.expect_response(RESPONSES) as second:
        person.give(page)
    receipt = second.value.json()["results"][0]
    assert receipt == {"id": lost["responses"][0], "status": "exists", "message": ""}
    expect_saved(page, f"Saved 1/{TRIALS}")
    held = person.finish(page)
    assert uuid.UUID(held[0]["id"]) == uuid.UUID(lost["responses"][0])
    assert len(lost["complete"]) == 1


@contextmanager
def no_answer_can_be_written(instance) -> Iterator[None]:
    """The database fails while an answer is being written, as it does when its disk is full."""
    database = sqlite3.connect(instance.var / "hilmix.sqlite3", isolation_level=None, timeout=20)
    fail = "begin select raise(abort, 'made to fail by a test'); end"
    database.execute(f"create trigger made_to_fail before insert on elicitation_response {fail}")
    try:
        yield
    finally:
        database.execute("drop trigger made_to_fail")
        database.close()


def test_answers_wait_while_the_server_fails(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    statuses: list[int] = []
    page.on("response", lambda reply: statuses.append(reply.status) if "/responses/" in reply.url else None)
    with no_answer_can_be_written(study):
        for _ in range(3):
            person.give(page)
        wait_for(page, lambda: len(statuses) >= 4)
        assert set(statuses) == {500}
        expect_saved(page, f"Saved 0/{TRIALS}, 3 kept on this device")
        assert person.saved == []
    expect_saved(page, f"Saved 3/{TRIALS}", within=40)
    assert statuses[-1] == 200
    person.finish(page)


def test_a_minute_without_a_connection_holds_the_next_trial_back_and_loses_nothing(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.context.set_offline(True)
    cut = time.monotonic()
    for _ in range(5):
        person.give(page)
    expect_saved(page, f"Saved 0/{TRIALS}, 5 kept on this device")
    person.give(page)
    waiting = page.get_by_role("dialog", name="Waiting for the connection")
    expect(waiting).to_contain_text("Your answers are safe on this device.")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(waiting).to_be_visible()
    expect_accessible(page)
    page.wait_for_timeout(1000 * (60 - (time.monotonic() - cut)))
    assert len([url for url in failed if url.endswith("/responses/")]) >= 6
    expect(waiting).to_be_visible()
    assert person.saved == []
    page.context.set_offline(False)
    expect(trial_heading(page)).to_have_text(f"Picture 7 of {TRIALS}")
    expect_saved(page, f"Saved 6/{TRIALS}")
    person.finish(page)
    assert events(study, person.address)["offline"]["ms"] > 55_000


def test_a_server_that_restarts_finds_the_answers_given_meanwhile(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    person.give(page)
    expect_saved(page, f"Saved 1/{TRIALS}")
    study.end()
    try:
        for _ in range(3):
            person.give(page)
        expect_saved(page, f"Saved 1/{TRIALS}, 3 kept on this device")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", study.port), timeout=2)
        assert len(person.saved) == 1
    finally:
        study.start()
    expect_saved(page, f"Saved 4/{TRIALS}", within=40)
    person.finish(page)


class BadWire:
    """Does to each call what a seed has drawn, until every fault drawn has happened."""

    FAULTS = ("request lost", "reply lost", "500", "late", "none", "none")

    def __init__(self, page: Page, seed: int) -> None:
        self.due = 4 * list(self.FAULTS)
        random.Random(seed).shuffle(self.due)
        self.happened: Counter[str] = Counter()
        self.late: list[Route] = []
        page.route(re.compile(r"/participation/(responses|events|complete)/$"), self.fault)

    def fault(self, route: Route) -> None:
        kind = self.due.pop() if self.due else "none"
        self.happened[kind] += 1
        if kind == "request lost":
            route.abort("connectionfailed")
        elif kind == "reply lost":
            assert route.fetch().ok
            route.abort("connectionreset")
        elif kind == "500":
            route.fulfill(status=500, body="made to fail by a test")
        elif kind == "late":
            self.late.append(route)
        else:
            route.continue_()

    def let_go(self) -> None:
        """Pass on what was kept back."""
        while self.late:
            with suppress(Error):  # its page has been reloaded since
                self.late.pop().continue_()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_to_the_calls_and_the_page_each_answer_is_held_once(study, open_window, seed):
    page = open_window()
    person = Person.starting(page, study)
    wire = BadWire(page, seed)
    reloads = random.Random(seed).sample(range(1, TRIALS), 4)
    for position in range(TRIALS):
        expect(trial_heading(page)).to_have_text(f"Picture {position + 1} of {TRIALS}", timeout=40_000)
        person.give(page)
        if position + 1 in reloads:
            page.wait_for_timeout(100)  # nobody is faster, and writing an answer down takes a moment
            page.reload()
            wire.let_go()
            go_on(page)
        wire.let_go()

    def over() -> bool:
        wire.let_go()
        return page.url.endswith("/survey/")

    wait_for(page, over, within=60)
    person.finished(page)
    assert wire.happened == Counter(4 * wire.FAULTS) + Counter(none=wire.happened["none"] - 8)
    assert person.row["epoch"] == 1 + len(reloads)
    assert all_events(study, person.address, "superseded") == []


# -- windows and devices


def test_a_reload_in_the_middle_of_a_trial_begins_it_again_as_another_attempt(study, open_window):
    page = open_window()
    drawn: list[str] = []
    page.context.expose_binding("drew", lambda _source, drew: drawn.append(drew))
    page.add_init_script(
        "const draw = crypto.randomUUID.bind(crypto);"
        "crypto.randomUUID = () => { const id = draw(); window.drew(id); return id; };"
    )
    person = Person.starting(page, study)
    person.give(page)
    person.give(page)
    expect_saved(page, f"Saved 2/{TRIALS}")
    put(page, "mixing", 90)
    before = {uuid.UUID(one) for one in drawn}
    page.reload()
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    expect_accessible(page)
    page.reload()  # nothing is shown of the trial here, so this is no attempt at it
    go_on(page)
    expect(trial_heading(page)).to_have_text(f"Picture 3 of {TRIALS}")
    expect(page.locator("#ms-mixing")).to_have_attribute("aria-valuetext", "not set yet")
    held = person.finish(page)
    assert [row["attempt"] for row in held] == [1, 1, 2] + (TRIALS - 3) * [1]
    assert {uuid.UUID(row["id"]) for row in held[:2]} < before
    assert uuid.UUID(held[2]["id"]) not in before
    resumed = all_events(study, person.address, "resume")
    assert [(event["answered"], event.get("position")) for event in resumed] == [(2, 2), (2, None)]


def test_closing_the_window_before_answers_are_sent_loses_none(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    context = page.context
    # A call that outlives its window is out of reach of the browser's own "offline", so the server fails.
    with no_answer_can_be_written(study):
        person.give(page)
        person.give(page)
        expect_saved(page, f"Saved 0/{TRIALS}, 2 kept on this device")
        page.close()
        time.sleep(1)
        assert person.saved == []
    again = context.new_page()
    again.goto(person.address)
    go_on(again)
    expect(trial_heading(again)).to_have_text(f"Picture 3 of {TRIALS}")
    expect_saved(again, f"Saved 2/{TRIALS}")
    person.finish(again)


def test_an_answer_on_its_way_when_the_window_closes_still_arrives(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    stuck: list[str] = []
    page.route(RESPONSES, lambda route: (stuck.append(route.request.url), route.abort()))
    person.give(page)
    expect_saved(page, f"Saved 0/{TRIALS}, 1 kept on this device")
    assert stuck
    assert person.saved == []
    context = page.context
    page.close()
    study.wait_until(lambda: len(person.saved) == 1, 10, lambda: "the answer did not arrive")
    again = context.new_page()
    again.goto(person.address)
    go_on(again)
    person.finish(again)


def test_an_answer_that_arrives_while_the_page_asks_for_its_plan_is_not_asked_for_again(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    context = page.context
    with no_answer_can_be_written(study):  # as above: "offline" would let the closing window's call through
        person.give(page)
        expect_saved(page, f"Saved 0/{TRIALS}, 1 kept on this device")
        page.close()
        time.sleep(1)
        assert person.saved == []
    again = context.new_page()
    late: list[Route] = []
    old: list[int] = []

    def answer_with_an_old_plan(route: Route) -> None:
        plan = route.fetch()
        assert person.saved == []
        late[0].continue_()
        study.wait_until(lambda: person.saved, 10, lambda: "the answer did not arrive")
        time.sleep(0.5)  # the page takes note of the receipt, while it still waits for the plan
        old.append(plan.json()["next_index"])
        route.fulfill(response=plan)

    again.route(RESPONSES, lambda route: late.append(route))
    again.route("**/participation/plan/", answer_with_an_old_plan)
    again.goto(person.address)
    go_on(again)
    assert (old, len(late)) == ([0], 1)
    again.unroute(RESPONSES)
    expect(trial_heading(again)).to_have_text(f"Picture 2 of {TRIALS}")
    expect_saved(again, f"Saved 1/{TRIALS}")
    held = person.finish(again)
    assert [row["trial_index"] for row in held] == list(range(TRIALS))


def elsewhere(page: Page) -> None:
    expect(page.get_by_role("dialog", name="You continued in another window")).to_be_visible()
    expect_accessible(page)


def test_a_second_window_in_the_same_browser_takes_over_at_once(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    person.give(page)
    second = page.context.new_page()
    second.goto(person.address)
    elsewhere(page)
    go_on(second)
    person.give(second)
    page.bring_to_front()
    page.get_by_role("button", name="Go on here").click()
    elsewhere(second)
    go_on(page)
    person.finish(page)


@pytest.mark.parametrize("first", ["older", "newer"])
def test_of_two_windows_that_both_answer_the_first_answer_counts(study, open_window, first):
    page = open_window()
    page.context.add_init_script("delete window.BroadcastChannel")  # windows that cannot hear each other
    person = Person.starting(page, study)
    person.give(page)
    expect_saved(page, f"Saved 1/{TRIALS}")
    second = page.context.new_page()
    second.goto(person.address)
    go_on(second)
    expect(trial_heading(page)).to_have_text(f"Picture 2 of {TRIALS}")
    expect(trial_heading(second)).to_have_text(f"Picture 2 of {TRIALS}")
    one, other = (page, second) if first == "older" else (second, page)
    person.give(one)
    wait_for(one, lambda: len(person.saved) == 2)
    lost = person.give(other, counts=False)
    elsewhere(page)
    wait_for(second, lambda: all_events(study, person.address, "superseded"))
    held = person.finish(second, windows=True)
    (superseded,) = all_events(study, person.address, "superseded")
    assert superseded["position"] == 1
    assert (superseded["payload"]["mixing_percent"], superseded["payload"]["confidence_percent"]) == lost
    assert held[1]["epoch"] == (1 if first == "older" else 2)
    assert [row["trial_index"] for row in held] == list(range(TRIALS))


def test_answers_of_the_first_device_arrive_after_a_second_one_went_on(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    person.give(page)
    expect_saved(page, f"Saved 1/{TRIALS}")
    page.context.set_offline(True)
    late = person.give(page, counts=False)
    person.give(page)
    person.give(page)
    expect_saved(page, f"Saved 1/{TRIALS}, 3 kept on this device")
    phone = open_window(PHONE)
    phone.goto(person.address)
    go_on(phone)
    expect(trial_heading(phone)).to_have_text(f"Picture 2 of {TRIALS}")
    person.give(phone, position=1)
    expect_saved(phone, f"Saved 2/{TRIALS}")
    assert [row["position"] for row in person.saved] == [0, 1]
    page.context.set_offline(False)
    elsewhere(page)
    assert [row["position"] for row in person.saved] == [0, 1, 2, 3]
    too_late = [late, *(person.give(phone, counts=False) for _ in range(2))]
    held = person.finish(phone, windows=True)
    assert [row["epoch"] for row in held] == [1, 2, 1, 1] + (TRIALS - 4) * [2]
    assert [row["trial_index"] for row in held] == list(range(TRIALS))
    superseded = all_events(study, person.address, "superseded")
    assert [
        (event["position"], (event["payload"]["mixing_percent"], event["payload"]["confidence_percent"]))
        for event in superseded
    ] == list(zip((1, 2, 3), too_late, strict=True))


# -- clocks, tokens, storage


SHIFTED = """
const Real = Date;
const now = () => Real.now() + Number(sessionStorage.getItem('shift'));
window.Date = class extends Real {
    constructor(...given) { super(...(given.length ? given : [now()])); }
    static now() { return now(); }
};
"""


def test_setting_the_computers_clock_changes_no_order_and_no_duration(study, open_window):
    page = open_window()
    page.add_init_script(SHIFTED)
    person = Person.starting(page, study)
    for days in (0, 1, -1):
        page.evaluate("days => sessionStorage.setItem('shift', days * 86_400_000)", days)
        person.give(page)  # began before the clock was set
        person.give(page)
        page.reload()
        go_on(page)
    held = person.finish(page)
    days = [round(since(row["received_at"], row["started_at"]) / timedelta(days=1)) for row in held]
    assert days == [0, 0, 0, 1, 1, -1, *(TRIALS - 6) * [-1]]
    assert all(row["started_at"] < row["ended_at"] for row in held)
    assert [row["trial_index"] for row in held] == list(range(TRIALS))


def since(earlier: str, later: str) -> timedelta:
    return datetime.fromisoformat(later) - datetime.fromisoformat(earlier)


OLD_TOKEN = """
import time
now = time.time
time.time = lambda: now() - 15 * 86_400
from elicitation.flow.access import token_for
from elicitation.participants.models import Participation
print(token_for(Participation.objects.get(public_id={public_id!r})))
"""


def test_a_page_whose_token_has_expired_says_so_and_loses_nothing(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    person.give(page)
    expect_saved(page, f"Saved 1/{TRIALS}")
    expired = study.python(OLD_TOKEN.format(public_id=person.row["public_id"]))

    def grow_old(route: Route) -> None:
        route.continue_(headers=route.request.headers | {"authorization": f"Participation {expired}"})

    page.route(CALLS, grow_old)
    with page.expect_response(RESPONSES) as refused:
        person.give(page)
    assert refused.value.status == 401
    expect(page.get_by_role("dialog", name="Please open the study again")).to_be_visible()
    expect_accessible(page)
    assert len(person.saved) == 1
    page.unroute(CALLS)
    page.get_by_role("button", name="Open again").click()
    go_on(page)
    expect(trial_heading(page)).to_have_text(f"Picture 3 of {TRIALS}")
    expect_saved(page, f"Saved 2/{TRIALS}")
    person.finish(page)


NO_STORE = (
    "Object.defineProperty(window, '%s', { get() { window.refused = true; throw new Error('refused'); } });"
)
FULL_DISK = """
const put = IDBObjectStore.prototype.put;
IDBObjectStore.prototype.put = function (value, key) {
    if (key.endsWith('probe')) return put.call(this, value, key);
    window.refused = true;
    throw new DOMException('full', 'QuotaExceededError');
};
"""


def test_a_browser_that_refuses_its_database_keeps_answers_beside_it(study, open_window):
    page = open_window()
    page.add_init_script(NO_STORE % "indexedDB")
    person = Person.starting(page, study)
    assert page.evaluate("window.refused") is True
    page.context.set_offline(True)
    person.give(page)
    expect_saved(page, f"Saved 0/{TRIALS}, 1 kept on this device")
    page.context.set_offline(False)
    page.reload()
    go_on(page)
    expect_saved(page, f"Saved 1/{TRIALS}")
    person.finish(page)


@pytest.mark.parametrize(
    "refusal",
    [NO_STORE % "indexedDB" + NO_STORE % "localStorage", FULL_DISK],
    ids=["nothing is allowed", "the disk is full"],
)
def test_where_nothing_can_be_stored_the_page_asks_to_stay_open_and_saves_every_answer(
    study, open_window, refusal
):
    page = open_window()
    page.add_init_script(refusal)
    person = Person.starting(page, study)
    assert page.evaluate("window.refused") is True
    page.context.set_offline(True)
    for _ in range(6):
        person.give(page)
    waiting = page.get_by_role("dialog", name="Waiting for the connection")
    expect(waiting).to_contain_text("Please keep this page open: your last answers are not saved yet.")
    expect(page.locator("#saved")).to_have_text(f"Saved 0/{TRIALS}, 6 on this page only: keep it open")
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    assert person.saved == []
    page.context.set_offline(False)
    expect(trial_heading(page)).to_have_text(f"Picture 7 of {TRIALS}", timeout=40_000)
    expect_saved(page, f"Saved 6/{TRIALS}")
    person.finish(page)


# -- answers that the server does not take, pictures that do not come


def test_an_answer_that_the_server_refused_is_asked_for_again_before_the_end(study, open_window):
    page = open_window()
    person = Person.starting(page, study)
    refused: list[str] = []

    def refuse_the_first(route: Route) -> None:
        if refused:
            return route.continue_()
        refused.extend(sent_ids(route))
        results = [{"id": refused[0], "status": "invalid", "message": "made invalid by a test"}]
        return route.fulfill(json={"results": results, "stale_epoch": False, "answered": 0, "total": TRIALS})

    page.route(RESPONSES, refuse_the_first)
    person.give(page, counts=False)
    for _ in range(TRIALS - 1):
        person.give(page)
    expect(page.get_by_role("heading", name="A few answers are missing")).to_be_visible()
    expect(page.get_by_role("link", name="Download my answers")).to_be_visible()
    expect_accessible(page)
    person.expect_no_code()
    page.get_by_role("button", name="Answer again").click()
    go_on(page)
    expect(trial_heading(page)).to_have_text(f"Picture {TRIALS} of {TRIALS}")
    person.finish(page)
    assert events(study, person.address)["save_refused"]["id"] == refused[0]


@pytest.mark.parametrize("refused", [False, True], ids=["nothing refused", "one refused"])
def test_when_answers_stay_missing_a_code_is_given_instead_of_asking_for_ever(study, open_window, refused):
    page = open_window()
    person = Person.starting(page, study)
    asked: list[str] = []
    download = page.get_by_role("link", name="Download my answers")

    def miss(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=409, json={"missing_positions": [2]})

    def refuse(route: Route) -> None:
        results = [{"id": sent, "status": "invalid", "message": "by a test"} for sent in sent_ids(route)]
        route.fulfill(json={"results": results, "stale_epoch": False, "answered": 0, "total": TRIALS})

    page.route(COMPLETE, miss)
    if refused:
        page.route(RESPONSES, refuse, times=1)
        person.give(page, counts=False)
    for _ in range(TRIALS - refused):
        person.give(page)
    for again in range(2):
        expect(page.get_by_role("heading", name="A few answers are missing")).to_be_visible()
        page.get_by_role("button", name="Answer again").click()
        page.get_by_role("button", name="Go on").click()
        if refused and again == 0:
            person.give(page, position=0)
    expect(page.get_by_role("heading", name="Some answers could not be saved")).to_be_visible()
    expect(page.get_by_text("shows the code to give instead of a completion code")).to_be_visible()
    # There is something to send only if something was refused.
    expect(download).to_have_count(int(refused))
    expect(page.get_by_text("download your answers")).to_have_count(int(refused))
    expect_accessible(page)
    study.wait_until(lambda: "data_problem" in events(study, person.address), 10, lambda: "not told")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report a problem").first.click()
    expect(opened.value.get_by_text("DATA_PROBLEM")).to_be_visible()
    expect_accessible(opened.value)
    assert len(asked) == 3
    assert (person.row["state"], person.row["completion_code"]) == ("running", "")
    page.unroute(COMPLETE)
    page.get_by_role("button", name="Answer again").click()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/survey/")
    person.finished(page)
    assert events(study, person.address)["data_problem"] == {"positions": [2], "rounds": 3}


def test_pictures_that_do_not_load_are_counted_and_can_be_tried_again(study, open_window):
    page = open_window()
    failed: list[str] = []
    page.route("**/participation/images/**", lambda route: (failed.append(route.request.url), route.abort()))
    address = consent(page, study)
    learn(page)
    named = ", ".join(map(str, range(1, 13)))
    expect(page.get_by_text(f"Pictures that could not be loaded: {named} …")).to_be_visible()
    expect_accessible(page)
    assert len(failed) >= 3 * TRIALS
    page.unroute("**/participation/images/**")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Start").click()
    expect(trial_heading(page)).to_have_text(f"Picture 1 of {TRIALS}")
    answer(page, 30, 80)
    expect_saved(page, f"Saved 1/{TRIALS}")
    assert len(events(study, address)["preload_fail"]["urls"]) == TRIALS
