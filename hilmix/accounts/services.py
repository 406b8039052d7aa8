"""What happens to accounts: people are added, signed in by link, given places in studies, given and denied tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts import audit
from hilmix.accounts.models import ApiToken, Membership, SignInLink, User
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict, Invalid, NotFound

LINK_LIFETIME = timedelta(days=2)
TOKEN_DAYS = 90  # unless another time is asked for
MOST_TOKEN_DAYS = 365


@transaction.atomic
def add_person(*, username: str, kind: str, actor: Actor) -> User:
    """Create an account without a password; its owner signs in with a one-time link first.

    Raises:
        Invalid: the name is taken or cannot be a user name, or the kind is unknown.
    """
    require(actor, Action.MANAGE_PEOPLE)
    person = User(username=username.strip(), kind=kind)
    person.set_unusable_password()
    try:
        person.full_clean()
    except ValidationError as error:
        raise Invalid("The account was not created.", fields=error.message_dict) from None
    person.save()
    audit.record(actor, "people.added", person, username=person.username, kind=kind)
    return person


@transaction.atomic
def issue_sign_in_link(*, person: User, actor: Actor) -> str:
    """A link that signs `person` in once within two days. Earlier unused links of theirs stop working."""
    require(actor, Action.MANAGE_PEOPLE)
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.filter(user=person, used_at=None).delete()
    SignInLink.objects.create(user=person, digest=_digest(secret), expires_at=timezone.now() + LINK_LIFETIME)
    audit.record(actor, "people.link_issued", person)
    return settings.HILMIX_PUBLIC_URL + reverse("sign_in_with_link", args=[secret])


@transaction.atomic
def redeem_sign_in_link(*, secret: str) -> User:
    """The person whose unused, unexpired link this is; the link is used up by it."""
    now = timezone.now()
    link = SignInLink.objects.filter(digest=_digest(secret), expires_at__gt=now, user__is_active=True).first()
    if link is None or not SignInLink.objects.filter(pk=link.pk, used_at=None).update(used_at=now):
        raise NotFound("This sign-in link was used before or has expired. Ask an admin for a new one.")
    audit.record(link.user, "people.signed_in_by_link", link.user)
    return link.user


@transaction.atomic
def set_membership(*, person: User, study: Any, part: str | None, actor: Actor) -> None:
    """Give `person` a part in `study`, change it, or end it with `part=None`. A study keeps at least one owner."""
    require(actor, Action.OPEN_STUDY, study.pk)
    if part is not None and part not in Membership.Part.values:
        raise Invalid(f"{part!r} is no part in a study; it can be {', '.join(Membership.Part.values)}.")
    owners = Membership.objects.select_for_update().filter(study=study, part=Membership.Part.OWNER)
    if part != Membership.Part.OWNER and list(owners.values_list("user_id", flat=True)) == [person.pk]:
        raise Conflict(f"{person.username} is the study's only owner. Make somebody else an owner first.")
    if part is None:
        Membership.objects.filter(user=person, study=study).delete()
    else:
        Membership.objects.update_or_create(user=person, study=study, defaults={"part": part})
    audit.record(actor, "study.membership", study, person=person.username, part=part)


def give_studies(*, owner: User | None, studies: Iterable[Any], actor: Actor) -> None:
    """Make `owner`, if there is one, an owner of each of `studies`."""
    if owner is not None:
        for study in studies:
            set_membership(person=owner, study=study, part=Membership.Part.OWNER, actor=actor)


@transaction.atomic
def set_password(*, person: User, password: str) -> None:
    """A password of one's own, which ends every session that was begun with another.

    Raises:
        Invalid: it is too easily guessed; the message says why.
    """
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), fields={"password": error.messages}) from None
    person.set_password(password)
    person.save(update_fields=["password"])
    audit.record(person, "people.password_set", person)


@transaction.atomic
def create_token(*, person: User, name: str, scope: str, days: int = TOKEN_DAYS, study: Any = None) -> str:
    """A new token of one's own; the returned text is shown once and kept only as a digest.

    Args:
        scope: `read`, or `write` for reading and writing.
        days: until it expires, 1 to 365.
        study: the one study it is good for; None for all that its owner may see.

    Raises:
        Invalid: one of these is not so; the message says which.
        NotFound: the owner may not see that study.
    """
    require(person, Action.MANAGE_OWN_TOKENS)
    if not name.strip():
        raise Invalid(
            "Give the token a name that says what will use it.", fields={"name": ["A name is needed."]}
        )
    if scope not in ApiToken.Scope.values:
        raise Invalid("The scope is read or write.", fields={"scope": ["Choose read or write."]})
    if not 1 <= days <= MOST_TOKEN_DAYS:
        raise Invalid(
            f"A token is good for 1 to {MOST_TOKEN_DAYS} days.",
            fields={"days": [f"Choose 1 to {MOST_TOKEN_DAYS} days."]},
        )
    if study is not None:
        require(person, Action.VIEW_STUDY, study.pk)
    token, text = ApiToken.objects.create(
        user=person,
        expiry=timedelta(days=days),
        prefix=settings.REST_KNOX["TOKEN_PREFIX"],
        name=name.strip()[:80],
        scope=scope,
        study=study,
    )
    told = {"name": token.name, "scope": scope, "days": days, "study": study and study.slug}
    audit.record(person, "token.created", person, token=token.token_key, **told)
    return str(text)


@transaction.atomic
def revoke_token(*, person: User, token_key: str) -> None:
    """End one of one's own tokens at once."""
    deleted, _ = ApiToken.objects.filter(user=person, token_key=token_key).delete()
    if not deleted:
        raise NotFound("You have no such token.")
    audit.record(person, "token.revoked", person, token=token_key)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
