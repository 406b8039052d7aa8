"""The hub's kinds of long work."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from hilmix.hub import analysing, exporting, scoring, simulating, uploads
from hilmix.hub.models import Analysis, Export, Freeze, Simulation, Upload
from hilmix.hub.releases import JOB_KIND, carry_out
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind


def freezes_of(study_id: int) -> Iterable[int]:
    return Freeze.objects.filter(study=study_id).values_list("pk", flat=True)


@job_kind(JOB_KIND, queue="data", of_study=freezes_of)
def freeze(progress: Progress, object_id: str) -> None:
    """`object_id` is the freeze's."""
    wish = Freeze.objects.select_related("study", "release").get(pk=object_id)
    carry_out(wish=wish, actor=progress.actor, progress=progress)


def exports_of(study_id: int) -> Iterable[UUID]:
    return Export.objects.filter(study=study_id).values_list("pk", flat=True)


@job_kind(exporting.JOB_KIND, queue="data", of_study=exports_of)
def export(progress: Progress, object_id: str) -> None:
    """`object_id` is the export's."""
    one = Export.objects.select_related("study").get(pk=object_id)
    exporting.run_export(export=one, actor=progress.actor, progress=progress)


def simulations_of(study_id: int) -> Iterable[int]:
    return Simulation.objects.filter(study=study_id).values_list("pk", flat=True)


@job_kind(simulating.JOB_KIND, queue="data", of_study=simulations_of)
def simulate(progress: Progress, object_id: str) -> None:
    """`object_id` is the simulation's."""
    simulation = Simulation.objects.get(pk=object_id)
    simulating.run_simulation(simulation=simulation, actor=progress.actor, progress=progress)


def analyses_of(study_id: int) -> Iterable[int]:
    return Analysis.objects.filter(study=study_id, kind=Analysis.Kind.ANSWERS).values_list("pk", flat=True)


@job_kind(analysing.JOB_KIND, queue="data", of_study=analyses_of)
def analyse(progress: Progress, object_id: str) -> None:
    """`object_id` is the analysis's."""
    analysis = Analysis.objects.select_related("study").get(pk=object_id)
    analysing.run_analysis(analysis=analysis, actor=progress.actor, progress=progress)


def scores_of(study_id: int) -> Iterable[int]:
    return Analysis.objects.filter(study=study_id, kind=Analysis.Kind.LABELS).values_list("pk", flat=True)


@job_kind(scoring.JOB_KIND, queue="data", of_study=scores_of)
def score(progress: Progress, object_id: str) -> None:
    """`object_id` is the analysis's."""
    analysis = Analysis.objects.select_related("study").get(pk=object_id)
    scoring.run_scores(analysis=analysis, actor=progress.actor, progress=progress)


@job_kind(uploads.JOB_KIND, queue="data")
def take_in(progress: Progress, object_id: str) -> None:
    """`object_id` is the upload's."""
    upload = Upload.objects.get(pk=object_id)
    uploads.run_upload(upload=upload, actor=progress.actor, progress=progress)
