"""The audit trail: one row for each thing somebody did, in the transaction that did it."""

from __future__ import annotations

from typing import Any

from django.db import models

from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import Actor, user_or_none


def record(actor: Actor, action: str, obj: models.Model, **detail: Any) -> AuditEvent:
    """Write down that `actor` did `action` to `obj`. Never pass a participant's identity in `detail`."""
    return AuditEvent.objects.create(
        actor=user_or_none(actor),
        action=action,
        object_kind=obj._meta.label_lower,
        object_id=str(obj.pk),
        detail=detail,
    )
