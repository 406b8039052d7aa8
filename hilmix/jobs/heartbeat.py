"""Signs of life, written by background threads on connections of their own: of running work, and of workers.

`Heartbeat` is the progress that a job's handler is given: it carries to the database how far the work is, and
back from it whether somebody asked it to stop. A worker's row lives from Celery's `worker_ready` to
`worker_shutdown`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from hilmix.jobs import services
from hilmix.jobs.models import Job, JobLine, Worker
from hilmix.jobs.progress import Progress

log = logging.getLogger(__name__)

TICK = 1.0  # seconds: how often at most progress is written, and how soon a request to stop is heard


def beat_interval() -> float:
    """Seconds between two signs of life: a sixth of the silence after which a sender counts as gone (5 s)."""
    return settings.HILMIX_LOST_AFTER / 6


class Heartbeat(Progress):
    """Progress of a claimed job. Use it as a context manager; on leaving, what came last is written.

    `mirror` is told everything too (a terminal's bar). `abandon` is called once, on the thread, if the claim
    is no longer ours or our parent died: the work must end, and nothing it writes counts.
    """

    def __init__(
        self,
        job_id: uuid.UUID | str,
        claim: uuid.UUID,
        *,
        mirror: Progress | None = None,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        self._job_id, self._claim = job_id, claim
        self._mirror = mirror or Progress()
        self._abandon = abandon or (lambda: None)
        self._parent = os.getppid()
        self._lock = threading.Lock()
        self._news: dict[str, Any] = {"pid": os.getpid()}
        self._lines: list[JobLine] = []
        self._next_beat = 0.0
        self._should_stop = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)

    def update(self, done: int, total: int, text: str = "") -> None:
        self._mirror.update(done, total, text)
        with self._lock:
            self._news |= {"progress_done": done, "progress_total": total, "progress_text": text[:200]}

    def log(self, text: str) -> None:
        self._mirror.log(text)
        with self._lock:
            self._lines.append(JobLine(job_id=self._job_id, at=timezone.now(), text=text))

    @property
    def cancelled(self) -> bool:
        return self._should_stop or self._mirror.cancelled

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _live(self) -> None:
        self._tick()
        while not self._ending.wait(TICK):
            self._tick()
        self._tick()
        connection.close()

    def _tick(self) -> None:
        try:
            held = self._write() and self._listen()
        except DatabaseError as error:
            log.warning("no heartbeat of job %s: %s", self._job_id, error)
            connection.close()  # a broken connection mends by being opened anew
            return
        if not held or os.getppid() != self._parent:
            self._should_stop = True
            abandon, self._abandon = self._abandon, lambda: None
            abandon()

    def _write(self) -> bool:
        """Write what is new, or a bare sign of life when one is due; False if the claim is gone."""
        with self._lock:
            news, lines = self._news, self._lines
            self._news, self._lines = {}, []
        try:
            if lines:
                JobLine.objects.bulk_create(lines)
                lines = []
            if news or time.monotonic() >= self._next_beat:
                held = services.beat(self._job_id, self._claim, **news)
                self._next_beat = time.monotonic() + beat_interval()
                return held
        except DatabaseError:
            with self._lock:
                self._news, self._lines = news | self._news, lines + self._lines
            raise
        return True

    def _listen(self) -> bool:
        """Hear whether somebody asked to stop; False if the claim is gone."""
        held = Job.objects.filter(pk=self._job_id, claim=self._claim)
        requested = held.values_list("cancel_requested", flat=True).first()
        self._should_stop = self._should_stop or bool(requested)
        return requested is not None


_worker_ending = threading.Event()


def _keep_worker_row(name: str, queue: str) -> None:
    """Say every few seconds that this worker lives, until it ends; then take the row away."""
    here = {"queue": queue, "host": socket.gethostname(), "pid": os.getpid(), "started_at": timezone.now()}
    while True:
        try:
            Worker.objects.update_or_create(name=name, defaults=here | {"seen_at": timezone.now()})
        except DatabaseError as error:
            log.warning("no heartbeat of worker %s: %s", name, error)
            connection.close()
        if _worker_ending.wait(beat_interval()):
            break
    Worker.objects.filter(name=name).delete()
    connection.close()


@worker_ready.connect
def _worker_ready(sender: Any, **_: object) -> None:
    queue = next(iter(sender.app.amqp.queues.consume_from))
    thread = threading.Thread(target=_keep_worker_row, args=(sender.hostname, queue), name="worker heartbeat")
    thread.daemon = True
    thread.start()


@worker_shutdown.connect
def _worker_shutdown(**_: object) -> None:
    _worker_ending.set()
    for thread in threading.enumerate():
        if thread.name == "worker heartbeat":
            thread.join(timeout=2)
