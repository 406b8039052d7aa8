"""A replay shows what the person's browser was told: ways, order, sides, words and pictures. It writes nothing."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.flow.config import page_config, plan_of
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.interfaces import INTERFACES
from elicitation.participants.models import Participation
from elicitation.participants.services import link_of
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Source, Study
from elicitation.studies.services import change_texts
from elicitation.studies.texts import texts_of
from elicitation.trials.models import TrialImage
from hilmix.accounts.roles import OPERATOR
from tests.elicitation.test_monitor import answer, finished, join, said

WITHIN = Factor(
    "perspective",
    "within",
    (
        Level("mine", {"wording": {"question": "What do you see?"}}),
        Level("theirs", {"wording": {"question": "What would 100 others see?"}}),
    ),
)


def replay_of(person: Participation, at: object = "") -> str:
    return reverse("study_replay", args=[person.study.slug, person.public_id]) + (
        f"?at={at}" if at != "" else ""
    )


def config_of(reply) -> dict:
    found = re.search(
        rb'<script id="config" type="application/json">(.*?)</script>', reply.content, re.DOTALL
    )
    assert found
    return json.loads(found[1])


def told(person: Participation) -> tuple[dict, dict]:
    """What the person's browser was told: the page's configuration and the plan."""
    return page_config(person, link_of(person)), plan_of(person, person.epoch)


@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_every_trial_is_shown_as_the_persons_browser_was_told_it(make_study, admin, interface):
    study = make_study(interface=interface, n_mixed_images=6)
    person = join(study)
    config, plan = told(person)
    for trial in plan["trials"]:
        replayed = config_of(admin.get(replay_of(person, trial["position"])))
        assert replayed["ways"] == config["ways"]
        assert replayed["messages"] == config["messages"]
        assert (replayed["direction"], replayed["timing"]) == (config["direction"], config["timing"])
        assert {name: replayed["trial"][name] for name in ("params", "way")} == {
            name: trial[name] for name in ("params", "way")
        }
        shown = [TrialImage.objects.get(pk=re.findall(r"\d+", url)[-1]) for url in trial["images"]]
        addresses = [
            reverse("study_participation_picture", args=[study.slug, person.public_id, image.pk])
            for image in shown
        ]
        assert replayed["trial"]["images"] == addresses
        assert replayed["trial"]["answer"] is None


def test_trials_of_every_level_are_shown_in_their_own_way(make_study, admin):
    study = make_study(factors=(WITHIN,), n_mixed_images=6)
    person = join(study)
    config, plan = told(person)
    questions = {}
    for trial in plan["trials"]:
        replayed = config_of(admin.get(replay_of(person, trial["position"])))
        way = replayed["ways"][replayed["trial"]["way"]]
        assert way == config["ways"][trial["way"]]
        levels = person.trials.get(position=trial["position"]).levels
        questions[levels["perspective"]] = way["wording"]["question"]
    assert questions == {"mine": "What do you see?", "theirs": "What would 100 others see?"}


def test_the_recorded_answer_is_there_and_what_it_says(make_study, admin):
    study = make_study(interface="construct", source=Source.SIMULATED, n_mixed_images=6)
    person = simulate_participant(study=study, seed=1)
    reply = admin.get(replay_of(person, 2))
    response = person.trials.get(position=2).response
    assert config_of(reply)["trial"]["answer"] == {"payload": response.payload, "rt": response.rt_ms}
    assert reply.context["says"].startswith("as much of ")


def test_it_is_of_the_version_that_the_person_met(make_study, admin):
    study = make_study(answers_per_unit=3)
    person = finished(study)
    texts = json.loads(json.dumps(study.protocol.content["texts"]))
    texts["wording"]["question"] = "Quite another question"
    texts["instructions"] = ["Quite other instructions"]
    change_texts(study=study, texts=texts, actor=OPERATOR)
    assert "Quite another question" in str(config_of(admin.get(replay_of(finished(study)))))
    assert "Quite another question" not in str(config_of(admin.get(replay_of(person))))
    assert "Quite other instructions" not in admin.get(replay_of(person, "page-1")).content.decode()


def test_instructions_come_before_the_trials_and_the_way_leads_through_all_of_it(make_study, admin):
    study = make_study(bonus="Ten pence **each**.")
    person = join(study)
    page, seen = replay_of(person, "consent"), []
    for _step in range(40):
        reply = admin.get(page)
        seen.append(reply.context["at"])
        if (after := reply.context["after"]) is None:
            break
        assert f'rel="next" href="?at={after.at}"' in reply.content.decode()
        page = replay_of(person, after.at)
    assert seen == ["consent", "page-1", "page-2", "page-3", "page-4", "questions", *map(str, range(6))]
    assert "Ten pence <strong>each</strong>" in admin.get(replay_of(person, "page-4")).content.decode()


def test_consent_and_comprehension_questions_are_pages_to_read(make_study, admin):
    person = join(make_study())
    texts = texts_of(person.protocol.content)
    consent = html.unescape(admin.get(replay_of(person, "consent")).content.decode())
    assert all(said in consent for said in (*texts.information.values(), *(box.text for box in texts.boxes)))
    questions = html.unescape(admin.get(replay_of(person, "questions")).content.decode())
    for question in texts.comprehension:
        assert all(said in questions for said in (question.prompt, *question.options))
    assert "<form" not in re.sub(r'<form method="get".*?</form>', "", consent + questions, flags=re.DOTALL)


def test_the_window_that_the_person_had_is_named(make_study, admin):
    study = make_study()
    person = join(study)
    answer(person, 1, payload=lambda at: said(viewport=[800, 600, 1.5], enlargement=7))
    page = admin.get(replay_of(person, 0)).content.decode()
    assert "800 × 600 css pixels, 1.50 device pixels" in page
    assert "enlarged 7 times" in page
    assert "The person's window" not in html.unescape(admin.get(replay_of(person, 1)).content.decode())


@pytest.mark.parametrize("at", ["", "0", "99", "page-9", "x", "0'--"])
def test_a_place_that_is_none_leads_to_the_first_trial(make_study, admin, at):
    assert admin.get(replay_of(join(make_study()), at)).context["at"] == "0"


def test_nothing_is_written_and_no_participants_token_is_given_out(make_study, admin):
    study = make_study()
    person = finished(study)
    before = Participation.objects.values().get(pk=person.pk)
    with CaptureQueriesContext(connection) as done:
        reply = admin.get(replay_of(person))
    assert not [query["sql"] for query in done if not query["sql"].startswith(("SELECT", "BEGIN", "COMMIT"))]
    assert Participation.objects.values().get(pk=person.pk) == before
    config = config_of(reply)
    assert not {"token", "api", "epoch"} & set(config)
    assert person.completion_code not in reply.content.decode()
    assert link_of(person) not in reply.content.decode()


def test_after_a_withdrawal_the_plan_is_there_and_no_answer(make_study, admin):
    person = finished(make_study())
    withdraw(participation=person)
    reply = admin.get(replay_of(person, 1))
    assert config_of(reply)["trial"]["answer"] is None
    assert "No answer was given." in reply.content.decode()


def test_imported_answers_were_shown_by_another_program(make_study, admin):
    person = finished(make_study())
    Study.objects.update(source=Source.IMPORTED)
    assert admin.get(replay_of(person)).status_code == 404
