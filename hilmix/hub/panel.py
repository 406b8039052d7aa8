"""What the hub shows on a study's page: its releases, and where its answers came from if they were imported."""

from __future__ import annotations

from elicitation.studies.models import Study
from elicitation.studies.panels import Panel, study_panel
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.hub.models import Import, Release
from hilmix.hub.origin import origin_of
from hilmix.hub.withdrawn import count_withdrawn


@study_panel
def releases_of(study: Study, person: User) -> Panel:
    releases = Release.objects.visible_to(person).filter(study=study).select_related("study")
    imported = Import.objects.filter(study=study).first()
    answered = study.state not in (Study.State.DRAFT, Study.State.PILOT)
    context = {
        "releases": count_withdrawn(releases),
        "may_freeze": answered and allowed(person, Action.FREEZE_RELEASE, study.pk),
        "slug": study.slug,
        "origin": imported and origin_of(imported, person),
    }
    return Panel("hub/_study_panel.html", context)
