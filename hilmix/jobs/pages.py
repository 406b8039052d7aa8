"""Pages of long work: the list, one job with its progress and log, and the buttons.

Another person's job is a 404. The buttons only call services.py, which decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django_filters import ChoiceFilter

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, NotFound
from hilmix.jobs import services
from hilmix.jobs.links import links_of
from hilmix.jobs.models import MAX_PRIORITY, Job, JobState, Pause, Queue
from hilmix.lists import Filters, SortedBy, TextFilter, listing

LINES_SHOWN = 200


class JobFilters(Filters):
    label = TextFilter(label=gettext_lazy("Job"))
    state = ChoiceFilter(
        choices=JobState.choices, label=gettext_lazy("State"), empty_label=gettext_lazy("all")
    )
    queue = ChoiceFilter(choices=Queue.choices, label=gettext_lazy("Queue"), empty_label=gettext_lazy("all"))
    order = SortedBy(
        {
            "oldest": (gettext_lazy("oldest first"), ("created_at",)),
            "finished": (gettext_lazy("finished last"), ("-finished_at",)),
        }
    )


@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.VIEW_OWN_JOBS)
    jobs = Job.objects.visible_to(request.user).select_related("created_by")
    paused = set(Pause.objects.values_list("queue", flat=True))
    context = {
        "listing": listing(request, jobs, JobFilters),
        "queues_without_worker": services.queues_without_worker(),
        "queues": [(queue, queue in paused) for queue in Queue],
        "may_pause": allowed(request.user, Action.PAUSE_QUEUE),
    }
    return render(request, "jobs/list.html", context)


@require_GET
def job_detail(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = _job(request, job_id)
    assert isinstance(request.user, User)
    context = {"job": job, "links": links_of(job, request.user), **_live(job)}
    if job.state == JobState.QUEUED:
        context["order"] = OrderForm(initial={"priority": job.priority, "not_before": job.not_before})
        context["is_paused"] = Pause.objects.filter(queue=job.queue).exists()
    return render(request, "jobs/detail.html", context)


@never_cache
@require_GET
def job_state(request: HttpRequest, job_id: uuid.UUID) -> JsonResponse:
    """What static/js/job.js shows, polled every two seconds while the job is not over."""
    job = _job(request, job_id)
    live = _live(job)
    return JsonResponse(
        {
            "state": job.state,
            "over": job.is_over,
            "cancel_requested": job.cancel_requested,
            "done": job.progress_done,
            "total": job.progress_total,
            "text": job.progress_text,
            "no_worker": live["no_worker"],
            "lines": [{"at": line_time(line.at), "text": line.text} for line in live["lines"]],
        }
    )


@require_POST
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = _job(request, job_id)
    return _steered(request, job, services.request_cancel, _("The job was asked to stop."))


@require_POST
def retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = _job(request, job_id)
    return _steered(request, job, services.retry_job, _("The job is queued again."))


class OrderForm(forms.Form):
    """How soon a waiting job begins; times are of this server's zone."""

    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        help_text=gettext_lazy("Of the jobs that wait, the highest goes first; 0 is usual."),
        min_value=-MAX_PRIORITY,
        max_value=MAX_PRIORITY,
    )
    not_before = forms.DateTimeField(
        label=gettext_lazy("Not before"),
        help_text=gettext_lazy("Leave it empty to begin as soon as a worker is free."),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


@require_POST
def reorder(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Say anew how soon a waiting job begins."""
    job = _job(request, job_id)
    form = OrderForm(request.POST)
    if not form.is_valid():
        for problems in form.errors.values():
            messages.error(request, " ".join(map(str, problems)))
        return redirect(job)
    act = partial(services.reorder_job, **form.cleaned_data)
    return _steered(request, job, act, _("The job has its new place in the queue."))


@require_POST
def pause(request: HttpRequest, queue: str) -> HttpResponse:
    """Let nothing more begin in a queue."""
    require(request.user, Action.PAUSE_QUEUE)
    services.pause_queue(queue=_queue(queue), actor=request.user)
    messages.success(request, _("Nothing more begins in this queue; what runs goes on."))
    return redirect("jobs")


@require_POST
def resume(request: HttpRequest, queue: str) -> HttpResponse:
    """Let the jobs of a queue begin again."""
    require(request.user, Action.PAUSE_QUEUE)
    services.resume_queue(queue=_queue(queue), actor=request.user)
    messages.success(request, _("Jobs of this queue begin again."))
    return redirect("jobs")


def _steered(request: HttpRequest, job: Job, act: Callable[..., None], done: str) -> HttpResponse:
    """Do something with a job, and say on its page that it is `done`, or why not."""
    try:
        act(job=job, actor=request.user)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, done)
    return redirect(job)


def line_time(at: datetime) -> str:
    return timezone.localtime(at).strftime("%H:%M:%S")


def _job(request: HttpRequest, job_id: uuid.UUID) -> Job:
    require(request.user, Action.VIEW_OWN_JOBS)
    return get_object_or_404(Job.objects.visible_to(request.user).select_related("created_by"), pk=job_id)


def _queue(name: str) -> Queue:
    if name not in Queue.values:
        raise NotFound("There is no such queue.")
    return Queue(name)


def _live(job: Job) -> dict[str, Any]:
    """What changes while one looks: the end of the log, oldest line first, and whether a worker is there."""
    lines = list(job.lines.order_by("-pk")[:LINES_SHOWN])[::-1]
    waits = job.state == JobState.QUEUED
    return {"lines": lines, "no_worker": waits and not services.workers_alive(job.queue)}
