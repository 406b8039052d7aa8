"""Studies that ask people about what a model, people and mixup disagree on, and how their mixed images were picked."""

from __future__ import annotations

from django.db import models

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.hub.models import Release
from training.experiments.models import Experiment
from training.runs.models import Run


class PickedAs(models.TextChoices):
    RULE = "rule", "by the rule"
    RANDOM = "random", "at random, to compare with"


class FollowUp(models.Model):
    """A study made of mixed images of a release by a rule; everything that its labels are estimated from."""

    study = models.OneToOneField(Study, models.CASCADE, related_name="follow_up")
    experiment = models.ForeignKey(Experiment, models.PROTECT, related_name="follow_ups")
    run = models.ForeignKey(Run, models.PROTECT, related_name="+")
    release = models.ForeignKey(Release, models.PROTECT, related_name="+")
    rule = models.JSONField(help_text="name and parameters of the rule, and how many were picked")
    seed = models.PositiveBigIntegerField(help_text="of the random comparison set")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class FollowUpImage(models.Model):
    """One mixed image of the study: `row` in the release, why it was picked, and with what probability."""

    follow_up = models.ForeignKey(FollowUp, models.CASCADE, related_name="images")
    row = models.PositiveIntegerField(help_text="of the release's mixed images, from 0")
    picked_as = models.CharField(max_length=6, choices=PickedAs.choices)
    score = models.FloatField(null=True, help_text="of the rule; what is largest is picked first")
    inclusion_probability = models.FloatField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["follow_up", "row"], name="one_of_each_row"),
        ]
