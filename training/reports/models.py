"""The report of an experiment, written when its last run ends and never computed again for a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import models

from training.experiments.models import Experiment

if TYPE_CHECKING:
    from training.runs.models import Run


class Report(models.Model):
    """`content` is everything the page, the JSON and the Markdown show; its form is in `content.py`."""

    experiment = models.OneToOneField(Experiment, models.CASCADE, related_name="report")
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def without(self, runs: Iterable[Run]) -> list[Run]:
        """Those of its experiment's `runs` that were added since: it is renewed when the last of them is finished."""
        return [run for run in runs if run.finished_at is None or run.finished_at > self.created_at]
