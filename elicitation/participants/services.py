"""Participations and the identities behind them. The text of an identity is encrypted; look-ups go by HMAC."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import signing

from elicitation.participants.models import Identity, Participation
from elicitation.studies.models import Study
from hilmix.errors import NotFound

LINK_SALT = "participation-link"


def pid_hmac(study: Study, pid: str) -> str:
    """The look-up value of a recruiter's id in one study; differs between studies, so tables cannot be joined."""
    message = f"{study.pk}:{pid}".encode()
    return hmac.new(settings.IDENTITY_KEY.encode(), message, hashlib.sha256).hexdigest()


def remember_identity(participation: Participation, pid: str) -> Identity:
    """Keep who this is, apart from everything they answer."""
    return Identity.objects.create(
        participation=participation,
        study=participation.study,
        pid_hmac=pid_hmac(participation.study, pid),
        pid_ciphertext=_cipher().encrypt(pid.encode()).decode(),
    )


def reveal_identity(identity: Identity) -> str:
    """The recruiter's id again, for paying somebody."""
    return _cipher().decrypt(identity.pid_ciphertext.encode()).decode()


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
        raise NotFound("This link is not complete. Open it again from where you got it.") from None
    found = Participation.objects.filter(public_id=public_id).select_related("study", "protocol").first()
    if found is None:
        raise NotFound("This link belongs to no study here.")
    return found


def _cipher() -> Fernet:
    key = hashlib.sha256(b"identity:" + settings.IDENTITY_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
