"""Images for the instructions and for practising the controls: mixes of parents reserved for it, in no trial.

They teach what the controls do. What was mixed in which share is never told, here as elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked
from elicitation.mixes.design import draw_design
from elicitation.studies.models import Study, Unit
from elicitation.studies.protocol import Settings
from hilmix.core.imageset import ImageSet
from hilmix.core.mixing import mix
from hilmix.errors import NotFound

LAMBDAS_E4 = (6500, 3500)  # of mixed images; an interface that asks about pairs shows every λ of the study


def examples(study: Study, settings: Settings) -> list[dict[str, Any]]:
    """Of each example how many `images` it has, and the `params` that the browser is told of it, as of a trial."""
    interface = interface_named(settings.interface)
    return [
        {"images": len(interface.shown_order(asked)), "params": interface.shown(asked)}
        for asked in _asked(settings, study.image_set.open(), _pairs(study, settings))
    ]


def example_image(study: Study, settings: Settings, number: int, order: int) -> np.ndarray:
    """The uint8 [H, W, C] pixels of image `order` of example `number`, both from 0.

    Raises:
        NotFound: there is no such example, or it has no such image.
    """
    pairs, opened = _pairs(study, settings), study.image_set.open()
    if not 0 <= number < len(pairs):
        raise NotFound("There is no such example.")
    asked = _asked(settings, opened, pairs)[number]
    steps = interface_named(settings.interface).shown_order(asked)
    if not 0 <= order < len(steps):
        raise NotFound("This example has no such image.")
    shares = asked.lambdas_e4 or (LAMBDAS_E4[number % len(LAMBDAS_E4)],)
    first, second = pairs[number]
    return mix(opened.images[first], opened.images[second], shares[steps[order]])


def _asked(settings: Settings, opened: ImageSet, pairs: Sequence[tuple[int, int]]) -> list[Asked]:
    """What each example would ask about. Drawn once for the study, so that all its images fit together."""
    interface = interface_named(settings.interface)
    rng = random.Random(settings.design.seed)  # noqa: S311  (sides of an example, not a secret)
    asked = [
        Asked(
            classes=opened.classes,
            first_class=int(opened.labels[first]),
            second_class=int(opened.labels[second]),
            lambdas_e4=tuple(sorted(settings.design.lambdas_e4)) if interface.UNIT == "pair" else (),
            options=settings.options,
            person=interface.draw_person(rng, classes=opened.classes),
        )
        for first, second in pairs
    ]
    params = interface.draw_params(rng, asked)
    return [replace(about, params=drawn) for about, drawn in zip(asked, params, strict=True)]


def _pairs(study: Study, settings: Settings) -> list[tuple[int, int]]:
    """Positions in the image set of the two images of each example."""
    reserved = settings.design.example_images
    if reserved:
        return list(zip(reserved[::2], reserved[1::2], strict=True))
    # A study of hilmix 0.1 reserved none: its examples are of images that no trial shows.
    opened = study.image_set.open()
    parents = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    shown = {index for pair in parents for index in pair}
    outside = [int(index) for index in opened.splits["train"] if int(index) not in shown]
    (recipes,) = draw_design(
        labels=opened.labels, indices=outside, lambdas_e4=LAMBDAS_E4, n=2, batch_size=2, seed=study.pk
    )
    return [recipe.parents for recipe in recipes]
