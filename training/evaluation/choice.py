"""Which arm to take, from *validation* figures: an arm, never a seed.

The test images judge the arm that was chosen and have no part in choosing. A seed is no choice to make: the best of
five seeds of one arm is luck, and retraining would not bring it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation.components import Measured
from training.evaluation.intervals import DRAWS


@dataclass(frozen=True)
class Choice:
    """Arms from best to worst by their mean over seeds; `first_share`, how often each is first among crossed draws of
    images and seeds, 0–1, summing to 1 (arms that tie for first share the draw)."""

    order: tuple[str, ...]
    values: dict[str, float]
    first_share: dict[str, float]
    draws: int

    @property
    def arm(self) -> str:
        """The arm to take."""
        return self.order[0]


def choose(
    validation: Mapping[str, Measured], *, higher_is_better: bool, draws: int = DRAWS, seed: int = 0
) -> Choice:
    """Rank arms by a validation metric, and say how sure the first place is.

    All arms bring the same images and the same number of seeds. Images and seeds are drawn with replacement, each
    independently, the same draws for all arms; `Drawn` metrics must have been measured with the same `draws` and
    `seed`, and draws in which one is undefined are left out. Equal means are ranked in the order in which the arms are
    given.
    """
    arms = list(validation)
    if not arms:
        raise DataError("there is no arm to choose from")
    shapes = {(len(one.values), one.n_images) for one in validation.values()}
    if len(shapes) > 1:
        raise DataError(
            "arms are ranked on the same validation images and the same seeds: bring the seeds that all of them have"
        )
    n_seeds, _ = shapes.pop()
    rng = np.random.default_rng((seed, 1))  # other draws than those of the images
    seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), draws) / n_seeds
    resampled = [(one.resampled(draws, seed) * seeds).sum(axis=1) for one in validation.values()]
    sign = 1 if higher_is_better else -1
    scores = sign * np.stack(resampled, axis=1)
    scores = scores[np.isfinite(scores).all(axis=1)]
    first = np.isclose(scores, scores.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    share = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    values = {arm: float(one.values.mean()) for arm, one in validation.items()}
    order = sorted(arms, key=lambda arm: -sign * values[arm])
    return Choice(tuple(order), values, dict(zip(arms, map(float, share), strict=True)), len(scores))
