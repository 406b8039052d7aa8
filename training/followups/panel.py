"""What a study's page shows of the experiment that it follows up on."""

from __future__ import annotations

from elicitation.studies.models import Study
from elicitation.studies.panels import Panel, study_panel
from hilmix.accounts.models import User
from training.experiments.models import Experiment
from training.followups.models import FollowUp


@study_panel
def follow_up_of(study: Study, person: User) -> Panel:
    follow_up = FollowUp.objects.filter(study=study).select_related("experiment").first()
    seen = (
        follow_up is not None
        and Experiment.objects.visible_to(person).filter(pk=follow_up.experiment_id).exists()
    )
    return Panel("training/_follow_up_panel.html", {"follow_up": follow_up, "seen": seen})
