"""The page of a study's exports: the files there are, and the buttons that have one more written."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.core.release_tables import columns_of
from hilmix.errors import Conflict
from hilmix.hub.answers import n_to_publish
from hilmix.hub.exporting import KEPT, file_of_export, queue_export
from hilmix.hub.models import Export
from hilmix.hub.releases import last_withdrawal


@require_http_methods(["GET", "HEAD", "POST"])
def study_exports(request: HttpRequest, slug: str) -> HttpResponse:
    """The exports of a study; sent with a `format`, it queues one and leads to its job."""
    assert isinstance(request.user, User)
    study, status = visible_study(request, slug), 200
    if request.method == "POST":
        try:
            job = queue_export(study=study, format=request.POST.get("format", ""), actor=request.user)
            return redirect("job", job_id=job.pk)
        except Conflict as refusal:
            messages.error(request, refusal.message)
            status = 409
    context = {
        "study": study,
        "exports": study.exports.select_related("created_by"),
        "withdrawal": last_withdrawal(study),
        "formats": Export.Format.choices,
        "kept": KEPT,
        "columns": columns_of("responses"),
        "n_to_publish": n_to_publish(study),
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "hub/exports.html", context, status=status)


@require_safe
def export_file(request: HttpRequest, export_id: UUID) -> FileResponse:
    assert isinstance(request.user, User)
    visible = Export.objects.filter(study__in=Study.objects.visible_to(request.user))
    return file_of_export(get_object_or_404(visible.select_related("study"), pk=export_id))
