"""How lists of the API are cut: 100 at a time, 1,000 if asked for."""

from __future__ import annotations

from rest_framework.pagination import LimitOffsetPagination


class Page(LimitOffsetPagination):
    default_limit = 100
    max_limit = 1000
