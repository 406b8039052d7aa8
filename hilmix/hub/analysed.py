"""The answers of a study as an analysis looks at them: a table for each way of asking, and who would be left out.

All live, valid participations are read, also those that no release may hold: an analysis stays with the study.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.db.models.fields.json import KT

from elicitation.interfaces import interface_named
from elicitation.monitoring.words import in_words
from elicitation.studies.factors import Levels
from elicitation.studies.models import Condition, Mode, Study, Unit
from elicitation.studies.rules import FLAGS, Rule, default_rules
from elicitation.trials.flags import flagged, measures_of, rules_of
from elicitation.trials.given import Given, answers_given
from elicitation.trials.models import Trial
from hilmix.core.analysis.table import NO_LAMBDA, AnswerTable, numbers_of, shares_of
from hilmix.core.judgements import Judgement

SIDES = {"first": 1.0, "second": -1.0}


@dataclass(frozen=True)
class Asked:
    """The answers that were asked for in one way, without attention checks, repeats among them.

    `name` of the way for people · `n_units` images or pairs that the study asks about.
    """

    name: str
    answers: AnswerTable
    n_units: int


@dataclass(frozen=True)
class Analysed:
    """A study's answers by way of asking; persons and units are counted alike in all of them.

    `out_by` the rules that leave anybody out when each is applied by itself, with the persons left out; `excluded` the
    persons that the rules in force leave out.
    """

    asked: Sequence[Asked]
    classes: Sequence[str]
    n_people: int
    out_by: Mapping[str, Collection[int]]
    no_effect: Sequence[str]
    excluded: Collection[int]

    @property
    def counted(self) -> list[Asked]:
        """What labels would be made of: without those whom the rules in force leave out."""
        return self.without(self.excluded)

    def without(self, persons: Collection[int]) -> list[Asked]:
        """The same without these persons."""
        if not persons:
            return list(self.asked)
        left = np.fromiter(persons, dtype=np.int64)
        return [
            replace(one, answers=one.answers.where(~np.isin(one.answers.person, left))) for one in self.asked
        ]


@dataclass
class _Columns:
    """What was read of the answers to one way of asking."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    levels: set[frozenset[tuple[str, str]]] = field(default_factory=set)


def read(study: Study) -> Analysed:
    """Read all answers once; the number of queries does not depend on how many there are."""
    people = study.participations.filter(mode=Mode.LIVE, source=study.source, invalid_at=None)
    persons = {pk: place for place, pk in enumerate(people.order_by("pk").values_list("pk", flat=True))}
    trials = Trial.objects.filter(participation__in=people).annotate(left=KT("params__left"))
    left = {
        (pk, position): side for pk, position, side in trials.values_list("participation", "position", "left")
    }
    found: dict[int, _Columns] = defaultdict(_Columns)
    units: dict[tuple[int, int | None], int] = {}
    for given in answers_given(study, people):
        if (person := persons.get(given.participation_id)) is None:
            continue  # came between the two queries
        columns = found[given.condition_id]
        unit = units.setdefault(given.about[1:], len(units))
        side = SIDES.get(left.get((given.participation_id, given.position)) or "", np.nan)
        columns.rows.append(_row(given, person, unit, side))
        columns.judgements.append(given.judgement)
        columns.levels.add(frozenset(given.levels.items()))
    n_units = {unit: _n_units(study, unit) for unit in ("pair", "mixed_image")}
    names = _names(study, found)
    classes = list(study.image_set.classes)
    asked = [
        Asked(
            names[condition.pk],
            _table(found[condition.pk], len(classes)),
            n_units[interface_named(condition.content["interface"]).UNIT],
        )
        for condition in study.conditions.filter(pk__in=list(found)).order_by("pk")
    ]
    return Analysed(asked, classes, len(persons), *_rules(study, persons))


def _row(given: Given, person: int, unit: int, side: float) -> tuple[Any, ...]:
    shown = NO_LAMBDA if given.lambda_e4 is None else given.lambda_e4
    rt = np.nan if given.rt_ms is None else given.rt_ms
    classes = given.pair.first_class, given.pair.second_class
    return (
        person,
        unit,
        *classes,
        shown,
        given.position,
        given.repeat,
        *numbers_of(given.judgement),
        side,
        rt,
    )


def _table(columns: _Columns, n_classes: int) -> AnswerTable:
    numbers = np.array(columns.rows, dtype=np.float64).T
    person, unit, first, second, shown, position = numbers[:6].astype(np.int64)
    value, confidence, start, side, rt_ms = numbers[7:]
    of_classes = shares_of(columns.judgements, n_classes) or ()
    return AnswerTable(
        person, unit, first, second, shown, position, numbers[6].astype(np.bool_),
        value, confidence, side, start, rt_ms, *of_classes,
    )  # fmt: skip


def _n_units(study: Study, unit: str) -> int:
    """How many different pairs, or mixed images, the study asks about."""
    live = Unit.objects.filter(batch__study=study, batch__mode=Mode.LIVE)
    if unit == "pair":
        return live.values("pair").distinct().count()
    return live.exclude(mixed_image=None).values("mixed_image").distinct().count()


def _names(study: Study, found: Mapping[int, _Columns]) -> dict[int, str]:
    """How each way of asking is called: by its levels, else by its interface; by its key as well where that is
    another's name."""
    conditions: list[Condition] = list(study.conditions.filter(pk__in=list(found)))
    names = {}
    for condition in conditions:
        levels: Levels = dict(sorted(frozenset.intersection(*found[condition.pk].levels)))
        names[condition.pk] = in_words(levels) or condition.content["interface"]
    taken = list(names.values())
    return {
        one.pk: f"{names[one.pk]} ({one.key})" if taken.count(names[one.pk]) > 1 else names[one.pk]
        for one in conditions
    }


def _rules(study: Study, persons: Mapping[int, int]) -> tuple[dict[str, set[int]], list[str], set[int]]:
    """Whom each rule leaves out by itself, which rules leave out nobody, and whom those in force leave out.

    The study's own limits are taken; a flag that it has no rule for, at its default. Content measures compare with
    everybody who is valid.
    """
    own = {rule.flag: rule for rule in rules_of(study)}
    rules: list[Rule] = [own.get(rule.flag, rule) for rule in default_rules()]
    measures = {persons[pk]: said for pk, said in measures_of(study, rules=()).items() if pk in persons}
    out = {
        rule.flag: {person for person, said in measures.items() if flagged(said, [rule])} for rule in rules
    }
    excluding = [rule for rule in own.values() if rule.excludes]
    in_force = (
        {pk for pk, said in measures_of(study).items() if flagged(said, excluding)} if excluding else set()
    )
    said = {flag: str(FLAGS[flag].meaning) for flag in out}
    return (
        {said[flag]: people for flag, people in out.items() if people},
        [said[flag] for flag, people in out.items() if not people],
        {persons[pk] for pk in in_force if pk in persons},
    )
