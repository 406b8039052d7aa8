"""Which arm was chosen and why, and what a run was asked to predict."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models

from hilmix.accounts.models import User
from hilmix.accounts.roles import Actor
from hilmix.jobs.models import Job
from training.experiments.models import Arm, Experiment
from training.runs.models import Run


class Choice(models.Model):
    """The arm that a person took, by validation figures, and the reason given; made once.

    `metric` is what the suggestion was by, `suggested` the arm that it named (empty where there was none),
    `seen_test` whether the person had opened figures of the test images before.
    """

    experiment = models.OneToOneField(Experiment, models.CASCADE, related_name="choice")
    arm = models.ForeignKey(Arm, models.CASCADE, related_name="+")
    metric = models.CharField(max_length=60, blank=True)
    suggested = models.CharField(max_length=120, blank=True)
    reason = models.TextField(max_length=2000)
    seen_test = models.BooleanField(default=False)
    chosen_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class PredictionQuerySet(models.QuerySet["Prediction"]):
    def visible_to(self, actor: Actor) -> Self:
        """The predictions by runs of experiments that this person may see."""
        return self.filter(run__arm__experiment__in=Experiment.objects.visible_to(actor))


class Prediction(models.Model):
    """Images that a run was asked about, and what it said: `result` is empty until its job is done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="predictions")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    names = models.JSONField(help_text="what the files were called, in order")
    result = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    @property
    def directory(self) -> Path:
        """Where its images are until they are predicted."""
        return Path(settings.VAR) / "predictions" / str(self.pk)
