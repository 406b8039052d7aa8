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
from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core import imageset
from hilmix.core.errors import DataError
from hilmix.core.humanlabels import (
    HumanLabels,
    VoteRange,
    add_human_labels,
    add_human_votes,
    check_only_votes,
    read_human_labels,
)
from hilmix.core.licences import licence_named
from hilmix.core.loaders import Ints
from hilmix.errors import Conflict, Invalid

AUDITED = "imageset.human_labels"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


@dataclass(frozen=True)
class HumanLabelsReport:
    """How many human labels fit the image set and, unless it was a dry run, were attached; `votes` are their counts,
    `how` these are known, and `only_votes` says that the labels had been there before."""

    image_set: str
    n: int
    dry_run: bool
    votes: Ints | None = None
    how: str = ""
    only_votes: bool = False

    def as_text(self) -> str:
        """The same in words."""
        text = f"{self.n} human labels attached to {self.image_set!r}."
        if self.only_votes:
            text = f"Votes attached to the {self.n} human labels of {self.image_set!r}."
        if self.dry_run:
            text = f"Nothing was stored: {self.n} human labels fit {self.image_set!r}."
        if self.votes is not None:
            each = self.votes.sum(axis=1)
            text += f" {each.sum():,} votes, {each.min()} to {each.max()} an image: {self.how}."
        return text

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
    votes: VoteRange | None = None,
    dry_run: bool = False,
    actor: Actor,
) -> HumanLabelsReport:
    """Attach what people said about the parent images: [N, K], each row a probability vector, or counts of votes.
    Counts may come later than their shares; nothing else is replaced or added. A dry run checks and attaches nothing.

    Args:
        licence: of these labels, a name of `core.licences`; empty where none was stated.
        votes: `labels` are shares of so many votes an image, and the counts are found from them.

    Raises:
        Conflict: the image set has human labels already, and these are not the counts that they lack.
        DataError: the shape does not fit; `Refused` names every row that is wrong.
    """
    require(actor, Action.IMPORT_IMAGES)
    if licence:
        licence_named(licence)
    given = read_human_labels(image_set.open(), labels, votes)
    counted = {} if given.votes is None else {"votes": int(given.votes.sum())}
    with transaction.atomic():
        # Another import may have come in since the caller read the row, and between this check and what is written.
        stored = ImageSet.objects.select_for_update().get(pk=image_set.pk)
        there = bool(stored.human_labels_sha256)
        cut_off = there and _is_cut_off(stored, given)
        if there:
            _check_only_votes(stored, given, licence, written=cut_off)
        report = HumanLabelsReport(stored.name, stored.n_images, dry_run, given.votes, given.how, there)
        if dry_run:
            return report
        if not there:
            stored.human_labels_sha256 = add_human_labels(stored.directory, given, meaning)
            stored.human_labels_licence = licence
        elif not cut_off:
            add_human_votes(stored.directory, given)
        stored.save(update_fields=["human_labels_sha256", "human_labels_licence"])
        audit.record(actor, AUDITED, stored, sha256=stored.human_labels_sha256, **counted)
    image_set.human_labels_sha256 = stored.human_labels_sha256
    image_set.human_labels_licence = stored.human_labels_licence
    return report


def _is_cut_off(image_set: ImageSet, given: HumanLabels) -> bool:
    """Whether an import wrote these counts and ended before it was recorded; the same import then makes up for it."""
    votes = image_set.open().human_votes
    if votes is None or given.votes is None or not np.array_equal(votes, given.votes):
        return False
    recorded = AuditEvent.objects.filter(
        action=AUDITED, object_kind=image_set._meta.label_lower, object_id=str(image_set.pk)
    )
    return not any("votes" in event.detail for event in recorded)


def _check_only_votes(image_set: ImageSet, given: HumanLabels, licence: str, *, written: bool) -> None:
    """Raise Conflict unless all that is new are the counts of the labels that are there, or these are `written`."""
    try:
        if not written:
            check_only_votes(image_set.open(), given)
    except DataError as error:
        raise Conflict(str(error)) from None
    if licence not in ("", image_set.human_labels_licence):
        stated = image_set.human_labels_licence or "none stated"
        raise Conflict(
            f"The human labels of {image_set.name!r} have the licence {stated}; their counts have it too. Leave the "
            "licence out."
        )


def _remove_remains(image_set: ImageSet) -> None:
    """A directory without a row is what an import left that was killed between the two; nobody can refer to it."""
    if image_set.directory.exists():
        shutil.rmtree(image_set.directory)
