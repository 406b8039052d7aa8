"""What a study's answers say, as far as they may be released: nobody's who did not agree to it, under pseudonyms.

Attention checks are told apart from answers here, once: nothing that is made of answers ever sees a check.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from elicitation.interfaces import interface_named
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.models import Condition, Protocol, Source, Study, Unit
from elicitation.studies.protocol import settings_of
from elicitation.trials import checks
from elicitation.trials.asking import asked_of
from elicitation.trials.checks import CheckResult
from elicitation.trials.models import Response, Trial
from hilmix.core.judgements import CannotTell, Judgement
from hilmix.core.mixing import DEFAULT_METHOD

# There may be very many answers; of each of them only these fields are read.
READ = (
    *("payload", "rt_ms", "trial_index", "time_elapsed_ms", "attempt"),
    *(
        f"trial__{name}"
        for name in ("participation", "position", "kind", "pair", "unit", "condition", "params")
    ),
)


@dataclass(frozen=True)
class Person:
    """A participant of a release, by pseudonym; `n_responses` answers, without attention checks."""

    participation: Participation
    name: str
    n_responses: int


@dataclass(frozen=True)
class Said:
    """One stored answer with what it says.

    `key` names the mixed image, or the pair where `unit` is "pair" · `condition` how it was asked · `counted` as labels
    count it.
    """

    response: Response
    unit: str
    key: str
    condition: str
    participant: str
    judgement: Judgement
    repeat: bool
    counted: bool


class Answers:
    """The answers of a study, received until now, that may be released.

    What many of them share (people, protocols, conditions, mixed images) is read once; the answers themselves are
    streamed, each time they are gone through, and are the same each time although people go on answering.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.until = timezone.now()
        self.mixed_images = mixed_images_of(study)
        self.protocols = {protocol.pk: protocol for protocol in study.protocols.order_by("version")}
        self.people = {person.participation.pk: person for person in _people(study, self.until)}

    def __iter__(self) -> Iterator[Said]:
        """Every answer, by participant and position."""
        keys = {mixed_image.pk: mixed_image.key for mixed_image in self.mixed_images}
        pairs = {mixed_image.pair_id: mixed_image.pair for mixed_image in self.mixed_images}
        units = dict(Unit.objects.filter(batch__study=self.study).values_list("pk", "mixed_image"))
        conditions = {condition.pk: condition.key for condition in self.study.conditions.all()}
        ways = {pk: settings_of(protocol.content) for pk, protocol in self.protocols.items()}
        interfaces = {pk: interface_named(way.interface) for pk, way in ways.items()}
        classes = tuple(self.study.image_set.classes)
        answered: set[tuple[int, str]] = set()
        for response in self._responses().iterator(chunk_size=2000):
            trial = response.trial
            trial.pair = pairs[trial.pair_id]
            person = self.people[trial.participation_id]
            protocol, drawn = person.participation.protocol_id, person.participation.drawn
            asked = asked_of(trial, ways[protocol], classes, drawn)
            judgement = interfaces[protocol].judgement(response.payload, asked)
            assert trial.unit_id is not None  # no check is among the answers
            mixed_image = units[trial.unit_id]
            key = keys[mixed_image] if mixed_image else f"{trial.pair.first_index}-{trial.pair.second_index}"
            repeat = trial.kind == Trial.Kind.REPEAT
            first = not repeat and (trial.participation_id, key) not in answered
            if first:
                answered.add((trial.participation_id, key))
            yield Said(
                response=response,
                unit="mixed_image" if mixed_image else "pair",
                key=key,
                condition=conditions[trial.condition_id],
                participant=person.name,
                judgement=judgement,
                repeat=repeat,
                counted=first and not isinstance(judgement, CannotTell),
            )

    def _responses(self) -> QuerySet[Response]:
        """In the order of their trials; for imported answers, with the rows they came from."""
        received = releasable_answers(self.study).filter(received_at__lte=self.until)
        if self.study.source == Source.IMPORTED:
            joined = received.select_related("trial", "source_row").only(*READ, "source_row__values")
        else:
            joined = received.select_related("trial").only(*READ)
        return joined.order_by("trial__participation_id", "trial__position")

    def checks(self) -> Iterator[tuple[Person, CheckResult]]:
        """Every answered attention check of these people, in the same order."""
        for result in checks.results(self.study):
            person = self.people.get(result.trial.participation_id)
            if person is not None and result.trial.response.received_at <= self.until:
                yield person, result

    def conditions(self) -> list[Condition]:
        """How was asked: the conditions under which one of the answers was given."""
        given = releasable_answers(self.study).filter(
            trial__condition=OuterRef("pk"), received_at__lte=self.until
        )
        return list(self.study.conditions.filter(Exists(given)).order_by("sha256"))

    @property
    def newest_protocol(self) -> Protocol:
        """The newest version that one of these people met."""
        return self.protocols[max(person.participation.protocol_id for person in self.people.values())]


def mixed_images_of(study: Study) -> list[MixedImage]:
    """The study's mixed images in a stable order; where units are pairs, those of every λ of the study."""
    units = Unit.objects.filter(batch__study=study)
    of_pairs = Q(
        pair__in=units.filter(mixed_image=None).values("pair"),
        lambda_e4__in=settings_of(study.protocol.content).design.lambdas_e4,
        method=DEFAULT_METHOD,
    )
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
        ~Q(trial__kind=Trial.Kind.CHECK), trial__participation__in=_releasable(study)
    )


def _releasable(study: Study) -> QuerySet[Participation]:
    """Whose answers may be published: of people, those who agreed to it. Who withdrew has no answers any more, unless
    the study keeps them without a name."""
    everybody = study.participations.filter(source=study.source)
    return everybody.filter(consent__publish=True) if study.source == Source.PERSON else everybody


def _people(study: Study, until: datetime) -> Iterator[Person]:
    """The participants of a release made of what was received `until` then: whoever answered at all."""
    given = Q(trials__response__received_at__lte=until) & ~Q(trials__kind=Trial.Kind.CHECK)
    counted = _releasable(study).annotate(n_responses=Count("trials__response", filter=given))
    for participation in counted.filter(n_responses__gt=0).order_by("pk"):
        yield Person(participation, pseudonym(study, participation.public_id), participation.n_responses)
