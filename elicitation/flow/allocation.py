"""Who gets which slot: the least-filled batch first, one live holder a slot, abandoned slots return by themselves.

Here and in all of flow a participation is locked before its slot, and several of a kind in the order of their keys:
two who lock in different orders would wait for each other. Opening the page renews a lease; a saved answer keeps the
slot as long, without being written down a second time.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.flow.reading import reading_of
from elicitation.participants.models import Participation
from elicitation.studies.models import Protocol, Slot, Study
from elicitation.trials.models import Response
from hilmix.errors import Conflict


class StudyFull(Conflict):
    """Every slot is held or filled."""

    code = "study_full"


def claim_slot(study: Study, protocol: Protocol) -> Slot:
    """Hold a free slot of one of the least-filled batches. Must run in the transaction that makes its holder.

    Raises:
        StudyFull: there is none.
    """
    release_expired(study, protocol)
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
        until = timezone.now() + lease_of(protocol)
        if free.filter(pk=slot.pk).update(state=Slot.State.HELD, lease_expires_at=until):
            slot.state, slot.lease_expires_at = Slot.State.HELD, until
            return slot
    return None


def lease_of(protocol: Protocol) -> timedelta:
    """How long a slot is held for somebody of whom nothing is heard."""
    return timedelta(minutes=reading_of(protocol).settings.design.lease_minutes)


def renew_lease(participation: Participation) -> None:
    """The holder has opened the page: the lease begins again."""
    if participation.slot_id is not None:
        held = Slot.objects.filter(pk=participation.slot_id, state=Slot.State.HELD)
        held.update(lease_expires_at=timezone.now() + lease_of(participation.protocol))


def release_expired(study: Study, protocol: Protocol) -> int:
    """Free the abandoned slots; their former holders keep their plan and may still finish. Returns how many."""
    abandoned = list(_abandoned(study, protocol).values_list("pk", flat=True))
    if not abandoned:
        return 0
    with transaction.atomic():
        holders = Participation.objects.filter(slot__in=abandoned, state=Participation.State.RUNNING)
        theirs = dict(holders.select_for_update().order_by("pk").values_list("pk", "slot"))
        # Asked again now that none of them can do anything: whoever came back before the lock keeps the slot.
        free = _abandoned(study, protocol).filter(
            Q(pk__in=theirs.values()) | ~Exists(holders.filter(slot=OuterRef("pk")))
        )
        freed = list(free.select_for_update().order_by("pk").values_list("pk", flat=True))
        Participation.objects.filter(pk__in=theirs, slot__in=freed).update(slot=None)
        return Slot.objects.filter(pk__in=freed).update(state=Slot.State.FREE, lease_expires_at=None)


def _abandoned(study: Study, protocol: Protocol) -> QuerySet[Slot]:
    """The held slots whose lease has ended, and whose holder has saved no answer for as long as a lease lasts."""
    now = timezone.now()
    answers = Response.objects.filter(
        trial__participation__slot=OuterRef("pk"), received_at__gt=now - lease_of(protocol)
    )
    expired = Slot.objects.filter(
        batch__in=study.batches.all(), state=Slot.State.HELD, lease_expires_at__lt=now
    )
    return expired.filter(~Exists(answers))


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
