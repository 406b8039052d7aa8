"""The home page and the two health addresses. The home page shows what each app registered for it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from elicitation.images.models import ImageSet
from elicitation.studies.models import Source, Study
from hilmix.accounts.models import User
from hilmix.hub.models import Release
from hilmix.jobs.models import Job
from hilmix.jobs.services import workers_alive
from training.models import Experiment


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """For the public: what this is and which studies are open. For the signed-in: what is going on."""
    person = request.user
    if not isinstance(person, User):
        open_studies = Study.objects.filter(state=Study.State.OPEN, source=Source.PERSON)
        return render(request, "welcome.html", {"studies": open_studies})
    context = {
        "studies": Study.objects.visible_to(person).select_related("image_set")[:8],
        "releases": Release.objects.visible_to(person).select_related("study")[:5],
        "experiments": Experiment.objects.visible_to(person)[:5],
        "image_sets": ImageSet.objects.all()[:5],
        "jobs": Job.objects.visible_to(person).filter(state__in=["queued", "running"])[:5],
        "no_worker": not (workers_alive("data") and workers_alive("train")),
    }
    return render(request, "home.html", context)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The web process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The web process answers and reaches its database; `workers` says whether long work would be done."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok", "workers": {q: workers_alive(q) for q in ("data", "train")}})
