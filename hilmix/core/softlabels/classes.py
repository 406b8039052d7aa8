"""Policies that read classes from an answer: percents for one or two and classes ruled out, or a whole distribution.

`t2_clamp` is the recipe published with CIFAR-10S (Collins et al., HCOMP 2022), `hmix` the one of the labels published
with H-Mix (UAI 2023); both are matched to the last digit. In what follows y holds the mass of each class of one
answer, S are the classes that are not excluded, and k = |S| less the number of classes given mass. k *counts*, so an
answer that excludes a class and gives it mass, too, leaves too few: that is how the labels were published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, ClassMass, Distribution, Judgement, Unit
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Param, Params
from hilmix.core.softlabels.counting import Numbers, classes_of, counted, lambdas_e4, rows_of_labels, two_hot
from hilmix.core.softlabels.rows import Floats, Rows

Booleans = npt.NDArray[np.bool_]
Recipe = Callable[[Floats, Booleans, float], Floats]

CLASS_ANSWERS: tuple[type[Judgement], ...] = (ClassMass, CannotTell)
DISTRIBUTIONS: tuple[type[Judgement], ...] = (Distribution, CannotTell)
GAMMA = 0.1


# --- recipes: mass float64 [N, K] and which classes are possible [N, K] → float64 [N, K], rows not yet divided


def _t2_clamp(mass: Floats, possible: Booleans, gamma: float) -> Floats:
    """Σy < 1: 1 − Σy is spread over S without mass. Else y ← (1 − γ)·y/Σy, and γ is spread."""
    total, k, empty = _counts(mass, possible)
    full = total >= 1
    kept = np.where(full, (1 - gamma * (k > 0)) / np.where(full, total, 1.0), 1.0)
    return mass * kept[:, None] + _spread(np.where(full, gamma, 1 - total), k, empty)


def _hmix(mass: Floats, possible: Booleans, gamma: float) -> Floats:
    """Σy > 1: γ/2 off each class given mass, γ is spread. Σy = 1: γ is spread beside it. Σy < 1: 1 − Σy is spread."""
    total, k, empty = _counts(mass, possible)
    over = (total > 1) & (k > 0)
    less = np.where(over[:, None], np.maximum(mass - gamma / 2, 0.0), mass)
    return less + _spread(np.where(total >= 1, gamma, 1 - total), k, empty)


def _t1(mass: Floats, possible: Booleans, gamma: float) -> Floats:
    """`_t2_clamp` of the class given most alone; what is given the same stays beside it."""
    return _t2_clamp(np.where(mass == mass.max(axis=1, keepdims=True), mass, 0.0), possible, gamma)


def _uniform(mass: Floats, possible: Booleans, gamma: float) -> Floats:
    """Σy < 1: 1 − Σy is spread over all classes without mass, excluded or not."""
    total, k, empty = _counts(mass, np.ones_like(possible))
    return mass + _spread(np.maximum(1 - total, 0.0), k, empty)


def _plain(mass: Floats, possible: Booleans, gamma: float) -> Floats:
    """Σy < 1: 1 − Σy is spread over S without mass, each of them counted."""
    total, _, empty = _counts(mass, possible)
    return mass + _spread(np.maximum(1 - total, 0.0), empty.sum(axis=1), empty)


def _counts(mass: Floats, possible: Booleans) -> tuple[Floats, npt.NDArray[np.int64], Booleans]:
    """Σy, k, and the classes of S without mass."""
    given = mass > 0
    total = np.round(mass.sum(axis=1), 12)  # percents as floats: .29 + .71 is 1
    return total, possible.sum(axis=1) - given.sum(axis=1), possible & ~given


def _spread(rest: Floats, k: npt.NDArray[np.int64], empty: Booleans) -> Floats:
    """rest/k at each empty class, nothing where k is not above 0."""
    return np.where(k > 0, rest / np.maximum(k, 1), 0.0)[:, None] * empty


# --- answers


def class_probabilities(judgements: Sequence[Judgement], n_classes: int) -> Floats:
    """What answers say of all classes by the plainest reading, float64 [N, K] of sum 1; NaN where one says nothing.

    This is the one reading that judges labels, that maps are fitted on and that is analysed; the published recipes are
    policies. A distribution is itself. Of percents, what is missing to 100 is spread evenly over the classes that are
    neither excluded nor given any; more than 100, and what is missing where no such class is left, is divided by the
    sum. Raises DataError for a class that there is not.
    """
    labels = np.full((len(judgements), n_classes), np.nan)
    places, some = of_kind(ClassMass, judgements)
    labels[places] = labels_of_masses(some, n_classes, _plain, 0.0)
    places, some = of_kind(Distribution, judgements)
    labels[places] = distributions(some, n_classes)
    return labels


def masses(judgements: Sequence[Judgement], n_classes: int) -> tuple[Floats, Booleans]:
    """What each `ClassMass` gives to each class, float64 [N, K], and what it does not exclude, bool [N, K].

    Raises DataError for a class that there is not.
    """
    mass, possible = np.zeros((len(judgements), n_classes)), np.ones((len(judgements), n_classes), dtype=bool)
    for row, said in enumerate(judgements):
        assert isinstance(said, ClassMass)
        for index, share in said.mass:
            mass[row, _known(index, n_classes)] = share
        for index in said.excluded:
            possible[row, _known(index, n_classes)] = False
    return mass, possible


def _known(index: int, n_classes: int) -> int:
    if not 0 <= index < n_classes:
        raise DataError(f"An answer names class {index}, but there are {n_classes} classes.")
    return index


def labels_of_masses(said: Sequence[Judgement], n_classes: int, recipe: Recipe, gamma: float) -> Floats:
    """The label of each answer, float64 [N, K]; NaN where it says nothing: no mass, and no class left."""
    labels = recipe(*masses(said, n_classes), gamma)
    total = labels.sum(axis=1, keepdims=True)
    return labels / np.where(total > 0, total, np.nan)


def distributions(said: Sequence[Judgement], n_classes: int) -> Floats:
    """What each `Distribution` says, float64 [N, K]. Raises DataError for another number of classes."""
    for judgement in said:
        if not isinstance(judgement, Distribution) or len(judgement.p) != n_classes:
            raise DataError(f"An answer is no distribution over {n_classes} classes: {judgement!r}.")
    labels = np.array([judgement.p for judgement in said if isinstance(judgement, Distribution)])
    return labels.reshape(len(said), n_classes)


def of_kind(kind: type[Judgement], judgements: Sequence[Judgement]) -> tuple[list[int], list[Judgement]]:
    """Where judgements of this kind are, and these."""
    places = [place for place, judgement in enumerate(judgements) if isinstance(judgement, kind)]
    return places, [judgements[place] for place in places]


def judgements_of(answers: Sequence[Answer]) -> list[Judgement]:
    return [answer.judgement for answer in answers]


def mean_labels(units: Sequence[Unit], labels: Floats, groups: npt.NDArray[np.int64]) -> Rows:
    """The mean of what single answers say, float64 [N, K] about units int64 [N]; mixup's label where nobody said
    anything. The interval is of the share of the first class."""
    said = ~np.isnan(labels).any(axis=1)
    labels, groups = labels[said], groups[said]
    n, n_classes = len(units), labels.shape[1]
    numbers = Numbers.of(labels[np.arange(len(labels)), classes_of(units)[0][groups]], groups, n)
    sums = np.stack([np.bincount(groups, column, n) for column in labels.T], axis=1)
    means = np.where(
        numbers.sizes[:, None] > 0,
        sums / np.maximum(numbers.sizes, 1)[:, None],
        two_hot(units, lambdas_e4(units) / 10_000, n_classes),
    )
    return rows_of_labels(units, means, numbers=numbers, interval=True)


# --- policies


def _mean_of(recipe: Recipe, *, repeats: bool = False) -> Any:
    def compute(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
        answers, groups = counted(evidence.units, repeats=repeats)
        kept, said = of_kind(ClassMass, judgements_of(answers))
        labels = labels_of_masses(said, evidence.n_classes, recipe, params.get("gamma", GAMMA))
        return mean_labels(evidence.units, labels, groups[kept]), {}

    return compute


def _one_by(recipe: Recipe) -> Any:
    def of_one(answer: Answer, unit: Unit, evidence: Evidence, params: Params) -> Floats | None:
        if not isinstance(answer.judgement, ClassMass):
            return None
        (label,) = labels_of_masses(
            [answer.judgement], evidence.n_classes, recipe, params.get("gamma", GAMMA)
        )
        return None if np.isnan(label).any() else label

    return of_one


def _distribution(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    answers, groups = counted(evidence.units)
    kept, said = of_kind(Distribution, judgements_of(answers))
    labels = distributions(said, evidence.n_classes)
    return mean_labels(evidence.units, labels, groups[kept]), {}


def _distribution_of_one(answer: Answer, unit: Unit, evidence: Evidence, params: Params) -> Floats | None:
    if not isinstance(answer.judgement, Distribution):
        return None
    return distributions([answer.judgement], evidence.n_classes)[0]


_GAMMA = Param(
    "gamma", GAMMA, "mass spread over the classes left where the percents come to 100 or more", low=0, high=1
)

POLICIES = (
    LabelPolicy(
        "t2_clamp", 1, CLASS_ANSWERS,
        "Both classes and their percents as published with CIFAR-10S: what is missing to 100, or γ where nothing is, "
        "is spread over the classes that are neither chosen nor ruled out; the mean of each person's first answer.",
        "probability of class", _mean_of(_t2_clamp), params=(_GAMMA,), of_one=_one_by(_t2_clamp),
    ),
    LabelPolicy(
        "hmix", 1, CLASS_ANSWERS,
        "The labels published with H-Mix: as t2_clamp, but γ is added beside percents of 100, and half of it taken off "
        "each class where they come to more; the mean of all answers, repeats included.",
        "probability of class", _mean_of(_hmix, repeats=True), params=(_GAMMA,), of_one=_one_by(_hmix),
    ),
    LabelPolicy(
        "t1", 1, CLASS_ANSWERS,
        "Only the class given most: t2_clamp as if the second had not been said; classes given the same both stay.",
        "probability of class", _mean_of(_t1), params=(_GAMMA,), of_one=_one_by(_t1),
    ),
    LabelPolicy(
        "uniform_redistribution", 1, CLASS_ANSWERS,
        "Both classes and their percents: what is missing to 100 is spread over all other classes, ruled out or not; "
        "percents over 100 are divided by their sum.",
        "probability of class", _mean_of(_uniform), of_one=_one_by(_uniform),
    ),
    LabelPolicy(
        "distribution", 1, DISTRIBUTIONS,
        "The mean of the distributions over all classes that people gave, each person's first answer only.",
        "probability of class", _distribution, of_one=_distribution_of_one,
    ),
)  # fmt: skip
