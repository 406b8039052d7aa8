"""Errors for people: what was wrong, where, and what to do; as a page for browsers and problem+json for programs.

Services raise these. Anything else that escapes is a bug and is answered without internals.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response

from hilmix.core.errors import DataError

log = logging.getLogger(__name__)


class DomainError(Exception):
    """A refusal with a message for the person who asked; `fields` holds messages per form field, if any."""

    status = 400
    code = "invalid"

    def __init__(self, message: str, *, fields: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class Invalid(DomainError):
    """What was sent cannot be accepted as it is."""


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"


class NotFound(DomainError):
    """There is no such thing, or the caller may not know of it."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """The thing is in a state that does not allow this."""

    status = 409
    code = "conflict"


class DomainErrorMiddleware:
    """Shows a `DomainError` or `DataError` that a page's view let through as a page with its message."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, DataError):
            exception = Invalid(str(exception))
        if not isinstance(exception, DomainError):
            return None
        context = {"title": TITLES.get(exception.status, "This did not work"), "message": exception.message}
        return render(request, "error.html", context, status=exception.status)


TITLES = {
    403: "You may not do this",
    404: "There is nothing here",
    409: "Not in this state",
}


def problem_json(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal of the API as application/problem+json (RFC 9457)."""
    if isinstance(exception, DataError):
        exception = Invalid(str(exception))
    headers: dict[str, str] = {}
    body: dict[str, Any]
    if isinstance(exception, DomainError):
        body = {"status": exception.status, "code": exception.code, "detail": exception.message}
        if exception.fields:
            body["fields"] = exception.fields
    elif isinstance(exception, Http404):
        body = {"status": 404, "code": "not_found", "detail": "There is no such thing."}
    elif isinstance(exception, PermissionDenied):
        body = {"status": 403, "code": "forbidden", "detail": "You may not do this."}
    elif isinstance(exception, RequestDataTooBig):
        body = {"status": 413, "code": "too_large", "detail": "This is more than may be sent at once."}
    elif isinstance(exception, TooManyFilesSent):
        most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        body = {"status": 413, "code": "too_large", "detail": f"At most {most} files may be sent at once."}
    elif isinstance(exception, ValidationError):
        body = {"status": 400, "code": "invalid", "detail": "Some of what was sent cannot be accepted."}
        body["fields"] = (
            exception.detail if isinstance(exception.detail, dict) else {"non_field_errors": exception.detail}
        )
    elif isinstance(exception, APIException):
        detail: Any = exception.detail
        code = getattr(detail, "code", exception.default_code)
        body = {"status": exception.status_code, "code": code, "detail": detail}
        if header := getattr(exception, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(exception, "wait", None):
            headers["Retry-After"] = str(int(wait))
    else:
        return None
    return Response(body, status=body["status"], headers=headers, content_type="application/problem+json")


def server_error(request: HttpRequest) -> HttpResponse:
    """What a person or program is told after a bug of ours: an id to report, no internals (checklist S17).

    The page is made without the request: asking who is signed in may be the very thing that failed.
    """
    reference = uuid.uuid4().hex[:8]
    log.error("error page shown, reference %s, %s %r", reference, request.method, request.path)
    message = f"It has been written down. If you report it, name the reference {reference}."
    if is_for_programs(request):
        return _problem(500, "server_error", f"Something went wrong on our side. {message}")
    context = {"title": "Something went wrong on our side", "message": message}
    return HttpResponse(render_to_string("error.html", context), status=500)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_programs(request):
        return _problem(404, "not_found", "There is no such address.")
    context = {"title": TITLES[404], "message": "The address is wrong, or you may not see what is there."}
    return render(request, "error.html", context, status=404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    context = {"title": TITLES[403], "message": "Ask an admin if you think you should."}
    return render(request, "error.html", context, status=403)


def is_for_programs(request: HttpRequest) -> bool:
    return request.path.startswith("/api/v1/")


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    body = {"status": status, "code": code, "detail": detail}
    return JsonResponse(body, status=status, content_type="application/problem+json")
