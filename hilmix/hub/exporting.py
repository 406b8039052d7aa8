"""Answers of a study as one file to download: csv or Parquet, in the columns of a release's table `responses`.

As in a release, only answers that may be published are in it, and nobody's who withdrew. It is no release: it has no
version, and its pseudonyms are its own. However many answers there are, the memory that writing takes is the same.
"""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import transaction
from django.db.models import Q
from django.http import FileResponse
from django.utils import timezone

from elicitation.studies.models import Source, Study
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.files import describe_file
from hilmix.core.release_tables import write_table
from hilmix.errors import Conflict, Invalid
from hilmix.hub import rows
from hilmix.hub.answers import Answers
from hilmix.hub.models import Export
from hilmix.hub.releases import last_withdrawal, require_answers
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job

JOB_KIND = "export_responses"
KEPT = 5  # exports of a study whose files stay
UNFINISHED_FOR = timedelta(days=1)  # that an export may take; then its job was killed


def queue_export(*, study: Study, format: str, actor: User) -> Job:
    """Queue the writing of a file; `object_id` of the job is the export's.

    Raises:
        Invalid: there is no such format.
        Conflict: there is no answer to export.
    """
    require(actor, Action.VIEW_STUDY, study.pk)
    check_format(format)
    require_answers(study)
    with transaction.atomic():
        _tidy(study)
        export = Export.objects.create(study=study, format=format, created_by=actor)
        label = f"Export the answers of “{study.title}” as {export.get_format_display()}"
        return queue_job(kind=JOB_KIND, object_id=str(export.pk), label=label, actor=actor)


def run_export(*, export: Export, actor: Actor, progress: Progress) -> None:
    """Write the file of an export and note what it is."""
    require(actor, Action.VIEW_STUDY, export.study_id)
    export.path.parent.mkdir(parents=True, exist_ok=True)
    n_rows = write_responses(export.study, export.format, export.path, progress, named_for=str(export.pk))
    facts = describe_file(export.path)
    with transaction.atomic():
        export.n_rows, export.n_bytes, export.sha256 = n_rows, facts["bytes"], facts["sha256"]
        export.finished_at = timezone.now()
        export.save()
        audit.record(actor, "export.made", export.study, format=export.format, n_rows=n_rows)


def _tidy(study: Study) -> None:
    """Make room for another export, and remove files that are not given out any more. What may still be being written
    is left alone."""
    unfinished = Q(finished_at=None, created_at__gt=timezone.now() - UNFINISHED_FOR)
    for place, old in enumerate(study.exports.exclude(unfinished)):
        crowded = place >= KEPT - 1
        if crowded or is_outdated(old):
            transaction.on_commit(partial(old.path.unlink, missing_ok=True))
        if crowded:
            old.delete()


def write_responses(study: Study, format: str, path: Path, progress: Progress, *, named_for: str = "") -> int:
    """Write the answers received until now to `path`, complete or not at all; return how many. People get the
    pseudonyms of the export with the key `named_for`; without one, pseudonyms that nobody ever had."""
    check_format(format)
    require_answers(study)
    answers = Answers(study, named_for or str(uuid.uuid4()))
    total = sum(person.n_responses for person in answers.people.values())
    unfinished = path.with_name(f".{path.name}.unfinished")
    parquet, text = (unfinished, None) if format == Export.Format.PARQUET else (None, unfinished)
    batches = write_table(
        "responses", rows.of_responses(answers), answers.n_classes, parquet, text, rows.of_factors(answers)
    )
    done = 0
    try:
        for batch in batches:
            progress.check()
            done += batch.num_rows
            progress.update(done, total, "answers")
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return done


def file_of_export(export: Export) -> FileResponse:
    """The file as a download, under a name that says so where the answers are simulated.

    Raises:
        Conflict: it is not finished, gone, or holds answers of somebody who withdrew since.
    """
    if export.finished_at is None:
        raise Conflict("This export is not finished. Ask again later, or for another.")
    if is_outdated(export):
        export.path.unlink(missing_ok=True)
        raise Conflict(
            "Somebody withdrew since this export was made, so it is not given out. Ask for another."
        )
    if not export.path.is_file():
        raise Conflict("The file of this export is gone. Ask for another.")
    simulated = "simulated-" if export.study.source == Source.SIMULATED else ""
    name = f"{simulated}{export.study.slug}-responses.{export.format}"
    kind = "application/octet-stream"
    return FileResponse(export.path.open("rb"), as_attachment=True, filename=name, content_type=kind)


def is_outdated(export: Export) -> bool:
    """Whether somebody withdrew since, whose answers may be in it."""
    withdrawal = last_withdrawal(export.study)
    return withdrawal is not None and withdrawal >= export.created_at


def check_format(format: str) -> None:
    """Raise Invalid for a format that there is not."""
    if format not in Export.Format.values:
        problem = f"An export is {' or '.join(Export.Format.values)}, not {format!r}."
        raise Invalid(problem, fields={"format": [problem]})
