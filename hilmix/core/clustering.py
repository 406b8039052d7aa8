"""Intervals of means of answers that go together in two ways: by who gave them and by what they are about."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hilmix.core.agreement import clustered_error, t_975

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]


def two_way_interval(values: Floats, person: Ints, group: Ints) -> Interval | None:
    """95% interval of the mean of float64 [n] `values` that go together by person and by group, both int64 [n]; None
    where there is one of either. Variances of the two add up, less that of both at once (Cameron, Gelbach and Miller,
    Journal of Business & Economic Statistics 29, 2011); never below the larger of the two."""
    errors = clustered_error(values, person), clustered_error(values, group)
    if errors[0] is None or errors[1] is None:
        return None
    both = clustered_error(values, person * (int(group.max()) + 1) + group)
    assert both is not None
    error = math.sqrt(max(errors[0] ** 2 + errors[1] ** 2 - both**2, errors[0] ** 2, errors[1] ** 2))
    half = t_975(min(len(np.unique(person)), len(np.unique(group))) - 1) * error
    return float(values.mean()) - half, float(values.mean()) + half
