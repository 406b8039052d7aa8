"""The report of an experiment as files for paper: asked for here, and written by a job, as drawing takes seconds.

`var/reports/<experiment>/<key>/` has `report.html`, and `report.pdf` where it can be made. The key is of all that the
report says, notes included, of when its pictures were made, and of the version: what was made of an older report is not
given out. No matplotlib here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.files import sha256_json
from hilmix.errors import Conflict
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job
from hilmix.version import VERSION
from training.choices.services import rule_notes
from training.experiments.models import Experiment
from training.reports.as_told import content_of, withdrawn_words
from training.reports.paper import pictured
from training.reports.paper.pdf import missing

PAPER_KIND = "print_report"
HTML, PDF = "report.html", "report.pdf"


def queue_paper(*, experiment: Experiment, actor: Actor) -> Job:
    """Have the report written as files. Raises `NotFound` without a report, `Conflict` where there is nothing to do."""
    require(actor, Action.VIEW_EXPERIMENT, experiment.release.study_id)
    folder = folder_of(experiment)
    with transaction.atomic():
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        latest = latest_job(experiment)
        if latest is not None and not latest.is_over:
            raise Conflict("The files are being written already.")
        if (folder / PDF).is_file() or ((folder / HTML).is_file() and missing()):
            raise Conflict("The files of this report are there already.")
        audit.record(actor, "experiment.report_printed", experiment)
        label = f"Report of “{experiment.name}” as a file"[:200]
        return queue_job(kind=PAPER_KIND, object_id=str(experiment.pk), label=label, actor=actor)


def write_paper(*, experiment: Experiment, progress: Progress) -> None:
    """Write the files of the present report, each whole or not at all, and remove those of earlier ones."""
    from training.reports.paper.writing import as_html

    content, galleries = told(experiment), pictured.galleries_of(experiment)
    folder = folder_of(experiment)

    def said(done: int, of: int, what: str) -> None:
        progress.check()
        progress.update(done, of + 1, what)

    html = as_html(
        content,
        written_at=experiment.report.created_at,
        facts=facts_of(experiment),
        said=said,
        galleries=pictured.with_shares(galleries, experiment.image_set.classes),
        pixels=lambda address: pictured.pixels_at(experiment, address),
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / HTML, html.encode())
    for old in folder.parent.iterdir():
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    if said_missing := missing():
        progress.log(f"{HTML} is written, and no PDF. {said_missing}")
        return
    said(99, 99, "PDF")
    from training.reports.paper.pdf import as_pdf

    _write(folder / PDF, as_pdf(html))


def told(experiment: Experiment) -> dict[str, Any]:
    """What the files say: the report as it is told today, and the rule about test figures where no arm is chosen yet.
    Raises `NotFound` without a report."""
    content = content_of(experiment)
    return {**content, "notes": [*content["notes"], *rule_notes(experiment)]}


def folder_of(experiment: Experiment) -> Path:
    """Where the files of the present report are. Raises `NotFound` without one."""
    key = sha256_json([VERSION, told(experiment), pictured.made_at(experiment)])[:16]
    return Path(settings.VAR) / "reports" / str(experiment.pk) / key


def latest_job(experiment: Experiment) -> Job | None:
    """The last job that was to write the files of an experiment's report."""
    return Job.objects.filter(kind=PAPER_KIND, object_id=str(experiment.pk)).order_by("created_at").last()


def why_gone(experiment: Experiment, job: Job) -> list[str]:
    """Why the files that `job` wrote are not given out any more: what has changed since in what the report says."""
    since = job.finished_at or job.created_at
    said = []
    if any(made > since.timestamp() * 1e9 for _run, *times in pictured.made_at(experiment) for made in times):
        said.append(_("images of a run were looked at anew"))
    if hasattr(experiment, "choice") and experiment.choice.created_at > since:
        said.append(_("an arm was chosen, so the note that none was is gone"))
    if experiment.report.created_at > since:
        said.append(_("the report was written anew"))
    if not said and withdrawn_words(experiment.release):
        said.append(_("somebody has withdrawn from the study"))
    return said or [_("runs were added, or hilmix has another version")]


def facts_of(experiment: Experiment) -> list[tuple[str, str]]:
    """What its numbers are of, by hash."""
    release, images = experiment.release, experiment.image_set
    return [
        ("Experiment", f"{experiment.pk}, {experiment.config_sha256}"),
        ("Release", f"{release.name}, {release.sha256}"),
        ("Image set", f"{images.name}, {images.sha256}"),
        *([("Human labels", images.human_labels_sha256)] if images.human_labels_sha256 else []),
    ]


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
