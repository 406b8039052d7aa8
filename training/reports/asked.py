"""What a study asked and paid, as far as its release and its protocol say. Only the job that writes reports imports
this."""

from __future__ import annotations

from typing import Any

from elicitation.studies.models import Protocol
from elicitation.studies.protocol import settings_of
from hilmix.core.errors import DataError
from hilmix.core.planning import Components, components_of
from hilmix.hub.models import Release
from training.reports.costs import Asked, answers_of


def answers_for(release: Release) -> dict[str, Any]:
    """What more answers a mixed image would give and cost, from the components of the release and the payment of its
    study (`costs.answers_of`)."""
    counts = release.counts
    if not (counts.get("responses") and counts.get("mixed_images") and counts.get("participants")):
        return {"why": "the release has no answers about mixed images"}
    try:
        components: Components | str = components_of(release.opened)
    except DataError as error:
        components = str(error).rstrip(".")
    per_person = round(counts["responses"] / counts["participants"])
    asked = Asked(counts["responses"], counts["mixed_images"], counts["participants"], max(per_person, 1))
    protocol = Protocol.objects.filter(study=release.study).order_by("version").last()
    if protocol is not None:
        payment = settings_of(protocol.content).payment
        asked = Asked(
            asked.answers,
            asked.units,
            asked.people,
            asked.trials_per_person,
            payment.reward_e2,
            payment.bonus_e2 if payment.bonus != "none" else 0,
            payment.currency,
        )
    return answers_of(components, asked)
