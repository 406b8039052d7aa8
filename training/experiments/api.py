"""Experiments for programs: what there is, and each report as it is stored."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path, reverse
from django_filters import CharFilter
from rest_framework import generics, serializers

from hilmix.accounts.models import User
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.api import result_of
from hilmix.pagination import Filters, Since
from training.choices.services import with_rule
from training.experiments.models import Experiment, ExperimentQuerySet
from training.runs.services import LAUNCH_KIND


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    state = serializers.CharField(read_only=True)
    release = serializers.CharField(source="release.name", read_only=True)
    image_set = serializers.CharField(source="image_set.name", read_only=True)

    class Meta:
        model = Experiment
        fields = ["id", "name", "state", "release", "image_set", "config", "config_sha256", "created_at"]
        read_only_fields = fields


class ExperimentWithReportSerializer(ExperimentSerializer):
    report = serializers.SerializerMethodField(
        help_text="the stored report, null until every run is finished; where the state is not done, runs were added "
        "since, and another takes its place when they are finished"
    )
    n_withdrawn = serializers.SerializerMethodField(
        help_text="participants of the release who have taken their answers back since"
    )

    class Meta(ExperimentSerializer.Meta):
        fields = [*ExperimentSerializer.Meta.fields, "report", "n_withdrawn"]
        read_only_fields = fields

    def get_report(self, experiment: Experiment) -> dict[str, Any] | None:
        if not hasattr(experiment, "report"):
            return None
        person = self.context["request"].user
        return with_rule(experiment.report.content, experiment=experiment, actor=person, by="the API")

    def get_n_withdrawn(self, experiment: Experiment) -> int:
        return n_withdrawn(experiment.release)


class ExperimentFilters(Filters):
    study = CharFilter(field_name="release__study__slug", max_length=60)
    since = Since("created_at", "report__created_at")


class ExperimentList(generics.ListAPIView[Experiment]):
    """The experiments on releases that you may see, newest first."""

    serializer_class = ExperimentSerializer
    filterset_class = ExperimentFilters
    queryset = Experiment.objects.none()

    def get_queryset(self) -> QuerySet[Experiment]:
        return _visible(self.request.user).with_state()


class ExperimentDetail(generics.RetrieveAPIView[Experiment]):
    """One experiment that you may see, with its report."""

    serializer_class = ExperimentWithReportSerializer
    queryset = Experiment.objects.none()

    def get_queryset(self) -> QuerySet[Experiment]:
        return _visible(self.request.user).with_state().defer(None)


@result_of(LAUNCH_KIND)
def experiment_done(experiment_id: str) -> str:
    return reverse("api_experiment", args=[experiment_id])


def _visible(person: Any) -> ExperimentQuerySet:
    assert isinstance(person, User)
    related = ("release__study", "image_set", "job", "report")
    return Experiment.objects.visible_to(person).select_related(*related)


api_urls = [
    path("experiments/", ExperimentList.as_view(), name="api_experiments"),
    path("experiments/<int:pk>/", ExperimentDetail.as_view(), name="api_experiment"),
]
