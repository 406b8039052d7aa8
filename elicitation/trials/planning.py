"""The plan of one participation: every random draw made once, from its stored seed, and written down.

Its rows are written with SQL of our own: they are many, they are alike, and whoever joins waits for them.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.db.models import Q

from elicitation.interfaces.base import Params
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.factors import Levels
from elicitation.studies.models import Batch, Condition, Slot, Study
from elicitation.studies.reading import Reading, Way, reading_of
from elicitation.studies.ways import factors_within
from elicitation.trials.asking import asked_about
from elicitation.trials.assigning import (
    Assigned,
    Turn,
    blocks_in_order,
    combinations_of_units,
    order_in_blocks,
)
from elicitation.trials.models import Trial
from elicitation.trials.ordering import CHECK
from hilmix.rows import fetch, insert, insert_many, placeholders


class Item(NamedTuple):
    """What one trial is about: a unit, or an attention check; without a mixed image it is about the pair alone."""

    unit_id: int | None
    pair_id: int
    mixed_image_id: int | None
    lambda_e4: int | None
    class_pair: tuple[int, int]

    @property
    def classes(self) -> frozenset[int]:
        """The two classes, whichever is first."""
        return frozenset(self.class_pair)


class Drawn(NamedTuple):
    """A trial of the plan with everything that was drawn for it, and its images in the order shown."""

    kind: str
    item: Item
    combination: int
    params: Params
    images: Sequence[int]


def write_plan(participation: Participation) -> None:
    """Draw and store a new participation that holds a slot, and its trials in the order they will be shown.

    `participation.levels` holds the levels of the factors that vary between people.
    """
    reading = reading_of(participation.protocol)
    slot = participation.slot
    assert slot is not None
    rng = random.Random(participation.seed)  # noqa: S311  (an order, not a secret)
    ways = reading.ways_of(participation.levels)
    participation.drawn = _draw_person(ways, reading.classes, rng)
    units = _units_of(slot.batch_id)
    turn = Turn()
    if len(ways) > 1:
        batch = _locked(slot)
        participation.turn = _free_turn(participation, units[0], len(ways))
        turn = Turn(participation.turn, slot.cell, batch.ordinal)
    insert(participation)
    checks = _draw_checks(participation.study, reading.settings.design.checks, rng)
    order = _ordered(units, checks, slot, turn, reading, ways, rng)
    drawn = _draw_params(order, units, checks, reading, ways, participation.drawn, rng)
    _write(participation, drawn, ways)


def conditions_of(study: Study, ways: Sequence[Way]) -> list[int]:
    """The primary key of the condition under which each of `ways` asks; it is made where it is the first of it."""
    contents = dict(way.condition for way in ways)
    keys = dict(fetch(CONDITIONS.format(placeholders(1, len(contents))), [study.pk, *contents]))
    for sha256 in contents.keys() - keys.keys():
        made, _new = Condition.objects.get_or_create(
            study=study, sha256=sha256, defaults={"content": contents[sha256]}
        )
        keys[sha256] = made.pk
    return [keys[way.condition[0]] for way in ways]


def _draw_person(ways: Sequence[tuple[Levels, Way]], classes: Sequence[str], rng: random.Random) -> Params:
    """What stays the same for the person over all the interfaces they meet; of one name, the first one's."""
    interfaces = {way.interface.NAME: way.interface for _levels, way in ways}
    drawn: Params = {}
    for interface in interfaces.values():
        drawn = {**interface.draw_person(rng, classes=classes), **drawn}
    return drawn


def _units_of(batch_id: int) -> list[Item]:
    return [
        Item(unit, pair, image, lambda_e4, (first, second))
        for unit, pair, image, lambda_e4, first, second in fetch(UNITS, [batch_id])
    ]


def _draw_checks(study: Study, n: int, rng: random.Random) -> list[Item]:
    if not n:
        return []
    image, pair = "mixed_image", "mixed_image__pair"
    pool = study.check_images.order_by("pk").values_list(
        f"{pair}_id", f"{image}_id", f"{image}__lambda_e4", f"{pair}__first_class", f"{pair}__second_class"
    )
    return [
        Item(None, pair_id, image_id, lambda_e4, (first, second))
        for pair_id, image_id, lambda_e4, first, second in rng.sample(list(pool), n)
    ]


def _ordered(
    units: Sequence[Item],
    checks: Sequence[Item],
    slot: Slot,
    turn: Turn,
    reading: Reading,
    ways: Sequence[tuple[Levels, Way]],
    rng: random.Random,
) -> list[Assigned]:
    """The trials in their order, each with the number of its way."""
    strata = [unit.lambda_e4 for unit in units]
    blocks = factors_within(reading.settings, "blocks")
    return order_in_blocks(
        [unit.classes for unit in units],
        combinations_of_units(strata, len(ways), turn, slot.batch_id),
        [check.classes for check in checks],
        reading.settings.design.repeats,
        blocks_in_order([levels for levels, _way in ways], blocks, turn),
        rng,
    )


def _locked(slot: Slot) -> Batch:
    """The batch, in which nobody else takes a turn until this transaction ends."""
    return Batch.objects.select_for_update(no_key=True).get(pk=slot.batch_id)


def _free_turn(participation: Participation, unit: Item, n_combinations: int) -> int:
    """The turn that a newcomer takes: of those that give `unit` the levels it was least given, the least-held, of these
    the first. While nobody is lost the turns are taken in their order.

    Whoever lost the place and is not heard of holds none; whoever finished holds theirs, with a place or without.
    """
    asked = Participation.objects.filter(
        trials__unit=unit.unit_id, trials__kind=Trial.Kind.MAIN, invalid_at=None
    )
    finished = Q(state__in=Participation.FINISHED)
    held = asked.filter(finished | Q(state=Participation.State.RUNNING, slot__isnull=False))
    met = Counter(
        turn for turn, levels in held.values_list("turn", "levels") if levels == participation.levels
    )
    given = Counter(turn % n_combinations for turn in met.elements())
    return min(range(met.total() + 1), key=lambda turn: (given[turn % n_combinations], met[turn], turn))


def _draw_params(
    order: Sequence[Assigned],
    units: Sequence[Item],
    checks: Sequence[Item],
    reading: Reading,
    ways: Sequence[tuple[Levels, Way]],
    person: Mapping[str, Any],
    rng: random.Random,
) -> list[Drawn]:
    """What differs between trials: balanced among those of one way, because each way draws for its own."""
    items = [(checks if one.planned.kind == CHECK else units)[one.planned.place] for one in order]
    at = _images_of_pairs(items, ways)
    drawn: dict[int, Drawn] = {}
    for number, (_levels, way) in enumerate(ways):
        positions = [position for position, one in enumerate(order) if one.combination == number]
        asked = [
            asked_about(items[position].class_pair, way.settings, reading.classes, person, {})
            for position in positions
        ]
        params = way.interface.draw_params(rng, asked)
        for position, about, of_trial in zip(positions, asked, params, strict=True):
            item = items[position]
            if about.lambdas_e4:
                steps = way.interface.shown_order(replace(about, params=of_trial))
                images = [at[item.pair_id, about.lambdas_e4[step]] for step in steps]
            else:
                assert item.mixed_image_id is not None
                images = [item.mixed_image_id]
            drawn[position] = Drawn(order[position].planned.kind, item, number, of_trial, images)
    return [drawn[position] for position in range(len(order))]


def _images_of_pairs(items: Sequence[Item], ways: Sequence[tuple[Levels, Way]]) -> dict[tuple[int, int], int]:
    """The mixed image of each pair and λ, where somebody is asked about pairs."""
    if not any(way.interface.UNIT == "pair" for _levels, way in ways):
        return {}
    method = ways[0][1].settings.design.method  # no level sets it
    found = MixedImage.objects.filter(pair__in={item.pair_id for item in items}, method=method)
    return {
        (pair, lambda_e4): key for pair, lambda_e4, key in found.values_list("pair_id", "lambda_e4", "pk")
    }


def _write(participation: Participation, trials: Sequence[Drawn], ways: Sequence[tuple[Levels, Way]]) -> None:
    conditions = conditions_of(participation.study, [way for _levels, way in ways])
    levels = [json.dumps(of_way) for of_way, _way in ways]
    drawn = _Texts()
    rows = [
        (
            participation.pk,
            position,
            str(trial.kind),
            trial.item.pair_id,
            trial.item.unit_id,
            conditions[trial.combination],
            levels[trial.combination],
            drawn.of(trial.params),
        )
        for position, trial in enumerate(trials)
    ]
    keys = dict(insert_many(TRIALS, rows, returning="position, id"))
    images = [
        (keys[position], order, image)
        for position, trial in enumerate(trials)
        for order, image in enumerate(trial.images)
    ]
    insert_many(IMAGES, images)


class _Texts:
    """JSON texts; many trials have drawn the same."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def of(self, value: Params) -> str:
        if (text := self._texts.get(key := repr(value))) is None:
            text = self._texts[key] = json.dumps(value)
        return text


UNITS = """
    select unit.id, unit.pair_id, unit.mixed_image_id, mixed.lambda_e4, pair.first_class, pair.second_class
    from elicitation_unit unit join elicitation_pair pair on pair.id = unit.pair_id
        left join elicitation_mixedimage mixed on mixed.id = unit.mixed_image_id
    where unit.batch_id = %s order by unit.ordinal
"""
CONDITIONS = """
    select sha256, id from elicitation_condition where study_id = %s and sha256 in {}
"""
TRIALS = (
    "elicitation_trial (participation_id, position, kind, pair_id, unit_id, condition_id, levels, params)"
)
IMAGES = 'elicitation_trialimage (trial_id, "order", mixed_image_id)'
