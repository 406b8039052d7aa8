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
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from elicitation.interfaces import interface_named
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies import shown
from elicitation.studies.factors import Factor, Levels
from elicitation.studies.models import Condition, Mode, Protocol, Source, Study
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import FLAGS
from elicitation.trials.checks import CheckResult
from elicitation.trials.flags import Measures, Measuring, flagged, flags_of_answer
from elicitation.trials.given import (
    PEOPLE_AT_ONCE,
    Given,
    Ways,
    answers_given,
    checks_answered,
    in_order,
)
from elicitation.trials.models import Response, Trial
from hilmix.core.imageset import ImageSet
from hilmix.core.judgements import CannotTell, Judgement
from hilmix.core.release_tables import pair_key

# What is read of a participation; there may be very many, so none is kept.
OF_A_PERSON = ("public_id", "study", "protocol", "source", "state", "slot", "invalid_at")


@dataclass(frozen=True, slots=True)
class Person:
    """A participant of a release: `pk` of the participation, `name` the pseudonym, `n_responses` answers without
    attention checks, `excluded_by` the flags whose rules leave this person out of labels."""

    pk: int
    public_id: str
    name: str
    protocol_id: int
    n_responses: int
    invalid: bool
    over_quota: bool
    excluded_by: tuple[str, ...] = ()

    @property
    def not_counted(self) -> str | None:
        """Why no label uses this person's answers, if so."""
        if self.invalid:
            return "invalid"
        return f"excluded: {', '.join(self.excluded_by)}" if self.excluded_by else None


def as_text(value: object) -> str:
    """JSON as it stands in a release: keys in one order."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class Said(NamedTuple):
    """What one stored answer says. There may be a million of them, so none is kept.

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


# What is read of an answer beside what it says.
ALSO = ("params", "trial_index", "time_elapsed_ms", "attempt")


class Stored(NamedTuple):
    """An answer as it was given and what was drawn for it, both JSON as text, with the levels of its trial; for an
    imported one, the row it came from."""

    payload: str
    rt_ms: int | None
    levels: Levels
    params: str
    trial_index: int | None
    time_elapsed_ms: int | None
    attempt: int
    source_row: dict[str, str] | None = None


# What is read of a trial, answered or not.
OF_A_TRIAL = ("participation", "position", "kind", "pair", "condition", "level_text", "param_text",
              "unit__mixed_image__lambda_e4")  # fmt: skip
PARENTS = ("first_index", "second_index", "first_class", "second_class")
TEXTS = {"level_text": Cast("levels", TextField()), "param_text": Cast("params", TextField())}


class Planned(NamedTuple):
    """A trial of somebody's plan, with what the answer says if there is one.

    `parents` the columns `PARENTS` · `lambda_e4` None for a pair, `key` None for an attention check · `levels` and
    `params` JSON as text · `judgement` None without an answer · `not_counted` as `Said`, or check, or unanswered.
    """

    person: Person
    position: int
    kind: str
    unit: str
    key: str | None
    condition: str
    parents: tuple[int, ...]
    lambda_e4: int | None
    levels: str
    params: str
    judgement: Judgement | None = None
    not_counted: str | None = "unanswered"
    flags: tuple[str, ...] = ()
    rt_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """An answered attention check: the class of its image, and the share (0–1) the answer gave to it, if any."""

    participation_id: int
    position: int
    class_index: int
    share: float | None
    passed: bool
    judgement: Judgement

    @classmethod
    def of(cls, result: CheckResult) -> Check:
        """What is kept of a result."""
        trial = result.trial
        place = trial.participation_id, trial.position
        return cls(*place, result.class_index, result.share, result.passed, result.judgement)


class Answers:
    """The answers of a study, received until now, that may be released.

    They are read anew, one after another, each time they are asked for, and stay the same although people go on
    answering. `named_for` is the number of the release, or the key of the export, whose pseudonyms people get. What is
    published of them is in the order of these, which tells nothing of who came when.
    """

    def __init__(self, study: Study, named_for: int | str | None = None) -> None:
        self.study = study
        self.until = timezone.now()
        self.mixed_images = mixed_images_of(study)
        self.ways = Ways(study)
        self.protocols = self.ways.protocols
        self.rules = settings_of(study.protocol.content).rules
        self._named_for = named_for
        self._names: dict[tuple[int, int | None], str] = {}
        for image in self.mixed_images:
            self._names[image.pair_id, image.lambda_e4] = image.key
            self._names[image.pair_id, None] = pair_key(image.pair.first_index, image.pair.second_index)

    def __iter__(self) -> Iterator[Said]:
        """What every answer says, by participation and position: labels do not depend on pseudonyms."""
        return (said for said, _given in self._judged())

    def stored(self) -> Iterator[tuple[Said, Stored]]:
        """The same with each answer as it is stored, by pseudonym and position."""
        source_row = ("source_row__values",) if self.study.source == Source.IMPORTED else ()
        for said, given in self._judged((*ALSO, *source_row), self._by_name):
            yield said, Stored(as_text(given.payload), given.rt_ms, given.levels, *given.also)

    def _judged(self, also: tuple[str, ...] = (), order: Sequence[int] = ()) -> Iterator[tuple[Said, Given]]:
        conditions = {condition.pk: condition.key for condition in self.study.conditions.all()}
        source, names, people = self.study.source, self._names, self.people
        person: Person | None = None
        current, answered = 0, set[tuple[int, int, int | None]]()
        for given in answers_given(
            self.study, releasable(self.study), until=self.until, ways=self.ways, also=also, order=order
        ):
            if given.participation_id != current:
                current, answered = given.participation_id, set()
                person = people.get(current)
            if person is None:
                continue  # began to answer since
            _condition, pair, lambda_e4 = about = given.about
            first = not given.repeat and about not in answered
            if first:
                answered.add(about)
            said = Said(
                given.position,
                "pair" if lambda_e4 is None else "mixed_image",
                names[pair, lambda_e4],
                conditions[given.condition_id],
                person,
                given.judgement,
                given.repeat,
                person.not_counted or _why_not(given, first),
                tuple(flags_of_answer(given, source)),
            )
            yield said, given

    @cached_property
    def people(self) -> dict[int, Person]:
        """Everybody who took part until now, by primary key of the participation; also who has not answered yet, but
        not who withdrew before answering anything that is kept."""
        received = releasable_answers(self.study).filter(received_at__lte=self.until)
        by_person = received.order_by().values_list("trial__participation").annotate(Count("pk"))
        answered = dict(by_person.iterator(chunk_size=2000))
        excluded_by = self._excluded_by()
        everybody = releasable(self.study).filter(started_at__lte=self.until)
        return {
            one.pk: Person(
                one.pk,
                one.public_id,
                self.pseudonym(one.public_id),
                one.protocol_id,
                answered.get(one.pk, 0),
                one.invalid_at is not None,
                one.is_over_quota,
                excluded_by.get(one.pk, ()),
            )
            for one in everybody.only(*OF_A_PERSON).order_by("pk").iterator(2000)
            if one.pk in answered or one.state != Participation.State.WITHDRAWN
        }

    @cached_property
    def _by_name(self) -> list[int]:
        """The keys of these people in the order of their pseudonyms."""
        return sorted(self.people, key=lambda pk: self.people[pk].name)

    @cached_property
    def n_answered(self) -> int:
        """How many of these people answered anything."""
        return sum(person.n_responses > 0 for person in self.people.values())

    def participations(self) -> Iterator[Participation]:
        """The participations of these people, with all that is stored of them, by pseudonym."""
        for start in range(0, len(self._by_name), PEOPLE_AT_ONCE):
            few = self._by_name[start : start + PEOPLE_AT_ONCE]
            found = releasable(self.study).in_bulk(few)
            yield from (found[pk] for pk in few if pk in found)

    def pseudonym(self, public_id: str) -> str:
        """The name of a participant here."""
        return pseudonym(self.study, public_id, self._named_for)

    @cached_property
    def measures(self) -> dict[int, Measures]:
        """All that is measured in the answers of each person; every answer is compared with everybody's."""
        measuring = Measuring(self.study, self.ways)
        measuring.read(releasable(self.study), until=self.until)
        return measuring.measures(releasable(self.study), self.rules)

    def _excluded_by(self) -> dict[int, tuple[str, ...]]:
        """The flags whose rules leave people out. What is stored with them tells, unless a rule is about content."""
        rules = [rule for rule in self.rules if rule.excludes]
        if any(FLAGS[rule.flag].kind == "content" for rule in rules):
            measures = self.measures
        elif rules:
            people = releasable(self.study)
            measuring = Measuring(self.study, self.ways)
            measuring.take_stored(people)
            measuring.read(people.filter(measures={}), until=self.until)
            measures = {pk: measuring.process(pk) for pk in people.values_list("pk", flat=True)}
        else:
            measures = {}
        return {pk: tuple(one.rule.flag for one in flagged(said, rules)) for pk, said in measures.items()}

    @cached_property
    def _checks(self) -> list[Check]:
        results = checks_answered(releasable(self.study), self.ways, until=self.until)
        checks = [Check.of(result) for result in results if result.trial.participation_id in self.people]
        return sorted(checks, key=lambda check: self.people[check.participation_id].name)

    def trials(self) -> Iterator[Planned]:
        """Every trial planned for these people, by pseudonym and position, with the answer to it if there is one:
        of who has not answered yet, the plan alone."""
        checks = {(check.participation_id, check.position): check for check in self._checks}
        answers = self._judged(order=self._by_name)  # in the same order
        answer = next(answers, None)
        for planned in self._planned():
            if planned.kind == Trial.Kind.CHECK:
                check = checks.get((planned.person.pk, planned.position))
                yield (
                    planned
                    if check is None
                    else planned._replace(judgement=check.judgement, not_counted="check")
                )
            elif answer and (answer[0].person, answer[0].position) == (planned.person, planned.position):
                said, given = answer
                yield planned._replace(
                    judgement=said.judgement,
                    not_counted=said.not_counted,
                    flags=said.flags,
                    rt_ms=given.rt_ms,
                )
                answer = next(answers, None)
            else:
                yield planned

    def _planned(self) -> Iterator[Planned]:
        trials = self._trials()
        unmixed = trials.filter(kind=Trial.Kind.CHECK).values_list(
            "participation", "position", "images__mixed_image__lambda_e4"
        )
        of_checks = {(pk, position): lambda_e4 for pk, position, lambda_e4 in unmixed.iterator(2000)}
        ways = {
            one.pk: (one.key, interface_named(one.content["interface"]).UNIT)
            for one in self.study.conditions.all()
        }
        ordered = Trial.objects.annotate(**TEXTS).order_by("participation_id", "position")
        columns = ordered.values_list(*OF_A_TRIAL, *(f"pair__{name}" for name in PARENTS))
        rows = in_order(columns, "participation", self._by_name)
        for pk, position, kind, pair, condition, level_text, param_text, lambda_e4, *parents in rows:
            name, unit = ways[condition]
            if kind == Trial.Kind.CHECK:
                unit, key, lambda_e4 = "mixed_image", None, of_checks[pk, position]
            else:
                lambda_e4 = None if unit == "pair" else lambda_e4
                key = self._names[pair, lambda_e4]
            yield Planned(
                self.people[pk],
                position,
                kind,
                unit,
                key,
                name,
                tuple(parents),
                lambda_e4,
                level_text,
                param_text,
            )

    def _trials(self) -> QuerySet[Trial]:
        """What was planned for these people; and for who withdrew without an answer, if anything is left of it."""
        everybody = releasable(self.study).filter(started_at__lte=self.until)
        return Trial.objects.filter(participation__in=everybody)

    def checks(self) -> Iterator[tuple[Person, Check]]:
        """Every answered attention check of these people, in the same order."""
        return ((self.people[check.participation_id], check) for check in self._checks)

    def conditions(self) -> list[Condition]:
        """How was asked: the conditions under which one of these people was to answer."""
        planned = self._trials().filter(condition=OuterRef("pk"))
        return list(self.study.conditions.filter(Exists(planned)).order_by("sha256"))

    def levels_of(self, condition: Condition) -> Levels:
        """The levels that every trial under this condition has."""
        met = self._met.get(condition.pk)
        return dict(frozenset.intersection(*met)) if met else {}

    @cached_property
    def _met(self) -> dict[int, set[frozenset[tuple[str, str]]]]:
        """The combinations of levels under which was to be answered, by condition."""
        planned = self._trials().exclude(kind=Trial.Kind.CHECK).order_by()
        met: defaultdict[int, set[frozenset[tuple[str, str]]]] = defaultdict(set)
        for condition, levels in planned.values_list("condition", "levels").distinct():
            met[condition].add(frozenset(levels.items()))
        return met

    def protocol_of(self, person: Person) -> Protocol:
        """The version of the study's protocol that a person met."""
        return self.protocols[person.protocol_id]

    @property
    def n_classes(self) -> int:
        """Classes of the image set."""
        return len(self.ways.classes)

    @cached_property
    def image_set(self) -> ImageSet:
        """The images that the mixed images are made of."""
        return self.study.image_set.open()

    @cached_property
    def factors(self) -> Sequence[Factor]:
        """What varies, which was fixed before anybody answered."""
        return settings_of(self.newest_protocol.content).factors

    @property
    def newest_protocol(self) -> Protocol:
        """The newest version that one of these people met."""
        return self.protocols[max(person.protocol_id for person in self.people.values())]

    @property
    def protocol_of_rules(self) -> Protocol:
        """The version that has the rules in force: the newest that somebody met, where the study's newest has the same
        rules."""
        met = self.newest_protocol
        return met if settings_of(met.content).rules == self.rules else self.study.protocol


def _why_not(given: Given, first: bool) -> str | None:
    """Why an answer of somebody who counts is not counted, if so."""
    if given.repeat:
        return "repeat"
    if not first:
        return "later answer"
    return "cannot tell" if isinstance(given.judgement, CannotTell) else None


def mixed_images_of(study: Study) -> list[MixedImage]:
    """The mixed images that the study shows to people who count, in a stable order."""
    return list(shown.mixed_images_of(study, Mode.LIVE).select_related("pair").order_by("pk"))


def pseudonym(study: Study, public_id: str, named_for: int | str | None = None) -> str:
    """The participant's name in the study's release of this number or the export of this key; in releases of formats 1
    to 3, and where nothing is published, there was one for all (None). Published ids stay. Others cannot be led back,
    and differ from release to release; whoever holds two can match the answers themselves."""
    if study.source == Source.IMPORTED:
        return public_id
    of_release = "" if named_for is None else f"{named_for}:"
    message = f"pseudonym:{study.slug}:{of_release}{public_id}".encode()
    return "p" + hmac.new(settings.IDENTITY_KEY.encode(), message, hashlib.sha256).hexdigest()[:14]


def releasable_answers(study: Study) -> QuerySet[Response]:
    """The answers that may be released, attention checks not among them."""
    return Response.objects.filter(
        ~Q(trial__kind=Trial.Kind.CHECK), trial__participation__in=releasable(study)
    )


def n_to_publish(study: Study) -> tuple[int, int]:
    """Of how many participants the answers may be published, and how many answered."""
    mine = Response.objects.filter(~Q(trial__kind=Trial.Kind.CHECK), trial__participation=OuterRef("pk"))
    answered = study.participations.filter(Exists(mine), mode=Mode.LIVE)
    return answered.filter(pk__in=releasable(study)).count(), answered.count()


def releasable(study: Study) -> QuerySet[Participation]:
    """Whose answers may be published: of people, those who agreed to it; none of a pilot or a preview. Who withdrew has
    no answers any more, unless the study keeps them without a name."""
    everybody = study.participations.filter(source=study.source, mode=Mode.LIVE)
    return everybody.filter(consent__publish=True) if study.source == Source.PERSON else everybody
