"""What can be brought as a file and imported: by kind, what is asked for beside the file, and who may bring it.

An importer says what came in as JSON (`ImportReport.as_json`, or the same keys), or raises DataError with nothing
written. A dry run reports the same and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from elicitation.images.models import ImageSet
from elicitation.images.services import import_human_labels, import_images
from hilmix.accounts.roles import Action, Actor
from hilmix.core.archives import BROKEN, unpack
from hilmix.core.errors import DataError
from hilmix.core.humanlabels import VoteRange
from hilmix.core.loaders import Loaded, read_folder, read_npz, read_parquet, stratified_splits
from hilmix.hub.importers.cifar10s import import_cifar10s
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.releases import import_release
from hilmix.jobs.progress import Progress


@dataclass(frozen=True)
class Brought:
    """A file to import: where it lies, an empty folder to unpack it to, what was chosen, and whether only to try."""

    path: Path
    folder: Path
    options: Mapping[str, Any]
    dry_run: bool
    actor: Actor
    progress: Progress

    @property
    def image_set(self) -> ImageSet:
        """The image set that was chosen."""
        return ImageSet.objects.get(name=self.options["image_set"])

    @property
    def unpacked(self) -> Path:
        """The folder with what the archive holds: the one folder at its top, if that is all there is."""
        unpack(self.path, self.folder)
        entries = list(self.folder.iterdir())
        return entries[0] if len(entries) == 1 and entries[0].is_dir() else self.folder


@dataclass(frozen=True)
class Importer:
    """`asks` names the fields of the form; `suffix` is how the file's name ends."""

    label: str | Promise
    help: str | Promise
    suffix: str
    action: Action
    asks: tuple[str, ...]
    run: Callable[[Brought], dict[str, Any]]


def _images(read: Callable[[Brought], Loaded], kind: str) -> Callable[[Brought], dict[str, Any]]:
    def run(brought: Brought) -> dict[str, Any]:
        images, labels, classes, splits = read(brought)
        share = 1 - brought.options["test_percent"] / 100
        splits = splits or (
            stratified_splits(labels, share) if share < 1 else {"train": np.arange(len(labels))}
        )
        import_images(
            name=brought.options["name"],
            kind=kind,
            images=images,
            labels=labels,
            classes=classes,
            splits=splits,
            licence=brought.options["licence"],
            origin=brought.options["origin"],
            actor=brought.actor,
            dry_run=brought.dry_run,
        )
        sizes = ", ".join(f"{name} {len(indices):,}" for name, indices in splits.items())
        _n, height, width, channels = images.shape
        notes = [
            f"{len(images):,} images of {height} × {width} pixels, {channels} channels, {len(classes)} classes.",
            f"Splits: {sizes}.",
            f"Classes: {', '.join(classes)}.",
        ]
        return {"kind": kind, "dry_run": brought.dry_run, "notes": notes, "tables": {}}

    return run


def _from_folder(brought: Brought) -> Loaded:
    return read_folder(brought.unpacked, size=brought.options["size"])


def _from_parquet(brought: Brought) -> Loaded:
    return read_parquet(brought.path, size=brought.options["size"])


def _human_labels(brought: Brought) -> dict[str, Any]:
    try:
        labels = np.load(brought.path, allow_pickle=False, mmap_mode="r")
    except (*BROKEN, SyntaxError, TokenError, MemoryError):
        raise DataError("The file is no .npy array.") from None
    if not isinstance(labels, np.ndarray):
        raise DataError("The file is an archive of arrays, not one .npy array.")
    return import_human_labels(
        image_set=brought.image_set,
        labels=labels,
        meaning=brought.options["meaning"],
        licence=brought.options["licence"],
        votes=VoteRange.parse(said) if (said := brought.options.get("votes")) else None,
        actor=brought.actor,
        dry_run=brought.dry_run,
    ).as_json()


def _chosen(brought: Brought) -> dict[str, Any]:
    """What every importer of answers is told."""
    return {
        "image_set": brought.image_set,
        "licence": brought.options["licence"],
        "actor": brought.actor,
        "progress": brought.progress,
        "dry_run": brought.dry_run,
    }


def _hmix(brought: Brought) -> dict[str, Any]:
    return import_hmix(directory=brought.unpacked, **_chosen(brought)).as_json()


def _cifar10s(brought: Brought) -> dict[str, Any]:
    slug = brought.options["slug"]
    return import_cifar10s(file=brought.path, slug=slug, **_chosen(brought)).as_json()


def _release(brought: Brought) -> dict[str, Any]:
    slug = brought.options["slug"]
    return import_release(directory=brought.unpacked, slug=slug, **_chosen(brought)).as_json()


_OF_IMAGES = ("name", "size", "test_percent", "licence", "origin")
IMPORTERS: dict[str, Importer] = {
    "images_zip": Importer(
        _("Images in a zip archive"),
        _("One folder a class, with its pictures (PNG, JPEG, WebP, BMP, TIFF, GIF, PPM)."),
        ".zip", Action.IMPORT_IMAGES, _OF_IMAGES, _images(_from_folder, "folder"),
    ),
    "images_npz": Importer(
        _("Images as numpy arrays"),
        _("An .npz file with the arrays images, labels and classes."),
        ".npz", Action.IMPORT_IMAGES, ("name", "test_percent", "licence", "origin"),
        _images(lambda brought: read_npz(brought.path), "npz"),
    ),
    "images_parquet": Importer(
        _("Images in a Parquet table"),
        _("With the columns image and label, as on the Hugging Face Hub."),
        ".parquet", Action.IMPORT_IMAGES, _OF_IMAGES, _images(_from_parquet, "parquet"),
    ),
    "human_labels": Importer(
        _("Human labels of an image set"),
        _("A .npy array: for each image, in their order, the probability of each class, or its votes."),
        ".npy", Action.IMPORT_IMAGES, ("image_set", "votes", "meaning", "licence"), _human_labels,
    ),
    "hmix": Importer(
        _("The published H-Mix answers"),
        _("A zip archive with the four csv tables, about the CIFAR-10 test images."),
        ".zip", Action.IMPORT_ANSWERS, ("image_set", "licence"), _hmix,
    ),
    "cifar10s": Importer(
        _("CIFAR-10S answers"),
        _("A JSON file: image → what each person said, and perhaps the published soft labels."),
        ".json", Action.IMPORT_ANSWERS, ("image_set", "slug", "licence"), _cifar10s,
    ),
    "release": Importer(
        _("A release of another hilmix"),
        _("A zip archive of the release's folder; its answers become an imported study."),
        ".zip", Action.IMPORT_ANSWERS, ("image_set", "slug", "licence"), _release,
    ),
}  # fmt: skip
