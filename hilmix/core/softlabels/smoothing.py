"""Policies that take some of the mass of a two-class label elsewhere: as unsure as people were, or by a constant.

What a confidence does to a label is a map: how much stays with the share perceived, how much goes to both classes
alike, how much to all classes alike. H-Mix does not publish its map. The default here comes closest to its categorical
answers among the plain ones, and `fitted` finds one from such answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Param, Params
from hilmix.core.softlabels.classes import class_probabilities, judgements_of, mean_labels
from hilmix.core.softlabels.counting import (
    Numbers,
    confidence_of,
    confidences,
    counted,
    lambdas_e4,
    perceived,
    rows_of_labels,
    two_hot,
)
from hilmix.core.softlabels.lambdas import LAMBDA_ANSWERS, shrunk_shares
from hilmix.core.softlabels.rows import Floats, Rows

PARTS = ("perceived", "endpoints", "uniform")  # where mass may go
ITERATIONS, TOLERANCE = 5000, 1e-10


def smoothed_answers(evidence: Evidence, numbers: Numbers, kept: Floats, to: str) -> Rows:
    """The mean over answers of c·two-hot(λ̂) + (1 − c)·elsewhere, c = `kept` float64 [N] of each perceived λ."""
    units, n_classes = evidence.units, evidence.n_classes
    first, second = two_hot(units, 1.0, n_classes), two_hot(units, 0.0, n_classes)
    elsewhere = (first + second) / 2 if to == "endpoints" else np.full_like(first, 1 / n_classes)
    groups, share = numbers.groups, (kept * numbers.values)[:, None]
    labels = share * first[groups] + (kept[:, None] - share) * second[groups]
    return mean_labels(units, labels + (1 - kept)[:, None] * elsewhere[groups], groups)


def smoothed_shares(evidence: Evidence, shares: Floats, kept: Floats, to: str) -> Rows:
    """c·two-hot(share) + (1 − c)·elsewhere of each unit, c = `kept` and `shares` float64 [n]."""
    units, n_classes = evidence.units, evidence.n_classes
    uniform = np.full((len(units), n_classes), 1 / n_classes)
    elsewhere = two_hot(units, 0.5, n_classes) if to == "endpoints" else uniform
    labels = kept[:, None] * two_hot(units, shares, n_classes) + (1 - kept)[:, None] * elsewhere
    return rows_of_labels(units, labels, numbers=perceived(units))


def mean_confidences(evidence: Evidence, policy: str) -> Floats:
    """The mean confidence of the answers to each unit, float64 [n]; that of the others where it has none."""
    numbers = perceived(evidence.units)
    sums = np.bincount(numbers.groups, confidences(evidence.units, policy), len(evidence.units))
    answered = numbers.sizes > 0
    means = sums / np.maximum(numbers.sizes, 1)
    return np.where(answered, means, means[answered].mean() if answered.any() else 1.0)


# --- by confidence, and by a constant


def _confidence_smoothing(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    if params["of"] == "shrunk":
        n = len(evidence.units)
        sure = (
            np.full(n, 1 - params["c"])
            if params["to"] == "constant"
            else mean_confidences(evidence, "confidence_smoothing")
        )
        return smoothed_shares(evidence, shrunk_shares(evidence.units).shares, sure, params["to"]), {}
    numbers = perceived(evidence.units)
    if params["to"] == "constant":
        kept = np.full(len(numbers.values), 1 - params["c"])
    else:
        kept = confidences(evidence.units, "confidence_smoothing")
    return smoothed_answers(evidence, numbers, kept, params["to"]), {}


def _smoothed_of_one(answer: Answer, unit: Unit, evidence: Evidence, params: Params) -> Floats | None:
    said, n_classes, to = answer.judgement, evidence.n_classes, params["to"]
    if params["of"] == "shrunk":
        raise DataError(
            "With of=shrunk the label policy confidence_smoothing has no label of a single answer."
        )
    if not isinstance(said, PerceivedLambda):
        return None
    kept = 1 - params["c"] if to == "constant" else confidence_of(said, unit, "confidence_smoothing")
    here = two_hot([unit], said.value, n_classes)[0]
    elsewhere = two_hot([unit], 0.5, n_classes)[0] if to == "endpoints" else np.full(n_classes, 1 / n_classes)
    return np.asarray(kept * here + (1 - kept) * elsewhere)


def _label_smoothing(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    units, s = evidence.units, params["s"]
    labels = two_hot(units, lambdas_e4(units) / 10_000, evidence.n_classes)
    return rows_of_labels(units, (1 - s) * labels + s / evidence.n_classes), {}


# --- by a map fitted on answers about classes


def _fitted(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """Of a mean confidence ω, a share ω goes as α says and 1 − ω as β does: each divides it between the shrunk share
    perceived, both classes alike and all classes alike. α and β maximise Σ q·log(label) over images that people gave
    classes to, too; that is concave, and found by expectation–maximisation from equal shares."""
    units, n_classes = evidence.units, evidence.n_classes
    shrunk = shrunk_shares(units)
    shares, numbers = shrunk.shares, shrunk.numbers
    answered = confidences(units, "fitted")
    mean_sure = float(answered.mean()) if len(answered) else 1.0
    sums = np.bincount(numbers.groups, answered, len(units))
    sure = np.where(numbers.sizes > 0, sums / np.maximum(numbers.sizes, 1), mean_sure)
    parts = np.stack(
        [
            two_hot(units, shares, n_classes),
            two_hot(units, 0.5, n_classes),
            np.full((len(units), n_classes), 1 / n_classes),
        ],
        axis=2,
    )
    places, targets = _said_beside(evidence, numbers)
    alpha, beta, cross_entropy, converged = _fit_map(targets, parts[places], sure[places])
    labels = np.einsum("nkp,np->nk", parts, np.outer(sure, alpha) + np.outer(1 - sure, beta))
    fitted = {
        "sure": dict(zip(PARTS, alpha.tolist(), strict=True)),
        "unsure": dict(zip(PARTS, beta.tolist(), strict=True)),
        "mean_confidence": mean_sure, "cross_entropy": cross_entropy,
        "n_units": len(places), "converged": converged,
    }  # fmt: skip
    return rows_of_labels(units, labels / labels.sum(axis=1, keepdims=True), numbers=numbers), fitted


def _said_beside(evidence: Evidence, numbers: Numbers) -> tuple[list[int], Floats]:
    """The units with a perceived λ about which people said classes as well, and the mean of what they said."""
    place_of = {unit.key: place for place, unit in enumerate(evidence.units) if numbers.sizes[place]}
    beside = [unit for unit in evidence.beside if unit.key in place_of]
    answers, groups = counted(beside)
    said = class_probabilities(judgements_of(answers), evidence.n_classes)
    rows = mean_labels(beside, said, groups)
    there = np.flatnonzero(rows.n > 0)
    if not len(there):
        raise DataError(
            "The label policy fitted needs mixed images about which people said both a share, with their confidence, "
            "and classes; there is none."
        )
    return [place_of[beside[place].key] for place in there], rows.probabilities[there]


def _fit_map(targets: Floats, parts: Floats, sure: Floats) -> tuple[Floats, Floats, float, bool]:
    """α and β float64 [P] for `targets` [m, K], `parts` [m, K, P] and `sure` [m]; the mean cross-entropy in nats, and
    whether it came to rest."""
    alpha = beta = np.full(len(PARTS), 1 / len(PARTS))
    before = np.inf
    for _ in range(ITERATIONS):
        mixture = np.einsum("nkp,np->nk", parts, np.outer(sure, alpha) + np.outer(1 - sure, beta))
        safe = np.maximum(mixture, 1e-300)
        now = float(-np.sum(targets * np.log(safe)) / len(targets))
        if before - now < TOLERANCE:
            return alpha, beta, now, True
        due = np.einsum("nk,nkp->np", targets / safe, parts)
        alpha, beta, before = (
            _shared(alpha * (sure @ due), alpha),
            _shared(beta * ((1 - sure) @ due), beta),
            now,
        )
    return alpha, beta, now, False


def _shared(weights: Floats, otherwise: Floats) -> Floats:
    total = weights.sum()
    return weights / total if total > 0 else otherwise


POLICIES = (
    LabelPolicy(
        "confidence_smoothing", 1, LAMBDA_ANSWERS,
        "The mean over people of c·(λ̂, 1 − λ̂) and 1 − c elsewhere, c their confidence: to all classes alike, to the "
        "two classes alike, or, instead of by confidence, a constant to all classes alike.",
        "probability of class", _confidence_smoothing,
        params=(
            Param(
                "to", "uniform", "where the mass goes: uniform, all classes; endpoints, the two; constant, c to all",
                choices=("uniform", "endpoints", "constant"),
            ),
            Param("c", 0.4, "the mass that goes to all classes with to=constant", low=0, high=1),
            Param(
                "of", "answers", "what is smoothed: answers, each by its own confidence; shrunk, the label of "
                "human_lambda_shrunk by the mean confidence of the answers to the image",
                choices=("answers", "shrunk"),
            ),
        ),
        of_one=_smoothed_of_one,
    ),
    LabelPolicy(
        "fitted", 1, LAMBDA_ANSWERS,
        "The shrunk perceived λ, smoothed by confidence with a map fitted on what people said of classes, of some of "
        "the same mixed images.",
        "probability of class", _fitted, needs=frozenset({"beside"}),
    ),
    LabelPolicy(
        "label_smoothing", 1, (),
        "Mixup's label with a constant s taken off and divided between all classes: no answer is used.",
        "mixing coefficient", _label_smoothing,
        params=(Param("s", 0.1, "mass divided between all classes", low=0, high=1),),
    ),
)  # fmt: skip
