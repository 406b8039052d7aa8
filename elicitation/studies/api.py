"""Studies for programs: the ones the token's owner may see. Participants' identities are in no answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.shortcuts import get_object_or_404
from django.urls import path
from django_filters import ChoiceFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elicitation.studies.factors import cells_of
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.protocol import settings_of
from elicitation.studies.versions import changes_in, versions_of
from hilmix.accounts.models import User
from hilmix.pagination import Filters, Since


class StudySerializer(serializers.ModelSerializer[Study]):
    image_set = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    protocol_sha256 = serializers.SerializerMethodField()
    design = serializers.SerializerMethodField()

    class Meta:
        model = Study
        fields = [
            "slug",
            "title",
            "state",
            "source",
            "image_set",
            "protocol_sha256",
            "design",
            "created_at",
            "opened_at",
            "closed_at",
        ]
        read_only_fields: list[str] = fields

    def get_protocol_sha256(self, study: Study) -> str:
        return _newest(study).sha256

    def get_design(self, study: Study) -> dict[str, Any]:
        design: dict[str, Any] = _newest(study).content["design"]
        return design


class StudyDetailSerializer(StudySerializer):
    protocol_version = serializers.SerializerMethodField()
    frozen_at = serializers.SerializerMethodField(
        help_text="when the first answer of a participant under this version came"
    )
    cells = serializers.SerializerMethodField(
        help_text="the combinations of levels that differ between people, in the order of a slot's cell"
    )
    hypotheses = serializers.SerializerMethodField(help_text="the planned tests, as the protocol has them")

    class Meta(StudySerializer.Meta):
        fields = [*StudySerializer.Meta.fields, "protocol_version", "frozen_at", "cells", "hypotheses"]
        read_only_fields = fields

    def get_protocol_version(self, study: Study) -> int:
        return _newest(study).version

    def get_frozen_at(self, study: Study) -> datetime | None:
        return _newest(study).frozen_at

    def get_cells(self, study: Study) -> list[dict[str, str]]:
        return [dict(levels) for levels in cells_of(settings_of(_newest(study).content).factors)]

    def get_hypotheses(self, study: Study) -> list[dict[str, Any]]:
        hypotheses: list[dict[str, Any]] = settings_of(_newest(study).content).as_content()["hypotheses"]
        return hypotheses


class StudyFilters(Filters):
    state = ChoiceFilter(choices=Study.State.choices)
    source = ChoiceFilter(choices=Source.choices, help_text="where its answers come from")
    since = Since("created_at", "opened_at", "closed_at")


class StudyList(generics.ListAPIView[Study]):
    """The studies you may see, newest first."""

    serializer_class = StudySerializer
    filterset_class = StudyFilters
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        return _studies(self.request)


class StudyDetail(generics.RetrieveAPIView[Study]):
    """One study that you may see, and what its protocol has planned."""

    serializer_class = StudyDetailSerializer
    lookup_field = "slug"
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        return _studies(self.request)


class StudyProtocol(APIView):
    """All that decides what participants of a study see and how their answers are read, as it is hashed."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, slug: str) -> Response:
        return Response(_newest(get_object_or_404(_studies(request), slug=slug)).content)


class ProtocolSerializer(serializers.ModelSerializer[Protocol]):
    n_live = serializers.IntegerField(read_only=True, help_text="live participations under this version")

    class Meta:
        model = Protocol
        fields = ["version", "sha256", "created_at", "frozen_at", "n_live"]
        read_only_fields = fields


class DifferenceSerializer(serializers.Serializer[Any]):
    what = serializers.CharField(source="label", help_text="what differs, in words")
    before = serializers.CharField(allow_null=True, help_text="null where it was not there")
    after = serializers.CharField(allow_null=True, help_text="null where it is no more")


class ProtocolDetailSerializer(ProtocolSerializer):
    content = serializers.DictField(read_only=True, help_text="as it is hashed")
    differences = serializers.SerializerMethodField(help_text="from the version before; none of the first")

    class Meta(ProtocolSerializer.Meta):
        fields = [*ProtocolSerializer.Meta.fields, "content", "differences"]
        read_only_fields = fields

    @extend_schema_field(DifferenceSerializer(many=True))
    def get_differences(self, protocol: Protocol) -> Any:
        _before, differences = changes_in(protocol)
        return DifferenceSerializer(differences, many=True).data


class ProtocolFilters(Filters):
    since = Since("created_at", "frozen_at")


class ProtocolList(generics.ListAPIView[Protocol]):
    """The versions of a study's protocol, newest first."""

    serializer_class = ProtocolSerializer
    filterset_class = ProtocolFilters
    order = ("-version",)
    queryset = Protocol.objects.none()

    def get_queryset(self) -> QuerySet[Protocol]:
        return versions_of(study_at(self.request, self.kwargs["slug"]))


class ProtocolDetail(generics.RetrieveAPIView[Protocol]):
    """One version of a study's protocol, and what it says otherwise than the one before."""

    serializer_class = ProtocolDetailSerializer
    lookup_field = "version"
    queryset = Protocol.objects.none()

    def get_queryset(self) -> QuerySet[Protocol]:
        return versions_of(study_at(self.request, self.kwargs["slug"]))


def study_at(request: Request, slug: str) -> Study:
    """The study at `slug`, if the caller may see it."""
    assert isinstance(request.user, User)
    return get_object_or_404(Study.objects.visible_to(request.user).select_related("image_set"), slug=slug)


def _studies(request: Request) -> QuerySet[Study]:
    """The studies that the caller may see, each with the version in force, at a constant number of queries."""
    assert isinstance(request.user, User)
    versions = Protocol.objects.filter(study=OuterRef("study")).order_by("-version").values("version")
    newest = Protocol.objects.filter(version=Subquery(versions[:1]))
    return (
        Study.objects.visible_to(request.user)
        .select_related("image_set")
        .prefetch_related(Prefetch("protocols", newest, to_attr="newest"))
    )


def _newest(study: Study) -> Protocol:
    protocol: Protocol = study.newest[0]  # type: ignore[attr-defined]  # prefetched by _studies
    return protocol


api_urls = [
    path("studies/", StudyList.as_view(), name="api_studies"),
    path("studies/<slug:slug>/", StudyDetail.as_view(), name="api_study"),
    path("studies/<slug:slug>/protocol/", StudyProtocol.as_view(), name="api_study_protocol"),
    path("studies/<slug:slug>/protocols/", ProtocolList.as_view(), name="api_protocols"),
    path("studies/<slug:slug>/protocols/<int:version>/", ProtocolDetail.as_view(), name="api_protocol"),
]
