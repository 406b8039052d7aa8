"""What researchers decide while they watch a study. Whether answers count is decided in flow."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from elicitation.participants.models import ProblemReport
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require


def handle_problem(*, report: ProblemReport, handled: bool = True, actor: Actor) -> ProblemReport:
    """Note that somebody has seen to what was reported, or that it is open again. A second time changes nothing."""
    require(actor, Action.JUDGE_PARTICIPATION, report.study_id)
    with transaction.atomic():
        current = ProblemReport.objects.select_for_update().get(pk=report.pk)
        if (current.handled_at is not None) != handled:
            current.handled_at = timezone.now() if handled else None
            current.save(update_fields=["handled_at"])
            action = "problem.handled" if handled else "problem.reopened"
            audit.record(actor, action, current, study=current.study_id)
    return current
