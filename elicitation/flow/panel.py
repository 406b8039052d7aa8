"""What a study's page says of the people who took part: what they allowed, what went wrong, who failed checks.

Counts, and reports in people's own words; never who somebody is.
"""

from __future__ import annotations

from django.db.models import Count, Q

from elicitation.participants.models import Consent
from elicitation.studies.models import Source, Study
from elicitation.studies.panels import Panel, study_panel
from elicitation.studies.protocol import settings_of
from elicitation.trials.given import failed_checks
from hilmix.accounts.models import User

SHOWN_REPORTS = 50


@study_panel
def people_of(study: Study, person: User) -> Panel:
    reports = study.problem_reports.all()
    consents = Consent.objects.filter(participation__study=study).aggregate(
        all=Count("pk"),
        publish=Count("pk", filter=Q(publish=True)),
        contact=Count("pk", filter=Q(contact=True)),
    )
    context = {
        "consents": consents,
        "has_checks": settings_of(study.protocol.content).design.checks > 0,
        "checks": _failures(study),
        "reports": reports[:SHOWN_REPORTS],
        "n_reports": reports.count(),
        "were_asked": study.source == Source.PERSON or consents["all"],
        "shown": study.source != Source.IMPORTED,
    }
    return Panel("elicitation/_people_panel.html", context)


def _failures(study: Study) -> list[tuple[int, int]]:
    """A number of failed checks, and how many people failed so many; most failures first."""
    failed = [n for n in failed_checks(study, study.participations.all()).values() if n]
    return [(n, failed.count(n)) for n in sorted(set(failed), reverse=True)]
