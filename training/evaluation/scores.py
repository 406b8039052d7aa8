"""Everything that is measured on one trained model, and its summary over seeds.

`score` turns the logits of one run into the numbers that the report shows; `summarise` gives mean and spread
over an arm's seeds. `METRICS` are those of the one table, `values.METRICS`, that an experiment's report has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation import calibration, metrics
from training.evaluation.values import BY_KEY, Metric

# What an experiment's report shows, under the keys that stored runs have.
METRICS = (
    BY_KEY["accuracy"],
    replace(BY_KEY["log_loss"], key="ce_hard", name="CE, hard labels"),
    replace(BY_KEY["human_cross_entropy"], key="ce_human"),
    replace(BY_KEY["ece_equal_width_15"], key="ece"),
    Metric(
        "ece_floor",
        "ECE floor",
        "ECE that a perfectly calibrated model would show by chance",
        None,
        "calibration",
    ),
    BY_KEY["brier"],
)


def score(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    human_labels: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """All metrics of one model on one evaluation set.

    `logits` [N, K], `labels` int64 [N], `human_labels` float64 [N, K] or None. Returns the keys of `METRICS`
    (`ce_human` None without human labels), `n`, and `reliability`: one dictionary a bin.
    """
    log_p = metrics.log_softmax(logits)
    p = np.exp(log_p)
    return {
        "n": len(labels),
        "accuracy": metrics.accuracy(p, labels),
        "ce_hard": metrics.cross_entropy(log_p, labels),
        "ce_human": None if human_labels is None else metrics.cross_entropy(log_p, human_labels),
        "ece": calibration.ece(p, labels),
        "ece_floor": calibration.ece_floor(p),
        "brier": metrics.brier(p, labels),
        "reliability": [asdict(entry) for entry in calibration.reliability(p, labels)],
    }


@dataclass(frozen=True)
class Summary:
    """A metric over one arm's seeds: mean, sample standard deviation (None for one seed), each value."""

    mean: float
    sd: float | None
    values: tuple[float, ...]


def summarise(values: Sequence[float | None]) -> Summary | None:
    """Mean and sample standard deviation (ddof 1) over seeds; None where the metric was not measured."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Summary(float(np.mean(known)), sd, tuple(known))
