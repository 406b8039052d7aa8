"""What a job works on and what came of it, as links for its page. Each app says it for the kinds that it registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import ObjectDoesNotExist, ValidationError

from hilmix.accounts.models import User
from hilmix.jobs.models import Job, JobState


@dataclass(frozen=True)
class Links:
    """Name and address of what a job works on, and of its result once there is one; empty where there is no page."""

    name: str
    url: str
    result: str = ""


Provider = Callable[[str, User], Links]
_providers: dict[str, Provider] = {}


def job_links(*kinds: str) -> Callable[[Provider], Provider]:
    """Register `provider(object_id, person)` for jobs of these kinds.

    It raises ObjectDoesNotExist for what is gone, or what the person may not see.
    """

    def register(provider: Provider) -> Provider:
        _providers.update(dict.fromkeys(kinds, provider))
        return provider

    return register


def links_of(job: Job, person: User) -> Links | None:
    """What the page of `job` links to; the result only of a job that is done."""
    provider = _providers.get(job.kind)
    try:
        links = provider(job.object_id, person) if provider else None
    except (ObjectDoesNotExist, ValidationError, ValueError):
        return None
    return links if links is None or job.state == JobState.DONE else Links(links.name, links.url)
