"""Releases for programs: what there is, and every file of a release after the same check as on its page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.hub.downloads import file_of
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn


class _CountedReleases(serializers.ListSerializer[Any]):
    def to_representation(self, data: Any) -> list[Any]:
        return super().to_representation(count_withdrawn(data))


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    name = serializers.CharField(read_only=True)
    study = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    n_withdrawn = serializers.IntegerField(
        read_only=True, help_text="participants of this release who have taken their answers back since"
    )

    class Meta:
        model = Release
        fields = ["id", "name", "study", "version", "source", "sha256", "counts", "created_at", "n_withdrawn"]
        read_only_fields = fields
        list_serializer_class = _CountedReleases


class ReleaseList(generics.ListAPIView[Release]):
    """The releases you may see, newest first."""

    serializer_class = ReleaseSerializer

    def get_queryset(self) -> QuerySet[Release]:
        assert isinstance(self.request.user, User)
        return Release.objects.visible_to(self.request.user).select_related("study")


class ReleaseDetail(generics.RetrieveAPIView[Release]):
    """One release that you may see."""

    serializer_class = ReleaseSerializer
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
    def get(self, request: Request, pk: int, path: str) -> FileResponse:
        assert isinstance(request.user, User)
        release = get_object_or_404(Release.objects.visible_to(request.user), pk=pk)
        return file_of(release, path)


api_urls = [
    path("releases/", ReleaseList.as_view(), name="api_releases"),
    path("releases/<int:pk>/", ReleaseDetail.as_view(), name="api_release"),
    path("releases/<int:pk>/files/<path:path>", ReleaseFile.as_view(), name="api_release_file"),
]
