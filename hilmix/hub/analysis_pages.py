"""The page of a study's analysis, and the figures of any analysis as files. Nothing is computed here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.errors import NotFound
from hilmix.hub.analysing import JOB_KIND, answers_of, queue_analysis
from hilmix.hub.downloads import figure_file
from hilmix.hub.models import Analysis
from hilmix.jobs.models import Job


@require_safe
def study_analysis(request: HttpRequest, slug: str) -> HttpResponse:
    """What the newest analysis found, whether answers came since, and how far a running one is."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    found = study.analyses.filter(kind=Analysis.Kind.ANSWERS).select_related("created_by")
    analysis, newest = found.exclude(finished_at=None).first(), found.first()
    unfinished = newest if newest is not None and newest.finished_at is None else None
    jobs = Job.objects.visible_to(request.user).filter(kind=JOB_KIND)
    content = analysis.content if analysis else {}
    context = {
        "study": study,
        "analysis": analysis,
        "job": jobs.filter(object_id=str(unfinished.pk)).first() if unfinished else None,
        "unfinished": unfinished,
        "n_responses": answers_of(study).count(),
        "figures": content.get("figures", []),
        "tables": content.get("tables", []),
        "notes": content.get("notes", []),
        "watermark": study.watermark,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
        "may_analyse": allowed(request.user, Action.EDIT_STUDY, study.pk),
    }
    return render(request, "hub/analysis.html", context)


@require_POST
def analyse_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue an analysis; the page of the job shows how far it is."""
    assert isinstance(request.user, User)
    job = queue_analysis(study=visible_study(request, slug), actor=request.user)
    return redirect("job", job_id=job.pk)


@require_safe
def analysis_figure(request: HttpRequest, analysis_id: int, key: str, extension: str) -> HttpResponse:
    """One figure as a file: its data as csv, or drawn as PNG or PDF."""
    assert isinstance(request.user, User)
    seen = Analysis.objects.filter(study__in=Study.objects.visible_to(request.user)).select_related("study")
    analysis = get_object_or_404(seen, pk=analysis_id)
    figure = next((one for one in analysis.content.get("figures", ()) if one["key"] == key), None)
    if figure is None:
        raise NotFound(f"This analysis has no figure {key!r}.")
    name = f"{analysis.study.slug}-{analysis.kind}-{analysis.pk}-{key}"
    return figure_file(figure, name, extension, analysis.study.watermark)
