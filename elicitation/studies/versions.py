"""The versions of a study's protocol, and what each says otherwise than the one before."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from elicitation.studies.diff import Difference, differences
from elicitation.studies.models import Mode, Protocol, Study


def versions_of(study: Study) -> QuerySet[Protocol]:
    """Each with `n_live`, the live participations under it."""
    live = Q(participations__mode=Mode.LIVE)
    return study.protocols.annotate(n_live=Count("participations", filter=live))


def changes_in(protocol: Protocol) -> tuple[Protocol | None, list[Difference]]:
    """The version before, and what differs from it; nothing of the first."""
    study = protocol.study
    before = study.protocols.filter(version__lt=protocol.version).order_by("-version").first()
    if before is None:
        return None, []
    return before, differences(before.content, protocol.content, study.image_set.classes)
