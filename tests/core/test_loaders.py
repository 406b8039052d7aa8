from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilmix.core.errors import DataError
from hilmix.core.loaders import read_folder, read_npz


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
