"""What is measured on: pictures, an image set, studies and their answers, drawn from a seed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.interfaces import interface_named
from elicitation.participants.models import Participation
from elicitation.studies.models import Slot, Source, Study
from elicitation.studies.services import Design, StudyPlan, close_study, create_study, open_study
from elicitation.trials.models import Response, Trial
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import PerceivedLambda

CLASSES = [f"class {number}" for number in range(10)]


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, 32, 32, 3], coarse patches under fine noise, so that they compress about as photographs do."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 240, (n, 8, 8, 3), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    return patches + rng.integers(0, 16, patches.shape, dtype=np.uint8)


def image_set(n: int = 2000) -> ImageSet:
    """`n` pictures of ten classes, the first four fifths of them for training."""
    indices = np.arange(n)
    return import_images(
        name="pictures",
        kind="npz",
        images=pictures(n),
        labels=indices % len(CLASSES),
        classes=CLASSES,
        splits={"train": indices[: n * 4 // 5], "test": indices[n * 4 // 5 :]},
        actor=OPERATOR,
    )


def open_a_study(images: ImageSet, slug: str, design: Design, source: str = Source.PERSON) -> Study:
    study = create_study(
        plan=StudyPlan(slug=slug, title=slug, image_set=images, design=design), source=source, actor=OPERATOR
    )
    open_study(study=study, actor=OPERATOR)
    return study


def answered_study(images: ImageSet, slug: str, design: Design) -> Study:
    """A closed simulated study with every slot filled, its rows written in bulk and not through the services."""
    study = open_a_study(images, slug, design, Source.SIMULATED)
    slots = Slot.objects.filter(batch__study=study).select_related("batch")
    participations = Participation.objects.bulk_create(
        Participation(
            study=study,
            protocol=study.protocol,
            slot=slot,
            source=study.source,
            state=Participation.State.COMPLETED,
            completed_at=timezone.now(),
        )
        for slot in slots
    )
    trials = Trial.objects.bulk_create(
        Trial(participation=who, position=place, kind="main", unit=unit, params={"left": "first"})
        for who in participations
        for place, unit in enumerate(who.slot.batch.units.select_related("mixed_image"))
    )
    Response.objects.bulk_create(_answers(study, trials), batch_size=2000)
    close_study(study=study, actor=OPERATOR)
    return study


def _answers(study: Study, trials: list[Trial]) -> Iterator[Response]:
    interface = interface_named(study.protocol.content["interface"]["name"])
    rng = np.random.default_rng(0)
    for trial in trials:
        perceived = np.clip(trial.unit.mixed_image.lambda_e4 / 10_000 + rng.normal(0, 0.15), 0, 1)
        said = PerceivedLambda(float(perceived), float(rng.random()))
        yield Response(
            id=uuid.UUID(bytes=rng.bytes(16), version=4),
            trial=trial,
            payload=interface.payload_for(said, trial.params, rng),
            payload_sha256="0" * 64,
            rt_ms=int(rng.integers(2000, 20_000)),
        )
