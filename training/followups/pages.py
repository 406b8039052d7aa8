"""The page of a follow-up: how its images were picked, and their labels before and after people were asked again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.errors import Conflict, NotFound
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from hilmix.jobs.models import JobState
from hilmix.jobs.services import workers_alive
from training.experiments.models import Experiment
from training.followups.models import FollowUp
from training.followups.services import RULES, last_job, queue_estimate
from training.followups.work import labels_of, n_withdrawn_since


@require_safe
def follow_up_page(request: HttpRequest, follow_up_id: int) -> HttpResponse:
    """With `?figure=KEY.csv`, `.png` or `.pdf` a figure as a file."""
    follow_up = _visible(request, follow_up_id)
    assert isinstance(request.user, User)
    study, told = follow_up.study, labels_of(follow_up)
    if wanted := request.GET.get("figure"):
        return _file(follow_up, told, wanted)
    job = last_job(follow_up)
    waits = job is not None and not job.is_over
    sets = (
        follow_up.images.values("picked_as")
        .annotate(
            n=Count("pk"), probability=Min("inclusion_probability"), low=Min("score"), high=Max("score")
        )
        .order_by("-picked_as")
    )
    context: dict[str, Any] = {
        "follow_up": follow_up,
        "study": study,
        "watermark": study.watermark,
        "says": RULES.get(follow_up.rule["name"], follow_up.rule["name"]),
        "sets": list(sets),
        "n_rest": follow_up.rule["of"] - follow_up.rule["picked"],
        "told": told,
        "at": parse_datetime(told["at"]) if told else None,
        "n_withdrawn": n_withdrawn(follow_up.release),
        "n_withdrawn_since": n_withdrawn_since(follow_up, told),
        "frame": [one for one in told["frame"] if one["after"]] if told else [],
        "figures": told["figures"] if told else [],
        "asked": "figure=",
        "sees_experiment": Experiment.objects.visible_to(request.user)
        .filter(pk=follow_up.experiment_id)
        .exists(),
        "may_estimate": allowed(request.user, Action.EDIT_STUDY, study.pk) and not waits,
        "job": job if waits or (job is not None and job.state != JobState.DONE) else None,
        "no_worker": waits and job is not None and not workers_alive(job.queue),
    }
    return render(request, "training/follow_up.html", context)


@require_POST
def estimate(request: HttpRequest, follow_up_id: int) -> HttpResponse:
    """Queue the estimation of the labels from what people have said by now."""
    follow_up = _visible(request, follow_up_id)
    try:
        queue_estimate(follow_up=follow_up, actor=request.user)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, _("The labels are being estimated."))
    return redirect("follow_up", follow_up_id=follow_up.pk)


def _file(follow_up: FollowUp, told: dict[str, Any] | None, wanted: str) -> HttpResponse:
    key, _dot, extension = wanted.rpartition(".")
    figure = next((one for one in (told or {}).get("figures", []) if one["key"] == key), None)
    if figure is None:
        raise NotFound(f"This page has no figure {key!r}.")
    return figure_file(figure, f"follow-up-{follow_up.pk}-{key}", extension, follow_up.study.watermark)


def _visible(request: HttpRequest, follow_up_id: int) -> FollowUp:
    assert isinstance(request.user, User)
    related = ("study", "experiment", "release__study", "created_by")
    mine = FollowUp.objects.filter(study__in=Study.objects.visible_to(request.user))
    return get_object_or_404(mine.select_related(*related), pk=follow_up_id)
