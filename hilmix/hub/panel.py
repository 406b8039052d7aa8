"""What the hub shows on a study's page: its releases, and the button that freezes one."""

from __future__ import annotations

from elicitation.studies.models import Study
from elicitation.studies.panels import Panel, study_panel
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.hub.models import Release


@study_panel
def releases_of(study: Study, person: User) -> Panel:
    context = {
        "releases": Release.objects.visible_to(person).filter(study=study).select_related("study"),
        "may_freeze": allowed(person, Action.FREEZE_RELEASE, study.pk) and study.state != Study.State.DRAFT,
        "slug": study.slug,
    }
    return Panel("hub/_study_panel.html", context)
