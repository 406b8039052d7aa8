"""What other apps show on a study's page. They stand above studies, so they register themselves here when they load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elicitation.studies.models import Study
from hilmix.accounts.models import User


@dataclass(frozen=True)
class Panel:
    """A template and what it is given."""

    template: str
    context: dict[str, Any]


Provider = Callable[[Study, User], Panel]
_providers: list[Provider] = []


def study_panel(provider: Provider) -> Provider:
    """Register `provider`; panels stand in the order in which their apps are installed."""
    _providers.append(provider)
    return provider


def panels_of(study: Study, person: User) -> list[Panel]:
    return [provider(study, person) for provider in _providers]
