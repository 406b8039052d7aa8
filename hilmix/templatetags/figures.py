"""How pages show figures and their tables."""

from __future__ import annotations

from django import template

from hilmix.figures import show

register = template.Library()
register.filter("cell", show)


@register.filter
def words(text: str) -> list[str]:
    """The words of a text: a list to go through in a template."""
    return text.split()
