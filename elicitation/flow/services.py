"""The way of one participant: join, resume, save, complete. Each step is one transaction with a defined answer."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from elicitation.flow import allocation
from elicitation.interfaces import interface_named
from elicitation.participants.models import Consent, Identity, Participation, ParticipationEvent
from elicitation.participants.services import pid_hmac, remember_identity
from elicitation.studies.models import Slot, Study
from elicitation.trials.models import Response, Trial
from elicitation.trials.planning import write_plan
from hilmix.errors import Conflict, Invalid

COMPREHENSION = "comprehension"  # the kind of event that tells of one round of the comprehension check
MAX_EVENTS = 2000  # of one participation; what comes after is not kept


def join_study(
    *, study: Study, source: str, boxes: Mapping[str, bool], pid: str = ""
) -> tuple[Participation, bool]:
    """Take part: consent is written, a slot held, and the whole plan drawn and stored.

    Args:
        source: where the answers will come from; must be what the study is for.
        boxes: consent box name → ticked; all of the protocol's must be.
        pid: the recruiter's id of the person, if any. Somebody who comes again gets the same participation.

    Returns the participation, and whether it is new.

    Raises:
        Invalid: a consent box is not ticked.
        Conflict: the study is not open, is for another source, or is full (`StudyFull`).
    """
    protocol = study.protocol
    missing = [text for name, text in protocol.content["texts"]["boxes"] if not boxes.get(name)]
    if missing:
        raise Invalid("Please tick every box if you want to take part.", fields={"boxes": missing})
    if source != study.source:
        raise Conflict(f"“{study.title}” takes {study.get_source_display()} answers, not {source} ones.")
    if pid and (known := known_participation(study, pid)):
        return known, False
    try:
        with transaction.atomic():
            _require_open(study)
            participation = Participation.objects.create(
                study=study, protocol=protocol, slot=allocation.claim_slot(study, protocol), source=source
            )
            text_sha256 = hashlib.sha256(protocol.content["texts"]["consent"].encode()).hexdigest()
            Consent.objects.create(participation=participation, text_sha256=text_sha256, boxes=dict(boxes))
            if pid:
                remember_identity(participation, pid)
            assert participation.slot is not None
            write_plan(participation, list(participation.slot.batch.units.all()))
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
        current.epoch += 1
        current.save(update_fields=["epoch", "last_seen_at"])
        allocation.take_back(current)
        allocation.renew_lease(current)
    return current


@dataclass(frozen=True)
class Incoming:
    """One answer as the browser sent it."""

    id: uuid.UUID
    position: int
    payload: Mapping[str, Any]
    rt_ms: int
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
    with transaction.atomic():
        locked = Participation.objects.select_for_update(of=("self",)).select_related("study", "slot")
        current = locked.get(pk=participation.pk)
        current.protocol = participation.protocol  # never changes, and is large
        asked = current.trials.filter(position__in={answer.position for answer in answers})
        trials = {trial.position: trial for trial in asked.select_related("response")}
        receipts = [_save_one(current, epoch, answer, trials) for answer in answers]
        if any(receipt.status == "created" for receipt in receipts):
            allocation.renew_lease(current)
    return receipts


def answered_of(participation: Participation) -> tuple[int, int]:
    """How many planned trials have an answer, and how many there are."""
    counts = participation.trials.aggregate(answered=Count("response"), total=Count("pk"))
    return counts["answered"], counts["total"]


def missing_positions(participation: Participation) -> list[int]:
    """Positions of planned trials without an answer."""
    return list(participation.trials.filter(response=None).values_list("position", flat=True))


def complete(*, participation: Participation) -> list[int]:
    """All trials are answered: fill the slot. Returns the positions still missing; nothing changes while there are any.

    Calling it again changes nothing.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        missing = missing_positions(current)
        if missing or current.state != Participation.State.RUNNING:
            return missing
        current.state = Participation.State.ANSWERED
        current.save(update_fields=["state", "last_seen_at"])
        if current.slot_id is not None:
            Slot.objects.filter(pk=current.slot_id).update(state=Slot.State.FILLED, lease_expires_at=None)
    return []


def finish(*, participation: Participation, comments: str) -> Participation:
    """The closing page was sent: keep the comments, draw the completion code. A second call keeps the first's.

    Raises:
        Conflict: not every planned answer is held yet.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state == Participation.State.COMPLETED:
            return current
        if current.state != Participation.State.ANSWERED:
            raise Conflict(
                "Some answers have not arrived yet. Go back to the study; it continues where you were."
            )
        current.state = Participation.State.COMPLETED
        current.comments = comments.strip()[:10_000]
        current.completed_at = timezone.now()
        current.completion_code = secrets.token_hex(4).upper()
        current.save()
    return current


def pass_comprehension(*, participation: Participation) -> None:
    """The person has answered the questions about the controls rightly; a reload does not ask them again."""
    Participation.objects.filter(pk=participation.pk, comprehension_passed_at=None).update(
        comprehension_passed_at=timezone.now()
    )


def fail_comprehension(*, participation: Participation) -> None:
    """Too many rounds: the slot goes back, and the person sees a kind page."""
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state == Participation.State.RUNNING and current.comprehension_passed_at is None:
            current.state = Participation.State.DECLINED
            current.save(update_fields=["state"])
            allocation.give_back(current)


def record_events(*, participation: Participation, events: Sequence[ParticipationEvent]) -> None:
    """Keep what happened on the way; an event sent twice is kept once. A comprehension round may also end the way."""
    room = MAX_EVENTS - participation.events.count()
    for event in events[: max(room, 0)]:
        event.participation = participation
    ParticipationEvent.objects.bulk_create(events[: max(room, 0)], ignore_conflicts=True)
    rounds = [event for event in events if event.kind == COMPREHENSION]
    if any(event.data.get("passed") is True for event in rounds):
        pass_comprehension(participation=participation)
    elif rounds and comprehension_rounds(participation) >= max_rounds(participation):
        fail_comprehension(participation=participation)


def interruptions(participation: Participation) -> Counter[int]:
    """How often each trial was left without an answer, by position: the browser tells when it comes back."""
    told = participation.events.filter(kind="resume", data__position__isnull=False)
    return Counter(told.values_list("data__position", flat=True))


def comprehension_rounds(participation: Participation) -> int:
    """How often the person has answered the comprehension questions."""
    return participation.events.filter(kind=COMPREHENSION).count()


def max_rounds(participation: Participation) -> int:
    return int(participation.protocol.content["max_comprehension_rounds"])


def known_participation(study: Study, pid: str) -> Participation | None:
    """The participation of the person whom the recruiter calls `pid`, if they took part before."""
    identity = Identity.objects.filter(study=study, pid_hmac=pid_hmac(study, pid)).first()
    return identity.participation if identity else None


def _require_open(study: Study) -> None:
    state = Study.objects.values_list("state", flat=True).get(pk=study.pk)
    if state != Study.State.OPEN:
        raise Conflict(f"“{study.title}” is not open at the moment.")


def _save_one(
    participation: Participation, epoch: int, answer: Incoming, trials: Mapping[int, Trial]
) -> Receipt:
    trial = trials.get(answer.position)
    if trial is None:
        return Receipt(answer.id, "unknown", f"There is no trial {answer.position} in your plan.")
    interface = interface_named(participation.protocol.content["interface"]["name"])
    try:
        payload = interface.clean(answer.payload)
    except Invalid as error:
        return Receipt(answer.id, "invalid", error.message)
    digest = hashlib.sha256(json.dumps([answer.position, payload], sort_keys=True).encode()).hexdigest()
    takes_answers = participation.state == Participation.State.RUNNING
    takes_answers &= participation.study.state != Study.State.CLOSED
    first = getattr(trial, "response", None)
    if takes_answers and first is None and _insert(trial, answer, payload, digest, epoch):
        return Receipt(answer.id, "created")
    if (same := Response.objects.filter(pk=answer.id).select_related("trial").first()) is not None:
        mine = same.trial.participation_id == participation.pk
        if mine and same.payload_sha256 == digest:
            return Receipt(answer.id, "exists")
        return Receipt(answer.id, "conflict", "Another answer was saved under this id.")
    if not takes_answers or first is None:
        return Receipt(answer.id, "closed", "This participation has ended; nothing was changed.")
    _keep_superseded(participation, answer, first)
    return Receipt(answer.id, "superseded", "This trial was answered before; the first answer counts.")


def _insert(trial: Trial, answer: Incoming, payload: Mapping[str, Any], digest: str, epoch: int) -> bool:
    """Answer a free trial; False if the id was taken, which the database says at once and for everybody."""
    try:
        with transaction.atomic():
            saved = Response.objects.create(
                id=answer.id,
                trial_id=trial.pk,
                payload=payload,
                payload_sha256=digest,
                rt_ms=answer.rt_ms,
                started_at=answer.started_at,
                ended_at=answer.ended_at,
                epoch=epoch,
                attempt=answer.attempt,
            )
    except IntegrityError:
        if Response.objects.filter(pk=answer.id).exists():
            return False
        raise
    trial.response = saved  # only now: the next answer of this call asks the trial whether it is free
    return True


def _keep_superseded(participation: Participation, answer: Incoming, first: Response) -> None:
    """No answer is thrown away: a later one is kept as an event beside the one that counts."""
    if participation.events.count() < MAX_EVENTS:
        data = {"position": answer.position, "payload": dict(answer.payload), "counted": str(first.pk)}
        ParticipationEvent.objects.get_or_create(
            id=answer.id, defaults={"participation": participation, "kind": "superseded", "data": data}
        )
