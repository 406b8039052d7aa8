"""How a participant's browser signs its calls: `Authorization: Participation <token>`, no cookie, no session.

A token is bound to one participation and one opening of the trials page (epoch). An older window's token still lets
its answers in, so nothing is lost; the reply tells it that it was continued elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core import signing
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from elicitation.participants.models import Participation

SALT = "participation-token"
LIFETIME = timedelta(days=14)


@dataclass(frozen=True)
class Window:
    """One opening of the trials page: whose, and the how-manieth."""

    participation: Participation
    epoch: int

    @property
    def is_stale(self) -> bool:
        return self.epoch < self.participation.epoch


def token_for(participation: Participation) -> str:
    return signing.dumps([participation.public_id, participation.epoch], salt=SALT)


class ParticipationAuthentication(BaseAuthentication):
    """Finds the participation a token was signed for; `request.auth` is then the `Window`."""

    keyword = "Participation"

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Window] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != self.keyword:
            return None
        try:
            public_id, epoch = signing.loads(token.strip(), salt=SALT, max_age=LIFETIME)
        except (signing.BadSignature, ValueError):
            raise AuthenticationFailed("Open the study's link again.") from None
        try:
            # Alone: saving, by far the most frequent call, reads what it needs beside it under a lock.
            found = Participation.objects.get(public_id=public_id)
        except Participation.DoesNotExist:
            raise AuthenticationFailed("Open the study's link again.") from None
        return AnonymousUser(), Window(found, epoch)

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class HasWindow(BasePermission):
    """Lets in only calls that were signed for a participation."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Window)


class ParticipationScheme(OpenApiAuthenticationExtension):
    target_class = "elicitation.flow.access.ParticipationAuthentication"
    name = "participation"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "`Participation <token>`, given by the trials page"
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}
