"""What releases tell the planner of new studies: the variance components of those that somebody may see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from elicitation.studies.planner import offers_components
from hilmix.accounts.models import User
from hilmix.core.errors import DataError
from hilmix.core.planning import Components, components_of
from hilmix.hub.models import Release

OFFERED = 50  # the newest of the releases


class OfReleases:
    """Components of releases, by name."""

    def choices(self, person: User) -> Sequence[tuple[str, str]]:
        newest = Release.objects.visible_to(person).select_related("study")[:OFFERED]
        return [(release.name, release.name) for release in newest]

    def components(self, person: User, key: str, interface: str) -> Components:
        release = Release.objects.visible_to(person).resolve(key)
        found = _components(release.pk, release.sha256, interface)
        if isinstance(found, str):
            raise DataError(found)
        return found


@lru_cache(maxsize=64)
def _components(pk: int, sha256: str, interface: str) -> Components | str:
    """The components, or why there are none: a release never changes, and a plan is reckoned again and again."""
    try:
        return components_of(Release.objects.get(pk=pk).opened, interface)
    except DataError as error:
        return str(error)


offers_components(OfReleases())
