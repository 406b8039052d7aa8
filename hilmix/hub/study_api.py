"""What the hub made of a study, for programs: analyses, exports, simulations. How they are made is in start_api.py."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django_filters import ChoiceFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from elicitation.studies.api import study_at
from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.api_schema import PROBLEM, REASONS
from hilmix.hub.api import once
from hilmix.hub.exporting import file_of_export
from hilmix.hub.models import Analysis, Export, Import, Simulation
from hilmix.hub.origin import origin_of
from hilmix.pagination import Filters, Since


class AnalysisSerializer(serializers.ModelSerializer[Analysis]):
    study = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)

    class Meta:
        model = Analysis
        fields = ["id", "study", "kind", "n_responses", "code_version", "created_at", "finished_at"]
        read_only_fields = fields


class AnalysisDetailSerializer(AnalysisSerializer):
    watermark = serializers.CharField(
        source="study.watermark", read_only=True, help_text="what every figure of simulated answers carries"
    )
    options = serializers.DictField(read_only=True, help_text="what was asked for")
    content = serializers.DictField(
        read_only=True,
        help_text="figures (as hilmix.figures.Figure), tables and notes; empty until it is finished",
    )

    class Meta(AnalysisSerializer.Meta):
        fields = [*AnalysisSerializer.Meta.fields, "watermark", "options", "content"]
        read_only_fields = fields


class OddRowsSerializer(serializers.Serializer[Any]):
    table = serializers.CharField()
    flaw = serializers.CharField()
    n = serializers.IntegerField(allow_null=True, help_text="rows it was kept in; null for every row")


class StudyImportSerializer(serializers.ModelSerializer[Import]):
    n_rows = serializers.IntegerField(help_text="of the published tables, kept as they were")
    together = serializers.SerializerMethodField(help_text="slugs of the studies that came with it")
    odd = OddRowsSerializer(many=True, help_text="what is odd in the tables, and was kept")

    class Meta:
        model = Import
        fields = ["id", "kind", "licence", "origin", "n_rows", "together", "odd", "created_at"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_together(self, imported: Any) -> list[str]:
        return [study.slug for study in imported.studies]


class StudyImports(generics.ListAPIView[Import]):
    """Where an imported study came from; nothing of one that was not imported."""

    serializer_class = StudyImportSerializer
    queryset = Import.objects.none()

    def get_queryset(self) -> QuerySet[Import]:
        return Import.objects.filter(study=study_at(self.request, self.kwargs["slug"]))

    def paginate_queryset(self, queryset: Any) -> Any:
        assert isinstance(self.request.user, User)
        page: Any = super().paginate_queryset(queryset)
        for imported in page:
            origin = origin_of(imported, self.request.user)
            imported.n_rows, imported.odd, imported.studies = origin.n_rows, origin.odd, origin.together
        return page


class AnalysisFilters(Filters):
    kind = ChoiceFilter(choices=Analysis.Kind.choices)
    since = Since("created_at", "finished_at")


class AnalysisList(generics.ListAPIView[Analysis]):
    """The analyses of a study's answers, and how well labels predict them; newest first."""

    serializer_class = AnalysisSerializer
    filterset_class = AnalysisFilters
    queryset = Analysis.objects.none()

    def get_queryset(self) -> QuerySet[Analysis]:
        study = study_at(self.request, self.kwargs["slug"])
        return study.analyses.select_related("study").defer("content")


class AnalysisDetail(generics.RetrieveAPIView[Analysis]):
    """One analysis with its figures as data, its tables and its notes."""

    serializer_class = AnalysisDetailSerializer
    lookup_url_kwarg = "analysis_id"
    queryset = Analysis.objects.none()

    def get_queryset(self) -> QuerySet[Analysis]:
        return Analysis.objects.filter(study__in=_studies(self.request)).select_related("study")


class ExportSerializer(serializers.ModelSerializer[Export]):
    study = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)

    class Meta:
        model = Export
        fields = ["id", "study", "format", "n_rows", "n_bytes", "sha256", "created_at", "finished_at"]
        read_only_fields = fields


class ExportFilters(Filters):
    format = ChoiceFilter(choices=Export.Format.choices)
    since = Since("created_at", "finished_at")


class ExportList(generics.ListAPIView[Export]):
    """The tables that were made of a study's answers to download, newest first."""

    serializer_class = ExportSerializer
    filterset_class = ExportFilters
    order = ("-created_at", "-pk")
    queryset = Export.objects.none()

    def get_queryset(self) -> QuerySet[Export]:
        return study_at(self.request, self.kwargs["slug"]).exports.select_related("study")


class ExportDetail(generics.RetrieveAPIView[Export]):
    """One of them."""

    serializer_class = ExportSerializer
    lookup_url_kwarg = "export_id"
    queryset = Export.objects.none()

    def get_queryset(self) -> QuerySet[Export]:
        return _exports(self.request)


class ExportFile(APIView):
    """The file of an export that is finished."""

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (409, PROBLEM): OpenApiResponse(OpenApiTypes.OBJECT, REASONS[409]),
        }
    )
    def get(self, request: Request, export_id: uuid.UUID) -> HttpResponse | FileResponse:
        export = get_object_or_404(_exports(request), pk=export_id)
        return once(request, export.sha256, file_of_export(export))


class SimulationSerializer(serializers.ModelSerializer[Simulation]):
    study = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    release = serializers.IntegerField(
        source="release_id", read_only=True, help_text="whose people are simulated"
    )
    copy = serializers.SerializerMethodField(help_text="the study that holds the simulated answers")
    options = serializers.DictField(read_only=True, help_text="what was asked for")
    result = serializers.DictField(read_only=True, help_text="what was found; empty until it is finished")

    class Meta:
        model = Simulation
        fields = ["id", "study", "release", "copy", "options", "result", "created_at", "finished_at"]
        read_only_fields = fields

    def get_copy(self, simulation: Simulation) -> str | None:
        return simulation.copy.slug if simulation.copy else None


class SimulationFilters(Filters):
    since = Since("created_at", "finished_at")


class SimulationList(generics.ListAPIView[Simulation]):
    """The simulations of a study, newest first."""

    serializer_class = SimulationSerializer
    filterset_class = SimulationFilters
    queryset = Simulation.objects.none()

    def get_queryset(self) -> QuerySet[Simulation]:
        study = study_at(self.request, self.kwargs["slug"])
        return study.simulations.select_related("study", "copy")


def _studies(request: Request) -> QuerySet[Study]:
    assert isinstance(request.user, User)
    return Study.objects.visible_to(request.user)


def _exports(request: Request) -> QuerySet[Export]:
    return Export.objects.filter(study__in=_studies(request)).select_related("study")


api_urls = [
    path("studies/<slug:slug>/imports/", StudyImports.as_view(), name="api_study_imports"),
    path("studies/<slug:slug>/analyses/", AnalysisList.as_view(), name="api_analyses"),
    path("analyses/<int:analysis_id>/", AnalysisDetail.as_view(), name="api_analysis"),
    path("studies/<slug:slug>/exports/", ExportList.as_view(), name="api_exports"),
    path("exports/<uuid:export_id>/", ExportDetail.as_view(), name="api_export"),
    path("exports/<uuid:export_id>/file/", ExportFile.as_view(), name="api_export_file"),
    path("studies/<slug:slug>/simulations/", SimulationList.as_view(), name="api_simulations"),
]
