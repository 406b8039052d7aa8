"""A stored report as it is told today: with what happened to its release and its experiment since it was written."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hilmix.errors import NotFound
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import n_withdrawn
from training.experiments.models import Experiment
from training.runs.services import is_worked_on


def content_of(experiment: Experiment) -> dict[str, Any]:
    """The stored content, its notes with what came later. Raises `NotFound` where there is no report yet."""
    if not hasattr(experiment, "report"):
        raise NotFound("This experiment has no report yet; it is written when the last run ends.")
    content: dict[str, Any] = experiment.report.content
    if said := renewing(experiment):
        content = {**content, "notes": [*content["notes"], said]}
    if said := withdrawn_words(experiment.release):
        content = {**content, "notes": [*content["notes"], said]}
    return content


def withdrawn_words(release: Release) -> str:
    """That people of a release have taken their answers back since; nothing where nobody has."""
    n = n_withdrawn(release)
    said = ngettext(
        "Contains withdrawn data: %(n)d participant of the release has taken their answers back since.",
        "Contains withdrawn data: %(n)d participants of the release have taken their answers back since.",
        n,
    )
    return said % {"n": n} if n else ""


def renewing(experiment: Experiment) -> str:
    """What a report says of itself while runs that were added to its experiment are not in it; else nothing."""
    added = experiment.report.without(run for arm in experiment.arms.all() for run in arm.runs.all())
    if not added:
        return ""
    said = ngettext(
        "This report is without %(n)d run that was added since it was written, %(done)d of them finished.",
        "This report is without %(n)d runs that were added since it was written, %(done)d of them finished.",
        len(added),
    ) % {"n": len(added), "done": sum(run.is_done for run in added)}
    if is_worked_on(experiment):
        return f"{said} {_('It is being renewed: the new one takes its place when all of them are.')}"
    return f"{said} {_('Nothing renews it now: what ended early can be tried again on the page of the experiment.')}"
