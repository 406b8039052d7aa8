"""The calls that have something made of a study: each queues a job and answers at once where to ask how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elicitation.studies.api import study_at
from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.core.licences import LICENCES
from hilmix.hub import analysing, exporting, releases, scoring, simulating
from hilmix.hub.models import Export, Freeze, Release
from hilmix.hub.release_options import LONGEST_DESCRIPTION, LONGEST_NAME, MOST_CREATORS, proposed_options
from hilmix.jobs.api import JobSerializer, accepted, result_of
from hilmix.jobs.models import Job

MOST = 2**31 - 1


class NothingSerializer(serializers.Serializer[Any]):
    """There is nothing to choose."""


class StartView(APIView):
    """Has something made of a study, with what was sent for it."""

    sent: type[serializers.Serializer[Any]]

    def post(self, request: Request, slug: str) -> Response:
        study = study_at(request, slug)
        assert isinstance(request.user, User)
        body = self.sent(data=request.data)
        body.is_valid(raise_exception=True)
        return accepted(request, self.start(study, request.user, **body.validated_data))

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        raise NotImplementedError


def taking(sent: type[serializers.Serializer[Any]]) -> Callable[[type[StartView]], type[StartView]]:
    """The decorated call takes what `sent` declares."""

    def declare(view: type[StartView]) -> type[StartView]:
        view.sent = sent
        body = None if sent is NothingSerializer else sent
        return extend_schema_view(post=extend_schema(request=body, responses={202: JobSerializer}))(view)

    return declare


class FreezeOptionsSerializer(serializers.Serializer[Any]):
    """What is left out is as in the release before, or as is proposed for the first."""

    images = serializers.ChoiceField(choices=Release.Images.choices, required=False)
    licence = serializers.ChoiceField(choices=list(LICENCES), required=False)
    creators = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_NAME),
        required=False,
        min_length=1,
        max_length=MOST_CREATORS,
    )
    description = serializers.CharField(max_length=LONGEST_DESCRIPTION, required=False)


@taking(FreezeOptionsSerializer)
class StartFreeze(StartView):
    """Freeze a release of everything answered so far."""

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        chosen = replace(proposed_options(study), **options)
        return releases.queue_freeze(study=study, actor=actor, options=chosen)


class ExportOptionsSerializer(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=Export.Format.choices)


@taking(ExportOptionsSerializer)
class StartExport(StartView):
    """Write the answers of a study to one file."""

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        return exporting.queue_export(study=study, actor=actor, **options)


@taking(NothingSerializer)
class StartAnalysis(StartView):
    """Analyse what people say."""

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        return analysing.queue_analysis(study=study, actor=actor)


class ScoreOptionsSerializer(serializers.Serializer[Any]):
    repeats = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=scoring.MOST_REPEATS,
        help_text="how often answers are dealt out anew",
    )


@taking(ScoreOptionsSerializer)
class StartScores(StartView):
    """Judge labels by how well they predict the answers of people left out."""

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        return scoring.queue_scores(study=study, actor=actor, **options)


class SimulationOptionsSerializer(serializers.Serializer[Any]):
    release = serializers.IntegerField(min_value=1, max_value=MOST, help_text="whose people are simulated")
    repetitions = serializers.IntegerField(
        required=False,
        min_value=20,
        max_value=simulating.MOST_REPETITIONS,
        help_text="of the design in memory",
    )
    answers = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=simulating.MOST_ANSWERS),
        required=False,
        max_length=simulating.MOST_NUMBERS,
        help_text="numbers of answers a unit to compare",
    )
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)


@taking(SimulationOptionsSerializer)
class StartSimulation(StartView):
    """Simulate a study with people like those of a release."""

    def start(self, study: Study, actor: User, **options: Any) -> Job:
        release = get_object_or_404(Release.objects.visible_to(actor), pk=options.pop("release"))
        return simulating.queue_simulation(study=study, release=release, actor=actor, **options)


@result_of(releases.JOB_KIND)
def release_made(freeze_id: str) -> str | None:
    wish = Freeze.objects.select_related("study", "release").filter(pk=freeze_id).first()
    release = wish and releases.release_of(wish)
    return reverse("api_release", args=[release.pk]) if release else None


@result_of(exporting.JOB_KIND)
def export_made(export_id: str) -> str:
    return reverse("api_export", args=[export_id])


@result_of(analysing.JOB_KIND)
@result_of(scoring.JOB_KIND)
def analysis_made(analysis_id: str) -> str:
    return reverse("api_analysis", args=[analysis_id])


api_urls = [
    path("studies/<slug:slug>/freeze/", StartFreeze.as_view(), name="api_freeze"),
    path("studies/<slug:slug>/export/", StartExport.as_view(), name="api_start_export"),
    path("studies/<slug:slug>/analyse/", StartAnalysis.as_view(), name="api_analyse"),
    path("studies/<slug:slug>/score-labels/", StartScores.as_view(), name="api_score_labels"),
    path("studies/<slug:slug>/simulate/", StartSimulation.as_view(), name="api_simulate"),
]
