"""Blur: a lens out of focus, frosted glass, a moving camera, a zoom. Hendrycks & Dietterich (ICLR 2019), appendix A.

Each takes pictures float32 [N, H, W, C] in [0, 1], one generator an image, and a severity's constants. Lengths are
pixels of a 32-pixel picture and are not scaled with the picture.
"""

from __future__ import annotations

import numpy as np

from training.evaluation.corruptions.draws import Floats, Generators, angles
from training.evaluation.corruptions.sampling import filtered, gaussian, streaked, zoomed


def gaussian_blur(x: Floats, rngs: Generators, sigma: float) -> Floats:
    """A Gaussian of `sigma` pixels."""
    return gaussian(x, sigma)


def defocus_blur(x: Floats, rngs: Generators, radius: float, softness: float) -> Floats:
    """A disk of `radius` pixels whose edge is softened by a 3×3 Gaussian of `softness`."""
    reach = int(radius) + 1  # the 3×3 Gaussian reaches one pixel beyond the disk
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (rows**2 + columns**2 <= radius**2).astype(np.float64)
    soft = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        disk = np.apply_along_axis(np.convolve, axis, disk, soft, mode="same")
    return filtered(x, disk / disk.sum())


def glass_blur(x: Floats, rngs: Generators, sigma: float, reach: int, times: int) -> Floats:
    """Blurred, then every pixel replaced by a neighbour, then blurred again.

    `times` over, from bottom right to top left, each pixel at least `reach` from the edge takes the value that is
    −reach … reach − 1 rows and columns away. (The published code is written as an exchange of two pixels, but both
    are views of one array, so the images of CIFAR-10-C were made by copying; so are these.)
    """
    n, height, width, _ = x.shape
    x = gaussian(x, sigma)
    rows, columns = range(height - reach, reach, -1), range(width - reach, reach, -1)
    shape = (times, len(rows), len(columns), 2)
    moves = np.stack([rng.integers(-reach, reach, shape) for rng in rngs], axis=3)
    every = np.arange(n)
    for time in range(times):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                down, right = moves[time, i, j].T
                x[:, row, column] = x[every, row + down, column + right]
    return gaussian(x, sigma)


def motion_blur(x: Floats, rngs: Generators, radius: int, sigma: float) -> Floats:
    """Streaks of `radius` steps in a direction drawn from −45° to 45°."""
    return streaked(x, radius, sigma, angles(rngs, -45, 45))


def zoom_blur(x: Floats, rngs: Generators, zooms: int) -> Floats:
    """The mean of the picture and its `zooms` magnifications 1, 1.01, 1.02, …

    The published code takes `arange(1, 1.06, 0.01)` and `arange(1, 1.11, 0.01)`, which by rounding hold their ends too;
    the factors are rounded as numpy does, since on 1.25 it hangs whether 26 pixels become 32 or 33.
    """
    total = x.copy()
    for k in range(zooms):
        total += zoomed(x, 1 + k * (1.01 - 1))
    return total / np.float32(zooms + 1)
