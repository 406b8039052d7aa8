"""Figures against people: the distance of predictions to the distribution of human answers, beside what people reach.

**Ceiling**: one half of the votes on each image predicts the other half, the same split for every metric, mean over
`SPLITS`. A half is fewer people than the labels come from, so it is corrected to *another panel of as many people
predicting these votes*: squared distances fall with 1/votes (× ½), correlations follow Spearman and Brown (2r/(1 + r)).
KL and total variation fall by a power that depends on how often answers are unanimous, so it is taken from these
votes: by as much as from quarters to halves (× ½ and × 1/√2 where an image has fewer than four votes). Top-1 agreement
and human-ECE have no such law and stay. All of it holds for images that were not chosen by these votes, so not for
thirds of their entropy: those have no ceiling.
A share of votes is 0 where nobody said a class and costs infinitely much as a prediction, so for cross-entropy and
KL a half is shrunk to how people answer images of that commonest class, by the strength that predicts best.

What stands at the other end, the **floor**, differs by metric and is said in `values.METRICS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation import calibration
from training.evaluation.metrics import (
    Floats,
    check_probabilities,
    cross_entropies,
    entropies,
    squared_distances,
)
from training.evaluation.ranking import correlation, weighted_ranks
from training.evaluation.values import Value

SPLITS = 5
NO_COUNTS = "human ceiling not assessed: it needs counts of votes, and there are only probabilities"
TOO_FEW = "human ceiling not assessed: an image has fewer than two votes"
NO_CEILING = (NO_COUNTS, TOO_FEW)
STRENGTHS = np.geomspace(0.05, 50, 25)  # votes or answers that the shrinkage is worth
TOO_CHOSEN = "human ceiling not assessed on a third: its images were chosen by the votes that it would be measured with"
# What remains of an error with twice as many votes, by the laws for many votes.
_LAWS = {"human_kl": 1 / 2, "human_brier": 1 / 2, "human_total_variation": 1 / np.sqrt(2)}
_FITTED = ("human_kl", "human_total_variation")


@dataclass(frozen=True)
class Bounds:
    """What stands beside one figure."""

    ceiling: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Reach:
    """What people reach on some images: `bounds` by metric; where there are none, `why` ("" where there are)."""

    bounds: Mapping[str, Bounds]
    why: str = ""

    def beside(self, key: str) -> dict[str, float]:
        """`ceiling` and `floor` of a metric, each where it is known."""
        found = self.bounds.get(key, Bounds())
        told = {"ceiling": found.ceiling, "floor": found.floor}
        return {name: value for name, value in told.items() if value is not None}


def reach(counts: NDArray[np.int64] | None) -> Reach:
    """From counts of votes [N, K], None where only shares are known."""
    if counts is None:
        return Reach({}, NO_COUNTS)
    if counts.sum(axis=1).min() < 2:
        return Reach({}, TOO_FEW)
    return Reach(Panel(counts).bounds())


def terms(log_p: Floats, p: Floats, q: Floats) -> dict[str, Floats]:
    """What the metrics that are means take from each image: float64 [N] by key.

    `log_p` and `p` [N, K] are predictions, `q` [N, K] the shares of people. KL is CE − H(q).
    """
    check_probabilities(q, "human labels")
    losses = cross_entropies(log_p, q)
    return {
        "human_cross_entropy": losses,
        "human_kl": losses - entropies(q),
        "human_brier": squared_distances(p, q),
        "human_total_variation": np.abs(p - q).sum(axis=1) / 2,
        "human_top1_agreement": agreement(p, q),
    }


def agreement(p: Floats, q: Floats) -> Floats:
    """1 where the most probable class is the one most people chose, 1/t where it is one of t that tie: [N]."""
    most = q >= q.max(axis=1, keepdims=True) - 1e-12
    chosen = np.take_along_axis(most, p.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.asarray(chosen / most.sum(axis=1))


def entropy_correlations(model: Floats, human: Floats, weights: Floats) -> dict[str, Floats]:
    """Pearson's and Spearman's correlation of entropies [N] in each draw of weights [D, N]."""
    return {
        "entropy_correlation_pearson": correlation(model, human, weights),
        "entropy_correlation_spearman": correlation(
            weighted_ranks(model, weights), weighted_ranks(human, weights), weights
        ),
    }


def human_ece(p: Floats, q: Floats) -> Value:
    """ECE with the share of people who said the predicted class, q(ŷ), in place of right or wrong.

    The floor is what the scatter of q(ŷ) within the bins leaves where every bin's mean is right: Σ_b σ_b √(2/π)/N. The
    debiased value takes that scatter off too; shares of people scatter far less than right and wrong do.
    """
    confidence, outcome = _said_the_same(p, q)
    which = np.unique(calibration.equal_width(confidence), return_inverse=True)[1]
    gap = outcome - confidence
    scatter = gap - (np.bincount(which, weights=gap) / np.bincount(which))[which]
    variances = np.asarray(np.bincount(which, weights=scatter**2), np.float64)
    return replace(
        calibration.calibration_error(confidence, outcome, which, calibration.ECE),
        floor=float(np.sqrt(variances).sum() * np.sqrt(2 / np.pi) / len(gap)),
        debiased=calibration.debiased(gap, which, variances, calibration.ECE),
    )


def _said_the_same(p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Confidence max p̂ and the share q(ŷ) of each image, [N] both."""
    best = p.argmax(axis=1)[:, None]
    return p.max(axis=1), np.take_along_axis(q, best, axis=1)[:, 0]


def thirds(q: Floats) -> list[NDArray[np.bool_]]:
    """Which images are in the lowest, middle and highest third of human entropy, bool [N] each.

    Images of equal entropy (often 0: all said the same) stay in the order of the file, so that thirds are of a size.
    """
    order = np.argsort(entropies(q).round(12), kind="stable")
    found = []
    for part in np.array_split(order, 3):
        inside = np.zeros(len(q), bool)
        inside[part] = True
        found.append(inside)
    return found


def halves(
    counts: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The votes on each image, [N, K], split at random into two halves (the second has the odd one)."""
    left = counts.sum(axis=1) // 2
    rest = counts.sum(axis=1)
    first = np.zeros_like(counts)
    for k in range(counts.shape[1]):
        others = rest - counts[:, k]
        first[:, k] = rng.hypergeometric(counts[:, k], others, left)
        left, rest = left - first[:, k], others
    return first, counts - first


class Panel:
    """What people reach on these images, from the counts of their votes [N, K], at least two an image.

    Made once; `bounds` then answers for any part of the images. The same counts and seed give the same bits.
    """

    def __init__(self, counts: NDArray[np.int64], seed: int = 0) -> None:
        if counts.ndim != 2 or counts.sum(axis=1).min() < 2:
            raise DataError("A human ceiling needs at least two votes on each image.")
        self.labels = counts / counts.sum(axis=1, keepdims=True)
        rng = np.random.default_rng(seed)
        self._splits, self._quarters = [], []
        for _ in range(SPLITS):
            first, second = halves(counts, rng)
            self._splits.append(_shares_of(first, second))
            if counts.sum(axis=1).min() >= 4:
                self._quarters.append(_shares_of(*halves(first, rng)))

    def bounds(self, inside: NDArray[np.bool_] | None = None) -> dict[str, Bounds]:
        """Ceiling and floor by metric, on all images or those `inside` (bool [N]), which these votes must not have
        chosen."""
        rows = np.ones(len(self.labels), bool) if inside is None else inside
        half = _mean_of(self._splits, rows)
        left = dict(_LAWS)
        if self._quarters:
            quarter = _mean_of(self._quarters, rows)
            for key in _FITTED:
                if quarter[key] > 0:
                    left[key] = float(np.clip(half[key] / quarter[key], _LAWS[key], 1.0))
        ceiling = {key: value * left.get(key, 1.0) for key, value in half.items()}
        for key in ("entropy_correlation_pearson", "entropy_correlation_spearman"):
            r = half[key]
            ceiling[key] = 2 * r / (1 + r) if r > 0 else np.nan
        q = self.labels[rows]
        entropy = float(entropies(q).mean())
        ceiling["human_cross_entropy"] = entropy + ceiling["human_kl"]
        floors = labels_alone(q)
        # Half against half has twice the variance of n/2 votes, 4σ²/n; whoever knows the shares exactly has σ²/n, as
        # two panels of twice as many people have.
        floors |= {key: half[key] / 4 for key in ("human_kl", "human_brier")}
        floors["human_total_variation"] = half["human_total_variation"] * left["human_total_variation"] ** 2
        return {
            key: Bounds(value if np.isfinite(value) else None, floors.get(key))
            for key, value in ceiling.items()
        }


def labels_alone(q: Floats) -> dict[str, float]:
    """The floors that need no counts: the entropy of the labels, and always naming the class named most."""
    usual = np.tile(q.mean(axis=0), (len(q), 1))
    return {
        "human_cross_entropy": float(entropies(q).mean()),
        "human_top1_agreement": float(agreement(usual, q).mean()),
    }


def predict_from(votes: NDArray[np.int64], q: Floats) -> Floats:
    """Predictions [N, K] from few votes [N, K]: (votes + s·r)/(n + s), r the mean answer to images of that top class.

    s is the strength that gives the least cross-entropy against `q`, the other half of the votes.
    """
    classes = votes.shape[1]
    shares = votes / votes.sum(axis=1, keepdims=True)
    top = votes.argmax(axis=1)
    usual = np.full((classes, classes), 1 / classes)  # one further vote, spread evenly, keeps all above 0
    np.add.at(usual, top, shares)
    usual /= usual.sum(axis=1, keepdims=True)

    def at(strength: float) -> Floats:
        return np.asarray((votes + strength * usual[top]) / (votes.sum(axis=1, keepdims=True) + strength))

    return at(min(STRENGTHS, key=lambda s: float(cross_entropies(np.log(at(s)), q).mean())))


_Split = tuple[Floats, Floats, Floats]


def _shares_of(first: NDArray[np.int64], second: NDArray[np.int64]) -> _Split:
    """Shares of two parts of the votes, and what the first predicts of the second."""
    q = second / second.sum(axis=1, keepdims=True)
    return first / first.sum(axis=1, keepdims=True), q, predict_from(first, q)


def _mean_of(splits: Sequence[_Split], rows: NDArray[np.bool_]) -> dict[str, float]:
    found = [_one_split(*(part[rows] for part in split)) for split in splits]
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def _one_split(first: Floats, second: Floats, predicted: Floats) -> Mapping[str, float]:
    """Every metric of one half, `first`, against the `second`; KL with the half shrunk, `predicted`."""
    ones = np.ones((1, len(first)))
    correlations = entropy_correlations(entropies(first), entropies(second), ones)
    confidence, outcome = _said_the_same(first, second)
    return {
        "human_kl": float((cross_entropies(np.log(predicted), second) - entropies(second)).mean()),
        "human_brier": float(squared_distances(first, second).mean()),
        "human_total_variation": float(np.abs(first - second).sum(axis=1).mean() / 2),
        "human_top1_agreement": float(agreement(first, second).mean()),
        "human_ece": calibration.error(
            confidence, outcome, calibration.equal_width(confidence), calibration.ECE
        ),
        **{key: float(value[0]) for key, value in correlations.items()},
    }
