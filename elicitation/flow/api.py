"""The participant's calls: the plan, its images, answers, events, completion. No cookie, no λ, no early code."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response as Reply
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from elicitation.flow import saving, services
from elicitation.flow.access import HasWindow, ParticipationAuthentication, Window
from elicitation.flow.config import plan_of
from elicitation.flow.events import record_events
from elicitation.flow.examples import example_image
from elicitation.mixes.services import pixels_of
from elicitation.participants.models import Participation, ParticipationEvent
from elicitation.participants.services import link_of
from elicitation.studies.reading import reading_of
from elicitation.trials.models import TrialImage
from hilmix.core.mixing import to_png
from hilmix.errors import Conflict, NotFound

MAX_STORED, MAX_DEPTH = 20_000, 10  # characters and levels of one answer or event
NO_TEXT = re.compile(r"\\u0000|[\ud800-\udfff]")  # NUL as JSON writes it, and halves of surrogate pairs


class TooLarge(APIException):
    status_code = 413
    default_detail = "Too much at once: send at most 20 answers or events a call."
    default_code = "too_large"


class StoredField(serializers.DictField):
    """An object that is kept as it came: small, shallow, and of characters that every database keeps."""

    default_error_messages = {
        "too_large": f"At most {MAX_STORED:,} characters of JSON, nested at most {MAX_DEPTH} deep.",
        "not_text": "It holds a character that is none.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        if _is_deeper(value, MAX_DEPTH) or len(text := json.dumps(value, ensure_ascii=False)) > MAX_STORED:
            self.fail("too_large")
        if NO_TEXT.search(text):
            self.fail("not_text")
        return value


def _is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inside)


class ParticipationThrottle(SimpleRateThrottle):
    """Counts calls per participation, never per address.

    It stops a browser gone wild, so each web process counts for itself: a cache that all share would cost every
    saved answer more than the answer does.
    """

    scope = "participation"
    cache = LocMemCache("participation-throttle", {"OPTIONS": {"MAX_ENTRIES": 10_000}})

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        if not isinstance(request.auth, Window):
            return None
        return f"throttle-{self.scope}-{request.auth.participation.public_id}"


class PictureThrottle(ParticipationThrottle):
    """Pictures are many and come all at once: they must not take the room of answers, nor be cut off half-way."""

    scope = "pictures"


class ParticipationView(APIView):
    """What all calls share: who signs, how often, how much."""

    authentication_classes = [ParticipationAuthentication]
    permission_classes = [HasWindow]
    throttle_classes = [ParticipationThrottle]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise TooLarge
        super().initial(request, *args, **kwargs)

    @property
    def window(self) -> Window:
        auth = self.request.auth
        assert isinstance(auth, Window)
        return auth

    @property
    def participation(self) -> Participation:
        return self.window.participation


class AnswerSerializer(serializers.Serializer[saving.Incoming]):
    id = serializers.UUIDField()
    position = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    payload = StoredField()
    rt_ms = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    trial_index = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    time_elapsed_ms = serializers.IntegerField(min_value=0, max_value=2**53, required=False, allow_null=True)
    started_at = serializers.DateTimeField(required=False, allow_null=True)
    ended_at = serializers.DateTimeField(required=False, allow_null=True)
    attempt = serializers.IntegerField(min_value=1, max_value=10_000, default=1)


class AnswersSerializer(serializers.Serializer[Any]):
    epoch = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    responses = AnswerSerializer(many=True, min_length=1, max_length=20)  # type: ignore[call-arg]  # many's arguments


class ReceiptSerializer(serializers.Serializer[saving.Receipt]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(
        choices=["created", "exists", "conflict", "superseded", "invalid", "unknown", "closed"]
    )
    message = serializers.CharField(allow_blank=True)


class ReceiptsSerializer(serializers.Serializer[Any]):
    results = ReceiptSerializer(many=True)
    stale_epoch = serializers.BooleanField()
    answered = serializers.IntegerField()
    total = serializers.IntegerField()


class EventSerializer(serializers.Serializer[ParticipationEvent]):
    id = serializers.UUIDField()
    kind = serializers.RegexField(r"^[a-z_]{1,40}$")
    t_ms = serializers.IntegerField(min_value=0, max_value=2**53)
    data = StoredField(default=dict)  # type: ignore[assignment]  # a field, though named like .data


class EventsSerializer(serializers.Serializer[Any]):
    events = EventSerializer(many=True, min_length=1, max_length=20)  # type: ignore[call-arg]  # many's arguments


class EventReceiptSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["kept", "closed"])


class EventReceiptsSerializer(serializers.Serializer[Any]):
    results = EventReceiptSerializer(many=True)


class PlannedTrialSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField()
    images = serializers.ListField(child=serializers.CharField())
    params = serializers.DictField()
    way = serializers.IntegerField(help_text="its way of asking, as the page's configuration numbers them")
    attempt = serializers.IntegerField()


class ExampleSerializer(serializers.Serializer[Any]):
    images = serializers.ListField(child=serializers.CharField())
    params = serializers.DictField()
    way = serializers.IntegerField(help_text="the way of asking that it is an example of")


class PlanSerializer(serializers.Serializer[Any]):
    epoch = serializers.IntegerField()
    answered = serializers.IntegerField()
    total = serializers.IntegerField()
    next_index = serializers.IntegerField(help_text="trial_index of the next answer")
    elapsed_ms = serializers.IntegerField(help_text="time_elapsed_ms of the newest answer")
    long_gap = serializers.BooleanField(help_text="away so long that the short instructions are due")
    comprehension_passed = serializers.BooleanField()
    comprehension_rounds = serializers.IntegerField()
    examples = ExampleSerializer(many=True)
    trials = PlannedTrialSerializer(many=True)


class CompleteSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0, max_value=2**31 - 1)


class CompletedSerializer(serializers.Serializer[Any]):
    next_url = serializers.CharField()


class MissingSerializer(serializers.Serializer[Any]):
    missing_positions = serializers.ListField(child=serializers.IntegerField())


class PlanView(ParticipationView):
    """The trials still to be answered, in the stored order, and where the way goes on."""

    @extend_schema(responses=PlanSerializer, operation_id="participation_plan")
    def get(self, request: Request) -> Reply:
        if self.participation.state == Participation.State.WITHDRAWN:
            raise Conflict("You have withdrawn from this study; there is nothing left to do.")
        return Reply(plan_of(self.participation, self.window.epoch))


class ImageView(ParticipationView):
    """A mixed image of the caller's own plan as PNG at native size. Its address says nothing about λ."""

    throttle_classes = [PictureThrottle]

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="participation_image")
    def get(self, request: Request, image_id: int) -> HttpResponse:
        shown = TrialImage.objects.filter(pk=image_id, trial__participation=self.participation)
        image = shown.select_related("mixed_image__pair__image_set").first()
        if image is None:
            raise NotFound("This image is not in your plan.")
        return _png(to_png(pixels_of(image.mixed_image)))


class ExampleView(ParticipationView):
    """An image for practising the controls, from outside the trials."""

    throttle_classes = [PictureThrottle]

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="participation_example")
    def get(self, request: Request, way: int, number: int, order: int) -> HttpResponse:
        ways = reading_of(self.participation.protocol).ways_of(self.participation.levels)
        if way >= len(ways):
            raise NotFound("There is no such example.")
        _levels, asking = ways[way]
        return _png(to_png(example_image(self.participation.study, asking.settings, number, order)))


class ResponsesView(ParticipationView):
    """Save 1 to 20 answers, each exactly once; the receipt says what became of each."""

    @extend_schema(
        request=AnswersSerializer, responses=ReceiptsSerializer, operation_id="participation_responses"
    )
    def post(self, request: Request) -> Reply:
        sent = AnswersSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        receipts = saving.save_responses(
            participation=self.participation,
            epoch=min(sent.validated_data["epoch"], self.window.epoch),
            answers=[saving.Incoming(**answer) for answer in sent.validated_data["responses"]],
        )
        answered, total = services.answered_of(self.participation)
        results = [asdict(receipt) for receipt in receipts]
        stale = self.window.is_stale
        return Reply({"results": results, "stale_epoch": stale, "answered": answered, "total": total})


class EventsView(ParticipationView):
    """Keep what happened on the way. An event sent twice is kept once; after withdrawing none is."""

    @extend_schema(
        request=EventsSerializer, responses=EventReceiptsSerializer, operation_id="participation_events"
    )
    def post(self, request: Request) -> Reply:
        sent = EventsSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        events = [ParticipationEvent(**event) for event in sent.validated_data["events"]]
        status = "kept" if record_events(participation=self.participation, events=events) else "closed"
        return Reply({"results": [{"id": event.pk, "status": status} for event in events]})


class CompleteView(ParticipationView):
    """Hand over: the server checks that it holds every planned answer, and only then says where to go on."""

    @extend_schema(
        request=CompleteSerializer,
        responses={200: CompletedSerializer, 409: MissingSerializer},
        operation_id="participation_complete",
    )
    def post(self, request: Request) -> Reply:
        CompleteSerializer(data=request.data).is_valid(raise_exception=True)
        if missing := services.complete(participation=self.participation):
            return Reply({"missing_positions": missing}, status=409)
        return Reply({"next_url": reverse("participation_survey", args=[link_of(self.participation)])})


def _png(data: bytes) -> HttpResponse:
    return HttpResponse(data, content_type="image/png", headers={"Cache-Control": "private, max-age=86400"})
