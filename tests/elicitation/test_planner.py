from __future__ import annotations

import re

import pytest
from django.urls import reverse

from elicitation.flow.simulation import simulate_participant
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Source
from elicitation.studies.payment import Payment
from elicitation.studies.planner import H_MIX_COMPONENTS, Terms, reckon
from elicitation.studies.protocol import Design
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress

FORM = {
    "n_mixed_images": 60,
    "trials_per_person": 30,
    "repeats": 2,
    "checks": 2,
    "answers_per_unit": 9,
    "currency": "GBP",
    "reward_e2": "1.50",
    "minutes": 10,
    "bonus_kind": "flat",
    "bonus_e2": "0.50",
    "interface": "infer",
    "planner_people": "hmix",
    "planner_recruiter": "prolific",
}


@pytest.fixture
def researcher(db) -> User:
    return add_person(username="ann", kind=User.Kind.RESEARCHER, actor=OPERATOR)


@pytest.fixture
def ask(client, researcher):
    """What the panel says to the form with these changes, as words."""
    client.force_login(researcher)

    def asked(**sent) -> str:
        data = {name: value for name, value in {**FORM, **sent}.items() if value is not None}
        reply = client.post(reverse("study_planner"), data, headers={"X-Fragment": "planner"})
        assert reply.status_code == 200
        return words(reply)

    return asked


def words(reply) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", reply.content.decode())).replace("&#x27;", "'")


def row(text: str, k: int) -> list[str]:
    """The row of the table for k answers: reliability, two widths, people, payment."""
    table = text.split("Payment, GBP")[1].split("What these numbers mean")[0]
    cells = table.replace("✓", "").replace(",", "").split()
    return next(cells[i + 1 : i + 6] for i in range(0, len(cells), 6) if cells[i] == str(k))


def test_the_panel_says_people_reliability_payment_and_what_an_hour_is(ask):
    said = ask()
    assert "18 people for 9 answers each; reliability of a label 0.81." in said
    assert row(said, 2)[0] == "0.48"
    assert row(said, 9) == ["0.81", "0.24", "0.22", "18", "48.00"]  # 18 × 2.00 and a third for the recruiter
    assert "48.00 GBP at most, with 33% for Prolific" in said
    assert "9.00 GBP" in said  # 1.50 for ten minutes
    assert "34" in said
    assert "asks for at least" not in said


def test_a_rate_below_the_recruiters_minimum_is_warned_of(ask):
    assert "Prolific asks for at least 6.00 GBP an hour" in ask(reward_e2="0.99")
    assert "asks for at least" not in ask(reward_e2="1.00")
    assert "Prolific asks for at least 8.00 USD an hour" in ask(currency="USD", reward_e2="1.00")
    assert "asks for at least" not in ask(reward_e2="0.10", planner_recruiter="direct")
    assert "asks for at least" not in ask(reward_e2="0.00", planner_recruiter=None)  # none is chosen yet


def test_without_stated_minutes_the_estimate_counts_and_too_few_are_warned_of(ask):
    said = ask(minutes=0, reward_e2="0.90")
    assert "about 10" in said  # five beside 34 trials of 8.4 seconds
    assert "asks for at least" in said
    assert "likely to need longer" in ask(minutes=5)
    assert "likely to need longer" not in ask(minutes=12)


def test_groups_of_people_multiply_those_needed(ask):
    factor = {
        "factors-TOTAL_FORMS": 1,
        "factors-INITIAL_FORMS": 0,
        "factors-0-name": "perspective",
        "factors-0-varies": "between",
        "factors-0-order": "blocks",
        "factors-0-levels-TOTAL_FORMS": 3,
        "factors-0-levels-INITIAL_FORMS": 0,
        "factors-0-levels-0-name": "one",
        "factors-0-levels-1-name": "others",
        "factors-0-levels-1-perspective": "100 others",
        "factors-0-levels-2-name": "",
    }
    said = ask(**factor)
    assert "36 people for 9 answers each; reliability of a label 0.81" in said
    assert "Groups of people 2" in said
    within = ask(**{**factor, "factors-0-varies": "within"})
    assert "18 people for 9 answers each; reliability of a label 0.68" in within  # of 4.5 answers
    assert "Levels within people 2, each with labels of its own, of 4.5 answers" in within
    assert row(within, 2)[:3] == row(ask(), 1)[:3]
    broken = ask(**{**factor, "factors-0-varies": "sometimes"})
    assert "What varies cannot be read as it stands" in broken
    assert "18 people" in broken


def test_images_that_fill_the_last_batch_are_told(ask):
    assert "29 images are shown to twice as many people as wanted" in ask(n_mixed_images=61)
    assert "1 image is shown to twice as many people" in ask(n_mixed_images=89)
    assert "twice as many" not in ask()


def test_what_is_empty_is_as_usual(ask):
    design = Design()
    said = ask(n_mixed_images="", trials_per_person="", answers_per_unit="")
    people = -(-design.n_mixed_images // design.trials_per_person) * design.answers_per_unit
    assert f"{people} people for {design.answers_per_unit} answers each" in said


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_mixed_images", "many", "Mixed images: Enter a whole number."),
        ("answers_per_unit", "0", "greater than or equal to 1"),
        ("trials_per_person", "9" * 400, "less than or equal to 500|Enter a whole number"),
        ("n_mixed_images", "1e9", "Enter a whole number"),
        ("reward_e2", "-1", "greater than or equal to 0"),
        ("reward_e2", "NaN", "Enter a number"),
        ("currency", "pounds", "Three capital letters"),
        ("planner_people", "nobody's@1.0.0", "Select a valid choice"),
        ("planner_recruiter", "other", "Select a valid choice"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_reckoned(ask, field, value, message):
    said = ask(**{field: value})
    assert re.search(message, said)
    assert "people for" not in said


def test_hostile_values_are_shown_as_text(client, researcher):
    client.force_login(researcher)
    for page in ({}, {"X-Fragment": "planner"}):
        sent = {**FORM, "planner_people": "<b onclick=alert(1)>", "n_mixed_images": "<b onclick=alert(1)>"}
        assert b"<b onclick" not in client.post(reverse("study_planner"), sent, headers=page).content


def test_without_scripts_the_button_opens_a_page_with_the_same_numbers(client, researcher):
    client.force_login(researcher)
    page = client.post(reverse("study_planner"), FORM)
    assert "<html" in page.content.decode()
    assert "18 people for 9 answers each" in words(page)
    assert 'name="answers_per_unit" value="9"' in page.content.decode()
    assert "answers each" in words(client.get(reverse("study_planner")))


def test_a_study_that_is_changed_gives_what_its_form_does_not_send(client, make_study, researcher):
    levels = Factor("asked", "between", (Level("a", {"bonus": "A."}), Level("b", {"bonus": "B."})))
    study = make_study("changed", factors=(levels,), answers_per_unit=7)
    set_membership(person=researcher, study=study, part=Membership.Part.EDITOR, actor=OPERATOR)
    client.force_login(researcher)
    sent = {"based_on": study.protocol.sha256, "reward_e2": "2.00", "minutes": "10"}
    said = words(client.post(reverse("study_planner"), sent, headers={"X-Fragment": "1"}))
    assert "28 people for 7 answers each" in said  # two batches of six, in two groups
    assert "Groups of people 2" in said
    set_membership(person=researcher, study=study, part=None, actor=OPERATOR)
    said = words(client.post(reverse("study_planner"), sent, headers={"X-Fragment": "1"}))
    assert "Groups of people" not in said  # somebody else's study is as no study


# --- components of releases -------------------------------------------------------------------------------------


@pytest.fixture
def release(make_study):
    study = make_study("before", source=Source.SIMULATED, answers_per_unit=8)
    for seed in range(16):
        simulate_participant(study=study, seed=seed)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


def test_only_releases_that_somebody_may_see_are_offered(ask, release, researcher):
    assert "before@1.0.0" not in ask()
    assert "Select a valid choice" in ask(planner_people="before@1.0.0")
    set_membership(person=researcher, study=release.study, part=Membership.Part.VIEWER, actor=OPERATOR)
    said = ask(planner_people="before@1.0.0")
    assert "From before@1.0.0: one answer has a reliability of" in said
    assert "18 people for 9 answers each" in said


def test_a_release_that_says_nothing_of_reliability_gives_way_to_h_mix(ask, make_study, researcher):
    study = make_study("alone", source=Source.SIMULATED, answers_per_unit=1)
    for seed in range(2):
        simulate_participant(study=study, seed=seed)
    freeze_release(study=study, actor=OPERATOR, progress=Progress())
    set_membership(person=researcher, study=study, part=Membership.Part.VIEWER, actor=OPERATOR)
    said = ask(planner_people="alone@1.0.0")
    assert "says nothing of reliability. H-Mix is used instead." in said
    assert "reliability of a label 0.81" in said


def test_the_panel_asks_the_database_as_often_whatever_is_asked(client, researcher, release, make_study):
    set_membership(person=researcher, study=release.study, part=Membership.Part.VIEWER, actor=OPERATOR)
    client.force_login(researcher)

    def queries() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            client.post(
                reverse("study_planner"), {**FORM, "answers_per_unit": 3}, headers={"X-Fragment": "1"}
            )
        return len(captured)

    before = queries()
    for number in range(3):
        make_study(f"more{number}")
    assert queries() == before <= 12


# --- the arithmetic ---------------------------------------------------------------------------------------------


def test_a_bonus_counts_only_where_there_is_one():
    design = Design(n_mixed_images=60, trials_per_person=30, answers_per_unit=9)
    without = reckon(design, Payment(reward_e2=100, bonus_e2=50), (), H_MIX_COMPONENTS, Terms())
    flat = reckon(design, Payment(reward_e2=100, bonus="flat", bonus_e2=50), (), H_MIX_COMPONENTS, Terms())
    assert (without.chosen.total_e2, flat.chosen.total_e2) == (1800, 2700)
    assert without.hourly_e2 == flat.hourly_e2  # nobody is promised the bonus


def test_a_currency_without_a_minimum_is_not_warned_of():
    terms = Terms(0.0, {"GBP": 600})
    poor = Payment(currency="SEK", reward_e2=1, minutes=60)
    assert not reckon(Design(), poor, (), H_MIX_COMPONENTS, terms).is_low
    assert reckon(Design(), Payment(reward_e2=1, minutes=60), (), H_MIX_COMPONENTS, terms).is_low
