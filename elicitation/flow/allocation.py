"""Who gets which slot: the least-filled batch and cell first, one live holder a slot, abandoned slots return by
themselves. Live, pilot and preview have slots of their own.

Here and in all of flow a participation is locked before its slot, and several of a kind in the order of their keys:
two who lock in different orders would wait for each other. Opening the page renews a lease; a saved answer keeps the
slot as long, without being written down a second time.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.participants.models import Participation
from elicitation.studies.factors import cells_of
from elicitation.studies.models import Mode, Protocol, Slot, Study
from elicitation.studies.protocol import Settings
from elicitation.studies.reading import reading_of
from elicitation.trials.models import Response
from hilmix.errors import Conflict
from hilmix.rows import fetch

LEASE_MINUTES = 60  # where neither the design nor the payment says how long it takes
GRACE_MINUTES = 10


class StudyFull(Conflict):
    """Every slot is held or filled."""

    code = "study_full"


@dataclass(frozen=True)
class Group:
    """The slots of one batch and cell: how many are not free, how many leases have ended, the first free ordinal (-1
    where there is none)."""

    batch: int
    cell: int
    taken: int
    lapsed: int
    free: int


def claim_slot(study: Study, protocol: Protocol, mode: str = Mode.LIVE) -> Slot:
    """Hold a free slot where the fewest are taken. Must run in the transaction that makes its holder.

    Of the batches and cells with the fewest taken, one of the cell with the fewest in all, then of the batch with the
    fewest in all; what is still alike is decided at random.

    Raises:
        StudyFull: there is none.
    """
    groups = _groups(study, mode)
    if any(group.lapsed for group in groups) and release_expired(study, protocol, mode):
        groups = _groups(study, mode)
    while (group := _least_filled(groups)) is not None:
        if slot := _hold(group, protocol):
            return slot
        groups = _groups(study, mode)  # somebody else was faster
    full = _("“%(title)s” has enough participants for now. Thank you for coming.")
    raise StudyFull(full % {"title": study.title})


def _groups(study: Study, mode: str) -> list[Group]:
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    return [Group(*row) for row in fetch(GROUPS, [now, study.pk, mode])]


def _least_filled(groups: list[Group]) -> Group | None:
    of_cell: Counter[int] = Counter()
    of_batch: Counter[int] = Counter()
    for group in groups:
        of_cell[group.cell] += group.taken
        of_batch[group.batch] += group.taken
    return min(
        (group for group in groups if group.free >= 0),
        key=lambda group: (group.taken, of_cell[group.cell], of_batch[group.batch], random.random()),  # noqa: S311
        default=None,
    )


def _hold(group: Group, protocol: Protocol) -> Slot | None:
    """Take the first free slot of `group`: compare and swap, right on every database. None if it is taken meanwhile."""
    until = timezone.now() + lease_of(protocol)
    taken = fetch(HOLD, [connection.ops.adapt_datetimefield_value(until), group.batch, group.free])
    if not taken:
        return None
    return Slot(
        pk=taken[0][0],
        batch_id=group.batch,
        ordinal=group.free,
        cell=group.cell,
        state=Slot.State.HELD,
        lease_expires_at=until,
    )


def _hold_first(slots: QuerySet[Slot], protocol: Protocol) -> Slot | None:
    """Take the first of `slots` that is free: compare and swap, right on every database. None if there is none."""
    free = slots.filter(state=Slot.State.FREE).order_by("ordinal")
    while slot := free.first():
        until = timezone.now() + lease_of(protocol)
        if free.filter(pk=slot.pk).update(state=Slot.State.HELD, lease_expires_at=until):
            slot.state, slot.lease_expires_at = Slot.State.HELD, until
            return slot
    return None


def lease_of(protocol: Protocol) -> timedelta:
    """How long a slot is held for somebody of whom nothing is heard."""
    return timedelta(minutes=lease_minutes(reading_of(protocol).settings))


def lease_minutes(settings: Settings) -> float:
    """The design's, or where it says 0: for X estimated minutes Prolific's limit, 2 + X + 2√X, and 10 more."""
    if settings.design.lease_minutes:
        return settings.design.lease_minutes
    if estimated := settings.payment.minutes:
        return 2 + estimated + 2 * math.sqrt(estimated) + GRACE_MINUTES
    return LEASE_MINUTES


def cell_of(settings: Settings, levels: dict[str, str]) -> int:
    """The cell of somebody who has these `levels` of the factors that vary between people."""
    return cells_of(settings.factors).index(levels)


def renew_lease(participation: Participation) -> None:
    """The holder has opened the page: the lease begins again."""
    if participation.slot_id is not None:
        held = Slot.objects.filter(pk=participation.slot_id, state=Slot.State.HELD)
        held.update(lease_expires_at=timezone.now() + lease_of(participation.protocol))


def release_expired(study: Study, protocol: Protocol, mode: str = Mode.LIVE) -> int:
    """Free the abandoned slots; their former holders keep their plan and may still finish. Returns how many."""
    abandoned = list(_abandoned(study, protocol, mode).values_list("pk", flat=True))
    if not abandoned:
        return 0
    with transaction.atomic():
        holders = Participation.objects.filter(slot__in=abandoned, state=Participation.State.RUNNING)
        theirs = dict(holders.select_for_update().order_by("pk").values_list("pk", "slot"))
        # Asked again now that none of them can do anything: whoever came back before the lock keeps the slot.
        free = _abandoned(study, protocol, mode).filter(
            Q(pk__in=theirs.values()) | ~Exists(holders.filter(slot=OuterRef("pk")))
        )
        freed = list(free.select_for_update().order_by("pk").values_list("pk", flat=True))
        Participation.objects.filter(pk__in=theirs, slot__in=freed).update(slot=None)
        return Slot.objects.filter(pk__in=freed).update(state=Slot.State.FREE, lease_expires_at=None)


def _abandoned(study: Study, protocol: Protocol, mode: str) -> QuerySet[Slot]:
    """The held slots whose lease has ended, and whose holder has saved no answer for as long as a lease lasts."""
    now = timezone.now()
    answers = Response.objects.filter(
        trial__participation__slot=OuterRef("pk"), received_at__gt=now - lease_of(protocol)
    )
    expired = Slot.objects.filter(
        batch__in=study.batches.filter(mode=mode), state=Slot.State.HELD, lease_expires_at__lt=now
    )
    return expired.filter(~Exists(answers))


def give_back(participation: Participation) -> None:
    """Free the slot of somebody who will not answer, or whose answers do not count."""
    if participation.slot_id is not None:
        Slot.objects.filter(pk=participation.slot_id).update(state=Slot.State.FREE, lease_expires_at=None)
        participation.slot = None
        participation.save(update_fields=["slot"])


def take_back(participation: Participation) -> None:
    """Give somebody who lost their slot another one of the same batch and cell, if one is free; else they are an extra.

    Nobody gets one back whose answers do not count.
    """
    if participation.slot_id is not None or participation.invalid_at is not None:
        return
    if participation.state not in HOLDING:
        return
    settings = reading_of(participation.protocol).settings
    mine = Slot.objects.filter(
        batch__in=participation.trials.values("unit__batch"), cell=cell_of(settings, participation.levels)
    )
    if slot := _hold_first(mine, participation.protocol):
        participation.slot = slot
        participation.save(update_fields=["slot"])
        if participation.state != Participation.State.RUNNING:
            fill(participation)


def fill(participation: Participation) -> None:
    """All is answered: the slot is no longer lent."""
    if participation.slot_id is not None:
        Slot.objects.filter(pk=participation.slot_id).update(state=Slot.State.FILLED, lease_expires_at=None)


HOLDING = (Participation.State.RUNNING, *Participation.FINISHED)
# Written out, because they are part of every joining, and for the ORM to put them together takes longer than to answer.
GROUPS = """
    select slot.batch_id, slot.cell,
        count(case when slot.state <> 'free' then 1 end),
        count(case when slot.state = 'held' and slot.lease_expires_at < %s then 1 end),
        coalesce(min(case when slot.state = 'free' then slot.ordinal end), -1)
    from elicitation_slot slot join elicitation_batch batch on batch.id = slot.batch_id
    where batch.study_id = %s and batch.mode = %s
    group by slot.batch_id, slot.cell
"""
HOLD = """
    update elicitation_slot set state = 'held', lease_expires_at = %s
    where batch_id = %s and ordinal = %s and state = 'free' returning id
"""
