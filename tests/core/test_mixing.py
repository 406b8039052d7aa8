from __future__ import annotations

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.mixing import (
    METHODS,
    from_png,
    lambda_e4_from_text,
    lambda_text,
    mix,
    pixel_sha256,
    to_png,
)


def pixel(value: int) -> np.ndarray:
    return np.array([[[value]]], dtype=np.uint8)


def test_lambda_is_the_share_of_the_first_image():
    assert mix(pixel(200), pixel(0), 2500) == pixel(50)
    assert mix(pixel(200), pixel(0), 10000) == pixel(200)
    assert mix(pixel(200), pixel(0), 0) == pixel(0)


@pytest.mark.parametrize(
    ("first", "second", "lambda_e4", "expected"),
    [
        (1, 0, 5000, 1),  # 0.5 is rounded up
        (3, 0, 5000, 2),
        (1, 0, 4999, 0),
        (0, 255, 3333, 170),  # 170.0085
        (255, 254, 4999, 254),
        (255, 254, 5000, 255),
    ],
)
def test_mixup_rounds_half_up(first, second, lambda_e4, expected):
    assert mix(pixel(first), pixel(second), lambda_e4, "mixup@1") == pixel(expected)


@pytest.mark.parametrize(
    ("first", "second", "lambda_e4", "expected", "exact"),
    [
        (0, 10, 7000, 2, 3),  # 1 − 0.7000000000000001 is below 0.3
        (0, 5, 6000, 1, 2),
        (0, 90, 3000, 62, 63),
    ],
)
def test_the_published_arithmetic_decides_the_last_bit(first, second, lambda_e4, expected, exact):
    assert mix(pixel(first), pixel(second), lambda_e4, "hmix@1") == pixel(expected)
    assert (lambda_e4 * first + (10000 - lambda_e4) * second) // 10000 == exact


def test_the_eleven_step_grid_is_numpy_arange_and_no_literal():
    assert mix(pixel(3), pixel(3), 3000, "hmix@1") == pixel(3)
    assert np.floor(0.3 * 3.0 + (1 - 0.3) * 3.0) == 2  # what a literal 0.3 would give
    first, second = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for step, share in enumerate(np.arange(0, 1.1, 0.1)):
        expected = np.floor(share * first.astype(float) + (1 - share) * second.astype(float))
        mixed = mix(first[..., None], second[..., None], 1000 * step, "hmix@1")
        assert np.array_equal(mixed[..., 0], expected.astype(np.uint8))


@pytest.mark.parametrize("lambda_e4", [1000, 2500, 5000, 7500, 9000])
def test_infer_pictures_use_the_literal_and_truncate(lambda_e4):
    share = {1000: 0.1, 2500: 0.25, 5000: 0.5, 7500: 0.75, 9000: 0.9}[lambda_e4]
    first, second = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    expected = np.floor(share * first.astype(float) + (1 - share) * second.astype(float)).astype(np.uint8)
    assert np.array_equal(mix(first[..., None], second[..., None], lambda_e4, "hmix@1")[..., 0], expected)


def test_the_published_method_knows_only_its_own_grid():
    with pytest.raises(DataError, match=r"hmix@1 is defined for λ = 0\.0, 0\.1.*not for 0\.33"):
        mix(pixel(0), pixel(0), 3300, "hmix@1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((pixel(0), pixel(0), 5000, "cutmix"), "no mixing method 'cutmix'. Choose one of: mixup@1, hmix@1"),
        ((pixel(0), pixel(0), 10001), "whole ten-thousandths"),
        ((pixel(0), pixel(0), 0.5), "not as 0.5"),
        ((pixel(0), pixel(0), True), "not as True"),
        ((pixel(0), np.zeros((2, 1, 1), np.uint8), 5000), r"differ in shape: \[1, 1, 1\] and \[2, 1, 1\]"),
        ((pixel(0).astype(float), pixel(0), 5000), "first image is float64"),
        ((pixel(0), pixel(0)[0], 5000), "second image is uint8"),
    ],
)
def test_what_cannot_be_mixed_is_refused_in_words(arguments, message):
    with pytest.raises(DataError, match=message):
        mix(*arguments)


def test_mixing_leaves_its_inputs_alone():
    for method in METHODS:
        first, second = pixel(200), pixel(100)
        mix(first, second, 5000, method)
        assert first == pixel(200)
        assert second == pixel(100)


@pytest.mark.parametrize(
    ("lambda_e4", "text"), [(0, "0.0"), (2500, "0.25"), (5000, "0.5"), (1, "0.0001"), (10000, "1.0")]
)
def test_lambda_is_written_as_in_the_published_file_names(lambda_e4, text):
    assert lambda_text(lambda_e4) == text
    assert lambda_e4_from_text(text) == lambda_e4


@pytest.mark.parametrize(
    "text", ["", "1.1", "1.0001", "-0.1", "0.12345", "0.30000000000000004", "2", "nan", "1e-1", "0,5"]
)
def test_text_that_is_no_lambda_is_refused(text):
    with pytest.raises(DataError, match="is no λ"):
        lambda_e4_from_text(text)


def test_a_picture_is_named_by_its_pixels_and_shape():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert pixel_sha256(image) == pixel_sha256(np.asfortranarray(image))
    assert pixel_sha256(image) != pixel_sha256(image.reshape(2, 6, 1))
    assert pixel_sha256(np.zeros((2, 2), np.uint8)) == pixel_sha256(np.zeros((2, 2, 1), np.uint8))
    # Releases outlive versions: this hash must never change.
    assert pixel_sha256(image) == "ae5b5f028c240e2209fe8532f378922d1ecd693582e7c2b8028a7c0569dee76c"


def test_bytes_that_are_no_mixed_image_are_refused():
    with pytest.raises(DataError, match="not a readable PNG"):
        from_png(b"GIF89a")
    with pytest.raises(DataError, match="not a readable PNG"):
        from_png(to_png(np.zeros((8, 8, 3), np.uint8))[:45])
    with pytest.raises(DataError, match="becomes a PNG"):
        to_png(np.zeros((8, 8, 4), np.uint8))
