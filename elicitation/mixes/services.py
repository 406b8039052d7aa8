"""Mixed images come into being here: recipes become rows with the hash of their pixels, and rows become pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.db import transaction

from elicitation.images.models import ImageSet
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage, Pair
from hilmix.core import imageset, mixing
from hilmix.core.errors import DataError

AT_ONCE = 1000  # rows read or written with one statement


@transaction.atomic
def create_mixed_images(
    *, image_set: ImageSet, recipes: Sequence[Recipe], method: str = mixing.DEFAULT_METHOD
) -> list[MixedImage]:
    """Rows for `recipes`, in their order; those that exist already are used again.

    Raises:
        DataError: the parents of a recipe are not in the image set's training split (a leak into evaluation).
    """
    opened = image_set.open()
    _refuse_leaks(opened, recipes)
    pairs = {(p.first_index, p.second_index): p for p in Pair.objects.filter(image_set=image_set)}
    wanted = dict.fromkeys((r.first_index, r.second_index) for r in recipes)
    known = _known([pairs[parents] for parents in wanted if parents in pairs], method)
    new_pairs = [
        Pair(
            image_set=image_set,
            first_index=first,
            second_index=second,
            first_class=int(opened.labels[first]),
            second_class=int(opened.labels[second]),
        )
        for first, second in wanted
        if (first, second) not in pairs
    ]
    pairs.update(
        {(p.first_index, p.second_index): p for p in Pair.objects.bulk_create(new_pairs, batch_size=AT_ONCE)}
    )
    new: dict[tuple[int, int], MixedImage] = {}
    for recipe in recipes:
        pair = pairs[recipe.first_index, recipe.second_index]
        key = (pair.pk, recipe.lambda_e4)
        if key not in known and key not in new:
            pixels = _mix(opened, pair, recipe.lambda_e4, method)
            new[key] = MixedImage(
                pair=pair, lambda_e4=recipe.lambda_e4, method=method, sha256=mixing.pixel_sha256(pixels)
            )
    known.update(
        {
            (m.pair_id, m.lambda_e4): m
            for m in MixedImage.objects.bulk_create(new.values(), batch_size=AT_ONCE)
        }
    )
    return [known[pairs[r.first_index, r.second_index].pk, r.lambda_e4] for r in recipes]


def pixels_of(mixed_image: MixedImage, opened: imageset.ImageSet | None = None) -> np.ndarray:
    """The uint8 [H, W, C] pixels of a mixed image, checked against its hash.

    Raises:
        DataError: the recipe no longer gives the pixels that were hashed (the image set was changed on disk).
    """
    opened = opened or mixed_image.pair.image_set.open()
    pixels = _mix(opened, mixed_image.pair, mixed_image.lambda_e4, mixed_image.method)
    if mixing.pixel_sha256(pixels) != mixed_image.sha256:
        raise DataError(
            f"Mixed image {mixed_image.key} is not what it was: image set {opened.name!r} was changed on disk."
        )
    return pixels


def _known(pairs: Sequence[Pair], method: str) -> dict[tuple[int, int], MixedImage]:
    """The mixed images that there are of `pairs`, by the key of their pair and λ."""
    known = {}
    for start in range(0, len(pairs), AT_ONCE):
        some = {pair.pk: pair for pair in pairs[start : start + AT_ONCE]}
        for image in MixedImage.objects.filter(pair__in=some, method=method):
            image.pair = some[image.pair_id]
            known[image.pair_id, image.lambda_e4] = image
    return known


def _mix(opened: imageset.ImageSet, pair: Pair, lambda_e4: int, method: str) -> np.ndarray:
    images = np.asarray(opened.images)  # of a memory map, every array on the way would be made one: slowly
    return mixing.mix(images[pair.first_index], images[pair.second_index], lambda_e4, method)


def _refuse_leaks(opened: imageset.ImageSet, recipes: Sequence[Recipe]) -> None:
    train = opened.splits.get("train")
    if train is None:
        raise DataError(f"Image set {opened.name!r} has no split called 'train' to draw parents from.")
    used = {index for recipe in recipes for index in (recipe.first_index, recipe.second_index)}
    if outside := sorted(used - set(train.tolist())):
        raise DataError(
            f"Image {outside[0]} of image set {opened.name!r} is not in its training split, so it must not be a parent"
            f" ({len(outside)} such images)."
        )
