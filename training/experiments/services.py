"""Experiments are created and launched here; doing their runs is `training/runs`."""

from __future__ import annotations

from django.db import transaction

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.runner import run_in_foreground
from hilmix.jobs.services import queue_job, retry_job
from training.experiments.config import ExperimentConfig
from training.experiments.models import Arm, Experiment
from training.experiments.resolve import resolve
from training.runs.models import Run

JOB_KIND = "run_experiment"


def create_experiment(*, config: ExperimentConfig, actor: Actor) -> Experiment:
    """The experiment of `config` on this instance: a new one, or the one that was made of exactly this
    before.

    Names are resolved to content now and never again. Raises `Forbidden`, or `Invalid` with the reasons.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    material = resolve(config)
    identity = material.identity(config)
    with transaction.atomic():
        existing = Experiment.objects.filter(config_sha256=identity).first()
        if existing:
            return existing
        experiment = Experiment.objects.create(
            name=config.name,
            config=config.as_dict(),
            config_sha256=identity,
            release=material.release,
            image_set=material.image_set,
            created_by=user_or_none(actor),
        )
        for ordinal, arm in enumerate(config.arms):
            row = Arm.objects.create(
                experiment=experiment,
                ordinal=ordinal,
                name=arm.name,
                policy=arm.policy,
                params=material.data.label_set(arm.policy, arm.condition),
            )
            Run.objects.bulk_create(Run(arm=row, seed=seed) for seed in config.seeds)
        audit.record(actor, "experiment.created", experiment, config_sha256=identity)
    return experiment


def launch_experiment(*, experiment: Experiment, actor: Actor, publish: bool = True) -> Job:
    """Queue the training of what is still untrained. `publish=False` is for a command that does the work
    itself.

    Raises `Conflict` when there is nothing left to do, or it is being done.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        experiment = Experiment.objects.select_related("job").get(pk=experiment.pk)
        if experiment.state == "done":
            raise Conflict("This experiment is finished; its report says what was found.")
        if experiment.job and not experiment.job.is_over:
            raise Conflict("This experiment is being worked on already.")
        if experiment.job and experiment.job.can_be_retried:
            # The same job again: with a second one, both could be retried, and train the same runs at once.
            retry_job(job=experiment.job, actor=actor, publish=publish)
            experiment.job.refresh_from_db()
            return experiment.job
        label = f"Experiment “{experiment.name}”"
        job = queue_job(
            kind=JOB_KIND, object_id=str(experiment.pk), label=label, actor=actor, publish=publish
        )
        experiment.job = job
        experiment.save(update_fields=["job"])
        audit.record(actor, "experiment.launched", experiment, job=str(job.pk))
    return job


def finish_experiment(*, experiment: Experiment, actor: Actor, progress: Progress) -> None:
    """Do what is left of the experiment in this process; if a worker has it in hand, follow that to its end."""
    if experiment.state == "done":
        return
    job = experiment.job
    if job is None or job.is_over:
        job = launch_experiment(experiment=experiment, actor=actor, publish=False)
    run_in_foreground(job, progress)
