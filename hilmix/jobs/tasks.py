"""The one Celery task: look which job of a queue is next, and if one may begin, see it done."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from hilmix.jobs import runner, services
from hilmix.jobs.models import Job


@shared_task(name=services.LOOK, bind=True, ignore_result=True, acks_late=False)
def look(self: Any, job_id: str) -> None:
    """Acknowledged before it starts: the claim, not the message, says who does the work.

    There is a message for every job, so each may stand for any job of its queue: the next is taken, not the one named.
    """
    queue = Job.objects.filter(pk=job_id).values_list("queue", flat=True).first()
    job = services.claim_next(queue, self.request.hostname) if queue else None
    if job and job.claim:
        runner.watch(str(job.pk), job.claim)
