"""Geometry: the picture mirrored, turned, shifted, magnified or shrunk. Ours, not of CIFAR-10-C.

Each takes pictures float32 [N, H, W, C] in [0, 1], one generator an image, and a severity's constants. Sampling is
bilinear, and beyond the edge the picture is mirrored, so that no net is judged on black corners.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.evaluation.corruptions.draws import Floats, Generators
from training.evaluation.corruptions.sampling import grid, sample


def flip_horizontal(x: Floats, rngs: Generators) -> Floats:
    """Left and right exchanged."""
    return x[:, :, ::-1]


def flip_vertical(x: Floats, rngs: Generators) -> Floats:
    """Top and bottom exchanged."""
    return x[:, ::-1]


def rotate(x: Floats, rngs: Generators, degrees: float) -> Floats:
    """Turned about the centre by `degrees`, one way or the other."""
    angle = np.radians(degrees) * _signs(rngs)
    return _mapped(x, np.cos(angle), np.sin(angle))


def scale(x: Floats, rngs: Generators, factor: float) -> Floats:
    """Magnified or shrunk about the centre by `factor`, one or the other."""
    return _mapped(x, factor ** -_signs(rngs), np.zeros(len(x)))


def translate(x: Floats, rngs: Generators, share: float) -> Floats:
    """Shifted by `share` of its side: up, down, left or right."""
    rows, columns = grid(*x.shape[1:3])
    way = np.array([[(0, 1), (0, -1), (1, 0), (-1, 0)][rng.integers(4)] for rng in rngs], dtype=np.float64)
    down, right = (way * share * np.array(x.shape[1:3])).T[:, :, None, None]
    return sample(x, rows - down, columns - right)


def _signs(rngs: Generators) -> NDArray[np.float64]:
    return np.array([2.0 * rng.integers(2) - 1 for rng in rngs])


def _mapped(x: Floats, along: NDArray[np.float64], across: NDArray[np.float64]) -> Floats:
    """Each pixel looks at [[along, across], [−across, along]]·(its place from the centre)."""
    height, width = x.shape[1:3]
    rows, columns = grid(height, width)
    y, z = rows - (height - 1) / 2, columns - (width - 1) / 2
    along, across = along[:, None, None], across[:, None, None]
    return sample(x, along * y + across * z + (height - 1) / 2, along * z - across * y + (width - 1) / 2)
