"""The way of one participant, step by step: every defined reply of joining, resuming, saving and completing."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from elicitation.flow import allocation, saving, services
from elicitation.flow.events import MAX_EVENTS, record_events
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.participants.models import Consent, Identity, Participation, ParticipationEvent
from elicitation.participants.services import Arrival, pid_hmac
from elicitation.studies.models import Slot, Source
from elicitation.studies.opening import close_study, pause_study
from elicitation.studies.protocol import content_sha256
from elicitation.studies.services import change_texts
from elicitation.studies.texts import texts_of
from elicitation.trials.models import Response, Trial
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Invalid
from tests.elicitation.answers import MIXTURE

BOXES = {"adult": True, "agree": True, "publish": True, "contact": False}
N_TRIALS = 6  # of the study of conftest


def join(study, pid="", boxes=BOXES):
    return services.join_study(study=study, source=study.source, boxes=boxes, arrival=Arrival(pid=pid))[0]


def answer(position, *, id=None, rt_ms=1500, at=None, **change):
    """One answer; what is in `change` goes into its payload."""
    return saving.Incoming(
        id=id or uuid.uuid4(),
        position=position,
        payload={**MIXTURE, **change},
        rt_ms=rt_ms,
        trial_index=position,
        time_elapsed_ms=2000 * position,
        started_at=at,
        ended_at=at,
    )


def save(participation, *answers, epoch=1):
    return saving.save_responses(participation=participation, epoch=epoch, answers=answers)


def statuses(participation, *answers):
    return [receipt.status for receipt in save(participation, *answers)]


def answer_all(participation):
    save(participation, *[answer(position) for position in range(participation.trials.count())])


def event(kind, **data):
    return ParticipationEvent(id=uuid.uuid4(), kind=kind, t_ms=1200, data=data)


# --- joining ----------------------------------------------------------------------------------------------------


def test_joining_writes_consent_holds_a_slot_and_stores_the_whole_plan(study):
    participation = join(study)
    assert participation.consent.boxes == BOXES
    assert (participation.consent.publish, participation.consent.contact) == (True, False)
    assert participation.slot.state == Slot.State.HELD
    trials = list(participation.trials.all())
    assert [trial.position for trial in trials] == list(range(N_TRIALS))
    assert {trial.condition.content["perspective"] for trial in trials} == {"you"}
    assert all(trial.images.count() == 1 for trial in trials)


def test_a_box_that_is_needed_and_not_ticked_is_named_and_nothing_is_kept(study):
    with pytest.raises(Invalid) as refused:
        join(study, boxes={**BOXES, "adult": False})
    assert refused.value.fields["boxes"] == ["I am 18 years or older."]
    assert not Participation.objects.exists()


@pytest.mark.parametrize("publish", [True, False])
@pytest.mark.parametrize("contact", [True, False])
def test_publishing_and_contact_are_consents_of_their_own(study, publish, contact):
    consent = join(
        study, boxes={"adult": True, "agree": True, "publish": publish, "contact": contact}
    ).consent
    assert (consent.publish, consent.contact) == (publish, contact)


def test_a_consent_that_was_not_given_or_not_asked_for_is_none(study):
    consent = join(study, boxes={"adult": True, "agree": True, "newsletter": True}).consent
    assert consent.boxes == {"adult": True, "agree": True, "publish": False, "contact": False}
    assert (consent.publish, consent.contact) == (False, False)


def test_a_protocol_of_the_first_version_says_in_its_text_that_answers_are_published(study):
    protocol = study.protocol
    boxes = protocol.content["texts"]["boxes"]
    protocol.content["texts"]["boxes"] = [box for box in boxes if box["name"] not in ("publish", "contact")]
    protocol.sha256 = content_sha256(protocol.content)
    protocol.save()
    consent = join(study, boxes={"adult": True, "agree": True}).consent
    assert (consent.publish, consent.contact) == (True, False)


@pytest.mark.parametrize("changed", ["consent", "information", "boxes"])
def test_the_hash_with_a_consent_covers_all_that_was_shown_with_it(study, changed):
    before = join(study).consent.text_sha256
    texts = texts_of(study.protocol.content).as_content()
    other = {
        "consent": "Other words.",
        "information": {**texts["information"], "controller": "somebody else"},
        "boxes": [{**box, "text": box["text"] + "!"} for box in texts["boxes"]],
    }
    change_texts(study=study, texts={**texts, changed: other[changed]}, actor=OPERATOR)
    after = join(study).consent.text_sha256
    assert len(before) == len(after) == 64
    assert before != after


def test_the_same_person_gets_the_same_participation_and_is_not_named_in_clear(study):
    first, second = join(study, pid="5f1e"), join(study, pid="5f1e")
    assert first == second
    assert Consent.objects.count() == 1
    identity = Identity.objects.get()
    assert "5f1e" not in identity.pid_ciphertext + identity.pid_hmac
    assert pid_hmac(study, "5f1e") == identity.pid_hmac


def test_answers_of_another_source_are_refused(study, make_study):
    with pytest.raises(Conflict, match="not simulated"):
        services.join_study(study=study, source=Source.SIMULATED, boxes=BOXES)
    robots = make_study("robots", source=Source.SIMULATED)
    with pytest.raises(Conflict, match="not person"):
        services.join_study(study=robots, source=Source.PERSON, boxes=BOXES)


@pytest.mark.parametrize("end", [pause_study, close_study])
def test_a_study_that_is_not_open_lets_nobody_in(study, end):
    end(study=study, actor=OPERATOR)
    with pytest.raises(Conflict, match="not open"):
        join(study)


# --- allocation -------------------------------------------------------------------------------------------------


def test_the_least_filled_batch_is_first_and_a_full_study_says_so(study):
    batches = [join(study).slot.batch_id for _ in range(4)]
    assert sorted(batches.count(batch) for batch in set(batches)) == [2, 2]
    assert len(set(batches[:2])) == 2
    with pytest.raises(allocation.StudyFull):
        join(study)
    assert Participation.objects.count() == 4


def test_a_slot_whose_lease_ended_goes_to_somebody_else_and_its_holder_may_still_finish(study):
    people = [join(study) for _ in range(4)]
    Slot.objects.filter(pk=people[0].slot_id).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    newcomer = join(study)
    assert newcomer.slot_id == people[0].slot_id
    late = services.resume(participation=people[0])
    assert late.slot is None
    answer_all(late)
    assert services.complete(participation=late) == []
    assert Slot.objects.get(pk=newcomer.slot_id).state == Slot.State.HELD


def test_somebody_who_comes_back_takes_a_free_slot_of_their_batch(study):
    participation = join(study)
    Slot.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert allocation.release_expired(study, study.protocol) == 1
    participation.refresh_from_db()
    assert participation.slot is None
    back = services.resume(participation=participation)
    assert back.slot.batch_id == back.trials.first().unit.batch_id
    assert back.slot.state == Slot.State.HELD


def test_opening_the_page_begins_the_lease_again(study):
    participation = join(study)
    Slot.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
    services.resume(participation=participation)
    participation.refresh_from_db()
    assert participation.slot.lease_expires_at > timezone.now() + timedelta(minutes=59)


def test_whoever_keeps_answering_keeps_their_slot_and_whoever_stops_loses_it(make_study):
    study = make_study("short", lease_minutes=30, n_mixed_images=6, answers_per_unit=1)
    participation, now = join(study), timezone.now()
    Slot.objects.update(lease_expires_at=now - timedelta(minutes=10))  # the page was opened 40 minutes ago
    save(participation, answer(0), answer(1))
    answers = Response.objects.order_by("trial__position").values_list("pk", flat=True)
    Response.objects.filter(pk=answers[0]).update(received_at=now - timedelta(minutes=35))
    Response.objects.filter(pk=answers[1]).update(received_at=now - timedelta(minutes=29))
    with pytest.raises(allocation.StudyFull):
        join(study)
    Response.objects.filter(pk=answers[1]).update(received_at=now - timedelta(minutes=31))
    assert join(study).slot_id == participation.slot_id


def test_a_slot_that_nobody_holds_any_more_is_free_when_its_lease_ends(study):
    participation = join(study)
    Participation.objects.filter(pk=participation.pk).update(slot=None)
    assert allocation.release_expired(study, study.protocol) == 0
    Slot.objects.filter(state=Slot.State.HELD).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert allocation.release_expired(study, study.protocol) == 1
    assert not Slot.objects.exclude(state=Slot.State.FREE).exists()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("does", "after"), [("completes", "filled"), ("comes back", "held"), ("fails the check", "free")]
)
def test_somebody_who_acts_while_a_newcomer_frees_lapsed_slots_stops_neither(study, does, after):
    """Rows are locked on PostgreSQL only; SQLite has one writer at a time."""
    participation, newcomers = join(study), []
    slot = participation.slot
    answer_all(participation)
    long_ago = timezone.now() - timedelta(days=1)
    Response.objects.update(received_at=long_ago)
    Slot.objects.filter(pk=slot.pk).update(lease_expires_at=long_ago)

    def come():
        newcomers.append(join(study))
        connection.close()

    other = threading.Thread(target=come)
    with transaction.atomic():
        Participation.objects.select_for_update().get(pk=participation.pk)
        other.start()
        wait_for_somebody_who_waits()
        if does == "completes":
            assert services.complete(participation=participation) == []
        elif does == "comes back":
            services.resume(participation=participation)
        else:
            for _ in range(5):
                round_of(participation, wrong_answers(study))
    other.join()
    slot.refresh_from_db()
    assert slot.state == after
    assert newcomers[0].slot != slot


def wait_for_somebody_who_waits():
    """Until another transaction of this database waits for a lock."""
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    until = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            # What a transaction is told of the others stands still until it asks anew.
            cursor.execute("select pg_stat_clear_snapshot()")
            cursor.execute(waits)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


# --- saving -----------------------------------------------------------------------------------------------------


def test_a_valid_answer_is_created_once(study):
    participation, one = join(study), answer(0)
    assert statuses(participation, one) == ["created"]
    assert statuses(participation, one) == ["exists"]
    assert Response.objects.count() == 1


def test_an_answer_is_kept_with_its_place_on_the_way_over_all_windows(study):
    participation = join(study)
    save(participation, answer(3), epoch=4)
    saved = Response.objects.get()
    assert (saved.trial_index, saved.time_elapsed_ms, saved.rt_ms, saved.epoch) == (3, 6000, 1500, 4)


def test_an_answer_twice_in_one_call_is_saved_once(study):
    participation, one = join(study), answer(0)
    assert statuses(participation, one, one) == ["created", "exists"]


def test_other_content_under_the_same_uuid_is_a_conflict(study):
    participation, one = join(study), answer(0)
    save(participation, one)
    changed = answer(0, id=one.id, mixing_percent=99)
    elsewhere = answer(1, id=one.id)
    assert statuses(participation, changed, elsewhere) == ["conflict", "conflict"]
    assert Response.objects.get().payload["mixing_percent"] == 30


def test_a_uuid_that_is_taken_stops_none_of_the_other_answers_of_the_call(study):
    participation, one = join(study), answer(0)
    sent = [answer(2), one, answer(1, id=one.id), answer(1)]
    assert statuses(participation, *sent) == ["created", "created", "conflict", "created"]
    assert services.answered_of(participation) == (3, N_TRIALS)


def test_another_persons_uuid_is_a_conflict(study):
    one = answer(0)
    save(join(study), one)
    assert statuses(join(study), one) == ["conflict"]


def test_the_first_answer_to_a_trial_counts_and_the_later_one_is_kept_beside_it(study):
    participation = join(study)
    save(participation, answer(0))
    assert statuses(participation, answer(0, mixing_percent=80)) == ["superseded"]
    counted = Response.objects.get()
    assert counted.payload["mixing_percent"] == 30
    beside = participation.events.get(kind="superseded").data
    assert (beside["payload"]["mixing_percent"], beside["counted"]) == (80, str(counted.pk))


@pytest.mark.django_db(transaction=True)
def test_windows_that_answer_one_trial_at_the_same_moment_leave_one_answer(study):
    participation, told = join(study), []
    ready = threading.Barrier(4)

    def window(percent):
        ready.wait()
        told.extend(statuses(participation, answer(0, mixing_percent=percent), answer(percent)))
        connection.close()

    windows = [threading.Thread(target=window, args=[percent]) for percent in (1, 2, 3, 4)]
    for one in windows:
        one.start()
    for one in windows:
        one.join()
    assert sorted(told) == ["created"] * 5 + ["superseded"] * 3
    assert services.answered_of(participation) == (5, N_TRIALS)
    assert participation.events.filter(kind="superseded").count() == 3


def test_a_trial_that_was_taken_after_it_was_read_as_free_is_answered_once(study, monkeypatch):
    """PostgreSQL waits for the participation's lock with what it read before of the other tables."""
    participation = join(study)
    before = list(saving._locked_trials(participation, {0, 1}))
    save(participation, answer(0))
    monkeypatch.setattr(saving, "_locked_trials", lambda *_: before)
    assert statuses(participation, answer(0, mixing_percent=80), answer(1)) == ["superseded", "created"]
    assert Response.objects.get(trial__position=0).payload["mixing_percent"] == 30


def test_an_unknown_trial_and_an_invalid_answer_stop_nobody_else(study):
    participation = join(study)
    receipts = save(participation, answer(99), answer(0, mixing_percent=400), answer(1))
    assert [receipt.status for receipt in receipts] == ["unknown", "invalid", "created"]
    assert "mixing_percent" in receipts[1].message


def test_an_answer_is_judged_by_what_its_trial_showed(make_study):
    participation = join(make_study("hundred", interface="categorical"))
    said = {"most_probable": 1, "percent": 60, "second": 7, "second_percent": 20, "excluded": []}
    sent = saving.Incoming(id=uuid.uuid4(), position=0, payload={**said, "edits": 2, "warnings_shown": 0})
    (receipt,) = save(participation, sent)
    assert (receipt.status, "from 0 to 3" in receipt.message) == ("invalid", True)  # there are four classes
    assert not Response.objects.exists()


def test_a_finished_participation_and_a_closed_study_take_no_answers(study):
    finished = join(study)
    answer_all(finished)
    services.complete(participation=finished)
    assert statuses(finished, answer(0)) == ["closed"]
    running = join(study)
    close_study(study=study, actor=OPERATOR)
    assert statuses(running, answer(0)) == ["closed"]


def test_somebody_who_has_withdrawn_leaves_no_trace_by_a_window_still_open(study):
    participation = join(study)
    save(participation, answer(0))
    withdraw(participation=participation)
    assert statuses(participation, answer(0), answer(1)) == ["closed", "closed"]
    assert record_events(participation=participation, events=[event("hidden", ms=5)]) is False
    assert not Response.objects.exists()
    assert not ParticipationEvent.objects.exists()


def test_the_reply_to_an_answer_saved_before_the_end_is_still_exists(study):
    participation = join(study)
    last = answer(N_TRIALS - 1)
    save(participation, *[answer(position) for position in range(N_TRIALS - 1)], last)
    services.complete(participation=participation)
    assert statuses(participation, last) == ["exists"]


# --- times ------------------------------------------------------------------------------------------------------

TIMED = {
    "first_interaction_ms": 700,
    "blur_count": 1,
    "hidden_ms": 90,
    "history": [[700, "mixing", 30], [900, "confidence", 70]],
}


def test_times_and_focus_are_kept_where_the_study_says_why(make_study):
    participation = join(make_study(timing_reason="How long an answer takes says how hard it was."))
    save(participation, answer(0, at=timezone.now(), **TIMED))
    record_events(participation=participation, events=[event("hidden", ms=300)])
    saved = Response.objects.get()
    assert {name: saved.payload[name] for name in TIMED} == TIMED
    assert None not in (saved.rt_ms, saved.time_elapsed_ms, saved.started_at, saved.ended_at)
    assert participation.events.get(kind="hidden").data == {"ms": 300}


def test_without_a_reason_no_time_and_no_focus_is_stored_whatever_a_browser_sends(make_study):
    participation = join(make_study(timing_reason=""))
    one = answer(0, at=timezone.now(), **TIMED)
    assert statuses(participation, one) == ["created"]
    assert statuses(participation, one) == ["exists"]
    saved = Response.objects.get()
    assert saved.payload["history"] == [[None, "mixing", 30], [None, "confidence", 70]]
    assert not {"first_interaction_ms", "blur_count", "hidden_ms"} & set(saved.payload)
    assert {saved.rt_ms, saved.time_elapsed_ms, saved.started_at, saved.ended_at} == {None}
    assert saved.trial_index == 0  # an order, not a time


def test_without_a_reason_an_answer_that_does_not_count_is_untimed_as_well(make_study):
    participation = join(make_study(timing_reason=""))
    save(participation, answer(0))
    save(participation, answer(0, mixing_percent=80, **TIMED))
    beside = participation.events.get(kind="superseded")
    assert beside.data["payload"]["history"][0][0] is None
    assert "hidden_ms" not in beside.data["payload"]


def test_without_a_reason_events_lose_their_times_at_any_depth(make_study):
    participation = join(make_study(timing_reason=""))
    told = [
        event("hidden", ms=300),
        event("instructions", pages=[{"page_index": 0, "viewing_time": 4100}]),
        event("resume", position=3, started_at="2026-01-01T00:00:00Z"),
    ]
    assert record_events(participation=participation, events=told)
    kept = {one.kind: (one.t_ms, one.data) for one in participation.events.all()}
    assert kept == {"instructions": (0, {"pages": [{"page_index": 0}]}), "resume": (0, {"position": 3})}


# --- completing -------------------------------------------------------------------------------------------------


def test_completion_names_what_is_missing_and_changes_nothing(study):
    participation = join(study)
    save(participation, answer(0), answer(2))
    assert services.complete(participation=participation) == [1, 3, 4, 5]
    with pytest.raises(Conflict, match="not arrived"):
        services.finish(participation=participation, survey={})
    participation.refresh_from_db()
    assert participation.state == Participation.State.RUNNING
    assert participation.completion_code == ""


def test_completion_fills_the_slot_and_the_code_stays_the_same(study):
    participation = join(study)
    answer_all(participation)
    assert services.complete(participation=participation) == []
    assert services.complete(participation=participation) == []
    assert Slot.objects.get(pk=participation.slot_id).state == Slot.State.FILLED
    done = services.finish(participation=participation, survey={"clear": 4, "comments": "fine"})
    again = services.finish(participation=participation, survey={"clear": 1})
    assert len(done.completion_code) == 8
    assert (again.completion_code, again.survey) == (done.completion_code, {"clear": 4, "comments": "fine"})


def test_nobody_completes_what_they_have_taken_back(study):
    participation = join(study)
    answer_all(participation)
    withdraw(participation=participation)
    with pytest.raises(Conflict, match="has ended"):
        services.complete(participation=participation)
    with pytest.raises(Conflict):
        services.finish(participation=participation, survey={})


# --- comprehension, as the server judges it ---------------------------------------------------------------------


def right_answers(study):
    return [question.correct for question in texts_of(study.protocol.content).comprehension]


def wrong_answers(study):
    questions = texts_of(study.protocol.content).comprehension
    return [(question.correct + 1) % len(question.options) for question in questions]


def round_of(participation, answers, **claims):
    record_events(participation=participation, events=[event("comprehension", answers=answers, **claims)])
    participation.refresh_from_db()


def test_right_answers_are_remembered_and_an_event_sent_twice_is_kept_once(study):
    participation = join(study)
    assert right_answers(study)
    sent = event("comprehension", answers=right_answers(study))
    for _ in range(2):
        again = ParticipationEvent(id=sent.pk, kind=sent.kind, t_ms=sent.t_ms, data=dict(sent.data))
        record_events(participation=participation, events=[again])
    participation.refresh_from_db()
    assert participation.comprehension_passed_at is not None
    assert participation.events.get().data["passed"] is True


@pytest.mark.parametrize("answers", ["wrong", [], None, "all of them", {"0": 1}])
def test_nobody_passes_by_saying_so(study, answers):
    participation = join(study)
    round_of(participation, wrong_answers(study) if answers == "wrong" else answers, passed=True)
    assert participation.comprehension_passed_at is None
    assert participation.events.get().data["passed"] is False


def test_a_round_cannot_be_tried_again_under_its_own_id(study):
    participation = join(study)
    sent = event("comprehension", answers=wrong_answers(study))
    record_events(participation=participation, events=[sent])
    better = ParticipationEvent(
        id=sent.pk, kind="comprehension", t_ms=0, data={"answers": right_answers(study)}
    )
    record_events(participation=participation, events=[better])
    participation.refresh_from_db()
    assert participation.comprehension_passed_at is None


def test_rounds_that_come_in_one_call_count_like_others(study):
    participation = join(study)
    rounds = [event("comprehension", answers=wrong_answers(study)) for _ in range(5)]
    right = event("comprehension", answers=right_answers(study))
    record_events(participation=participation, events=[*rounds, right])
    participation.refresh_from_db()
    assert (participation.state, participation.comprehension_passed_at) == (
        Participation.State.DECLINED,
        None,
    )
    in_time = join(study)
    for one in (*rounds, right):
        one.pk = uuid.uuid4()
    record_events(participation=in_time, events=[*rounds[:4], right])
    in_time.refresh_from_db()
    assert in_time.comprehension_passed_at is not None


def test_too_many_rounds_give_the_slot_back(study):
    participation = join(study)
    for n in range(5):
        assert participation.state == Participation.State.RUNNING, f"after {n} rounds"
        round_of(participation, wrong_answers(study))
    assert participation.state == Participation.State.DECLINED
    assert participation.slot is None
    assert not Slot.objects.filter(state=Slot.State.HELD).exists()
    round_of(participation, right_answers(study))
    assert participation.comprehension_passed_at is None
    with pytest.raises(Conflict, match="has ended"):
        services.complete(participation=participation)


def test_a_browser_gone_wild_does_not_fill_the_table_with_events(study, monkeypatch):
    monkeypatch.setattr("elicitation.flow.events.MAX_EVENTS", 3)
    participation = join(study)
    for _ in range(2):
        record_events(participation=participation, events=[event("js_error"), event("js_error")])
    assert participation.events.count() == 3 < MAX_EVENTS


# --- simulated participants -------------------------------------------------------------------------------------


def test_a_simulated_participant_goes_the_same_way_and_says_what_it_is(make_study):
    study = make_study("robots", source=Source.SIMULATED)
    done = simulate_participant(study=study, seed=1)
    assert done.state == Participation.State.COMPLETED
    assert done.source == Source.SIMULATED
    assert not Trial.objects.filter(response=None).exists()
    assert done.trials.count() == N_TRIALS
    assert study.watermark == "simulated participants"


def test_a_simulated_participant_never_enters_a_study_for_people(study):
    with pytest.raises(Conflict, match="not for simulated"):
        simulate_participant(study=study, seed=1)
