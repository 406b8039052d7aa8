"""Pages of the hub: releases with what is in them, and their files."""

from __future__ import annotations

import json

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.hub.downloads import file_of
from hilmix.hub.models import Release
from hilmix.hub.releases import queue_freeze


@require_safe
def release_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    releases = Release.objects.visible_to(request.user).select_related("study")
    return render(request, "hub/releases.html", {"releases": releases})


@require_safe
def release_detail(request: HttpRequest, release_id: int) -> HttpResponse:
    """What the release holds: counts, label policies with their parameters, files with their hashes."""
    release = _visible(request, release_id)
    manifest = json.loads((release.directory / "manifest.json").read_text(encoding="utf-8"))
    files = [{"path": p, **facts} for p, facts in manifest["files"].items() if not p.startswith("images/")]
    context = {
        "release": release,
        "study": release.study,
        "manifest": manifest,
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
