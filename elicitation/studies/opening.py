"""A study opens, pauses and closes: its places are made, and people are let in or not."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from elicitation.mixes.services import create_mixed_images
from elicitation.studies.material import draw_material, refuse_overlap
from elicitation.studies.models import CheckImage, Protocol, Study
from elicitation.studies.places import make_batches
from elicitation.studies.protocol import settings_of
from elicitation.studies.services import refuse_uninformed
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict


def open_study(*, study: Study, actor: Actor) -> None:
    """Draw the design, make batches and slots, freeze the protocol, and let people in. Opens a paused study again.

    Raises:
        Conflict: the study is open or closed, or its instructions would show pictures of its trials.
        DataError, Invalid: the image set cannot carry the design, or people would not be told what they must be.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state == Study.State.PAUSED:
        _move(study, Study.State.PAUSED, Study.State.OPEN, actor)
        return
    if study.state != Study.State.DRAFT:
        raise Conflict(
            f"“{study.title}” is {study.get_state_display()}; only a draft or paused study can be opened."
        )
    protocol = study.protocol
    settings = settings_of(protocol.content)
    settings.design.check()
    refuse_uninformed(study, protocol.content)
    opened = study.image_set.open()
    material = draw_material(opened, settings.design)
    refuse_overlap(opened, settings.design, material)
    with transaction.atomic():
        _move(study, Study.State.DRAFT, Study.State.OPEN, actor)
        make_batches(study, material, settings)
        checks = create_mixed_images(image_set=study.image_set, recipes=material.checks)
        CheckImage.objects.bulk_create(CheckImage(study=study, mixed_image=image) for image in checks)
        Protocol.objects.filter(pk=protocol.pk).update(frozen_at=timezone.now())


def pause_study(*, study: Study, actor: Actor) -> None:
    """Let nobody new in; whoever has begun may finish."""
    require(actor, Action.OPEN_STUDY, study.pk)
    _move(study, Study.State.OPEN, Study.State.PAUSED, actor)


def close_study(*, study: Study, actor: Actor) -> None:
    """End the study: nobody new, and no further answers."""
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state not in (Study.State.OPEN, Study.State.PAUSED):
        raise Conflict(f"“{study.title}” is {study.get_state_display()}; it cannot be closed.")
    _move(study, study.state, Study.State.CLOSED, actor)


def _move(study: Study, before: str, after: str, actor: Actor) -> None:
    """Change the state if it is still `before`, so that of two people who press a button one is told."""
    now = timezone.now()
    changes: dict[str, Any] = {"state": after}
    if after == Study.State.CLOSED:
        changes["closed_at"] = now
    elif before == Study.State.DRAFT:
        changes["opened_at"] = now
    if not Study.objects.filter(pk=study.pk, state=before).update(**changes):
        study.refresh_from_db()
        raise Conflict(f"“{study.title}” is {study.get_state_display()} already; nothing was changed.")
    study.refresh_from_db()
    audit.record(actor, f"study.{after}", study)
