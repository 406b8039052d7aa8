"""A run: one model, trained on the labels of one arm with one seed, and what it scored."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models

from training.experiments.models import Arm


class Run(models.Model):
    """One arm and seed. Until it is trained only those two are set; a run that was interrupted leaves
    nothing."""

    arm = models.ForeignKey(Arm, models.CASCADE, related_name="runs")
    seed = models.PositiveBigIntegerField()
    curves = models.JSONField(
        default=list, help_text="one dictionary an epoch: losses, accuracy, rate, seconds"
    )
    metrics = models.JSONField(default=dict, help_text="scores on the evaluation images")
    environment = models.JSONField(default=dict, help_text="device, precision, threads, versions")
    n_steps = models.PositiveIntegerField(default=0)
    plan_sha256 = models.CharField(
        max_length=64, blank=True, help_text="hash of batches and augmentation draws"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["arm__ordinal", "seed"]
        constraints = [models.UniqueConstraint(fields=["arm", "seed"], name="one_run_per_arm_and_seed")]

    @property
    def is_done(self) -> bool:
        return self.finished_at is not None

    @property
    def directory(self) -> Path:
        """Where weights (`weights.safetensors`) and predictions (`predictions.npz`) of a finished run are."""
        return Path(settings.VAR) / "runs" / str(self.pk)
