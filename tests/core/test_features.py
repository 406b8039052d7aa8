from __future__ import annotations

import math

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.features import FEATURES, features_of


def column(images: np.ndarray, name: str) -> list[float]:
    return features_of(images)[:, FEATURES.index(name)].tolist()


def coloured(*colours: tuple[int, int, int]) -> np.ndarray:
    """A 4 × 4 image of each colour."""
    return np.tile(np.array(colours, dtype=np.uint8)[:, None, None, :], (1, 4, 4, 1))


def test_a_flat_image_has_no_edges_no_contrast_and_its_own_brightness():
    (flat,) = features_of(coloured((51, 51, 51)))
    assert flat.tolist() == pytest.approx([math.log(1e-4), 0, 0.2, 0])


def test_edges_are_the_mean_squared_steps_down_and_to_the_right():
    image = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    image[0, :, 1] = 255  # one step of 1 to the right in each row, none downwards
    assert column(image, "log_edge_energy") == pytest.approx([math.log(1 + 1e-4)])
    assert column(image, "contrast") == pytest.approx([0.5])
    assert column(image, "mean") == pytest.approx([0.5])


def test_brightness_is_luminance_and_saturation_that_of_the_pixels():
    images = coloured((255, 0, 0), (0, 255, 0), (200, 100, 100), (0, 0, 0))
    assert column(images, "mean")[:2] == pytest.approx([0.299, 0.587])
    assert column(images, "saturation") == pytest.approx([1, 1, 0.5, 0])


def test_a_grey_image_is_the_same_with_one_channel_and_with_three():
    grey = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 1)).astype(np.uint8)
    assert features_of(grey) == pytest.approx(features_of(np.repeat(grey, 3, axis=3)))
    assert column(grey, "saturation") == [0, 0, 0]


def test_many_images_are_the_same_as_each_by_itself():
    images = np.random.default_rng(1).integers(0, 256, (1030, 4, 4, 3)).astype(np.uint8)
    many = features_of(images)
    assert many.shape == (1030, len(FEATURES))
    assert many[[0, 1023, 1024, 1029]] == pytest.approx(
        np.concatenate([features_of(images[i : i + 1]) for i in (0, 1023, 1024, 1029)])
    )
    assert features_of(images[:0]).shape == (0, len(FEATURES))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 4, 4, 3)),
        np.zeros((4, 4, 3), dtype=np.uint8),
        np.zeros((2, 4, 4, 2), dtype=np.uint8),
        np.zeros((2, 1, 4, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(images: np.ndarray):
    with pytest.raises(DataError, match="must be uint8"):
        features_of(images)
