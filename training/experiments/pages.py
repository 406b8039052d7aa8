"""Pages of experiments: the list, the form for admins, and one experiment with its progress or its report."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_filters import ChoiceFilter

from elicitation.studies.models import Source
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.hub.downloads import figure_file
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn, n_withdrawn
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import workers_alive
from hilmix.lists import Filters, SortedBy, TextFilter, listing
from training.choices.services import rule_notes, see_test, with_rule
from training.experiments.arm_forms import numbers
from training.experiments.copy_form import CopyForm
from training.experiments.forms import ExperimentForm
from training.experiments.models import Experiment
from training.reports.as_told import content_of
from training.reports.pages import arms_shown, runs_shown, shown
from training.reports.parts import of_test
from training.reports.text import as_markdown
from training.reports.words import configuration_words, forecast_words
from training.runs.models import Run
from training.runs.services import (
    add_seeds,
    cancel_experiment,
    current_job,
    launch_experiment,
)


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
    experiments = Experiment.objects.visible_to(request.user).with_state().select_related("release__study")
    found = listing(request, experiments, ExperimentFilters)
    count_withdrawn([experiment.release for experiment in found.page.object_list])
    return render(request, "training/list.html", {"listing": found})


@require_http_methods(["GET", "POST"])
def new_experiment(request: HttpRequest) -> HttpResponse:
    """The form for `?release=NAME`, the newest without one; a good one creates the experiment and queues its
    training. `?copy=ID` fills it with the configuration of an experiment, for its release where none is named."""
    require(request.user, Action.LAUNCH_EXPERIMENT)
    releases = list(Release.objects.select_related("study__image_set"))
    origin = _origin(request)
    asked = request.POST.get("release") or request.GET.get("release", origin.release.name if origin else "")
    release = next((one for one in releases if one.name == asked), releases[0] if releases else None)
    if release is None:
        return render(request, "training/new.html", {}, status=400 if request.method == "POST" else 200)
    do = request.POST.get("do")
    submitted = request.method == "POST" and do not in ("more", "release")
    data, more = request.POST or None, do == "more"
    form = (
        CopyForm(request.user, release, data, origin=origin, more=more)
        if origin
        else ExperimentForm(request.user, release, data, more=more)
    )
    if submitted:
        if asked != release.name:
            form.add_error(
                None, _("There is no release %(name)s any more; this is another.") % {"name": asked}
            )
        elif experiment := form.create():
            _launch(request, experiment)
            return redirect(experiment)
    context = {"form": form, "releases": releases, "release": release}
    return render(request, "training/new.html", context, status=400 if submitted else 200)


@require_POST
def experiment_launch(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Start an experiment whose job ended before its end; finished runs are kept."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    _launch(request, experiment)
    return redirect(experiment)


@require_POST
def experiment_cancel(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Stop whatever of it waits or runs; finished runs are kept, the others go on from their checkpoints."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        cancel_experiment(experiment=experiment, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    return redirect(experiment)


@require_POST
def experiment_seeds(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Train further seeds of a finished experiment; its report stays until it is written anew."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    given = numbers(request.POST.get("seeds", ""))
    seeds = [one for one in given if isinstance(one, int)]
    try:
        if len(seeds) < len(given) or not seeds:
            raise Invalid(_("Seeds are whole numbers, such as 5, 6."))
        add_seeds(experiment=experiment, seeds=seeds, actor=request.user)
    except (Conflict, Invalid) as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(
            request, _("The seeds are queued. The report is written anew when they are trained.")
        )
    return redirect(experiment)


@require_safe
def experiment_detail(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """How far it is while it runs, and the report once it is done."""
    experiment = _visible(request, experiment_id, runs_shown())
    release = experiment.release
    arms = arms_shown(experiment)
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": release.study.watermark,
        "n_withdrawn": n_withdrawn(release),
        "configuration": configuration_words(experiment.config),
        "arms": arms,
    }
    if not experiment.is_reported:
        context |= _progress(request.user, experiment, [run for _arm, _about, runs in arms for run in runs])
    if hasattr(experiment, "report"):
        context |= shown(request.user, experiment)
    return render(request, "training/detail.html", context)


@require_safe
def report_json(request: HttpRequest, experiment_id: int) -> JsonResponse:
    return JsonResponse(
        _report(request, experiment_id, "report.json"), json_dumps_params={"indent": 2, "ensure_ascii": False}
    )


@require_safe
def report_markdown(request: HttpRequest, experiment_id: int) -> HttpResponse:
    return HttpResponse(
        as_markdown(_report(request, experiment_id, "report.md")), content_type="text/markdown; charset=utf-8"
    )


@require_safe
def report_figure(request: HttpRequest, experiment_id: int, key: str, extension: str) -> HttpResponse:
    """One figure of the report as a file: its data as csv, or drawn as PNG or PDF."""
    experiment = _visible(request, experiment_id)
    content = content_of(experiment)
    figure = next((one for one in content["figures"] if one["key"] == key), None)
    if figure is None:
        raise NotFound(f"This report has no figure {key!r}.")
    if of_test(content, key):
        see_test(experiment=experiment, actor=request.user, by=f"the figure {key!r}")
        figure = {**figure, "source": "; ".join([figure["source"], *rule_notes(experiment, short=True)])}
    return figure_file(figure, f"experiment-{experiment_id}-{key}", extension, content["watermark"])


def _origin(request: HttpRequest) -> Experiment | None:
    """The experiment that is to be trained again with changes, if one is named."""
    named = request.POST.get("copy") or request.GET.get("copy", "")
    if not named:
        return None
    if not (named.isascii() and named.isdecimal() and len(named) < 19):
        raise NotFound(_("There is no such experiment to copy."))
    return _visible(request, int(named))


def _launch(request: HttpRequest, experiment: Experiment) -> None:
    try:
        launch_experiment(experiment=experiment, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("The experiment is queued."))


def _progress(person: Any, experiment: Experiment, runs: list[Run]) -> dict[str, Any]:
    """The job that tells best how far it is, as far as this person may see and steer it, and what became of `runs`."""
    job = current_job(experiment)
    may_see = job is not None and Job.objects.visible_to(person).filter(pk=job.pk).exists()
    resting = all(run.job is None or run.job.is_over for run in runs) and (job is None or job.is_over)
    return {
        "job": job if may_see else None,
        "no_worker": job is not None and job.state == JobState.QUEUED and not workers_alive(job.queue),
        "may_cancel": not resting and allowed(person, Action.LAUNCH_EXPERIMENT),
        "may_launch": resting and allowed(person, Action.LAUNCH_EXPERIMENT),
        "ended": [run for run in runs if _ended_early(run)]
        if allowed(person, Action.LAUNCH_EXPERIMENT)
        else [],
        "n_runs": len(runs),
        "n_done": sum(run.is_done for run in runs),
        "forecast": forecast_words(experiment.forecast),
    }


def _ended_early(run: Run) -> bool:
    return not run.is_done and run.job is not None and run.job.can_be_retried


def _report(request: HttpRequest, experiment_id: int, by: str) -> dict[str, Any]:
    experiment = _visible(request, experiment_id)
    return with_rule(content_of(experiment), experiment=experiment, actor=request.user, by=by)


def _visible(request: HttpRequest, experiment_id: int, runs: QuerySet[Run] | None = None) -> Experiment:
    assert isinstance(request.user, User)
    related = ("release__study", "image_set", "job", "report", "choice", "created_by")
    return get_object_or_404(
        Experiment.objects.visible_to(request.user).with_state(runs).defer(None).select_related(*related),
        pk=experiment_id,
    )
