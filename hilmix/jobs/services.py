"""Every change of a job's state, each a compare-and-swap, so that two workers or two sweepers do no harm.

The database is the truth and a Celery message only says "look": it may be lost, doubled or late. Nothing here
waits or publishes inside a transaction. Doing the work is in runner.py.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from kombu.exceptions import OperationalError

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, only_study_of, require, user_or_none
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.jobs.models import (
    MAX_PRIORITY,
    RETRYABLE,
    Job,
    JobLine,
    JobState,
    Pause,
    Queue,
    Worker,
    silent_since,
)
from hilmix.jobs.registry import KINDS

log = logging.getLogger(__name__)

LOOK = "hilmix.jobs.tasks.look"  # sent by name: the task imports this module


def sweep_interval() -> float:
    """Seconds between two sweeps, and the age at which a message counts as lost: 15 s by default."""
    return settings.HILMIX_LOST_AFTER / 2


# --- What people ask for ------------------------------------------------------------------------------------


def queue_job(
    *,
    kind: str,
    object_id: str,
    label: str,
    actor: Actor,
    publish: bool = True,
    priority: int = 0,
    not_before: datetime | None = None,
) -> Job:
    """Queue work of a registered `kind` on one object; a worker hears of it when the transaction commits.

    The caller checks that `actor` may ask for this work. `publish=False` is for a command that goes on to
    `run_in_foreground`; should it die before, the sweeper hands the job to a worker. Of what waits, the highest
    `priority` begins first, and nothing before its time. Raises `Invalid` for a priority that is out of bounds.
    """
    check_priority(priority)
    with transaction.atomic():
        job = Job.objects.create(
            kind=kind,
            queue=KINDS[kind].queue,
            object_id=object_id,
            label=label,
            created_by=user_or_none(actor),
            priority=priority,
            not_before=not_before,
        )
        audit.record(actor, "job.queued", job, kind=kind, object_id=object_id)
        if publish:
            transaction.on_commit(partial(_publish, job))
    return job


def request_cancel(*, job: Job, actor: Actor) -> None:
    """A queued job is cancelled at once; a running one is asked to stop, and made to if it does not."""
    _require_steering(job, actor)
    with transaction.atomic():
        queued = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
        running = Job.objects.filter(pk=job.pk, state=JobState.RUNNING)
        now = timezone.now()
        if not (
            queued.update(state=JobState.CANCELLED, cancel_requested=True, finished_at=now)
            or running.update(cancel_requested=True)
        ):
            raise Conflict("The job is over already; there is nothing to cancel.")
        audit.record(actor, "job.cancel_requested", job)


def retry_job(*, job: Job, actor: Actor, publish: bool = True) -> None:
    """Queue a failed, cancelled or lost job again; handlers do not repeat what they finished and kept.

    `publish` as for `queue_job`.
    """
    _require_steering(job, actor)
    with transaction.atomic():
        if not Job.objects.filter(pk=job.pk, state__in=RETRYABLE).update(
            state=JobState.QUEUED,
            attempt=F("attempt") + 1,
            cancel_requested=False,
            error="",
            finished_at=None,
            published_at=None,
            progress_done=0,
            progress_text="",
        ):
            raise Conflict("Only a job that failed, was cancelled or was lost can be retried.")
        audit.record(actor, "job.retried", job)
        if publish:
            transaction.on_commit(partial(_publish, job))


def reorder_job(*, job: Job, actor: Actor, priority: int, not_before: datetime | None = None) -> None:
    """Say anew how soon a waiting job begins. Raises `Invalid` for a priority that is out of bounds."""
    _require_steering(job, actor)
    check_priority(priority)
    with transaction.atomic():
        waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
        if not waiting.update(priority=priority, not_before=not_before):
            raise Conflict("The job does not wait any more, so it cannot be put elsewhere in the queue.")
        audit.record(actor, "job.reordered", job, priority=priority)
        transaction.on_commit(publish_waiting)


def check_priority(priority: int) -> None:
    """Raise Invalid for a priority that is out of bounds."""
    if abs(priority) > MAX_PRIORITY:
        raise Invalid(
            f"The priority is {priority}; give a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}."
        )


def pause_queue(*, queue: str, actor: Actor) -> None:
    """Let nothing more begin in a queue; what runs goes on. Pausing twice is pausing once."""
    require(actor, Action.PAUSE_QUEUE)
    with transaction.atomic():
        pause, is_new = Pause.objects.get_or_create(queue=queue, defaults={"paused_by": user_or_none(actor)})
        if is_new:
            audit.record(actor, "queue.paused", pause, queue=queue)


def resume_queue(*, queue: str, actor: Actor) -> None:
    """Let the jobs of a paused queue begin again."""
    require(actor, Action.PAUSE_QUEUE)
    with transaction.atomic():
        pause = Pause.objects.select_for_update().filter(queue=queue).first()
        if pause is not None:
            audit.record(actor, "queue.resumed", pause, queue=queue)
            pause.delete()
            transaction.on_commit(publish_waiting)


def _require_steering(job: Job, actor: Actor) -> None:
    if not Job.objects.visible_to(actor).filter(pk=job.pk).exists():
        raise NotFound("There is no such job, or you may not see it.")
    require(actor, Action.STEER_JOB, only_study_of(actor))


# --- What processes do --------------------------------------------------------------------------------------


def claim(job_id: uuid.UUID | str, worker: str) -> uuid.UUID | None:
    """Take a queued job for `worker`. Of several that try, one gets a claim; the others get None."""
    mine, now = uuid.uuid4(), timezone.now()
    taken = Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(
        state=JobState.RUNNING, claim=mine, worker=worker, pid=None, claimed_at=now, heartbeat_at=now
    )
    return mine if taken else None


def claim_next(queue: str, worker: str) -> Job | None:
    """Take the job of a queue that is to begin next, if any may begin now."""
    for job in Job.objects.waiting(queue):
        if claim(job.pk, worker):
            job.refresh_from_db()
            return job
    return None


def finish(
    job_id: uuid.UUID | str, claim: uuid.UUID, state: JobState, error: str = "", *, only_if: Q | None = None
) -> bool:
    """End a running job in `state`, if `claim` still holds it; `error` is the reason, for people."""
    held = Job.objects.filter(only_if or Q(), pk=job_id, claim=claim, state=JobState.RUNNING)
    ended = held.update(state=state, claim=None, error=error, finished_at=timezone.now())
    if ended and error:
        JobLine.objects.create(job_id=job_id, text=error)
    return bool(ended)


def beat(job_id: uuid.UUID | str, claim: uuid.UUID, **progress: Any) -> bool:
    """Write a sign of life, and whatever fields of progress come with it; False if the claim is gone."""
    held = Job.objects.filter(pk=job_id, claim=claim, state=JobState.RUNNING)
    return bool(held.update(heartbeat_at=timezone.now(), **progress))


def how_far(job: Job) -> str:
    """How far the work is, as '3 of 10'; empty where it has not said."""
    return f"{job.progress_done} of {job.progress_total}" if job.progress_total else ""


def stopped_reason(job: Job, what: str) -> str:
    """Why a job is over though nobody wanted it, with the time it was last heard of and how far it was."""
    at = timezone.localtime(job.heartbeat_at).strftime("%H:%M %Z")
    return ", ".join(filter(None, [f"{what} at {at}", how_far(job)])) + ". It can be retried."


# --- What is swept up ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SweepResult:
    """How many jobs were marked lost, and for how many the message was sent again."""

    lost: int
    published: int


def sweep() -> SweepResult:
    """Mark silent jobs lost, tell idle workers of waiting jobs again, forget workers long gone."""
    Worker.objects.filter(seen_at__lt=timezone.now() - timedelta(days=1)).delete()
    lost = _mark_lost()
    return SweepResult(lost, publish_waiting(timezone.now() - timedelta(seconds=sweep_interval())))


def workers_alive(queue: str) -> bool:
    """Whether a worker of the queue was heard of within `HILMIX_LOST_AFTER` seconds."""
    return Worker.objects.alive().filter(queue=queue).exists()


def queues_without_worker() -> Collection[Queue]:
    """The queues in which a job would wait for ever: pages say so."""
    alive = set(Worker.objects.alive().values_list("queue", flat=True))
    return [queue for queue in Queue if queue.value not in alive]


def _mark_lost() -> int:
    silent = Q(heartbeat_at__lt=silent_since())
    jobs = Job.objects.filter(silent, state=JobState.RUNNING, claim__isnull=False)
    return sum(
        finish(job.pk, job.claim, JobState.LOST, stopped_reason(job, "worker lost"), only_if=silent)
        for job in jobs
        if job.claim
    )


def publish_waiting(told_before: datetime | None = None) -> int:
    """For each idle worker, publish a job that may begin, and of which no message was sent since `told_before`.

    No more than that: while every worker is busy, or none is alive, messages would only pile up.
    """
    published = 0
    for queue in Queue:
        alive = Worker.objects.alive().filter(queue=queue).values_list("name", flat=True)
        busy = Job.objects.filter(state=JobState.RUNNING, worker__in=alive).count()
        waiting = Job.objects.waiting(queue).annotate(told=Coalesce("published_at", "created_at"))
        # A job of a worker that was killed and started again counts as running until it is lost: busier than alive.
        for job in waiting.filter(told__lt=told_before or timezone.now())[: max(0, len(alive) - busy)]:
            _publish(job)
            published += 1
    return published


def _publish(job: Job) -> None:
    """Say "look at this job" on its queue. A broker that is away is no error: the sweeper says it again."""
    Job.objects.filter(pk=job.pk).update(published_at=timezone.now())
    try:
        prepare_broker()
        current_app.send_task(LOOK, args=[str(job.pk)], queue=job.queue, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("job %s is queued, but the broker could not be told: %s", job.pk, error)


def prepare_broker() -> None:
    """Make the folders of the embedded broker, closed to others; a broker on the network needs nothing."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    for name in ("data_folder_in", "processed_folder", "control_folder"):
        if name in options:
            Path(str(options[name])).mkdir(mode=0o700, parents=True, exist_ok=True)
