"""Which answers count, and the units and answers of a study as arrays: what every family of policies starts from.

A person counts once per unit, with their first answer, unless a published recipe takes repeats as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels.rows import Floats, Ints, Rows


def counted(
    units: Sequence[Unit], *, repeats: bool = False, same: Ints | None = None
) -> tuple[list[Answer], Ints]:
    """The answers that count, one unit after another, and the position of its unit for each (int64 [N]).

    That is every person's first answer to each unit that is no repeat; all answers with `repeats`. Units of one number
    in `same`, int64 [n], are one.
    """
    answers = list(chain.from_iterable([unit.answers for unit in units]))
    sizes = np.array([len(unit.answers) for unit in units], dtype=np.int64)
    groups = np.repeat(np.arange(len(units)), sizes)
    if repeats or not answers:
        return answers, groups
    people, n_people = numbered(list(map(attrgetter("participant"), answers)))
    own = np.flatnonzero(~np.fromiter(map(attrgetter("repeat"), answers), np.bool_, len(answers)))
    about = groups if same is None else same[groups]
    _, first = np.unique(about[own] * n_people + people[own], return_index=True)
    if len(first) == len(answers):
        return answers, groups
    kept = own[np.sort(first)]
    return [answers[place] for place in kept], groups[kept]


def numbered(names: Sequence[str]) -> tuple[Ints, int]:
    """The number of each name, int64 [N], from 0 in order of appearance, and how many there are."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.fromiter(map(numbers.__getitem__, names), np.int64, len(names)), len(numbers)


@dataclass(frozen=True, eq=False, slots=True)
class Numbers:
    """What one number a answer comes to: float64 [N] `values` (0–1) of units int64 [N] `groups`, and of each of the
    units `sizes` int64 [n], `means` and population standard deviations `spreads` float64 [n], 0 where it has none."""

    values: Floats
    groups: Ints
    sizes: Ints
    means: Floats
    spreads: Floats

    @classmethod
    def of(cls, values: Floats, groups: Ints, n: int) -> Numbers:
        sizes = np.bincount(groups, minlength=n)
        of_unit = np.maximum(sizes, 1)
        means = np.bincount(groups, values, n) / of_unit
        spreads = np.sqrt(np.bincount(groups, (values - means[groups]) ** 2, n) / of_unit)
        return cls(values, groups, sizes, means, spreads)

    def only(self, units: npt.NDArray[np.bool_]) -> Numbers:
        """The numbers of some units, bool [n]; the others have none."""
        kept = units[self.groups]
        return Numbers.of(self.values[kept], self.groups[kept], len(units))

    def known_spreads(self) -> Floats:
        """`spreads`, NaN below two values."""
        return np.where(self.sizes > 1, self.spreads, np.nan)

    def within(self) -> float | None:
        """The variance of answers to one unit, pooled over units; None where it cannot be told."""
        fit = one_way(self.values, self.groups)
        return fit.within if fit else None


def perceived(units: Sequence[Unit], *, repeats: bool = False) -> Numbers:
    """The perceived λ that count; "cannot tell" is no number."""
    answers, groups = counted(units, repeats=repeats)
    said = list(map(attrgetter("judgement"), answers))
    known = np.array([kind is PerceivedLambda for kind in map(type, said)], dtype=np.bool_)
    numbers = said if known.all() else [said[place] for place in np.flatnonzero(known)]
    values = np.fromiter(map(attrgetter("value"), numbers), np.float64, len(numbers))
    return Numbers.of(values, groups[known], len(units))


def confidences(units: Sequence[Unit], policy: str, *, repeats: bool = False) -> Floats:
    """How sure people were, float64 [N] for the numbers of `perceived`. DataError where one was not asked."""
    answers, groups = counted(units, repeats=repeats)
    sure = []
    for answer, group in zip(answers, groups.tolist(), strict=True):
        if isinstance(answer.judgement, PerceivedLambda):
            sure.append(confidence_of(answer.judgement, units[group], policy))
    return np.array(sure, dtype=np.float64)


def confidence_of(judgement: PerceivedLambda, unit: Unit, policy: str) -> float:
    """How sure the person was, 0–1; DataError where they were not asked."""
    if judgement.confidence is None:
        raise DataError(f"The label policy {policy} needs a confidence; an answer to {unit.key} has none.")
    return judgement.confidence


# --- units


def lambdas_e4(units: Sequence[Unit]) -> Ints:
    return np.array([unit.lambda_e4 for unit in units], dtype=np.int64)


def classes_of(units: Sequence[Unit]) -> tuple[Ints, Ints]:
    """The first and the second class of each unit, int64 [n] both."""
    first = np.array([unit.first_class for unit in units], dtype=np.int64)
    return first, np.array([unit.second_class for unit in units], dtype=np.int64)


def two_hot(units: Sequence[Unit], shares: Floats | float, n_classes: int) -> Floats:
    """float64 [n, K]: `shares` [n] or one for all at the first class, the rest at the second; two shares add up."""
    first, second = classes_of(units)
    labels, places = np.zeros((len(units), n_classes)), np.arange(len(units))
    labels[places, first] += shares
    labels[places, second] += 1 - shares
    return labels


# --- rows


def rows_of_shares(
    units: Sequence[Unit],
    n_classes: int,
    shares: Floats,
    *,
    n: Ints | None = None,
    spreads: Floats | None = None,
    halves: Floats | None = None,
    ends: tuple[Floats, Floats] | None = None,
) -> Rows:
    """Labels that divide all between the two classes: `shares` [n] of the first, with a 95% interval of ± `halves` or
    from `ends`, none where these are NaN or the same: what has no width knows nothing of its noise."""
    none = np.full(len(units), np.nan)
    if halves is not None:
        ends = shares - halves, shares + halves
    low, high = _within_0_and_1(*(ends or (none, none)))
    return Rows(
        two_hot(units, shares, n_classes),
        shares,
        np.zeros(len(units), dtype=np.int64) if n is None else n,
        none if spreads is None else spreads,
        low,
        high,
    )


def rows_of_labels(
    units: Sequence[Unit], labels: Floats, *, numbers: Numbers | None = None, interval: bool = False
) -> Rows:
    """Labels over all classes, float64 [n, K]. `numbers` are what single answers give to the first class: they make
    n and spread, and with `interval` mean ± 1.96·σ/√n, σ² their variance within units, pooled."""
    first, _ = classes_of(units)
    shares = labels[np.arange(len(units)), first]
    none = np.full(len(units), np.nan)
    if numbers is None:
        return Rows(labels, shares, np.zeros(len(units), dtype=np.int64), none, none, none)
    halves = interval_of_means(numbers.within(), numbers.sizes) if interval else none
    low, high = _within_0_and_1(shares - halves, shares + halves)
    return Rows(labels, shares, numbers.sizes, numbers.known_spreads(), low, high)


def _within_0_and_1(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The ends of intervals, NaN where they have no width."""
    wide = high > low
    return np.where(wide, np.maximum(low, 0.0), np.nan), np.where(wide, np.minimum(high, 1.0), np.nan)


def interval_of_means(within: Floats | float | None, n: npt.NDArray[Any]) -> Floats:
    """1.96·√(within/n), float64 [n]; NaN where nobody answered and where `within` is not known."""
    if within is None:
        return np.full(len(n), np.nan)
    return np.where(n > 0, NORMAL_95 * np.sqrt(within / np.where(n > 0, n, 1.0)), np.nan)
