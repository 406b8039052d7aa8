"""What of an experiment can be taken away: its report as files that open anywhere, and the file that repeats it."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_safe

from hilmix.accounts.models import User
from hilmix.errors import Conflict, NotFound
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import workers_alive
from training.choices.services import see_test
from training.experiments.models import Experiment
from training.reports.paper.pdf import missing
from training.reports.paper.reproducing import is_promised, reproduction_file
from training.reports.paper.services import HTML, PDF, folder_of, latest_job, queue_paper, why_gone


@require_http_methods(["GET", "HEAD", "POST"])
def experiment_paper(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """The files of a report; sent, it has them written."""
    experiment = _visible(request, experiment_id)
    if request.method == "POST":
        assert isinstance(request.user, User)
        try:
            queue_paper(experiment=experiment, actor=request.user)
        except Conflict as refusal:
            messages.info(request, refusal.message)
        return redirect("experiment_paper", experiment.pk)
    there = hasattr(experiment, "report")
    folder = folder_of(experiment) if there else None
    job = latest_job(experiment)
    html, pdf = (folder is not None and (folder / name).is_file() for name in (HTML, PDF))
    lacks = "" if pdf else missing()
    context = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "promised": is_promised(experiment),
        "there": there,
        "html": html,
        "pdf": pdf,
        "missing": lacks,
        "gone": why_gone(experiment, job)
        if there and job is not None and job.state == JobState.DONE and not html
        else [],
        "job": job,
        "may_see_job": job is not None and Job.objects.visible_to(request.user).filter(pk=job.pk).exists(),
        "no_worker": job is not None and not job.is_over and not workers_alive(job.queue),
        "may_ask": there and (job is None or job.is_over) and not (html and (pdf or lacks)),
    }
    return render(request, "training/paper.html", context)


@require_safe
@gzip_page  # its pictures and figures are text; what a caller sends is not in it
def report_html(request: HttpRequest, experiment_id: int) -> FileResponse:
    return _file(request, experiment_id, HTML, "text/html; charset=utf-8")


@require_safe
def report_pdf(request: HttpRequest, experiment_id: int) -> FileResponse:
    return _file(request, experiment_id, PDF, "application/pdf")


@require_safe
def reproduce_toml(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """The file with which `run_experiment` does the same again, and says whether the numbers are the same."""
    experiment = _visible(request, experiment_id)
    named = {"Content-Disposition": f'attachment; filename="experiment-{experiment.pk}-reproduce.toml"'}
    text = reproduction_file(experiment)
    see_test(experiment=experiment, actor=request.user, by="reproduce.toml")
    return HttpResponse(text, content_type="application/toml; charset=utf-8", headers=named)


def _file(request: HttpRequest, experiment_id: int, name: str, media: str) -> FileResponse:
    """A file of the present report, to be kept: shown from here, its own styles would be refused."""
    experiment = _visible(request, experiment_id)
    path = folder_of(experiment) / name
    if not path.is_file():
        raise NotFound(
            _(
                "This file is not written yet, or of before an arm was chosen, the report written anew or somebody "
                "withdrew. The page “On paper” says which, and writes it again."
            )
        )
    see_test(experiment=experiment, actor=request.user, by=name)
    called = f"experiment-{experiment.pk}-{name}"
    return FileResponse(path.open("rb"), as_attachment=True, filename=called, content_type=media)


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    experiments = Experiment.objects.visible_to(request.user).with_state().defer(None)
    return get_object_or_404(experiments.with_report(), pk=experiment_id)
