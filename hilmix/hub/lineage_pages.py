"""The page that shows where one object comes from and what was made of it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from hilmix.accounts.models import User
from hilmix.hub.lineage import trace


@require_safe
def lineage(request: HttpRequest, kind: str, node: str) -> HttpResponse:
    """The way of one object, up to its image set and down to the reports, each with its hash."""
    assert isinstance(request.user, User)
    found = trace(request.user, kind, node)
    return render(request, "hub/lineage.html", {"trace": found, "watermark": found.node.watermark})
