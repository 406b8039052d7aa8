"""Marking a participation as not to count, and taking that back. Nothing is deleted; its place goes to somebody else.

Which answers count otherwise is decided by the protocol's rules when labels are built; this is a person's judgement.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from elicitation.flow import allocation
from elicitation.participants.models import Participation
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict, Invalid

MAX_REASON = 300


def mark_invalid(*, participation: Participation, reason: str, actor: Actor) -> Participation:
    """No answer of this participation counts from now on, and its place is free again. Whoever answers may finish.

    Raises:
        Invalid: there is no reason, or it is too long.
        Conflict: it is marked already, or the person has withdrawn.
    """
    require(actor, Action.JUDGE_PARTICIPATION, participation.study_id)
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON:
        message = f"Say in at most {MAX_REASON} characters why it is not to count."
        raise Invalid(message, fields={"reason": [message]})
    with transaction.atomic():
        current = _locked(participation)
        if current.invalid_at is not None:
            raise Conflict("This participation is marked as not to count already; nothing was changed.")
        current.invalid_at, current.invalid_reason = timezone.now(), reason
        current.save(update_fields=["invalid_at", "invalid_reason"])
        allocation.give_back(current)
        audit.record(
            actor, "participation.invalid", current
        )  # the reason is free text: it goes at withdrawal
    return current


def mark_valid(*, participation: Participation, actor: Actor) -> Participation:
    """It counts again. It gets a place of its batch and cell back if one is free; else it is one more than was wanted.

    Raises:
        Conflict: it is not marked, or the person has withdrawn.
    """
    require(actor, Action.JUDGE_PARTICIPATION, participation.study_id)
    with transaction.atomic():
        current = _locked(participation)
        if current.invalid_at is None:
            raise Conflict("This participation is not marked; nothing was changed.")
        current.invalid_at, current.invalid_reason = None, ""
        current.save(update_fields=["invalid_at", "invalid_reason"])
        allocation.take_back(current)
        audit.record(actor, "participation.valid", current)
    return current


def _locked(participation: Participation) -> Participation:
    current = (
        Participation.objects.select_for_update(of=("self",))
        .select_related("study", "protocol", "slot")
        .get(pk=participation.pk)
    )
    if current.state == Participation.State.WITHDRAWN:
        raise Conflict("This person has withdrawn; there is nothing to judge any more.")
    return current
