"""What is kept of arms under changes: plain arrays, read by a process that computes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLIPS = 8  # images that one arm breaks and the other holds, at most
FLIP_COLUMNS = (
    "number", "label", "key", "p_a", "p_a_under", "class_a", "p_b", "p_b_under", "class_b",
)  # fmt: skip

Row = tuple[str, int]  # a transform and its severity; 0 for all of its severities together


@dataclass(frozen=True, eq=False)
class Compared:
    """R rows of A arms and P pairs of them (the first arm's place is below the second's); NaN where there is no value.

    `alone` float32 [A, R, 3]: break rate of what an arm has right, and its interval. `apart` float32 [P, R, 9]: break
    rates of both arms on what both have right, each with its interval, and first less second with its. `flips`
    float64 [P, 2, FLIPS, 9]: images that the first arm breaks and the second holds, and the other way round, by
    `FLIP_COLUMNS` (`key`: place in `rows`). `n_both` [P]: images that both have right, mean over seeds; `n_seeds` [P]
    seeds that both have; `flip_seed` [P] the one of `flips`; −1 for none.
    """

    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    alone: NDArray[np.float32]
    pairs: tuple[tuple[int, int], ...]
    apart: NDArray[np.float32]
    flips: NDArray[np.float64]
    n_both: NDArray[np.float64]
    n_seeds: NDArray[np.int64]
    flip_seed: NDArray[np.int64]
