"""Image sets as directories: the images, labels, classes and splits that mixed images are made from.

An image set is opened without a database and named by a sha256 of its content; splits are part of it because
they are made before pairs are drawn. Reading other people's files into arrays is `loaders`; human labels may
be added later (`humanlabels`) and are not covered by the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.errors import DataError
from hilmix.core.files import (
    MANIFEST,
    check_files,
    describe_file,
    new_directory,
    partial_of,
    read_manifest,
    sha256_json,
    write_json,
)
from hilmix.core.loaders import Images, Ints, read_digits, read_folder, read_npz

__all__ = [
    "FORMAT", "ImageSet", "ImageSetInfo", "content_sha256", "open_image_set", "read_digits", "read_folder", "read_npz",
    "write_image_set",
]  # fmt: skip

FORMAT = "hilmix-imageset/1"
HUMAN_LABELS = "human_labels.npy"
HUMAN_VOTES = "human_votes.npy"
# What an import of human labels writes before it lists it: it may be writing now, or have been cut off.
_UNLISTED = (HUMAN_LABELS, HUMAN_VOTES, *map(partial_of, (HUMAN_LABELS, HUMAN_VOTES, MANIFEST)))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ImageSetInfo:
    """What a caller stores about an image set it wrote."""

    name: str
    sha256: str
    n: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    splits: dict[str, int]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """An open image set.

    `images` uint8 [N, H, W, C] mapped from disk, 0–255 · `labels` int64 [N] class indices · `splits` name →
    sorted int64 indices · `human_labels` float64 [N, K], rows summing to 1, or None · `human_votes` int64 [N, K], the
    counts that they are the shares of, or None, and `votes_meaning` how these are known.
    """

    directory: Path
    name: str
    sha256: str
    classes: tuple[str, ...]
    images: Images
    labels: Ints
    splits: dict[str, Ints]
    human_labels: Floats | None = None
    human_votes: Ints | None = None
    votes_meaning: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def human(self) -> Ints | Floats | None:
        """What people said, [N, K]: counts of votes where they are known, else shares, None without either."""
        return self.human_labels if self.human_votes is None else self.human_votes

    @property
    def info(self) -> ImageSetInfo:
        """The same facts without arrays."""
        height, width, channels = self.images.shape[1:]
        sizes = {name: len(indices) for name, indices in self.splits.items()}
        return ImageSetInfo(self.name, self.sha256, len(self), self.classes, (height, width, channels), sizes)


def write_image_set(
    directory: Path | str,
    *,
    images: Images,
    labels: npt.ArrayLike,
    classes: Sequence[str],
    splits: Mapping[str, npt.ArrayLike],
    name: str,
) -> ImageSetInfo:
    """Write an image set; the directory appears complete or not at all.

    Args:
        images: uint8 [N, H, W, C], C = 1 or 3.
        labels: class indices [N], 0 … K − 1.
        classes: K names, different from each other even when capitals are ignored, each with an image.
        splits: name → indices into the images, in any order; no index twice, no two splits overlapping.

    Raises DataError naming what does not hold.
    """
    directory = Path(directory)
    label_array = _integers(labels, "The labels")
    split_arrays = {
        str(key): np.sort(_integers(value, f"The split {key!r}")) for key, value in splits.items()
    }
    _check_images(images)
    _check_classes(classes, label_array, len(images))
    _check_splits(split_arrays, len(images))
    with new_directory(directory) as temporary:
        (temporary / "splits").mkdir()
        np.save(temporary / "images.npy", np.ascontiguousarray(images))
        np.save(temporary / "labels.npy", label_array)
        for key, indices in split_arrays.items():
            np.save(temporary / "splits" / f"{key}.npy", indices)
        manifest = _manifest(temporary, name, list(classes), images.shape, split_arrays)
        write_json(temporary / MANIFEST, manifest)
    return open_image_set(directory).info


def _manifest(
    directory: Path, name: str, classes: list[str], shape: tuple[int, ...], splits: Mapping[str, Ints]
) -> dict[str, Any]:
    names = ["images.npy", "labels.npy", *(f"splits/{key}.npy" for key in sorted(splits))]
    files = {path: describe_file(directory / path) for path in names}
    return {
        "format": FORMAT,
        "name": name,
        "classes": classes,
        "n": shape[0], "height": shape[1], "width": shape[2], "channels": shape[3],
        "splits": {key: len(indices) for key, indices in sorted(splits.items())},
        "files": files,
        "sha256": content_sha256(classes, files),
    }  # fmt: skip


def content_sha256(classes: Sequence[str], files: Mapping[str, Mapping[str, Any]]) -> str:
    """Name the content: format, classes and every file's hash; not the set's name, not its human labels."""
    hashes = {path: entry["sha256"] for path, entry in files.items()}
    return sha256_json({"format": FORMAT, "classes": list(classes), "files": hashes})


def _integers(values: npt.ArrayLike, what: str) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"{what} must be a list of whole numbers, not {array.dtype} {list(array.shape)}.")
    return array.astype(np.int64)


def _check_images(images: Images) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        found = f"{images.dtype} {list(images.shape)}"
        raise DataError(
            f"The images must be one uint8 array [N, height, width, channels] of values 0–255, not {found}."
        )
    if images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"The images have shape {list(images.shape)}; 1 (grey) or 3 (RGB) channels are needed."
        )


def _check_classes(classes: Sequence[str], labels: Ints, n: int) -> None:
    if len(labels) != n:
        raise DataError(f"There are {n} images but {len(labels)} labels.")
    seen: dict[str, str] = {}
    for name in classes:
        plain = name.strip().casefold()
        if not plain:
            raise DataError(f"A class has the name {name!r}; every class needs a name.")
        if plain in seen:
            raise DataError(f"Two classes have one name: {seen[plain]!r} and {name!r}. Rename one of them.")
        seen[plain] = name
    outside = labels[(labels < 0) | (labels >= len(classes))]
    if outside.size:
        raise DataError(
            f"A label is {outside[0]}, but labels of {len(classes)} classes go from 0 to {len(classes) - 1}."
        )
    for index, count in enumerate(np.bincount(labels, minlength=len(classes))):
        if count == 0:
            raise DataError(f"The class {classes[index]!r} has no image. Remove the class or add images.")


def _check_splits(splits: Mapping[str, Ints], n: int) -> None:
    owner = np.full(n, -1)
    names = list(splits)
    for position, (name, indices) in enumerate(splits.items()):
        if not name.isidentifier():
            raise DataError(
                f"{name!r} cannot name a split: use letters, digits and underscores, such as 'train'."
            )
        if not len(indices):
            raise DataError(f"The split {name!r} is empty.")
        if indices[0] < 0 or indices[-1] >= n:
            wrong = indices[0] if indices[0] < 0 else indices[-1]
            raise DataError(
                f"The split {name!r} has the index {wrong}; the {n} images have indices 0 to {n - 1}."
            )
        repeated = indices[:-1][indices[:-1] == indices[1:]]
        if repeated.size:
            raise DataError(f"The split {name!r} has the index {repeated[0]} more than once.")
        taken = indices[owner[indices] >= 0]
        if taken.size:
            other = names[owner[taken[0]]]
            raise DataError(f"The splits {other!r} and {name!r} overlap: image {taken[0]} is in both.")
        owner[indices] = position


def open_image_set(directory: Path | str, *, verify: bool = False) -> ImageSet:
    """Open an image set; with `verify`, hash every file first.

    Raises DataError naming the file that is missing, added or changed (without `verify`: of another size).
    """
    directory = Path(directory)
    manifest = read_manifest(directory, (FORMAT,), "an image set")
    try:
        files, classes = manifest["files"], manifest["classes"]
        known = {HUMAN_LABELS: manifest.get("human_labels"), HUMAN_VOTES: manifest.get("human_votes")}
        added = {name: entry for name, entry in known.items() if entry}
        if manifest["sha256"] != content_sha256(classes, files):
            raise DataError(
                f"{directory}: {MANIFEST} was changed: its sha256 does not fit what it lists. Restore it."
            )
        check_files(directory, {**files, **added}, contents=verify, ignored=_UNLISTED)
        arrays = {name: np.load(directory / name, allow_pickle=False) for name in added}
        return ImageSet(
            directory=directory,
            name=manifest["name"],
            sha256=manifest["sha256"],
            classes=tuple(classes),
            images=np.load(directory / "images.npy", mmap_mode="r", allow_pickle=False),
            labels=np.load(directory / "labels.npy", allow_pickle=False),
            splits={
                key: np.load(directory / "splits" / f"{key}.npy", allow_pickle=False)
                for key in manifest["splits"]
            },
            human_labels=arrays.get(HUMAN_LABELS),
            human_votes=arrays.get(HUMAN_VOTES),
            votes_meaning=added.get(HUMAN_VOTES, {}).get("meaning", ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{directory}: {MANIFEST} is incomplete ({error!r}). Restore the original.") from None
