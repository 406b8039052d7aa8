"""Votes: the class that each person finds most probable. As shares of people, and after Dawid–Skene: which class an
image is, if each person takes one class for another in their own way.

Dawid & Skene, Applied Statistics 28, 1979: expectation–maximisation over the true class of each image, with a confusion
matrix for each person. Made for images of one class: of a mixed image it says which of its classes most would name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hilmix.core.judgements import ClassMass
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Param, Params
from hilmix.core.softlabels.classes import CLASS_ANSWERS, Booleans, judgements_of, masses, of_kind
from hilmix.core.softlabels.counting import counted, lambdas_e4, numbered, rows_of_labels, two_hot
from hilmix.core.softlabels.rows import Floats, Ints, Rows

ITERATIONS, TOLERANCE = 1000, 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Votes:
    """The class each answer gives most, weight 1; classes given the same share it. int64 [M] `units`, `people` and
    `classes`, float64 [M] `weights`; int64 [n] `sizes`, answers with a vote for each unit."""

    units: Ints
    people: Ints
    classes: Ints
    weights: Floats
    sizes: Ints
    n_people: int


def _votes(evidence: Evidence) -> Votes:
    answers, groups = counted(evidence.units)
    kept, said = of_kind(ClassMass, judgements_of(answers))
    mass, _ = masses(said, evidence.n_classes)
    top = (mass > 0) & (mass == mass.max(axis=1, initial=0, keepdims=True))
    rows, classes = np.nonzero(top)
    people, n_people = numbered([answers[place].participant for place in kept])
    units = groups[kept]
    sizes = np.bincount(units[top.any(axis=1)], minlength=len(evidence.units))
    return Votes(units[rows], people[rows], classes, 1 / top.sum(axis=1)[rows], sizes, n_people)


def _votes_as_labels(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """Shares of votes; unanswered, mixup's label."""
    units, n_classes = evidence.units, evidence.n_classes
    votes = _votes(evidence)
    return _labelled(evidence, votes, _shares_of_votes(votes, len(units), n_classes)), {}


def _dawid_skene(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """Posterior of the true class; unanswered, mixup's label. It starts from the shares of votes, and to the counts of
    every confusion row come `prior` answers, half of them right and half any class (so nothing is impossible)."""
    units, n_classes = evidence.units, evidence.n_classes
    votes = _votes(evidence)
    prior = params["prior"] * (np.eye(n_classes) + 1 / n_classes) / 2
    posterior = _shares_of_votes(votes, len(units), n_classes)
    answered = votes.sizes > 0
    change, iterations = np.inf, 0
    while change > TOLERANCE and iterations < ITERATIONS and answered.any():
        frequencies, confusion = _from_posterior(votes, posterior, answered, prior)
        after = _posterior(votes, frequencies, confusion, len(units))
        after = np.round(after, 10)  # a tie stays a tie, whatever order the answers came in
        change, posterior = float(np.abs(after - posterior)[answered].max()), after
        iterations += 1
    fitted: dict[str, Any] = {
        "iterations": iterations,
        "converged": change <= TOLERANCE or not answered.any(),
    }
    if answered.any():
        right = np.einsum("pkk,k->p", confusion, frequencies)
        fitted |= {"frequencies": frequencies.tolist(), "mean_accuracy": float(right.mean())}
    return _labelled(evidence, votes, posterior), fitted


def _labelled(evidence: Evidence, votes: Votes, probabilities: Floats) -> Rows:
    """One label a unit, of as many people as voted; mixup's where nobody did."""
    units = evidence.units
    mixup = two_hot(units, lambdas_e4(units) / 10_000, evidence.n_classes)
    labels = np.where((votes.sizes > 0)[:, None], probabilities, mixup)
    rows = rows_of_labels(units, labels)
    return Rows(labels, rows.lambdas, votes.sizes, rows.spreads, rows.lows, rows.highs)


def _shares_of_votes(votes: Votes, n: int, n_classes: int) -> Floats:
    counts = np.bincount(votes.units * n_classes + votes.classes, votes.weights, n * n_classes)
    return counts.reshape(n, n_classes) / np.maximum(votes.sizes, 1)[:, None]


def _from_posterior(
    votes: Votes, posterior: Floats, answered: Booleans, prior: Floats
) -> tuple[Floats, Floats]:
    """How frequent each class is, float64 [K], and the confusion of each person, float64 [people, true, said]."""
    n_classes = posterior.shape[1]
    frequencies = posterior[answered].sum(axis=0) + 1 / n_classes
    weighted = posterior[votes.units] * votes.weights[:, None]
    cells = votes.people * n_classes + votes.classes
    size = votes.n_people * n_classes
    counts = np.stack([np.bincount(cells, column, size) for column in weighted.T], axis=0)
    confusion = counts.reshape(n_classes, votes.n_people, n_classes).transpose(1, 0, 2) + prior
    return frequencies / frequencies.sum(), confusion / confusion.sum(axis=2, keepdims=True)


def _posterior(votes: Votes, frequencies: Floats, confusion: Floats, n: int) -> Floats:
    logs = np.log(confusion)[votes.people, :, votes.classes] * votes.weights[:, None]
    total = np.stack([np.bincount(votes.units, column, n) for column in logs.T], axis=1) + np.log(frequencies)
    likely = np.exp(total - total.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


POLICIES = (
    LabelPolicy(
        "votes", 1, CLASS_ANSWERS,
        "The share of people who find each class the most probable; of several classes with the same share, each has a "
        "part of the vote.",
        "share of people", _votes_as_labels,
    ),
    LabelPolicy(
        "dawid_skene", 1, CLASS_ANSWERS,
        "How probable each class is, given the class that each person finds most probable and how often each of them "
        "takes one class for another; both are estimated together.",
        "probability of class", _dawid_skene,
        params=(
            Param(
                "prior", 1.0, "answers assumed of each person about each class, half right, half of any class",
                low=0.01, high=100,
            ),
        ),
    ),
)  # fmt: skip
