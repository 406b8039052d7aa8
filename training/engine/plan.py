"""What every step of a training sees: which images, shifted and mirrored how. Drawn once, before the first
step.

The plan depends on the seed and the sizes alone, never on an arm's labels, so all arms of a seed see the same
images in the same order with the same augmentation. Its hash is stored with each run: an equal budget is
shown, not claimed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.engine.config import TrainConfig

# One generator for each thing that is drawn, so that changing one never moves another.
_ORDER, _AUGMENT, WEIGHTS = 1, 2, 3


@dataclass(frozen=True)
class Plan:
    """`indices` int64 [epochs, steps, B] into the training images (parents first, then mixed images);
    `shifts` uint8 [epochs, steps, B, 2], row and column of the crop in the padded image; `flips` bool
    [epochs, steps, B].
    """

    indices: NDArray[np.int64]
    shifts: NDArray[np.uint8]
    flips: NDArray[np.bool_]

    @property
    def epochs(self) -> int:
        return self.indices.shape[0]

    @property
    def steps(self) -> int:
        """Steps in one epoch."""
        return self.indices.shape[1]

    @property
    def sha256(self) -> str:
        """Hash of the indices and of the augmentation draws."""
        digest = hashlib.sha256(str(self.indices.shape).encode())
        for array in (self.indices, self.shifts, self.flips):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def make_plan(config: TrainConfig, *, n_parents: int, n_mixed: int, seed: int) -> Plan:
    """The plan of one seed for `n_parents` plain and `n_mixed` mixed training images.

    Without `mixed_share` an epoch is one permutation of all images; with it each batch holds that share of
    mixed images and an epoch is one pass over the plain ones. What is left over at the end of an epoch, less
    than a batch, is not used in that epoch. Raises `DataError` where a batch cannot be filled.
    """
    order = np.random.default_rng([seed, _ORDER])
    if config.mixed_share is None:
        indices = _natural(config, n_parents + n_mixed, order)
    else:
        indices = _shared(config, n_parents, n_mixed, config.mixed_share, order)
    augment = np.random.default_rng([seed, _AUGMENT])
    shifts = augment.integers(0, 2 * config.crop + 1, size=(*indices.shape, 2), dtype=np.uint8)
    flips = augment.random(indices.shape) < 0.5 if config.flip else np.zeros(indices.shape, dtype=np.bool_)
    return Plan(indices, shifts, flips)


def _natural(config: TrainConfig, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if n < 2:
        raise DataError(f"{n} training images are too few to train on")
    batch = min(config.batch_size, n)
    steps = n // batch
    epochs = [rng.permutation(n)[: steps * batch] for _ in range(config.epochs)]
    return np.stack(epochs).reshape(config.epochs, steps, batch).astype(np.int64)


def _shared(
    config: TrainConfig, n_parents: int, n_mixed: int, share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    mixed_a_batch = round(share * config.batch_size)
    plain_a_batch = config.batch_size - mixed_a_batch
    steps = n_parents // plain_a_batch if plain_a_batch else 0
    if not steps or not mixed_a_batch or not n_mixed:
        raise DataError(
            f"a batch of {config.batch_size} with a share of {share:g} mixed images cannot be filled from "
            f"{n_parents} plain and {n_mixed} mixed images"
        )
    batches = config.epochs * steps
    plain = np.concatenate(
        [rng.permutation(n_parents)[: steps * plain_a_batch] for _ in range(config.epochs)]
    )
    rounds = -(-batches * mixed_a_batch // n_mixed)
    mixed = np.concatenate([rng.permutation(n_mixed) for _ in range(rounds)])[: batches * mixed_a_batch]
    both = np.concatenate(
        [plain.reshape(batches, plain_a_batch), n_parents + mixed.reshape(batches, mixed_a_batch)], axis=1
    )
    return both.reshape(config.epochs, steps, config.batch_size).astype(np.int64)
