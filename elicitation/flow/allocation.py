"""Who gets which slot: the least-filled batch first, one live holder a slot, abandoned slots return by themselves."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.flow.reading import reading_of
from elicitation.participants.models import Participation
from elicitation.studies.models import Protocol, Slot, Study
from hilmix.errors import Conflict

RENEWAL = timedelta(minutes=1)  # who was seen less long ago is not written down again


class StudyFull(Conflict):
    """Every slot is held or filled."""

    code = "study_full"


def claim_slot(study: Study, protocol: Protocol) -> Slot:
    """Hold a free slot of one of the least-filled batches. Must run in the transaction that makes its holder.

    Raises:
        StudyFull: there is none.
    """
    release_expired(study)
    batches = study.batches.annotate(
        taken=Count("slots", filter=~Q(slots__state=Slot.State.FREE)),
        free=Count("slots", filter=Q(slots__state=Slot.State.FREE)),
    ).filter(free__gt=0)
    order = sorted(batches, key=lambda batch: (batch.taken, random.random()))  # noqa: S311
    for batch in order:
        if slot := hold_first(batch.slots.order_by("ordinal"), protocol):
            return slot
    full = _("“%(title)s” has enough participants for now. Thank you for coming.")
    raise StudyFull(full % {"title": study.title})


def hold_first(slots: QuerySet[Slot], protocol: Protocol) -> Slot | None:
    """Take the first of `slots` that is free: compare and swap, right on every database. None if there is none."""
    free = slots.filter(state=Slot.State.FREE)
    while slot := free.first():
        until = lease_end(protocol)
        if free.filter(pk=slot.pk).update(state=Slot.State.HELD, lease_expires_at=until):
            slot.state, slot.lease_expires_at = Slot.State.HELD, until
            return slot
    return None


def lease_end(protocol: Protocol) -> datetime:
    return timezone.now() + timedelta(minutes=reading_of(protocol).settings.design.lease_minutes)


def renew_lease(participation: Participation) -> None:
    """Every saved answer shows that the holder is still there; that is written down at most once a minute."""
    if timezone.now() - participation.last_seen_at < RENEWAL:
        return
    if participation.slot_id is not None:
        held = Slot.objects.filter(pk=participation.slot_id, state=Slot.State.HELD)
        held.update(lease_expires_at=lease_end(participation.protocol))
    participation.save(update_fields=["last_seen_at"])


def release_expired(study: Study) -> int:
    """Free the slots whose lease has ended; their former holders keep their plan and may still finish."""
    expired = Slot.objects.filter(
        batch__study=study, state=Slot.State.HELD, lease_expires_at__lt=timezone.now()
    ).values_list("pk", flat=True)
    released = 0
    for pk in list(expired):
        freed = Slot.objects.filter(pk=pk, state=Slot.State.HELD, lease_expires_at__lt=timezone.now()).update(
            state=Slot.State.FREE, lease_expires_at=None
        )
        if freed:
            Participation.objects.filter(slot_id=pk, state=Participation.State.RUNNING).update(slot=None)
            released += 1
    return released


def give_back(participation: Participation) -> None:
    """Free the slot of somebody who will not answer."""
    if participation.slot_id is not None:
        Slot.objects.filter(pk=participation.slot_id, state=Slot.State.HELD).update(
            state=Slot.State.FREE, lease_expires_at=None
        )
        participation.slot = None
        participation.save(update_fields=["slot"])


def take_back(participation: Participation) -> None:
    """Somebody whose lease ended is back: a slot of the same batch if one is free, else they finish as an extra."""
    if participation.slot_id is not None or participation.state != Participation.State.RUNNING:
        return
    batches = participation.trials.values("unit__batch")
    slots = Slot.objects.filter(batch__in=batches).order_by("ordinal")
    if slot := hold_first(slots, participation.protocol):
        participation.slot = slot
        participation.save(update_fields=["slot"])
