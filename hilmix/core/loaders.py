"""Read other people's image files into arrays: npz archives, folders of classes, scikit-learn digits.

Each loader returns (images, labels, classes, splits or None) for `write_image_set`, and refuses what it
cannot read exactly, naming the file. Nothing is written here.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hilmix.core.errors import DataError

Images = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Loaded = tuple[Images, Ints, list[str], dict[str, Ints] | None]

MAX_PIXELS = 16_000_000  # of one image file; more is no picture to mix, but perhaps a decompression bomb

DIGITS_TRAIN_SHARE = 0.7
DIGITS_SPLIT_SEED = 0


def read_npz(path: Path | str) -> Loaded:
    """Read `images` uint8 [N, H, W, C] or [N, H, W], `labels` [N] and `classes` [K] from an .npz file."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            absent = [key for key in ("images", "labels", "classes") if key not in archive]
            if absent:
                raise DataError(
                    f"{path.name} has no array {absent[0]!r}; it needs images, labels and classes."
                )
            images, labels, classes = archive["images"], archive["labels"], archive["classes"]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError):
        # numpy's own words are left out: they advise loading the file unsafely.
        raise DataError(f"{path.name} is not a readable .npz file of plain arrays.") from None
    images = images[..., None] if images.ndim == 3 else images
    return images, labels, [str(name) for name in classes], None


def read_folder(directory: Path | str, size: int | None = None) -> Loaded:
    """Read one sub-folder a class, classes and files in alphabetical order, leaving dot files out.

    Args:
        size: cut each image to its middle square and scale it to `size` × `size`; None wants all of one size
        as they are.

    Grey stays grey if every image is; otherwise all become RGB. Raises DataError naming the file that is no
    image, broken, transparent, deeper than 8 bits or of another size, and the class folder that is empty.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"There is no folder {directory}.")
    entries = _visible(directory)
    for entry in entries:
        if not entry.is_dir():
            raise DataError(
                f"{entry.name} lies beside the class folders. Put it into its class's folder or remove it."
            )
    if not entries:
        raise DataError(f"The folder {directory} holds no class folders; it needs one sub-folder a class.")
    pictures: list[tuple[Path, Image.Image]] = []
    labels: list[int] = []
    for index, folder in enumerate(entries):
        files = _visible(folder)
        if not files:
            raise DataError(f"The class {folder.name!r} has no image. Remove its folder or add images.")
        pictures += [(path, _read_picture(path, size)) for path in files]
        labels += [index] * len(files)
    return _stack(pictures), np.array(labels, dtype=np.int64), [entry.name for entry in entries], None


def _visible(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


def _read_picture(path: Path, size: int | None) -> Image.Image:
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise DataError(f"{name} is not an image file.")
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(
                    f"{name} is {picture.width} × {picture.height} pixels, too large. Make it smaller."
                )
            picture.load()
            if picture.has_transparency_data:
                raise DataError(f"{name} has transparent parts. Save it without transparency.")
            if picture.mode not in ("1", "L", "P", "RGB"):
                raise DataError(f"{name} has the pixel format {picture.mode}; save it as 8-bit grey or RGB.")
            upright = ImageOps.exif_transpose(picture)
            converted = upright.convert("L" if upright.mode in ("1", "L") else "RGB")
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is broken: {error}.") from None
    return converted if size is None else ImageOps.fit(converted, (size, size), Image.Resampling.LANCZOS)


def _stack(pictures: list[tuple[Path, Image.Image]]) -> Images:
    first_path, first = pictures[0]
    for path, picture in pictures:
        if picture.size != first.size:
            sizes = [
                f"{p.parent.name}/{p.name} is {i.width} × {i.height}"
                for p, i in ((first_path, first), (path, picture))
            ]
            raise DataError(
                f"The images differ in size: {sizes[0]}, {sizes[1]}. Scale them to one size, or give a size."
            )
    if all(picture.mode == "L" for _, picture in pictures):
        return np.stack([np.array(picture) for _, picture in pictures])[..., None]
    return np.stack([np.array(picture.convert("RGB")) for _, picture in pictures])


def read_digits() -> Loaded:
    """Return scikit-learn's handwritten digits, uint8 [1797, 8, 8, 1], split 70/30 into train and test.

    Values 0–16 are scaled to 0–255 and rounded. The split is stratified by class and always the same.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "The digits come with scikit-learn, which is not installed: pip install scikit-learn."
        ) from None
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    train = _stratified(labels, DIGITS_TRAIN_SHARE, np.random.default_rng(DIGITS_SPLIT_SEED))
    test = np.setdiff1d(np.arange(len(labels)), train)
    return images, labels, [str(name) for name in digits.target_names], {"train": train, "test": test}


def _stratified(labels: Ints, share: float, rng: np.random.Generator) -> Ints:
    """Draw `share` of the indices of each class; return them sorted."""
    drawn = []
    for index in np.unique(labels):
        members = np.flatnonzero(labels == index)
        drawn.append(rng.permutation(members)[: round(share * len(members))])
    return np.sort(np.concatenate(drawn)).astype(np.int64)
