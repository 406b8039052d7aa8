"""Taking back what one gave: until a stated day, by the private link, without a reason.

Deleting frees the place for somebody else; making anonymous keeps the answers and cuts all that leads to the person.
A release that was frozen before is never changed; what it holds of the person is derived where it is shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.flow import allocation
from elicitation.participants.models import Consent, Identity, Participation
from elicitation.studies.protocol import Flow, settings_of
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.errors import Conflict


def withdraw_until(participation: Participation) -> datetime:
    """The last day on which the private link withdraws, as the moment at which it ends (UTC)."""
    day = participation.started_at + timedelta(days=_flow(participation).withdraw_days)
    return day.replace(hour=23, minute=59, second=59, microsecond=999_999)


def may_withdraw(participation: Participation) -> bool:
    """Whether the study lets people withdraw, it is not too late, and it has not been done."""
    offered = _flow(participation).withdraw_days > 0
    withdrawn = participation.state == Participation.State.WITHDRAWN
    return offered and not withdrawn and timezone.now() <= withdraw_until(participation)


def withdraw(*, participation: Participation) -> Participation:
    """End a participation and delete, or make anonymous, what it left, as its protocol says. Again changes nothing.

    Deleted in any case: who it was, free text (of whoever judged it, too), events, reported problems. With `delete`
    also every answer, and the place is free again; with `anonymise` the answers and the chosen points of the survey
    stay, and the completion code, which the recruiter lists beside the person, goes.

    Raises:
        Conflict: the day until which one could withdraw is over.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        current.protocol = participation.protocol
        if current.state == Participation.State.WITHDRAWN:
            return current
        if not may_withdraw(current):
            raise Conflict(_("The day until which you could withdraw is over; nothing was changed."))
        deletes = _flow(current).withdrawal == "delete"
        Identity.objects.filter(participation=current).delete()
        current.submissions.all().delete()
        current.events.all().delete()
        current.problem_reports.all().delete()
        if deletes:
            Response.objects.filter(trial__participation=current).delete()
            current.measures = {}
        else:
            current.completion_code = ""
        if deletes or current.state == Participation.State.RUNNING:
            allocation.give_back(current)
        Consent.objects.filter(participation=current).update(contact=False)
        current.comments = current.invalid_reason = ""
        current.survey = {} if deletes else current.points
        current.state = Participation.State.WITHDRAWN
        current.withdrawn_at = timezone.now()
        current.save()
        audit.record(AnonymousUser(), "participation.withdrawn", current.study, deleted=deletes)
    return current


def _flow(participation: Participation) -> Flow:
    return settings_of(participation.protocol.content).flow
