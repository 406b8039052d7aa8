"""Random numbers of a corruption: one generator an image, named by what the image shows.

Keyed by the image's pixels and not by its place, so neither the batch nor the order of the images changes what is
drawn; two images with the same pixels are corrupted alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hilmix.core.files import canonical_json

Floats = NDArray[np.floating]  # float32 unless a function says otherwise
Generators = Sequence[np.random.Generator]


def generators(images: NDArray[np.uint8], name: str, severity: int, seed: int) -> list[np.random.Generator]:
    """One generator for each of `images` uint8 [N, H, W, C]: a function of seed, corruption, severity and pixels."""
    start = hashlib.blake2b(canonical_json([seed, name, severity, images.shape[1:]]), digest_size=16)
    found = []
    for image in images:
        digest = start.copy()
        digest.update(image.tobytes())
        found.append(np.random.default_rng(int.from_bytes(digest.digest(), "little")))
    return found


def draw(rngs: Generators, one: Callable[[np.random.Generator], NDArray[np.generic] | float]) -> Floats:
    """What `one` draws from each generator, stacked: float32 [N, …]."""
    return np.stack([one(rng) for rng in rngs]).astype(np.float32, copy=False)


def normal(rngs: Generators, shape: tuple[int, ...]) -> Floats:
    """Standard normal numbers float32 [N, *shape]."""
    return draw(rngs, lambda rng: rng.standard_normal(shape, dtype=np.float32))


def uniform(rngs: Generators, shape: tuple[int, ...]) -> Floats:
    """Numbers uniform over [0, 1), float32 [N, *shape]."""
    return draw(rngs, lambda rng: rng.random(shape, dtype=np.float32))


def angles(rngs: Generators, low: float, high: float) -> NDArray[np.float64]:
    """One angle an image, uniform over [low, high) degrees, in radians: float64 [N]."""
    return np.radians(np.array([rng.uniform(low, high) for rng in rngs]))
