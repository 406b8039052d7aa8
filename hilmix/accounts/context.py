"""What templates know of the person: the actions the roles table grants, and how many places the menu has."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hilmix.accounts.roles import Action, allowed


def what_this_person_may(request: HttpRequest) -> dict[str, Any]:
    """`may` in templates: `{% if may.LAUNCH_EXPERIMENT %}`, instance-wide actions only.

    Asked for only where a template uses it: participants' pages do not look at the session.
    """
    return {
        "may": SimpleLazyObject(lambda: {action.name: allowed(request.user, action) for action in Action})
    }


def no_address(request: HttpRequest) -> None:
    """django-axes would store the address of whoever fails to sign in; we store none (design rule 10)."""
