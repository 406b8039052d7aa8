"""The answers of one condition as columns: one entry an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hilmix.core.judgements import (
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
)
from hilmix.core.softlabels.classes import class_probabilities

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Kind = Literal["share", "midpoint", "classes"]

NO_LAMBDA = -1  # of a pair, which is shown at every λ
STARTS = {"low": -1.0, "high": 1.0}
BINS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of distances between answers, 0–1; each holds its upper end


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """Answers by participant and, within one, in the order given.

    `person`, `unit` int64 [n], counted from 0 · `first_class`, `second_class` class indices of the parents ·
    `lambda_e4` the first image's share, `NO_LAMBDA` of a pair · `position` in the participant's trials ·
    `repeat` whether it was asked before · `value` perceived λ or midpoint, 0–1, NaN where the answer is neither ·
    `confidence` 0–1, NaN where not asked · `side` +1 where the first image's class was named on the left, −1 where the
    second's was, NaN where there are no sides · `start` −1 from the low end of λ, +1 from the high one, NaN ·
    `rt_ms` milliseconds, NaN where not kept · `shares` float64 [n, K + 1] to each class and, last, to none;
    None where no answer names classes · `spread` float64 [n, K], what the answer says of all classes as
    `class_probabilities` reads it, NaN where it says nothing · `named` int64 [n], the class named first, −1 where none
    was.
    """

    person: Ints
    unit: Ints
    first_class: Ints
    second_class: Ints
    lambda_e4: Ints
    position: Ints
    repeat: Mask
    value: Floats
    confidence: Floats
    side: Floats
    start: Floats
    rt_ms: Floats
    shares: Floats | None = None
    spread: Floats | None = None
    named: Ints | None = None

    def __len__(self) -> int:
        return len(self.person)

    def where(self, chosen: Mask | Ints) -> AnswerTable:
        """The answers that `chosen`, bool [n] or positions, chooses."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        kept: dict[str, Any] = {name: None if c is None else c[chosen] for name, c in columns.items()}
        return AnswerTable(**kept)

    @property
    def main(self) -> AnswerTable:
        """All but repeats. Somebody may be in it with two answers to a unit that a plan asked for twice."""
        return self.where(~self.repeat)

    @property
    def first(self) -> AnswerTable:
        """Each participant's first answer to each unit, as labels count them."""
        main = np.flatnonzero(~self.repeat)
        n_units = int(self.unit.max(initial=0)) + 1
        _, at = np.unique(self.person[main] * n_units + self.unit[main], return_index=True)
        return self.where(np.sort(main[at]))

    @property
    def told(self) -> AnswerTable:
        """The answers that are a number."""
        return self.where(~np.isnan(self.value))

    @property
    def kind(self) -> Kind:
        """What was asked for."""
        if self.shares is not None:
            return "classes"
        return "midpoint" if (self.lambda_e4 == NO_LAMBDA).any() else "share"

    @property
    def lambda_(self) -> Floats:
        """The first image's share, 0–1; NaN of a pair."""
        return np.where(self.lambda_e4 == NO_LAMBDA, np.nan, self.lambda_e4 / 10_000)

    @property
    def deviation(self) -> Floats:
        """Perceived λ − λ; a midpoint's from one half."""
        return self.value - np.where(self.lambda_e4 == NO_LAMBDA, 0.5, self.lambda_e4 / 10_000)

    @property
    def by_class_pair(self) -> AnswerTable:
        """The same with the class of lower index first, so that a pair of classes is one whichever way it was mixed."""
        turned = self.first_class > self.second_class
        shown = (self.lambda_e4 != NO_LAMBDA) & turned
        columns = {one.name: getattr(self, one.name) for one in fields(self)} | {
            "first_class": np.minimum(self.first_class, self.second_class),
            "second_class": np.maximum(self.first_class, self.second_class),
            "lambda_e4": np.where(shown, 10_000 - self.lambda_e4, self.lambda_e4),
            "value": np.where(turned, 1 - self.value, self.value),
            "side": np.where(turned, -self.side, self.side),
            "start": np.where(turned, -self.start, self.start),
        }
        return AnswerTable(**columns)


def rounded(values: Floats) -> Floats:
    """Whole percents and steps again, not the floats they became on the way, so that limits can be compared with."""
    return np.asarray(np.round(values, 9), dtype=np.float64)


def numbers_of(judgement: Judgement) -> tuple[float, float, float]:
    """Value, confidence and start of an answer, as the columns of an `AnswerTable` hold them."""
    match judgement:
        case PerceivedLambda(value, confidence):
            return value, np.nan if confidence is None else confidence, np.nan
        case PerceivedMidpoint(value, start):
            return value, np.nan, STARTS.get(start, np.nan)
        case _:
            return np.nan, np.nan, np.nan


def shares_of(judgements: Sequence[Judgement], n_classes: int) -> tuple[Floats, Floats, Ints] | None:
    """The columns `shares`, `spread` and `named` of an `AnswerTable`; None where no answer names classes.

    More than all that there is, is scaled to all. An answer of "cannot tell" gives all to no class.
    """
    if not any(isinstance(one, ClassMass | Distribution) for one in judgements):
        return None
    shares = np.zeros((len(judgements), n_classes + 1))
    for row, one in enumerate(judgements):
        match one:
            case ClassMass(mass):
                for index, share in mass:
                    shares[row, index] += share
            case Distribution(p):
                shares[row, :-1] = p
    given = shares.sum(axis=1)
    shares /= np.maximum(given, 1)[:, None]
    shares[:, -1] = np.maximum(0, 1 - given)
    shares[shares[:, -1] < 1e-9, -1] = 0  # what floats leave of percents that add up
    named = np.array([_named_first(one) for one in judgements], dtype=np.int64)
    return shares, class_probabilities(judgements, n_classes), named


def _named_first(judgement: Judgement) -> int:
    """The class that an answer names before others, or gives most; −1 where it names none, or several alike."""
    match judgement:
        case ClassMass(mass) if mass:
            return mass[0][0]
        case Distribution(p) if p.count(max(p)) == 1:
            return p.index(max(p))
    return -1
