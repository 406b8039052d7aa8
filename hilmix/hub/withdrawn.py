"""What contains withdrawn data: derived, because a release never changes. A new one is made without these answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from django.db.models import QuerySet

from elicitation.participants.models import Participation
from hilmix.core import release as core_release
from hilmix.core.files import read_manifest
from hilmix.core.release_manifest import FORMATS
from hilmix.core.release_tables import read_column
from hilmix.hub.answers import pseudonym
from hilmix.hub.models import Release


def count_withdrawn(releases: Iterable[Release]) -> list[Release]:
    """The releases, each with `n_withdrawn`: how many of its participants have taken their answers back since.

    Where a study keeps answers without a name, they stay as was agreed to, and nobody is counted. One query, however
    many releases there are, if the study is loaded with each.
    """
    releases = list(releases)
    withdrew = Participation.objects.filter(
        study__in={release.study_id for release in releases}, state=Participation.State.WITHDRAWN
    ).exclude(trials__response__isnull=False)
    people = list(withdrew.values_list("study_id", "public_id", "started_at"))
    for release in releases:
        gone = {
            pseudonym_in(release, public_id)
            for study_id, public_id, started_at in people
            if study_id == release.study_id and started_at < release.created_at
        }
        release.n_withdrawn = len(gone & _participants_of(release.directory)) if gone else 0
    return releases


def releases_with(people: QuerySet[Participation]) -> list[Release]:
    """The releases that hold one of a few people, whether or not they withdrew since."""
    named = list(people.values_list("study_id", "public_id"))
    releases = Release.objects.filter(study__in={study_id for study_id, _public_id in named})
    return [
        release
        for release in releases.select_related("study")
        if any(
            study_id == release.study_id
            and pseudonym_in(release, public_id) in _participants_of(release.directory)
            for study_id, public_id in named
        )
    ]


def n_withdrawn(release: Release) -> int:
    """How many participants of the release have taken their answers back since."""
    return count_withdrawn([release])[0].n_withdrawn


def pseudonym_in(release: Release, public_id: str) -> str:
    """The name of a participant in a release: the release's own since format 4, the study's before."""
    number = release.number if _format_of(release.directory) > 3 else None
    return pseudonym(release.study, public_id, number)


@lru_cache(maxsize=256)
def _format_of(directory: Path) -> int:
    """The version of a release's format; as the directory never changes, neither does this."""
    return core_release.Release(directory, read_manifest(directory, FORMATS, "a release")).format


@lru_cache(maxsize=256)
def _participants_of(directory: Path) -> frozenset[str]:
    """The pseudonyms in a release; its directory is named by its content, so they never change."""
    return frozenset(read_column(directory / "data" / "participants.parquet", "participant"))
