"""Which images are behind what the page of a run shows, and in which order. Pure.

Images are named by their rows among the judged ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation import calibration, metrics
from training.evaluation.predictions import Predictions

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """The images that a run is shown by: `where` they are from ("test" or "validation"), their places `numbers` int64
    [N] in the image set, what the model said of them, and what was measured on them (empty where nothing was)."""

    where: str
    numbers: Ints
    predictions: Predictions
    evaluation: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Behind:
    """Which images are behind what is drawn, as rows of the judged images.

    `facts` int64 [N, 3]: place in the image set, label, predicted class. `orders` int64 [5, N], −1 behind the last:
    by cell of the confusion (falling confidence within), by bin of confidence (likewise), mistakes by falling
    confidence, all by falling entropy, all by falling distance to people (none where people are not known). `cells`
    int64 [K² + 1] and `bins` int64 [16] are where each cell and bin begins in its order.
    """

    facts: Ints
    orders: Ints
    cells: Ints
    bins: Ints


ORDERS = ("cell", "bin", "mistakes", "uncertain", "people")


def behind(judged: Judged) -> Behind:
    """The orders in which images are shown; of equal ones the first of the image set comes first."""
    found = judged.predictions
    n, classes = found.p.shape
    predicted, confidence = found.p.argmax(axis=1), found.p.max(axis=1)
    sure = np.argsort(-confidence, kind="stable")
    cell = found.labels * classes + predicted
    bins = calibration.equal_width(confidence)
    orders = np.full((len(ORDERS), n), -1, dtype=np.int64)
    orders[0] = sure[np.argsort(cell[sure], kind="stable")]
    orders[1] = sure[np.argsort(bins[sure], kind="stable")]
    wrong = sure[predicted[sure] != found.labels[sure]]
    orders[2, : len(wrong)] = wrong
    orders[3] = np.argsort(-metrics.entropies(found.p).round(12), kind="stable")
    if found.human is not None:
        orders[4] = np.argsort(-distances(found).round(12), kind="stable")
    return Behind(
        facts=np.stack([judged.numbers, found.labels, predicted], axis=1).astype(np.int64),
        orders=orders,
        cells=_starts(cell, classes**2),
        bins=_starts(bins, calibration.N_BINS),
    )


def _starts(which: Ints, n: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(which, minlength=n))]).astype(np.int64)


def distances(found: Predictions) -> metrics.Floats:
    """Total variation between the model and people: half of Σ |p̂ₖ − qₖ|, 0 to 1."""
    assert found.human is not None
    return np.asarray(np.abs(found.p - found.human).sum(axis=1) / 2)
