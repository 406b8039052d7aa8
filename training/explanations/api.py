"""What a run's model looks at, for programs: the explanation as it is stored."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.jobs.api import result_of
from training.experiments.models import Experiment
from training.explanations.services import EXPLAIN_KIND
from training.runs.models import Run


class RunExplanation(APIView):
    """Heat maps and the map of features of a run's model, as they are stored: figures, points, planes, notes. 404 until
    an admin has had them made on the page of the run. Pictures have their addresses in the figures."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, run_id: int) -> Response:
        assert isinstance(request.user, User)
        mine = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(request.user))
        run = get_object_or_404(mine.select_related("explanation"), pk=run_id)
        if not hasattr(run, "explanation") or not run.explanation.content:
            raise Http404("It is not finished.")
        return Response(run.explanation.content)


@result_of(EXPLAIN_KIND)
def explanation_done(run_id: str) -> str:
    return reverse("api_run_explanation", args=[run_id])


api_urls = [path("runs/<int:run_id>/explanation/", RunExplanation.as_view(), name="api_run_explanation")]
