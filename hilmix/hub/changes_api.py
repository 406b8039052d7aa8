"""What differs between a release and the one before it, for programs."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.core.release_changes import Change
from hilmix.hub.models import Release


class RecordsSerializer(serializers.Serializer[Any]):
    same = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    gone = serializers.IntegerField()
    filled = serializers.IntegerField(default=0, help_text="that say now what was left open")


class MovedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="of the label set")
    condition = serializers.CharField(allow_null=True)
    n = serializers.IntegerField(help_text="mixed images that both releases label")
    n_moved = serializers.IntegerField()
    mean = serializers.FloatField(help_text="half the summed absolute difference of two labels, 0–1")
    p95 = serializers.FloatField()
    most = serializers.FloatField()


class ChangeSerializer(serializers.Serializer[Any]):
    previous = serializers.IntegerField(
        source="previous_id", allow_null=True, help_text="the release that it was compared with, if any"
    )
    level = serializers.CharField(help_text="major, minor or patch; empty where it was compared with none")
    reasons = serializers.ListField(child=serializers.CharField(), help_text="the weightiest first")
    tables = serializers.DictField(child=RecordsSerializer(), help_text="table → how many of its records")
    labels = MovedSerializer(many=True, help_text="how far the labels of each set moved")
    left_out = serializers.DictField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        help_text="why labels do not use answers → how many then and now",
    )


class ReleaseChanges(APIView):
    """What differs from the release before, as it was found when the release was made."""

    @extend_schema(responses=ChangeSerializer)
    def get(self, request: Request, pk: int) -> Response:
        assert isinstance(request.user, User)
        release = get_object_or_404(Release.objects.visible_to(request.user), pk=pk)
        nothing = Change("", [], {}).as_json()
        told = {**nothing, **release.change, "previous_id": release.previous_id}
        return Response(ChangeSerializer(told).data)


api_urls = [path("releases/<int:pk>/changes/", ReleaseChanges.as_view(), name="api_release_changes")]
