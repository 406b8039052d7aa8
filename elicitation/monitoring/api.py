"""Who takes part in a study, and what they reported, for programs.

Nobody's id at a recruiter is told, nor what they wrote of their own accord: only the id that hilmix drew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.urls import path
from django_filters import ChoiceFilter
from drf_spectacular.utils import extend_schema_field
from rest_framework import generics, serializers

from elicitation.monitoring.filters import EVERY_MODE, ModeFilter
from elicitation.monitoring.filters import ProblemFilters as PageFilters
from elicitation.participants.models import Participation, ProblemReport
from elicitation.studies.api import study_at
from elicitation.studies.models import Mode
from elicitation.trials.flags import Flagged, excluding, flags_of
from hilmix.pagination import Filters, Since

NAMES = serializers.ListField(child=serializers.CharField())


class ParticipationSerializer(serializers.ModelSerializer[Participation]):
    id = serializers.CharField(source="public_id", read_only=True, help_text="that hilmix drew")
    protocol_version = serializers.IntegerField(source="protocol.version", read_only=True)
    levels = serializers.DictField(child=serializers.CharField(), read_only=True, help_text="factor → level")
    started_at = serializers.DateTimeField(
        read_only=True, help_text="of an imported one, when it was imported"
    )
    over_quota = serializers.BooleanField(source="is_over_quota", read_only=True)
    flags = serializers.SerializerMethodField(help_text="that stand under the rules in force")
    left_out_by = serializers.SerializerMethodField(
        help_text="those of the flags that leave it out of labels"
    )

    class Meta:
        model = Participation
        fields = [
            *("id", "mode", "source", "state", "protocol_version", "levels", "started_at", "last_seen_at"),
            *(
                "completed_at",
                "withdrawn_at",
                "invalid_at",
                "invalid_reason",
                "over_quota",
                "flags",
                "left_out_by",
            ),
        ]
        read_only_fields = fields

    @extend_schema_field(NAMES)
    def get_flags(self, person: Participation) -> list[str]:
        return [one.rule.flag for one in self._stand(person)]

    @extend_schema_field(NAMES)
    def get_left_out_by(self, person: Participation) -> list[str]:
        return [one.rule.flag for one in excluding(self._stand(person))]

    def _stand(self, person: Participation) -> Sequence[Flagged]:
        flags: Mapping[int, Sequence[Flagged]] = self.context["flags"]
        return flags.get(person.pk, ())


class ParticipationFilters(Filters):
    mode = ModeFilter(choices=[*Mode.choices, (EVERY_MODE, "all")], help_text="live unless another is named")
    state = ChoiceFilter(choices=Participation.State.choices)
    since = Since("started_at", "last_seen_at", "completed_at", "withdrawn_at", "invalid_at")


class ParticipationView(generics.GenericAPIView[Participation]):
    serializer_class = ParticipationSerializer
    filterset_class = ParticipationFilters
    queryset = Participation.objects.none()

    def get_queryset(self) -> QuerySet[Participation]:
        self.study = study_at(self.request, self.kwargs["slug"])
        return self.study.participations.select_related("protocol")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """With the flags of those who are shown."""
        shown = args[0] if kwargs.get("many") else args[:1]
        kwargs["context"] = {**self.get_serializer_context(), "flags": self._flags(shown)}
        return self.get_serializer_class()(*args, **kwargs)

    def _flags(self, shown: Sequence[Participation]) -> dict[int, list[Flagged]]:
        by_mode = defaultdict[str, list[int]](list)
        for person in shown:
            by_mode[person.mode].append(person.pk)
        flags = (flags_of(self.study, mode=mode, only=only) for mode, only in by_mode.items())
        return {pk: stand for some in flags for pk, stand in some.items()}


class ParticipationList(ParticipationView, generics.ListAPIView[Participation]):
    """Who takes part in a study, newest first."""


class ParticipationDetail(ParticipationView, generics.RetrieveAPIView[Participation]):
    """One participation."""

    lookup_field = "public_id"


class ProblemSerializer(serializers.ModelSerializer[ProblemReport]):
    participation = serializers.CharField(
        source="participation.public_id", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = ProblemReport
        fields = ["id", "participation", "page", "text", "created_at", "handled_at"]
        read_only_fields = fields


class ProblemFilters(Filters):
    handled = ChoiceFilter(choices=[("no", "not handled"), ("yes", "handled")], method="of_state")
    since = Since("created_at", "handled_at")

    of_state = PageFilters.of_state


class ProblemList(generics.ListAPIView[ProblemReport]):
    """What participants of a study reported, newest first."""

    serializer_class = ProblemSerializer
    filterset_class = ProblemFilters
    queryset = ProblemReport.objects.none()

    def get_queryset(self) -> QuerySet[ProblemReport]:
        study = study_at(self.request, self.kwargs["slug"])
        return study.problem_reports.select_related("participation")


api_urls = [
    path("studies/<slug:slug>/participations/", ParticipationList.as_view(), name="api_participations"),
    path(
        "studies/<slug:slug>/participations/<slug:public_id>/",
        ParticipationDetail.as_view(),
        name="api_participation",
    ),
    path("studies/<slug:slug>/problems/", ProblemList.as_view(), name="api_problems"),
]
