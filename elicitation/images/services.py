"""Image sets come into being here: arrays become a hashed directory and a row, or nothing at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction

from elicitation.images.models import ImageSet
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core import imageset
from hilmix.core.licences import licence_named
from hilmix.errors import Conflict, Invalid

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


@dataclass(frozen=True)
class HumanLabelsReport:
    """How many human labels fit the image set and, unless it was a dry run, were attached."""

    image_set: str
    n: int
    dry_run: bool

    def as_text(self) -> str:
        """The same in words."""
        if self.dry_run:
            return f"Nothing was stored: {self.n} human labels fit {self.image_set!r}."
        return f"{self.n} human labels attached to {self.image_set!r}."

    def as_json(self) -> dict[str, Any]:
        """With the keys that every import reports; JSON values."""
        return {"kind": "human_labels", "dry_run": self.dry_run, "notes": [self.as_text()], "tables": {}}


def import_images(
    *,
    name: str,
    kind: str,
    images: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    splits: Mapping[str, np.ndarray],
    licence: str = "",
    origin: str = "",
    actor: Actor,
    dry_run: bool = False,
) -> ImageSet:
    """Store images under `name`; of a dry run, nothing stays.

    Args:
        images: uint8 [N, H, W, C] with C = 1 or 3.
        labels: int [N], positions in `classes`.
        splits: name → positions of the images in it; `train` is where parents of mixed images come from.
        licence: a name of `core.licences`, empty where none was stated; origin: whom to credit.

    Raises:
        Invalid: the name is taken or has other than lower-case letters, digits and hyphens.
        DataError: the arrays do not fit together (overlapping splits, an empty class, two classes with one name …).
    """
    require(actor, Action.IMPORT_IMAGES)
    if not NAME.fullmatch(name):
        raise Invalid(f"{name!r} cannot name an image set: use lower-case letters, digits and hyphens.")
    if ImageSet.objects.filter(name=name).exists():
        raise Conflict(f"There is an image set called {name!r} already. Choose another name.")
    if licence:
        licence_named(licence)
    image_set = ImageSet(name=name, kind=kind, licence=licence, origin=origin)
    arrays: dict[str, Any] = {
        "images": images,
        "labels": labels,
        "classes": list(classes),
        "splits": dict(splits),
    }
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="hilmix-images-") as folder:
            info = imageset.write_image_set(Path(folder) / name, name=name, **arrays)
    else:
        _remove_remains(image_set)
        info = imageset.write_image_set(image_set.directory, name=name, **arrays)
    image_set.sha256 = info.sha256
    image_set.n_images, image_set.height, image_set.width, image_set.channels = images.shape
    image_set.classes = list(classes)
    image_set.splits = {split: len(indices) for split, indices in splits.items()}
    if dry_run:
        return image_set
    try:
        with transaction.atomic():
            image_set.save()
            audit.record(actor, "imageset.imported", image_set, n=len(images), sha256=info.sha256)
    except BaseException:
        shutil.rmtree(image_set.directory)
        raise
    return image_set


def import_human_labels(
    *,
    image_set: ImageSet,
    labels: np.ndarray,
    meaning: str,
    licence: str = "",
    dry_run: bool = False,
    actor: Actor,
) -> HumanLabelsReport:
    """Attach what people said about the parent images: float [N, K], each row a probability vector. A dry run checks
    them and attaches nothing.

    Args:
        licence: of these labels, a name of `core.licences`; empty where none was stated.

    Raises:
        Conflict: the image set has human labels already.
        DataError: the shape does not fit; `Refused` names every row that is no probability vector.
    """
    require(actor, Action.IMPORT_IMAGES)
    if image_set.human_labels_sha256:
        raise Conflict(f"Image set {image_set.name!r} has human labels already; they are never replaced.")
    if licence:
        licence_named(licence)
    report = HumanLabelsReport(image_set.name, image_set.n_images, dry_run)
    if dry_run:
        imageset.checked_human_labels(image_set.open(), labels)
        return report
    digest = imageset.add_human_labels(image_set.directory, labels, meaning=meaning)
    with transaction.atomic():
        image_set.human_labels_sha256, image_set.human_labels_licence = digest, licence
        image_set.save(update_fields=["human_labels_sha256", "human_labels_licence"])
        audit.record(actor, "imageset.human_labels", image_set, sha256=digest)
    return report


def _remove_remains(image_set: ImageSet) -> None:
    """A directory without a row is what an import left that was killed between the two; nobody can refer to it."""
    if image_set.directory.exists():
        shutil.rmtree(image_set.directory)
