"""From the answers of a study to units with judgements, which the core's label policies turn into soft labels."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import F

from elicitation.interfaces import interface_named
from elicitation.mixes.models import MixedImage
from elicitation.studies.models import Source, Study, Unit
from elicitation.trials.models import Response, Trial
from hilmix.core import judgements, softlabels
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda
from hilmix.core.softlabels import LabelSet

POLICIES = ("mixup", "human_lambda", "human_lambda_shrunk")
PUBLISHED_POLICIES = ("hmix_weighted",)  # recipes that exist to compare with imported data


@dataclass(frozen=True)
class Said:
    """One stored answer with what it says; `counted` as labels count it."""

    response: Response
    mixed_image: MixedImage
    participant: str
    judgement: Judgement
    repeat: bool
    counted: bool


def mixed_images_of(study: Study) -> list[MixedImage]:
    """The study's mixed images in a stable order."""
    shown = Unit.objects.filter(batch__study=study).values("mixed_image")
    return list(MixedImage.objects.filter(pk__in=shown).select_related("pair").order_by("pk"))


def answers_of(study: Study) -> Iterator[Said]:
    """Every stored answer of the study, by participant and position.

    What many answers share (people, protocols, mixed images) is read once, not joined to each of them.
    """
    shown = {mixed_image.pk: mixed_image for mixed_image in mixed_images_of(study)}
    asked = {
        version.pk: interface_named(version.content["interface"]["name"]) for version in study.protocols.all()
    }
    people = {
        pk: (pseudonym(study, public_id), asked[protocol])
        for pk, public_id, protocol in study.participations.values_list("pk", "public_id", "protocol")
    }
    responses = (
        Response.objects.filter(trial__participation__study=study, trial__participation__source=study.source)
        .select_related("trial", "source_row")
        .annotate(shown=F("trial__unit__mixed_image"))
        .order_by("trial__participation_id", "trial__position")
    )
    answered: set[tuple[int, int]] = set()
    for response in responses.iterator(chunk_size=2000):
        trial, mixed_image = response.trial, shown[response.shown]
        participant, interface = people[trial.participation_id]
        said, repeat = interface.judgement(response.payload, trial.params), trial.kind == Trial.Kind.REPEAT
        first = not repeat and (trial.participation_id, mixed_image.pk) not in answered
        if not repeat:
            answered.add((trial.participation_id, mixed_image.pk))
        counted = first and isinstance(said, PerceivedLambda)
        yield Said(response, mixed_image, participant, said, repeat, counted)


def units_of(study: Study, mixed_images: list[MixedImage]) -> list[judgements.Unit]:
    """The study's units as the core knows them, in the order of `mixed_images`."""
    answers: dict[int, list[judgements.Answer]] = {mixed_image.pk: [] for mixed_image in mixed_images}
    for said in answers_of(study):
        answers[said.mixed_image.pk].append(judgements.Answer(said.participant, said.judgement, said.repeat))
    return [
        judgements.Unit(
            key=mixed_image.key,
            lambda_e4=mixed_image.lambda_e4,
            first_class=mixed_image.pair.first_class,
            second_class=mixed_image.pair.second_class,
            answers=tuple(answers[mixed_image.pk]),
        )
        for mixed_image in mixed_images
    ]


def label_sets_of(study: Study, units: list[judgements.Unit]) -> list[LabelSet]:
    """The labels of every policy that a release of this study holds."""
    names = POLICIES + (PUBLISHED_POLICIES if study.source == Source.IMPORTED else ())
    n_classes = len(study.image_set.classes)
    return [softlabels.build_label_set(name, units, n_classes) for name in names]


def pseudonym(study: Study, public_id: str) -> str:
    """The participant's name in releases of this study. Published ids stay; others cannot be led back or joined."""
    if study.source == Source.IMPORTED:
        return public_id
    message = f"pseudonym:{study.slug}:{public_id}".encode()
    return "p" + hmac.new(settings.IDENTITY_KEY.encode(), message, hashlib.sha256).hexdigest()[:14]


def answer_columns(said: Said) -> dict[str, Any]:
    """What a judgement says as columns of the table `responses`."""
    number = said.judgement if isinstance(said.judgement, PerceivedLambda) else None
    return {
        "cannot_tell": isinstance(said.judgement, CannotTell),
        "perceived_lambda": number.value if number else None,
        "confidence": number.confidence if number else None,
    }
