"""Lists of the API: which rows, by declared filters only, and where the next page goes on.

A page ends in a cursor instead of a number of rows to skip, so that rows which come meanwhile shift nothing and the
last page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from django import forms
from django.core import signing
from django.db.models import Q, QuerySet
from django_filters import FilterSet, IsoDateTimeFilter
from django_filters.fields import IsoDateTimeField
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from hilmix.errors import Invalid

LIMIT, MOST = 100, 1000  # rows a page, unless asked for otherwise, and at most
LONGEST_CURSOR = 500  # characters
YEARS = range(1970, 9999)  # that every database and every time zone has


class Filters(FilterSet):
    """The filters of a list. What is not declared is ignored; a wrong value of one that is, is refused."""


class _MomentField(IsoDateTimeField):
    def clean(self, value: Any) -> Any:
        moment: datetime | None = super().clean(value)
        if moment is not None and moment.year not in YEARS:
            raise forms.ValidationError("This is no time of ours.")
        return moment


class Since(IsoDateTimeFilter):
    """Rows that came into being, or were changed, at a moment or later; the latest of `fields` counts."""

    field_class = _MomentField

    def __init__(self, *fields: str) -> None:
        self.fields = fields
        says = "made or changed at this moment or later (ISO 8601, such as 2026-11-22T10:00:00Z)"
        super().__init__(help_text=says)

    def filter(self, qs: QuerySet[Any], value: datetime | None) -> QuerySet[Any]:
        if value is None:
            return qs
        later = Q()
        for name in self.fields:
            later |= Q(**{f"{name}__gte": value})
        return qs.filter(later)


class Page(BasePagination):
    """A page of a list in its view's `order`: names of fields, all rising or all falling, that no two rows share.

    Its keys are found first, so that rows that are wide, or cost something to compute, are read of one page only.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.address = request.build_absolute_uri()
        self.order: Sequence[str] = getattr(view, "order", ("-pk",))
        # Signed for its list: only what we wrote ourselves reaches the database.
        self.salt = f"cursor:{request.path}"
        limit = _limit(request)
        if cursor := request.query_params.get("cursor", ""):
            queryset = queryset.filter(self._after(cursor))
        ordered = queryset.order_by(*self.order)
        keys = list(ordered.values_list("pk", flat=True)[: limit + 1])
        rows = list(ordered.filter(pk__in=keys))
        self.last = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        following = {
            "type": "string",
            "format": "uri",
            "nullable": True,
            "description": "the address of the rows that follow, null at the end",
        }
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {"next": following, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}
        cursor = {"type": "string", "maxLength": LONGEST_CURSOR}
        return [
            {"name": "limit", "in": "query", "description": "rows of a page", "schema": limit},
            {"name": "cursor", "in": "query", "description": "as `next` has it", "schema": cursor},
        ]

    def _next(self) -> str | None:
        if self.last is None:
            return None
        values = [str(attrgetter(name.lstrip("-").replace("__", "."))(self.last)) for name in self.order]
        return replace_query_param(self.address, "cursor", signing.dumps(values, salt=self.salt))

    def _after(self, cursor: str) -> Q:
        """The rows that stand behind those of the cursor."""
        try:
            values: list[str] = signing.loads(cursor[:LONGEST_CURSOR], salt=self.salt)
        except signing.BadSignature:
            message = "This is no cursor of this list. Begin without one."
            raise Invalid(message, fields={"cursor": [message]}) from None
        behind, alike = Q(), Q()
        for name, value in zip(self.order, values, strict=True):
            field = name.lstrip("-")
            behind |= alike & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
            alike &= Q(**{field: value})
        return behind


def _limit(request: Request) -> int:
    """How many rows were asked for.

    Raises:
        Invalid: it is no number from 1 to `MOST`.
    """
    asked = request.query_params.get("limit", "") or str(LIMIT)
    if asked.isascii() and asked.isdigit() and len(asked) <= len(str(MOST)) and 1 <= int(asked) <= MOST:
        return int(asked)
    message = f"A page has 1 to {MOST} rows."
    raise Invalid(message, fields={"limit": [message]})
