"""`manage.py import_images KIND [PATH] --name NAME`: parent images become an image set."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError

from elicitation.images.cifar10 import read_cifar10
from elicitation.images.services import import_images
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.core.errors import DataError
from hilmix.core.loaders import Loaded, read_digits, read_folder, read_npz, read_parquet


class Command(OperatorCommand):
    help = "Import parent images. A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["digits", "npz", "folder", "parquet", "cifar10"])
        parser.add_argument(
            "path",
            nargs="?",
            type=Path,
            help="the .npz or Parquet file, or the folder with one sub-folder a class",
        )
        parser.add_argument("--name", required=True, help="lower-case letters, digits, hyphens")
        parser.add_argument(
            "--split", help="train=FILE.npy,test=FILE.npy: positions of the images of each split"
        )
        parser.add_argument(
            "--size", type=int, help="folder, parquet: scale every image to SIZE × SIZE pixels"
        )
        parser.add_argument("--licence", default="", help="of the images: an SPDX name such as CC-BY-4.0")
        parser.add_argument(
            "--origin", default="", help="whom to credit for the images, and where they are from"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would come in; store nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        images, labels, classes, splits = self._load(options)
        if options["split"]:
            splits = read_splits(options["split"])
        image_set = import_images(
            name=options["name"],
            kind=options["kind"],
            images=images,
            labels=labels,
            classes=classes,
            splits=splits or {"train": np.arange(len(images))},
            licence=options["licence"],
            origin=options["origin"],
            actor=OPERATOR,
            dry_run=options["dry_run"],
        )
        sizes = ", ".join(f"{name} {n}" for name, n in image_set.splits.items())
        came = "Nothing was stored; this would be imported:" if options["dry_run"] else "Imported"
        self.stdout.write(
            f"{came} {image_set.n_images} images of {len(image_set.classes)} classes as {image_set.name!r} ({sizes})."
        )
        if splits is None:
            self.stderr.write(
                "No --split given: every image is in the split 'train', so nothing can be evaluated on this set."
            )

    def _load(self, options: dict[str, Any]) -> Loaded:
        kind, path = options["kind"], options["path"]
        if kind in ("npz", "folder", "parquet") and path is None:
            raise CommandError(f"{kind} needs a path: import_images {kind} PATH --name NAME.")
        if kind == "digits":
            return read_digits()
        if kind == "npz":
            return read_npz(path)
        if kind == "folder":
            return read_folder(path, size=options["size"])
        if kind == "parquet":
            return read_parquet(path, size=options["size"])
        return read_cifar10(say=self.stderr.write)


def read_splits(text: str) -> dict[str, np.ndarray]:
    """`train=a.npy,test=b.npy` as name → positions.

    Raises:
        DataError: the text has another form, a file is missing or holds no whole numbers, or a name is there twice.
    """
    splits: dict[str, np.ndarray] = {}
    for part in text.split(","):
        name, equals, file = part.partition("=")
        if not equals or not name or not file:
            raise DataError(f"--split is train=FILE.npy,test=FILE.npy; {part!r} has another form.")
        if name in splits:
            raise DataError(f"--split names {name!r} twice.")
        splits[name] = read_array(Path(file))
        if splits[name].ndim != 1 or not np.issubdtype(splits[name].dtype, np.integer):
            raise DataError(
                f"{file} must hold a list of whole numbers, the positions of the images in {name!r}."
            )
    return splits


def read_array(path: Path) -> np.ndarray:
    """The array in a .npy file; never unpickles (checklist S11)."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is no .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of arrays, not one .npy array.")
    return array
