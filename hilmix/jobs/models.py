"""What long work there is, how far it is, and which workers are alive: the one truth about jobs.

A Celery message only says "look"; losing or doubling one changes nothing here. Every change of state is in
services.py.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hilmix.accounts.roles import Action, Actor, Role, allowed, only_study_of, roles_of, user_or_none


class Queue(models.TextChoices):
    """Where a job waits: `data` is worked by one process, `train` by one process a device."""

    DATA = "data", _("data")
    TRAIN = "train", _("training")


class JobState(models.TextChoices):
    """How a job stands. From `failed`, `cancelled` and `lost` it can be retried."""

    QUEUED = "queued", _("queued")  # no process has claimed it yet
    RUNNING = "running", _("running")  # one process holds the claim and writes a heartbeat
    DONE = "done", _("done")
    FAILED = "failed", _("failed")  # the work raised an error, or its process ended without a word
    CANCELLED = "cancelled", _("cancelled")  # somebody asked for it
    LOST = "lost", _("lost")  # its worker was stopped, or fell silent


RETRYABLE = (JobState.FAILED, JobState.CANCELLED, JobState.LOST)


def silent_since() -> datetime:
    """The moment before which a last sign of life means that its sender is gone."""
    return timezone.now() - timedelta(seconds=settings.HILMIX_LOST_AFTER)


class JobQuerySet(models.QuerySet["Job"]):
    def waiting(self, queue: str) -> Self:
        """The jobs of a queue that may begin now, whichever is next first; none while it is paused."""
        if Pause.objects.filter(queue=queue).exists():
            return self.none()
        due = models.Q(not_before=None) | models.Q(not_before__lte=timezone.now())
        return self.filter(due, queue=queue, state=JobState.QUEUED).order_by("-priority", "created_at")

    def visible_to(self, actor: Actor) -> Self:
        """Admins see every job, others those they started; with a token of one study, those that work on its things."""
        study_id = only_study_of(actor)
        if not allowed(actor, Action.VIEW_OWN_JOBS, study_id):
            return self.none()
        is_admin = Role.ADMIN in roles_of(actor, study_id)
        seen = self if is_admin else self.filter(created_by=user_or_none(actor))
        if study_id is None:
            return seen
        from hilmix.jobs.registry import jobs_of_study  # it is made of these models

        return seen.filter(jobs_of_study(study_id))


MAX_PRIORITY = 1000


class Job(models.Model):
    """One piece of long work: the registered `kind`, and `object_id`, the one thing its handler is given."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=60)
    queue = models.CharField(max_length=10, choices=Queue)
    object_id = models.CharField(max_length=100)
    label = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.QUEUED)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=1)
    priority = models.SmallIntegerField(default=0, help_text="of the jobs that wait, the highest goes first")
    not_before = models.DateTimeField(null=True, blank=True, help_text="nobody claims it earlier")

    claim = models.UUIDField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)

    progress_done = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    progress_text = models.CharField(max_length=200, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "queue", "created_at"]),
            models.Index(fields=["-created_at"]),
        ]
        constraints = [
            models.CheckConstraint(name="job_state_known", condition=models.Q(state__in=JobState.values)),
            models.CheckConstraint(
                name="job_claimed_exactly_while_running",
                condition=models.Q(state=JobState.RUNNING, claim__isnull=False)
                | (~models.Q(state=JobState.RUNNING) & models.Q(claim__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])

    @property
    def is_over(self) -> bool:
        return self.state not in (JobState.QUEUED, JobState.RUNNING)

    @property
    def can_be_retried(self) -> bool:
        return self.state in RETRYABLE

    @property
    def can_be_cancelled(self) -> bool:
        return not self.is_over and not self.cancel_requested


class Pause(models.Model):
    """A queue from which no worker takes anything until this is removed; what runs already goes on, and a command that
    does the work itself, in a terminal, begins nevertheless."""

    queue = models.CharField(max_length=10, choices=Queue, unique=True)
    since = models.DateTimeField(default=timezone.now)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.queue} is paused"


class JobLine(models.Model):
    """One line of a job's log."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(default=timezone.now)
    text = models.TextField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> Self:
        return self.filter(seen_at__gte=silent_since())


class Worker(models.Model):
    """A process that takes jobs from one queue, one at a time; it writes `seen_at` while it lives."""

    name = models.CharField(max_length=200, unique=True)
    queue = models.CharField(max_length=10, choices=Queue)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["queue", "name"]

    def __str__(self) -> str:
        return self.name
