"""What the documentation of the API says of every call: what its refusals look like, and that answers have an ETag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import (
    ResolvedComponent,
    build_basic_type,
    build_object_type,
)
from drf_spectacular.types import OpenApiTypes
from rest_framework.throttling import BaseThrottle

PROBLEM = "application/problem+json"
REASONS = {
    400: "what was sent cannot be accepted as it is",
    401: "no token, or none that is good for this",
    403: "you may not do this",
    404: "there is no such thing, or you may not see it",
    409: "it is in a state that does not allow this",
    413: "too much at once",
    415: "not JSON",
    429: "too many calls; `Retry-After` says when to go on",
}


class Schema(AutoSchema):
    """Adds the replies that all calls share (hilmix.errors.problem_json) to those that a view declares."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        replies: dict[str, Any] = super()._get_response_bodies(direction)
        if self.method == "GET":
            replies.setdefault("304", {"description": "what `If-None-Match` names is still so"})
        content = {PROBLEM: {"schema": self._refusal().ref}}
        for status in self._refusals():
            replies.setdefault(str(status), {"content": content, "description": REASONS[status]})
        return dict(sorted(replies.items()))

    def _refusals(self) -> Iterator[int]:
        yield from (401, 403)
        if self.method != "GET":
            yield from (400, 409, 413, 415)
        elif any(parameter["in"] == "query" for parameter in self._get_parameters()):
            yield 400
        if "{" in self.path or self.method != "GET":
            yield 404
        if any(isinstance(one, BaseThrottle) for one in self.view.get_throttles()):
            yield 429

    def _refusal(self) -> ResolvedComponent:
        problem = build_object_type(
            description="A refusal (RFC 9457)",
            required=["status", "code", "detail"],
            properties={
                "status": build_basic_type(OpenApiTypes.INT),
                "code": {"type": "string", "description": "one word, for programs"},
                "detail": {"type": "string", "description": "what is wrong, for people"},
                "fields": {
                    "type": "object",
                    "additionalProperties": {},
                    "description": "what is wrong by field: messages, or the same by the fields of its parts",
                },
            },
        )
        component = ResolvedComponent(
            name="Refusal", type=ResolvedComponent.SCHEMA, object="hilmix.errors.problem_json", schema=problem
        )
        self.registry.register_on_missing(component)
        return component
