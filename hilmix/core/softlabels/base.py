"""What a label policy is: a pure function from evidence to one probability vector a mixed image, with its parameters.

A policy has a name, a version, a meaning and declared parameters; what it estimates from the data is returned with the
labels, so that a release can store it. Answers that were asked for in different ways are not pooled unless the caller
names them. The policies themselves are in the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, Judgement, Unit
from hilmix.core.softlabels.names import Params as Params
from hilmix.core.softlabels.rows import Floats, LabelRow, Rows
from hilmix.core.softlabels.rows import Ints as Ints

# What the number of a label means, in words for people.
NUMBERS: dict[str, str] = {
    "mixing coefficient": "the λ that the image was mixed with; nobody was asked",
    "share judged": "the share of each image that people say they see",
    "probability of class": "how probable people say each class is",
    "share of people": "the share of people who find each class the most probable",
    "predicted share": "the share that people are predicted to see, from the pixels of both parents",
    "control": "made up, to compare with",
}
Number = Literal[
    "mixing coefficient",
    "share judged",
    "probability of class",
    "share of people",
    "predicted share",
    "control",
]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a policy makes labels of.

    `units` the mixed images to label, with what was said about each · `pairs` pairs, with what was said about them
    (midpoints); a pair's `parents` are those of its mixed images · `beside` what was said about the same mixed images
    in another way (their `key` is that of the unit), which a policy may be fitted on and which is in no label ·
    `features` float64 [n, 2, F], pixel features of both parents of each unit (`hilmix.core.features`).
    """

    units: Sequence[Unit]
    n_classes: int
    pairs: Sequence[Unit] = ()
    beside: Sequence[Unit] = ()
    features: Floats | None = None


@dataclass(frozen=True)
class Param:
    """A parameter of a policy: its default, what it means with unit and range, and what it may be."""

    name: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def check(self, policy: str, value: Any) -> Any:
        """Return `value` as the policy takes it, or raise DataError saying what it may be."""
        if self.choices:
            if value not in self.choices:
                raise DataError(f"{policy}: {self.name} is one of {', '.join(self.choices)}; not {value!r}.")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise DataError(f"{policy}: {self.name} is a number, not {value!r}.")
        if isinstance(self.default, int) and value != int(value):
            raise DataError(f"{policy}: {self.name} is a whole number, not {value!r}.")
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        if not low <= value <= high:
            raise DataError(f"{policy}: {self.name} is from {low:g} to {high:g}, not {value!r}.")
        return int(value) if isinstance(self.default, int) else float(value)


Compute = Callable[[Evidence, Params], tuple[Sequence[LabelRow], dict[str, Any]]]
Describe = Callable[[Evidence, Params], dict[str, Any]]
OfOne = Callable[[Answer, Unit, Evidence, Params], Floats | None]


@dataclass(frozen=True)
class LabelPolicy:
    """A named way of making labels.

    `accepts` the judgements it takes, none for a policy that uses no answer · `meaning` one sentence · `number` what
    its number means, of `NUMBERS` · `about` whether the answers it uses are about mixed images or about pairs ·
    `needs` what of the evidence it cannot do without: features, beside · `of_one` the label of a single answer ·
    `describe` what else is stored with its labels, which they do not depend on.
    """

    name: str
    version: int
    accepts: tuple[type[Judgement], ...]
    meaning: str
    number: Number
    compute: Compute
    params: tuple[Param, ...] = ()
    about: Literal["mixed_image", "pair"] = "mixed_image"
    needs: frozenset[str] = frozenset()
    of_one: OfOne | None = None
    describe: Describe | None = None

    @property
    def is_control(self) -> bool:
        """Whether it is there to compare with, not to be trained on for its own sake."""
        return self.number == "control"

    def checked(self, params: Params) -> dict[str, Any]:
        """All parameters, given and default; DataError naming one that it has not, or what a value may be."""
        known = {param.name: param for param in self.params}
        if unknown := params.keys() - known.keys():
            has = f", only {', '.join(known)}" if known else ""
            raise DataError(f"The label policy {self.name} takes no parameter {sorted(unknown)[0]!r}{has}.")
        return {
            name: param.check(self.name, params[name]) if name in params else param.default
            for name, param in known.items()
        }


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels with what made them: policy, its version, the parameters `chosen` for it and those it estimated
    (`params`, JSON values), and the conditions whose answers it used (none for a policy that uses no answer)."""

    policy: str
    version: int
    params: dict[str, Any]
    rows: Sequence[LabelRow]
    conditions: tuple[str, ...] = ()
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def probabilities(self) -> Floats:
        """All labels as float64 [n, K]."""
        if isinstance(self.rows, Rows):
            return self.rows.probabilities
        return np.stack([row.probabilities for row in self.rows])


@dataclass(frozen=True, eq=False, slots=True)
class IndividualLabel:
    """The label that one answer makes by itself: who gave it about which unit, and float64 [K] probabilities."""

    key: str
    participant: str
    repeat: bool
    probabilities: Floats


def conditions_of(units: Iterable[Unit]) -> tuple[str, ...]:
    """Return the conditions under which the units were answered, sorted."""
    return tuple(sorted(set(_of_answers("condition", units))))


def _of_answers(field: str, units: Iterable[Unit]) -> Iterator[Any]:
    """One field of each answer to the units; for millions of answers, `map` is twice as fast as a comprehension."""
    return map(attrgetter(field), chain.from_iterable(unit.answers for unit in units))


def asked_under(condition: str, units: Iterable[Unit]) -> list[Unit]:
    """Return every unit, in order, with the answers given under `condition` only."""
    units = list(units)
    if set(conditions_of(units)) <= {condition}:
        return units
    return [
        replace(unit, answers=tuple(answer for answer in unit.answers if answer.condition == condition))
        for unit in units
    ]


def label_set(policy: LabelPolicy, evidence: Evidence, pool: Collection[str], params: Params) -> LabelSet:
    """The labels of one policy without what it says of them beside; see `build_label_set`."""
    chosen = policy.checked(params)
    _check_needs(policy, evidence)
    used = evidence.pairs if policy.about == "pair" else evidence.units
    _check_classes(evidence.units, evidence.n_classes)
    _check_classes(evidence.pairs, evidence.n_classes)
    _check_judgements(policy, used)
    conditions = conditions_of(used) if policy.accepts else ()
    _check_pooling(conditions, pool)
    rows, fitted = policy.compute(evidence, chosen)
    rows = Rows.of(rows, evidence.n_classes)
    return LabelSet(policy.name, policy.version, fitted, rows, conditions, _not_default(policy, chosen))


def described(labels: LabelSet, policy: LabelPolicy, evidence: Evidence, params: Params) -> LabelSet:
    """The same labels with what the policy says of them beside, such as how well it predicts people left out."""
    if policy.describe is None:
        return labels
    return replace(labels, params=labels.params | policy.describe(evidence, policy.checked(params)))


def individual_labels(policy: LabelPolicy, evidence: Evidence, params: Params) -> list[IndividualLabel]:
    """What every single answer makes by itself, repeats included, in the order of units and of their answers.

    An answer of "cannot tell" makes none. Raises DataError where the policy has no label of one answer.
    """
    if policy.of_one is None:
        raise DataError(f"The label policy {policy.name} has no label of a single answer.")
    chosen = policy.checked(params)
    _check_classes(evidence.units, evidence.n_classes)
    _check_judgements(policy, evidence.units)
    labels = []
    for unit in evidence.units:
        for answer in unit.answers:
            probabilities = policy.of_one(answer, unit, evidence, chosen)
            if probabilities is not None:
                labels.append(IndividualLabel(unit.key, answer.participant, answer.repeat, probabilities))
    return labels


def _not_default(policy: LabelPolicy, chosen: Params) -> dict[str, Any]:
    return {param.name: chosen[param.name] for param in policy.params if chosen[param.name] != param.default}


# --- checks


def _check_needs(policy: LabelPolicy, evidence: Evidence) -> None:
    if "features" in policy.needs and evidence.features is None:
        raise DataError(f"The label policy {policy.name} needs the pixel features of both parents.")
    if "beside" in policy.needs and not evidence.beside:
        raise DataError(
            f"The label policy {policy.name} is fitted on categorical or distribution answers about the same mixed "
            "images; there are none."
        )


def _check_classes(units: Sequence[Unit], n_classes: int) -> None:
    named = {unit.first_class for unit in units} | {unit.second_class for unit in units}
    if named <= set(range(n_classes)):
        return
    for unit in units:
        for index in (unit.first_class, unit.second_class):
            if not 0 <= index < n_classes:
                raise DataError(
                    f"The unit {unit.key} names class {index}, but there are {n_classes} classes."
                )


def _check_judgements(policy: LabelPolicy, units: Sequence[Unit]) -> None:
    if not policy.accepts or set(map(type, _of_answers("judgement", units))) <= set(policy.accepts):
        return
    for unit in units:
        for answer in unit.answers:
            if not isinstance(answer.judgement, policy.accepts):
                taken = " or ".join(kind.__name__ for kind in policy.accepts)
                given = type(answer.judgement).__name__
                raise DataError(
                    f"The label policy {policy.name} takes {taken}; the unit {unit.key} has a {given}."
                )


def _check_pooling(conditions: Sequence[str], pool: Collection[str]) -> None:
    if len(conditions) > 1 and not set(conditions) <= set(pool):
        raise DataError(
            f"The answers were given under {len(conditions)} conditions, {', '.join(map(repr, conditions))}: people "
            "were not all asked in the same way. Make one label set for each, or name all of them in `pool`."
        )
