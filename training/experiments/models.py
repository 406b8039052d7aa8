"""An experiment: a frozen configuration on a release, its arms, and the job that works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models.functions import Cast
from django.urls import reverse

from elicitation.images.models import ImageSet
from elicitation.studies.models import Source, Study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Actor, Operator
from hilmix.hub.models import Release
from hilmix.jobs.models import Job, JobState
from training.experiments.config import ExperimentConfig, parse_config

if TYPE_CHECKING:
    from training.runs.models import Run

REPORT_KIND = "report_experiment"  # of the job that writes the report, whose state may be the experiment's


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    def visible_to(self, actor: Actor) -> Self:
        """The experiments on releases of studies this person may see."""
        if isinstance(actor, Operator):
            return self
        return self.filter(release__study__in=Study.objects.visible_to(actor))

    def with_report(self) -> Self:
        """With all that a page about the report of one of them reads: in one query."""
        return self.select_related("release__study", "image_set", "report", "choice")

    def with_state(self, runs: models.QuerySet[Run] | None = None) -> Self:
        """With what `state` looks at, in as many queries for many experiments as for one, and no report's content;
        `runs` is how their runs are read, where a page shows more of them."""
        from training.runs.models import Run  # that module imports this one

        if runs is None:
            runs = Run.objects.only("arm", "job", "finished_at").select_related("job")
        return (
            self.select_related("job", "report")
            .defer("report__content")
            .prefetch_related("arms", models.Prefetch("arms__runs", runs))
            .annotate(_reporting=models.Subquery(_reporting(Cast(models.OuterRef("pk"), models.CharField()))))
        )


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
    threads = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="decided with the precision, and for the same reason"
    )
    forecast = models.JSONField(
        default=dict, help_text="seconds, memory and disk of all runs, from a few steps"
    )
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    recipe_sha256 = models.CharField(
        max_length=64,
        blank=True,
        db_index=True,
        help_text="of the configuration without name, release and image set: equal for one recipe over releases",
    )
    origin = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="repeats",
        help_text="the experiment whose configuration it repeats or changes",
    )
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
        return parse_config(self.config, stored=True)

    @property
    def is_simulated(self) -> bool:
        return self.release.source == Source.SIMULATED

    @property
    def is_reported(self) -> bool:
        """Whether there is a report of all its runs: one that is being renewed is without some."""
        return hasattr(self, "report") and not self.report.without(self._runs)

    @property
    def state(self) -> str:
        """`done` once the report tells of every run; `new` before anyone started it; else the state of its own job
        until that is done, and then what the jobs of its unfinished runs come to: one that goes on counts before one
        that failed. With every run finished it is the state of the last job that was to write the report.
        """
        if self.is_reported:
            return "done"
        if self.job is None:
            return "new"
        if self.job.state != JobState.DONE:
            return self.job.state
        runs = [run for run in self._runs if run.finished_at is None]
        states = {run.job.state for run in runs if run.job is not None}
        order = (JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.LOST, JobState.CANCELLED)
        if not runs:
            found = vars(self).get("_reporting", ...)  # of `with_state`; without it, a query
            states = set(_reporting(str(self.pk))) if found is ... else {found}
        return next((state.value for state in order if state in states), JobState.QUEUED.value)

    @property
    def _runs(self) -> list[Run]:
        return [run for arm in self.arms.all() for run in arm.runs.all()]


def _reporting(key: Any) -> Any:
    """The state of the last job that was to write the report of the experiment `key`, as a query of at most one row."""
    reporting = Job.objects.filter(kind=REPORT_KIND, object_id=key).order_by("-created_at")
    return reporting.values_list("state", flat=True)[:1]


class Arm(models.Model):
    """One of the things compared: how it is trained beside what all arms share, or predictions from elsewhere."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="arms")
    ordinal = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=120)
    policy = models.CharField(
        max_length=60, blank=True, help_text="empty without mixed images of the release"
    )
    params = models.JSONField(
        default=dict, help_text="version, meaning and fitted parameters, as the release records them"
    )
    settings = models.JSONField(default=dict, help_text="the arm's part of the configuration")
    is_external = models.BooleanField(default=False, help_text="predictions of a model trained elsewhere")

    class Meta:
        ordering = ["ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "ordinal"], name="one_arm_per_ordinal"),
            models.UniqueConstraint(fields=["experiment", "name"], name="one_arm_per_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def frozen_seeds(self) -> list[int]:
        """The seeds that the configuration has for it; others were added later."""
        return list(self.settings.get("seeds") or self.experiment.config["seeds"])
