"""Image sets for programs: what there is, and each parent image."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from elicitation.images.models import ImageSet
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, only_study_of, require
from hilmix.core.mixing import to_png
from hilmix.errors import NotFound
from hilmix.pagination import Filters, Since

SIZES = serializers.DictField(child=serializers.IntegerField())


class ImageSetSerializer(serializers.ModelSerializer[ImageSet]):
    classes = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="in the order of their labels"
    )
    splits = serializers.DictField(
        child=serializers.IntegerField(), read_only=True, help_text="split → number of images"
    )

    class Meta:
        model = ImageSet
        fields = [
            *("name", "sha256", "kind", "n_images", "height", "width", "channels", "classes", "splits"),
            *("licence", "origin", "human_labels_sha256", "human_labels_licence", "created_at"),
        ]
        read_only_fields = fields


class ImageSetDetailSerializer(ImageSetSerializer):
    images_per_class = serializers.SerializerMethodField(help_text="class → number of images")
    human_votes = serializers.SerializerMethodField(
        help_text="how many votes the human labels are the shares of; null where that is not known"
    )

    class Meta(ImageSetSerializer.Meta):
        fields = [*ImageSetSerializer.Meta.fields, "images_per_class", "human_votes"]
        read_only_fields = fields

    def get_human_votes(self, image_set: ImageSet) -> int | None:
        votes = image_set.open().human_votes
        return None if votes is None else int(votes.sum())

    @extend_schema_field(SIZES)
    def get_images_per_class(self, image_set: ImageSet) -> dict[str, int]:
        labels = image_set.open().labels
        return {name: int((labels == k).sum()) for k, name in enumerate(image_set.classes)}


class ImageSetFilters(Filters):
    since = Since("created_at")


class ImageSetList(generics.ListAPIView[ImageSet]):
    """The image sets, in order of their names."""

    serializer_class = ImageSetSerializer
    filterset_class = ImageSetFilters
    order = ("name",)
    queryset = ImageSet.objects.none()

    def get_queryset(self) -> QuerySet[ImageSet]:
        return _visible(self.request)


class ImageSetDetail(generics.RetrieveAPIView[ImageSet]):
    """One image set."""

    serializer_class = ImageSetDetailSerializer
    lookup_field = "name"
    queryset = ImageSet.objects.none()

    def get_queryset(self) -> QuerySet[ImageSet]:
        return _visible(self.request)


class ParentImage(APIView):
    """An image of an image set, by its index, as PNG at native size."""

    @extend_schema(
        responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="image_sets_images_retrieve"
    )
    def get(self, request: Request, name: str, index: int) -> HttpResponse:
        image_set = get_object_or_404(_visible(request), name=name)
        if index >= image_set.n_images:
            raise NotFound(f"Image set {name!r} has no image {index}.")
        return HttpResponse(to_png(image_set.open().images[index]), content_type="image/png")


def _visible(request: Request) -> QuerySet[ImageSet]:
    """All of them, or that of the one study that the token is good for."""
    assert isinstance(request.user, User)
    study_id = only_study_of(request.user)
    require(request.user, Action.VIEW_IMAGE_SETS, study_id)
    every = ImageSet.objects.all()
    return every if study_id is None else every.filter(studies=study_id)


api_urls = [
    path("image-sets/", ImageSetList.as_view(), name="api_image_sets"),
    path("image-sets/<slug:name>/", ImageSetDetail.as_view(), name="api_image_set"),
    path("image-sets/<slug:name>/images/<int:index>/", ParentImage.as_view(), name="api_parent_image"),
]
