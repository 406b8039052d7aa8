"""What goes into a release, and what does not: conditions, attention checks, pairs, consent, withdrawal."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest
from django.urls import reverse

from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.services import complete, join_study
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.participants.models import Consent, Participation
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.reading import reading_of
from elicitation.studies.services import change_texts
from elicitation.studies.texts import texts_of
from elicitation.trials import given
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core import release as core_release
from hilmix.core.errors import DataError
from hilmix.core.judgements import PerceivedLambda
from hilmix.core.release import open_release
from hilmix.errors import Conflict
from hilmix.hub import answers as hub_answers
from hilmix.hub.answers import Answers
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.progress import Progress

DESIGN = Design(
    n_mixed_images=6, lambdas_e4=(2500, 5000, 7500), trials_per_person=6, repeats=0, answers_per_unit=4
)


@pytest.fixture
def make_study(make_study):
    return partial(make_study, design=DESIGN)


def freeze(study: Study) -> core_release.Release:
    return open_release(freeze_release(study=study, actor=OPERATOR, progress=Progress()).directory)


def rows(release: core_release.Release, table: str) -> list[dict]:
    return release.table(table).to_pylist()


BOXES = {"adult": True, "agree": True, "publish": True}


def take_part(study: Study, *, publish: bool = True) -> Participation:
    """Somebody who sees three parts of ten of the first image everywhere."""
    boxes = {box.name: True for box in texts_of(study.protocol.content).boxes} | {"publish": publish}
    participation, _new = join_study(study=study, source=Source.PERSON, boxes=boxes)
    answer(participation, positions=range(participation.trials.count()))
    assert complete(participation=participation) == []
    return participation


def answer(participation: Participation, *, positions: range) -> None:
    reading, rng = reading_of(participation.protocol), np.random.default_rng(0)
    answers = []
    for trial in participation.trials.filter(position__in=positions).select_related("pair"):
        asked = asked_of(trial, reading.settings, reading.classes, participation.drawn)
        payload = reading.interface.payload_for(PerceivedLambda(0.3, 0.5), asked, rng)
        answers.append(Incoming(uuid.uuid4(), trial.position, payload, rt_ms=900, time_elapsed_ms=1000))
    save_responses(participation=participation, epoch=0, answers=answers)


def ask_in_other_words(study: Study) -> None:
    texts = study.protocol.content["texts"]
    wording = {**texts["wording"], "question": "Wie viel ist von beiden zu sehen?"}
    change_texts(study=study, texts={**texts, "wording": wording}, actor=OPERATOR)


# --- conditions


def test_answers_to_other_words_have_labels_of_their_own(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    before = study.protocol.sha256
    ask_in_other_words(study)
    simulate_participant(study=study, seed=2)
    release = freeze(study)
    first, second = (row["condition"] for row in rows(release, "conditions"))
    words = [json.loads(row["wording"])["question"] for row in rows(release, "conditions")]
    assert len(set(words)) == 2
    with pytest.raises(DataError, match=f"labels 'human_lambda' under 2 conditions, {first}, {second}"):
        release.labels("human_lambda")
    responses = rows(release, "responses")
    for condition in (first, second):
        said: dict[str, list[float]] = {}
        for row in responses:
            if row["condition"] == condition and row["counted"]:
                said.setdefault(row["key"], []).append(row["perceived_lambda"])
        labels = [
            row
            for row in rows(release, "labels")
            if (row["policy"], row["condition"]) == ("human_lambda", condition)
        ]
        assert {row["key"]: row["lambda"] for row in labels if row["n"]} == {
            key: pytest.approx(fmean(values)) for key, values in said.items()
        }
        assert release.labels("human_lambda", condition).shape == (6, 3)
    assert len({row["condition"] for row in responses}) == 2
    hashes = [row["protocol_sha256"] for row in rows(release, "participants")]
    assert set(hashes) == {before, study.protocol.sha256}
    assert release.manifest["protocol_sha256"] == study.protocol.sha256


def test_other_texts_that_no_trial_shows_are_the_same_condition(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    texts = study.protocol.content["texts"]
    change_texts(study=study, texts={**texts, "thanks": "Thanks a lot."}, actor=OPERATOR)
    simulate_participant(study=study, seed=2)
    release = freeze(study)
    assert len(release.conditions) == 1
    assert release.label_set("human_lambda")["condition"] == release.conditions[0]


def test_a_change_of_texts_that_nobody_met_makes_no_new_release(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    freeze(study)
    ask_in_other_words(study)
    with pytest.raises(Conflict, match="Nothing has changed"):
        freeze(study)


def test_the_page_of_a_release_shows_its_conditions(make_study, client):
    study = make_study(perspective="100 others", bonus="Five more cents.")
    simulate_participant(study=study, seed=1)
    release = freeze(study)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    page = client.get(reverse("release", args=[Release.objects.get().pk])).text
    for text in (release.conditions[0], "100 others", "Five more cents.", "infer@2"):
        assert text in page
    assert "release.labels(&quot;human_lambda_shrunk&quot;)" in page
    assert "Contains withdrawn answers" not in page


# --- attention checks


def test_checks_are_no_answers_and_a_failure_only_flags(make_study):
    design = replace(DESIGN, n_mixed_images=12, trials_per_person=12, checks=2, check_images=(0, 1, 2, 3))
    study = make_study(design=design)
    for seed in (1, 2):
        simulate_participant(study=study, seed=seed)
    shown = Trial.objects.filter(kind=Trial.Kind.CHECK, participation__study=study)
    failed = shown.select_related("response", "participation").order_by("participation_id", "position")[0]
    unseen = {**failed.response.payload, "cannot_tell": True, "mixing_percent": None}
    Response.objects.filter(trial=failed).update(payload=unseen)
    release = freeze(study)
    checks = rows(release, "checks")
    assert len(checks) == shown.count() == 4
    ((unseen_in, position),) = [
        (row["participant"], row["position"]) for row in checks if row["share"] is None
    ]
    assert position == failed.position
    for row in checks:
        assert row["passed"] == (row["share"] is not None and row["share"] > 0.75)
    people = rows(release, "participants")
    assert [row["checks_shown"] for row in people] == [2, 2]
    assert {row["participant"]: row["checks_failed"] for row in people}[unseen_in] >= 1
    assert sum(row["checks_failed"] for row in people) == sum(not row["passed"] for row in checks)
    # The answers of somebody who failed are there like anybody's, and no check is among the answers.
    asked = {(row["participant"], row["position"]) for row in rows(release, "responses")}
    assert not asked & {(row["participant"], row["position"]) for row in checks}
    assert [row["n_responses"] for row in people] == [12, 12]
    assert release.n == 12
    assert {row["n"] for row in rows(release, "labels") if row["policy"] == "human_lambda"} <= {0, 1, 2}


# --- every interface


@pytest.mark.parametrize("interface", ["construct", "select_shuffled"])
def test_answers_about_pairs_are_released_as_such(make_study, interface):
    study = make_study(interface=interface)
    simulate_participant(study=study, seed=1)
    release = freeze(study)
    responses = rows(release, "responses")
    assert {row["unit"] for row in responses} == {"pair"}
    assert {row["perceived_midpoint"] for row in responses} <= {0.25, 0.5, 0.75}
    assert {row["left"] for row in responses} <= {"first", "second"}
    assert all(row["counted"] for row in responses)
    mixed = rows(release, "mixed_images")
    assert {row["key"] for row in responses} == {
        f"{row['first_index']}-{row['second_index']}" for row in mixed
    }
    assert len(mixed) == 6 * 3  # every pair at every λ
    assert release.policies == ("label_smoothing", "mixup", "perceived_midpoint")
    assert release.labels("perceived_midpoint", release.conditions[0]).shape == (18, 3)
    for row in responses:
        assert json.loads(row["drawn"])["left"] == row["left"]


def test_masses_and_distributions_are_released_as_such(make_study):
    study = make_study("masses", interface="categorical")
    simulate_participant(study=study, seed=1)
    for row in rows(freeze(study), "responses"):
        mass, payload = json.loads(row["mass"]), json.loads(row["payload"])
        assert mass[str(payload["most_probable"])] == pytest.approx(payload["percent"] / 100)
        assert json.loads(row["excluded"]) == sorted(payload["excluded"])
        assert row["probabilities"] is None
    study = make_study("wholes", interface="distribution")
    simulate_participant(study=study, seed=1)
    release = freeze(study)
    for row in rows(release, "responses"):
        assert sum(row["probabilities"]) == pytest.approx(1)
        assert (row["mass"], row["perceived_lambda"]) == (None, None)
    assert release.policies == ("distribution", "label_smoothing", "mixup")
    assert all(json.loads(row["drawn"]) for row in rows(release, "participants"))


def test_times_are_empty_where_the_study_does_not_record_them(make_study):
    study = make_study(timing_reason="")
    simulate_participant(study=study, seed=1)
    for row in rows(freeze(study), "responses"):
        assert (row["rt_ms"], row["time_elapsed_ms"], row["attempt"]) == (None, None, 1)
        assert "first_interaction_ms" not in json.loads(row["payload"])


def test_answers_are_numbered_as_they_were_given(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    responses = rows(freeze(study), "responses")
    assert [row["trial_index"] for row in responses] == list(range(6))
    assert all(before["time_elapsed_ms"] < after["time_elapsed_ms"] for before, after in pairwise(responses))


# --- who is in a release


def test_only_people_who_agreed_to_it_are_published(make_study):
    study = make_study(source=Source.PERSON)
    yes, no = take_part(study), take_part(study, publish=False)
    release = freeze(study)
    assert release.manifest["counts"] == {"participants": 1, "responses": 6, "mixed_images": 6}
    assert [row["survey"] for row in rows(release, "participants")] == ["{}"]
    # Nothing of the other reaches the labels either.
    assert all(row["n"] == 1 for row in rows(release, "labels") if row["policy"] == "human_lambda")
    Consent.objects.filter(participation=no).update(publish=True)
    assert freeze(study).manifest["counts"]["participants"] == 2
    assert yes.consent.publish


def test_where_nobody_agreed_there_is_nothing_to_release(make_study):
    study = make_study(source=Source.PERSON)
    take_part(study, publish=False)
    with pytest.raises(
        Conflict, match="Nobody who answered “Blends” agreed that their answers are published"
    ):
        freeze(study)


def test_points_of_the_survey_are_published_and_free_text_is_not(make_study):
    study = make_study(source=Source.PERSON)
    participation = take_part(study)
    Participation.objects.filter(pk=participation.pk).update(survey={"clear": 4, "comments": "I am Ann."})
    release = freeze(study)
    assert [json.loads(row["survey"]) for row in rows(release, "participants")] == [{"clear": 4}]
    for path in release.directory.rglob("*"):
        assert path.is_dir() or b"I am Ann" not in path.read_bytes()


def test_whoever_withdraws_is_in_no_later_release_and_the_earlier_one_says_so(make_study, client):
    study = make_study(source=Source.PERSON)
    stays, goes = take_part(study), take_part(study)
    before = freeze(study)
    (frozen,) = Release.objects.all()
    assert n_withdrawn(frozen) == 0
    withdraw(participation=goes)
    assert n_withdrawn(frozen) == 1
    assert open_release(before.directory).manifest["counts"]["participants"] == 2
    owner = User.objects.create_user("owner", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=owner, study=study, part=Membership.Part.OWNER)
    client.force_login(owner)
    page = client.get(reverse("release", args=[frozen.pk])).text
    assert "1 participant whose answers are in this release has withdrawn since" in page
    assert reverse("freeze_release", args=["blends"]) in page
    after = freeze(study)
    newest = Release.objects.resolve("blends")
    assert after.manifest["counts"]["participants"] == 1
    assert (n_withdrawn(newest), n_withdrawn(frozen)) == (0, 1)
    assert Answers(study).people.keys() == {stays.pk}


def test_answers_kept_without_a_name_stay_in_releases(make_study):
    study = make_study(source=Source.PERSON, flow=Flow(withdrawal="anonymise"))
    take_part(study)
    withdraw(participation=take_part(study))
    assert freeze(study).manifest["counts"]["participants"] == 2
    assert n_withdrawn(Release.objects.get()) == 0


def test_what_is_answered_while_a_release_is_made_is_not_in_it(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    answers = Answers(study)
    once = [(said.participant, said.position) for said, _stored in answers.stored()]
    simulate_participant(study=study, seed=2)
    assert [(said.participant, said.position) for said, _stored in answers.stored()] == once
    assert [(said.participant, said.position) for said in answers] == once
    assert sum(person.n_responses for person in answers.people.values()) == len(once) == 6
    assert len(list(Answers(study))) == 12


# --- every planned trial


def test_who_answered_nothing_has_a_row_and_is_not_counted_as_a_participant(make_study):
    study = make_study(source=Source.PERSON)
    take_part(study)
    silent, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    first = freeze(study)
    people = {row["participant"]: row for row in rows(first, "participants")}
    trials = Counter(row["participant"] for row in rows(first, "trials"))
    assert sorted(row["n_responses"] for row in people.values()) == [0, 6]
    assert trials == dict.fromkeys(people, 6)
    assert first.manifest["counts"]["participants"] == 1
    assert first.manifest["left_out"] == {"invalid": 0, "excluded": 0}
    assert "1 participants who answered" in " ".join(first.manifest["consent"])
    answer(silent, positions=range(6))
    second = freeze(study)  # answers came, and no record changed
    assert (first.version, second.version) == ("1.0.0", "1.1.0")
    assert second.manifest["counts"]["participants"] == 2


def test_who_withdraws_before_answering_leaves_nothing_in_a_release(make_study):
    study = make_study(source=Source.PERSON)
    take_part(study)
    silent, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    withdraw(participation=silent)
    assert [row["n_responses"] for row in rows(freeze(study), "participants")] == [6]


def test_a_way_of_asking_that_only_silent_people_met_is_described(make_study):
    study = make_study(source=Source.PERSON)
    take_part(study)
    ask_in_other_words(study)
    join_study(study=study, source=Source.PERSON, boxes=BOXES)
    release = freeze(study)
    met = {row["condition"] for row in rows(release, "trials")}
    assert met == {row["condition"] for row in rows(release, "conditions")}
    assert len(met) == 2


def test_every_planned_trial_is_there_answered_or_not(make_study):
    design = replace(DESIGN, n_mixed_images=12, trials_per_person=12, checks=2, check_images=(0, 1, 2, 3))
    study = make_study(source=Source.PERSON, design=design)
    whole = take_part(study)
    half, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    answer(half, positions=range(3))
    silent, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    join_study(study=study, source=Source.PERSON, boxes=BOXES | {"publish": False})
    release = freeze(study)
    trials = rows(release, "trials")
    assert len(trials) == sum(person.trials.count() for person in (whole, half, silent))
    assert {row["kind"] for row in trials} == {"main", "check"}
    left = [row for row in trials if not row["answered"]]
    assert sorted(Counter(row["participant"] for row in left).values()) == [11, 14]
    assert {row["not_counted"] for row in left} == {"unanswered"}
    assert {(row["perceived_lambda"], row["cannot_tell"], row["rt_ms"]) for row in left} == {
        (None, None, None)
    }
    said = {(row["participant"], row["position"]): row for row in rows(release, "responses")}
    for row in trials:
        if row["kind"] == "check":
            assert (row["key"], row["lambda_e4"] in (0, 10_000)) == (None, True)
            assert row["not_counted"] == ("check" if row["answered"] else "unanswered")
        elif row["answered"]:
            same = said.pop((row["participant"], row["position"]))
            for column in (
                "key",
                "perceived_lambda",
                "confidence",
                "counted",
                "not_counted",
                "flags",
                "left",
                "rt_ms",
            ):
                assert row[column] == same[column], column
    assert not said


def test_a_trial_says_what_was_seen_in_the_one_answered_before(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    trials = rows(freeze(study), "trials")
    assert trials[0]["previous_lambda"] is None
    for before, row in pairwise(trials):
        assert row["previous_lambda"] == before["perceived_lambda"]


def test_trials_about_pairs_say_where_they_started_and_no_lambda(make_study):
    study = make_study(interface="construct")
    simulate_participant(study=study, seed=1)
    trials = rows(freeze(study), "trials")
    assert {row["unit"] for row in trials} == {"pair"}
    assert {row["lambda_e4"] for row in trials} == {None}
    assert {row["start"] for row in trials} == {"low", "high"}


def test_mixed_images_say_which_split_their_parents_are_of(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    assert {row["split"] for row in rows(freeze(study), "mixed_images")} == {"train"}


# --- names


def test_nobody_has_the_same_name_in_two_releases_of_a_study(make_study):
    study = make_study()
    simulate_participant(study=study, seed=1)
    first = {row["participant"] for row in rows(freeze(study), "participants")}
    simulate_participant(study=study, seed=2)
    second = freeze(study)
    assert not first & {row["participant"] for row in rows(second, "participants")}
    change = Release.objects.resolve("blends").change
    answers = change["tables"]["responses"]
    assert (change["level"], answers["same"], answers["added"]) == ("minor", 6, 6)


def test_rows_stand_in_the_order_of_names_and_not_in_that_in_which_people_came(make_study, monkeypatch):
    monkeypatch.setattr(given, "PEOPLE_AT_ONCE", 3)
    monkeypatch.setattr(hub_answers, "PEOPLE_AT_ONCE", 3)
    design = replace(DESIGN, n_mixed_images=12, trials_per_person=12, checks=2, check_images=(0, 1, 2, 3))
    study = make_study(design=replace(design, answers_per_unit=8))
    for seed in range(8):
        simulate_participant(study=study, seed=seed)
    release = freeze(study)
    for table in ("participants", "responses", "trials", "checks"):
        names = [(row["participant"], row.get("position")) for row in rows(release, table)]
        assert len({name for name, _position in names}) == 8, table
        assert names == sorted(names), table
    names = [person.name for person in Answers(study, 1).people.values()]
    assert [row["participant"] for row in rows(release, "participants")] == sorted(names) != names
