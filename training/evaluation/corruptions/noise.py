"""Noise: added, multiplied, counted or put in place of a value. Hendrycks & Dietterich (ICLR 2019), appendix A.

Each takes pictures float32 [N, H, W, C] in [0, 1], one generator an image, and a severity's constants.
"""

from __future__ import annotations

import numpy as np

from training.evaluation.corruptions.draws import Floats, Generators, draw, normal, uniform


def gaussian_noise(x: Floats, rngs: Generators, sd: float) -> Floats:
    """x + sd·ε, ε standard normal for every value."""
    return x + np.float32(sd) * normal(rngs, x.shape[1:])


def shot_noise(x: Floats, rngs: Generators, photons: float) -> Floats:
    """Poisson(x·photons)/photons: `photons` are counted where the picture is white."""
    means = iter(x * np.float32(photons))
    return draw(rngs, lambda rng: rng.poisson(next(means))) / np.float32(photons)


def impulse_noise(x: Floats, rngs: Generators, share: float) -> Floats:
    """Each value becomes 0 or 1, equally likely, with probability `share`."""
    u = uniform(rngs, x.shape[1:])
    return np.where(u < share, (u < share / 2).astype(np.float32), x)


def speckle_noise(x: Floats, rngs: Generators, sd: float) -> Floats:
    """x + x·sd·ε, ε standard normal for every value."""
    return x + x * np.float32(sd) * normal(rngs, x.shape[1:])
