"""The page of what a run's model looks at, its pictures and its figures as files. Nothing is computed here."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from numpy.typing import NDArray

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.core.mixing import to_png
from hilmix.errors import Conflict, NotFound
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import workers_alive
from training.experiments.models import Experiment
from training.explanations.maps import plane_figure
from training.explanations.models import Explanation
from training.explanations.services import explain_run, why_not
from training.runs import keeping
from training.runs.models import Run

_ALBUMS = ("gallery", "map")


@require_safe
def of_experiment(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """To the newest explanation of an experiment, or to where the first can be asked for."""
    assert isinstance(request.user, User)
    experiment = get_object_or_404(Experiment.objects.visible_to(request.user), pk=experiment_id)
    runs = Run.objects.filter(arm__experiment=experiment, candidate=0, arm__is_external=False)
    explained = runs.exclude(explanation=None).order_by("-explanation__created_at")
    finished = runs.filter(finished_at__isnull=False)
    run = explained.first() or finished.first() or runs.first()
    if run is None:
        raise NotFound("This experiment has no run of its own whose model could be looked into.")
    return redirect("run_explanations", run_id=run.pk)


@require_safe
def run_explanations(request: HttpRequest, run_id: int) -> HttpResponse:
    """What is stored of a run's explanation, and how far the job is that makes it."""
    run = _visible(request, run_id)
    experiment = run.arm.experiment
    found = _explanation(run)
    content = found.content if found else {}
    job = found.job if found else None
    may_explain = allowed(request.user, Action.LAUNCH_EXPERIMENT)
    may_see = job is not None and Job.objects.visible_to(request.user).filter(pk=job.pk).exists()
    context = {
        "experiment": experiment,
        "run": run,
        "others": _others(run),
        "watermark": experiment.release.study.watermark,
        "n_withdrawn": n_withdrawn(experiment.release),
        "content": content,
        "figures": content.get("figures", []),
        "map": content.get("map"),
        "words": _words(),
        "files": reverse("run_explanation_figure", args=[run.pk, "any", "csv"]).removesuffix("any.csv"),
        "why_not": why_not(run),
        "job": job if may_see and job is not None and job.state != JobState.DONE else None,
        "waits": job is not None and not job.is_over,
        "no_worker": job is not None and job.state == JobState.QUEUED and not workers_alive(job.queue),
        "may_explain": may_explain and (job is None or job.is_over),
    }
    return render(request, "training/explanations.html", context)


@require_POST
def explain(request: HttpRequest, run_id: int) -> HttpResponse:
    """Queue the job that makes a run's explanation, for the first time or anew."""
    run = _visible(request, run_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        explain_run(run=run, actor=request.user)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("run_explanations", run_id=run.pk)


@require_safe
def picture(request: HttpRequest, run_id: int, album: str, place: int) -> HttpResponse:
    """One stored picture, at the size at which it is kept."""
    run = _visible(request, run_id)
    pictures = _pictures(run, album)
    if pictures is None or place >= len(pictures):
        raise NotFound("There is no such picture; the explanation may have been made anew since.")
    png = to_png(np.array(pictures[place]))
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, max-age=60"})


@require_safe
def figure(request: HttpRequest, run_id: int, key: str, extension: str) -> HttpResponse:
    """A gallery, or a plane of the map, as a file: its data as csv, or drawn as PNG or PDF."""
    run = _visible(request, run_id)
    explanation = _explanation(run)
    content: dict[str, Any] = explanation.content if explanation else {}
    found = next((one for one in content.get("figures", []) if one["key"] == key), None)
    if found is None and key.startswith("map_") and content.get("map"):
        plane = plane_figure(content["map"], key.removeprefix("map_"))
        found = plane.as_dict() if plane else None
    if found is None:
        raise NotFound(f"This explanation has no figure {key!r}.")
    pictures: dict[str, NDArray[np.uint8]] = {}
    if extension != "csv" and found["items"] and (kept := _pictures(run, "gallery")) is not None:
        addresses = {one["address"] for item in found["items"] for one in item["images"]}
        pictures = {address: np.array(kept[place]) for address, place in _places(addresses, len(kept))}
    name = f"run-{run.pk}-{key}"
    return figure_file(found, name, extension, content.get("watermark", ""), pictures)


def _words() -> dict[str, str]:
    """What the map says beside names and numbers."""
    return {
        "right": _("right"),
        "wrong": _("wrong"),
        "unknown": _("not known of these"),
        "lambda": _("λ"),
        "entropy": _("entropy"),
        "model": _("model:"),
        "people": _("people:"),
    }


def _places(addresses: set[str], n: int) -> list[tuple[str, int]]:
    """The place of each picture, by which its address ends."""
    places = [(one, int(one.rsplit("/", 1)[1].removesuffix(".png"))) for one in addresses]
    return [(address, place) for address, place in places if place < n]


def _pictures(run: Run, album: str) -> NDArray[np.uint8] | None:
    """The stored pictures uint8 [n, H, W, C], mapped from disk; None where there are none."""
    return keeping.map_array(run, f"explain/{album}.npy") if album in _ALBUMS else None


def _explanation(run: Run) -> Explanation | None:
    return Explanation.objects.select_related("job").filter(run=run).first()


def _others(run: Run) -> list[Run]:
    """The finished runs of the same experiment, with `explained`."""
    runs = Run.objects.filter(
        arm__experiment=run.arm.experiment, candidate=0, arm__is_external=False, finished_at__isnull=False
    )
    runs = runs.select_related("arm").only("seed", "fold", "candidate", "arm__name", "arm__ordinal")
    return list(runs.annotate(explained=Exists(Explanation.objects.filter(run=OuterRef("pk")))))


def _visible(request: HttpRequest, run_id: int) -> Run:
    assert isinstance(request.user, User)
    mine = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(request.user))
    related = ("arm__experiment__release__study", "arm__experiment__image_set")
    return get_object_or_404(mine.select_related(*related).defer("curves", "metrics"), pk=run_id)
