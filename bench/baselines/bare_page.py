"""Baseline for a page: its bytes, ready, behind the same server, middleware and sign-in.

It omits: reading the object that the page is about, the check whether this person may see it, and rendering.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

PAGE = settings.VAR / "bench-page.html"


def bare_page(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    return HttpResponse(PAGE.read_bytes())
