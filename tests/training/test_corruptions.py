"""Corruptions: seeded by the image alone, with CIFAR-10-C's constants, and stored complete or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hilmix.core.errors import DataError
from training.evaluation.corruptions import (
    CORRUPTIONS,
    EXTRA,
    EXTRAS,
    GROUPS,
    TRANSFORMS,
    CorruptedSet,
    corrupted,
    suite,
)
from training.evaluation.corruptions import cache as cache_module

EVERYTHING = suite((*GROUPS, EXTRA))
SHAPES = [(32, 32, 3), (8, 8, 1), (9, 14, 3)]


def pictures(n: int = 6, shape: tuple[int, int, int] = (32, 32, 3), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def smooth(n: int = 6, side: int = 32) -> np.ndarray:
    """Waves of colour, so that a blur, a shift or a zoom changes each picture a little and not at random."""
    rows, columns = np.mgrid[:side, :side] / side
    phases = np.random.default_rng(1).uniform(0, 6, (n, 1, 1, 3))
    waves = np.sin(5 * rows[..., None] + phases) + np.cos(7 * columns[..., None] - phases)
    return np.rint(127.5 + 55 * waves).astype(np.uint8)


def test_there_are_fifteen_corruptions_four_more_and_five_of_geometry():
    assert len(CORRUPTIONS) == 15
    assert len(EXTRAS) == 4
    assert len(TRANSFORMS) == 24
    assert all(len(TRANSFORMS[key].severities) == 5 for key in (*CORRUPTIONS, *EXTRAS))
    assert {TRANSFORMS[key].group for key in CORRUPTIONS} == {"noise", "blur", "weather", "digital"}
    assert len(suite()) == 15 * 5 + 3 * 5 + 2


def test_the_constants_are_those_of_cifar_and_not_of_imagenet():
    # The libraries on PyPI carry ImageNet-C's: Gaussian noise from 0.08 to 0.38, contrast down to 0.05.
    assert [s[0] for s in TRANSFORMS["gaussian_noise"].severities] == [0.04, 0.06, 0.08, 0.09, 0.10]
    assert [s[0] for s in TRANSFORMS["contrast"].severities] == [0.75, 0.5, 0.4, 0.3, 0.15]
    assert [s[0] for s in TRANSFORMS["jpeg"].severities] == [80, 65, 58, 50, 40]
    grey = np.full((40, 32, 32, 3), 128, dtype=np.uint8)
    for severity, sd in enumerate((0.04, 0.06, 0.08, 0.09, 0.10), start=1):
        assert corrupted(grey, "gaussian_noise", severity).std() / 255 == pytest.approx(sd, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "severity"), [key for key in EVERYTHING if key[1] in (1, 5)])
def test_neither_the_batch_nor_the_order_of_images_changes_a_corruption(name, severity, shape):
    images = pictures(5, shape)
    together = corrupted(images, name, severity)
    assert together.shape == images.shape
    assert together.dtype == np.uint8
    order = np.array([3, 0, 4])
    np.testing.assert_array_equal(corrupted(images[order], name, severity), together[order])
    np.testing.assert_array_equal(corrupted(images[2:3], name, severity), together[2:3])


@pytest.mark.parametrize("name", [key for key in TRANSFORMS if not key.startswith("flip")])
def test_a_transform_changes_pictures_and_severity_five_more_than_severity_one(name):
    images = smooth()
    change = [np.abs(corrupted(images, name, s).astype(int) - images).mean() for s in (1, 5)]
    assert change[0] > 0
    if name not in ("elastic", "saturate"):  # their constants are not in order of strength
        assert change[1] > change[0]


def test_another_seed_draws_other_noise_and_the_same_seed_the_same():
    images = pictures()
    first = corrupted(images, "gaussian_noise", 3, seed=1)
    np.testing.assert_array_equal(first, corrupted(images, "gaussian_noise", 3, seed=1))
    assert (first != corrupted(images, "gaussian_noise", 3, seed=2)).mean() > 0.5


def test_each_severity_has_noise_of_its_own_and_not_the_same_louder():
    grey = np.full((1, 32, 32, 3), 128, dtype=np.uint8)
    mild, strong = (corrupted(grey, "gaussian_noise", s).astype(float).ravel() for s in (1, 5))
    assert abs(np.corrcoef(mild, strong)[0, 1]) < 0.1


def test_many_images_give_what_few_give_though_they_are_worked_on_in_pieces(monkeypatch):
    images = pictures(7)
    whole = corrupted(images, "glass_blur", 5)
    monkeypatch.setattr("training.evaluation.corruptions.apply._CHUNK", 2 * images[0].size)
    np.testing.assert_array_equal(corrupted(images, "glass_blur", 5), whole)


def test_no_images_give_no_images():
    assert corrupted(pictures(0), "fog", 1).shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    ("images", "name", "severity", "said"),
    [
        (pictures(1), "rain", 1, "no corruption 'rain'"),
        (pictures(1), "fog", 0, "no severity 0; choose one from 1 to 5"),
        (pictures(1), "flip_vertical", 2, "no severity 2; choose one from 1 to 1"),
        (pictures(1).astype(np.float32), "fog", 1, "uint8 images"),
        (pictures(1)[..., :2], "fog", 1, "one or three channels"),
        (pictures(1)[0], "fog", 1, "uint8 images"),
    ],
)
def test_what_cannot_be_corrupted_is_refused_with_a_sentence(images, name, severity, said):
    with pytest.raises(DataError, match=said):
        corrupted(images, name, severity)


def test_the_cache_gives_what_making_it_anew_gives_and_makes_it_once(tmp_path, monkeypatch):
    images = pictures()
    found = CorruptedSet(tmp_path, images).get("snow", 2)
    np.testing.assert_array_equal(found, corrupted(images, "snow", 2))
    assert isinstance(found, np.memmap)
    found[:] = 0  # stays with who did it
    monkeypatch.setattr(cache_module, "corrupted", lambda *_: pytest.fail("it was made a second time"))
    again = CorruptedSet(tmp_path, images.copy()).get("snow", 2)
    np.testing.assert_array_equal(again, corrupted(images, "snow", 2))


def test_other_images_another_seed_or_other_code_have_files_of_their_own(tmp_path, monkeypatch):
    images = pictures()
    one = CorruptedSet(tmp_path, images).path("snow", 2)
    other = images.copy()
    other[0, 0, 0, 0] ^= 1
    paths = {
        one,
        CorruptedSet(tmp_path, other).path("snow", 2),
        CorruptedSet(tmp_path, images, seed=1).path("snow", 2),
    }
    monkeypatch.setattr(cache_module, "code_version", lambda: "changed")
    paths.add(CorruptedSet(tmp_path, images).path("snow", 2))
    assert len(paths) == 4


def test_a_file_that_a_disk_cut_short_is_made_again(tmp_path):
    stored = CorruptedSet(tmp_path, pictures())
    whole = np.array(stored.get("fog", 1))
    path = stored.path("fog", 1)
    for kept in (0, 40, len(whole.tobytes()) // 2):
        path.write_bytes(path.read_bytes()[:kept])
        np.testing.assert_array_equal(stored.get("fog", 1), whole)


@pytest.mark.parametrize(
    "junk",
    [
        b"PK\x03\x04junk",
        b"\x93NUMPY\x01\x00v\x00{bad" + b" " * 200,
        b"\x93NUMPY\x01\x00\x08\x00{'a': (",
        b"\x80junk",
    ],
)
def test_a_file_that_holds_something_else_is_made_again(tmp_path, junk):
    stored = CorruptedSet(tmp_path, pictures())
    whole = np.array(stored.get("fog", 1))
    stored.path("fog", 1).write_bytes(junk)
    np.testing.assert_array_equal(stored.get("fog", 1), whole)


def test_a_file_of_the_right_shape_and_wrong_pixels_is_made_again(tmp_path):
    stored = CorruptedSet(tmp_path, pictures())
    whole = np.array(stored.get("fog", 1))
    path = stored.path("fog", 1)
    damaged = bytearray(path.read_bytes())
    damaged[-1000] ^= 1
    path.write_bytes(damaged)
    np.testing.assert_array_equal(stored.get("fog", 1), whole)
    np.save(path, np.zeros_like(whole))
    np.testing.assert_array_equal(stored.get("fog", 1), whole)


def test_images_that_are_written_to_later_change_nothing_that_is_made_of_them(tmp_path):
    images = pictures()
    stored = CorruptedSet(tmp_path, images)
    images[:] = 0
    np.testing.assert_array_equal(stored.images, pictures())
    np.testing.assert_array_equal(stored.get("fog", 3), corrupted(pictures(), "fog", 3))


def test_a_set_without_images_has_corruptions_without_images(tmp_path):
    assert CorruptedSet(tmp_path, pictures(0)).get("fog", 1).shape == (0, 32, 32, 3)


def test_making_it_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    stored = CorruptedSet(tmp_path, pictures())

    def full_disk(file, array, **_):
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        stored.get("fog", 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_corruptions_load_no_torch_and_no_django():
    code = (
        "import sys, training.evaluation.corruptions, training.evaluation.risk;"
        "print([m for m in ('torch', 'django') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_lists_every_transform_in_its_group_and_the_constants_of_those_with_one():
    page = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text()
    lines = re.findall(r"^\| (\w+) \| `(\w+)` \| (.*) \|$", page, re.M)
    rows = {key: (group, said) for group, key, said in lines}
    assert {key: group for key, (group, _) in rows.items()} == {
        key: one.group for key, one in TRANSFORMS.items()
    }
    for key, one in TRANSFORMS.items():
        if all(len(constants) == 1 for constants in one.severities) and key not in ("zoom_blur", "translate"):
            assert " ".join(f"{constants[0]:g}" for constants in one.severities) in rows[key][1], key
