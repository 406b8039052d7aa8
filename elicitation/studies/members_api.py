"""Who works on a study, for programs of whoever may say so."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import path
from rest_framework import generics, serializers

from elicitation.studies.api import study_at
from hilmix.accounts.models import Membership
from hilmix.accounts.roles import Action, require


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Membership
        fields = ["username", "part"]
        read_only_fields = fields


class MemberList(generics.ListAPIView[Membership]):
    """Who works on a study, in the order in which they came to it."""

    serializer_class = MembershipSerializer
    order = ("pk",)
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        study = study_at(self.request, self.kwargs["slug"])
        require(self.request.user, Action.OPEN_STUDY, study.pk)
        return study.memberships.select_related("user")


api_urls = [path("studies/<slug:slug>/members/", MemberList.as_view(), name="api_members")]
