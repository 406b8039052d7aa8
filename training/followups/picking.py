"""Which mixed images a follow-up asks about: those that a rule picks, and as many at random of the rest.

Pure. Of the N images that the rule can judge its n are certain to be picked: inclusion probability 1. Of the N − n
others n are drawn at random without replacement: n/(N − n) each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.errors import Invalid

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Picked:
    """Places int64 [n] among the images that were ranked, by the rule and at random, and the inclusion probability of
    the latter; that of the former is 1."""

    by_rule: Ints
    at_random: Ints
    probability: float


def pick(order: Ints, n: int, seed: int) -> Picked:
    """The first `n` of `order` int64 [N], and `n` at random of the others.

    Raises:
        Invalid: there are not as many images.
    """
    if not 1 <= n <= len(order) // 2:
        problem = (
            f"From 1 to {len(order) // 2}: as many again are drawn at random of the {len(order)} images."
        )
        raise Invalid(f"No study was made. {problem}", fields={"n": [problem]})
    rest = np.sort(order[n:])
    drawn = np.random.default_rng(seed).choice(rest, n, replace=False)
    return Picked(order[:n], np.sort(drawn), n / len(rest))
