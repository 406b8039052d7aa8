"""The plan of one participation: every random draw made once, from its stored seed, and written down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from elicitation.interfaces import interface_named
from elicitation.participants.models import Participation
from elicitation.studies.models import Unit
from elicitation.trials.models import Trial, TrialImage

T = TypeVar("T")
REPEAT_GAP = 15  # trials between the first showing and its repeat, where the plan is long enough


@dataclass(frozen=True)
class Planned:
    """A main trial of place `main`, or its repeat."""

    main: int
    repeat: bool


def order_with_repeats(n_main: int, repeats: int, rng: random.Random) -> list[Planned]:
    """Main trials 0 … n−1 in order, with repeats of some of them among the later ones.

    A repeat comes at least 15 trials after its first showing (half the plan, where it is shorter than 30), and the
    repeats are spread over the room that leaves, not bunched at the end.
    """
    plan = [Planned(place, False) for place in range(n_main)]
    gap = min(REPEAT_GAP, n_main // 2)
    room = n_main - gap
    for k in range(repeats):
        low, high = k * room // repeats, max((k + 1) * room // repeats - 1, k * room // repeats)
        source = rng.randint(low, high)
        after = rng.randint(min(source + gap, n_main - 1), min(high + gap, n_main - 1))
        position = next(i for i, planned in enumerate(plan) if planned == Planned(after, False))
        plan.insert(position + 1, Planned(source, True))
    return plan


def write_plan(participation: Participation, units: Sequence[Unit]) -> list[Trial]:
    """Draw and store the trials of a new participation, in the order they will be shown."""
    content = participation.protocol.content
    interface = interface_named(content["interface"]["name"])
    rng = random.Random(participation.seed)  # noqa: S311  (an order, not a secret)
    shuffled = rng.sample(list(units), len(units))
    params = interface.draw_params(rng, len(shuffled))
    plan = order_with_repeats(len(shuffled), content["design"]["repeats"], rng)
    trials = Trial.objects.bulk_create(
        Trial(
            participation=participation,
            position=position,
            kind=Trial.Kind.REPEAT if planned.repeat else Trial.Kind.MAIN,
            unit=shuffled[planned.main],
            params=params[planned.main],
        )
        for position, planned in enumerate(plan)
    )
    TrialImage.objects.bulk_create(_image_of(trial) for trial in trials)
    return trials


def _image_of(trial: Trial) -> TrialImage:
    mixed_image_id = trial.unit.mixed_image_id
    assert mixed_image_id is not None  # the unit of every interface so far is the mixed image
    return TrialImage(trial_id=trial.pk, order=0, mixed_image_id=mixed_image_id)
