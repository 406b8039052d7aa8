"""Doing the jobs of an experiment in the test's own process and transaction, as a worker would one after the other."""

from __future__ import annotations

from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS
from training.experiments.models import Experiment
from training.models import Run
from training.runs.services import LAUNCH_KIND, REPORT_KIND, RUN_KIND, launch_experiment


def run_experiment(progress: Progress, experiment_id: int, *, kinds: tuple[str, ...] = ()) -> None:
    """Launch an experiment and do its jobs until none waits; only those of `kinds`, if some are named.

    What a job raises passes through, with the job failed, or cancelled, as the runner leaves it.
    """
    experiment = Experiment.objects.get(pk=experiment_id)
    if not experiment.is_reported and not any(not job.is_over for job in jobs_of(experiment)):
        launch_experiment(experiment=experiment, actor=OPERATOR, publish=False)
    while job := next((one for one in jobs_of(experiment, *kinds) if one.state == JobState.QUEUED), None):
        do(job, progress)


def do(job: Job, progress: Progress) -> None:
    """Do one job's work here."""
    try:
        KINDS[job.kind].handler(progress, job.object_id)
    except BaseException as error:
        ended = JobState.CANCELLED if isinstance(error, JobCancelled) else JobState.FAILED
        _end(job, ended, str(error))
        raise
    _end(job, JobState.DONE)


def jobs_of(experiment: Experiment, *kinds: str) -> list[Job]:
    """All jobs of an experiment, the oldest first."""
    runs = Run.objects.filter(arm__experiment=experiment)
    ids = {RUN_KIND: [str(run.pk) for run in runs]}
    ids |= {kind: [str(experiment.pk)] for kind in (LAUNCH_KIND, REPORT_KIND)}
    found = [
        job
        for kind, objects in ids.items()
        if kind in (kinds or ids)
        for job in Job.objects.filter(kind=kind, object_id__in=objects)
    ]
    return sorted(found, key=lambda job: (-job.priority, job.created_at))


def _end(job: Job, state: str, error: str = "") -> None:
    Job.objects.filter(pk=job.pk).update(state=state, error=error, finished_at=timezone.now())
