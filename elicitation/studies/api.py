"""Studies for programs: the ones the token's owner may see. Participants' identities are in no answer."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from rest_framework import generics, serializers

from elicitation.studies.models import Study
from hilmix.accounts.models import User


class StudySerializer(serializers.ModelSerializer[Study]):
    image_set = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    protocol_sha256 = serializers.CharField(source="protocol.sha256", read_only=True)
    design = serializers.DictField(source="protocol.content.design", read_only=True)

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
            "opened_at",
            "closed_at",
        ]
        read_only_fields = fields


class StudyList(generics.ListAPIView[Study]):
    """The studies you may see."""

    serializer_class = StudySerializer

    def get_queryset(self) -> QuerySet[Study]:
        assert isinstance(self.request.user, User)
        return Study.objects.visible_to(self.request.user).select_related("image_set")


class StudyDetail(generics.RetrieveAPIView[Study]):
    """One study that you may see."""

    serializer_class = StudySerializer
    lookup_field = "slug"
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        assert isinstance(self.request.user, User)
        return Study.objects.visible_to(self.request.user).select_related("image_set")


api_urls = [
    path("studies/", StudyList.as_view(), name="api_studies"),
    path("studies/<slug:slug>/", StudyDetail.as_view(), name="api_study"),
]
