"""One configuration over the releases of a study: the page, and the buttons that train it anew or compare it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.hub.downloads import figure_file
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn
from hilmix.jobs.models import Job, JobState
from training.choices.services import Opening, rule_notes, unfold_all
from training.experiments.models import Experiment
from training.runs.services import launch_experiment
from training.trends import services
from training.trends.series import later_releases, series_of, with_compared

OF_TEST = ("over_time", "release_steps")  # figures of the test images


@require_safe
def over_time(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """What was compared, and the releases; `?figure=KEY.csv`, `.png` or `.pdf` sends a figure as a file."""
    experiment = _visible(request, experiment_id)
    assert isinstance(request.user, User)
    series = series_of(experiment, person=request.user)
    count_withdrawn([one.release for one in series])
    content = _stored(series)
    wanted = request.GET.get("figure", "")
    asked = request.GET.get("test") == "shown" or wanted.partition(".")[0] in OF_TEST
    folded = _folded(series, content, request.user)
    opening = _opening(folded, experiment, request.user, asked=asked)
    if wanted:
        return _file(folded, experiment, content, wanted)
    may = allowed(request.user, Action.LAUNCH_EXPERIMENT)
    done = [one for one in series if hasattr(one, "report")]
    working = Job.objects.filter(
        kind=services.COMPARE_KIND,
        object_id__in=[str(one.pk) for one in series],
        state__in=(JobState.QUEUED, JobState.RUNNING),
    )
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "series": series[::-1],
        "content": content,
        "steps": _steps(content)[::-1],
        "opening": opening,
        "figures": [
            one for one in (content or {}).get("figures", ()) if opening.shows or one["key"] not in OF_TEST
        ],
        "n_reported": len(done),
        "stale": content is not None and _is_stale(content, done),
        "stands_in": content is not None and _stands_in(content, experiment),
        "may_launch": may,
        "later": later_releases(experiment) if may else [],
        "working": len(done) > 1 and working.exists(),
    }
    return render(request, "training/over_time.html", context)


@require_POST
def retrain(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Train the same configuration on the release that is named."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    wanted = request.POST.get("release", "")
    release = Release.objects.resolve(wanted) if "@" in wanted else None
    if release is None:
        raise NotFound(_("Say on which release, such as %(name)s.") % {"name": experiment.release.name})
    try:
        made = services.retrain(experiment=experiment, release=release, actor=request.user)
    except Invalid as refusal:
        messages.error(request, refusal.message)
        copied = f"{reverse('new_experiment')}?copy={experiment.pk}&release={release.name}"
        messages.info(
            request, _("The configuration does not fit this release as it is. Change here what must be.")
        )
        return redirect(copied)
    try:
        launch_experiment(experiment=made, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("The same configuration is queued on %(name)s.") % {"name": release.name})
    return redirect(made)


@require_POST
def compare(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Have the releases compared now."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        services.compare_releases(experiment=experiment, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, _("It is queued; load this page again in a moment."))
    return redirect("experiment_over_time", experiment.pk)


def _opening(folded: Sequence[Experiment], experiment: Experiment, person: User, *, asked: bool) -> Opening:
    """The rule for the page: its figures are of the test images of every experiment compared, so they are folded while
    those of one are, and who unfolds them is written down for each."""
    if not folded:
        return Opening(True, "")
    shows = unfold_all(experiments=folded, actor=person, asked=asked, by="over time")
    one = next((one for one in folded if one.pk == experiment.pk), folded[0])
    said = _(
        "Of the experiment on %(name)s no arm is chosen yet. Until one is, by validation figures and with a reason, "
        "figures of its test images are folded here: whoever unfolds them is written down, and their choice says so."
    ) % {"name": one.release.name}
    return Opening(False, f"{said} {_('You have done so.')}" if shows else said, seen=shows)


def _folded(series: Sequence[Experiment], content: dict[str, Any] | None, person: User) -> list[Experiment]:
    """Of the experiments compared, of which one may stand in the place of another of the series, those that an arm is
    to be chosen of, by validation figures (`first_arm`), and none is."""
    here = {one.pk: one for one in series}
    keys = [one["experiment"] for one in content["releases"]] if content else []
    if any(key not in here for key in keys):
        others = Experiment.objects.visible_to(person).filter(pk__in=keys)
        here |= {one.pk: one for one in with_compared(others)}
    compared = [here[key] for key in keys if key in here]
    return [one for one in compared if vars(one)["first_arm"] is not None and not hasattr(one, "choice")]


def _file(
    folded: Sequence[Experiment], experiment: Experiment, content: dict[str, Any] | None, wanted: str
) -> HttpResponse:
    key, _dot, extension = wanted.partition(".")
    figure = next((one for one in (content or {}).get("figures", ()) if one["key"] == key), None)
    if content is None or figure is None:
        raise NotFound(_("There is no such figure here."))
    if key in OF_TEST:
        notes = [note for one in folded[:1] for note in rule_notes(one, short=True)]
        figure = {**figure, "source": "; ".join([figure["source"], *notes])}
    return figure_file(figure, f"experiment-{experiment.pk}-{key}", extension, content["watermark"])


def _stored(series: Sequence[Experiment]) -> dict[str, Any] | None:
    """What was last compared: kept with the report on the newest release that has it."""
    kept: list[dict[str, Any] | None] = [vars(one)["over_time"] for one in reversed(series)]
    return next((one for one in kept if one), None)


def _is_stale(content: dict[str, Any], done: Sequence[Experiment]) -> bool:
    """Whether a release has a report since, or a report was written anew."""
    told = {(one["number"], one["reported"]) for one in content["releases"]}
    theirs = {one["experiment"] for one in content["releases"]}
    numbers = {one["number"] for one in content["releases"]}
    return any(
        one.release.number not in numbers
        or (one.pk in theirs and (one.release.number, one.report.created_at.isoformat()) not in told)
        for one in done
    )


def _stands_in(content: dict[str, Any], experiment: Experiment) -> int | None:
    """The other experiment on this experiment's release that was compared in its place."""
    other = (one["experiment"] for one in content["releases"] if one["number"] == experiment.release.number)
    return next((pk for pk in other if pk != experiment.pk), None)


def _steps(content: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Each step with the rows of its table: an arm, and what is said of it by each metric."""
    if content is None:
        return []
    return [
        {
            **step,
            "rows": [
                {
                    "name": name,
                    "cells": [
                        (one["name"], arm["differences"].get(one["key"])) for one in content["metrics"]
                    ],
                    "labels": arm["labels"],
                    "n_seeds": max((one["n_seeds"] for one in arm["differences"].values()), default=None),
                }
                for name, arm in step["arms"].items()
            ],
        }
        for step in content["steps"]
    ]


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    return get_object_or_404(Experiment.objects.visible_to(request.user).with_report(), pk=experiment_id)
