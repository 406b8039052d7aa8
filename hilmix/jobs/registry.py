"""The kinds of long work: a name, the queue it waits in, and the function that does it.

Each app registers its kinds in its `tasks.py`, which its `AppConfig.ready()` imports. A handler is given a
progress and one id, nothing else, and must be safe to run again: a job lost half-way is retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from hilmix.jobs.models import Queue
from hilmix.jobs.progress import Progress

Handler = Callable[[Progress, str], None]
OfStudy = Callable[[int], Iterable[object]]  # a study's key → the object ids of jobs that work on its things


@dataclass(frozen=True)
class JobKind:
    name: str
    queue: Queue
    handler: Handler
    of_study: OfStudy | None = None


KINDS: dict[str, JobKind] = {}


def jobs_of_study(study_id: int) -> Q:
    """The jobs that work on objects of one study."""
    kinds = ((kind.name, kind.of_study) for kind in KINDS.values() if kind.of_study is not None)
    alternatives = [
        Q(kind=name, object_id__in=list(map(str, of_study(study_id)))) for name, of_study in kinds
    ]
    return reduce(or_, alternatives, Q(pk__in=()))


def job_kind(name: str, *, queue: str, of_study: OfStudy | None = None) -> Callable[[Handler], Handler]:
    """Register the decorated `handler(progress, object_id)` as the work of jobs of kind `name`.

    `of_study` says which objects are a study's, for whoever asks with a token of one study; they do not see jobs of a
    kind without it.
    """

    def register(handler: Handler) -> Handler:
        if name in KINDS:
            raise ValueError(f"Two handlers are registered for jobs of kind {name!r}.")
        KINDS[name] = JobKind(name, Queue(queue), handler, of_study)
        return handler

    return register
