"""A run: one model, trained on the labels of one arm with one seed, and what it scored."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse

from hilmix.jobs.models import Job
from training.experiments.models import Arm


class Run(models.Model):
    """One arm and seed; `fold` 0 is trained on all mixed images, fold 1, 2, … without those that are held out in it;
    `candidate` 0 is what is compared, 1, 2, … are points of the grid that the arm is tuned over."""

    arm = models.ForeignKey(Arm, models.CASCADE, related_name="runs")
    seed = models.PositiveBigIntegerField()
    fold = models.PositiveSmallIntegerField(default=0)
    candidate = models.PositiveSmallIntegerField(default=0)
    train = models.JSONField(default=dict, help_text="how it is trained, resolved: its whole configuration")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    curves = models.JSONField(
        default=list, help_text="one dictionary an epoch: losses, accuracy, rate, seconds"
    )
    metrics = models.JSONField(default=dict, help_text="scores on the evaluation images")
    evaluations = models.JSONField(
        default=dict,
        help_text="all that was measured, by what it was measured on: validation, test, mixed, robustness",
    )
    environment = models.JSONField(default=dict, help_text="device, precision, threads, versions")
    n_steps = models.PositiveIntegerField(default=0)
    plan_sha256 = models.CharField(
        max_length=64, blank=True, help_text="hash of batches and augmentation draws"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["arm__ordinal", "seed", "fold", "candidate"]
        constraints = [
            models.UniqueConstraint(fields=["arm", "seed", "fold", "candidate"], name="one_run_of_each"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.pk])

    @property
    def is_done(self) -> bool:
        return self.finished_at is not None

    @property
    def excluded(self) -> str:
        """Why a finished run does not count, by a rule fixed before the first; empty where it does."""
        return str(self.evaluations.get("excluded", {}).get("why", ""))

    @property
    def title(self) -> str:
        """ "mixup, seed 0", with fold and candidate where there are some."""
        parts = [self.arm.name, f"seed {self.seed}"]
        parts += [f"fold {self.fold}"] if self.fold else []
        parts += [f"candidate {self.candidate}"] if self.candidate else []
        return ", ".join(parts)

    @property
    def accuracy(self) -> tuple[float, str] | None:
        """Its accuracy and on which images, for who watches it before an arm is chosen: of test images only where no
        validation images are set apart. None where there is none such, as of a fold then."""
        if not self.metrics:
            return None
        if self.candidate:
            return self.metrics["accuracy"], "validation"
        if found := self.evaluations.get("validation", {}).get("accuracy"):
            return found["value"], "validation"
        return None if self.arm.experiment.config.get("validation") else (self.metrics["accuracy"], "test")

    @property
    def directory(self) -> Path:
        """Where weights (`weights.safetensors`) and predictions (`predictions.npz`) of a finished run are."""
        return Path(settings.VAR) / "runs" / str(self.pk)
