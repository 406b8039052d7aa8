"""What a study's answers say, as far as they may be released: nobody's who did not agree to it, under pseudonyms.

Only live participations are here, and no attention check is among the answers. Rules of quality are applied here, each
time anew: whom they leave out stays in a release and is in no label.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.factors import Levels
from elicitation.studies.models import Condition, Mode, Protocol, Source, Study, Unit
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.ways import needs_every_lambda
from elicitation.trials.checks import CheckResult
from elicitation.trials.flags import Flagged, Measures, Measuring, excluding, flagged, flags_of_answer
from elicitation.trials.given import AS_TEXT, Given, Ways, answers_given, checks_answered
from elicitation.trials.models import Response, Trial
from hilmix.core.judgements import CannotTell, Judgement
from hilmix.core.mixing import DEFAULT_METHOD
from hilmix.core.release import pair_key

# There may be very many answers; of each of them only these columns are read, without an object for each row.
READ = ("trial__participation", "trial__position", "levels", "params", "payload", "rt_ms", "trial_index",
        "time_elapsed_ms", "attempt")  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A participant of a release, by pseudonym; `n_responses` answers, without attention checks.

    `measures` and `flags` say how the answers were given; flags stand under the rules in force.
    """

    participation: Participation
    name: str
    n_responses: int
    measures: Measures
    flags: Sequence[Flagged]

    @cached_property
    def excluded_by(self) -> list[str]:
        """The flags whose rules leave this person out of labels."""
        return [one.rule.flag for one in excluding(self.flags)]

    @cached_property
    def not_counted(self) -> str | None:
        """Why no label uses this person's answers, if so."""
        if self.participation.invalid_at is not None:
            return "invalid"
        return f"excluded: {', '.join(self.excluded_by)}" if self.excluded_by else None

    @property
    def over_quota(self) -> bool:
        return self.participation.is_over_quota


@dataclass(frozen=True, slots=True)
class Said:
    """What one stored answer says.

    `key` names the mixed image, or the pair where `unit` is "pair" · `condition` how it was asked · `not_counted` why
    labels do not use it, None where they do · `flags` how it was given.
    """

    position: int
    unit: str
    key: str
    condition: str
    person: Person
    judgement: Judgement
    repeat: bool
    not_counted: str | None
    flags: tuple[str, ...]

    @property
    def participant(self) -> str:
        """The pseudonym."""
        return self.person.name

    @property
    def counted(self) -> bool:
        """Whether labels use it."""
        return self.not_counted is None


class Stored(NamedTuple):
    """An answer as it was given, with the levels of its trial and what was drawn for it, both JSON as text; for an
    imported one, the row it came from."""

    levels: str
    params: str
    payload: dict[str, Any]
    rt_ms: int | None
    trial_index: int | None
    time_elapsed_ms: int | None
    attempt: int
    source_row: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """An answered attention check: the class of its image, and the share (0–1) the answer gave to it, if any."""

    participation_id: int
    position: int
    class_index: int
    share: float | None
    passed: bool

    @classmethod
    def of(cls, result: CheckResult) -> Check:
        """What is kept of a result."""
        trial = result.trial
        return cls(trial.participation_id, trial.position, result.class_index, result.share, result.passed)


class Answers:
    """The answers of a study, received until now, that may be released.

    What they say is read once; the answers as they were given are streamed. Both stay the same although people go on
    answering.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.until = timezone.now()
        self.mixed_images = mixed_images_of(study)
        self.ways = Ways(study)
        self.protocols = self.ways.protocols
        self.rules = settings_of(study.protocol.content).rules
        self._checks: list[Check] = []
        self._met: defaultdict[int, set[frozenset[tuple[str, str]]]] = defaultdict(set)
        given, measures = self._read()
        self.people = {person.participation.pk: person for person in self._people(measures)}
        self._said = list(self._judge(given))

    def __iter__(self) -> Iterator[Said]:
        """What every answer says, by participant and position."""
        return iter(self._said)

    def stored(self) -> Iterator[tuple[Said, Stored]]:
        """The same with each answer as it is stored."""
        said = {(one.person.participation.pk, one.position): one for one in self._said}
        received = releasable_answers(self.study).filter(received_at__lte=self.until)
        source_row = ("source_row__values",) if self.study.source == Source.IMPORTED else ()
        ordered = received.annotate(**AS_TEXT).order_by("trial__participation_id", "trial__position")
        for pk, position, *stored in ordered.values_list(*READ, *source_row).iterator(chunk_size=2000):
            yield said[pk, position], Stored(*stored)

    def _read(self) -> tuple[list[_Read], dict[int, Measures]]:
        """Go through the answers: what each says, and the measures of everybody."""
        people = releasable(self.study)
        measuring = Measuring(self.study, self.ways)
        measuring.take_stored(people)
        read = []
        for given in answers_given(self.study, people, until=self.until, ways=self.ways):
            measuring.add(given)
            self._met[given.about[0]].add(frozenset(given.levels.items()))
            read.append(_Read.of(given, self.study.source))
        for result in checks_answered(people, self.ways, until=self.until):
            measuring.add_check(result)
            self._checks.append(Check.of(result))
        return read, measuring.measures(people, self.rules)

    def _people(self, measures: dict[int, Measures]) -> Iterator[Person]:
        """Whoever answered at all."""
        given = Q(trials__response__received_at__lte=self.until) & ~Q(trials__kind=Trial.Kind.CHECK)
        counted = releasable(self.study).annotate(n_responses=Count("trials__response", filter=given))
        for participation in counted.filter(n_responses__gt=0).order_by("pk"):
            yield Person(
                participation,
                pseudonym(self.study, participation.public_id),
                participation.n_responses,
                measures[participation.pk],
                flagged(measures[participation.pk], self.rules),
            )

    def _judge(self, read: list[_Read]) -> Iterator[Said]:
        keys = {(image.pair_id, image.lambda_e4): image.key for image in self.mixed_images}
        pairs = {image.pair_id: image.pair for image in self.mixed_images}
        names = {pair.pk: pair_key(pair.first_index, pair.second_index) for pair in pairs.values()}
        conditions = {condition.pk: condition.key for condition in self.study.conditions.all()}
        answered: set[tuple[int, tuple[int, int, int | None]]] = set()
        for one in read:
            _condition, pair, lambda_e4 = one.about
            if (person := self.people.get(one.participation_id)) is None:
                continue  # withdrew meanwhile
            first = not one.repeat and (one.participation_id, one.about) not in answered
            if first:
                answered.add((one.participation_id, one.about))
            yield Said(
                position=one.position,
                unit="pair" if lambda_e4 is None else "mixed_image",
                key=names[pair] if lambda_e4 is None else keys[pair, lambda_e4],
                condition=conditions[one.about[0]],
                person=person,
                judgement=one.judgement,
                repeat=one.repeat,
                not_counted=person.not_counted or _why_not(one, first),
                flags=one.flags,
            )

    def checks(self) -> Iterator[tuple[Person, Check]]:
        """Every answered attention check of these people, in the same order."""
        for check in self._checks:
            if person := self.people.get(check.participation_id):
                yield person, check

    def conditions(self) -> list[Condition]:
        """How was asked: the conditions under which one of the answers was given."""
        given = releasable_answers(self.study).filter(
            trial__condition=OuterRef("pk"), received_at__lte=self.until
        )
        return list(self.study.conditions.filter(Exists(given)).order_by("sha256"))

    def levels_of(self, condition: Condition) -> Levels:
        """The levels that every answer under this condition has."""
        met = self._met.get(condition.pk)
        return dict(frozenset.intersection(*met)) if met else {}

    @property
    def newest_protocol(self) -> Protocol:
        """The newest version that one of these people met."""
        return self.protocols[max(person.participation.protocol_id for person in self.people.values())]

    @property
    def protocol_of_rules(self) -> Protocol:
        """The version that has the rules in force: the newest that somebody met, where the study's newest has the same
        rules."""
        met = self.newest_protocol
        return met if settings_of(met.content).rules == self.rules else self.study.protocol


@dataclass(frozen=True, slots=True)
class _Read:
    """What is kept of an answer in memory: all but the answer as it was given."""

    participation_id: int
    position: int
    about: tuple[int, int, int | None]
    repeat: bool
    judgement: Judgement
    flags: tuple[str, ...]

    @classmethod
    def of(cls, given: Given, source: str) -> _Read:
        flags = tuple(flags_of_answer(given, source))
        return cls(given.participation_id, given.position, given.about, given.repeat, given.judgement, flags)


def _why_not(read: _Read, first: bool) -> str | None:
    """Why an answer of somebody who counts is not counted, if so."""
    if read.repeat:
        return "repeat"
    if not first:
        return "later answer"
    return "cannot tell" if isinstance(read.judgement, CannotTell) else None


def mixed_images_of(study: Study) -> list[MixedImage]:
    """The study's mixed images in a stable order; where people are asked about pairs, those of every λ of the study."""
    plan: Settings = settings_of(study.protocol.content)
    units = Unit.objects.filter(batch__study=study, batch__mode=Mode.LIVE)
    asked = units if needs_every_lambda(plan) else units.filter(mixed_image=None)
    of_pairs = Q(pair__in=asked.values("pair"), lambda_e4__in=plan.design.lambdas_e4, method=DEFAULT_METHOD)
    shown = Q(pk__in=units.exclude(mixed_image=None).values("mixed_image"))
    return list(MixedImage.objects.filter(shown | of_pairs).select_related("pair").order_by("pk"))


def pseudonym(study: Study, public_id: str) -> str:
    """The participant's name in releases of this study. Published ids stay; others cannot be led back or joined."""
    if study.source == Source.IMPORTED:
        return public_id
    message = f"pseudonym:{study.slug}:{public_id}".encode()
    return "p" + hmac.new(settings.IDENTITY_KEY.encode(), message, hashlib.sha256).hexdigest()[:14]


def releasable_answers(study: Study) -> QuerySet[Response]:
    """The answers that may be released, attention checks not among them."""
    return Response.objects.filter(
        ~Q(trial__kind=Trial.Kind.CHECK), trial__participation__in=releasable(study)
    )


def releasable(study: Study) -> QuerySet[Participation]:
    """Whose answers may be published: of people, those who agreed to it; none of a pilot or a preview. Who withdrew has
    no answers any more, unless the study keeps them without a name."""
    everybody = study.participations.filter(source=study.source, mode=Mode.LIVE)
    return everybody.filter(consent__publish=True) if study.source == Source.PERSON else everybody
