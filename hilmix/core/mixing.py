"""Mixed images, exact to the last bit, by named method, with the hash and PNG bytes that identify them.

The mixing coefficient lambda is the share of the *first* image, always an integer number of ten-thousandths
(`lambda_e4`, 2500 = 0.25). Choosing pairs and storing pictures is not done here. Method `hmix@1` reproduces
the published pictures of Collins et al., Human-in-the-Loop Mixup, UAI 2023.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hilmix.core.errors import DataError

Pixels = npt.NDArray[np.uint8]

DEFAULT_METHOD = "mixup@1"
UNIT_E4 = 10_000

# The floats behind the published pictures. The eleven-step grid was made by numpy.arange, whose 0.3, 0.6 and
# 0.7 are one unit in the last place above the literals; the infer pictures used literals. Where the two grids
# meet they agree.
_HMIX_LAMBDAS: dict[int, float] = {
    **{1000 * k: float(value) for k, value in enumerate(np.arange(0, 1.1, 0.1))},
    2500: 0.25,
    7500: 0.75,
}

_LAMBDA_TEXT = re.compile(r"(?:0|1)?\.\d{1,4}|0|1")


def _mix_rounded(first: Pixels, second: Pixels, lambda_e4: int) -> Pixels:
    # In place: for small pictures, arrays made on the way would cost as much as the arithmetic.
    mixed = first.astype(np.int32)
    mixed *= lambda_e4
    other = second.astype(np.int32)
    other *= UNIT_E4 - lambda_e4
    mixed += other
    mixed += UNIT_E4 // 2
    mixed //= UNIT_E4
    return mixed.astype(np.uint8)


def _mix_as_published(first: Pixels, second: Pixels, lambda_e4: int) -> Pixels:
    if lambda_e4 not in _HMIX_LAMBDAS:
        known = ", ".join(lambda_text(value) for value in sorted(_HMIX_LAMBDAS))
        raise DataError(
            f"The method hmix@1 is defined for λ = {known} only, not for {lambda_text(lambda_e4)}."
        )
    share = _HMIX_LAMBDAS[lambda_e4]
    mixed = np.floor(share * first.astype(np.float64) + (1 - share) * second.astype(np.float64))
    return mixed.astype(np.uint8)


METHODS: dict[str, Callable[[Pixels, Pixels, int], Pixels]] = {
    "mixup@1": _mix_rounded,
    "hmix@1": _mix_as_published,
}


def mix(first: Pixels, second: Pixels, lambda_e4: int, method: str = DEFAULT_METHOD) -> Pixels:
    """Mix two images of one shape.

    `mixup@1`: (n·a + (10000 − n)·b + 5000) // 10000 in int32, n = `lambda_e4`, λa + (1 − λ)b rounded half up.
    `hmix@1`: floor(λa + (1 − λ)b) in float64 with the λ of the published pictures, only on their grids.

    Args:
        first, second: uint8 [H, W, C], 0–255.
        lambda_e4: share of `first` in ten-thousandths, 0–10000.
        method: a key of `METHODS`.

    Returns uint8 [H, W, C]. Raises DataError for another shape, type, λ or method.
    """
    if method not in METHODS:
        raise DataError(f"There is no mixing method {method!r}. Choose one of: {', '.join(METHODS)}.")
    for name, image in (("first", first), ("second", second)):
        if image.dtype != np.uint8 or image.ndim != 3:
            raise DataError(
                f"The {name} image is {image.dtype} {list(image.shape)}; it must be uint8 [H, W, C]."
            )
    if first.shape != second.shape:
        raise DataError(f"The images differ in shape: {list(first.shape)} and {list(second.shape)}.")
    return METHODS[method](first, second, check_lambda_e4(lambda_e4))


def check_lambda_e4(lambda_e4: Any) -> int:
    """Return `lambda_e4` as an int; raise DataError unless it is a whole number in 0–10000."""
    whole = isinstance(lambda_e4, int | np.integer) and not isinstance(lambda_e4, bool)
    if not whole or not 0 <= lambda_e4 <= UNIT_E4:
        raise DataError(
            f"λ is stored in whole ten-thousandths, 0 to {UNIT_E4} (2500 = 0.25), not as {lambda_e4!r}."
        )
    return int(lambda_e4)


def class_text(name: str) -> str:
    """A class's name as it stands beside numbers: in quotation marks where it is one itself."""
    return f"“{name}”" if name.isdecimal() else name


def lambda_text(lambda_e4: int) -> str:
    """Write λ as a decimal with one to four digits after the point: 2500 → "0.25", 10000 → "1.0"."""
    whole, part = divmod(check_lambda_e4(lambda_e4), UNIT_E4)
    return f"{whole}.{f'{part:04d}'.rstrip('0') or '0'}"


def lambda_e4_from_text(text: str) -> int:
    """Read λ from a decimal between 0 and 1 with at most four digits after the point: "0.25" → 2500."""
    if not _LAMBDA_TEXT.fullmatch(text.strip()):
        raise DataError(
            f"{text!r} is no λ: write a decimal from 0 to 1 with at most four digits after the point."
        )
    whole, _, part = text.strip().partition(".")
    lambda_e4 = int(whole or 0) * UNIT_E4 + int(part.ljust(4, "0") or 0)
    if lambda_e4 > UNIT_E4:
        raise DataError(f"{text!r} is no λ: it is above 1.")
    return lambda_e4


def pixel_sha256(image: Pixels) -> str:
    """Return the sha256 of the decoded pixels (uint8 [H, W, C] or [H, W]), which names a mixed image.

    A header with type and shape goes first, so pictures of equal bytes and other shape differ. A grey image
    is the same as [H, W] and as [H, W, 1].
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise DataError(f"Pixels are uint8 [H, W, C], not {image.dtype} {list(image.shape)}.")
    height, width, *channels = image.shape
    header = f"hilmix-pixels/1 uint8 {height}x{width}x{channels[0] if channels else 1}\n"
    return hashlib.sha256(header.encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def to_png(image: Pixels) -> bytes:
    """Encode uint8 [H, W, C], C = 1 (grey) or 3 (RGB), as a lossless PNG without metadata."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise DataError(
            f"Only uint8 [H, W, 1] or [H, W, 3] becomes a PNG, not {image.dtype} {list(image.shape)}."
        )
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, format="PNG")
    return buffer.getvalue()


def from_png(data: bytes) -> Pixels:
    """Decode what `to_png` wrote into uint8 [H, W, C]. Raises DataError for anything else."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.mode not in ("L", "RGB"):
                raise DataError(f"A mixed image is a grey or RGB PNG; this one has mode {picture.mode}.")
            pixels = np.array(picture, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"The bytes are not a readable PNG ({error}).") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
