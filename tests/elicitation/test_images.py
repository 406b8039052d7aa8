"""Image sets come in complete or not at all, and every refusal names what was wrong."""

from __future__ import annotations

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from PIL import Image

from elicitation.images.models import ImageSet
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images, pixels_of
from hilmix.core.errors import DataError


@pytest.fixture(autouse=True)
def var(settings, tmp_path, db):
    settings.VAR = tmp_path / "var"


@pytest.fixture
def folder(tmp_path):
    """Two classes of three 8 × 8 images each."""
    rng = np.random.default_rng(1)
    for name in ("ant", "bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def splits(tmp_path):
    np.save(tmp_path / "train.npy", np.array([0, 1, 3, 4]))
    np.save(tmp_path / "test.npy", np.array([2, 5]))
    return f"train={tmp_path / 'train.npy'},test={tmp_path / 'test.npy'}"


def nothing_was_left():
    folder = settings.VAR / "imagesets"
    return not ImageSet.objects.exists() and (not folder.exists() or not list(folder.iterdir()))


def test_a_folder_with_one_subfolder_a_class(folder, splits, capsys):
    call_command("import_images", "folder", folder, name="insects", split=splits)
    image_set = ImageSet.objects.get()
    assert (image_set.n_images, image_set.classes, image_set.splits) == (
        6,
        ["ant", "bee"],
        {"train": 4, "test": 2},
    )
    assert image_set.open().sha256 == image_set.sha256
    assert "Imported 6 images of 2 classes as 'insects' (train 4, test 2)." in capsys.readouterr().out


def test_the_digits_come_with_a_split():
    call_command("import_images", "digits", name="digits")
    assert set(ImageSet.objects.get().splits) == {"train", "test"}


def test_an_npz_and_its_human_labels(tmp_path, capsys):
    images = np.zeros((4, 3, 3, 1), np.uint8)
    np.savez(
        tmp_path / "a.npz", images=images, labels=np.array([0, 1, 0, 1]), classes=np.array(["no", "yes"])
    )
    call_command("import_images", "npz", tmp_path / "a.npz", name="tiny")
    assert "every image is in the split 'train'" in capsys.readouterr().err
    np.save(tmp_path / "h.npy", np.full((4, 2), 0.5))
    call_command("import_human_labels", tmp_path / "h.npy", images="tiny")
    assert np.array_equal(ImageSet.objects.get().open().human_labels, np.full((4, 2), 0.5))
    with pytest.raises(CommandError, match="already"):
        call_command("import_human_labels", tmp_path / "h.npy", images="tiny")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.full((3, 2), 0.5), "3"), (np.full((4, 2), 0.6), "sum"), (np.full((4, 3), 1 / 3), "class")],
)
def test_human_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    images = np.zeros((4, 3, 3, 1), np.uint8)
    np.savez(
        tmp_path / "a.npz", images=images, labels=np.array([0, 1, 0, 1]), classes=np.array(["no", "yes"])
    )
    call_command("import_images", "npz", tmp_path / "a.npz", name="tiny")
    np.save(tmp_path / "h.npy", labels)
    with pytest.raises(CommandError, match=message):
        call_command("import_human_labels", tmp_path / "h.npy", images="tiny")
    assert ImageSet.objects.get().open().human_labels is None


def test_a_broken_image_is_named(folder):
    (folder / "bee" / "1.png").write_bytes((folder / "bee" / "1.png").read_bytes()[:60])
    with pytest.raises(CommandError, match=r"bee/1\.png"):
        call_command("import_images", "folder", folder, name="insects")
    assert nothing_was_left()


def test_a_file_that_is_no_image_is_named(folder):
    (folder / "ant" / "notes.txt").write_text("hello")
    with pytest.raises(CommandError, match=r"ant/notes\.txt"):
        call_command("import_images", "folder", folder, name="insects")
    assert nothing_was_left()


def test_an_empty_class_is_named(folder):
    (folder / "cat").mkdir()
    with pytest.raises(CommandError, match="cat"):
        call_command("import_images", "folder", folder, name="insects")
    assert nothing_was_left()


def test_two_classes_with_one_name_are_named(tmp_path):
    arrays = {"images": np.zeros((2, 3, 3, 1), np.uint8), "labels": np.array([0, 1])}
    np.savez(tmp_path / "a.npz", classes=np.array(["Ant", "ant"]), **arrays)
    with pytest.raises(CommandError, match=r"(?i)ant"):
        call_command("import_images", "npz", tmp_path / "a.npz", name="tiny")
    assert nothing_was_left()


def test_overlapping_splits_are_named(folder, tmp_path):
    np.save(tmp_path / "train.npy", np.array([0, 1, 3]))
    np.save(tmp_path / "test.npy", np.array([1, 5]))
    split = f"train={tmp_path / 'train.npy'},test={tmp_path / 'test.npy'}"
    with pytest.raises(CommandError, match=r"train.*test|test.*train"):
        call_command("import_images", "folder", folder, name="insects", split=split)
    assert nothing_was_left()


@pytest.mark.parametrize(
    ("split", "message"),
    [("train", "has another form"), ("train=nowhere.npy", "no file"), ("train=,test=", "has another form")],
)
def test_a_split_that_cannot_be_read_is_explained(folder, split, message):
    with pytest.raises(CommandError, match=message):
        call_command("import_images", "folder", folder, name="insects", split=split)
    assert nothing_was_left()


@pytest.mark.parametrize("name", ["Insects", "../up", "", "a b"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(CommandError, match="cannot name an image set"):
        call_command("import_images", "digits", name=name)
    assert nothing_was_left()


def test_a_name_that_is_taken_is_refused_and_the_first_set_stays():
    call_command("import_images", "digits", name="digits")
    before = ImageSet.objects.get().sha256
    with pytest.raises(CommandError, match="already"):
        call_command("import_images", "digits", name="digits")
    assert ImageSet.objects.get().open().sha256 == before


def test_a_path_is_asked_for_where_one_is_needed():
    with pytest.raises(CommandError, match="needs a path"):
        call_command("import_images", "npz", name="x")


# --- mixed images -----------------------------------------------------------------------------------------------


def test_a_recipe_is_one_row_however_often_it_is_asked_for(image_set):
    recipes = [Recipe(0, 1, 2500), Recipe(0, 1, 5000), Recipe(0, 1, 2500)]
    first = create_mixed_images(image_set=image_set, recipes=recipes)
    again = create_mixed_images(image_set=image_set, recipes=recipes)
    assert [m.pk for m in first] == [m.pk for m in again]
    assert MixedImage.objects.count() == 2


def test_a_parent_outside_the_training_split_is_refused(image_set):
    with pytest.raises(DataError, match=r"Image 100 .* training split"):
        create_mixed_images(image_set=image_set, recipes=[Recipe(0, 100, 5000)])


def test_pixels_that_are_no_longer_what_was_hashed_are_refused(image_set):
    mixed = create_mixed_images(image_set=image_set, recipes=[Recipe(0, 1, 5000)])[0]
    images = np.lib.format.open_memmap(image_set.directory / "images.npy", mode="r+")
    images[0] = 255 - images[0]
    images.flush()
    with pytest.raises(DataError, match="changed on disk"):
        pixels_of(mixed)
