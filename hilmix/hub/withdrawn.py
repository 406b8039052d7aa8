"""What contains withdrawn data: derived, because a release never changes. A new one is made without these answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from elicitation.participants.models import Participation
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
            pseudonym(release.study, public_id)
            for study_id, public_id, started_at in people
            if study_id == release.study_id and started_at < release.created_at
        }
        release.n_withdrawn = len(gone & _participants_of(release.directory)) if gone else 0
    return releases


def n_withdrawn(release: Release) -> int:
    """How many participants of the release have taken their answers back since."""
    return count_withdrawn([release])[0].n_withdrawn


@lru_cache(maxsize=256)
def _participants_of(directory: Path) -> frozenset[str]:
    """The pseudonyms in a release; its directory is named by its content, so they never change."""
    return frozenset(read_column(directory / "data" / "participants.parquet", "participant"))
