"""The answers of a study with what they say, read for whoever looks at all of them: flags, labels, rules of payment.

Attention checks are no answers and are never among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked, Interface, Payload
from elicitation.mixes.models import Pair
from elicitation.participants.models import Participation
from elicitation.studies.factors import Levels
from elicitation.studies.models import Study, Unit
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.ways import settings_with
from elicitation.trials.asking import asked_about
from elicitation.trials.checks import CheckResult, result_of
from elicitation.trials.models import Response, Trial
from hilmix.core.judgements import Judgement

# There may be very many answers; of each of them only these columns are read, without an object for each row.
READ = (
    *(f"trial__{name}" for name in ("participation", "position", "kind", "pair", "unit", "condition")),
    *("levels", "params", "said", "rt_ms"),
)
# JSON is read as text. Many trials have the same levels and params: each text is made an object once.
AS_TEXT = {name: Cast(f"trial__{name}", TextField()) for name in ("levels", "params")} | {
    "said": Cast("payload", TextField())
}
REPEAT = Trial.Kind.REPEAT.value  # a plain text, which compares faster
MOST_ALIKE = 4096  # texts and questions that are kept
PEOPLE_AT_ONCE = 100  # whose rows are in memory together, where people are read in an order of their own


class Given(NamedTuple):
    """One stored answer.

    `pair` and `lambda_e4` say what was asked about: a mixed image, or the pair at every λ where `lambda_e4` is None.
    """

    participation_id: int
    position: int
    repeat: bool
    condition_id: int
    pair: Pair
    lambda_e4: int | None
    judgement: Judgement
    payload: Payload
    rt_ms: int | None
    levels: Levels = {}  # factor → level, of every factor of the study; never changed
    also: tuple[Any, ...] = ()  # what else was asked to be read

    @property
    def about(self) -> tuple[int, int, int | None]:
        """What it is compared with: answers under the same condition to the same mixed image or pair."""
        return self.condition_id, self.pair.pk, self.lambda_e4


class Ways:
    """The versions of a study's protocol, by key, and how each asks at the levels of a trial.

    Imported studies are read as well, whose texts are not known; so no text is read here.
    """

    def __init__(self, study: Study) -> None:
        self.classes: tuple[str, ...] = tuple(study.image_set.classes)
        self.protocols = {protocol.pk: protocol for protocol in study.protocols.order_by("version")}
        self._settings = {pk: settings_of(protocol.content) for pk, protocol in self.protocols.items()}
        self._ways: dict[tuple[int, frozenset[tuple[str, str]]], Settings] = {}

    def of(self, protocol_id: int, levels: Levels) -> Settings:
        """How somebody was asked who met this version, at these levels."""
        if not levels:
            return self._settings[protocol_id]
        key = protocol_id, frozenset(levels.items())
        if key not in self._ways:
            self._ways[key] = settings_with(self._settings[protocol_id], levels)
        return self._ways[key]


class Asking:
    """What each answer was asked; put together once for all answers that were asked alike."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self.parsed = lru_cache(MOST_ALIKE)(orjson.loads)
        self._alike = lru_cache(MOST_ALIKE)(self._put_together)

    def of(
        self, pair: Pair, protocol_id: int, levels: str, params: str, drawn: Mapping[str, Any]
    ) -> tuple[Interface, Asked]:
        """How somebody was asked about `pair`, and what; levels and params as `AS_TEXT` reads them."""
        interface, asked = self._alike((pair.first_class, pair.second_class), protocol_id, levels, params)
        return interface, replace(asked, person=drawn) if drawn else asked

    def _put_together(
        self, classes: tuple[int, int], protocol_id: int, levels: str, params: str
    ) -> tuple[Interface, Asked]:
        way = self._ways.of(protocol_id, self.parsed(levels))
        asked = asked_about(classes, way, self._ways.classes, {}, self.parsed(params))
        return interface_named(way.interface), asked


def answers_given(
    study: Study,
    people: QuerySet[Participation],
    *,
    until: datetime | None = None,
    ways: Ways | None = None,
    units: QuerySet[Unit] | None = None,
    pairs: Collection[int] | None = None,
    also: Sequence[str] = (),
    order: Sequence[int] = (),
) -> Iterator[Given]:
    """The answers of `people`, who take part in `study`, by participation and position; received `until` then.

    What many answers share is read once, the answers themselves are streamed: the number of queries is constant.
    `units` are all that they answered; where it is not known which, all of the study are read. `pairs`: the answers
    about these alone, by key. `also` names further columns of a response; levels and params are JSON as text. `order`:
    the keys of those among `people` who are read, in this order; it takes a query for each hundred of them.
    """
    ways = ways or Ways(study)
    met: dict[int, tuple[int, Mapping[str, Any]]] = {
        pk: (protocol, drawn) for pk, protocol, drawn in people.values_list("pk", "protocol", "drawn")
    }
    answered = units if units is not None else Unit.objects.filter(batch__study=study)
    responses = Response.objects.exclude(trial__kind=Trial.Kind.CHECK)
    if not order:  # otherwise each query names those it is about
        responses = responses.filter(trial__participation__in=people)
    if until is not None:
        responses = responses.filter(received_at__lte=until)
    if pairs is not None:
        answered, responses = answered.filter(pair__in=pairs), responses.filter(trial__pair__in=pairs)
    pair_of, lambdas = _read(answered)
    ordered = responses.annotate(**AS_TEXT).order_by("trial__participation_id", "trial__position")
    asking = Asking(ways)
    columns = ordered.values_list(*READ, *also)
    rows = in_order(columns, "trial__participation", order) if order else columns.iterator(2000)
    for pk, position, kind, pair_id, unit, condition, levels, params, said, rt_ms, *rest in rows:
        if pk not in met:
            continue  # came between the two queries
        protocol, drawn = met[pk]
        pair = pair_of[pair_id]
        interface, asked = asking.of(pair, protocol, levels, params, drawn)
        payload = orjson.loads(said)
        yield Given(
            pk,
            position,
            kind == REPEAT,
            condition,
            pair,
            None if interface.UNIT == "pair" else lambdas[unit],
            interface.judgement(payload, asked),
            payload,
            rt_ms,
            asking.parsed(levels),
            tuple(rest),
        )


def in_order(
    rows: QuerySet[Any, tuple[Any, ...]], person: str, people: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """The rows whose first column, `person`, is one of `people`, in this order of people; those of one person as
    `rows` has them."""
    place = {pk: number for number, pk in enumerate(people)}
    for start in range(0, len(people), PEOPLE_AT_ONCE):
        few = people[start : start + PEOPLE_AT_ONCE]
        yield from sorted(rows.filter(**{f"{person}__in": few}), key=lambda row: place[row[0]])


def checks_answered(
    people: QuerySet[Participation], ways: Ways, *, until: datetime | None = None
) -> Iterator[CheckResult]:
    """The results of the attention checks that `people` answered, by participation and position."""
    checks = Trial.objects.filter(participation__in=people, kind=Trial.Kind.CHECK, response__isnull=False)
    if until is not None:
        checks = checks.filter(response__received_at__lte=until)
    loaded = checks.select_related("participation", "pair", "response").order_by(
        "participation_id", "position"
    )
    for trial in loaded.prefetch_related("images__mixed_image"):
        way = ways.of(trial.participation.protocol_id, trial.levels)
        yield result_of(trial, trial.response.payload, way, ways.classes)


def failed_checks(study: Study, people: QuerySet[Participation]) -> dict[int, int]:
    """How many attention checks each of `people`, who take part in `study`, failed; only of who answered any."""
    failed: Counter[int] = Counter()
    for result in checks_answered(people, Ways(study)):
        failed[result.trial.participation_id] += not result.passed
    return failed


def _read(units: QuerySet[Unit]) -> tuple[dict[int, Pair], dict[int, int | None]]:
    """The pairs of `units` by key, and the λ of each unit's mixed image."""
    pairs: dict[int, Pair] = {}
    lambdas: dict[int, int | None] = {}
    for unit in units.select_related("pair", "mixed_image").order_by().iterator(chunk_size=2000):
        pairs[unit.pair_id] = unit.pair
        lambdas[unit.pk] = unit.mixed_image.lambda_e4 if unit.mixed_image else None
    return pairs, lambdas
