"""Read other people's image files into arrays: npz archives, folders of classes, Parquet tables, scikit-learn digits.

Each loader returns (images, labels, classes, splits or None) for `write_image_set`, and refuses what it
cannot read exactly, naming every file or row. Nothing is written here, and nothing is taken at its word: how large an
array or a picture says it is, is checked before it is read.
"""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, ImageOps, UnidentifiedImageError

from hilmix.core.archives import BROKEN
from hilmix.core.errors import DataError, Refused, RowError

Images = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Loaded = tuple[Images, Ints, list[str], dict[str, Ints] | None]

MAX_PIXELS = 16_000_000  # of one image file; more is no picture to mix, but perhaps a decompression bomb
MAX_BYTES = 4_000_000_000  # of all images together, as arrays
MAX_ROWS = 5_000_000  # of a table of images
MAX_CLASSES = 100_000
MOST_PROBLEMS = 100_000  # after as many pictures that are none, the others are not looked at
MAX_FILE = 100_000_000  # bytes of one picture's file in a table
# Pictures made of pixels only: some other formats are programs, or documents.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")

DIGITS_TRAIN_SHARE = 0.7
DIGITS_SPLIT_SEED = 0


def read_npz(path: Path | str) -> Loaded:
    """Read `images` uint8 [N, H, W, C] or [N, H, W], `labels` [N] and `classes` [K] from an .npz file."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        check_announced(path)
        with np.load(path, allow_pickle=False) as archive:
            absent = [key for key in ("images", "labels", "classes") if key not in archive]
            if absent:
                raise DataError(
                    f"{path.name} has no array {absent[0]!r}; it needs images, labels and classes."
                )
            images, labels, classes = archive["images"], archive["labels"], archive["classes"]
            _check_number_of_classes(classes.size)
    except DataError:
        raise
    except (*BROKEN, TypeError, KeyError, SyntaxError, tokenize.TokenError, MemoryError):
        # numpy's own words are left out: they advise loading the file unsafely.
        raise DataError(f"{path.name} is not a readable .npz file of plain arrays.") from None
    images = images[..., None] if images.ndim == 3 else images
    return images, labels, [str(name) for name in np.atleast_1d(classes)], None


def check_announced(path: Path) -> None:
    """Refuse an archive whose arrays would be larger than may be, from their headers alone."""
    with zipfile.ZipFile(path) as archive:
        n_bytes = 0
        for entry in archive.infolist():
            with archive.open(entry) as file:
                n_bytes += _announced(file, entry.filename)
            if n_bytes > MAX_BYTES:
                raise DataError(f"{path.name} holds more than {MAX_BYTES / 1e9:g} GB of arrays.")


def _announced(file: IO[bytes], name: str) -> int:
    """How many bytes the array in a .npy file says it has."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{name} is an array of an unknown version {version}.")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _order, dtype = read(file)
    if min(shape, default=0) < 0:
        raise DataError(f"{name} is an array of {min(shape)} rows or columns.")
    return math.prod(shape) * dtype.itemsize


def read_folder(directory: Path | str, size: int | None = None) -> Loaded:
    """Read one sub-folder a class, classes and files in alphabetical order, leaving dot files out.

    Args:
        size: cut each image to its middle square and scale it to `size` × `size`; None wants all of one size
        as they are.

    Grey stays grey if every image is; otherwise all become RGB. Raises DataError naming every file that is no
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
    files: list[Path] = []
    labels: list[int] = []
    for index, folder in enumerate(entries):
        found = _visible(folder)
        if not found:
            raise DataError(f"The class {folder.name!r} has no image. Remove its folder or add images.")
        files += found
        labels += [index] * len(found)
    named = ((f"{path.parent.name}/{path.name}", path) for path in files)
    images = _stack(_read_pictures(named, size, "files"))
    return images, np.array(labels, dtype=np.int64), [entry.name for entry in entries], None


def read_parquet(path: Path | str, size: int | None = None) -> Loaded:
    """Read a Parquet table with a column `image` and a column `label`, as the Hugging Face Hub has them.

    An image is the bytes of a picture file, or a struct that has them as `bytes`; a label is a text, or a whole
    number with the classes' names in the file's Hugging Face metadata (else the numbers are the names). `size` as in
    `read_folder`. Raises DataError naming every row that is no image.
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as file:
            _check_table(file, path.name)
            labels, classes = _read_labels(path, file.schema_arrow)
            pictures = _read_pictures(_rows_of_images(file), size, path.name)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{path.name} is no readable Parquet table ({error}).") from None
    return _stack(pictures), labels, classes, None


def _check_table(file: pq.ParquetFile, name: str) -> None:
    """Refuse a table of other columns, or that would be larger than may be, from what it says of itself."""
    if missing := {"image", "label"} - set(file.schema_arrow.names):
        raise DataError(f"{name} has no column {min(missing)!r}; it needs image and label.")
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    n_bytes = sum(group.total_byte_size for group in groups)
    if file.metadata.num_rows > MAX_ROWS or n_bytes > MAX_BYTES or any(g.num_rows > MAX_ROWS for g in groups):
        raise DataError(f"{name} holds more than {MAX_ROWS:,} rows or {MAX_BYTES / 1e9:g} GB.")
    kind = file.schema_arrow.field("image").type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(f"{name}: the column image holds {kind}, not the bytes of pictures.")


def _rows_of_images(file: pq.ParquetFile) -> Iterator[tuple[str, Any]]:
    """One row at a time: a table that has the same long picture in a million rows holds it once."""
    for number, batch in enumerate(file.iter_batches(batch_size=1, columns=["image"])):
        (value,) = batch.column(0).to_pylist()
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is not None and len(content) > MAX_FILE:
            raise DataError(f"Row {number} holds a picture of more than {MAX_FILE / 1e6:g} MB.")
        yield f"row {number}", None if content is None else io.BytesIO(content)


def _read_labels(path: Path, schema: pa.Schema) -> tuple[Ints, list[str]]:
    """Labels as positions in a list of names. Texts stay as few as they are: a table that has the same long text in a
    million rows holds it once."""
    kind = schema.field("label").type
    if pa.types.is_integer(kind):
        labels = _joined(pq.read_table(path, columns=["label"])["label"].cast(pa.int64()).chunks)
        names = _names_of(schema.metadata or {}) or _numbers_to(labels.max(initial=0))
        if len(outside := labels[(labels < 0) | (labels >= len(names))]):
            raise DataError(f"A label is {outside[0]}, but there are {len(names)} classes.")
        return labels, names
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"The column label holds {kind}, neither texts nor whole numbers.")
    found: dict[str, int] = {}
    columns: list[pa.Array] = []
    with pq.ParquetFile(path, read_dictionary=["label"]) as file:
        for batch in file.iter_batches(batch_size=1000, columns=["label"]):
            texts = batch.column(0)
            places = [found.setdefault(text, len(found)) for text in texts.dictionary.to_pylist()]
            _check_number_of_classes(len(found))
            columns.append(pa.array(places, pa.int64()).take(texts.indices))
    labels = _joined(columns)
    used = set(labels.tolist())
    names = sorted(text for text, place in found.items() if place in used)
    order = {found[name]: index for index, name in enumerate(names)}
    return np.array([order[place] for place in labels.tolist()], dtype=np.int64), names


def _joined(columns: list[pa.Array]) -> Ints:
    labels = pa.chunked_array(columns, pa.int64())
    if labels.null_count:
        raise DataError(f"Row {pc.index(labels.is_null(), True).as_py()} has no label.")
    return np.asarray(labels, dtype=np.int64)


def _numbers_to(largest: int) -> list[str]:
    _check_number_of_classes(int(largest) + 1)
    return [str(value) for value in range(int(largest) + 1)]


def _check_number_of_classes(n: int) -> None:
    if n > MAX_CLASSES:
        raise DataError(f"There are more than {MAX_CLASSES:,} classes.")


def _names_of(metadata: dict[bytes, bytes]) -> list[str] | None:
    """The classes' names as the `datasets` library writes them."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _read_pictures(
    files: Iterable[tuple[str, Any]], size: int | None, table: str
) -> list[tuple[str, Image.Image]]:
    """The pictures with their names; raises `Refused` with every one that cannot be read."""
    pictures: list[tuple[str, Image.Image]] = []
    problems: list[RowError] = []
    n_bytes = 0
    for row, (name, file) in enumerate(files):
        try:
            picture = read_picture(name, file, size)
        except DataError as error:
            problems.append({"table": table, "row": row, "column": "image", "problem": str(error)})
            if len(problems) == MOST_PROBLEMS:
                break
            continue
        n_bytes += picture.width * picture.height * len(picture.getbands())
        if n_bytes > MAX_BYTES:
            raise DataError(f"The images are larger than {MAX_BYTES / 1e9:g} GB together.")
        pictures.append((name, picture))
    if problems:
        raise Refused(problems)
    return pictures


def _visible(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


def read_picture(name: str, file: Any, size: int | tuple[int, int] | None) -> Image.Image:
    """An image file, upright, grey ("L") or RGB; with `size`, a side or width and height, scaled and cropped to it.
    Raises `DataError` for what is no picture, broken, transparent or too large."""
    if file is None or (isinstance(file, Path) and not file.is_file()):
        raise DataError(f"{name} is not an image file.")
    try:
        with Image.open(file, formats=FORMATS) as picture:
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
        raise DataError(f"{name} is not an image of a format that is read ({', '.join(FORMATS)}).") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is broken: {error}.") from None
    if size is None:
        return converted
    return ImageOps.fit(converted, (size, size) if isinstance(size, int) else size, Image.Resampling.LANCZOS)


def _stack(pictures: list[tuple[str, Image.Image]]) -> Images:
    if not pictures:
        raise DataError("There is no image.")
    first_name, first = pictures[0]
    for name, picture in pictures:
        if picture.size != first.size:
            sizes = [f"{n} is {i.width} × {i.height}" for n, i in ((first_name, first), (name, picture))]
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
    names = [str(name) for name in digits.target_names]
    return images, labels, names, stratified_splits(labels, DIGITS_TRAIN_SHARE)


def stratified_splits(labels: Ints, train_share: float, seed: int = DIGITS_SPLIT_SEED) -> dict[str, Ints]:
    """Splits train and test with `train_share` (0–1) of the images of each class in train; the same for a seed."""
    rng = np.random.default_rng(seed)
    drawn = []
    for index in np.unique(labels):
        members = np.flatnonzero(labels == index)
        drawn.append(rng.permutation(members)[: round(train_share * len(members))])
    train = np.sort(np.concatenate(drawn)).astype(np.int64)
    return {"train": train, "test": np.setdiff1d(np.arange(len(labels)), train)}
