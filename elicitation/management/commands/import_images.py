"""`manage.py import_images digits|npz PATH|folder DIR|cifar10 --name NAME`: parent images become an image set."""

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
from hilmix.core.loaders import Loaded, read_digits, read_folder, read_npz


class Command(OperatorCommand):
    help = "Import parent images. A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["digits", "npz", "folder", "cifar10"])
        parser.add_argument(
            "path", nargs="?", type=Path, help="the .npz file, or the folder with one sub-folder a class"
        )
        parser.add_argument("--name", required=True, help="lower-case letters, digits, hyphens")
        parser.add_argument(
            "--split", help="train=FILE.npy,test=FILE.npy: positions of the images of each split"
        )
        parser.add_argument("--size", type=int, help="folder: scale every image to SIZE × SIZE pixels")

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
            actor=OPERATOR,
        )
        sizes = ", ".join(f"{name} {n}" for name, n in image_set.splits.items())
        self.stdout.write(
            f"Imported {image_set.n_images} images of {len(image_set.classes)} classes as {image_set.name!r} ({sizes})."
        )
        if splits is None:
            self.stderr.write(
                "No --split given: every image is in the split 'train', so nothing can be evaluated on this set."
            )

    def _load(self, options: dict[str, Any]) -> Loaded:
        kind, path = options["kind"], options["path"]
        if kind in ("npz", "folder") and path is None:
            raise CommandError(f"{kind} needs a path: import_images {kind} PATH --name NAME.")
        if kind == "digits":
            return read_digits()
        if kind == "npz":
            return read_npz(path)
        if kind == "folder":
            return read_folder(path, size=options["size"])
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
