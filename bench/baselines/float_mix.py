"""Baseline for mixing: float32 arithmetic into buffers made once.

It omits: exactness to the last bit on every machine, checks of type, shape and λ, and a new array a picture
that its caller may keep.
"""

from __future__ import annotations

import numpy as np


class FloatMixer:
    """Mixes pictures of one shape; each result stands in the same memory as the one before."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mixed, self.other = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.pixels = np.empty(shape, np.uint8)

    def __call__(self, first: np.ndarray, second: np.ndarray, share: np.float32) -> np.ndarray:
        """Round λa + (1 − λ)b to uint8."""
        np.multiply(first, share, out=self.mixed)
        np.multiply(second, np.float32(1) - share, out=self.other)
        self.mixed += self.other
        self.mixed += np.float32(0.5)
        np.copyto(self.pixels, self.mixed, casting="unsafe")
        return self.pixels
