"""How pages show figures and their tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template

from hilmix.figures import show

register = template.Library()
register.filter("cell", show)


@register.filter
def lines(figure: Mapping[str, Any]) -> list[str]:
    """The series that can be drawn or left out: all but what only stands behind or belongs to one."""
    return [one["name"] for one in figure["series"] if one["style"] == "line"]


@register.filter
def words(text: str) -> list[str]:
    """The words of a text: a list to go through in a template."""
    return text.split()


@register.filter
def beside(row: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """Each cell of a row with the head of its column before it."""
    return list(zip(columns, row, strict=True))


@register.filter
def breakable(name: str) -> list[str]:
    """The parts of a name with parameters, between which a line may break: after an underscore or a bracket."""
    return re.findall(r".*?[_(=]|.+", name)
