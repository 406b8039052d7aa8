"""Releases for programs: what there is, and every file of a release after the same check as on its page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django_filters import CharFilter, ChoiceFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from elicitation.studies.models import Source
from hilmix.accounts.models import User
from hilmix.hub.downloads import file_of
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn
from hilmix.pagination import Filters, Since


class _CountedReleases(serializers.ListSerializer[Any]):
    def to_representation(self, data: Any) -> list[Any]:
        return super().to_representation(count_withdrawn(data))


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    name = serializers.CharField(read_only=True)
    study = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(), read_only=True, help_text="participants, responses, mixed_images"
    )
    change = serializers.DictField(
        read_only=True, help_text="what differs from `previous`: level (major, minor, patch), tables, reasons"
    )
    n_withdrawn = serializers.IntegerField(
        read_only=True, help_text="participants of this release who have taken their answers back since"
    )

    class Meta:
        model = Release
        fields = [
            *("id", "name", "study", "version", "source", "sha256", "counts", "images", "previous", "change"),
            *("created_at", "n_withdrawn"),
        ]
        read_only_fields = fields
        list_serializer_class = _CountedReleases


class ReleaseDetailSerializer(ReleaseSerializer):
    label_sets = serializers.SerializerMethodField(help_text="as in the manifest")
    files = serializers.SerializerMethodField(help_text="path → sha256 and bytes, as in the manifest")

    class Meta(ReleaseSerializer.Meta):
        fields = [*ReleaseSerializer.Meta.fields, "label_sets", "files"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_label_sets(self, release: Release) -> list[dict[str, Any]]:
        return release.opened.label_sets

    @extend_schema_field(serializers.DictField(child=serializers.DictField()))
    def get_files(self, release: Release) -> dict[str, Any]:
        files: dict[str, Any] = release.opened.manifest["files"]
        return files


class ReleaseFilters(Filters):
    study = CharFilter(field_name="study__slug", max_length=60)
    source = ChoiceFilter(choices=Source.choices, help_text="where its answers come from")
    since = Since("created_at")


class ReleaseList(generics.ListAPIView[Release]):
    """The releases you may see, newest first."""

    serializer_class = ReleaseSerializer
    filterset_class = ReleaseFilters
    queryset = Release.objects.none()

    def get_queryset(self) -> QuerySet[Release]:
        assert isinstance(self.request.user, User)
        return Release.objects.visible_to(self.request.user).select_related("study")


class ReleaseDetail(generics.RetrieveAPIView[Release]):
    """One release that you may see, with its label sets and files."""

    serializer_class = ReleaseDetailSerializer
    queryset = Release.objects.none()

    def get_queryset(self) -> QuerySet[Release]:
        assert isinstance(self.request.user, User)
        return Release.objects.visible_to(self.request.user).select_related("study")

    def get_object(self) -> Release:
        (release,) = count_withdrawn([super().get_object()])
        return release


class ReleaseFile(APIView):
    """A file of a release, by its path in the manifest."""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int, path: str) -> HttpResponse | FileResponse:
        assert isinstance(request.user, User)
        release = get_object_or_404(Release.objects.visible_to(request.user).select_related("study"), pk=pk)
        facts = release.opened.manifest["files"].get(path)
        sha256 = facts["sha256"] if facts else f"{release.sha256}-{release.name}"
        return once(request, sha256, file_of(release, path))


def once(request: Request, sha256: str, file: FileResponse) -> HttpResponse | FileResponse:
    """The file, or 304 where the caller has what has this hash already."""
    file["ETag"] = etag = quote_etag(sha256)
    if (unchanged := get_conditional_response(request._request, etag)) is None:
        return file
    assert file.file_to_stream is not None
    file.file_to_stream.close()  # closing the response would end the request
    unchanged["ETag"] = etag
    return unchanged


api_urls = [
    path("releases/", ReleaseList.as_view(), name="api_releases"),
    path("releases/<int:pk>/", ReleaseDetail.as_view(), name="api_release"),
    path("releases/<int:pk>/files/<path:path>", ReleaseFile.as_view(), name="api_release_file"),
]
