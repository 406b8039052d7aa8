from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hilmix.core import imageset
from hilmix.core.errors import DataError
from hilmix.core.imageset import open_image_set, read_digits, write_image_set


def content() -> dict:
    images = np.arange(6 * 2 * 2, dtype=np.uint8).reshape(6, 2, 2, 1)
    splits = {"train": [4, 0, 1], "test": [5, 2]}
    return {"images": images, "labels": [0, 1, 0, 1, 0, 1], "classes": ["cat", "dog"], "splits": splits}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_image_set(tmp_path / "pets", name="pets", **content())
    return tmp_path / "pets"


def test_an_image_set_comes_back_as_it_was_written(directory):
    opened = open_image_set(directory, verify=True)
    assert isinstance(opened.images, np.memmap)
    assert np.array_equal(opened.images, content()["images"])
    assert opened.labels.tolist() == content()["labels"]
    assert opened.classes == ("cat", "dog")
    assert {name: indices.tolist() for name, indices in opened.splits.items()} == {
        "train": [0, 1, 4],
        "test": [2, 5],
    }
    assert opened.human_labels is None
    assert (len(opened), opened.info.shape, opened.info.splits) == (6, (2, 2, 1), {"train": 3, "test": 2})


def test_the_hash_names_the_content_and_not_the_name(directory, tmp_path):
    renamed = write_image_set(tmp_path / "other", name="other", **content())
    assert renamed.sha256 == open_image_set(directory).sha256
    for change in (
        {"images": content()["images"] + 1},
        {"labels": [1, 0, 1, 0, 1, 0]},
        {"classes": ["cat", "fox"]},
        {"splits": {"train": [0, 1], "test": [5, 2]}},
    ):
        changed = write_image_set(tmp_path / str(sorted(change)[0]), name="pets", **{**content(), **change})
        assert changed.sha256 != renamed.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {"train": [0, 1], "test": [1, 2]}}, "'train' and 'test' overlap: image 1 is in both"),
        ({"splits": {"train": [0, 6]}}, "'train' has the index 6; the 6 images have indices 0 to 5"),
        ({"splits": {"train": [-1, 3]}}, "'train' has the index -1"),
        ({"splits": {"train": [3, 3]}}, "'train' has the index 3 more than once"),
        ({"splits": {"train": []}}, "'train' is empty"),
        ({"splits": {"train": [0.5]}}, "'train' must be a list of whole numbers"),
        ({"splits": {"../train": [0]}}, "cannot name a split"),
        ({"classes": ["cat", "dog", "fox"]}, "The class 'fox' has no image"),
        ({"classes": ["cat", "Cat"]}, "Two classes have one name: 'cat' and 'Cat'"),
        ({"classes": ["cat", "cat"]}, "Two classes have one name: 'cat' and 'cat'"),
        ({"classes": ["cat", " "]}, "every class needs a name"),
        ({"labels": [0, 1, 2, 0, 1, 0]}, "A label is 2, but labels of 2 classes go from 0 to 1"),
        ({"labels": [0, 1]}, "There are 6 images but 2 labels"),
        ({"labels": [0.0] * 6}, "The labels must be a list of whole numbers"),
        ({"images": np.zeros((6, 2, 2), np.uint8)}, r"not uint8 \[6, 2, 2\]"),
        ({"images": np.zeros((6, 2, 2, 1))}, "not float64"),
        ({"images": np.zeros((6, 2, 2, 4), np.uint8)}, "1 \\(grey\\) or 3 \\(RGB\\) channels"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        write_image_set(tmp_path / "pets", name="pets", **{**content(), **change})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imageset, "write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        write_image_set(tmp_path / "pets", name="pets", **content())
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_written_over(directory):
    with pytest.raises(DataError, match="already exists"):
        write_image_set(directory, name="pets", **content())


def test_a_folder_that_is_no_image_set_says_so(tmp_path, directory):
    with pytest.raises(DataError, match="is not a folder"):
        open_image_set(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"incomplete one: manifest\.json is missing"):
        open_image_set(tmp_path)
    (directory / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="not readable as JSON"):
        open_image_set(directory)
    (directory / "manifest.json").write_text('{"format": "hilmix-imageset/9"}', "utf-8")
    with pytest.raises(DataError, match="says format 'hilmix-imageset/9'"):
        open_image_set(directory)
    (directory / "manifest.json").write_text('{"format": "hilmix-imageset/1"}', "utf-8")
    with pytest.raises(DataError, match="is incomplete"):
        open_image_set(directory)


def test_a_changed_missing_or_added_file_is_named(directory, tmp_path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(directory, tmp_path / name))

    changed = copy("changed")
    data = bytearray((changed / "images.npy").read_bytes())
    data[-1] ^= 1
    (changed / "images.npy").write_bytes(data)
    open_image_set(changed)  # opening is quick: it compares sizes
    with pytest.raises(DataError, match=r"images\.npy was changed"):
        open_image_set(changed, verify=True)
    missing = copy("missing")
    (missing / "splits" / "test.npy").unlink()
    with pytest.raises(DataError, match=r"splits/test\.npy is missing"):
        open_image_set(missing)
    added = copy("added")
    (added / "notes.txt").write_text("x", "utf-8")
    with pytest.raises(DataError, match=r"notes\.txt does not belong here"):
        open_image_set(added)
    manifest = copy("manifest")
    text = json.loads((manifest / "manifest.json").read_text("utf-8"))
    (manifest / "manifest.json").write_text(json.dumps({**text, "classes": ["dog", "cat"]}), "utf-8")
    with pytest.raises(DataError, match=r"manifest\.json was changed"):
        open_image_set(manifest)


def test_the_digits_have_a_fixed_split_of_every_class(tmp_path):
    images, labels, classes, splits = read_digits()
    info = write_image_set(
        tmp_path / "digits", name="digits", images=images, labels=labels, classes=classes, splits=splits
    )
    assert (info.n, info.shape, info.classes) == (1797, (8, 8, 1), tuple("0123456789"))
    assert (images.min(), images.max()) == (0, 255)
    assert info.splits == {"train": 1258, "test": 539}
    assert set(labels[splits["test"]].tolist()) == set(range(10))
    assert np.array_equal(read_digits()[3]["train"], splits["train"])
