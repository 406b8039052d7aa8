"""The report of an experiment, written once when its last run ends and never computed again for a page."""

from __future__ import annotations

from django.db import models

from training.experiments.models import Experiment


class Report(models.Model):
    """`content` is everything the page, the JSON and the Markdown show; its form is in `content.py`."""

    experiment = models.OneToOneField(Experiment, models.CASCADE, related_name="report")
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
