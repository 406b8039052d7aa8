"""Where any object comes from and what was made of it, for programs."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.hub.lineage import trace


class NodeSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    key = serializers.CharField(help_text="with the kind, names the object in the address of its lineage")
    title = serializers.CharField()
    url = serializers.CharField(help_text="its page; empty where it has none")
    sha256 = serializers.CharField()
    hash_of = serializers.CharField(help_text="what the hash is of")
    facts = serializers.ListField(child=serializers.CharField())
    warning = serializers.CharField(help_text="that it contains withdrawn data; empty where it does not")
    watermark = serializers.CharField(help_text="what simulated answers carry; empty for others")


class LevelSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    n = serializers.IntegerField(help_text="how many there are")
    nodes = NodeSerializer(many=True, help_text="the first of them")


class TraceSerializer(serializers.Serializer[Any]):
    node = NodeSerializer()
    above = LevelSerializer(many=True, help_text="what it was made from, the image set first")
    below = LevelSerializer(many=True, help_text="what was made of it, reports last")


class Lineage(APIView):
    """The way of one object, up to its image set and down to the reports, each with its hash."""

    @extend_schema(responses=TraceSerializer)
    def get(self, request: Request, kind: str, node: str) -> Response:
        assert isinstance(request.user, User)
        return Response(TraceSerializer(trace(request.user, kind, node)).data)


api_urls = [path("lineage/<slug:kind>/<str:node>/", Lineage.as_view(), name="api_lineage")]
