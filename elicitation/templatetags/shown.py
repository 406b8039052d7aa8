"""How numbers are shown on researchers' pages: money, shares and λ."""

from __future__ import annotations

from django import template

from hilmix.core import mixing

register = template.Library()


@register.filter
def money(hundredths: int, currency: str) -> str:
    """`1.50 GBP` of 150 hundredths."""
    return f"{hundredths / 100:,.2f} {currency}"


@register.filter
def percent(share: float) -> str:
    """`64%` of a share from 0 to 1."""
    return f"{100 * share:.0f}%"


@register.filter
def class_text(name: str) -> str:
    """The name of a class, in quotation marks where it is a number."""
    return mixing.class_text(name)


@register.filter
def lambda_text(lambda_e4: int) -> str:
    """λ as it is written everywhere, of ten-thousandths."""
    return mixing.lambda_text(lambda_e4)
