"""A study watched in a real browser: numbers that renew themselves, participations replayed on the real controls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, session_of

pytestmark = pytest.mark.browser

MAKE = """
import json
from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design, Display
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR

design = Design(
    n_mixed_images=12, lambdas_e4=(1000, 3000, 5000, 7000, 9000), trials_per_person=6, repeats=0, answers_per_unit=3
)
made = {}
for interface in [*INTERFACES, "brief"]:
    brief = {"display": Display(exposure_ms=300)} if interface == "brief" else {}
    asked = "infer" if interface == "brief" else interface
    plan = StudyPlan(
        slug="watched-" + interface.replace("_", "-"), title="Watched", image_set=ImageSet.objects.get(name="digits"),
        interface=asked, design=design, information=demonstration_information(), **brief,
    )
    study = create_study(plan=plan, source="simulated", actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    person = simulate_participant(study=study, seed=4)
    payload = person.trials.get(position=1).response.payload
    made[interface] = {"slug": study.slug, "person": person.public_id, "payload": payload}
print(json.dumps(made))
"""
ANOTHER = """
from elicitation.flow.simulation import simulate_participant
from elicitation.studies.models import Study
simulate_participant(study=Study.objects.get(slug="watched-infer"), seed=9)
"""


@dataclass(frozen=True)
class Site:
    instance: Any
    made: dict[str, dict[str, Any]]
    session: list[Any]


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any], chromium: Any) -> Site:
    """Studies of every interface, each answered by one simulated person, and an admin."""
    made: dict[str, Any] = {}

    def prepare(instance: Any) -> None:
        instance.manage("import_images", "digits", "--name", "digits")
        made.update(json.loads(instance.python(MAKE).splitlines()[-1]))

    instance = start_instance(prepare)
    return Site(instance, made, session_of(instance, chromium, "rosa", "admin"))


@pytest.fixture
def open_as_admin(site: Site, open_window: Callable[..., Page]) -> Callable[..., Page]:
    def enter(size: dict[str, int] = DESKTOP) -> Page:
        page = open_window(size)
        page.context.add_cookies(site.session)
        return page

    return enter


def kept(site: Site) -> list[dict[str, Any]]:
    """All that a participant's browser could have changed."""
    people = "select id, epoch, state, last_seen_at from elicitation_participation order by id"
    n = "select (select count(*) from elicitation_response) as a, (select count(*) from elicitation_participationevent)"
    return site.instance.rows(people) + site.instance.rows(n)


def number(page: Page, selector: str) -> int:
    return int(page.locator(selector).input_value())


def checked(page: Page, name: str) -> list[str]:
    return page.locator(f"input[name='{name}']:checked").evaluate_all("(all) => all.map(({ id }) => id)")


def as_set(page: Page, interface: str, payload: dict[str, Any]) -> None:
    """The controls are where the recorded answer says."""
    if interface in ("infer", "brief"):
        assert number(page, "#ms-mixing") == payload["mixing_percent"]
        assert number(page, "#ms-confidence") == payload["confidence_percent"]
    elif interface == "construct":
        expect(page.locator(".cs")).to_have_attribute("data-place", str(payload["final_step"]))
    elif interface == "select_shuffled":
        chosen = page.get_by_role("radio").nth(payload["selected"])
        expect(chosen).to_have_attribute("aria-checked", "true")
    elif interface == "categorical":
        assert checked(page, "sl-most") == [f"sl-most-{payload['most_probable']}"]
        assert sorted(checked(page, "sl-excluded")) == sorted(f"sl-excluded-{i}" for i in payload["excluded"])
    else:
        for index, percent in payload["percents"].items():
            assert number(page, f"#db-{index}") == percent


@pytest.mark.parametrize(
    ("interface", "size"),
    [
        ("infer", DESKTOP),
        ("construct", PHONE),
        ("select_shuffled", DESKTOP),
        ("categorical", PHONE),
        ("distribution", DESKTOP),
        ("brief", PHONE),
    ],
)
def test_a_replay_ends_with_the_controls_where_the_person_left_them(site, open_as_admin, interface, size):
    made, sent = site.made[interface], []
    page = open_as_admin(size)
    page.on("request", lambda request: sent.append(request.method))
    before = kept(site)
    page.goto(f"{site.instance.url}/studies/{made['slug']}/participations/{made['person']}/replay/?at=1")
    expect(page.locator("#replay[data-replayed]")).to_be_visible()
    as_set(page, interface, made["payload"])
    expect(page.locator("canvas").first).to_be_visible()
    page.locator("#trial-continue").click()
    page.wait_for_url("**/replay/?at=2")
    expect(page.locator("#replay[data-replayed]")).to_be_visible()
    page.get_by_role("link", name="Previous").click()
    page.wait_for_url("**/replay/?at=1")
    assert set(sent) == {"GET"}
    assert kept(site) == before


SET_ENLARGEMENT = """
from elicitation.trials.models import Response
one = Response.objects.get(trial__participation__public_id={!r}, trial__position=3)
one.payload["enlargement"] = 5
one.save(update_fields=["payload"])
"""


def test_a_replayed_picture_is_as_large_as_the_persons_window_made_it(site, open_as_admin):
    made = site.made["infer"]
    site.instance.python(SET_ENLARGEMENT.format(made["person"]))
    page, widths = open_as_admin(DESKTOP), []
    for at in (2, 3):
        page.goto(
            f"{site.instance.url}/studies/{made['slug']}/participations/{made['person']}/replay/?at={at}"
        )
        expect(page.locator("#replay[data-replayed]")).to_be_visible()
        widths.append(page.locator("canvas").first.bounding_box()["width"])
    assert widths[1] == 5 * 8  # the digits have 8 pixels
    assert widths[0] > widths[1]  # left to this window


@pytest.mark.parametrize("path", ["monitor/", "participations/{person}/"])
def test_on_a_phone_no_tab_and_no_cell_is_out_of_sight(site, open_as_admin, path):
    made = site.made["infer"]
    page = open_as_admin(PHONE)
    page.goto(f"{site.instance.url}/studies/{made['slug']}/{path.format(person=made['person'])}")
    expect(page.locator(".tabs a[aria-current]")).to_be_in_viewport(ratio=1)
    wide = "(all) => all.filter((one) => one.getBoundingClientRect().right > window.innerWidth).length"
    assert page.locator(".tabs a, .stacks td").evaluate_all(wide) == 0


def test_the_monitor_renews_its_numbers_and_leaves_the_focus_where_it_is(site, open_as_admin):
    page = open_as_admin()
    page.clock.install()
    page.goto(f"{site.instance.url}/studies/watched-infer/monitor/")
    completed = page.get_by_role("row", name="Completed").get_by_role("cell").first
    answers = page.locator(".stat", has_text="Counted answers").locator("dd")
    expect(completed).to_have_text("1")
    expect(answers).to_contain_text("6")
    problems = page.locator(".stat", has_text="Problems not handled").get_by_role("link")
    problems.focus()
    site.instance.python(ANOTHER)
    page.clock.fast_forward(31_000)
    expect(completed).to_have_text("2")
    expect(answers).to_contain_text("6")  # beside the focus, so it waits
    expect(problems).to_be_focused()
    page.get_by_role("checkbox", name="Update every 30 seconds").focus()
    page.clock.fast_forward(31_000)
    expect(answers).to_contain_text("12")
    page.get_by_role("checkbox", name="Update every 30 seconds").uncheck()
    shown = page.locator("[data-live=now]").inner_text()
    page.clock.fast_forward(61_000)
    expect(page.locator("[data-live=now]")).to_have_text(shown)


def test_a_participation_is_marked_as_not_to_count_by_keyboard_alone(site, open_as_admin):
    made = site.made["distribution"]
    page = open_as_admin(PHONE)
    page.goto(f"{site.instance.url}/studies/{made['slug']}/participations/{made['person']}/")
    page.get_by_label("Why it is not to count").focus()
    page.keyboard.type("answered with one key")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("It does not count any more")).to_be_visible()
    expect(page.get_by_text("answered with one key")).to_be_visible()
    page.get_by_role("button", name="Let it count again").press("Enter")
    expect(page.get_by_text("It counts again.")).to_be_visible()
