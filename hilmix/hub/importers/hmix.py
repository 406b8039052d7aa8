"""Imports the published H-Mix answers of the interface "infer mixing factor" as a closed study of imported
answers.

Source rows are kept verbatim beside the answers read from them, flaws are reported by row, and nothing is
repaired. It is all or nothing: one transaction, after every row was checked against the image set.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images
from elicitation.participants.models import Participation
from elicitation.studies.models import Batch, Condition, Protocol, Source, Study, Unit
from elicitation.studies.protocol import Design, condition_content, content_sha256, settings_of
from elicitation.studies.services import StudyPlan, create_study
from elicitation.trials.flags import store_measures
from elicitation.trials.models import Response, Trial, TrialImage
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict
from hilmix.hub.importers.hmix_tables import TABLE, InferRow, check_image_set, flaws_of, read_infer_table
from hilmix.hub.models import Import, SourceRow
from hilmix.jobs.progress import Progress

SLUG = "hmix"
KIND = "hmix"
METHOD = "hmix@1"
BATCH_SIZE = 1000

TEXTS = {
    "origin": "Asked as in H-Mix (Collins, Bhatt, Liu, Piratla, Sucholutsky, Love, Weller: Human-in-the-Loop "
    "Mixup, UAI 2023). The words that its participants read are not part of the published tables.",
}


@dataclass(frozen=True)
class ImportResult:
    """What came in; `flaws` is a list of {table, row, flaw}, row counting from 0 after the header."""

    study: Study
    participants: int
    responses: int
    mixed_images: int
    flaws: list[dict[str, Any]]


def import_hmix(
    *, directory: Path, image_set: ImageSet, actor: Actor, progress: Progress | None = None
) -> ImportResult:
    """Import the infer table of the published folder `directory`, whose answers are about `image_set`.

    Raises:
        Conflict: H-Mix was imported already.
        DataError: a row cannot be understood, or the image set does not fit (row and reason in the message).
    """
    require(actor, Action.IMPORT_ANSWERS)
    progress = progress or Progress()
    if known := Study.objects.filter(slug=SLUG).first():
        raise Conflict(f"H-Mix is here already, as study {SLUG!r} (“{known.title}”). Nothing was changed.")
    rows = read_infer_table(directory)
    check_image_set(rows, image_set.open())
    flaws = [{"table": TABLE, "row": row.row, "flaw": flaw} for row in rows for flaw in flaws_of(row)]
    with transaction.atomic():
        progress.update(0, 3, "mixed images")
        mixed_images = _mixed_images(rows, image_set)
        progress.update(1, 3, "answers")
        study = _create_study(rows, image_set, mixed_images, actor)
        imported = Import.objects.create(study=study, kind=KIND, flaws=flaws, created_by=user_or_none(actor))
        participants = _import_answers(rows, study, mixed_images, imported)
        store_measures(study)
        counts = {"participants": participants, "responses": len(rows), "mixed_images": len(mixed_images)}
        audit.record(actor, "study.imported", study, kind=KIND, flaws=len(flaws), **counts)
        progress.update(3, 3, "done")
    return ImportResult(study=study, flaws=flaws, **counts)


Mixed = dict[tuple[int, int, int], MixedImage]


def _mixed_images(rows: Sequence[InferRow], image_set: ImageSet) -> Mixed:
    """The mixed images by recipe, in the order in which the table first names them."""
    recipes = list(dict.fromkeys(row.recipe for row in rows))
    made = create_mixed_images(
        image_set=image_set, recipes=[Recipe(*recipe) for recipe in recipes], method=METHOD
    )
    return dict(zip(recipes, made, strict=True))


def _create_study(rows: Sequence[InferRow], image_set: ImageSet, mixed_images: Mixed, actor: Actor) -> Study:
    """A closed study whose protocol says what was asked, as far as the table tells."""
    first = Counter(row.subject for row in rows if not row.repeat)
    repeats = Counter(row.subject for row in rows if row.repeat)
    answers = Counter(row.recipe for row in rows if not row.repeat)
    design = Design(
        n_mixed_images=len(mixed_images),
        lambdas_e4=tuple(sorted({row.lambda_e4 for row in rows})),
        trials_per_person=max(first.values()),
        repeats=max(repeats.values(), default=0),
        answers_per_unit=min(answers.values()),
        seed=0,
    )
    plan = StudyPlan(
        slug=SLUG,
        title="H-Mix: infer mixing factor (published answers)",
        image_set=image_set,
        design=design,
        perspective="100 others",
        texts=TEXTS,
    )
    study = create_study(plan=plan, source=Source.IMPORTED, actor=actor)
    now = timezone.now()
    study.state, study.closed_at = Study.State.CLOSED, now
    study.save(update_fields=["state", "closed_at"])
    Protocol.objects.filter(study=study).update(frozen_at=now)
    return study


def _import_answers(rows: Sequence[InferRow], study: Study, mixed_images: Mixed, imported: Import) -> int:
    """Write batches, participations, trials, answers and source rows; return the number of participations."""
    units = _make_units(rows, study, mixed_images)
    participations = _make_participations(rows, study)
    condition = _make_condition(study)
    position: Counter[str] = Counter()
    trials = []
    for row in rows:
        trials.append(
            Trial(
                participation=participations[row.subject],
                position=position[row.subject],
                kind=Trial.Kind.REPEAT if row.repeat else Trial.Kind.MAIN,
                pair=mixed_images[row.recipe].pair,
                unit=units[row.recipe],
                condition=condition,
                params={"left": "first"},  # in every published row: side and class cannot be told apart
            )
        )
        position[row.subject] += 1
    Trial.objects.bulk_create(trials, batch_size=BATCH_SIZE)
    shown = [
        TrialImage(trial=trial, order=0, mixed_image=mixed_images[row.recipe])
        for trial, row in zip(trials, rows, strict=True)
    ]
    TrialImage.objects.bulk_create(shown, batch_size=BATCH_SIZE)
    responses = [_response(row, trial) for trial, row in zip(trials, rows, strict=True)]
    Response.objects.bulk_create(responses, batch_size=BATCH_SIZE)
    source_rows = [
        SourceRow(imported_by=imported, table=TABLE, row=row.row, values=row.values, response=response)
        for response, row in zip(responses, rows, strict=True)
    ]
    SourceRow.objects.bulk_create(source_rows, batch_size=BATCH_SIZE)
    return len(participations)


def _make_condition(study: Study) -> Condition:
    """Everybody was asked in the same way, in words that are not published."""
    content = condition_content(settings_of(study.protocol.content), wording={})
    return Condition.objects.create(study=study, content=content, sha256=content_sha256(content))


def _make_units(
    rows: Sequence[InferRow], study: Study, mixed_images: Mixed
) -> dict[tuple[int, int, int], Unit]:
    """One batch for each published condition, and one unit for each mixed image, in the batch that showed it
    first."""
    condition = {row.recipe: row.condition for row in reversed(rows)}  # the first row of each wins
    by_condition = sorted(mixed_images, key=lambda recipe: (len(condition[recipe]), condition[recipe]))
    units = []
    for ordinal, (_, recipes) in enumerate(groupby(by_condition, key=lambda recipe: condition[recipe])):
        batch = Batch.objects.create(study=study, ordinal=ordinal)
        units += [
            Unit(batch=batch, ordinal=place, pair=mixed_images[recipe].pair, mixed_image=mixed_images[recipe])
            for place, recipe in enumerate(recipes)
        ]
    Unit.objects.bulk_create(units, batch_size=BATCH_SIZE)
    return dict(zip(by_condition, units, strict=True))


def _make_participations(rows: Sequence[InferRow], study: Study) -> dict[str, Participation]:
    """One completed participation for each subject, under the pseudonym that was published."""
    protocol = study.protocol
    subjects = dict.fromkeys(row.subject for row in rows)
    made = Participation.objects.bulk_create(
        Participation(
            public_id=subject,
            study=study,
            protocol=protocol,
            source=Source.IMPORTED,
            state=Participation.State.COMPLETED,
            seed=0,
        )
        for subject in subjects
    )
    return dict(zip(subjects, made, strict=True))


def _response(row: InferRow, trial: Trial) -> Response:
    payload = {
        "cannot_tell": False,
        "mixing_percent": row.mixing_percent,
        "confidence_percent": row.confidence_percent,
    }
    digest = hashlib.sha256(json.dumps([trial.position, payload], sort_keys=True).encode()).hexdigest()
    return Response(
        id=uuid.uuid5(uuid.NAMESPACE_URL, f"hilmix:import:{KIND}:{TABLE}:{row.row}"),
        trial=trial,
        payload=payload,
        payload_sha256=digest,
        rt_ms=row.rt_ms,
    )
