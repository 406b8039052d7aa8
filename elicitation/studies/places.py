"""The places of a study: its units in batches, and slots in each batch and cell for the answers that are wanted.

Live, pilot and preview have batches of their own, whose ordinals go on over all of them. Whose place it is, is decided
in flow; here places are made, added and taken away.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import Max

from elicitation.images.models import ImageSet
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images
from elicitation.studies.factors import cells_of
from elicitation.studies.material import Material
from elicitation.studies.models import Batch, CheckImage, Mode, Slot, Study, Unit
from elicitation.studies.protocol import Settings
from elicitation.studies.ways import needs_every_lambda, unit_kind
from hilmix.jobs.progress import Progress

Images = dict[Recipe, MixedImage]
AT_ONCE = 1000  # rows in one statement
MIXED_AT_ONCE = 10_000  # mixed images made in one transaction, a few seconds


def make_mixed_images(
    image_set: ImageSet,
    batches: Sequence[Sequence[Recipe]],
    settings: Settings,
    progress: Progress | None = None,
) -> Images:
    """The mixed images that the units need, by recipe: their own, and every λ of a pair where an interface asks so.

    Those that are there are used again, so that it can be stopped and begun again. It takes long for many; each part is
    a transaction of its own, and nothing of the study is touched.
    """
    progress = progress or Progress()
    drawn = dict.fromkeys(recipe for batch in batches for recipe in batch)
    every = settings.design.lambdas_e4 if needs_every_lambda(settings) else ()
    others = [replace(recipe, lambda_e4=value) for recipe in drawn for value in every]
    recipes = list(dict.fromkeys([*drawn, *others]))
    made: Images = {}
    for start in range(0, len(recipes), MIXED_AT_ONCE):
        progress.check()
        progress.update(start, len(recipes), "mixed images")
        part = recipes[start : start + MIXED_AT_ONCE]
        images = create_mixed_images(image_set=image_set, recipes=part, method=settings.design.method)
        made |= zip(part, images, strict=True)
    return made


def make_batches(
    study: Study, batches: Sequence[Sequence[Recipe]], made: Images, settings: Settings, mode: str
) -> list[Batch]:
    """Write recipes as units, batch by batch, without slots yet."""
    by_pair = unit_kind(settings) == "pair"
    last = study.batches.aggregate(last=Max("ordinal"))["last"]
    start = 0 if last is None else last + 1
    rows = Batch.objects.bulk_create(
        [Batch(study=study, mode=mode, ordinal=start + number) for number in range(len(batches))]
    )
    Unit.objects.bulk_create(
        (
            Unit(
                batch=batch,
                ordinal=place,
                pair=made[recipe].pair,
                mixed_image=None if by_pair else made[recipe],
            )
            for batch, recipes in zip(rows, batches, strict=True)
            for place, recipe in enumerate(recipes)
        ),
        batch_size=AT_ONCE,
    )
    return rows


def make_live_slots(batches: Iterable[Batch], settings: Settings) -> None:
    """A slot for each answer wanted of a unit, in every cell.

    Ordinals run on from cell to cell, so that those of one cell follow each other: what goes round with the ordinal
    (the order of blocks, the level of a unit) then goes round in every cell.
    """
    n_cells = len(cells_of(settings.factors))
    _make_slots(
        (batch, cell)
        for batch in batches
        for cell in range(n_cells)
        for _ in range(settings.design.answers_per_unit)
    )


def make_pilot_slots(batches: Sequence[Batch], settings: Settings, places: int) -> None:
    """`places` slots, dealt to the batches and the cells in turn."""
    n_batches, n_cells = len(batches), len(cells_of(settings.factors))
    lap = math.lcm(n_batches, n_cells)  # after it the same batch would meet the same cell again
    dealt = [((number + number // lap) % n_batches, number % n_cells) for number in range(places)]
    _make_slots((batches[place], cell) for place, cell in sorted(dealt))


def add_slot(batch: Batch, settings: Settings) -> Slot:
    """One more slot, in the cell whose turn it is."""
    last = batch.slots.aggregate(last=Max("ordinal"))["last"]
    ordinal = 0 if last is None else last + 1
    return Slot.objects.create(batch=batch, ordinal=ordinal, cell=ordinal % len(cells_of(settings.factors)))


def change_live_places(study: Study, settings: Settings) -> None:
    """Bring the live slots of an opened study to what its protocol wants: add what is missing, take away what is free.

    Whoever has begun or finished keeps the place, so a unit may keep more answers than are wanted now.
    """
    wanted, cells = settings.design.answers_per_unit, range(len(cells_of(settings.factors)))
    with transaction.atomic():
        # Locked, so that nobody takes a place while it goes; whoever waits for one finds it gone.
        live = Slot.objects.filter(batch__study=study, batch__mode=Mode.LIVE)
        there: dict[tuple[int, int], list[Slot]] = {}
        for slot in live.select_for_update(of=("self",)).order_by("pk"):
            there.setdefault((slot.batch_id, slot.cell), []).append(slot)
        missing, spare = [], []
        for batch in study.batches.filter(mode=Mode.LIVE).order_by("ordinal"):
            for cell in cells:
                slots = there.get((batch.pk, cell), [])
                free = [slot.pk for slot in slots if slot.state == Slot.State.FREE]
                missing += [(batch, cell)] * (wanted - len(slots))
                spare += free[::-1][: max(0, len(slots) - wanted)]
        Slot.objects.filter(pk__in=spare).delete()
        _make_slots(missing)


def retire_free_places(study: Study, mode: str) -> None:
    """Take away the free slots of a pilot or of previews, and the batches of which nobody was asked anything."""
    with transaction.atomic():
        free = Slot.objects.filter(batch__study=study, batch__mode=mode, state=Slot.State.FREE)
        locked = list(free.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        Slot.objects.filter(pk__in=locked).delete()
        # A unit that was asked about stays, also where whoever was asked holds no place any more.
        empty = study.batches.filter(mode=mode, slots=None).exclude(units__trials__isnull=False)
        Batch.objects.filter(pk__in=list(empty.values_list("pk", flat=True))).delete()


def set_checks(study: Study, material: Material) -> None:
    """Have the attention checks of the study be those of `material`."""
    images = create_mixed_images(image_set=study.image_set, recipes=material.checks)
    CheckImage.objects.filter(study=study).delete()
    CheckImage.objects.bulk_create(CheckImage(study=study, mixed_image=image) for image in images)


def _make_slots(wanted: Iterable[tuple[Batch, int]]) -> None:
    """Slots by batch and cell, whose ordinals go on from the last of their batch."""
    places = list(wanted)
    studies = {batch.study_id for batch, _cell in places}
    there = Slot.objects.filter(batch__study__in=studies)
    last = dict(there.values_list("batch").annotate(last=Max("ordinal")))
    ordinals: dict[int, Iterator[int]] = {}
    Slot.objects.bulk_create(
        [
            Slot(
                batch=batch,
                cell=cell,
                ordinal=next(ordinals.setdefault(batch.pk, itertools.count(last.get(batch.pk, -1) + 1))),
            )
            for batch, cell in places
        ],
        batch_size=AT_ONCE,
    )
