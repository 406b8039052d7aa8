"""Who may do what, and what was done: users, memberships of studies, tokens, sign-in links and the audit trail.

Participants are not users; they have no row here.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class User(AbstractUser):  # type: ignore[django-manager-missing]  # the manager of knox's tokens has no type
    """Somebody with an account: an admin of the instance, or a researcher."""

    class Kind(models.TextChoices):
        ADMIN = "admin", _("admin")
        RESEARCHER = "researcher", _("researcher")

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.RESEARCHER)

    # Not stored: of whoever asks with a token that is good for one study only (tokens.py).
    only_study_id: int | None = None

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["admin", "researcher"]), name="user_kind_is_known"
            )
        ]


class Membership(models.Model):
    """A researcher's place in one study."""

    class Part(models.TextChoices):
        OWNER = "owner", _("owner")
        EDITOR = "editor", _("editor")
        VIEWER = "viewer", _("viewer")

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    study = models.ForeignKey("elicitation.Study", models.CASCADE, related_name="memberships")
    part = models.CharField(max_length=6, choices=Part.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "study"], name="one_membership_per_study")]


class ApiToken(AbstractAuthToken):
    """A named token for programs; kept as a digest, shown once, expires."""

    class Scope(models.TextChoices):
        READ = "read", _("read")
        WRITE = "write", _("read and write")

    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=5, choices=Scope.choices, default=Scope.READ)
    study = models.ForeignKey(
        "elicitation.Study",
        models.CASCADE,
        null=True,
        related_name="+",
        help_text="the one study it is good for; none for all that its owner may see",
    )
    last_used_at = models.DateTimeField(null=True, blank=True)


class SignInLink(models.Model):
    """A link that signs one person in, once, before it expires. Only its digest is kept."""

    digest = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="sign_in_links")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class AuditEvent(models.Model):
    """One thing that somebody did, written in the transaction that did it. Never changed, never deleted."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
