"""Participations and the identities behind them. The text of an identity is encrypted; look-ups go by HMAC."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import signing
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.participants.models import Departure, Identity, Participation, ProblemReport
from elicitation.studies.models import Mode, Study
from hilmix.errors import Conflict, NotFound


@dataclass(frozen=True)
class Arrival:
    """Who somebody is, as their recruiter tells it: the id of the person and of this stay, empty where it is not known.

    `typed` where the person typed the id in.
    """

    pid: str = ""
    session: str = ""
    typed: bool = False


UNKNOWN = Arrival()  # somebody of whom no recruiter says who they are
LINK_SALT = "participation-link"
MAX_REPORTS = 20  # of one participation
MAX_REPORTS_A_DAY = 200  # to one study from people who have not begun, who are not told apart


def pid_hmac(study: Study, pid: str) -> str:
    """The look-up value of a recruiter's id in one study; differs between studies, so tables cannot be joined."""
    return keyed(f"{study.pk}:{pid}")


def keyed(message: str) -> str:
    """The look-up value of something that says who somebody is: nobody without the key can compute it."""
    return hmac.new(settings.IDENTITY_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


def encrypted(text: str) -> str:
    """Something that says who somebody is, as it is stored."""
    return _cipher().encrypt(text.encode()).decode()


def decrypted(stored: str) -> str:
    """What `encrypted` made unreadable."""
    return _cipher().decrypt(stored.encode()).decode()


def remember_identity(participation: Participation, arrival: Arrival) -> Identity:
    """Keep who this is, apart from everything they answer. The recruiter's id must be known."""
    return Identity.objects.create(
        participation=participation,
        study=participation.study,
        pid_hmac=pid_hmac(participation.study, arrival.pid),
        pid_ciphertext=encrypted(arrival.pid),
        typed=arrival.typed,
    )


def record_departure(*, study: Study, mode: str, outcome: str) -> None:
    """Count somebody who came and does not take part; nothing else is kept. Previews are not counted."""
    if mode != Mode.PREVIEW:
        Departure.objects.create(study=study, mode=mode, outcome=outcome)


def link_of(participation: Participation) -> str:
    """The signed part of a participant's private address `/p/<link>/`."""
    return signing.dumps(participation.public_id, salt=LINK_SALT, compress=False)


def participation_of(link: str) -> Participation:
    """The participation a private address belongs to.

    Raises:
        NotFound: the link was cut or changed.
    """
    try:
        public_id = signing.loads(link, salt=LINK_SALT)
    except signing.BadSignature:
        raise NotFound(_("This link is not complete. Open it again from where you got it.")) from None
    found = Participation.objects.filter(public_id=public_id).select_related("study", "protocol").first()
    if found is None:
        raise NotFound(_("This link belongs to no study here."))
    return found


def report_problem(
    *, study: Study, participation: Participation | None, page: str, text: str
) -> ProblemReport:
    """Keep what somebody reported, apart from their answers.

    Raises:
        Conflict: there are so many already that nobody would read on.
    """
    if participation is not None:
        is_full = participation.problem_reports.count() >= MAX_REPORTS
    else:
        a_day = study.problem_reports.filter(
            participation=None, created_at__gt=timezone.now() - timedelta(days=1)
        )
        is_full = a_day.count() >= MAX_REPORTS_A_DAY
    if is_full:
        raise Conflict(
            _("There are many reports already, and yours was not kept. Please write to whoever invited you.")
        )
    return ProblemReport.objects.create(study=study, participation=participation, page=page, text=text)


def _cipher() -> Fernet:
    key = hashlib.sha256(b"identity:" + settings.IDENTITY_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
