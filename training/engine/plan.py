"""What every step of a training sees: which images, changed and mixed by which draws. Known before the first step.

A plan depends on the seed, the sizes of the budget and the form of the schedule alone, never on an arm's labels,
strengths, tuned rates or missing images. So all arms of a seed see the same places filled in the same order, with the
same draws. Its hash is stored with each run: an equal budget is shown, not claimed. What an epoch draws follows from
the seed and the epoch, so a thousand epochs take no more memory than one, and a resumed run needs none behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from hilmix.core.files import sha256_json
from training.engine.config import TrainConfig

# One generator for each thing that is drawn, so that changing one never moves another.
_ORDER, _UNIFORM, WEIGHTS, _MIXED, _STAND_IN, _STEP = 1, 2, 3, 4, 5, 6

# What is drawn for every place of every batch, uniform in [0, 1); strengths say what becomes of it. The place in
# this list is a part of the seed: append, never reorder.
DRAWS = (
    "row", "column", "flip", "rotation", "blur", "brightness", "contrast", "noise",
    "mixed", "partner", "share", "box_row", "box_column",
)  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """How many plain and mixed images all arms of an experiment have between them. What an arm lacks of them, it
    makes up from its own images, at the same places of the same batches."""

    n_parents: int
    n_mixed: int

    @property
    def n(self) -> int:
        return self.n_parents + self.n_mixed


@dataclass(frozen=True)
class Plan:
    """The plan of one seed: `epochs` of `steps` batches of `batch` places each.

    A place is filled from the `budget`: its plain images are 0 … n_parents − 1, its mixed images follow.
    `schedule` is the form in which the learning rate falls, and where. How high it is, how long it warms up and how
    far it falls are no part of a plan: arms that were tuned apart have an equal budget.
    """

    seed: int
    budget: Budget
    epochs: int
    steps: int
    batch: int
    mixed_a_batch: int | None
    schedule: tuple[str | float, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of the seed, the sizes and the form of the schedule, and of all that the first epoch draws."""
        recipe = [self.seed, self.budget.n_parents, self.budget.n_mixed, self.epochs, self.steps, self.batch]
        digest = hashlib.sha256(sha256_json([*recipe, self.mixed_a_batch, self.schedule]).encode())
        digest.update(self.order(0).tobytes())
        for name in DRAWS:
            digest.update(self.uniform(0, name).tobytes())
        return digest.hexdigest()

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Which image of the budget is at each place of an epoch (from 0): int64 [steps, batch]."""
        rng = self._rng(_ORDER, epoch)
        if self.mixed_a_batch is None:
            return rng.permutation(self.budget.n)[: self.steps * self.batch].reshape(self.steps, self.batch)
        plain_a_batch = self.batch - self.mixed_a_batch
        plain = rng.permutation(self.budget.n_parents)[: self.steps * plain_a_batch]
        mixed = self.budget.n_parents + self._mixed(epoch)
        return np.concatenate([plain.reshape(self.steps, -1), mixed.reshape(self.steps, -1)], axis=1)

    def _mixed(self, epoch: int) -> NDArray[np.int64]:
        """The mixed images of an epoch's batches: the next of an endless row of permutations of all of them."""
        assert self.mixed_a_batch is not None
        n, an_epoch = self.budget.n_mixed, self.steps * self.mixed_a_batch
        first, last = epoch * an_epoch // n, ((epoch + 1) * an_epoch - 1) // n
        rounds = [self._rng(_MIXED, number).permutation(n) for number in range(first, last + 1)]
        start = epoch * an_epoch - first * n
        return np.concatenate(rounds)[start : start + an_epoch]

    def uniform(self, epoch: int, name: str) -> NDArray[np.float32]:
        """The draws called `name` (one of `DRAWS`) of every place of an epoch: float32 [steps, batch] in [0, 1)."""
        return self._rng(_UNIFORM, DRAWS.index(name), epoch).random((self.steps, self.batch), np.float32)

    def images(
        self, epoch: int, slots: NDArray[np.int64], n_parents: int, plain_for_mixed: bool = False
    ) -> NDArray[np.int64]:
        """Which of an arm's own images is at each place of an epoch: int64 [steps, batch].

        `slots` int64 [N] says which image of the budget each of the arm's N images is, its `n_parents` plain ones
        first. Where a place has an image that the arm lacks, one of its own of that kind stands in, each as often
        as the others; a plain one where it has none of that kind, or where `plain_for_mixed` says so.
        """
        own = np.full(self.budget.n, -1, dtype=np.int64)
        own[slots] = np.arange(len(slots))
        order = self.order(epoch)
        images = own[order]
        mixed_place = order >= self.budget.n_parents
        for kind, places in enumerate((~mixed_place, mixed_place)):
            lacking = np.flatnonzero((images < 0) & places)
            pool = np.arange(n_parents, len(slots)) if kind else np.arange(n_parents)
            if kind and plain_for_mixed:
                pool = np.arange(n_parents)
            pool = pool if len(pool) else np.arange(len(slots))
            if len(lacking):
                rng, rounds = self._rng(_STAND_IN, epoch, kind), -(-len(lacking) // len(pool))
                drawn = np.concatenate([rng.permutation(pool) for _ in range(rounds)])
                images.flat[lacking] = drawn[: len(lacking)]
        return images

    def step_seed(self, done: int) -> int:
        """The seed of what a step draws on the device: the grains of noise, and what a net drops."""
        return int(self._rng(_STEP, done).integers(2**63))

    def _rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *what])


def make_plan(config: TrainConfig, *, budget: Budget, seed: int) -> Plan:
    """The plan of one seed.

    Without `mixed_share` an epoch is one permutation of all images; with it each batch holds that share of
    mixed images and an epoch is one pass over the plain ones. What is left over at the end of an epoch, less
    than a batch, is not used in that epoch. Raises `DataError` where a batch cannot be filled, and for a
    negative seed.
    """
    if seed < 0:
        raise DataError(f"the seed is {seed}; it must be a whole number of at least 0")
    milestones = config.milestones if config.schedule == "steps" else ()
    schedule: tuple[str | float, ...] = (config.schedule, *milestones)
    if config.mixed_share is None:
        if budget.n < 2:
            raise DataError(f"{budget.n} training images are too few to train on")
        batch = min(config.batch_size, budget.n)
        return Plan(seed, budget, config.epochs, budget.n // batch, batch, None, schedule)
    mixed = round(config.mixed_share * config.batch_size)
    plain = config.batch_size - mixed
    steps = budget.n_parents // plain if plain else 0
    if not steps or not mixed or not budget.n_mixed:
        raise DataError(
            f"a batch of {config.batch_size} with a share of {config.mixed_share:g} mixed images cannot be filled "
            f"from {budget.n_parents} plain and {budget.n_mixed} mixed images"
        )
    return Plan(seed, budget, config.epochs, steps, config.batch_size, mixed, schedule)
