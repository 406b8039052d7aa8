"""A figure of an arm with its interval, which ends where the figure can. Pure."""

from __future__ import annotations

import math
from typing import Any

from training.evaluation import inference, intervals
from training.evaluation.components import Measured

_POINT = 1e-12  # an interval no wider is none


def estimated(
    one: Measured, low: float = -math.inf, high: float = math.inf, n: int | None = None
) -> dict[str, Any]:
    """A mean over seeds (or a difference of two) with its interval, crossed from five seeds on; `these_models` below
    that.

    `low` and `high` are the least and the greatest value that the figure can have; its interval ends there. Where none
    of the images varied, which is not that none can, the interval of a share of that range is Wilson's for `n` images
    (default: all), and None without an upper bound. Differences have no bounds: theirs is as it is.
    """
    found = inference.estimate(one)
    ends = found.interval()
    interval: list[float] | None = [max(ends[0], low), min(ends[1], high)]
    if math.isfinite(low) and min(ends[1], high) - max(ends[0], low) < _POINT:
        interval = None
        if math.isfinite(high):
            share = (found.value - low) / (high - low)
            interval = [low + (high - low) * end for end in intervals.wilson(share, n or one.n_images)]
    return {"value": found.value, "interval": interval, "these_models": found.these_models}
