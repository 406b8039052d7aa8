"""What happens to the runs of an experiment: launched, done one by one, tried again, added to, reported.

An experiment's own job looks at the machine and says what the runs will take; each run is then a job of its own, and
the last one that is finished queues the report. What is due next is decided in one place, `queue_due`, in the
transaction that finished what it waited for, so a process may be killed anywhere: either the work is not done, and is
done again, or what follows it is queued.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict, DomainError, Invalid
from hilmix.jobs.models import RETRYABLE, Job, JobState
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.runner import run_in_foreground
from hilmix.jobs.services import check_priority, queue_job, reorder_job, request_cancel, retry_job
from training.experiments.config import MAX_SEED
from training.experiments.fitting import too_many
from training.experiments.models import REPORT_KIND as REPORT_KIND
from training.experiments.models import Arm, Experiment
from training.reports.models import Report
from training.runs.models import Run

LAUNCH_KIND = "run_experiment"
RUN_KIND = "train_run"

MAX_NAME = 120  # characters of an arm's name


def launch_experiment(
    *,
    experiment: Experiment,
    actor: Actor,
    publish: bool = True,
    priority: int = 0,
    not_before: datetime | None = None,
) -> Job:
    """Have done what is undone of an experiment: what failed, was cancelled or lost is tried again, finished runs
    are kept. Its runs have the `priority` of this job, and none begins before its time.

    `publish=False` is for a command that does the work itself. Raises `Conflict` when there is nothing left to do,
    or it is being done.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    check_priority(priority)
    with transaction.atomic():
        experiment = (
            Experiment.objects.select_for_update(of=("self",)).select_related("job").get(pk=experiment.pk)
        )
        if Report.of_all_runs(experiment):
            raise Conflict("This experiment is finished; its report says what was found.")
        jobs = _jobs(experiment)
        again = [job for job in jobs if job.can_be_retried]
        if not again and any(not job.is_over for job in jobs):
            raise Conflict("This experiment is being worked on already.")
        for job in again:
            # The same jobs again: with a second one, both could be retried, and train the same run at once.
            retry_job(job=job, actor=actor, publish=publish)
        if again:
            audit.record(actor, "experiment.launched", experiment, jobs=len(again))
            experiment.refresh_from_db()
            return experiment.job or again[0]
        label = f"Experiment “{experiment.name}”"[:200]
        experiment.job = queue_job(
            kind=LAUNCH_KIND,
            object_id=str(experiment.pk),
            label=label,
            actor=actor,
            publish=publish,
            priority=priority,
            not_before=not_before,
        )
        experiment.save(update_fields=["job"])
        audit.record(actor, "experiment.launched", experiment, job=str(experiment.job.pk))
    return experiment.job


def queue_due(*, experiment: Experiment, actor: Actor) -> None:
    """Queue every run that may begin and has no job yet; when none is left, the report.

    A run waits for the run that it starts from, and a tuned one for the candidates it is chosen from. Call it inside
    the transaction that changed something; calling it twice is calling it once.
    """
    Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
    runs = runs_of(experiment)
    launch = _latest(experiment, LAUNCH_KIND)
    queue = partial(
        queue_job,
        actor=actor,
        priority=launch.priority if launch else 0,
        not_before=launch.not_before if launch else None,
    )
    for run in runs:
        if not run.is_done and run.job is None and all(one.is_done for one in waits_for(run, runs)):
            label = f"{experiment.name}: {run.title}"[:200]
            run.job = queue(kind=RUN_KIND, object_id=str(run.pk), label=label)
            run.save(update_fields=["job"])
    if all(run.is_done for run in runs) and not Report.of_all_runs(experiment):
        # One that runs already may have begun before the last run was finished; a second report job does no harm.
        reporting = Job.objects.filter(kind=REPORT_KIND, object_id=str(experiment.pk), state=JobState.QUEUED)
        if not reporting.exists():
            label = f"Report of “{experiment.name}”"[:200]
            queue(kind=REPORT_KIND, object_id=str(experiment.pk), label=label)


def finish_run(*, run: Run, actor: Actor) -> None:
    """Write down a finished run, and queue what waited for it. Its files must be there.

    Raises `JobCancelled` where its cancelling was asked for meanwhile: what waits for it must not be queued after that.
    """
    with transaction.atomic():
        raise_if_cancelled(run.arm.experiment, run.job)
        run.finished_at = timezone.now()
        run.save()
        queue_due(experiment=run.arm.experiment, actor=actor)


def raise_if_cancelled(experiment: Experiment, job: Job | None) -> None:
    """`JobCancelled` if `job` was asked to stop. In a transaction, no cancelling comes between this and its end."""
    Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
    if job is not None and Job.objects.filter(pk=job.pk, cancel_requested=True).exists():
        raise JobCancelled


def add_seeds(*, experiment: Experiment, seeds: Sequence[int], actor: Actor) -> list[Run]:
    """Train further seeds of an experiment as it was frozen. Its report stays until they are trained, and the one that
    takes its place says which came later.

    Raises `Invalid` for seeds that cannot be used, and for more than an experiment may have.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        own = [run for run in runs_of(experiment) if not run.arm.is_external]
        taken = {run.seed for run in own}
        like = {(run.arm_id, run.fold): run for run in own if not run.candidate}
        if problem := too_many(
            n_arms=len({run.arm_id for run in own}),
            n_seeds=len(taken) + len(seeds),
            n_folds=len({run.fold for run in own}) - 1,
            n_runs=len(own) + len(like) * len(seeds),
        ):
            raise Invalid(f"seeds: {problem}", fields={"seeds": [problem]})
        problems = [
            f"{seed} is not a whole number from 0 to {MAX_SEED}"
            for seed in seeds
            if not 0 <= seed <= MAX_SEED
        ]
        problems += [f"{seed} is trained already" for seed in sorted(taken & set(seeds))]
        problems += [
            f"{seed} stands there twice" for seed in sorted({s for s in seeds if list(seeds).count(s) > 1})
        ]
        if problems or not seeds:
            problems = problems or ["give at least one"]
            raise Invalid(f"seeds: {'; '.join(problems)}", fields={"seeds": problems})
        added = [
            Run(arm=run.arm, seed=seed, fold=run.fold, train=run.train)
            for seed in seeds
            for run in like.values()
        ]
        Run.objects.bulk_create(added)
        audit.record(actor, "experiment.seeds_added", experiment, seeds=list(seeds))
        launch = _latest(experiment, LAUNCH_KIND)
        # One that still runs has queued what was due where a run has a job; where none has, it will see these too.
        queued = launch is not None and launch.state == JobState.RUNNING and any(run.job for run in own)
        if queued or (launch is not None and launch.state == JobState.DONE):
            queue_due(experiment=experiment, actor=actor)
    return added


def added_later(run: Run) -> bool:
    """Whether the run's seed is none of those that the configuration froze."""
    return not run.arm.is_external and run.seed not in run.arm.frozen_seeds


def add_external_run(
    *,
    experiment: Experiment,
    name: str,
    seed: int,
    actor: Actor,
    metrics: dict[str, Any],
    evaluations: dict[str, Any],
    keep: Callable[[Run], object],
) -> Run:
    """An outside model's predictions as a finished run of the arm `name`, marked external; a further seed of it where
    there is one. `keep(run)` writes its files. The report is written anew, and the present one stays until then.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    if not 0 <= seed <= MAX_SEED:
        raise Invalid(f"The seed is {seed}; give a whole number from 0 to {MAX_SEED}.")
    if not 0 < len(name) <= MAX_NAME:
        raise Invalid(f"The name has {len(name)} characters; give one of 1 to {MAX_NAME}.")
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        arm = experiment.arms.filter(name=name).first()
        if arm is not None and not arm.is_external:
            raise Conflict(f"{name!r} is an arm that is trained here; give these predictions another name.")
        if arm is not None and arm.runs.filter(seed=seed).exists():
            raise Conflict(
                f"{name!r} has predictions of seed {seed} already; give another --seed, or another name."
            )
        if arm is None:
            last = experiment.arms.order_by("-ordinal").first()
            ordinal = last.ordinal + 1 if last else 0
            arm = Arm.objects.create(experiment=experiment, ordinal=ordinal, name=name, is_external=True)
        run = Run.objects.create(arm=arm, seed=seed, metrics=metrics, evaluations=evaluations)
        keep(run)
        audit.record(actor, "experiment.arm_added", experiment, arm=name, seed=seed)
        finish_run(run=run, actor=actor)
    return run


def cancel_experiment(*, experiment: Experiment, actor: Actor) -> int:
    """Cancel all that waits or runs of an experiment; a training stops within a step and keeps a checkpoint.

    Returns how many jobs were asked to stop. Raises `Conflict` when there is none.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        # Locked, so that no run that finishes meanwhile queues what waited for it after the look.
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        live = [job for job in _jobs(experiment) if not job.is_over]
        if not live:
            raise Conflict("Nothing of this experiment waits or runs; there is nothing to cancel.")
        for job in live[::-1]:  # the last first, so that none begins meanwhile
            with contextlib.suppress(Conflict):  # it ended by itself
                request_cancel(job=job, actor=actor)
    return len(live)


def reorder_experiment(
    *, experiment: Experiment, actor: Actor, priority: int | None = None, not_before: datetime | None = None
) -> None:
    """Say anew how soon the waiting runs of an experiment begin, and those that will wait; None leaves it as it is."""
    require(actor, Action.LAUNCH_EXPERIMENT)
    if priority is not None:
        check_priority(priority)
    jobs = _jobs(experiment)
    if not jobs:
        raise Conflict("Nothing of this experiment was launched yet; launch it with its priority.")
    changed: dict[str, Any] = {"priority": priority} if priority is not None else {}
    changed |= {"not_before": not_before} if not_before is not None else {}
    for job in jobs:
        if job.state == JobState.QUEUED:
            order: dict[str, Any] = {"priority": job.priority, "not_before": job.not_before} | changed
            with contextlib.suppress(Conflict):  # it began meanwhile
                reorder_job(job=job, actor=actor, **order)
    # Runs that are queued later take their place from the job that launched them.
    launch = _latest(experiment, LAUNCH_KIND)
    if launch is not None and changed:
        Job.objects.filter(pk=launch.pk).update(**changed)


def finish_experiment(*, experiment: Experiment, actor: Actor, progress: Progress) -> None:
    """Do what is left of the experiment in this process, beside the workers that there are.

    A run that fails does not keep the others from being done; raises `DomainError` saying which failed.
    """
    if Report.of_all_runs(experiment):
        return
    jobs = _jobs(experiment)
    if all(job.is_over for job in jobs) or any(job.can_be_retried for job in jobs):
        launch_experiment(experiment=experiment, actor=actor, publish=False)
    failed: dict[Any, str] = {}
    while True:
        left = [job for job in _jobs(experiment) if job.state != JobState.DONE and job.pk not in failed]
        if not left:
            break
        # What nobody does comes first, then what somebody else does and is followed to its end.
        job = next((one for one in left if one.state == JobState.QUEUED), left[0])
        try:
            run_in_foreground(job, progress)
        except (JobCancelled, KeyboardInterrupt):
            with contextlib.suppress(Conflict):
                cancel_experiment(experiment=experiment, actor=actor)
            raise
        except Exception as error:
            job.refresh_from_db()
            failed[job.pk] = f"{job.label}: {job.error or error}"
            progress.log(failed[job.pk])
    if failed:
        raise DomainError(f"{len(failed)} of the experiment's jobs failed. {' '.join(failed.values())}")


def runs_of(experiment: Experiment) -> list[Run]:
    """Its runs in the order in which they are to be done: seed by seed, so that arms can be compared soon."""
    runs = Run.objects.filter(arm__experiment=experiment).select_related("arm__experiment", "job")
    return sorted(
        runs, key=lambda run: (not run.candidate, run.seed, run.fold, run.arm.ordinal, run.candidate)
    )


def waits_for(run: Run, runs: Sequence[Run]) -> list[Run]:
    """The runs of the same experiment that must be finished before `run` can begin."""
    parent = parent_of(run, runs)
    tried = [one for one in runs if one.arm_id == run.arm_id and one.candidate] if not run.candidate else []
    return [*tried, *([parent] if parent else [])]


def parent_of(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run whose weights `run` starts from, if it is one of the same experiment: of the same seed and fold."""
    name = run.arm.settings.get("start_from")
    same = ((one.arm.name, one.seed, one.fold, one.candidate) for one in runs)
    wanted = (name, run.seed, run.fold, 0)
    return next((one for one, has in zip(runs, same, strict=True) if has == wanted), None)


def current_job(experiment: Experiment) -> Job | None:
    """The job that tells best how far an experiment is: one that runs, else one that waits, else one that failed."""
    jobs = _jobs(experiment)
    for states in ((JobState.RUNNING,), (JobState.QUEUED,), RETRYABLE):
        if found := next((job for job in jobs if job.state in states), None):
            return found
    return experiment.job


def is_worked_on(experiment: Experiment) -> bool:
    """Whether something of an experiment waits to be done or is being done."""
    return any(not job.is_over for job in _jobs(experiment))


def _jobs(experiment: Experiment) -> list[Job]:
    """The experiment's own job, those of its unfinished runs, and that of its report while it is to be written."""
    runs = [run for run in runs_of(experiment) if not run.is_done]
    around = [
        _latest(experiment, LAUNCH_KIND),
        None if runs or Report.of_all_runs(experiment) else _latest(experiment, REPORT_KIND),
    ]
    found = [around[0], *(run.job for run in runs), around[1]]
    return [job for job in found if job is not None]


def _latest(experiment: Experiment, kind: str) -> Job | None:
    return Job.objects.filter(kind=kind, object_id=str(experiment.pk)).order_by("created_at").last()
