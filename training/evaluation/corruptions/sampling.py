"""What several corruptions do to a stack of pictures: sample it between pixels, blur it, zoom it, grow a cloud.

Pictures are float32 [N, H, W, C]. Beyond the edge the picture is mirrored about its outermost pixels (…2 1 0 1 2…,
OpenCV's default border) unless a function says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from training.evaluation.corruptions.draws import Floats, Generators, uniform

Coordinates = NDArray[np.floating]


def sample(x: Floats, rows: Coordinates, columns: Coordinates, *, doubled: bool = False) -> Floats:
    """Values of `x` [N, H, W, C] at `rows`, `columns` (each [N, H', W'], in pixels), bilinear: [N, H', W', C].

    `doubled`: beyond the edge the outermost pixel comes twice (…1 0 0 1…), scipy's "reflect".
    """
    inside = _doubled if doubled else _mirrored
    n, height, width, channels = x.shape
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top).astype(np.float32)[..., None], (columns - left).astype(np.float32)[..., None]
    flat = x.reshape(-1, channels)
    first = (np.arange(n) * (height * width))[:, None, None]
    ys = [first + inside(top + step, height) * width for step in (0, 1)]
    xs = [inside(left + step, width) for step in (0, 1)]
    upper, lower = (
        (1 - right) * flat.take(y + xs[0], axis=0) + right * flat.take(y + xs[1], axis=0) for y in ys
    )
    return np.asarray((1 - down) * upper + down * lower, dtype=np.float32)


def grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of every pixel, each [1, H, W]."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    return rows[None], columns[None]


def gaussian(x: Floats, sigma: float, *, mode: str = "nearest", cut: float = 4.0) -> Floats:
    """Gaussian blur of `sigma` pixels, cut off at `cut`·σ, edge pixels repeated (scikit-image's default)."""
    sigmas = (0, sigma, sigma) + (0,) * (x.ndim - 3)
    return np.asarray(gaussian_filter(x, sigmas, mode=mode, truncate=cut))


def filtered(x: Floats, kernel: NDArray[np.floating]) -> Floats:
    """Correlation of every channel of `x` with one small `kernel` [odd, odd]."""
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    wide = np.pad(x, ((0, 0), (up, up), (left, left)) + ((0, 0),) * (x.ndim - 3), mode="reflect")
    height, width = x.shape[1:3]
    total = np.zeros_like(x)
    for row, column in zip(*np.nonzero(kernel), strict=True):
        total += np.float32(kernel[row, column]) * wide[:, row : row + height, column : column + width]
    return total


def streaked(x: Floats, radius: int, sigma: float, angle: NDArray[np.float64]) -> Floats:
    """Motion blur along `angle` [N] radians: ImageMagick's one-sided Gaussian over `radius` whole-pixel steps.

    Step i, weight ∝ exp(−i²/2σ²), looks i pixels along the direction, at the nearest pixel; edge pixels are repeated.
    """
    n, height, width, channels = x.shape
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    flat = x.reshape(-1, channels)
    first = (np.arange(n) * (height * width))[:, None, None]
    total = np.zeros_like(x)
    for step, weight in enumerate(weights):
        if weight < 1e-6:  # all that follow together change no rounded level
            break
        rows = np.arange(height) + np.rint(step * np.sin(angle)).astype(np.int64)[:, None]
        columns = np.arange(width) + np.rint(step * np.cos(angle)).astype(np.int64)[:, None]
        place = np.clip(rows, 0, height - 1)[:, :, None] * width + np.clip(columns, 0, width - 1)[:, None]
        total += np.float32(weight) * flat.take(first + place, axis=0)
    return total


def zoomed(x: Floats, factor: float) -> Floats:
    """`x` [N, H, W, C] magnified `factor` ≥ 1 times, bilinear, at the same size, as CIFAR-10-C's `clipped_zoom`."""
    n, height, width, channels = x.shape
    tall, wide = _zoom_matrix(height, factor), _zoom_matrix(width, factor)
    rows = np.matmul(tall, x.reshape(n, height, width * channels))
    return np.matmul(wide, rows.reshape(n * height, width, channels)).reshape(x.shape)


def plasma(rngs: Generators, height: int, width: int, decay: float) -> Floats:
    """A cloud an image in [0, 1], float32 [N, H, W], by midpoint displacement on a torus (Fournier et al. 1982).

    Its side is the power of two that covers the image. Each octave halves the grid, and what it adds at random falls
    by decay² (CIFAR-10-C's constants are made for that: its code squares the amplitude).
    """
    size = 1 << max(1, (max(height, width) - 1).bit_length())
    cloud = np.zeros((len(rngs), size, size), dtype=np.float32)
    step, amplitude = size, 1.0
    while step > 1:
        half, cells = step // 2, size // step
        noise = amplitude * (2 * uniform(rngs, (3, cells, cells)) - 1)
        corners = cloud[:, ::step, ::step]
        down, right = np.roll(corners, -1, 1), np.roll(corners, -1, 2)
        centres = (corners + down + right + np.roll(down, -1, 2)) / 4 + noise[:, 0]
        cloud[:, half::step, half::step] = centres
        above, before = np.roll(centres, 1, 1), np.roll(centres, 1, 2)
        cloud[:, ::step, half::step] = (corners + right + centres + above) / 4 + noise[:, 1]
        cloud[:, half::step, ::step] = (corners + down + centres + before) / 4 + noise[:, 2]
        step, amplitude = half, amplitude / decay**2
    cloud -= cloud.min(axis=(1, 2), keepdims=True)
    cloud /= cloud.max(axis=(1, 2), keepdims=True)
    return cloud[:, :height, :width]


def _mirrored(index: NDArray[np.floating], size: int) -> NDArray[np.int64]:
    """Whole-numbered positions brought inside [0, size) by reflection about the outermost pixels."""
    if size == 1:
        return np.zeros(index.shape, dtype=np.int64)
    folded = np.abs(index.astype(np.int64)) % (2 * size - 2)
    return np.minimum(folded, 2 * size - 2 - folded)


def _doubled(index: NDArray[np.floating], size: int) -> NDArray[np.int64]:
    """The same by reflection about the outer edges of the outermost pixels."""
    folded = index.astype(np.int64) % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _zoom_matrix(size: int, factor: float) -> Floats:
    """Bilinear weights [size, size] of a zoom that crops to ⌈size/factor⌉ whole pixels, enlarges those with first and
    last pixel kept in place, and cuts what is too much off both ends; odd pixels stay at the lower right."""
    kept = math.ceil(size / factor)
    enlarged = round(kept * factor)
    step = (kept - 1) / max(enlarged - 1, 1)
    position = np.minimum(((enlarged - size) // 2 + np.arange(size)) * step, kept - 1)
    low = np.minimum(np.floor(position).astype(int), max(kept - 2, 0))
    first = (size - kept) // 2 + low
    matrix = np.zeros((size, size), dtype=np.float32)
    matrix[np.arange(size), first] = 1 - (position - low)
    matrix[np.arange(size), np.minimum(first + 1, size - 1)] += position - low
    return matrix
