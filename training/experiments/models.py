"""An experiment: a frozen configuration on a release, its arms, and the job that works on it."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.urls import reverse

from elicitation.images.models import ImageSet
from elicitation.studies.models import Source, Study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Actor, Operator
from hilmix.hub.models import Release
from hilmix.jobs.models import Job
from training.experiments.config import ExperimentConfig, parse_config


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    def visible_to(self, actor: Actor) -> Self:
        """The experiments on releases of studies this person may see."""
        if isinstance(actor, Operator):
            return self
        return self.filter(release__study__in=Study.objects.visible_to(actor))


class Experiment(models.Model):
    """What is compared. `config_sha256` covers the configuration and the content of release, image set and
    human labels."""

    name = models.CharField(max_length=120)
    config = models.JSONField(help_text="the configuration with its defaults written out")
    config_sha256 = models.CharField(max_length=64, unique=True)
    release = models.ForeignKey(Release, models.PROTECT, related_name="experiments")
    image_set = models.ForeignKey(ImageSet, models.PROTECT, related_name="experiments")
    precision = models.CharField(
        max_length=4, blank=True, help_text="fp32 or bf16, decided when the first run starts and kept for all"
    )
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiment", args=[self.pk])

    @property
    def parsed(self) -> ExperimentConfig:
        return parse_config(self.config)

    @property
    def is_simulated(self) -> bool:
        return self.release.source == Source.SIMULATED

    @property
    def state(self) -> str:
        """`done` once the report exists, else the state of its job; `new` before anyone started it."""
        if hasattr(self, "report"):
            return "done"
        return self.job.state if self.job else "new"


class Arm(models.Model):
    """One of the things compared: a label policy of the release, with the parameters recorded there."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="arms")
    ordinal = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=120)
    policy = models.CharField(max_length=60)
    params = models.JSONField(help_text="version, meaning and fitted parameters, as the release records them")

    class Meta:
        ordering = ["ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "ordinal"], name="one_arm_per_ordinal"),
            models.UniqueConstraint(fields=["experiment", "name"], name="one_arm_per_name"),
        ]

    def __str__(self) -> str:
        return self.name
