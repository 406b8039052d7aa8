"""The way of one participant: join, resume, save, complete. Each step is one transaction with a defined answer."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.flow import allocation
from elicitation.flow.events import MAX_EVENTS
from elicitation.flow.reading import reading_of
from elicitation.interfaces.common import strip_timing
from elicitation.participants.models import Consent, Identity, Participation, ParticipationEvent
from elicitation.participants.services import pid_hmac, remember_identity
from elicitation.studies.models import Protocol, Slot, Study
from elicitation.studies.texts import CONTACT, PUBLISH, text_hashes, texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Response, Trial
from elicitation.trials.planning import write_plan
from hilmix.errors import Conflict, Invalid


def join_study(
    *, study: Study, source: str, boxes: Mapping[str, bool], pid: str = ""
) -> tuple[Participation, bool]:
    """Take part: consent is written, a slot held, and the whole plan drawn and stored.

    Args:
        source: where the answers will come from; must be what the study is for.
        boxes: consent box name → ticked; all required ones of the protocol must be.
        pid: the recruiter's id of the person, if any. Somebody who comes again gets the same participation.

    Returns the participation, and whether it is new.

    Raises:
        Invalid: a required consent box is not ticked.
        Conflict: the study is not open, is for another source, or is full (`StudyFull`).
    """
    protocol = study.protocol
    consent = _consent(protocol, boxes)
    if source != study.source:
        raise Conflict(f"“{study.title}” takes {study.get_source_display()} answers, not {source} ones.")
    if pid and (known := known_participation(study, pid)):
        return known, False
    try:
        with transaction.atomic():
            _require_open(study)
            slot = allocation.claim_slot(study, protocol)
            participation = Participation(study=study, protocol=protocol, slot=slot, source=source)
            write_plan(participation)
            consent.participation = participation
            consent.save()
            if pid:
                remember_identity(participation, pid)
    except IntegrityError:
        # The same person twice at once, in two windows: the first one's place is theirs.
        if pid and (known := known_participation(study, pid)):
            return known, False
        raise
    return participation, True


def resume(*, participation: Participation) -> Participation:
    """The trials page was opened (again): a new epoch begins, and a lost slot is taken back where one is free."""
    with transaction.atomic():
        locked = Participation.objects.select_for_update(of=("self",)).select_related(
            "study", "protocol", "slot"
        )
        current = locked.get(pk=participation.pk)
        allocation.take_back(current)
        allocation.renew_lease(current)
        current.epoch += 1
        current.save(update_fields=["epoch", "last_seen_at"])
    return current


@dataclass(frozen=True)
class Incoming:
    """One answer as the browser sent it. `trial_index` and `time_elapsed_ms` go on over windows and devices."""

    id: uuid.UUID
    position: int
    payload: Mapping[str, Any]
    rt_ms: int | None = None
    trial_index: int | None = None
    time_elapsed_ms: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Receipt:
    """What became of one answer: created, exists, conflict, superseded, invalid, unknown or closed."""

    id: uuid.UUID
    status: str
    message: str = ""


def save_responses(*, participation: Participation, epoch: int, answers: Sequence[Incoming]) -> list[Receipt]:
    """Save answers, each exactly once, and say of each what became of it. The first answer to a trial wins.

    The whole call is one transaction: a receipt is never sent for something that was not committed.
    """
    try:
        return _save_all(participation, epoch, answers, savepoints=False)
    except IntegrityError:
        # An id or a trial was taken meanwhile. That is rare, so only now does each answer stand on its own.
        return _save_all(participation, epoch, answers, savepoints=True)


def answered_of(participation: Participation) -> tuple[int, int]:
    """How many planned trials have an answer, and how many there are."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [participation.pk])
        answered, total = cursor.fetchone()
    return answered, total


def missing_positions(participation: Participation) -> list[int]:
    """Positions of planned trials without an answer."""
    return list(participation.trials.filter(response=None).values_list("position", flat=True))


def complete(*, participation: Participation) -> list[int]:
    """All trials are answered: fill the slot. Returns the positions still missing; nothing changes while there are any.

    Calling it again changes nothing.

    Raises:
        Conflict: the way has ended before: by the comprehension check, or by withdrawing.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state in (Participation.State.DECLINED, Participation.State.WITHDRAWN):
            raise Conflict(_("This participation has ended; nothing was changed."))
        missing = missing_positions(current)
        if missing or current.state != Participation.State.RUNNING:
            return missing
        current.state = Participation.State.ANSWERED
        current.save(update_fields=["state", "last_seen_at"])
        if current.slot_id is not None:
            Slot.objects.filter(pk=current.slot_id).update(state=Slot.State.FILLED, lease_expires_at=None)
    return []


def finish(*, participation: Participation, survey: Mapping[str, Any]) -> Participation:
    """The closing page was sent: keep its answers by name, draw the completion code. A second call keeps the first's.

    Raises:
        Conflict: not every planned answer is held yet, or the person has withdrawn.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state == Participation.State.COMPLETED:
            return current
        if current.state != Participation.State.ANSWERED:
            raise Conflict(
                _("Some answers have not arrived yet. Go back to the study; it continues where you were.")
            )
        current.state = Participation.State.COMPLETED
        current.survey = dict(survey)
        current.completed_at = timezone.now()
        current.completion_code = secrets.token_hex(4).upper()
        current.save()
    return current


def known_participation(study: Study, pid: str) -> Participation | None:
    """The participation of the person whom the recruiter calls `pid`, if they took part before."""
    identity = Identity.objects.filter(study=study, pid_hmac=pid_hmac(study, pid)).first()
    return identity.participation if identity else None


def _require_open(study: Study) -> None:
    state = Study.objects.values_list("state", flat=True).get(pk=study.pk)
    if state != Study.State.OPEN:
        raise Conflict(_("“%(title)s” is not open at the moment.") % {"title": study.title})


def _consent(protocol: Protocol, boxes: Mapping[str, bool]) -> Consent:
    """What was agreed to, not saved yet. Publishing needs a box of its own where the protocol has one."""
    shown = {box.name: box for box in texts_of(protocol.content).boxes}
    ticked = {name: bool(boxes.get(name)) for name in shown}
    if missing := [box.text for name, box in shown.items() if box.required and not ticked[name]]:
        message = _("Please tick every box that is needed if you want to take part.")
        raise Invalid(message, fields={"boxes": missing})
    return Consent(
        text_sha256=text_hashes(protocol.content)["consent"],
        boxes=ticked,
        publish=ticked.get(PUBLISH, True),
        contact=ticked.get(CONTACT, False),
    )


def _locked_trials(participation: Participation, positions: set[int]) -> QuerySet[Trial]:
    """The planned trials at `positions` with all that saving reads, in one query that locks the participation."""
    locked = Trial.objects.select_for_update(of=("participation",)).order_by()
    joined = locked.select_related("pair", "response", "participation__study", "participation__protocol")
    return joined.filter(participation_id=participation.pk, position__in=positions).only(*READ_TO_SAVE)


def _save_all(
    participation: Participation, epoch: int, answers: Sequence[Incoming], *, savepoints: bool
) -> list[Receipt]:
    positions = {answer.position for answer in answers}
    with transaction.atomic():
        trials = {trial.position: trial for trial in _locked_trials(participation, positions)}
        receipts = [_save_one(trials.get(answer.position), epoch, answer, savepoints) for answer in answers]
        if any(receipt.status == "created" for receipt in receipts):
            allocation.renew_lease(next(iter(trials.values())).participation)
    return receipts


def _save_one(trial: Trial | None, epoch: int, answer: Incoming, savepoint: bool) -> Receipt:
    if trial is None:
        return Receipt(answer.id, "unknown", f"There is no trial {answer.position} in your plan.")
    participation = trial.participation
    reading = reading_of(participation.protocol)
    try:
        asked = asked_of(trial, reading.settings, reading.classes, participation.drawn)
        payload = reading.interface.clean(answer.payload, asked)
    except Invalid as error:
        return Receipt(answer.id, "invalid", error.message)
    if not reading.settings.timing_reason:
        payload = strip_timing(payload, reading.interface.COLUMNS)
        answer = replace(answer, rt_ms=None, time_elapsed_ms=None, started_at=None, ended_at=None)
    digest = hashlib.sha256(json.dumps([answer.position, payload], sort_keys=True).encode()).hexdigest()
    takes_answers = participation.state == Participation.State.RUNNING
    takes_answers &= participation.study.state != Study.State.CLOSED
    first = getattr(trial, "response", None)
    if takes_answers and first is None and _insert(trial, answer, payload, digest, epoch, savepoint):
        return Receipt(answer.id, "created")
    if (same := Response.objects.filter(pk=answer.id).select_related("trial").first()) is not None:
        mine = same.trial.participation_id == participation.pk
        if mine and same.payload_sha256 == digest:
            return Receipt(answer.id, "exists")
        return Receipt(answer.id, "conflict", "Another answer was saved under this id.")
    if not takes_answers:
        return Receipt(answer.id, "closed", "This participation has ended; nothing was changed.")
    _keep_superseded(trial, answer, payload)
    return Receipt(answer.id, "superseded", "This trial was answered before; the first answer counts.")


def _insert(
    trial: Trial, answer: Incoming, payload: Mapping[str, Any], digest: str, epoch: int, savepoint: bool
) -> bool:
    """Answer a free trial; False if the id or the trial is taken, which the database says at once and for everybody.

    Raises:
        IntegrityError: it is taken, and there is no savepoint to go back to.
    """
    try:
        with transaction.atomic(savepoint=savepoint):
            saved = Response.objects.create(
                id=answer.id,
                trial_id=trial.pk,
                payload=payload,
                payload_sha256=digest,
                rt_ms=answer.rt_ms,
                trial_index=answer.trial_index,
                time_elapsed_ms=answer.time_elapsed_ms,
                started_at=answer.started_at,
                ended_at=answer.ended_at,
                epoch=epoch,
                attempt=answer.attempt,
            )
    except IntegrityError:
        if savepoint and Response.objects.filter(Q(pk=answer.id) | Q(trial=trial)).exists():
            return False
        raise
    trial.response = saved  # only now: the next answer of this call asks the trial whether it is free
    return True


def _keep_superseded(trial: Trial, answer: Incoming, payload: Mapping[str, Any]) -> None:
    """No answer is thrown away: a later one is kept as an event beside the one that counts."""
    participation = trial.participation
    if participation.events.count() < MAX_EVENTS:
        counted = Response.objects.values_list("pk", flat=True).get(trial=trial)
        data = {"position": answer.position, "payload": payload, "counted": str(counted)}
        ParticipationEvent.objects.get_or_create(
            id=answer.id, defaults={"participation": participation, "kind": "superseded", "data": data}
        )


# What saving an answer reads, of six tables: it is the most frequent call by far.
READ_TO_SAVE = (
    "position",
    "kind",
    "params",
    "pair__first_class",
    "pair__second_class",
    "response__payload_sha256",
    "participation__state",
    "participation__drawn",
    "participation__last_seen_at",
    "participation__slot",
    "participation__study__state",
    "participation__protocol__sha256",
)
# Written out, because it is part of every save, and for the ORM to put it together takes longer than to answer it.
COUNTS = """
    select count(elicitation_response.id), count(*)
    from elicitation_trial left join elicitation_response on elicitation_response.trial_id = elicitation_trial.id
    where elicitation_trial.participation_id = %s
"""
