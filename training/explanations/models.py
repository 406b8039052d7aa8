"""What explains a run: heat maps of mixed images and a map of its features, made by a job when asked for."""

from __future__ import annotations

from django.db import models

from hilmix.jobs.models import Job
from training.runs.models import Run


class Explanation(models.Model):
    """`content` is what the page shows (`hilmix-explanation/1`), empty until the job is done; its pictures are in the
    run's folder."""

    run = models.OneToOneField(Run, models.CASCADE, related_name="explanation")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    content = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
