"""How like a person's answers are to other people's answers to the same, and to their own when asked again.

Answers are compared under one condition only. The difference of two answers is between 0 and 1: |v − w| of two
perceived shares or midpoints, and half the sum of the differences of all classes' shares where an answer names classes
(the total variation distance). "I cannot tell" is compared with nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from statistics import fmean

import numpy as np
import numpy.typing as npt

from elicitation.studies.payment import LEAST_COMPARED
from elicitation.trials.given import Given
from hilmix.core.judgements import ClassMass, Distribution, Judgement, PerceivedLambda, PerceivedMidpoint

LEAST = LEAST_COMPARED  # answers below which nothing is said of a person

Point = npt.NDArray[np.float64] | float
About = tuple[int, int, int | None]  # condition, pair, λ of the mixed image (None: the pair at every λ)


class Likeness:
    """Collects answers, then says of each person how like they are. Each person's first answer to something counts."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes
        self._first: defaultdict[About, dict[int, Point]] = defaultdict(dict)
        self._repeats: defaultdict[int, list[tuple[About, Point]]] = defaultdict(list)

    def add(self, given: Given) -> None:
        """Take an answer into account; those of one person in their order."""
        point = _point(given.judgement, self._n_classes)
        if point is None:
            return
        if given.repeat:
            self._repeats[given.participation_id].append((given.about, point))
        else:
            self._first[given.about].setdefault(given.participation_id, point)

    def disagreement(self, counted: Collection[int]) -> dict[int, float]:
        """Each person's mean difference from the mean answer of the other people in `counted` (keys) to the same.

        Left out: who has fewer than `LEAST` answers that somebody else answered too.
        """
        differences: defaultdict[int, list[float]] = defaultdict(list)
        for answers in self._first.values():
            others = [point for person, point in answers.items() if person in counted]
            total: Point = sum(others[1:], others[0]) if others else 0.0
            for person, point in answers.items():
                n = len(others) - (person in counted)
                if n:
                    rest = total - point if person in counted else total
                    differences[person].append(_difference(point, rest / n))
        return {person: fmean(said) for person, said in differences.items() if len(said) >= LEAST}

    def repeat_difference(self) -> dict[int, float]:
        """Each person's mean difference between a first answer and its repeat, over that between the repeat and the
        same person's first answers to everything else. About 1: repeats are no more alike than other pictures.

        Left out: who repeated nothing, and who gave the same answer to everything.
        """
        own: defaultdict[int, dict[About, Point]] = defaultdict(dict)
        for about, answers in self._first.items():
            for person in self._repeats.keys() & answers.keys():
                own[person][about] = answers[person]
        ratios = {}
        for person, repeats in self._repeats.items():
            same, other = 0.0, 0.0
            for about, point in repeats:
                rest = [p for a, p in own[person].items() if a[0] == about[0] and a != about]
                if about in own[person] and rest:
                    same += _difference(point, own[person][about])
                    other += fmean(_difference(point, p) for p in rest)
            if other > 0:
                ratios[person] = same / other
        return ratios


def _point(judgement: Judgement, n_classes: int) -> Point | None:
    """What was said as something that differences can be taken of."""
    match judgement:
        case PerceivedLambda(value) | PerceivedMidpoint(value):
            return float(value)
        case ClassMass(mass):
            shares = np.zeros(n_classes + 1)  # the last place holds what was given to no class
            for index, share in mass:
                shares[index] += share
            shares[-1] = max(0.0, 1 - shares.sum())
            return shares
        case Distribution(p):
            return np.array(p)
    return None


def _difference(one: Point, other: Point) -> float:
    if isinstance(one, np.ndarray):
        return float(np.abs(one - other).sum() / 2)
    assert isinstance(other, float)
    return abs(one - other)
