"""How pages show figures and their tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from hilmix.figures import show

register = template.Library()
register.filter("cell", show)


@register.filter
def words(text: str) -> list[str]:
    """The words of a text: a list to go through in a template."""
    return text.split()


@register.filter
def beside(row: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """Each cell of a row with the head of its column before it."""
    return list(zip(columns, row, strict=True))


@register.filter
def breakable(name: str) -> SafeString:
    """A name with parameters, which a line may break after an underscore or a bracket."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in re.findall(r".*?[_(=]|.+", name)))
