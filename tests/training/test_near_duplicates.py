"""Copies of images across splits are found however they were changed a little, and look-alikes are not."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from hilmix.core.errors import DataError
from training.evaluation.near_duplicates import EDGES, PIXELS, near_duplicates


def scenes(n: int, seed: int = 0, side: int = 32) -> np.ndarray:
    """Pictures with detail at every scale, as photographs have, and of few colours: uint8 [n, side, side, 3]."""
    rng = np.random.default_rng(seed)
    grey, colour = rng.standard_normal((n, side, side, 1)), rng.standard_normal((n, side, side, 3))
    scales = [gaussian_filter(grey, (0, s, s, 0)) * s for s in (1, 2, 4, 8)]
    picture = sum(scales) + 4 * gaussian_filter(colour, (0, 6, 6, 0))
    picture -= picture.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(128 + 45 * picture / picture.std(axis=(1, 2, 3), keepdims=True), 0, 255).astype(np.uint8)


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """What was at (y, x) is at (y + down, x + right); the border is repeated."""
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="edge")
    return padded[:, 3 - down : 35 - down, 3 - right : 35 - right]


def brighter(images: np.ndarray, by: int) -> np.ndarray:
    return np.clip(images.astype(int) + by, 0, 255).astype(np.uint8)


def recompressed(images: np.ndarray) -> np.ndarray:
    return np.stack([as_jpeg(image) for image in images])


def as_jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=70)
    return np.asarray(Image.open(buffer))


def noisy(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 4, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


CHANGES = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x[:, :, ::-1],
    "shifted": lambda x: shifted(x, 1, -2),
    "shifted far": lambda x: shifted(x, -3, 3),
    "mirrored and shifted": lambda x: shifted(x[:, :, ::-1], 2, 1),
    "brighter": lambda x: brighter(x, 30),
    "of less contrast": lambda x: (64 + x * 0.5).astype(np.uint8),
    "recompressed": recompressed,
    "noisy": noisy,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_planted_copy_is_found(change):
    pictures = scenes(40)
    training = np.concatenate([scenes(200, seed=1), change(pictures)])
    found = near_duplicates(training, pictures)
    assert {(pair.training - 200, pair.evaluation) for pair in found.pairs} == {(k, k) for k in range(40)}


def test_a_pair_says_how_the_training_image_lies_upon_the_other():
    pictures = scenes(5)
    (pair, *_) = near_duplicates(shifted(pictures, 1, -2), pictures).pairs
    assert (pair.mirrored, pair.shift) == (False, (-1, 2))
    mirrored = near_duplicates(shifted(pictures[:, :, ::-1], 2, 1), pictures).pairs[0]
    assert (mirrored.mirrored, mirrored.shift) == (True, (-2, 1))
    assert mirrored.pixels > 0.97
    assert mirrored.edges > 0.95


def test_the_most_alike_come_first_and_images_count_once():
    pictures = scenes(3)
    training = np.concatenate([noisy(pictures[:1]), pictures[:1], noisy(pictures[1:2])])
    found = near_duplicates(training, pictures)
    assert found.pairs[0].training == 1
    assert len(found.pairs) == 3
    assert found.n_images == 2
    assert found.sentence.startswith(
        "2 of 3 evaluation images have a near-duplicate among the 3 training images"
    )
    assert f"pixels at least {PIXELS}, of edges at least {EDGES}" in found.sentence


def test_random_images_are_not_near_duplicates():
    noise = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
    assert near_duplicates(noise[:300], noise[300:]).pairs == ()
    pictures = scenes(400)
    assert near_duplicates(pictures[:300], pictures[300:]).pairs == ()


def test_pictures_alike_in_the_large_but_not_in_detail_are_not():
    """Skies and seas: the same gradient, so pixels that correlate, with other things in it."""
    gradient = np.linspace(20, 230, 32)[None, :, None, None]
    both = [np.clip(gradient + 0.15 * (scenes(20, seed=k) - 128.0), 0, 255).astype(np.uint8) for k in (0, 1)]
    flat = [one.reshape(20, -1).astype(float) for one in both]
    assert np.corrcoef(flat[0][0], flat[1][0])[0, 1] > PIXELS
    assert near_duplicates(*both).pairs == ()


def test_a_picture_of_one_colour_is_not_judged():
    plain = np.full((2, 32, 32, 3), 90, np.uint8)
    assert near_duplicates(plain, plain).pairs == ()


@pytest.mark.parametrize("shape", [(40, 28, 1), (17, 50, 3)])
def test_any_size_and_grey_will_do(shape):
    height, width, channels = shape
    pictures = scenes(30, side=64)[:, :height, :width, :channels]
    found = near_duplicates(pictures[:20, :, ::-1], pictures[15:])
    assert {(pair.training, pair.evaluation) for pair in found.pairs} == {(15 + k, k) for k in range(5)}


def test_small_pictures_are_not_assessed_and_the_report_says_so():
    digits = np.zeros((4, 8, 8, 1), np.uint8)
    found = near_duplicates(digits, digits)
    assert (found.assessed, found.pairs) == (False, ())
    assert found.sentence.startswith("Near-duplicates were not assessed")


def test_images_of_two_sizes_are_refused_and_none_at_all_are_none():
    with pytest.raises(DataError, match="images of one size"):
        near_duplicates(scenes(2), scenes(2)[:, :28])
    assert near_duplicates(scenes(2)[:0], scenes(2)).pairs == ()


def test_many_images_are_searched_in_bounded_memory_and_the_same_pairs_come_out_again():
    """All alike is the worst case: every pair is a candidate, of which a few for each image are looked at."""
    one = scenes(1)
    training, evaluation = np.repeat(one, 2000, axis=0), np.repeat(one, 250, axis=0)
    tracemalloc.start()
    first = near_duplicates(training, evaluation)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.n_images == 250
    assert peak < 300e6
    assert near_duplicates(training, evaluation).pairs == first.pairs


@pytest.mark.realdata
def test_near_duplicates_across_the_published_split_are_found(realdata: Path):
    with np.load(realdata / "cifar10_test.npz") as held:
        images = held["images"]
    train, test = (np.load(realdata / f"cifar10h_split_{name}.npy") for name in ("train", "test"))
    start = time.process_time()
    found = near_duplicates(images[train], images[test])
    assert time.process_time() - start < 30  # 6 on an idle core
    assert 15 <= found.n_images <= 40
    assert found.pairs[0].edges > 0.9


@pytest.mark.realdata
def test_copies_planted_among_photographs_are_found(realdata: Path):
    with np.load(realdata / "cifar10_test.npz") as held:
        images = held["images"][:1150]
    for name, change in CHANGES.items():
        found = near_duplicates(np.concatenate([images[150:], change(images[:150])]), images[:150])
        planted = {pair.evaluation for pair in found.pairs if pair.training == pair.evaluation + 1000}
        assert len(planted) >= 0.95 * 150, name
