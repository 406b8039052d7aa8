"""Files that were brought to be imported, for programs of whoever may import: what each is, and what came of it."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import path, reverse
from django_filters import ChoiceFilter
from rest_framework import generics, serializers
from rest_framework.request import Request

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, require
from hilmix.hub.importers.registry import IMPORTERS
from hilmix.hub.models import Upload
from hilmix.hub.uploads import JOB_KIND
from hilmix.jobs.api import result_of
from hilmix.pagination import Filters, Since


class UploadSerializer(serializers.ModelSerializer[Upload]):
    created_by = serializers.CharField(
        source="created_by.username", read_only=True, default=None, allow_null=True
    )
    options = serializers.DictField(read_only=True, help_text="what is to be made of it")
    dry_run = serializers.BooleanField(read_only=True, help_text="whether it was only tried")

    class Meta:
        model = Upload
        fields = [
            *("id", "kind", "filename", "n_bytes", "sha256", "options", "dry_run"),
            *("created_by", "created_at", "finished_at"),
        ]
        read_only_fields = fields


class UploadDetailSerializer(UploadSerializer):
    report = serializers.DictField(
        read_only=True, help_text="counts, flaws and errors by table, row and column; empty until it was read"
    )

    class Meta(UploadSerializer.Meta):
        fields = [*UploadSerializer.Meta.fields, "report"]
        read_only_fields = fields


class UploadFilters(Filters):
    kind = ChoiceFilter(choices=[(name, one.label) for name, one in IMPORTERS.items()])
    since = Since("created_at", "finished_at")


class UploadList(generics.ListAPIView[Upload]):
    """The files that were brought, newest first."""

    serializer_class = UploadSerializer
    filterset_class = UploadFilters
    order = ("-created_at", "-pk")
    queryset = Upload.objects.none()

    def get_queryset(self) -> QuerySet[Upload]:
        return _visible(self.request).defer("report")


class UploadDetail(generics.RetrieveAPIView[Upload]):
    """One of them, with all that was said of it."""

    serializer_class = UploadDetailSerializer
    lookup_url_kwarg = "upload_id"
    queryset = Upload.objects.none()

    def get_queryset(self) -> QuerySet[Upload]:
        return _visible(self.request)


def _visible(request: Request) -> QuerySet[Upload]:
    """Everybody's, for whoever may import; a token of one study is for nothing of the instance."""
    assert isinstance(request.user, User)
    require(request.user, Action.IMPORT_IMAGES)
    return Upload.objects.select_related("created_by")


@result_of(JOB_KIND)
def upload_read(upload_id: str) -> str:
    return reverse("api_import", args=[upload_id])


api_urls = [
    path("imports/", UploadList.as_view(), name="api_imports"),
    path("imports/<uuid:upload_id>/", UploadDetail.as_view(), name="api_import"),
]
