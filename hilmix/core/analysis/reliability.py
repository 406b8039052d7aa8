"""How far people agree with themselves and with each other, raw and with what λ alone explains taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hilmix.core.agreement import Ratings
from hilmix.core.analysis.estimates import Estimate, Interval, estimate, resampled
from hilmix.core.analysis.table import BINS, AnswerTable, Floats, Ints, Mask, rounded

# What counts as a large difference between an answer and its repeat: a fifth of the scale; a midpoint's is one step.
LARGE = {"share": 0.2, "midpoint": 0.1, "classes": 0.2}


@dataclass(frozen=True)
class Retest:
    """How far `n` repeats differ from the first answer, 0–1; of classes, half the sum of all differences of shares.

    `median` with its interval by resampling people · `over` the share of differences over `threshold` · `binned` the
    number without any difference and up to each further of `BINS`.
    """

    n: int
    median: float
    median_interval: Interval | None
    threshold: float
    over: Estimate
    binned: tuple[int, ...]


def retest(answers: AnswerTable, rng: np.random.Generator) -> Retest | None:
    """Each repeat beside the same person's first answer to the same; None where nobody repeated anything."""
    differences, person = retest_differences(answers)
    if not len(differences):
        return None
    threshold = LARGE[answers.kind]
    over = estimate((differences > threshold).astype(np.float64), person)
    assert over is not None
    _, person = np.unique(person, return_inverse=True)

    def median(weights: Floats) -> float:
        return float(np.median(np.repeat(differences, weights[person].astype(np.int64))))

    interval = resampled(median, int(person.max()) + 1, rng)
    binned = np.bincount(np.searchsorted(BINS, differences), minlength=len(BINS))
    whole = tuple(int(count) for count in binned)
    return Retest(len(differences), float(np.median(differences)), interval, threshold, over, whole)


def retest_differences(answers: AnswerTable) -> tuple[Floats, Ints]:
    """The differences of repeats from first answers, float64 [n], and who gave them."""
    first, again = answers.first, answers.where(answers.repeat)
    at, found = _partners(first, again)
    first, again = first.where(at), again.where(found)
    if first.shares is not None and again.shares is not None:
        differences: Floats = np.abs(first.shares - again.shares).sum(axis=1) / 2
    else:
        differences = np.abs(first.value - again.value)
    told = ~np.isnan(differences)
    return rounded(differences[told]), again.person[told]


def _partners(first: AnswerTable, again: AnswerTable) -> tuple[Ints, Mask]:
    """Positions in `first` of the same person's answers to the same as those of `again` that `found` marks."""
    n = 1 + max((int(table.unit.max()) for table in (first, again) if len(table)), default=0)
    known, wanted = first.person * n + first.unit, again.person * n + again.unit
    order = np.argsort(known)
    place = np.searchsorted(known, wanted, sorter=order)
    place = order[np.minimum(place, len(order) - 1)] if len(order) else place
    found = known[place] == wanted if len(order) else np.zeros(len(wanted), dtype=np.bool_)
    return place[found], found


Known = tuple[float, Interval | None]


@dataclass(frozen=True)
class Agreement:
    """How far these people agree about `n_units` images or pairs, from `n` answers; each with its interval by unit.

    `alpha` Krippendorff's, of numbers on an interval scale, of classes of the class named first, nominal · `icc`
    ICC(1) of what was said, which is high because λ differs · `image` ICC(1) of what was said less the mean at its λ:
    what people see alike in one image and not in others of the same λ. None where it is not defined or does not apply.
    """

    n: int
    n_people: int
    n_units: int
    alpha: Known | None
    icc: Known | None
    image: Known | None

    @property
    def per_unit(self) -> float:
        """The mean number of answers to a unit."""
        return self.n / self.n_units


def rated(answers: AnswerTable) -> tuple[AnswerTable, Ratings]:
    """The answers that agreement is about, and their ratings: numbers, or classes named first."""
    if answers.named is None or answers.spread is None:
        told = answers.told
        return told, Ratings.of(told.value, told.unit)
    told = answers.where(answers.named >= 0)
    # Half the squared distance of two one-hot vectors is 1 where they differ.
    return told, Ratings.of(np.eye(answers.spread.shape[1])[told.named], told.unit)


def agreement(answers: AnswerTable, rng: np.random.Generator) -> Agreement | None:
    """Of who said a number or named a class; None where nobody did."""
    numbers = answers.named is None
    answers, ratings = rated(answers)
    if not len(answers):
        return None
    units, at = np.unique(answers.unit, return_index=True)
    levels, level = np.unique(answers.lambda_e4[at], return_inverse=True)
    several = len(levels) > 1  # of one λ alone, nothing is left to take away

    def known(statistic: Callable[[Floats | None], float]) -> Known | None:
        value = statistic(None)
        return None if np.isnan(value) else (value, resampled(statistic, len(units), rng))

    return Agreement(
        n=len(answers),
        n_people=len(np.unique(answers.person)),
        n_units=len(units),
        alpha=known(ratings.alpha),
        icc=known(ratings.icc) if numbers else None,
        image=known(lambda w: ratings.around(level, w).icc(w)) if numbers and several else None,
    )
