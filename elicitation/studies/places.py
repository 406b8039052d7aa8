"""The places of a study: its units in batches, and a slot for every answer that is wanted of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from elicitation.images.models import ImageSet
from elicitation.interfaces import interface_named
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images
from elicitation.studies.material import Material
from elicitation.studies.models import Batch, Slot, Study, Unit
from elicitation.studies.protocol import Settings


def make_batches(study: Study, material: Material, settings: Settings) -> None:
    """Write the recipes as units, batch by batch, with a slot for each answer wanted."""
    lambdas_e4 = settings.design.lambdas_e4
    by_pair = interface_named(settings.interface).UNIT == "pair"
    made = _mixed_images(study.image_set, material, lambdas_e4 if by_pair else ())
    for ordinal, recipes in enumerate(material.batches):
        batch = Batch.objects.create(study=study, ordinal=ordinal)
        Unit.objects.bulk_create(
            Unit(
                batch=batch,
                ordinal=place,
                pair=made[recipe].pair,
                mixed_image=None if by_pair else made[recipe],
            )
            for place, recipe in enumerate(recipes)
        )
        Slot.objects.bulk_create(
            Slot(batch=batch, ordinal=place) for place in range(settings.design.answers_per_unit)
        )


def _mixed_images(image_set: ImageSet, material: Material, every: Sequence[int]) -> dict[Recipe, MixedImage]:
    """The mixed images of the trials by recipe; for pairs, those of `every` λ of each pair are made."""
    drawn = dict.fromkeys(recipe for batch in material.batches for recipe in batch)
    recipes = [replace(r, lambda_e4=value) for r in drawn for value in every] if every else list(drawn)
    return dict(zip(recipes, create_mixed_images(image_set=image_set, recipes=recipes), strict=True))
