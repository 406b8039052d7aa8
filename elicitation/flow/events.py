"""What happens on the way, beside the answers: kept as it was told, but for the comprehension check.

Whether somebody has passed that is decided here, from what they answered. An event sent twice is kept and counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from elicitation.flow import allocation
from elicitation.participants.models import Participation, ParticipationEvent
from elicitation.studies.reading import reading_of

COMPREHENSION = "comprehension"  # one round of the check; `answers` holds a position for each question
RESUME = "resume"  # somebody came back; `position` is that of a trial left without an answer, if any
MAX_EVENTS = 2000  # of one participation; what comes after is not kept
FOCUS = ("hidden", "blur", "focus")  # kinds that, like times, are kept only where the study says why


def record_events(*, participation: Participation, events: Sequence[ParticipationEvent]) -> bool:
    """Keep what happened on the way. A comprehension round may let the person on, or end the way.

    Returns False, and keeps nothing, where the person has withdrawn.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state == Participation.State.WITHDRAWN:
            return False
        current.protocol = participation.protocol
        sent = {event.pk: event for event in events}
        known = set(ParticipationEvent.objects.filter(pk__in=sent).values_list("pk", flat=True))
        new = [event for pk, event in sent.items() if pk not in known]
        kept = _without_timing(current, new)[: max(0, MAX_EVENTS - current.events.count())]
        for event in kept:
            event.participation = current
            if event.kind == COMPREHENSION:
                event.data["passed"] = _is_right(current, event.data.get("answers"))
        ParticipationEvent.objects.bulk_create(kept)
        if rounds := [event.data["passed"] for event in kept if event.kind == COMPREHENSION]:
            _judge(current, rounds)
    return True


def comprehension_rounds(participation: Participation) -> int:
    """How often the person has answered the comprehension questions."""
    return participation.events.filter(kind=COMPREHENSION).count()


def interruptions(participation: Participation) -> Counter[int]:
    """How often each trial was left without an answer, by position: the browser tells when it comes back."""
    told = participation.events.filter(kind=RESUME, data__position__isnull=False)
    positions = told.values_list("data__position", flat=True)
    return Counter(position for position in positions if isinstance(position, int))


def _judge(participation: Participation, rounds: Sequence[bool]) -> None:
    """After `rounds`: a reload does not ask again whoever passed; after too many the slot goes back."""
    if participation.state != Participation.State.RUNNING or participation.comprehension_passed_at:
        return
    most = reading_of(participation.protocol).settings.flow.max_comprehension_rounds
    told = comprehension_rounds(participation)
    if any(rounds[: max(0, most - told + len(rounds))]):
        participation.comprehension_passed_at = timezone.now()
        participation.save(update_fields=["comprehension_passed_at"])
    elif told >= most:
        participation.state = Participation.State.DECLINED
        participation.save(update_fields=["state"])
        allocation.give_back(participation)


def _is_right(participation: Participation, answers: Any) -> bool:
    questions = reading_of(participation.protocol).questions_of(participation.levels)
    return answers == [question.correct for question in questions]


def _without_timing(
    participation: Participation, events: Sequence[ParticipationEvent]
) -> list[ParticipationEvent]:
    """All of `events` where the study says why it records times; else those that are not about the focus, untimed."""
    if reading_of(participation.protocol).settings.timing_reason:
        return list(events)
    kept = [event for event in events if event.kind not in FOCUS]
    for event in kept:
        event.t_ms, event.data = 0, _untimed(event.data)
    return kept


def _untimed(value: Any) -> Any:
    """`value` without the fields that hold times, at any depth."""
    if isinstance(value, list):
        return [_untimed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _untimed(item) for name, item in value.items() if not _is_time(name)}


def _is_time(name: str) -> bool:
    return name in ("ms", "rt", "viewing_time") or name.endswith(("_ms", "_at"))
