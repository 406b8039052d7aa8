"""Imports the published H-Mix answers: each of its four tables becomes a closed study of imported answers.

It is all or nothing: one transaction, after every row was checked against the image set. Source rows are kept verbatim
beside the answers read from them, flaws are reported by row, and nothing is repaired.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from django.db import transaction

from elicitation.images.models import ImageSet
from elicitation.studies.models import Study
from elicitation.studies.services import StudyPlan
from elicitation.trials.flags import store_measures
from hilmix.accounts import audit
from hilmix.accounts.roles import Actor, user_or_none
from hilmix.hub.importers.hmix_tables import METHOD, TABLES, Table, read_tables
from hilmix.hub.importers.report import Flaw, ImportReport, Problems, TableReport
from hilmix.hub.importers.rows import Images, Row
from hilmix.hub.importers.writing import (
    Mixed,
    asked_in_unknown_words,
    closed_study,
    design_of,
    mixed_images,
    participations_of,
    refuse_import,
    write_answers,
)
from hilmix.hub.models import Import
from hilmix.jobs.progress import Progress

KIND = "hmix"
ORIGIN = "Collins, Bhatt, Liu, Piratla, Sucholutsky, Love, Weller: Human-in-the-Loop Mixup, UAI 2023"
TEXTS = {
    "origin": f"Asked as in H-Mix ({ORIGIN}). The words that its participants read are not part of the published "
    "tables.",
}


def import_hmix(
    *,
    directory: Path,
    image_set: ImageSet,
    actor: Actor,
    dry_run: bool = False,
    licence: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Import the four tables of the published folder `directory`, whose answers are about `image_set`.

    A dry run does all of it and takes it back.

    Args:
        licence: of the answers, a name of `core.licences`; empty where none was stated.

    Raises:
        Conflict: H-Mix was imported already.
        Refused: rows cannot be understood or do not fit the image set; all of them are named.
        DataError: a table is absent or is another one.
    """
    refuse_import(slugs=[table.slug for table in TABLES], licence=licence, actor=actor)
    progress = progress or Progress()
    progress.update(0, 1, "checking")
    problems = Problems()
    read = read_tables(directory, Images(image_set.open()), problems)
    problems.refuse()
    together = uuid.uuid4()
    studies, reports, shown = [], {}, set[int]()
    with transaction.atomic():
        for table, (rows, flaws) in read.items():
            study, mixed = _import_table(table, rows, image_set, actor)
            imported = Import.objects.create(
                study=study,
                kind=KIND,
                together=together,
                licence=licence,
                origin=ORIGIN,
                flaws=flaws,
                created_by=user_or_none(actor),
            )
            reports[table.name] = _write(imported, table, rows, mixed, progress)
            studies.append(study)
            shown |= {image.pk for image in mixed.values()}
            audit.record(
                actor, "study.imported", study, kind=KIND, flaws=len(flaws),
                participants=reports[table.name].participants, responses=reports[table.name].responses,
                mixed_images=len(mixed),
            )  # fmt: skip
        transaction.set_rollback(dry_run)
    progress.update(1, 1, "done")
    return ImportReport(KIND, dry_run, reports, studies, mixed_images=len(shown))


def _import_table(
    table: Table, rows: Sequence[Row], image_set: ImageSet, actor: Actor
) -> tuple[Study, Mixed]:
    """The closed study of a table, and the mixed images that its people were shown."""
    answers = [row.answer for row in rows if row.answer is not None]
    shown = {answer.lambda_e4 for answer in answers if answer.lambda_e4 is not None}
    plan = StudyPlan(
        slug=table.slug,
        title=table.title,
        image_set=image_set,
        interface=table.interface,
        design=design_of(answers, shown or table.lambdas_e4, METHOD),
        perspective="100 others",
        texts=TEXTS,
    )
    return closed_study(plan, actor), mixed_images(image_set, answers, table.lambdas_e4, METHOD)


def _write(
    imported: Import, table: Table, rows: Sequence[Row], mixed: Mixed, progress: Progress
) -> TableReport:
    answers = [row.answer for row in rows if row.answer is not None]
    participations = participations_of(imported.study, answers)
    condition = asked_in_unknown_words(imported.study)
    write_answers(
        imported, table.name, rows,
        participations=participations, conditions={"": condition}, mixed=mixed, progress=progress,
    )  # fmt: skip
    store_measures(imported.study)
    flaws: list[Flaw] = imported.flaws
    return TableReport(imported.study.slug, len(rows), len(participations), len(answers), len(mixed), flaws)
