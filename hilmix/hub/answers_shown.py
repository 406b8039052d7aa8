"""Answers as researchers' pages show them: what each says, and whether labels use it or why not.

It is read from the database each time, for the few answers of a page; what a release holds is gathered in `answers`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext_lazy

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked
from elicitation.mixes.models import MixedImage
from elicitation.monitoring.words import in_words, judgement_in_words
from elicitation.participants.models import Participation
from elicitation.studies.models import Condition, Mode, Study
from elicitation.studies.rules import FLAGS
from elicitation.trials.asking import asked_of
from elicitation.trials.flags import excluded_participations
from elicitation.trials.given import AS_TEXT, Asking, Ways
from elicitation.trials.models import Response, Trial
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda, PerceivedMidpoint, share_of
from hilmix.core.softlabels import Floats
from hilmix.hub.answers import releasable

RELATED = ("trial__participation", "trial__pair", "trial__unit__mixed_image", "trial__condition")
# Of very many answers only these columns are read.
READ = (
    *("trial__condition", "trial__pair", "trial__unit__mixed_image"),
    *("trial__participation__protocol", "trial__participation__drawn", "levels", "params", "payload"),
)
Many = QuerySet[Response]


# Why labels do not use an answer; of another mode, its name stands instead.
WORDS = {
    "check": gettext_lazy("attention check"),
    "private": gettext_lazy("not to be published"),
    "invalid": gettext_lazy("participation marked as not to count"),
    "rule": gettext_lazy("participation left out by a rule: %(flags)s"),
    "repeat": gettext_lazy("repeat"),
    "later": gettext_lazy("a later answer to the same"),
    "cannot tell": gettext_lazy("cannot tell"),
}


class Counting:
    """Which answers of a study labels use: as a condition on a query, and in words for one answer.

    As in a release: live answers that may be published, of people whom neither a researcher nor a rule leaves out, the
    first about its unit, no repeat, no attention check, and not “cannot tell”.
    """

    counted = Q(reason="")  # of `answers`, those that labels use

    def __init__(self, study: Study) -> None:
        self.study = study
        conditions = study.conditions.order_by("sha256")
        self.conditions: dict[int, Condition] = {condition.pk: condition for condition in conditions}

    @cached_property
    def left_out(self) -> dict[int, str]:
        """Whom a rule leaves out of labels: participation → the flags, in words."""
        return {
            pk: ", ".join(str(FLAGS[one.rule.flag].meaning) for one in stand)
            for pk, stand in excluded_participations(self.study).items()
        }

    @cached_property
    def of_pairs(self) -> list[int]:
        """The conditions under which was asked about a pair, so at no single λ."""
        return [
            pk
            for pk, condition in self.conditions.items()
            if interface_named(condition.content["interface"]).UNIT == "pair"
        ]

    def answers(self) -> Many:
        """Every answer of the study, with the `reason` why it does not count, empty where it does.

        Ordered by participation and position, a page of very many is found along an index.
        """
        mine = Response.objects.filter(trial__participation__in=self.study.participations.values("pk"))
        reasons = (When(holds, then=Value(reason)) for reason, holds in self._reasons().items())
        return mine.annotate(reason=Case(*reasons, default=Value("")))

    def _reasons(self) -> dict[str, Any]:
        earlier = Response.objects.filter(
            Q(trial__condition__in=self.of_pairs)
            | Q(trial__unit__mixed_image=OuterRef("trial__unit__mixed_image")),
            trial__kind=Trial.Kind.MAIN,
            trial__participation=OuterRef("trial__participation"),
            trial__condition=OuterRef("trial__condition"),
            trial__pair=OuterRef("trial__pair"),
            trial__position__lt=OuterRef("trial__position"),
        )
        published = releasable(self.study).filter(pk=OuterRef("trial__participation"))
        return {
            "mode": ~Q(trial__participation__mode=Mode.LIVE),
            "check": Q(trial__kind=Trial.Kind.CHECK),
            "private": ~Exists(published),
            "invalid": Q(trial__participation__invalid_at__isnull=False),
            "rule": Q(trial__participation__in=list(self.left_out)),
            "repeat": Q(trial__kind=Trial.Kind.REPEAT),
            "later": Exists(earlier),
            "cannot tell": Q(payload__cannot_tell=True),
        }

    def about(self, mixed_images: Iterable[MixedImage]) -> Q:
        """Answers about one of these mixed images, or about the pair of one, at every λ."""
        images = list(mixed_images)
        pairs = {image.pair_id for image in images}
        return Q(
            ~Q(trial__condition__in=self.of_pairs),
            trial__unit__mixed_image__in=[image.pk for image in images],
        ) | Q(trial__condition__in=self.of_pairs, trial__unit__pair__in=pairs)

    def why_not(self, response: Any) -> str:
        """Why labels do not use an answer of `answers`, in words; empty where they do."""
        person = response.trial.participation
        match response.reason:
            case "":
                return ""
            case "mode":
                return str(person.get_mode_display())
            case reason:
                return str(WORDS[reason]) % {"flags": self.left_out.get(person.pk)}


@dataclass(frozen=True)
class ShownAnswer:
    """One answer. `not_counted` says why labels do not use it, empty where they do; `pair` and `mixed_image` what it is
    about: the pair at every λ where there is no mixed image."""

    response: Response
    judgement: Judgement
    asked: Asked
    not_counted: str
    mixed_image: MixedImage | None

    @property
    def trial(self) -> Trial:
        return self.response.trial

    @property
    def person(self) -> Participation:
        return self.trial.participation

    @property
    def classes(self) -> tuple[str, str]:
        """Of the first and the second image."""
        return self.asked.classes[self.asked.first_class], self.asked.classes[self.asked.second_class]

    @property
    def levels(self) -> str:
        return in_words(self.trial.levels)

    @property
    def says(self) -> str:
        return judgement_in_words(self.judgement, self.asked)

    @property
    def seconds(self) -> float | None:
        """How long it took, where times are kept."""
        return None if self.response.rt_ms is None else self.response.rt_ms / 1000

    @property
    def number(self) -> float | None:
        """As `number_of`."""
        return number_of(self.judgement, self.asked)

    @property
    def shares(self) -> Floats | None:
        """What it gives to each class, float64 [K], 0–1; None for an answer that gives nothing to any."""
        first, second = self.asked.first_class, self.asked.second_class
        shares = [share_of(self.judgement, k, first, second) for k in range(len(self.asked.classes))]
        return None if None in shares else np.array(shares, dtype=np.float64)


def number_of(judgement: Judgement, asked: Asked) -> float | None:
    """The share (0–1) given to the first class, or the λ of the midpoint; None for an answer that says none."""
    match judgement:
        case CannotTell():
            return None
        case PerceivedLambda(value) | PerceivedMidpoint(value):
            return value
        case said:
            return share_of(said, asked.first_class, asked.first_class, asked.second_class)


def answers_shown(counting: Counting, responses: Iterable[Response]) -> list[ShownAnswer]:
    """What `responses` say, which are of `Counting.answers`, in their order; loaded with RELATED, no query for each."""
    ways = Ways(counting.study)
    shown = []
    for response in responses:
        trial = response.trial
        way = ways.of(trial.participation.protocol_id, trial.levels)
        asked = asked_of(trial, way, ways.classes, trial.participation.drawn)
        interface = interface_named(way.interface)
        of_image = trial.unit if interface.UNIT == "mixed_image" else None  # an attention check has no unit
        shown.append(
            ShownAnswer(
                response=response,
                judgement=interface.judgement(response.payload, asked),
                asked=asked,
                not_counted=counting.why_not(response),
                mixed_image=of_image.mixed_image if of_image else None,
            )
        )
    return shown


@dataclass(frozen=True)
class Mean:
    """What `n` people say on average about one unit, asked in one way; `number` as `ShownAnswer.number`."""

    condition: Condition
    n: int
    number: float | None
    shares: Floats | None


def means_of(counting: Counting, answers: Sequence[ShownAnswer]) -> list[Mean]:
    """The mean of the answers that count, under each condition for itself, in the order of the conditions."""
    by_condition: Mapping[int, list[ShownAnswer]] = defaultdict(list)
    for answer in answers:
        if not answer.not_counted:
            by_condition[answer.trial.condition_id].append(answer)
    return [
        _mean(condition, by_condition[pk])
        for pk, condition in counting.conditions.items()
        if pk in by_condition
    ]


def _mean(condition: Condition, answers: Sequence[ShownAnswer]) -> Mean:
    numbers = [answer.number for answer in answers if answer.number is not None]
    shares = [answer.shares for answer in answers if answer.shares is not None]
    return Mean(
        condition=condition,
        n=len(answers),
        number=float(np.mean(numbers)) if numbers else None,
        shares=np.mean(shares, axis=0) if shares else None,
    )


def means_about(counting: Counting, images: Sequence[MixedImage]) -> dict[int, list[Mean]]:
    """What people say of each of `images`, by key, as `means_of` says it but for the shares of all classes.

    There may be very many answers: they are read without an object for each.
    """
    pairs = {image.pair_id: image.pair for image in images}
    asking, of_pairs = Asking(Ways(counting.study)), set(counting.of_pairs)
    said: dict[tuple[int, int], list[float]] = defaultdict(list)  # condition, and mixed image or pair
    counted = counting.answers().filter(counting.about(images), counting.counted).annotate(**AS_TEXT)
    for condition, pair, image, protocol, drawn, levels, params, payload in counted.values_list(
        *READ
    ).iterator():
        interface, asked = asking.of(pairs[pair], protocol, levels, params, drawn)
        number = number_of(interface.judgement(payload, asked), asked)
        if number is not None:
            said[condition, pair if condition in of_pairs else image].append(number)
    return {
        image.pk: [
            Mean(condition, len(numbers), float(np.mean(numbers)), None)
            for pk, condition in counting.conditions.items()
            if (numbers := said.get((pk, image.pair_id if pk in of_pairs else image.pk)))
        ]
        for image in images
    }


def condition_in_words(condition: Condition) -> str:
    """How was asked, shortly: interface, perspective, and the key by which releases name it."""
    content = condition.content
    return f"{content['interface']}, {content['perspective']} ({condition.key})"
