"""Saving answers: each exactly once, in one transaction a call, with a receipt that says what became of it.

It is the most frequent call by far, so it writes an answer and nothing else: that an answer came is also what keeps a
place (allocation.py). Only the first live answer under a protocol writes more: it freezes the protocol.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from elicitation.flow.events import MAX_EVENTS
from elicitation.interfaces.common import strip_timing
from elicitation.participants.models import Participation, ParticipationEvent
from elicitation.studies.models import Mode, Protocol, Study
from elicitation.studies.reading import reading_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Response, Trial
from hilmix.errors import Invalid


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
        return [_save_one(trials.get(answer.position), epoch, answer, savepoints) for answer in answers]


def _save_one(trial: Trial | None, epoch: int, answer: Incoming, savepoint: bool) -> Receipt:
    if trial is None:
        return Receipt(answer.id, "unknown", f"There is no trial {answer.position} in your plan.")
    participation = trial.participation
    reading = reading_of(participation.protocol)
    way = reading.asking(trial.levels)
    try:
        asked = asked_of(trial, way.settings, reading.classes, participation.drawn)
        payload = way.interface.clean(answer.payload, asked)
    except Invalid as error:
        return Receipt(answer.id, "invalid", error.message)
    if not reading.settings.timing_reason:
        payload = strip_timing(payload, way.interface.COLUMNS)
        answer = replace(answer, rt_ms=None, time_elapsed_ms=None, started_at=None, ended_at=None)
    digest = hashlib.sha256(json.dumps([answer.position, payload], sort_keys=True).encode()).hexdigest()
    takes_answers = participation.state == Participation.State.RUNNING
    takes_answers &= participation.study.state != Study.State.CLOSED
    first = getattr(trial, "response", None)
    if takes_answers and first is None and _insert(trial, answer, payload, digest, epoch, savepoint):
        _freeze_protocol(participation)
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


def _freeze_protocol(participation: Participation) -> None:
    """The first live answer under a protocol fixes it for good; those after it find that done."""
    protocol = participation.protocol
    if participation.mode == Mode.LIVE and protocol.frozen_at is None:
        protocol.frozen_at = timezone.now()
        Protocol.objects.filter(pk=protocol.pk, frozen_at=None).update(frozen_at=protocol.frozen_at)


def _keep_superseded(trial: Trial, answer: Incoming, payload: Mapping[str, Any]) -> None:
    """No answer is thrown away: a later one is kept as an event beside the one that counts."""
    participation = trial.participation
    if participation.events.count() < MAX_EVENTS:
        counted = Response.objects.values_list("pk", flat=True).get(trial=trial)
        data = {"position": answer.position, "payload": payload, "counted": str(counted)}
        ParticipationEvent.objects.get_or_create(
            id=answer.id, defaults={"participation": participation, "kind": "superseded", "data": data}
        )


# What saving an answer reads, of six tables.
READ_TO_SAVE = (
    "position",
    "kind",
    "levels",
    "params",
    "pair__first_class",
    "pair__second_class",
    "response__payload_sha256",
    "participation__state",
    "participation__drawn",
    "participation__mode",
    "participation__study__state",
    "participation__protocol__sha256",
    "participation__protocol__frozen_at",
)
