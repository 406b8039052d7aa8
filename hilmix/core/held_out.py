"""Answers that judge labels, as arrays, and what is left to make labels of when some of them are left out.

Whoever is left out is left out everywhere: no answer of theirs, and none about the same pictures, is in what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from hilmix.core.folds import connected, dealt
from hilmix.core.judgements import ClassMass, Distribution, Unit
from hilmix.core.release_answers import perceived_share
from hilmix.core.softlabels import Evidence
from hilmix.core.softlabels.classes import class_probabilities, judgements_of
from hilmix.core.softlabels.counting import classes_of, counted, numbered

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Unseen = Literal["people", "parents"]


@dataclass(frozen=True, eq=False)
class Given:
    """The answers that judge, as arrays [N]: about which `unit`, by which `person` (a place in `people`), about which
    group of connected parents (`group`), and what was `said`, float64 [N, M] summing to 1: the shares of both images
    (M = 2), or of every class (`of_classes`, M = K). `n_one_class` more are shares of two images of one class."""

    unit: Ints
    person: Ints
    group: Ints
    said: Floats
    people: list[str]
    of_classes: bool
    n_one_class: int


def given_of(evidence: Evidence) -> Given:
    answers, units = counted(evidence.units)
    judgements = judgements_of(answers)
    of_classes = any(isinstance(one, ClassMass | Distribution) for one in judgements)
    first, second = classes_of(evidence.units)
    one_class = np.zeros(len(units), dtype=np.bool_)
    if of_classes:
        said = class_probabilities(judgements, evidence.n_classes)
    else:
        shares = np.array(
            [perceived_share(one, 0, 1) for one in judgements], dtype=np.float64
        )  # None becomes NaN
        said = np.stack([shares, 1 - shares], axis=1)
        one_class = (first == second)[units] & ~np.isnan(said[:, 0])
    told = ~np.isnan(said).any(axis=1) & ~one_class
    # In the order in which they appear, so that the same answers are dealt out alike whatever people are called.
    people = [answers[place].participant for place in np.flatnonzero(told)]
    person, _ = numbered(people)
    return Given(
        units[told], person, _groups(evidence)[units[told]], said[told], list(dict.fromkeys(people)), of_classes,
        int(np.count_nonzero(one_class)),
    )  # fmt: skip


def predicted(labels: Floats, given: Given, units: Sequence[Unit]) -> Floats:
    """What labels float64 [n, K] say of each unit in the form of `given.said`: float64 [n, M].

    An answer about both images says nothing of other classes, so the label's two classes are taken for the whole.
    """
    if given.of_classes:
        return labels
    first, second = classes_of(units)
    places = np.arange(len(units))
    one, other = labels[places, first], labels[places, second]
    share = np.divide(one, one + other, out=np.full(len(units), 0.5), where=one + other > 0)
    return np.stack([share, 1 - share], axis=1)


def _groups(evidence: Evidence) -> Ints:
    """The group of connected parents of every unit, then of every pair and of every unit beside. What has no known
    parents goes with what has its key."""
    everything = [*evidence.units, *evidence.pairs, *evidence.beside]
    parents = {unit.key: unit.parents for unit in everything if unit.parents}
    for place, unit in enumerate(everything):
        parents.setdefault(unit.key, (-1 - place, -1 - place))
    known = [unit.parents or parents[unit.key] for unit in everything]
    return connected(np.array(known, dtype=np.int64).reshape(-1, 2))


# --- folds ---


def split(
    unseen: Unseen, given: Given, evidence: Evidence, rng: np.random.Generator
) -> Iterator[tuple[Bools, Evidence]]:
    """Which answers are held out, bool [N], and what is left to make labels of: each answer is held out once."""
    if unseen == "people":
        fold = dealt(np.arange(len(given.people)), rng)
        for number in np.unique(fold[given.person]):
            gone = {given.people[person] for person in np.flatnonzero(fold == number)}
            left = [_without(units, gone) for units in (evidence.units, evidence.pairs, evidence.beside)]
            yield fold[given.person] == number, _of(evidence, left)
    else:
        groups = _groups(evidence)
        fold = dealt(groups, rng)
        held_fold = fold[: len(evidence.units)][given.unit]
        ends = np.cumsum([len(evidence.units), len(evidence.pairs)])
        for number in np.unique(held_fold):
            parts = zip(
                (evidence.units, evidence.pairs, evidence.beside), np.split(fold == number, ends), strict=True
            )
            yield held_fold == number, _of(evidence, [_emptied(units, gone) for units, gone in parts])


def _of(evidence: Evidence, left: list[list[Unit]]) -> Evidence:
    units, pairs, beside = left
    said = [[unit for unit in some if unit.answers] for some in (pairs, beside)]
    return replace(evidence, units=units, pairs=said[0], beside=said[1])


def _without(units: Sequence[Unit], gone: set[str]) -> list[Unit]:
    """The units without the answers of some people."""
    return [
        replace(unit, answers=tuple(answer for answer in unit.answers if answer.participant not in gone))
        if any(answer.participant in gone for answer in unit.answers)
        else unit
        for unit in units
    ]


def _emptied(units: Sequence[Unit], gone: Bools) -> list[Unit]:
    """The units, those in `gone` bool [n] without any answer."""
    return [
        replace(unit, answers=()) if is_gone else unit
        for unit, is_gone in zip(units, gone.tolist(), strict=True)
    ]
