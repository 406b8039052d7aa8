"""The kinds of long work: a name, the queue it waits in, and the function that does it.

Each app registers its kinds in its `tasks.py`, which its `AppConfig.ready()` imports. A handler is given a
progress and one id, nothing else, and must be safe to run again: a job lost half-way is retried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hilmix.jobs.models import Queue
from hilmix.jobs.progress import Progress

Handler = Callable[[Progress, str], None]


@dataclass(frozen=True)
class JobKind:
    name: str
    queue: Queue
    handler: Handler


KINDS: dict[str, JobKind] = {}


def job_kind(name: str, *, queue: str) -> Callable[[Handler], Handler]:
    """Register the decorated `handler(progress, object_id)` as the work of jobs of kind `name`."""

    def register(handler: Handler) -> Handler:
        if name in KINDS:
            raise ValueError(f"Two handlers are registered for jobs of kind {name!r}.")
        KINDS[name] = JobKind(name, Queue(queue), handler)
        return handler

    return register
