"""Going before the first answer, because the device is not fit for the study: nothing is kept but that, and when."""

from __future__ import annotations

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from elicitation.flow import allocation
from elicitation.flow.events import comprehension_rounds
from elicitation.participants.models import Departure, Participation
from elicitation.participants.services import record_departure
from elicitation.recruiters.base import Outcome
from elicitation.studies.models import Study
from elicitation.trials.models import Response
from hilmix.errors import Conflict, NotFound

LEFT_SALT = "participant-left"


def has_answered(participation: Participation) -> bool:
    """Whether anything was answered, a repeat or a check included."""
    return Response.objects.filter(trial__participation=participation).exists()


def has_begun(participation: Participation) -> bool:
    """Whether anything was answered, a comprehension question included: nobody gets new rounds by leaving."""
    return has_answered(participation) or comprehension_rounds(participation) > 0


def leave(*, participation: Participation) -> None:
    """Give the place back and delete the participation: its consent, its plan, who it was.

    Raises:
        Conflict: something was answered already, or the way has ended.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state != Participation.State.RUNNING or has_begun(current):
            raise Conflict(_("You have begun already; nothing was changed."))
        allocation.give_back(current)
        record_departure(study=current.study, mode=current.mode, outcome=Departure.Outcome.WRONG_DEVICE)
        current.delete()


def left_token(study: Study, outcome: Outcome) -> str:
    """Lets somebody who has left see again how they go back; names nobody."""
    return signing.dumps([study.slug, outcome], salt=LEFT_SALT)


def left_outcome(study: Study, token: str) -> Outcome:
    """How whoever holds `token` has left.

    Raises:
        NotFound: it was cut or changed, or is of another study.
    """
    try:
        slug, outcome = signing.loads(token, salt=LEFT_SALT)
    except (signing.BadSignature, ValueError):
        slug, outcome = "", ""
    if slug != study.slug:
        raise NotFound(_("This link is not complete. Open it again from where you got it."))
    return Outcome(outcome)
