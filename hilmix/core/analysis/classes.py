"""What people say about classes: how uncertain the labels are, and how much falls outside of the two classes mixed.

The entropy of a mean of few answers is too small, the smaller the fewer there are, so entropies are compared at equal
numbers of answers (one person's, two people's) or corrected. A mean share has no such bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilmix.core.analysis.table import AnswerTable, Floats, Ints

MOST_PAIRS = 200  # of answers to one image; more are told by these


def entropy_bits(p: Floats) -> Floats:
    """Entropy of float64 [..., K] distributions, in bits."""
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=-1)


def outside(answers: AnswerTable) -> tuple[Floats, Floats]:
    """For each answer, the share given to classes that are not in the mix, and the share given to no class; 0–1."""
    assert answers.shares is not None
    rows = np.arange(len(answers))
    first, second = answers.shares[rows, answers.first_class], answers.shares[rows, answers.second_class]
    pair = first + np.where(answers.first_class == answers.second_class, 0.0, second)
    none = answers.shares[:, -1]
    return np.maximum(0.0, 1 - pair - none), none


@dataclass(frozen=True, eq=False)
class Entropies:
    """Entropies in bits, one entry a unit: int64 `unit` and `lambda_e4`, `n` answers; float64 of `one` person's label
    (the mean over people), of the mean of `two` people's (over pairs), and of the mean of all, `corrected` for their
    number by the jackknife. The last two are NaN where one person answered."""

    unit: Ints
    lambda_e4: Ints
    n: Ints
    one: Floats
    two: Floats
    corrected: Floats


def entropies(answers: AnswerTable, rng: np.random.Generator) -> Entropies:
    """Of the distributions that each person's answer makes; one that says nothing makes none."""
    assert answers.spread is not None
    said = np.flatnonzero(~np.isnan(answers.spread).any(axis=1))
    order = said[np.argsort(answers.unit[said], kind="stable")]
    units, starts, sizes = np.unique(answers.unit[order], return_index=True, return_counts=True)
    labels = answers.spread[order]
    own = entropy_bits(labels)
    rows = [_of_unit(labels[a : a + n], own[a : a + n], rng) for a, n in zip(starts, sizes, strict=True)]
    one, two, corrected = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Entropies(units, answers.lambda_e4[order][starts], sizes, one, two, corrected)


def _of_unit(labels: Floats, own: Floats, rng: np.random.Generator) -> tuple[float, float, float]:
    n = len(labels)
    if n == 1:
        return float(own[0]), np.nan, np.nan
    a, b = np.triu_indices(n, 1)
    if len(a) > MOST_PAIRS:
        chosen = rng.choice(len(a), MOST_PAIRS, replace=False)
        a, b = a[chosen], b[chosen]
    two = entropy_bits((labels[a] + labels[b]) / 2).mean()
    total = labels.sum(axis=0)
    without_one = entropy_bits((total - labels) / (n - 1)).mean()
    corrected = n * entropy_bits(total / n) - (n - 1) * without_one
    return float(own.mean()), float(two), float(corrected)


def mixup_entropy(lambda_: Floats) -> Floats:
    """Entropy in bits of mixup's own label, of a mix of two classes."""
    return entropy_bits(np.stack([lambda_, 1 - lambda_], axis=-1))
