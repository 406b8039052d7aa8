"""Describing finished runs: what their pages show is computed here, by jobs, and kept. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction
from django.urls import reverse

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict
from hilmix.jobs.models import Job
from hilmix.jobs.services import queue_job, request_cancel, retry_job
from training.experiments.models import Experiment
from training.reports.models import RunReport
from training.runs import keeping
from training.runs.models import Run

if TYPE_CHECKING:
    from hilmix.core.imageset import ImageSet
    from training.reports.run.behind import Judged

DESCRIBE_KIND = "describe_run"
# Of the images that the pages of a run show, each array in a file of its own, so that a page maps what it needs.
FACTS, ORDERS, CELLS, BINS = "shown-facts.npy", "shown-orders.npy", "shown-cells.npy", "shown-bins.npy"
MODEL, PEOPLE = "shown-model.npy", "shown-people.npy"


def describe_run(*, run: Run, images: ImageSet) -> RunReport | None:
    """What the page of a run shows, computed of the predictions it left and stored, with which of `images` are behind
    it; None where it left none. Doing it again does no harm."""
    # Imported here: pages load this module, and have no need of what a description is computed with.
    from training.reports.run.behind import behind
    from training.reports.run.content import run_content

    judged = judged_of(run, images)
    if judged is None:
        return None
    shown = behind(judged)
    files: dict[str, Any] = {
        FACTS: shown.facts,
        ORDERS: shown.orders,
        CELLS: shown.cells,
        BINS: shown.bins,
        MODEL: judged.predictions.p.astype(np.float32),
    }
    if judged.predictions.human is not None:
        files[PEOPLE] = judged.predictions.human.astype(np.float32)
    for name, array in files.items():
        keeping.write_array(run, name, array)
    experiment = run.arm.experiment
    content = run_content(
        judged,
        shown,
        title=run.title,
        classes=experiment.image_set.classes,
        scores=run.metrics,
        training=run.evaluations.get("training", {}).get("accuracy"),
        source=source_of(run),
        watermark=watermark_of(experiment),
        address=lambda place: reverse("parent_image", args=[experiment.image_set.name, place]),
    )
    report, _ = RunReport.objects.update_or_create(run=run, defaults={"content": content})
    return report


def judged_of(run: Run, images: ImageSet) -> Judged | None:
    """The images that a run is shown by: test images, or of a candidate validation images."""
    from training.reports.inputs import on_test, on_validation
    from training.reports.run.behind import Judged

    arrays = keeping.read_arrays(run, keeping.PREDICTIONS)
    if found := on_test(arrays, images.human):
        return Judged("test", arrays["indices"], found, run.evaluations.get("test", {}))
    if found := on_validation(arrays, images.labels, images.human):
        return Judged(
            "validation", arrays["validation_indices"], found, run.evaluations.get("validation", {})
        )
    return None


def source_of(run: Run) -> str:
    """What the figures of a run are computed from."""
    experiment = run.arm.experiment
    release, image_set = experiment.release, experiment.image_set
    return (
        f"Release {release.name} ({release.sha256[:12]}); Image set {image_set.name} ({image_set.sha256[:12]}); "
        f"Configuration {experiment.config_sha256[:12]}; {run.title}"
    )


def watermark_of(experiment: Experiment) -> str:
    """As on the pages and files of its report."""
    return "Simulated participants" if experiment.is_simulated else ""


def queue_descriptions(*, experiment: Experiment, actor: Actor) -> int:
    """Have every finished run of an experiment described that is not yet; returns how many were queued.

    Raises `Conflict` where there is none, or they are on their way.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        wanting = Run.objects.filter(arm__experiment=experiment, report=None).exclude(finished_at=None)
        wanting = wanting.select_related("arm")
        keys = [str(run.pk) for run in wanting]
        live = Job.objects.filter(kind=DESCRIBE_KIND, object_id__in=keys, finished_at=None)
        waiting = set(live.values_list("object_id", flat=True))
        queued = [run for run in wanting if str(run.pk) not in waiting and _has_predictions(run)]
        if not queued:
            raise Conflict(
                "Every finished run is described, or on its way." if not waiting else "They are on their way."
            )
        for run in queued:
            label = f"Pages of {experiment.name}: {run.title}"[:200]
            queue_job(kind=DESCRIBE_KIND, object_id=str(run.pk), label=label, actor=actor)
        audit.record(actor, "experiment.runs_described", experiment, runs=len(queued))
    return len(queued)


def cancel_run(*, run: Run, actor: Actor) -> None:
    """Ask the job of a run to stop: its training keeps a checkpoint. The other runs go on."""
    require(actor, Action.LAUNCH_EXPERIMENT)
    if run.job is None:
        raise Conflict("This run has no job yet; there is nothing to cancel.")
    request_cancel(job=run.job, actor=actor)


def resume_run(*, run: Run, actor: Actor) -> None:
    """Let a run that ended early go on from its last checkpoint."""
    require(actor, Action.LAUNCH_EXPERIMENT)
    if run.job is None or run.is_done:
        raise Conflict("There is nothing to go on with: this run is finished, or was not begun.")
    retry_job(job=run.job, actor=actor)


def _has_predictions(run: Run) -> bool:
    return (run.directory / keeping.PREDICTIONS).is_file()
