"""Choices, model cards, weights and predictions for programs."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.api_parsers import ShallowJSONParser
from hilmix.errors import Invalid
from hilmix.jobs.api import JobSerializer, accepted, result_of
from training.choices.cards import card_of
from training.choices.models import Choice, Prediction
from training.choices.pages import arm_seen, run_seen, weights_file
from training.choices.predicting import LARGEST_BODY, MOST_IMAGES, PREDICT_KIND, ask
from training.choices.services import opened_to
from training.experiments.models import Experiment
from training.reports.tables import choice_sentence, is_sure


class ChoiceSerializer(serializers.ModelSerializer[Choice]):
    arm = serializers.CharField(source="arm.name", read_only=True)
    chosen_by = serializers.CharField(
        source="chosen_by.username", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = Choice
        fields = ["arm", "metric", "suggested", "reason", "seen_test", "chosen_by", "created_at"]
        read_only_fields = fields


class ValidationSerializer(serializers.Serializer[Any]):
    """What validation images say; without an arm that they speak for only `sentence`, which says why."""

    arm = serializers.CharField(allow_null=True, help_text="that is first")
    is_sure = serializers.BooleanField(allow_null=True, help_text="whether it is surely first")
    metric = serializers.CharField(allow_null=True)
    order = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text="best first")
    values = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="of each arm, mean over seeds"
    )
    first_share = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="how often each is first among draws"
    )
    draws = serializers.IntegerField(allow_null=True)
    n_seeds = serializers.IntegerField(allow_null=True)
    unequal_budget = serializers.BooleanField(allow_null=True)
    sentence = serializers.CharField()


class ExperimentChoiceSerializer(serializers.Serializer[Any]):
    choice = ChoiceSerializer(allow_null=True, help_text="null until an arm is chosen")
    validation = ValidationSerializer(allow_null=True, help_text="null until there is a report")
    is_open = serializers.BooleanField(help_text="whether figures of the test images are open to everybody")
    has_seen = serializers.BooleanField(help_text="whether you had them before that")
    rule = serializers.CharField(help_text="the same in words, and why")


class ExperimentChoice(APIView):
    """Which arm of an experiment was chosen, and why; and what validation images say of all."""

    @extend_schema(responses=ExperimentChoiceSerializer)
    def get(self, request: Request, experiment_id: int) -> Response:
        person = _person(request)
        related = ("report", "choice__arm", "choice__chosen_by")
        experiment = get_object_or_404(
            Experiment.objects.visible_to(person).select_related(*related), pk=experiment_id
        )
        opening = opened_to(experiment, person)
        found = {
            "choice": getattr(experiment, "choice", None),
            "validation": _validation(experiment),
            "is_open": opening.opened,
            "has_seen": opening.seen,
            "rule": opening.sentence,
        }
        return Response(ExperimentChoiceSerializer(found).data)


class ModelCard(APIView):
    """The model card of an arm, by its place in the experiment, from 0: what it was trained on and how, its figures,
    its weights and the lines that load them. Figures of the test images stand in it once an arm is chosen."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, experiment_id: int, ordinal: int) -> Response:
        arm = arm_seen(_person(request), experiment_id, ordinal)
        return Response(card_of(arm, opened_to(arm.experiment, _person(request))))


class RunWeights(APIView):
    """The weights of a finished run, as safetensors."""

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (409, "application/problem+json"): OpenApiResponse(
                OpenApiTypes.OBJECT, description="it has no weights here, or not yet"
            ),
        }
    )
    def get(self, request: Request, run_id: int) -> FileResponse:
        return weights_file(run_seen(_person(request), run_id))


class SentImageSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, help_text="what it is called in the answer")
    content = serializers.CharField(help_text="its file, PNG or JPEG say, in base64")


class SentImagesSerializer(serializers.Serializer[Any]):
    images = SentImageSerializer(many=True, help_text=f"at most {MOST_IMAGES}")


class AskRun(APIView):
    """Ask the model of a finished run about images. They are sent as JSON, or as files of a form with the name
    `images`, and kept until they are answered."""

    parser_classes = [ShallowJSONParser, MultiPartParser]

    @extend_schema(request=SentImagesSerializer, responses={202: JobSerializer})
    def post(self, request: Request, run_id: int) -> Response:
        run = run_seen(_person(request), run_id)
        if int(request.META.get("CONTENT_LENGTH") or 0) > 2 * LARGEST_BODY:  # before anything of it is read
            raise Invalid(f"This is more than the {LARGEST_BODY / 1e6:g} MB that may be sent at once.")
        prediction = ask(run=run, files=_files(request), actor=_person(request))
        assert prediction.job is not None
        return accepted(request, prediction.job)


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    run = serializers.IntegerField(source="run_id", read_only=True)
    result = serializers.DictField(
        read_only=True,
        help_text="empty until the job is done; then `classes`, and for each of `images` its name, predicted class and "
        "probabilities",
    )

    class Meta:
        model = Prediction
        fields = ["id", "run", "names", "result", "created_at"]
        read_only_fields = fields


class PredictionDetail(APIView):
    """What a run said of images."""

    @extend_schema(responses=PredictionSerializer)
    def get(self, request: Request, prediction_id: uuid.UUID) -> Response:
        seen = Prediction.objects.visible_to(_person(request))
        return Response(PredictionSerializer(get_object_or_404(seen, pk=prediction_id)).data)


@result_of(PREDICT_KIND)
def prediction_made(prediction_id: str) -> str:
    return reverse("api_prediction", args=[prediction_id])


def _validation(experiment: Experiment) -> dict[str, Any] | None:
    found = experiment.report.content.get("choice") if hasattr(experiment, "report") else None
    if not found:
        return None
    sure = is_sure(found["first_share"][found["arm"]]) if found["arm"] else None
    told: dict[str, Any] = {str(name): found.get(name) for name in ValidationSerializer().fields}
    return told | {"is_sure": sure, "sentence": choice_sentence(found)}


def _files(request: Request) -> list[tuple[str, bytes]]:
    """Names and contents of the images, however they were sent."""
    if request.FILES:
        sent = request.FILES.getlist("images")[: MOST_IMAGES + 1]
        return [(one.name or "image", one.read()) for one in sent]
    body = SentImagesSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    try:
        return [
            (one["name"], base64.b64decode(one["content"], validate=True))
            for one in body.validated_data["images"]
        ]
    except (binascii.Error, ValueError):
        raise Invalid("The content of an image is not base64.") from None


def _person(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


api_urls = [
    path("experiments/<int:experiment_id>/choice/", ExperimentChoice.as_view(), name="api_choice"),
    path(
        "experiments/<int:experiment_id>/arms/<int:ordinal>/card/", ModelCard.as_view(), name="api_model_card"
    ),
    path("runs/<int:run_id>/weights/", RunWeights.as_view(), name="api_run_weights"),
    path("runs/<int:run_id>/predict/", AskRun.as_view(), name="api_ask_run"),
    path("predictions/<uuid:prediction_id>/", PredictionDetail.as_view(), name="api_prediction"),
]
