"""Follow-ups for programs: studies of the mixed images on which models, people and mixup disagree, and their labels."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.api import JobSerializer, accepted, result_of
from training.experiments.models import Experiment
from training.followups.models import FollowUp, PickedAs
from training.followups.services import JOB_KIND, RULES, Asked, create_follow_up, queue_estimate
from training.followups.work import labels_of, n_withdrawn_since


class AskedSerializer(serializers.Serializer[Any]):
    arm = serializers.CharField(max_length=120, help_text="whose models disagree")
    rule = serializers.ChoiceField(choices=list(RULES), help_text="by which images are picked")
    n = serializers.IntegerField(min_value=1, max_value=50_000, help_text="as many are drawn at random")
    answers = serializers.IntegerField(min_value=1, max_value=1000, help_text="people who answer each")
    slug = serializers.SlugField(max_length=60, help_text="the study will be at /s/SLUG/")
    title = serializers.CharField(max_length=120, help_text="participants see it")
    seed = serializers.IntegerField(
        required=False, min_value=0, max_value=2**32 - 1, help_text="of the images at random; left out: drawn"
    )


class FollowUpSerializer(serializers.ModelSerializer[FollowUp]):
    study = serializers.CharField(source="study.slug", read_only=True)
    experiment = serializers.IntegerField(source="experiment_id", read_only=True)
    release = serializers.CharField(source="release.name", read_only=True)
    rule = serializers.SerializerMethodField(
        help_text="`name` of the rule, by which `arm` with its `seeds` and `runs` it `picked` so many `of` so many"
    )
    created_by = serializers.CharField(
        source="created_by.username", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = FollowUp
        fields = ["id", "study", "experiment", "release", "rule", "seed", "created_by", "created_at"]
        read_only_fields = fields

    def get_rule(self, follow_up: FollowUp) -> dict[str, Any]:
        return {name: value for name, value in follow_up.rule.items() if name != "before"}


class FollowUpImageSerializer(serializers.Serializer[Any]):
    row = serializers.IntegerField(help_text="of the release's mixed images, from 0")
    picked_as = serializers.ChoiceField(choices=PickedAs.choices)
    score = serializers.FloatField(allow_null=True, help_text="of the rule; what is largest is picked first")
    inclusion_probability = serializers.FloatField()
    model = serializers.FloatField(allow_null=True, help_text="share of the first parent, as the rule saw it")
    people = serializers.FloatField(allow_null=True, help_text="the same by the answers of the release")


class FollowUpDetailSerializer(FollowUpSerializer):
    watermark = serializers.CharField(source="study.watermark", help_text="empty where people answered")
    images = serializers.SerializerMethodField()
    labels = serializers.SerializerMethodField(
        help_text="what was estimated last: of each image `labels`, and what is left of the distances (`sets`, "
        "`falls`, `frame`), with figures; null before"
    )
    n_withdrawn = serializers.SerializerMethodField(
        help_text="participants of the release who have taken their answers back since"
    )
    n_withdrawn_since = serializers.SerializerMethodField(
        help_text="participants of the study who have done so since labels were estimated"
    )

    class Meta(FollowUpSerializer.Meta):
        own = ["watermark", "images", "labels", "n_withdrawn", "n_withdrawn_since"]
        fields = [*FollowUpSerializer.Meta.fields, *own]
        read_only_fields = fields

    @extend_schema_field(FollowUpImageSerializer(many=True))
    def get_images(self, follow_up: FollowUp) -> Any:
        names = ("row", "picked_as", "score", "inclusion_probability")
        before = follow_up.rule["before"]
        rows = [{**row, **before[str(row["row"])]} for row in follow_up.images.values(*names)]
        return FollowUpImageSerializer(rows, many=True).data

    def get_labels(self, follow_up: FollowUp) -> dict[str, Any] | None:
        return labels_of(follow_up)

    def get_n_withdrawn(self, follow_up: FollowUp) -> int:
        return n_withdrawn(follow_up.release)

    def get_n_withdrawn_since(self, follow_up: FollowUp) -> int:
        return n_withdrawn_since(follow_up, labels_of(follow_up))


class FollowUpList(generics.ListAPIView[FollowUp]):
    """The studies made of what an experiment's models, people and mixup disagree on, newest first."""

    serializer_class = FollowUpSerializer
    queryset = FollowUp.objects.none()

    def get_queryset(self) -> QuerySet[FollowUp]:
        return _visible(self.request).filter(experiment=self._experiment())

    @extend_schema(request=AskedSerializer, responses={201: FollowUpDetailSerializer})
    def post(self, request: Request, experiment_id: int) -> Response:
        """Make a draft study of the images that a rule picks and of as many at random; it is yours."""
        experiment = self._experiment()
        body = AskedSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = create_follow_up(
            experiment=experiment, asked=Asked(**body.validated_data), actor=_person(request)
        )
        said = FollowUpDetailSerializer(made).data
        return Response(said, status=201, headers={"Location": _address(request, made.pk)})

    def _experiment(self) -> Experiment:
        seen = Experiment.objects.visible_to(_person(self.request)).select_related("release__study")
        return get_object_or_404(seen, pk=self.kwargs["experiment_id"])


class FollowUpDetail(generics.RetrieveAPIView[FollowUp]):
    """One of them: its images and how they were picked, and their labels once they were estimated."""

    serializer_class = FollowUpDetailSerializer
    lookup_url_kwarg = "follow_up_id"
    queryset = FollowUp.objects.none()

    def get_queryset(self) -> QuerySet[FollowUp]:
        return _visible(self.request)


class EstimateFollowUp(APIView):
    """Estimate the labels of its images from what people have said by now."""

    @extend_schema(request=None, responses={202: JobSerializer})
    def post(self, request: Request, follow_up_id: int) -> Response:
        follow_up = get_object_or_404(_visible(request), pk=follow_up_id)
        return accepted(request, queue_estimate(follow_up=follow_up, actor=_person(request)))


@result_of(JOB_KIND)
def labels_estimated(follow_up_id: str) -> str:
    return reverse("api_follow_up", args=[follow_up_id])


def _address(request: Request, follow_up_id: int) -> str:
    return request.build_absolute_uri(reverse("api_follow_up", args=[follow_up_id]))


def _visible(request: Request) -> QuerySet[FollowUp]:
    mine = FollowUp.objects.filter(study__in=Study.objects.visible_to(_person(request)))
    return mine.select_related("study", "release__study", "created_by")


def _person(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


api_urls = [
    path("experiments/<int:experiment_id>/follow-ups/", FollowUpList.as_view(), name="api_follow_ups"),
    path("follow-ups/<int:follow_up_id>/", FollowUpDetail.as_view(), name="api_follow_up"),
    path(
        "follow-ups/<int:follow_up_id>/estimate/", EstimateFollowUp.as_view(), name="api_estimate_follow_up"
    ),
]
