"""Elicitation's kinds of long work."""

from __future__ import annotations

from elicitation.flow.reconciling import JOB_KIND as SYNC_KIND
from elicitation.flow.reconciling import sync_submissions
from elicitation.studies.models import Mode, Study
from elicitation.studies.opening import OPEN_KIND, PILOT_KIND, open_study, start_pilot
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind


@job_kind(OPEN_KIND, queue="data", of_study=lambda study_id: [study_id])
def open_(progress: Progress, object_id: str) -> None:
    """`object_id` is the study's. A job that was lost after it had opened the study has nothing left to do."""
    study = Study.objects.get(pk=object_id)
    if study.state == Study.State.OPEN:
        progress.log(f"“{study.title}” is open already.")
        return
    open_study(study=study, actor=progress.actor, progress=progress)
    batches = study.batches.filter(mode=Mode.LIVE)
    progress.log(f"“{study.title}” is open, with {batches.count()} batches.")


@job_kind(PILOT_KIND, queue="data")
def pilot(progress: Progress, object_id: str) -> None:
    """`object_id` is the study's and the number of places, as `12:10`."""
    study_id, _, places = object_id.partition(":")
    study = Study.objects.get(pk=study_id)
    start_pilot(study=study, places=int(places), actor=progress.actor, progress=progress)
    progress.log(f"“{study.title}” can be tried out by {places} people with the pilot link.")


@job_kind(SYNC_KIND, queue="data", of_study=lambda study_id: [study_id])
def sync(progress: Progress, object_id: str) -> None:
    """`object_id` is the study's. The log says how many there are of whom, and names nobody."""
    sync_submissions(study=Study.objects.get(pk=object_id), actor=progress.actor, progress=progress)
