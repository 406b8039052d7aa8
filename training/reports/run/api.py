"""Runs for programs: how one was trained, its curves, its figures and what its page shows."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from rest_framework import generics, serializers

from hilmix.accounts.models import User
from training.choices.services import see_test
from training.experiments.models import Experiment
from training.reports.run.live import state_of
from training.runs.models import Run


class RunSerializer(serializers.ModelSerializer[Run]):
    experiment = serializers.IntegerField(source="arm.experiment_id", read_only=True)
    arm = serializers.CharField(source="arm.name", read_only=True)
    state = serializers.SerializerMethodField(
        help_text="waiting, queued, running, done, left out, failed, cancelled or lost"
    )
    report = serializers.SerializerMethodField(
        help_text="what its page shows beside the curves, null until that is computed"
    )

    class Meta:
        model = Run
        fields = [
            *("id", "experiment", "arm", "seed", "fold", "candidate", "state", "train", "curves", "metrics"),
            *("evaluations", "environment", "n_steps", "started_at", "finished_at", "report"),
        ]
        read_only_fields = fields

    def get_state(self, run: Run) -> str:
        return state_of(run)

    def get_report(self, run: Run) -> dict[str, Any] | None:
        return run.report.content if run.is_done and hasattr(run, "report") else None


class RunDetail(generics.RetrieveAPIView[Run]):
    """One run of an experiment that you may see, with its curves so far and all that was measured. Of a finished run
    that is figures of the test images: that they were had before an arm is chosen is written down."""

    serializer_class = RunSerializer
    queryset = Run.objects.none()
    lookup_url_kwarg = "run_id"

    def get_queryset(self) -> QuerySet[Run]:
        person = self.request.user
        assert isinstance(person, User)
        seen = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(person))
        return seen.select_related("arm__experiment__release", "arm__experiment__choice", "job", "report")

    def get_object(self) -> Run:
        run = super().get_object()
        if run.is_done and not run.candidate:  # which are judged on validation images alone
            by = f"run {run.pk} in the API"
            see_test(experiment=run.arm.experiment, actor=self.request.user, by=by)
        return run


api_urls = [path("runs/<int:run_id>/", RunDetail.as_view(), name="api_run")]
