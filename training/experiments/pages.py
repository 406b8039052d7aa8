"""Pages of experiments: the list, the form for admins, and one experiment with its progress or its report."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_filters import ChoiceFilter

from elicitation.studies.models import Source
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, NotFound
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn, n_withdrawn
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import workers_alive
from hilmix.lists import Filters, SortedBy, TextFilter, listing
from training.experiments.forms import ExperimentForm
from training.experiments.models import Experiment
from training.experiments.services import launch_experiment
from training.reports.content import score_table
from training.reports.text import as_markdown
from training.runs.models import Run


class ExperimentFilters(Filters):
    name = TextFilter(label=gettext_lazy("Experiment"))
    release = TextFilter(field_name="release__study__slug", label=gettext_lazy("Study"))
    source = ChoiceFilter(
        field_name="release__source",
        choices=Source.choices,
        label=gettext_lazy("Answers from"),
        empty_label=gettext_lazy("all"),
    )
    order = SortedBy(
        {
            "oldest": (gettext_lazy("oldest first"), ("created_at",)),
            "name": (gettext_lazy("by name"), ("name",)),
        }
    )


@require_safe
def experiment_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    experiments = Experiment.objects.visible_to(request.user).select_related(
        "release__study", "job", "report"
    )
    found = listing(request, experiments, ExperimentFilters)
    count_withdrawn([experiment.release for experiment in found.page.object_list])
    return render(request, "training/list.html", {"listing": found})


@require_http_methods(["GET", "POST"])
def new_experiment(request: HttpRequest) -> HttpResponse:
    """The form, for `?release=NAME` if given; a good one creates the experiment and queues its training."""
    require(request.user, Action.LAUNCH_EXPERIMENT)
    form = ExperimentForm(request.user, request.POST or None, release=request.GET.get("release", ""))
    experiment = form.create() if request.method == "POST" else None
    if experiment:
        _launch(request, experiment)
        return redirect(experiment)
    context = {"form": form, "has_releases": Release.objects.exists()}
    return render(request, "training/new.html", context, status=400 if form.errors else 200)


@require_POST
def experiment_launch(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Start an experiment whose job ended before its end; finished runs are kept."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    _launch(request, experiment)
    return redirect(experiment)


@require_safe
def experiment_detail(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """How far it is while it runs, and the report once it is done."""
    experiment = _visible(request, experiment_id)
    release = experiment.release
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": release.study.watermark,
        "n_withdrawn": n_withdrawn(release),
    }
    if hasattr(experiment, "report"):
        content = experiment.report.content
        context |= {"content": content, "scores": score_table(content)}
    else:
        context |= _progress(request.user, experiment)
    return render(request, "training/detail.html", context)


@require_safe
def report_json(request: HttpRequest, experiment_id: int) -> JsonResponse:
    return JsonResponse(
        _report(request, experiment_id), json_dumps_params={"indent": 2, "ensure_ascii": False}
    )


@require_safe
def report_markdown(request: HttpRequest, experiment_id: int) -> HttpResponse:
    return HttpResponse(
        as_markdown(_report(request, experiment_id)), content_type="text/markdown; charset=utf-8"
    )


def _launch(request: HttpRequest, experiment: Experiment) -> None:
    try:
        launch_experiment(experiment=experiment, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("The experiment is queued."))


def _progress(person: Any, experiment: Experiment) -> dict[str, Any]:
    """The job as far as this person may see and steer it."""
    job = experiment.job
    runs = Run.objects.filter(arm__experiment=experiment)
    may_see = job is not None and Job.objects.visible_to(person).filter(pk=job.pk).exists()
    return {
        "job": job if may_see else None,
        "no_worker": job is not None and job.state == JobState.QUEUED and not workers_alive(job.queue),
        "may_launch": (job is None or job.is_over) and allowed(person, Action.LAUNCH_EXPERIMENT),
        "arms": experiment.arms.prefetch_related("runs"),
        "n_runs": runs.count(),
        "n_done": runs.filter(finished_at__isnull=False).count(),
    }


def _report(request: HttpRequest, experiment_id: int) -> dict[str, Any]:
    experiment = _visible(request, experiment_id)
    if not hasattr(experiment, "report"):
        raise NotFound("This experiment has no report yet; it is written when the last run ends.")
    content: dict[str, Any] = experiment.report.content
    if n := n_withdrawn(experiment.release):
        note = ngettext(
            "Contains withdrawn data: %(n)d participant of the release has taken their answers back since.",
            "Contains withdrawn data: %(n)d participants of the release have taken their answers back since.",
            n,
        )
        return {**content, "notes": [*content["notes"], note % {"n": n}]}
    return content


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    related = ("release__study", "image_set", "job", "report", "created_by")
    return get_object_or_404(
        Experiment.objects.visible_to(request.user).select_related(*related), pk=experiment_id
    )
