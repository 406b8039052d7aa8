"""The page of a run, live while it trains; the images behind its figures; and what an admin may do with it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, NotFound
from hilmix.figures import Table
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.models import Job
from training.choices.services import Opening, rule_notes, see_test, unfold
from training.evaluation.symptoms import HEALTHY
from training.evaluation.values import USE_WHEN
from training.experiments.models import Experiment
from training.reports.models import RunReport
from training.reports.run import images, live
from training.reports.run.services import (
    DESCRIBE_KIND,
    cancel_run,
    queue_descriptions,
    resume_run,
    watermark_of,
)
from training.reports.tables import ARROWS
from training.reports.words import trained_words
from training.runs import keeping
from training.runs.models import Run

FIRST = (  # metrics that are read first
    "accuracy",
    "top_5_accuracy",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "log_loss",
    "human_cross_entropy",
    "ece_equal_width_15",
)


@require_safe
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far a run is while it trains, and what came of it."""
    run = _visible(request, run_id)
    assert isinstance(request.user, User)
    experiment, may_launch = run.arm.experiment, allowed(request.user, Action.LAUNCH_EXPERIMENT)
    baseline, job = live.baseline_of(run), live.job_of(run, request.user)
    curves, stored = live.curves_of(run, baseline), content_of(run)
    opening = _opening(request, run, stored, f"the page of run {run.pk}")
    content = stored if opening is None or opening.shows else None
    own = [figure for figure in content["figures"] if figure["kind"] != "gallery"] if content else []
    galleries = [figure for figure in content["figures"] if figure["kind"] == "gallery"] if content else []
    describing = None
    if run.is_done and not stored and may_launch:
        jobs = Job.objects.filter(kind=DESCRIBE_KIND, object_id=str(run.pk))
        describing = jobs.order_by("-created_at").first()
    context: dict[str, Any] = {
        "run": run,
        "experiment": experiment,
        "watermark": watermark_of(experiment),
        "n_withdrawn": n_withdrawn(experiment.release),
        "state": live.state_of(run),
        "stats": live.stats_of(run),
        "version": live.version_of(run, baseline),
        "job": job,
        "text": live.text_of(job),
        "log": live.log_of(job),
        "no_worker": live.lacks_worker(run),
        "may_cancel": may_launch and job is not None and job.can_be_cancelled and not run.is_done,
        "may_resume": may_launch and job is not None and job.can_be_retried and not run.is_done,
        "may_describe": may_launch and (describing is None or describing.is_over),
        "goes_on": keeping.checkpoints(run).is_dir(),
        "describing": describing,
        "stored": stored,
        "content": content,
        "opening": opening,
        "scores": _scores(content) if content else None,
        "groups": _groups(content) if content else [],
        "by_class": Table(**content["by_class"]) if content and content["by_class"] else None,
        "good": HEALTHY,
        "curves": curves,
        "own": own,
        "galleries": galleries,
        "cells": _cells(content) if content else [],
        "bins": [(number, images.ends_of(number)) for number in content["bins"]] if content else [],
        "figures": [*curves, *own, *galleries],
        "recipe": trained_words({k: v for k, v in run.train.items() if k != "arm"}),
        "environment": sorted(run.environment.items()),
    }
    return render(request, "training/run.html", context)


@never_cache
@require_safe
def run_live(request: HttpRequest, run_id: int) -> JsonResponse:
    """What changes while a run trains; static/js/run.js asks for it every two seconds."""
    assert isinstance(request.user, User)
    run = _visible(request, run_id)
    return JsonResponse(live.news_of(run, request.user, request.GET.get("version", "")))


@require_safe
def run_images(request: HttpRequest, run_id: int) -> HttpResponse:
    """The images behind a cell, a bin or a list of a run's page, 48 at a time."""
    run = _visible(request, run_id)
    content = content_of(run)
    if content is None:
        raise NotFound("The images of this run were not looked at yet; its page says what to do.")
    opening = _opening(request, run, content, f"the images of run {run.pk}")
    context: dict[str, Any] = {
        "run": run,
        "experiment": run.arm.experiment,
        "watermark": watermark_of(run.arm.experiment),
        "opening": opening,
    }
    if opening and not opening.shows:
        return render(request, "training/run_images.html", context)
    choice = images.choose(run, content, request.GET)
    page = Paginator([int(row) for row in choice.rows], images.A_PAGE).get_page(request.GET.get("page"))
    n = len(choice.rows)
    context |= {
        "content": content,
        "choice": choice,
        "n_words": ngettext("%(n)d image", "%(n)d images", n) % {"n": n},
        "lists": [one for one in images.titles().items() if one[0] != "people" or content["has_people"]],
        "listing": {"page": page, "query": choice.query},
        "shown": images.shown(run, content["classes"], list(page.object_list)),
        "image_set": run.arm.experiment.image_set,
    }
    return render(request, "training/run_images.html", context)


@require_safe
def run_figure(request: HttpRequest, run_id: int, key: str, extension: str) -> HttpResponse:
    """One figure of a run as a file: its data as csv, or drawn as PNG or PDF."""
    run = _visible(request, run_id)
    content = content_of(run)
    curves = live.curves_of(run, live.baseline_of(run))
    figures = [*curves, *(content["figures"] if content else ())]
    figure = next((one for one in figures if one["key"] == key), None)
    if figure is None:
        raise NotFound(f"This run has no figure {key!r}.")
    if content and content["where"] == "test" and figure not in curves:
        experiment = run.arm.experiment
        see_test(experiment=experiment, actor=request.user, by=f"the figure {key!r} of run {run_id}")
        figure = {**figure, "source": "; ".join([figure["source"], *rule_notes(experiment, short=True)])}
    watermark, pictures = watermark_of(run.arm.experiment), _pictures(run, figure, extension)
    return figure_file(figure, f"run-{run_id}-{key}", extension, watermark, pictures)


@require_POST
def run_cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """Ask its training to stop."""
    run = _visible(request, run_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        cancel_run(run=run, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("The run was asked to stop; it keeps a checkpoint."))
    return redirect(run)


@require_POST
def run_resume(request: HttpRequest, run_id: int) -> HttpResponse:
    """Let it go on from its last checkpoint."""
    run = _visible(request, run_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        resume_run(run=run, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("The run is queued again, and goes on from its last checkpoint."))
    return redirect(run)


@require_POST
def run_describe(request: HttpRequest, run_id: int) -> HttpResponse:
    """Have the pages of the finished runs of its experiment made that have none."""
    run = _visible(request, run_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        n = queue_descriptions(experiment=run.arm.experiment, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        said = ngettext("%(n)d run is being described.", "%(n)d runs are being described.", n)
        messages.success(request, said % {"n": n})
    return redirect(run)


def _opening(request: HttpRequest, run: Run, content: dict[str, Any] | None, by: str) -> Opening | None:
    """Whether what is stored of a run is shown or folded; None where it is of no test images."""
    if content is None or content["where"] != "test":
        return None
    asked = request.GET.get("test") == "shown"
    return unfold(experiment=run.arm.experiment, actor=request.user, asked=asked, by=by)


def content_of(run: Run) -> dict[str, Any] | None:
    """What is stored of a finished run; None where nothing is."""
    report: RunReport | None = getattr(run, "report", None)
    if report is None or not run.is_done:
        return None
    content: dict[str, Any] = report.content
    return content


def _pictures(run: Run, figure: dict[str, Any], extension: str) -> dict[str, Any]:
    """The pixels of a gallery's images by their addresses, of which each ends in its place in the image set."""
    if extension == "csv" or figure["kind"] != "gallery":
        return {}
    opened = run.arm.experiment.image_set.open().images
    addresses = [image["address"] for item in figure["items"] for image in item["images"]]
    return {address: opened[int(address.rpartition("/")[2].removesuffix(".png"))] for address in addresses}


def _groups(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics with the arrow that says which way is better, and whether floor and ceiling have a column."""
    found = []
    for group in content["metrics"]:
        rows = [_told(row) for row in group["rows"]]
        known = {key: any(row[key] is not None for row in rows) for key in ("floor", "ceiling")}
        found.append({**group, "rows": rows, "has_floor": known["floor"], "has_ceiling": known["ceiling"]})
    return found


def _scores(content: dict[str, Any]) -> dict[str, Any]:
    """The few that are read first."""
    known = {row["key"]: row for group in content["metrics"] for row in group["rows"]}
    rows = [_told(known[key]) for key in FIRST if key in known]
    title = _("On %(n)d %(where)s images, of this one model. Intervals are for other images.")
    return {"key": "scores", "title": title % content, "rows": rows}


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A metric with which way is better, what it is for, and what counts as good where we have a threshold."""
    key = row["key"]
    good = HEALTHY if key in ("macro_precision", "macro_recall") else None
    return {**row, "arrow": ARROWS[row["higher_is_better"]], "use_when": USE_WHEN.get(key), "good": good}


def _cells(content: dict[str, Any]) -> list[tuple[str, list[tuple[int, str]], int]]:
    """The confusion as rows of counts, each with the query that asks for its images."""
    return [
        (
            content["classes"][i],
            [(n, f"of=cell&actual={i}&predicted={j}" if n else "") for j, n in enumerate(line)],
            sum(line),
        )
        for i, line in enumerate(content["confusion"])
    ]


def _visible(request: HttpRequest, run_id: int) -> Run:
    assert isinstance(request.user, User)
    seen = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(request.user))
    of_experiment = ("release__study", "image_set", "choice")
    related = (*(f"arm__experiment__{one}" for one in of_experiment), "job", "report")
    return get_object_or_404(seen.select_related(*related), pk=run_id)
