"""Pages of the hub: releases with what is in them, and their files."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.core.release_card import labels_call
from hilmix.hub.downloads import file_of
from hilmix.hub.models import Release
from hilmix.hub.releases import n_withdrawn, queue_freeze


@require_safe
def release_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    releases = Release.objects.visible_to(request.user).select_related("study")
    return render(request, "hub/releases.html", {"releases": releases})


@require_safe
def release_detail(request: HttpRequest, release_id: int) -> HttpResponse:
    """What the release holds: counts, how was asked, label sets, files with their hashes; and whether somebody
    in it has withdrawn since."""
    release = _visible(request, release_id)
    opened = release.opened
    manifest = opened.manifest
    files = [{"path": p, **facts} for p, facts in manifest["files"].items() if not p.startswith("images/")]
    study = release.study
    context = {
        "release": release,
        "study": study,
        "manifest": manifest,
        "label_sets": opened.label_sets,
        "conditions": opened.table("conditions").to_pylist() if opened.conditions else [],
        "labels_call": labels_call(opened.label_sets),
        "n_withdrawn": n_withdrawn(release),
        "may_freeze": allowed(request.user, Action.FREEZE_RELEASE, study.pk),
        "files": files,
        "n_images": len(manifest["files"]) - len(files),
    }
    return render(request, "hub/release.html", context)


@require_safe
def release_file(request: HttpRequest, release_id: int, path: str) -> FileResponse:
    return file_of(_visible(request, release_id), path)


@require_POST
def freeze(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue the making of a release of a study; the page of the job shows how far it is."""
    assert isinstance(request.user, User)
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    job = queue_freeze(study=study, actor=request.user)
    return redirect("job", job_id=job.pk)


def _visible(request: HttpRequest, release_id: int) -> Release:
    assert isinstance(request.user, User)
    return get_object_or_404(Release.objects.visible_to(request.user).select_related("study"), pk=release_id)
