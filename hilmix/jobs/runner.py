"""Doing a job's work: `perform` does it in this process, `watch` has a process do it and sees that it ends.

A worker watches: `manage.py run_job` in a session of its own, so that the work can be stopped with everything
it started, may use processes and CUDA, and gives its memory back. A command performs in the foreground.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, connection

from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import DomainError
from hilmix.jobs import processes, services
from hilmix.jobs.heartbeat import Heartbeat
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS

log = logging.getLogger(__name__)

CANCEL_GRACE = 20.0  # seconds that work has to stop by itself once asked
STOP_GRACE = 4.0  # seconds between SIGTERM and SIGKILL; serve gives a worker 8
POLL = 0.25  # seconds

_worker_is_stopping = False


@worker_shutting_down.connect
def _worker_shutting_down(**_: object) -> None:
    """Called in Celery's signal handler: a plain flag, because taking a lock there could block for ever."""
    global _worker_is_stopping
    _worker_is_stopping = True


# --- In this process ----------------------------------------------------------------------------------------


def perform(
    job_id: uuid.UUID | str,
    claim: uuid.UUID,
    *,
    mirror: Progress | None = None,
    abandon: Callable[[], None] | None = None,
) -> None:
    """Do the claimed job's work, write how it ended, and let whatever ended it pass through.

    SystemExit, which SIGTERM becomes in `run_job`, is not written: whoever sent the signal says why.
    """
    job = Job.objects.select_related("created_by").get(pk=job_id)
    try:
        with Heartbeat(job_id, claim, mirror=mirror, abandon=abandon) as progress:
            progress.actor = job.created_by or OPERATOR
            progress.log(f"attempt {job.attempt} on {job.worker}, process {os.getpid()}")
            KINDS[job.kind].handler(progress, job.object_id)
    except (JobCancelled, KeyboardInterrupt):
        services.finish(job_id, claim, JobState.CANCELLED)
        raise
    except (DomainError, DataError) as error:
        services.finish(job_id, claim, JobState.FAILED, str(error))
        raise
    except Exception as error:
        services.finish(job_id, claim, JobState.FAILED, _unexpected(error, job_id))
        raise
    services.finish(job_id, claim, JobState.DONE)


def run_in_foreground(job: Job, progress: Progress) -> None:
    """Do a queued job in this process, for a command; if a worker was faster, follow it to its end.

    Work whose doer turns out to be gone (killed, no server to notice) is taken over. Raises what the work
    raised: `JobCancelled` if it was cancelled, `DomainError` if a worker failed.
    """
    me = f"command on {socket.gethostname()}, process {os.getpid()}"
    while not (claim := services.claim(job.pk, me)):
        _follow(job, progress)
        if job.state != JobState.LOST:
            return
        progress.log(f"{job.error} Taking it over.")
        services.retry_job(job=job, actor=OPERATOR, publish=False)
    perform(job.pk, claim, mirror=progress)
    job.refresh_from_db()


def _follow(job: Job, progress: Progress) -> None:
    """Show how far whoever has the job is, until it is over; raise if it was cancelled or failed."""
    progress.log("A worker has taken this job; following it.")
    while True:
        services.sweep()  # where nobody serves, nobody else would notice that its worker is gone
        job.refresh_from_db()
        progress.update(job.progress_done, job.progress_total, job.progress_text)
        if job.is_over:
            break
        progress.check()
        time.sleep(1)
    if job.state == JobState.CANCELLED:
        raise JobCancelled
    if job.state == JobState.FAILED:
        raise DomainError(job.error)


def _unexpected(error: Exception, job_id: Any) -> str:
    """Names the kind of error only: its text may hold what a page must not show. The log file has it all."""
    kind = type(error).__name__
    return f"An unexpected error ended the work ({kind}). The server's log says more, under job {job_id}."


# --- In a process of its own --------------------------------------------------------------------------------


def watch(job_id: str, claim: uuid.UUID) -> None:
    """Have `manage.py run_job` do the claimed job, until it ends, or must. Call it from the main thread."""
    process = processes.start(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_job", job_id, str(claim)],
        cwd=settings.BASE_DIR,
        log=settings.VAR / "logs" / "jobs" / f"{job_id}.log",
    )
    deadline = math.inf
    try:
        while process.poll() is None and not _worker_is_stopping and time.monotonic() < deadline:
            if deadline == math.inf:
                deadline = time.monotonic() + _seconds_left(job_id, claim)
            time.sleep(POLL)
    finally:
        ended_by_itself = process.poll()
        processes.stop([process], grace=STOP_GRACE)
    if ended_by_itself is not None:
        state, reason = JobState.FAILED, _how_it_ended(ended_by_itself)
    elif _worker_is_stopping:
        state = JobState.LOST
        reason = services.stopped_reason(Job.objects.get(pk=job_id), "worker stopped")
    else:
        state = JobState.CANCELLED
        reason = f"Stopped by force: the work did not stop within {CANCEL_GRACE:.0f} s of being asked."
    services.finish(job_id, claim, state, reason)  # does nothing where run_job itself said how it ended


def end_this_session() -> None:
    """End this process and all it started, from any thread: SIGTERM, and SIGKILL if that is not enough."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_GRACE)
    os.killpg(0, signal.SIGKILL)


def _seconds_left(job_id: str, claim: uuid.UUID) -> float:
    """How long the work may go on: for ever, a while once asked to stop, hardly once its claim is gone."""
    try:
        held = Job.objects.filter(pk=job_id, claim=claim)
        cancel_requested = held.values_list("cancel_requested", flat=True).first()
    except DatabaseError as error:
        log.warning("cannot see whether job %s is to go on: %s", job_id, error)
        connection.close()
        return math.inf
    if cancel_requested is None:
        return STOP_GRACE
    return CANCEL_GRACE if cancel_requested else math.inf


def _how_it_ended(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        hint = " The machine may have run out of memory." if status == -signal.SIGKILL else ""
        return f"The process that did the work was killed ({name}).{hint}"
    return f"The process that did the work ended (status {status}) without saying how it went."
