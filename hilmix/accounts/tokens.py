"""How programs sign in: `Authorization: Token hilmix_…`, with a scope and a study that are checked on every call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from hilmix.accounts.models import ApiToken

USE_NOTED_EVERY = timedelta(minutes=1)


class ApiTokenAuthentication(TokenAuthentication):
    """Knox's digest check; a token of scope `read` is good for GET, HEAD and OPTIONS only."""

    def authenticate(self, request: Request) -> Any:
        try:
            found = super().authenticate(request)
        except UnicodeDecodeError:  # Knox takes it for granted that the header is text
            raise AuthenticationFailed("This is no token.") from None
        if found is None:
            return None
        user, token = found
        if token.scope != ApiToken.Scope.WRITE and request.method not in SAFE_METHODS:
            raise PermissionDenied("This token may only read. Make one with the scope 'read and write'.")
        now = timezone.now()
        # To the minute: a program that asks for a page after another does not write to the database each time.
        noted = ApiToken.objects.filter(pk=token.pk).exclude(last_used_at__gt=now - USE_NOTED_EVERY)
        noted.update(last_used_at=now)
        user.only_study_id = (
            token.study_id
        )  # every check of a role and every list of what may be seen asks for it
        return user, token


class ApiTokenScheme(OpenApiAuthenticationExtension):
    target_class = "hilmix.accounts.tokens.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "`Token hilmix_…`, made on the page of one's account"
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}
