"""The one Celery task: look at a job, and if it can be claimed, see it done."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from hilmix.jobs import runner, services


@shared_task(name=services.LOOK, bind=True, ignore_result=True, acks_late=False)
def look(self: Any, job_id: str) -> None:
    """Acknowledged before it starts: the claim, not the message, says who does the work."""
    claim = services.claim(job_id, self.request.hostname)
    if claim:
        runner.watch(job_id, claim)
