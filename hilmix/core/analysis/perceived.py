"""What people see: shares of both images at every λ and of every pair of classes, and how sure they are of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hilmix.core.analysis.estimates import (
    Estimate,
    Interval,
    by_level,
    correlation,
    difference,
    estimate,
)
from hilmix.core.analysis.table import BINS, AnswerTable, Mask, rounded


def by_class_pair(answers: AnswerTable) -> Iterator[tuple[tuple[int, int], float, Estimate]]:
    """Perceived λ (or midpoint) of each pair of classes, the class of lower index first, at each λ of its image."""
    turned = answers.by_class_pair
    pairs = np.stack([turned.first_class, turned.second_class], axis=1)
    for pair in np.unique(pairs, axis=0):
        mine = turned.where((pairs == pair).all(axis=1))
        if mine.kind == "midpoint":
            if (found := estimate(mine.value, mine.person)) is not None:
                yield (int(pair[0]), int(pair[1])), np.nan, found
            continue
        for shown, found in by_level(mine.value, mine.person, mine.lambda_):
            yield (int(pair[0]), int(pair[1])), shown, found


def confidence_by_deviation(answers: AnswerTable) -> Iterator[tuple[float, float, float, Estimate]]:
    """Low, high and mean of |perceived λ − λ| in each of `BINS`, and the confidence of the answers in it."""
    distance = rounded(np.abs(answers.deviation))
    for low, high in pairwise(BINS):
        here = (distance <= high) & ((distance > low) | (low == 0))
        if (found := estimate(answers.confidence[here], answers.person[here])) is not None:
            yield low, high, float(distance[here].mean()), found


@dataclass(frozen=True)
class Follows:
    """What confidence goes with: Pearson's r with its interval, by resampling people."""

    extremeness: tuple[float, Interval | None]
    deviation: tuple[float, Interval | None]


def confidence_follows(answers: AnswerTable, rng: np.random.Generator) -> Follows | None:
    """Whether people are sure of what is far from half and half, or of what is near λ."""
    sure = answers.where(~np.isnan(answers.confidence + answers.value))
    extremeness = correlation(sure.confidence, np.abs(sure.value - 0.5), sure.person, rng)
    deviation = correlation(sure.confidence, np.abs(sure.deviation), sure.person, rng)
    return None if extremeness is None or deviation is None else Follows(extremeness, deviation)


@dataclass(frozen=True)
class Halves:
    """Answers of exactly one half: their share of all, how many were given to uneven mixes, and how sure of these."""

    n: int
    share: float
    n_uneven: int
    confidence_uneven: float | None


def halves(answers: AnswerTable) -> Halves | None:
    """How often people say "half and half"; partly that they cannot tell. None without an answer."""
    if not len(answers):
        return None
    half = is_half(answers)
    uneven = half & (answers.lambda_e4 != 5000)
    confidence = estimate(answers.confidence[uneven], answers.person[uneven])
    n = int(half.sum())
    return Halves(n, n / len(answers), int(uneven.sum()), None if confidence is None else confidence.mean)


@dataclass(frozen=True)
class Reversed:
    """Answers to uneven mixes that see more of the lesser image; `n_people` gave `of_them` of these, most first."""

    n: int
    share: float
    n_people: int
    by_person: tuple[int, ...]

    def people_with(self, share: float) -> int:
        """The least number of people who together gave this share of them."""
        return int(np.searchsorted(np.cumsum(self.by_person), share * self.n)) + 1 if self.n else 0


def is_half(answers: AnswerTable) -> Mask:
    """Whether each answer is exactly one half."""
    return np.asarray(rounded(answers.value) == 0.5)


def is_reversed(answers: AnswerTable) -> Mask:
    """Whether each answer sees more of the lesser image."""
    return np.asarray((answers.lambda_ - 0.5) * (rounded(answers.value) - 0.5) < 0)


def reversed_answers(answers: AnswerTable) -> Reversed | None:
    """None where no mix was uneven."""
    uneven = answers.where(answers.lambda_e4 != 5000)
    if not len(uneven):
        return None
    wrong = is_reversed(uneven)
    counts = np.sort(np.bincount(uneven.person[wrong]))[::-1]
    n_people = len(np.unique(uneven.person))
    return Reversed(int(wrong.sum()), float(wrong.mean()), n_people, tuple(int(n) for n in counts if n))


@dataclass(frozen=True)
class Midpoints:
    """Perceived midpoints by where the trial started: from the low end of λ, from the high one, or from nowhere.

    `apart` is the mean from the high end less that from the low one.
    """

    all: Estimate
    low: Estimate | None
    high: Estimate | None
    apart: tuple[float, Interval] | None


def midpoints(answers: AnswerTable) -> Midpoints | None:
    """None without an answer."""
    whole = estimate(answers.value, answers.person)
    if whole is None:
        return None
    low, high = answers.start < 0, answers.start > 0
    return Midpoints(
        whole,
        estimate(answers.value[low], answers.person[low]),
        estimate(answers.value[high], answers.person[high]),
        difference(answers.value, answers.person, high, low),
    )
