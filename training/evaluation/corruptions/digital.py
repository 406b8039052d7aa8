"""Digital: contrast, colour, coarse pixels, compression, rubber. Hendrycks & Dietterich (ICLR 2019), appendix A.

Each takes pictures float32 [N, H, W, C] in [0, 1], one generator an image, and a severity's constants; C is 1 or 3.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from training.evaluation.corruptions.draws import Floats, Generators, draw, uniform
from training.evaluation.corruptions.sampling import gaussian, grid, sample


def contrast(x: Floats, rngs: Generators, factor: float) -> Floats:
    """(x − m)·factor + m, m the mean of each channel of the picture."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return (x - mean) * np.float32(factor) + mean


def saturate(x: Floats, rngs: Generators, factor: float, more: float) -> Floats:
    """HSV saturation·factor + `more`, hue and value kept; one channel has no colour and stays as it is.

    rgb = V − V·S·k with k = (V − rgb)/(V − min). A grey pixel has hue 0, so with `more` > 0 it turns red, as in
    CIFAR-10-C.
    """
    if x.shape[3] == 1:
        return x
    value, least = x.max(axis=3, keepdims=True), x.min(axis=3, keepdims=True)
    range_ = value - least
    coloured = range_ > 0
    k = np.where(coloured, (value - x) / np.where(coloured, range_, 1), np.array([0, 1, 1], dtype=np.float32))
    saturation = range_ / np.where(value > 0, value, 1)
    raised = np.clip(saturation * np.float32(factor) + np.float32(more), 0, 1)
    return value - value * raised * k


def pixelate(x: Floats, rngs: Generators, factor: float) -> Floats:
    """Shrunk to ⌊factor·side⌋ pixels a side and enlarged again, both with a box filter (Pillow's)."""
    height, width = x.shape[1:3]
    small = (max(1, int(width * factor)), max(1, int(height * factor)))
    box = Image.Resampling.BOX
    return _each(x, lambda image: image.resize(small, box).resize((width, height), box))


def jpeg(x: Floats, rngs: Generators, quality: int) -> Floats:
    """Stored as JPEG of `quality` and read again (Pillow: 4:2:0 for colour)."""

    def stored(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(x, stored)


def elastic(x: Floats, rngs: Generators, strength: float, sigma: float, corners: float) -> Floats:
    """A random affine map, then every pixel moved a little, its neighbours alike (Simard et al. 2003).

    Shares of the shorter side: three points at ± a third of it are moved by up to `corners`, and shifts uniform over
    ± 1 are smoothed by `sigma` and multiplied by `strength`. Both steps are bilinear.
    """
    n, height, width, _ = x.shape
    side = min(height, width)
    offset = 2 * uniform(rngs, (3, 2)).astype(np.float64) - 1
    middle, arm = np.array([height // 2, width // 2]), side // 3
    before = middle + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + corners * side * offset
    # What is at `before` goes to `after`; a pixel of the result looks back along that map.
    back = np.linalg.solve(
        np.concatenate([after, np.ones((n, 3, 1))], axis=2), before[None].astype(np.float64)
    )
    rows, columns = grid(height, width)
    place = np.stack([rows[0], columns[0], np.ones((height, width))], axis=2)
    looked = np.einsum("hwi,nij->nhwj", place, back)
    x = sample(x, looked[..., 0], looked[..., 1])
    if not strength:
        return x
    shift = draw(rngs, lambda rng: 2 * rng.random((2, height, width), dtype=np.float32) - 1)
    shift = gaussian(shift.reshape(2 * n, height, width), sigma * side, mode="reflect", cut=3.0).reshape(
        shift.shape
    )
    shift *= strength * side
    return sample(x, rows + shift[:, 0], columns + shift[:, 1], doubled=True)


def _each(x: Floats, change: Callable[[Image.Image], Image.Image]) -> Floats:
    """`change` of each picture as a Pillow image."""
    levels = np.rint(x * 255).astype(np.uint8)
    pictures = levels[..., 0] if x.shape[3] == 1 else levels
    changed = [np.asarray(change(Image.fromarray(picture))) for picture in pictures]
    return np.stack(changed).reshape(x.shape).astype(np.float32) / 255
