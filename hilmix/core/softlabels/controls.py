"""Labels to compare with: as much smoothing, as much entropy or the same numbers, but nothing said of this image.

What is drawn at random depends on the seed and on the key of the unit alone, so an image has the same in every release.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import shake_128
from typing import Any

import numpy as np

from hilmix.core.judgements import Unit
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Param, Params
from hilmix.core.softlabels.counting import (
    confidences,
    lambdas_e4,
    perceived,
    rows_of_labels,
    rows_of_shares,
)
from hilmix.core.softlabels.curves import turned
from hilmix.core.softlabels.lambdas import LAMBDA_ANSWERS, shrunk_shares
from hilmix.core.softlabels.rows import Floats, Rows
from hilmix.core.softlabels.smoothing import mean_confidences, smoothed_answers, smoothed_shares


def drawn(units: Sequence[Unit], seed: int, n: int) -> Floats:
    """float64 [units, n] from 0 to below 1, uniform: the first 32 bits each of shake128("seed key")."""
    digests = b"".join(shake_128(f"{seed} {unit.key}".encode()).digest(4 * n) for unit in units)
    return np.frombuffer(digests, dtype="<u4").reshape(len(units), n) / 2.0**32


def _uniform(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    n, k = len(evidence.units), evidence.n_classes
    return rows_of_labels(evidence.units, np.full((n, k), 1 / k)), {}


def _random(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    numbers = drawn(evidence.units, params["seed"], evidence.n_classes) + 2.0**-33  # never all 0
    return rows_of_labels(evidence.units, numbers / numbers.sum(axis=1, keepdims=True)), {}


def _shuffled_within_lambda(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """Of the units of one λ, ordered by key, the first in another order, by what is drawn, takes the first's share."""
    units = evidence.units
    shrunk = shrunk_shares(units)
    lambdas, keys = lambdas_e4(units), np.argsort(np.argsort([unit.key for unit in units], kind="stable"))
    giving = np.lexsort((keys, lambdas))
    taking = np.lexsort((drawn(units, params["seed"], 1)[:, 0], lambdas))
    shuffled = np.empty_like(shrunk.shares)
    shuffled[taking] = shrunk.shares[giving]
    return rows_of_shares(units, evidence.n_classes, shuffled, n=shrunk.numbers.sizes), {}


def _matched_entropy(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """max(λ̃, 1 − λ̃) for the class that mixup gives more; at λ = ½, for the one that a coin fixed by the key says."""
    units = evidence.units
    shrunk = shrunk_shares(units)
    lambdas, larger = lambdas_e4(units), np.maximum(shrunk.shares, 1 - shrunk.shares)
    coin = (drawn(units, 0, 1)[:, 0] < 0.5) ^ turned(units)
    first = np.where(lambdas == 5000, coin, lambdas > 5000)
    shares = np.where(first, larger, 1 - larger)
    return rows_of_shares(units, evidence.n_classes, shares, n=shrunk.numbers.sizes), {}


def _constant_smoothing(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """`confidence_smoothing` with 1 − the mean confidence in place of everyone's own: the mean of all answers, or of
    the images where it is no answer that is smoothed, so that it is the mean of what `of=shrunk` does there."""
    if params["of"] != "answers":
        units = evidence.units
        shares = shrunk_shares(units).shares if params["of"] == "shrunk" else lambdas_e4(units) / 10_000
        kept = float(mean_confidences(evidence, "constant_smoothing").mean()) if len(units) else 1.0
        return smoothed_shares(evidence, shares, np.full(len(units), kept), "uniform"), {"c": 1 - kept}
    numbers, sure = perceived(evidence.units), confidences(evidence.units, "constant_smoothing")
    kept = float(sure.mean()) if len(sure) else 1.0
    rows = smoothed_answers(evidence, numbers, np.full(len(sure), kept), "uniform")
    return rows, {"c": 1 - kept}


_SEED = Param("seed", 0, "which random draw", low=0, high=2**31 - 1)

POLICIES = (
    LabelPolicy(
        "uniform", 1, (), "Every class alike: what a label that knows nothing says.", "control", _uniform,
    ),
    LabelPolicy(
        "random", 1, (), "A number from 0 to 1 drawn for each class, divided by their sum; one draw an image.",
        "control", _random, params=(_SEED,),
    ),
    LabelPolicy(
        "shuffled_within_lambda", 1, LAMBDA_ANSWERS,
        "The shares of human_lambda_shrunk dealt out anew among the mixed images of the same λ: as human, but of "
        "another image.",
        "control", _shuffled_within_lambda, params=(_SEED,),
    ),
    LabelPolicy(
        "matched_entropy", 1, LAMBDA_ANSWERS,
        "The entropy of human_lambda_shrunk with the larger share where mixup has it: as soft, but nobody's opinion.",
        "control", _matched_entropy,
    ),
    LabelPolicy(
        "constant_smoothing", 1, LAMBDA_ANSWERS,
        "The mean perceived λ smoothed by the same for every image and person, as much as confidence_smoothing "
        "smooths on average.",
        "control", _constant_smoothing,
        params=(
            Param(
                "of", "answers", "what is smoothed: answers; shrunk, the label of human_lambda_shrunk; mixup, its λ",
                choices=("answers", "shrunk", "mixup"),
            ),
        ),
    ),
)  # fmt: skip
