"""The list of participations, one of them with its answers in words, whether it counts, and reported problems."""

from __future__ import annotations

import csv
import io
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.flow.events import record_events
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.validity import mark_invalid
from elicitation.flow.withdrawal import withdraw
from elicitation.interfaces import INTERFACES
from elicitation.interfaces.base import Asked
from elicitation.monitoring.words import judgement_in_words
from elicitation.participants.models import Participation, ParticipationEvent
from elicitation.participants.services import Arrival, report_problem
from elicitation.studies.models import Mode, Slot, Study
from elicitation.studies.rules import FLAGS, Rule
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import (
    CannotTell,
    ClassMass,
    Distribution,
    PerceivedLambda,
    PerceivedMidpoint,
)
from tests.elicitation.test_monitor import TONES, finished, join, said

PID = "5f0c1d2e3a4b5c6d7e8f9a0b"


@pytest.fixture
def sign_in(db):
    """`sign_in(kind, study, part)`: a browser of somebody new."""

    def make(kind=User.Kind.ADMIN, study=None, part=None) -> Client:
        user = User.objects.create(username=f"somebody{User.objects.count()}", kind=kind)
        if part:
            Membership.objects.create(user=user, study=study, part=part)
        client = Client()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def admin(sign_in):
    return sign_in()


def listed(client, study, query="") -> list[str]:
    """The participations in the csv of the list, in its order."""
    return [row["participation"] for row in csv_rows(client, study, query)]


def csv_rows(client, study, query="") -> list[dict]:
    reply = client.get(reverse("study_participations_csv", args=[study.slug]) + query)
    return list(csv.DictReader(io.StringIO(reply.content.decode())))


def page_of(person: Participation) -> str:
    return reverse("study_participation", args=[person.study.slug, person.public_id])


# -- the list


def test_the_list_is_filtered_by_state_counting_levels_problems_and_mode(make_study, admin):
    study = make_study(factors=(TONES,), answers_per_unit=4, n_mixed_images=6)
    done, running, invalid, extra, trial = (
        finished(study),
        join(study),
        *(finished(study) for _ in range(3)),
    )
    mark_invalid(participation=invalid, reason="a bot", actor=OPERATOR)
    Participation.objects.filter(pk=extra.pk).update(slot=None)
    Participation.objects.filter(pk=trial.pk).update(mode=Mode.PILOT)
    report = report_problem(study=study, participation=running, page="trials", text="Grey.")
    everybody = {person.public_id for person in (done, running, invalid, extra)}
    assert set(listed(admin, study)) == everybody
    assert listed(admin, study, "?mode=pilot") == [trial.public_id]
    assert set(listed(admin, study, "?mode=all")) == everybody | {trial.public_id}
    assert listed(admin, study, "?state=running") == [running.public_id]
    assert listed(admin, study, "?validity=invalid") == [invalid.public_id]
    assert listed(admin, study, "?validity=over_quota") == [extra.public_id]
    assert set(listed(admin, study, "?validity=counts")) == everybody - {invalid.public_id}
    assert listed(admin, study, "?problem=open") == [running.public_id]
    report.handled_at = report.created_at
    report.save()
    assert listed(admin, study, "?problem=open") == []
    assert listed(admin, study, "?problem=any") == [running.public_id]
    plain = {p.public_id for p in study.participations.all() if p.levels == {"tone": "plain"}}
    assert set(listed(admin, study, "?levels=0&mode=all")) == plain
    tones = {row["participation"]: row["level_tone"] for row in csv_rows(admin, study, "?mode=all")}
    assert {public_id for public_id, tone in tones.items() if tone == "plain"} == plain
    assert set(listed(admin, study, "?order=oldest")) == everybody
    assert listed(admin, study, "?order=answers")[-1] == running.public_id
    page = admin.get(reverse("study_participations", args=[study.slug])).content.decode()
    assert all(name in page for name in everybody)
    assert trial.public_id not in page


def test_the_list_is_filtered_by_flag_and_by_what_a_rule_leaves_out(make_study, admin):
    rules = (Rule("one_key", {"share": 0.9}, excludes=True), Rule("too_fast", {"floor_ms": 5000.0}))
    study = make_study(rules=rules, answers_per_unit=2)
    same, varied = finished(study), finished(study, payload=lambda at: said(10 * at))
    assert listed(admin, study, "?flag=one_key") == [same.public_id]
    assert set(listed(admin, study, "?flag=any")) == {same.public_id, varied.public_id}
    assert listed(admin, study, "?flag=untouched") == []
    assert listed(admin, study, "?validity=left_out") == [same.public_id]
    assert listed(admin, study, "?validity=counts") == [varied.public_id]


def test_the_number_of_queries_does_not_depend_on_the_number_of_people(make_study, admin):
    study = make_study(n_mixed_images=12, answers_per_unit=8)
    page = reverse("study_participations", args=[study.slug])

    def queries() -> int:
        with CaptureQueriesContext(connection) as told:
            assert admin.get(page).status_code == 200
        return len(told)

    report_problem(study=study, participation=finished(study), page="trials", text="Grey.")
    few = queries()
    for _person in range(5):
        report_problem(study=study, participation=finished(study), page="trials", text="Grey.")
    assert queries() == few


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.one_of(
            st.from_regex(r"[a-z]{1,8}__[a-z_]{1,12}", fullmatch=True),
            st.sampled_from(
                ["identity__pid_hmac__startswith", "completion_code", "seed", "order", "page", "levels"]
            ),
        ),
        st.text(max_size=20),
        max_size=3,
    )
)
def test_no_parameter_that_is_not_declared_changes_the_list(a_study_with_two, query):
    admin, study, names = a_study_with_two
    reply = admin.get(reverse("study_participations_csv", args=[study.slug]), query)
    assert reply.status_code == 200
    found = [row["participation"] for row in csv.DictReader(io.StringIO(reply.content.decode()))]
    assert found == names


@pytest.fixture
def a_study_with_two(make_study, admin):
    study = make_study()
    for _person in range(2):
        join(study, arrival=Arrival(pid=uuid.uuid4().hex[:24]))
    return admin, study, listed(admin, study)


def test_neither_the_list_nor_its_file_nor_a_participation_says_who_somebody_is(make_study, admin):
    study = make_study()
    person = finished(study, arrival=Arrival(pid=PID, session="6a" * 12))
    identity = person.identity
    addresses = [
        reverse("study_monitor", args=[study.slug]), reverse("study_participations", args=[study.slug]),
        reverse("study_problems", args=[study.slug]), reverse("study_participations_csv", args=[study.slug]),
        page_of(person),
    ]  # fmt: skip
    for address in addresses:
        reply = admin.get(address)
        text = reply.content.decode()
        for secret in (PID, "6a" * 12, identity.pid_hmac, identity.pid_ciphertext, person.completion_code):
            assert secret not in text, address


def test_no_cell_of_the_file_is_a_formula(make_study, admin):
    study = make_study()
    person = finished(study)
    mark_invalid(participation=person, reason='=HYPERLINK("http://evil")', actor=OPERATOR)
    reply = admin.get(reverse("study_participations_csv", args=[study.slug]))
    assert reply["Content-Disposition"].startswith("attachment")
    (row,) = csv.DictReader(io.StringIO(reply.content.decode()))
    assert row["invalid_reason"] == '\'=HYPERLINK("http://evil")'
    assert (row["answers"], row["trials"], row["state"]) == ("6", "6", "completed")
    event = AuditEvent.objects.get(action="study.participations_downloaded")
    assert (event.object_id, event.detail) == (str(study.pk), {"n": 1})


# -- one participation


@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_every_answer_is_shown_with_its_pictures_its_question_and_what_it_says(make_study, admin, interface):
    study = make_study(interface=interface, source="simulated", n_mixed_images=6)
    person = simulate_participant(study=study, seed=3)
    reply = admin.get(page_of(person))
    page = reply.content.decode()
    shown = {address.partition('"')[0] for address in page.split('src="') if address.startswith("/studies/")}
    assert len(shown) == sum(trial.images.count() for trial in person.trials.all())
    pictures = [admin.get(address) for address in shown]
    assert {picture["Content-Type"] for picture in pictures} == {"image/png"}
    assert {picture.content[:4] for picture in pictures} == {b"\x89PNG"}
    says = [one.says for one in reply.context["passage"].trials]
    assert all(says)
    assert all(one.question for one in reply.context["passage"].trials)


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        (CannotTell(), "cannot tell"),
        (PerceivedLambda(0.25, 0.8), "25% ant, 75% bee; 80% sure"),
        (PerceivedLambda(1.0), "100% ant, 0% bee"),
        (PerceivedMidpoint(0.4), "as much of ant as of bee at λ 0.4"),
        (ClassMass(((2, 0.6), (0, 0.3)), frozenset({1})), "60% cat, 30% ant; not bee"),
        (Distribution((0.0, 0.25, 0.75)), "75% cat, 25% bee"),
    ],
)
def test_what_an_answer_says_is_said_in_words(judgement, words):
    assert judgement_in_words(judgement, Asked(("ant", "bee", "cat"), 0, 1)) == words


def test_classes_that_are_numbers_are_told_from_the_shares():
    asked = Asked(("3", "7"), 0, 1)
    assert judgement_in_words(PerceivedLambda(0.27, 0.51), asked) == "27% “3”, 73% “7”; 51% sure"
    assert judgement_in_words(ClassMass(((1, 0.6),), frozenset({0})), asked) == "60% “7”; not “3”"


def test_codes_are_said_in_words(make_study, admin):
    study = make_study(source="simulated")
    person = simulate_participant(study=study, seed=3)
    page = admin.get(page_of(person)).text
    assert ">mixing percent: " in page
    assert 'title="mixing_percent: slider position' in page
    assert "adult: " not in page
    assert "I am 18 years or older. <strong>yes</strong>" in page
    overview = admin.get(reverse("study", args=[study.slug])).text
    assert "<dt>Randomize question order</dt><dd>no</dd>" in overview
    assert "<dt>Language</dt><dd>English</dd>" in overview


def test_the_way_is_told_in_words(make_study, admin):
    study = make_study(opened=True)
    person = join(study)
    kinds = [
        ("instructions", {}),
        ("comprehension", {"answers": []}),
        ("resume", {"position": 3}),
        ("sneeze", {}),
    ]
    events = [ParticipationEvent(id=uuid.uuid4(), kind=kind, data=data, t_ms=2000) for kind, data in kinds]
    record_events(participation=person, events=events)
    passage = admin.get(page_of(person)).context["passage"]
    assert [event.what for event in passage.events] == [
        "read the instructions", "answered the questions about the controls: wrong", "came back (trial 4)", "sneeze",
    ]  # fmt: skip
    assert passage.rounds == [False]
    assert passage.n_answers == 0


def test_of_somebody_who_withdrew_what_is_left_is_shown(make_study, admin):
    study = make_study(timing_reason="")
    person = finished(study)
    withdraw(participation=person)
    page = admin.get(page_of(person)).content.decode()
    assert "This person withdrew on" in page
    assert "Their answers are deleted" in page
    assert "Mark as not to count" not in page


def test_a_picture_of_somebody_else_or_of_another_study_is_not_found(make_study, admin):
    one, other = join(make_study("one")), join(make_study("other"))
    image = other.trials.first().images.first()
    address = reverse("study_participation_picture", args=["one", one.public_id, image.pk])
    assert admin.get(address).status_code == 404
    assert admin.get(reverse("study_participation", args=["one", other.public_id])).status_code == 404


# -- whether it counts


def test_marking_as_not_to_count_takes_a_reason_frees_the_place_and_can_be_taken_back(make_study, admin):
    study = make_study(answers_per_unit=1)
    person = finished(study)
    judge = reverse("judge_participation", args=[study.slug, person.public_id])
    refused = admin.post(judge, {"do": "invalid", "reason": "  "})
    assert refused.status_code == 400
    assert "characters why it is not to count" in refused.content.decode()
    assert admin.post(judge, {"do": "invalid", "reason": "answered with one key"}).status_code == 302
    person.refresh_from_db()
    assert (person.invalid_reason, person.slot) == ("answered with one key", None)
    assert Slot.objects.filter(batch__study=study, state="free").count() == 2
    page = admin.get(page_of(person)).content.decode()
    assert "answered with one key" in page
    assert admin.post(judge, {"do": "valid"}).status_code == 302
    person.refresh_from_db()
    assert person.invalid_at is None
    assert person.slot is not None
    assert AuditEvent.objects.filter(action__startswith="participation.").count() == 2


def test_a_viewer_looks_and_decides_nothing(make_study, sign_in):
    study = make_study()
    person = finished(study)
    report = report_problem(study=study, participation=person, page="trials", text="Grey.")
    viewer = sign_in(User.Kind.RESEARCHER, study, Membership.Part.VIEWER)
    editor = sign_in(User.Kind.RESEARCHER, study, Membership.Part.EDITOR)
    stranger = sign_in(User.Kind.RESEARCHER)
    judge = reverse("judge_participation", args=[study.slug, person.public_id])
    handle = reverse("handle_problem", args=[study.slug, report.pk])
    assert "Does it count?" not in viewer.get(page_of(person)).content.decode()
    for address in (judge, handle):
        assert viewer.post(address, {"do": "invalid", "reason": "no"}).status_code == 403
        assert stranger.post(address, {"do": "invalid", "reason": "no"}).status_code == 404
    person.refresh_from_db()
    report.refresh_from_db()
    assert (person.invalid_at, report.handled_at) == (None, None)
    assert stranger.get(page_of(person)).status_code == 404
    assert "Does it count?" in editor.get(page_of(person)).content.decode()


# -- problems


def test_a_reported_problem_is_listed_handled_and_opened_again(make_study, admin):
    study = make_study()
    person = join(study)
    report = report_problem(
        study=study, participation=person, page="trials", text="The picture is <b>grey</b>."
    )
    report_problem(study=study, participation=None, page="consent", text="I cannot read this.")
    address = reverse("study_problems", args=[study.slug])
    page = admin.get(address).content.decode()
    assert "The picture is &lt;b&gt;grey" in page
    assert person.public_id in page
    assert "by somebody who had not begun" in page
    handle = reverse("handle_problem", args=[study.slug, report.pk])
    assert admin.post(handle, {"do": "handle"}).status_code == 302
    report.refresh_from_db()
    assert report.handled_at is not None
    shown = {
        value: [one.pk for one in admin.get(f"{address}?handled={value}").context["listing"].page]
        for value in ("yes", "no")
    }
    assert report.pk in shown["yes"]
    assert report.pk not in shown["no"]
    admin.post(handle, {"do": "reopen"})
    report.refresh_from_db()
    assert report.handled_at is None
    assert list(AuditEvent.objects.filter(action__startswith="problem.").values_list("action", flat=True)) == [
        "problem.reopened", "problem.handled",
    ]  # fmt: skip


def test_a_problem_of_another_study_cannot_be_handled_through_this_one(make_study, admin):
    make_study("one")
    report = report_problem(study=make_study("other"), participation=None, page="", text="Grey.")
    assert admin.post(reverse("handle_problem", args=["one", report.pk])).status_code == 404
    report.refresh_from_db()
    assert report.handled_at is None


def test_whether_each_one_counts_is_said_in_words(make_study, admin):
    study = make_study(answers_per_unit=6, rules=(Rule("one_key", {"share": 0.9}, excludes=True),))
    varied = {"payload": lambda at: said(10 * at)}
    counts, invalid, extra, same = (
        finished(study, **varied),
        *(finished(study, **varied) for _ in range(2)),
        finished(study),
    )
    empty = join(study)
    mark_invalid(participation=invalid, reason="a bot", actor=OPERATOR)
    Participation.objects.filter(pk=extra.pk).update(slot=None)
    page = admin.get(reverse("study_participations", args=[study.slug]))
    words = {person.pk: counting for person, _flags, _levels, counting in page.context["rows"]}
    assert f"{FLAGS['one_key'].meaning}</span>" in page.text
    assert words == {
        counts.pk: "counts", invalid.pk: "marked as not to count", extra.pk: "counts, over quota",
        same.pk: "left out by a rule", empty.pk: "no answers",
    }  # fmt: skip


def test_imported_people_hold_no_places_and_are_not_over_quota(make_study, admin):
    study = make_study()
    finished(study)
    Participation.objects.update(source="imported", slot=None)
    Study.objects.update(source="imported")
    page = admin.get(reverse("study_monitor", args=[study.slug]))
    assert page.context["monitor"].n_over_quota == 0
    assert "How far it is" not in page.content.decode()
    assert listed(admin, study, "?validity=over_quota") == []
