"""What other apps show on a release's page. They stand above the hub, so they register themselves here on loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hilmix.accounts.models import User
from hilmix.hub.models import Release


@dataclass(frozen=True)
class Part:
    """A template and what it is given, as `part`."""

    template: str
    context: dict[str, Any]


Provider = Callable[[Release, User], Part]
_providers: list[Provider] = []


def release_part(provider: Provider) -> Provider:
    """Register `provider`; parts stand in the order in which their apps are installed."""
    _providers.append(provider)
    return provider


def parts_of(release: Release, person: User) -> list[Part]:
    return [provider(release, person) for provider in _providers]
