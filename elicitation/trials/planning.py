"""The plan of one participation: every random draw made once, from its stored seed, and written down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked, Interface
from elicitation.mixes.models import MixedImage, Pair
from elicitation.participants.models import Participation
from elicitation.studies.models import Condition, Unit
from elicitation.studies.protocol import Settings, condition_content, content_sha256, settings_of
from elicitation.studies.texts import texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial, TrialImage
from elicitation.trials.ordering import CHECK, order_of_trials
from hilmix.core.mixing import DEFAULT_METHOD


@dataclass(frozen=True)
class Item:
    """What one trial is about: a unit, or an attention check; without a mixed image it is about the pair at every λ."""

    pair: Pair
    mixed_image_id: int | None
    unit: Unit | None

    @property
    def class_pair(self) -> frozenset[int]:
        return frozenset((self.pair.first_class, self.pair.second_class))


def write_plan(participation: Participation) -> list[Trial]:
    """Draw and store a new participation that holds a slot, and its trials in the order they will be shown."""
    settings = settings_of(participation.protocol.content)
    interface = interface_named(settings.interface)
    classes = participation.study.image_set.classes
    rng = random.Random(participation.seed)  # noqa: S311  (an order, not a secret)
    slot = participation.slot
    assert slot is not None
    participation.drawn = interface.draw_person(rng, classes=classes)
    participation.save()
    units = [Item(unit.pair, unit.mixed_image_id, unit) for unit in slot.batch.units.select_related("pair")]
    checks = _draw_checks(participation, settings.design.checks, rng)
    items, trials = _ordered(participation, units, checks, settings, rng)
    asked = [asked_of(trial, settings, classes, participation.drawn) for trial in trials]
    for trial, params in zip(trials, interface.draw_params(rng, asked), strict=True):
        trial.params = params
    Trial.objects.bulk_create(trials)
    asked = [replace(about, params=trial.params) for about, trial in zip(asked, trials, strict=True)]
    TrialImage.objects.bulk_create(_shown_images(items, trials, asked, interface))
    return trials


def condition_of(participation: Participation, settings: Settings) -> Condition:
    """The condition under which this participation is asked; made when it is the first of it.

    The interface asks as this version of hilmix has it, also in a study whose protocol an earlier version wrote.
    """
    asking = replace(settings, interface_version=interface_named(settings.interface).VERSION)
    content = condition_content(asking, texts_of(participation.protocol.content).wording)
    condition, _new = Condition.objects.get_or_create(
        study=participation.study, sha256=content_sha256(content), defaults={"content": content}
    )
    return condition


def _draw_checks(participation: Participation, n: int, rng: random.Random) -> list[Item]:
    if not n:
        return []
    pool = participation.study.check_images.select_related("mixed_image__pair").order_by("pk")
    drawn = rng.sample([check.mixed_image for check in pool], n)
    return [Item(image.pair, image.pk, None) for image in drawn]


def _ordered(
    participation: Participation,
    units: Sequence[Item],
    checks: Sequence[Item],
    settings: Settings,
    rng: random.Random,
) -> tuple[list[Item], list[Trial]]:
    """What is asked about and the trial that asks, not saved yet, in their order."""
    condition = condition_of(participation, settings)
    order = order_of_trials(
        [item.class_pair for item in units],
        [item.class_pair for item in checks],
        settings.design.repeats,
        rng,
    )
    items = [(checks if planned.kind == CHECK else units)[planned.place] for planned in order]
    trials = [
        Trial(
            participation=participation,
            position=position,
            kind=planned.kind,
            unit=item.unit,
            pair=item.pair,
            condition=condition,
        )
        for position, (planned, item) in enumerate(zip(order, items, strict=True))
    ]
    return items, trials


def _shown_images(
    items: Sequence[Item], trials: Sequence[Trial], asked: Sequence[Asked], interface: Interface
) -> list[TrialImage]:
    """The images of each trial in the order shown: its own one, or those of its pair, as the interface has it."""
    pairs = {item.pair.pk for item in items if item.mixed_image_id is None}
    found = MixedImage.objects.filter(pair__in=pairs, method=DEFAULT_METHOD)
    recipes = found.values_list("pair_id", "lambda_e4", "pk") if pairs else ()
    at = {(pair, lambda_e4): key for pair, lambda_e4, key in recipes}
    return [
        TrialImage(
            trial_id=trial.pk,
            order=order,
            mixed_image_id=item.mixed_image_id or at[item.pair.pk, about.lambdas_e4[step]],
        )
        for item, trial, about in zip(items, trials, asked, strict=True)
        for order, step in enumerate(interface.shown_order(about))
    ]
