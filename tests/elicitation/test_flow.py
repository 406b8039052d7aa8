"""The way of one participant, step by step: every defined reply of saving, resuming and completing."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from elicitation.flow import allocation, services
from elicitation.flow.simulation import simulate_participant
from elicitation.participants.models import Identity, Participation
from elicitation.studies.models import Slot, Source
from elicitation.studies.services import close_study, pause_study
from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Invalid

BOXES = {"adult": True, "read": True, "agree": True}
ANSWER = {
    "cannot_tell": False,
    "mixing_percent": 30,
    "confidence_percent": 70,
    "touched": {"mixing": True, "confidence": True},
}


def join(study, pid=""):
    return services.join_study(study=study, source=Source.PERSON, boxes=BOXES, pid=pid)[0]


def answer(position, *, id=None, **change):
    return services.Incoming(
        id=id or uuid.uuid4(), position=position, payload={**ANSWER, **change}, rt_ms=1500
    )


def save(participation, *answers, epoch=1):
    return services.save_responses(participation=participation, epoch=epoch, answers=answers)


def answer_all(participation):
    save(participation, *[answer(position) for position in range(participation.trials.count())])


# --- joining ----------------------------------------------------------------------------------------------------


def test_joining_writes_consent_holds_a_slot_and_stores_the_whole_plan(study):
    participation = join(study)
    assert participation.consent.boxes == BOXES
    assert len(participation.consent.text_sha256) == 64
    assert participation.slot.state == Slot.State.HELD
    trials = list(participation.trials.all())
    assert [trial.position for trial in trials] == list(range(7))
    assert [trial.kind for trial in trials].count("repeat") == 1
    assert all(trial.images.count() == 1 for trial in trials)


def test_a_box_that_is_not_ticked_is_named_and_nothing_is_kept(study):
    with pytest.raises(Invalid) as refused:
        services.join_study(study=study, source=Source.PERSON, boxes={**BOXES, "adult": False})
    assert refused.value.fields["boxes"] == ["I am 18 years or older."]
    assert not Participation.objects.exists()


def test_the_same_person_gets_the_same_participation_and_is_not_named_in_clear(study):
    first, second = join(study, pid="5f1e"), join(study, pid="5f1e")
    assert first == second
    identity = Identity.objects.get()
    assert "5f1e" not in identity.pid_ciphertext + identity.pid_hmac
    assert services.pid_hmac(study, "5f1e") == identity.pid_hmac


def test_answers_of_another_source_are_refused(study, make_study):
    with pytest.raises(Conflict, match="not simulated"):
        services.join_study(study=study, source=Source.SIMULATED, boxes=BOXES)
    with pytest.raises(Conflict, match="not person"):
        join(make_study("robots", source=Source.SIMULATED))


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
    assert allocation.release_expired(study) == 1
    participation.refresh_from_db()
    assert participation.slot is None
    back = services.resume(participation=participation)
    assert back.slot.batch_id == back.trials.first().unit.batch_id
    assert back.slot.state == Slot.State.HELD


def test_every_saved_answer_renews_the_lease(study):
    participation = join(study)
    Slot.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
    save(participation, answer(0))
    assert Slot.objects.get(pk=participation.slot_id).lease_expires_at > timezone.now() + timedelta(
        minutes=30
    )


# --- saving -----------------------------------------------------------------------------------------------------


def test_a_valid_answer_is_created_once(study):
    participation, one = join(study), answer(0)
    assert [receipt.status for receipt in save(participation, one)] == ["created"]
    assert [receipt.status for receipt in save(participation, one)] == ["exists"]
    assert Response.objects.count() == 1


def test_an_answer_twice_in_one_call_is_saved_once(study):
    participation, one = join(study), answer(0)
    assert [receipt.status for receipt in save(participation, one, one)] == ["created", "exists"]


def test_other_content_under_the_same_uuid_is_a_conflict(study):
    participation, one = join(study), answer(0)
    save(participation, one)
    changed = answer(0, id=one.id, mixing_percent=99)
    elsewhere = answer(1, id=one.id)
    assert [receipt.status for receipt in save(participation, changed, elsewhere)] == ["conflict", "conflict"]
    assert Response.objects.get().payload["mixing_percent"] == 30


def test_a_uuid_that_is_taken_leaves_its_trial_free_for_the_next_answer(study):
    participation, one = join(study), answer(0)
    receipts = save(participation, one, answer(1, id=one.id), answer(1))
    assert [receipt.status for receipt in receipts] == ["created", "conflict", "created"]


def test_another_persons_uuid_is_a_conflict(study):
    one = answer(0)
    save(join(study), one)
    assert [receipt.status for receipt in save(join(study), one)] == ["conflict"]


def test_the_first_answer_to_a_trial_counts_and_the_later_one_is_kept_beside_it(study):
    participation = join(study)
    save(participation, answer(0))
    later = answer(0, mixing_percent=80)
    assert [receipt.status for receipt in save(participation, later)] == ["superseded"]
    assert Response.objects.get().payload["mixing_percent"] == 30
    assert participation.events.get(kind="superseded").data["payload"]["mixing_percent"] == 80


def test_an_unknown_trial_and_an_invalid_answer_stop_nobody_else(study):
    participation = join(study)
    receipts = save(participation, answer(99), answer(0, mixing_percent=400), answer(1))
    assert [receipt.status for receipt in receipts] == ["unknown", "invalid", "created"]
    assert "mixing_percent" in receipts[1].message


def test_a_finished_participation_and_a_closed_study_take_no_answers(study):
    finished = join(study)
    answer_all(finished)
    services.complete(participation=finished)
    assert [r.status for r in save(finished, answer(0))] == ["closed"]
    running = join(study)
    close_study(study=study, actor=OPERATOR)
    assert [r.status for r in save(running, answer(0))] == ["closed"]


def test_the_reply_to_an_answer_saved_before_the_end_is_still_exists(study):
    participation = join(study)
    last = answer(6)
    save(participation, *[answer(position) for position in range(6)], last)
    services.complete(participation=participation)
    assert [r.status for r in save(participation, last)] == ["exists"]


# --- completing -------------------------------------------------------------------------------------------------


def test_completion_names_what_is_missing_and_changes_nothing(study):
    participation = join(study)
    save(participation, answer(0), answer(2))
    assert services.complete(participation=participation) == [1, 3, 4, 5, 6]
    with pytest.raises(Conflict, match="not arrived"):
        services.finish(participation=participation, comments="")
    participation.refresh_from_db()
    assert participation.state == Participation.State.RUNNING
    assert participation.completion_code == ""


def test_completion_fills_the_slot_and_the_code_stays_the_same(study):
    participation = join(study)
    answer_all(participation)
    assert services.complete(participation=participation) == []
    assert services.complete(participation=participation) == []
    assert Slot.objects.get(pk=participation.slot_id).state == Slot.State.FILLED
    done = services.finish(participation=participation, comments=" fine ")
    again = services.finish(participation=participation, comments="other")
    assert len(done.completion_code) == 8
    assert (again.completion_code, again.comments) == (done.completion_code, "fine")


def test_too_many_comprehension_rounds_give_the_slot_back(study):
    participation = join(study)
    for _ in range(5):
        event = services.ParticipationEvent(
            id=uuid.uuid4(), kind="comprehension", t_ms=0, data={"passed": False}
        )
        services.record_events(participation=participation, events=[event])
    participation.refresh_from_db()
    assert participation.state == Participation.State.DECLINED
    assert participation.slot is None
    assert not Slot.objects.filter(state=Slot.State.HELD).exists()


def test_a_passed_round_is_remembered_and_an_event_sent_twice_is_kept_once(study):
    participation = join(study)
    event_id = uuid.uuid4()
    for _ in range(2):
        event = services.ParticipationEvent(id=event_id, kind="comprehension", t_ms=0, data={"passed": True})
        services.record_events(participation=participation, events=[event])
    participation.refresh_from_db()
    assert participation.comprehension_passed_at is not None
    assert participation.events.count() == 1


# --- simulated participants -------------------------------------------------------------------------------------


def test_a_simulated_participant_goes_the_same_way_and_says_what_it_is(make_study):
    study = make_study("robots", source=Source.SIMULATED)
    done = simulate_participant(study=study, seed=1)
    assert done.state == Participation.State.COMPLETED
    assert done.source == Source.SIMULATED
    assert done.trials.filter(response__isnull=False).count() == 7
    assert study.watermark == "simulated participants"


def test_a_simulated_participant_never_enters_a_study_for_people(study):
    with pytest.raises(Conflict, match="not for simulated"):
        simulate_participant(study=study, seed=1)
