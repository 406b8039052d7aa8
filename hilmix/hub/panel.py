"""What the hub shows on a study's page: its releases, and the button that freezes one."""

from __future__ import annotations

from elicitation.studies.models import Study
from elicitation.studies.panels import Panel, study_panel
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn


@study_panel
def releases_of(study: Study, person: User) -> Panel:
    releases = Release.objects.visible_to(person).filter(study=study).select_related("study")
    answered = study.state not in (Study.State.DRAFT, Study.State.PILOT)
    context = {
        "releases": count_withdrawn(releases),
        "may_freeze": answered and allowed(person, Action.FREEZE_RELEASE, study.pk),
        "slug": study.slug,
    }
    return Panel("hub/_study_panel.html", context)
