"""Who gets which slot: the least-filled batch first, one live holder a slot, abandoned slots return by themselves."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from elicitation.participants.models import Participation
from elicitation.studies.models import Slot, Study
from elicitation.studies.services import design_of
from hilmix.errors import Conflict


class StudyFull(Conflict):
    """Every slot is held or filled."""

    code = "study_full"


def claim_slot(study: Study) -> Slot:
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
        for slot in batch.slots.filter(state=Slot.State.FREE).order_by("ordinal"):
            if hold(slot, study):
                return slot
    raise StudyFull(f"“{study.title}” has enough participants for now. Thank you for coming.")


def hold(slot: Slot, study: Study) -> bool:
    """Take `slot` if it is still free: compare and swap, right on every database."""
    until = lease_end(study)
    free = Slot.objects.filter(pk=slot.pk, state=Slot.State.FREE)
    if not free.update(state=Slot.State.HELD, lease_expires_at=until):
        return False
    slot.state, slot.lease_expires_at = Slot.State.HELD, until
    return True


def lease_end(study: Study) -> datetime:
    return timezone.now() + timedelta(minutes=design_of(study.protocol).lease_minutes)


def renew_lease(participation: Participation) -> None:
    """Every saved answer shows that the holder is still there."""
    if participation.slot_id is not None:
        Slot.objects.filter(pk=participation.slot_id, state=Slot.State.HELD).update(
            lease_expires_at=lease_end(participation.study)
        )


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
    for slot in Slot.objects.filter(batch__in=batches, state=Slot.State.FREE).order_by("ordinal"):
        if hold(slot, participation.study):
            participation.slot = slot
            participation.save(update_fields=["slot"])
            return
