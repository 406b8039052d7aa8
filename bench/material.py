"""What is measured on: pictures, an image set, studies and their answers, drawn from a seed."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from django.test import Client
from django.utils import timezone
from PIL import Image

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.interfaces import interface_named
from elicitation.participants.models import Participation
from elicitation.studies.models import Slot, Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.protocol import Design, Flow, settings_of
from elicitation.studies.reading import reading_of
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from elicitation.trials.asking import asked_of
from elicitation.trials.flags import store_measures
from elicitation.trials.models import Response, Trial
from elicitation.trials.planning import conditions_of
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person
from hilmix.core.judgements import PerceivedLambda

PARAMS = {"left": "first", "order": ["mixing", "confidence"]}
CLASSES = [f"class {number}" for number in range(10)]


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, 32, 32, 3], smooth colours under mild noise: mixed, their PNGs are as large as CIFAR-10's, 2.2 kB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 240, (n, 8, 8, 3), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BILINEAR)) for one in coarse]
    return np.stack(smooth) + rng.integers(0, 16, (n, 32, 32, 3), dtype=np.uint8)


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


def open_a_study(
    images: ImageSet, slug: str, design: Design, source: str = Source.PERSON, flow: Flow | None = None
) -> Study:
    plan = StudyPlan(
        slug=slug,
        title=slug,
        image_set=images,
        design=design,
        flow=flow or Flow(),
        information=demonstration_information(),
    )
    study = create_study(plan=plan, source=source, actor=OPERATOR)
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
    (condition,) = conditions_of(study, [reading_of(study.protocol).asking({})])
    trials = Trial.objects.bulk_create(
        Trial(
            participation=who,
            position=place,
            kind=Trial.Kind.MAIN,
            unit=unit,
            pair=unit.pair,
            condition_id=condition,
            params=PARAMS,
        )
        for who in participations
        for place, unit in enumerate(who.slot.batch.units.select_related("pair", "mixed_image"))
    )
    Response.objects.bulk_create(_answers(study, trials), batch_size=2000)
    store_measures(study)  # as everybody's are who finishes
    close_study(study=study, actor=OPERATOR)
    return study


def _answers(study: Study, trials: list[Trial]) -> Iterator[Response]:
    settings = settings_of(study.protocol.content)
    interface = interface_named(settings.interface)
    rng = np.random.default_rng(study.pk)
    for trial in trials:
        perceived = np.clip(trial.unit.mixed_image.lambda_e4 / 10_000 + rng.normal(0, 0.15), 0, 1)
        said = PerceivedLambda(float(perceived), float(rng.random()))
        yield Response(
            id=uuid.UUID(bytes=rng.bytes(16), version=4),
            trial=trial,
            payload=interface.payload_for(said, asked_of(trial, settings, CLASSES, {}), rng),
            payload_sha256="0" * 64,
            rt_ms=int(rng.integers(2000, 20_000)),
        )


def answered_again(database: Path, times: int) -> None:
    """Everybody in `database` (SQLite) `times` times in all: copies by SQL, in no slot, with the same answers."""
    rows = sqlite3.connect(database, timeout=20)
    people, trials = (
        rows.execute(f"select max(id) from elicitation_{table}").fetchone()[0]
        for table in ("participation", "trial")
    )
    with rows:
        for copy in range(1, times):
            shift = {"person": copy * people, "trial": copy * trials}
            for table, changed in COPIED.items():
                names = [name for _, name, *_ in rows.execute(f"pragma table_info({table})")]
                values = ", ".join(changed.get(name, f'"{name}"') for name in names)
                key = "trial_id" if table == "elicitation_response" else "id"
                last = people if table == "elicitation_participation" else trials
                rows.execute(f"insert into {table} select {values} from {table} where {key} <= {last}", shift)
    rows.execute("analyze")


COPIED = {
    "elicitation_participation": {
        "id": "id + :person",
        "public_id": "substr(lower(hex(randomblob(8))), 1, 15)",
        "slot_id": "null",
    },
    "elicitation_trial": {"id": "id + :trial", "participation_id": "participation_id + :person"},
    "elicitation_response": {"id": "lower(hex(randomblob(16)))", "trial_id": "trial_id + :trial"},
}


def signed_in() -> Client:
    """An admin's browser as far as the server knows."""
    client = Client(SERVER_NAME="127.0.0.1")
    admin = add_person(username="bench", kind=User.Kind.ADMIN, actor=OPERATOR)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    return client
