"""How pages show long lists: declared filters, a declared order, and 50 rows at a time.

A list answers to the parameters that its `Filters` declare and to `page`; any other is ignored, so that no name of a
field can be asked through (platform checklist S2). A wrong value is said beside its field and filters nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import Count, IntegerField, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django_filters import CharFilter, ChoiceFilter, DateFilter, FilterSet

PAGE_SIZE = 50
LONGEST_SEARCH = 100  # characters

Order = tuple[str | Promise, tuple[str, ...]]  # what it is called, and the fields


class FilterForm(forms.Form):
    """The filters above a list; their ids differ from those of any other form of the page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "filter_%s", **kwargs})


class Filters(FilterSet):
    """The base of every list's filters. Declare each filter; never `Meta.fields`, which would add lookups."""

    class Meta:
        form = FilterForm


class TextFilter(CharFilter):
    """Rows whose field holds the text, in capitals or not."""

    def __init__(self, **options: Any) -> None:
        searched = forms.TextInput(attrs={"type": "search"})
        super().__init__(
            **{"lookup_expr": "icontains", "widget": searched, **options}, max_length=LONGEST_SEARCH
        )


class DayFilter(DateFilter):
    """A day, chosen in the browser's own calendar."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": forms.DateInput(attrs={"type": "date"}), **options})


class SortedBy(ChoiceFilter):
    """The order of a list, out of `orders`: name → what it is called and the fields to order by."""

    def __init__(self, orders: Mapping[str, Order], **options: Any) -> None:
        self.orders = orders
        choices = [(name, label) for name, (label, _fields) in orders.items()]
        super().__init__(**{"choices": choices, "label": _("Order"), "empty_label": _("usual"), **options})

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.order_by(*self.orders[value][1]) if value else qs


def number_of(rows: QuerySet[Any], of: str) -> Coalesce:
    """A column of a list: how many of `rows`, which are filtered by an OuterRef, have the row's value of `of`."""
    counted = rows.order_by().values(of).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), 0, output_field=IntegerField())


@dataclass(frozen=True)
class Listing:
    """A list as its page shows it; templates/_filters.html stands above the rows, _pages.html below."""

    page: Page[Any]
    filter: Filters
    queryset: QuerySet[Any]  # every row that the filters leave, in order
    query: str  # the filters in force as a query string, for links to other pages and downloads

    @property
    def is_filtered(self) -> bool:
        return bool(self.query)


def listing(request: HttpRequest, queryset: QuerySet[Any], filters: type[Filters]) -> Listing:
    """The rows of `queryset` that the request's filters leave, page `page` of them (1 or the last where it is none).

    Rows that the order leaves equal stand by primary key, so that no row is on two pages. The page's keys are found
    first: of a million rows, what is shown of each is then read of 50.
    """
    bound = filters(request.GET, queryset=queryset, request=request)
    found = bound.qs
    order = found.query.order_by or found.model._meta.ordering
    found = found.order_by(*order, "pk")
    page = Paginator(found.values_list("pk", flat=True), PAGE_SIZE).get_page(request.GET.get("page"))
    page.object_list = list(found.filter(pk__in=list(page.object_list)))
    return Listing(page=page, filter=bound, queryset=found, query=_query(request, bound))


def _query(request: HttpRequest, bound: Filters) -> str:
    kept = QueryDict(mutable=True)
    for name in bound.filters:
        if values := [value for value in request.GET.getlist(name) if value]:
            kept.setlist(name, values)
    return kept.urlencode()
