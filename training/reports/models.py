"""What pages show of an experiment and of a run: written once by a job, and never computed for a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from django.db import models

from training.experiments.models import Experiment
from training.runs.models import Run


class Report(models.Model):
    """`content` is everything the page, the JSON and the Markdown show; its form is in `content.py`."""

    experiment = models.OneToOneField(Experiment, models.CASCADE, related_name="report")
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def without(self, runs: Iterable[Run]) -> list[Run]:
        """Those of its experiment's `runs` that were added since: it is renewed when the last of them is finished."""
        return [run for run in runs if run.finished_at is None or run.finished_at > self.created_at]

    @classmethod
    def of_all_runs(cls, experiment: Experiment) -> Self | None:
        """The report of an experiment, if it tells of every run that the database has now; its content is read from
        there when it is asked for."""
        report = cls.objects.filter(experiment=experiment).defer("content").first()
        runs = Run.objects.filter(arm__experiment=experiment).only("finished_at")
        return report if report and not report.without(runs) else None


class RunReport(models.Model):
    """`content` (`hilmix-run/1`) is everything the page of a finished run shows: its figures, and which images are
    behind them."""

    run = models.OneToOneField(Run, models.CASCADE, related_name="report")
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
