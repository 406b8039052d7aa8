"""What of both parents together is seen of the first; no more than numpy, as pages and services load it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shares_of(p: NDArray[np.float64], first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """What each first parent has of what both have together, float64 [n], by distributions [n, K]; a half where they
    have nothing."""
    places = np.arange(len(first))
    one, other = p[places, first], p[places, second]
    both = one + other
    return np.where(both > 0, one / np.where(both > 0, both, 1.0), 0.5)
