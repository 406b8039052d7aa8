"""Image sets come into being here: arrays become a hashed directory and a row, or nothing at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence

import numpy as np
from django.db import transaction

from elicitation.images.models import ImageSet
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core import imageset
from hilmix.errors import Conflict, Invalid

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


def import_images(
    *,
    name: str,
    kind: str,
    images: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    splits: Mapping[str, np.ndarray],
    actor: Actor,
) -> ImageSet:
    """Store images under `name`.

    Args:
        images: uint8 [N, H, W, C] with C = 1 or 3.
        labels: int [N], positions in `classes`.
        splits: name → positions of the images in it; `train` is where parents of mixed images come from.

    Raises:
        Invalid: the name is taken or has other than lower-case letters, digits and hyphens.
        DataError: the arrays do not fit together (overlapping splits, an empty class, two classes with one name …).
    """
    require(actor, Action.IMPORT_IMAGES)
    if not NAME.fullmatch(name):
        raise Invalid(f"{name!r} cannot name an image set: use lower-case letters, digits and hyphens.")
    if ImageSet.objects.filter(name=name).exists():
        raise Conflict(f"There is an image set called {name!r} already. Choose another name.")
    image_set = ImageSet(name=name, kind=kind)
    _remove_remains(image_set)
    info = imageset.write_image_set(
        image_set.directory,
        images=images,
        labels=labels,
        classes=list(classes),
        splits=dict(splits),
        name=name,
    )
    try:
        with transaction.atomic():
            image_set.sha256 = info.sha256
            image_set.n_images, image_set.height, image_set.width, image_set.channels = images.shape
            image_set.classes = list(classes)
            image_set.splits = {split: len(indices) for split, indices in splits.items()}
            image_set.save()
            audit.record(actor, "imageset.imported", image_set, n=len(images), sha256=info.sha256)
    except BaseException:
        shutil.rmtree(image_set.directory)
        raise
    return image_set


def import_human_labels(*, image_set: ImageSet, labels: np.ndarray, meaning: str, actor: Actor) -> None:
    """Attach what people said about the parent images: float [N, K], each row a probability vector.

    Raises:
        Conflict: the image set has human labels already.
        DataError: the shape does not fit, or a row is no probability vector (named in the message).
    """
    require(actor, Action.IMPORT_IMAGES)
    if image_set.human_labels_sha256:
        raise Conflict(f"Image set {image_set.name!r} has human labels already; they are never replaced.")
    digest = imageset.add_human_labels(image_set.directory, labels, meaning=meaning)
    with transaction.atomic():
        image_set.human_labels_sha256 = digest
        image_set.save(update_fields=["human_labels_sha256"])
        audit.record(actor, "imageset.human_labels", image_set, sha256=digest)


def _remove_remains(image_set: ImageSet) -> None:
    """A directory without a row is what an import left that was killed between the two; nobody can refer to it."""
    if image_set.directory.exists():
        shutil.rmtree(image_set.directory)
