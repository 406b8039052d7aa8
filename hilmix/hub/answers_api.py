"""The mixed images of a study and what people said of them, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django_filters import BooleanFilter, CharFilter, ChoiceFilter, NumberFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import pixels_of
from elicitation.monitoring.filters import EVERY_MODE, ModeFilter
from elicitation.studies.api import study_at
from elicitation.studies.models import Mode
from elicitation.studies.shown import mixed_images_of
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import User
from hilmix.core.mixing import to_png
from hilmix.core.release import pair_key
from hilmix.hub.answers_shown import RELATED, Counting, ShownAnswer, answers_shown
from hilmix.hub.labels_shown import shown_of
from hilmix.pagination import Filters, Since

MOST = 2**31 - 1


class WholeFilter(NumberFilter):
    """A whole number from 0."""

    field_class = forms.IntegerField

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=MOST, **options)


class ParentSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="in the image set")
    class_index = serializers.IntegerField()
    class_name = serializers.CharField()


class MixedImageSerializer(serializers.ModelSerializer[MixedImage]):
    key = serializers.CharField(read_only=True, help_text="as releases name it")
    first = serializers.SerializerMethodField()
    second = serializers.SerializerMethodField()

    class Meta:
        model = MixedImage
        fields = ["id", "key", "lambda_e4", "method", "sha256", "first", "second"]
        read_only_fields = fields

    @extend_schema_field(ParentSerializer)
    def get_first(self, image: MixedImage) -> dict[str, Any]:
        return _parent(image, image.pair.first_index, image.pair.first_class)

    @extend_schema_field(ParentSerializer)
    def get_second(self, image: MixedImage) -> dict[str, Any]:
        return _parent(image, image.pair.second_index, image.pair.second_class)


class LabelSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="of the label policy")
    meaning = serializers.CharField()
    asked = serializers.CharField(help_text="the way of asking whose answers it is made of")
    n = serializers.IntegerField(help_text="answers used")
    share = serializers.FloatField(
        source="lambda_", allow_null=True, help_text="of the first class, 0–1; null where it has none"
    )
    interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95%")
    shares = serializers.SerializerMethodField(help_text="class → share, 0–1, of the classes with most")
    predicted = serializers.BooleanField(help_text="whether nobody was asked about this image")

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_shares(self, label: Any) -> dict[str, float]:
        return dict(label.shares)


class MixedImageDetailSerializer(MixedImageSerializer):
    n_answers = serializers.IntegerField(help_text="of live participations, whether they count or not")
    labels = LabelSerializer(
        many=True, help_text="mixup's, people's on average, and those of the newest release"
    )

    class Meta(MixedImageSerializer.Meta):
        fields = [*MixedImageSerializer.Meta.fields, "n_answers", "labels"]
        read_only_fields = fields


class MixedImageFilters(Filters):
    lambda_e4 = WholeFilter(help_text="ten-thousandths of the first image")
    first_class = WholeFilter(field_name="pair__first_class", help_text="index of the first image's class")
    second_class = WholeFilter(field_name="pair__second_class", help_text="index of the second image's class")


class MixedImageList(generics.ListAPIView[MixedImage]):
    """The mixed images of a study, oldest first: recipes, and the hash of the pixels that they make."""

    serializer_class = MixedImageSerializer
    filterset_class = MixedImageFilters
    queryset = MixedImage.objects.none()
    order = ("pk",)

    def get_queryset(self) -> QuerySet[MixedImage]:
        return _mixed_images(self.request, self.kwargs["slug"])


class MixedImageDetail(generics.RetrieveAPIView[MixedImage]):
    """One mixed image of a study, with what people say of it beside mixup's label and those of the newest release."""

    serializer_class = MixedImageDetailSerializer
    queryset = MixedImage.objects.none()
    lookup_url_kwarg = "mixed_image_id"

    def get_queryset(self) -> QuerySet[MixedImage]:
        return _mixed_images(self.request, self.kwargs["slug"])

    def get_object(self) -> Any:
        image: Any = super().get_object()
        assert isinstance(self.request.user, User)
        study = study_at(self.request, self.kwargs["slug"])
        shown = shown_of(image, Counting(study), self.request.user)
        image.n_answers, image.labels = len(shown.answers), shown.labels
        return image


class MixedImagePicture(APIView):
    """A mixed image of a study as PNG at native size."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, mixed_image_id: int) -> HttpResponse:
        image = get_object_or_404(_mixed_images(request, slug), pk=mixed_image_id)
        return HttpResponse(to_png(pixels_of(image)), content_type="image/png")


class ResponseSerializer(serializers.Serializer[ShownAnswer]):
    id = serializers.UUIDField(source="response.id")
    participation = serializers.CharField(source="person.public_id")
    mode = serializers.ChoiceField(choices=Mode.choices, source="person.mode")
    kind = serializers.ChoiceField(choices=Trial.Kind.choices, source="trial.kind")
    position = serializers.IntegerField(source="trial.position", help_text="in the plan of the participation")
    key = serializers.SerializerMethodField(
        help_text="of the mixed image it is about, as releases name it, or of the pair where that was asked about"
    )
    condition = serializers.CharField(source="trial.condition.key")
    levels = serializers.DictField(
        child=serializers.CharField(), source="trial.levels", help_text="factor → level"
    )
    params = serializers.DictField(source="trial.params", help_text="drawn for the trial")
    payload = serializers.DictField(source="response.payload", help_text="the answer as it is stored")
    says = serializers.SerializerMethodField(
        help_text="what it says: `kind` and the fields of that kind (hilmix.core.judgements); a share is of the first "
        "image"
    )
    not_counted = serializers.CharField(help_text="why labels do not use it; empty where they do")
    rt_ms = serializers.IntegerField(source="response.rt_ms", allow_null=True)
    trial_index = serializers.IntegerField(source="response.trial_index", allow_null=True)
    time_elapsed_ms = serializers.IntegerField(source="response.time_elapsed_ms", allow_null=True)
    attempt = serializers.IntegerField(source="response.attempt")
    received_at = serializers.DateTimeField(
        source="response.received_at", help_text="of an imported answer, when it was imported"
    )

    def get_key(self, answer: ShownAnswer) -> str:
        pair, image = answer.trial.pair, answer.mixed_image
        if image is None:
            return pair_key(pair.first_index, pair.second_index)
        image.pair = pair
        return image.key

    @extend_schema_field(serializers.DictField())
    def get_says(self, answer: ShownAnswer) -> dict[str, Any]:
        said = asdict(answer.judgement)
        sets = {name: sorted(value) for name, value in said.items() if isinstance(value, frozenset)}
        return {"kind": type(answer.judgement).__name__, **said, **sets}


class ResponseFilters(Filters):
    participation = CharFilter(field_name="trial__participation__public_id", max_length=15)
    mode = ModeFilter(
        field_name="trial__participation__mode",
        choices=[*Mode.choices, (EVERY_MODE, "all")],
        help_text="live unless another is named",
    )
    kind = ChoiceFilter(field_name="trial__kind", choices=Trial.Kind.choices)
    counted = BooleanFilter(method="by_counting", help_text="whether labels use it")
    mixed_image = WholeFilter(method="about", help_text="its id; answers about its pair as well")
    since = Since("received_at")

    def by_counting(self, qs: QuerySet[Response], name: str, value: bool) -> QuerySet[Response]:
        return qs.filter(Counting.counted if value else ~Counting.counted)

    def about(self, qs: QuerySet[Response], name: str, value: int) -> QuerySet[Response]:
        pairs = MixedImage.objects.filter(pk=value).values("pair")
        of_pair = Q(trial__unit__mixed_image=None, trial__unit__pair__in=pairs)
        return qs.filter(Q(trial__unit__mixed_image=value) | of_pair)


class ResponseList(generics.ListAPIView[Any]):
    """The answers of a study by participation and trial, attention checks and repeats among them."""

    serializer_class = ResponseSerializer
    filterset_class = ResponseFilters
    queryset = Response.objects.none()
    order = ("trial__participation_id", "trial__position")

    def get_queryset(self) -> QuerySet[Response]:
        self.counting = Counting(study_at(self.request, self.kwargs["slug"]))
        return self.counting.answers().select_related(*RELATED)

    def paginate_queryset(self, queryset: Any) -> Any:
        return answers_shown(self.counting, super().paginate_queryset(queryset) or [])


def _mixed_images(request: Request, slug: str) -> QuerySet[MixedImage]:
    return mixed_images_of(study_at(request, slug)).select_related("pair__image_set")


def _parent(image: MixedImage, index: int, class_index: int) -> dict[str, Any]:
    name = image.pair.image_set.classes[class_index]
    return {"index": index, "class_index": class_index, "class_name": name}


api_urls = [
    path("studies/<slug:slug>/mixed-images/", MixedImageList.as_view(), name="api_mixed_images"),
    path(
        "studies/<slug:slug>/mixed-images/<int:mixed_image_id>/",
        MixedImageDetail.as_view(),
        name="api_mixed_image",
    ),
    path(
        "studies/<slug:slug>/mixed-images/<int:mixed_image_id>/picture/",
        MixedImagePicture.as_view(),
        name="api_mixed_image_picture",
    ),
    path("studies/<slug:slug>/responses/", ResponseList.as_view(), name="api_responses"),
]
