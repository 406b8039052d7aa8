from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hilmix.core import loaders
from hilmix.core.errors import DataError, Refused
from hilmix.core.loaders import read_folder, read_npz, read_parquet


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "pets" / "dog" / "b.png", np.full((4, 6, 3), 7, np.uint8))
    save(tmp_path / "pets" / "dog" / "a.png", np.full((4, 6, 3), 5, np.uint8))
    save(tmp_path / "pets" / "cat" / "x.png", np.full((4, 6), 9, np.uint8))
    return tmp_path / "pets"


def test_a_folder_is_read_in_alphabetical_order(folder):
    (folder / ".hidden").write_text("left out", "utf-8")
    images, labels, classes, splits = read_folder(folder)
    assert (images.shape, images[:, 0, 0, 0].tolist()) == ((3, 4, 6, 3), [9, 5, 7])
    assert (labels.tolist(), classes, splits) == ([0, 1, 1], ["cat", "dog"], None)


def test_grey_stays_grey_if_every_image_is(tmp_path):
    save(tmp_path / "zero" / "a.png", np.full((3, 3), 9, np.uint8))
    assert read_folder(tmp_path)[0].shape == (1, 3, 3, 1)


def test_a_size_cuts_the_middle_square_and_scales_it(folder):
    assert read_folder(folder, size=2)[0].shape == (3, 2, 2, 3)


def test_each_unusable_file_is_named(folder, tmp_path):
    def refused(path: Path, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_folder(folder)
        path.unlink()

    text = folder / "dog" / "c.png"
    text.write_text("no picture", "utf-8")
    refused(text, r"dog/c\.png is not an image")
    broken = save(
        folder / "dog" / "c.png", np.random.default_rng(0).integers(0, 255, (4, 6, 3)).astype(np.uint8)
    )
    broken.write_bytes(broken.read_bytes()[:60])
    refused(broken, r"dog/c\.png is broken")
    refused(
        save(folder / "dog" / "c.png", np.zeros((5, 6, 3), np.uint8)),
        r"cat/x\.png is 6 × 4, dog/c\.png is 6 × 5",
    )
    refused(
        save(folder / "dog" / "c.png", np.zeros((4, 6, 4), np.uint8)), r"dog/c\.png has transparent parts"
    )
    refused(
        save(folder / "dog" / "c.png", np.zeros((4, 6), np.uint16)), r"dog/c\.png has the pixel format I;16"
    )
    refused(save(folder / "dog" / "c.png", np.zeros((4001, 4000), np.uint8)), "too large")
    stray = folder / "readme.txt"
    stray.write_text("x", "utf-8")
    refused(stray, r"readme\.txt lies beside the class folders")
    (folder / "dog" / "more").mkdir()
    with pytest.raises(DataError, match="dog/more is not an image file"):
        read_folder(folder)
    (folder / "dog" / "more").rmdir()
    (folder / "fox").mkdir()
    with pytest.raises(DataError, match="The class 'fox' has no image"):
        read_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no class folders"):
        read_folder(tmp_path / "empty")
    with pytest.raises(DataError, match="There is no folder"):
        read_folder(tmp_path / "nowhere")


def test_a_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    save(tmp_path / "dog" / "a.png", np.zeros((4, 6, 3), np.uint8), exif=exif)
    assert read_folder(tmp_path)[0].shape == (1, 6, 4, 3)


def test_an_npz_archive_is_read_with_or_without_channels(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((2, 3, 3), np.uint8), labels=[0, 1], classes=["cat", "dog"])
    images, labels, classes, splits = read_npz(path)
    assert (images.shape, labels.tolist(), classes, splits) == ((2, 3, 3, 1), [0, 1], ["cat", "dog"], None)


def test_an_npz_archive_that_is_none_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        read_npz(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", images=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match=r"set\.npz has no array 'labels'"):
        read_npz(tmp_path / "set.npz")
    (tmp_path / "set.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"set\.npz is not a readable \.npz file"):
        read_npz(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", images=np.array([{}]), labels=[0], classes=["a"])
    with pytest.raises(DataError, match="not a readable"):  # never unpickled
        read_npz(tmp_path / "set.npz")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(DataError, match="not a readable"):
        read_npz(tmp_path / "plain.npy")


def test_every_unusable_file_is_named_at_once(folder):
    for name in ("c.png", "d.png"):
        (folder / "dog" / name).write_text("no picture", "utf-8")
    with pytest.raises(Refused) as refused:
        read_folder(folder)
    assert [(error["row"], error["problem"][:9]) for error in refused.value.errors] == [
        (3, "dog/c.png"),
        (4, "dog/d.png"),
    ]


def test_an_archive_that_announces_more_than_may_be_is_not_read(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 100, 100, 3)}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DataError, match="more than 4 GB"):
        read_npz(tmp_path / "bomb.npz")


def test_a_picture_that_announces_more_pixels_than_may_be_is_not_read(folder, monkeypatch):
    bomb = save(folder / "dog" / "c.png", np.zeros((5000, 5000), np.uint8))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DataError, match="5000 × 5000 pixels, too large"):
        read_folder(folder)


@pytest.mark.parametrize(
    "content",
    [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 6\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_a_program_or_a_document_is_no_picture(folder, content):
    (folder / "dog" / "c.png").write_bytes(content)
    with pytest.raises(DataError, match="not an image of a format that is read"):
        read_folder(folder)


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def table(path: Path, columns: dict, metadata: dict | None = None) -> Path:
    made = pa.table(columns)
    pq.write_table(made.replace_schema_metadata(metadata), path)
    return path


def test_a_table_of_images_is_read_as_the_hub_writes_it(tmp_path):
    pictures = [{"bytes": png(value), "path": None} for value in (5, 7, 9)]
    named = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"]}}}})}
    path = table(tmp_path / "a.parquet", {"image": pictures, "label": [1, 0, 1]}, named)
    images, labels, classes, splits = read_parquet(path)
    assert (images[:, 0, 0, 0].tolist(), labels.tolist(), classes, splits) == (
        [5, 7, 9],
        [1, 0, 1],
        ["cat", "dog"],
        None,
    )
    texts = table(tmp_path / "b.parquet", {"image": [png(1), png(2)], "label": ["dog", "cat"]})
    assert read_parquet(texts)[1:3] == (pytest.approx([1, 0]), ["cat", "dog"])
    assert read_parquet(texts, size=2)[0].shape == (2, 2, 2, 3)


def test_a_table_that_is_none_or_holds_something_else_is_refused(tmp_path):
    def refused(message: str, columns: dict) -> None:
        with pytest.raises(DataError, match=message):
            read_parquet(table(tmp_path / "a.parquet", columns))

    refused("no column 'image'", {"label": [1]})
    refused("holds string, not the bytes of pictures", {"image": ["http://elsewhere/a.png"], "label": [1]})
    refused("row 1 is not an image file", {"image": [png(1), None], "label": [1, 0]})
    refused("row 0 is not an image of", {"image": [b"text"], "label": [1]})
    refused("Row 1 has no label", {"image": [png(1), png(2)], "label": [1, None]})
    refused("neither texts nor whole numbers", {"image": [png(1)], "label": [0.5]})
    refused("There is no image", {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(DataError, match="no readable Parquet table"):
        read_parquet(tmp_path / "b.parquet")


# --- Small files that would be large ------------------------------------------------------------------------


def npy(shape: tuple[int, ...], content: bytes = b"", kind: str = "|u1") -> bytes:
    """A .npy file that announces an array of `shape`, with only `content` in it."""
    header = io.BytesIO()
    announced = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, announced)
    return header.getvalue() + content


def archive(path: Path, **arrays: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in arrays.items():
            packed.writestr(f"{name}.npy", content)
    return path


def test_an_array_of_fewer_than_no_rows_does_not_make_room_for_one_that_is_too_large(tmp_path):
    path = archive(tmp_path / "a.npz", debt=npy((-(10**12),)), images=npy((10**11,)))
    with pytest.raises(DataError, match="an array of -1000000000000 rows"):
        read_npz(path)


def test_more_classes_than_may_be_are_not_written_out(tmp_path, monkeypatch):
    monkeypatch.setattr(loaders, "MAX_CLASSES", 10)
    path = archive(
        tmp_path / "a.npz",
        images=npy((1, 1, 1, 3), bytes(3)),
        labels=npy((1,), bytes(1)),
        classes=npy((11,), bytes(11), "|S1"),
    )
    for refused in (
        lambda: read_npz(path),
        lambda: read_parquet(table(tmp_path / "a.parquet", {"image": [png(1)], "label": [10]})),
        lambda: read_parquet(
            table(tmp_path / "b.parquet", {"image": [png(1)] * 11, "label": [*map(str, range(11))]})
        ),
    ):
        with pytest.raises(DataError, match="more than 10 classes"):
            refused()


@pytest.mark.parametrize("shape", ["-" * 9000 + "1", "(" * 9000, "[" * 200 + "]" * 200, "__import__('os')"])
def test_a_header_that_is_a_riddle_is_refused(tmp_path, shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    hostile = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(DataError, match="not a readable"):
        read_npz(archive(tmp_path / "a.npz", images=hostile))


def said_often(path: Path, value: str | bytes, n: int) -> Path:
    """A table that has one value in each of `n` rows, and in the file once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array([value]))
    other = ("image", pa.array([png(1)] * n)) if isinstance(value, str) else ("label", pa.array(["a"] * n))
    columns = {other[0]: other[1], "label" if isinstance(value, str) else "image": column}
    made = pa.table(columns)
    with pq.ParquetWriter(path, made.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(made)
    assert path.stat().st_size < 100_000
    return path


def test_a_table_that_says_one_long_text_in_every_row_is_read_without_writing_it_out(tmp_path):
    """As the label, and as the bytes of a picture; 300 MB each, were they written out."""
    for path in (
        said_often(tmp_path / "a.parquet", "x" * 1_000_000, 300),
        said_often(tmp_path / "b.parquet", bytes(3_000_000), 100),
    ):
        before = pa.default_memory_pool().max_memory()
        with contextlib.suppress(Refused):  # the pictures of the second are none
            read_parquet(path)
        assert pa.default_memory_pool().max_memory() <= max(before, 50_000_000)


def test_a_picture_larger_than_any_and_endlessly_many_that_are_none_are_not_gone_through(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(loaders, "MAX_FILE", 1000)
    with pytest.raises(DataError, match="Row 0 holds a picture of more than"):
        read_parquet(said_often(tmp_path / "a.parquet", bytes(1001), 3))
    monkeypatch.setattr(loaders, "MOST_PROBLEMS", 4)
    with pytest.raises(Refused) as refused:
        read_parquet(said_often(tmp_path / "b.parquet", b"none", 9))
    assert refused.value.n == 4


@pytest.mark.parametrize(("first", "last"), [("PNG", "ZIP"), ("PNG", "HTML"), ("GIF", "HTML")])
def test_of_a_file_that_is_two_only_the_pixels_are_read(folder, first, last):
    behind = {"ZIP": b"PK\x05\x06" + bytes(18), "HTML": b"<script>alert(1)</script>"}[last]
    path = save(folder / "dog" / f"c.{first.lower()}", np.full((4, 6, 3), 3, np.uint8))
    path.write_bytes(path.read_bytes() + behind)
    images = read_folder(folder)[0]
    assert images.shape == (4, 4, 6, 3)
    assert images.nbytes == 4 * 4 * 6 * 3
