"""A study is tried out, opens, pauses and closes: its places are made, and people are let in or not.

Drawing the material and making its mixed images can take minutes; pages queue it as a job, commands and tests call it.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.studies.material import Material, draw_material, refuse_overlap
from elicitation.studies.models import Mode, Study
from elicitation.studies.places import (
    make_batches,
    make_live_slots,
    make_mixed_images,
    make_pilot_slots,
    retire_free_places,
    set_checks,
)
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.services import refuse_uninformed
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict, Invalid
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job

OPEN_KIND, PILOT_KIND = "open_study", "pilot_study"
MAX_PILOT_PLACES = 1000
NOT_OPENED = (Study.State.DRAFT, Study.State.PILOT)


def queue_open(*, study: Study, actor: Actor) -> Job | None:
    """Queue the opening of a draft or pilot. A paused study has its places: it opens at once, without a job.

    Raises:
        Conflict, Invalid: as `open_study`, as far as it can be said without drawing; or it is queued already.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state == Study.State.PAUSED:
        open_study(study=study, actor=actor)
        return None
    _ready(study)
    _refuse_twice(study)
    return queue_job(
        kind=OPEN_KIND, object_id=str(study.pk), label=f"Open “{study.title}”"[:200], actor=actor
    )


def queue_pilot(*, study: Study, places: int, actor: Actor) -> Job:
    """Queue the start of a pilot with `places` places.

    Raises:
        Conflict, Invalid: as `start_pilot`, as far as it can be said without drawing; or it is queued already.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    _ready(study)
    _check_places(places)
    _refuse_twice(study)
    return queue_job(
        kind=PILOT_KIND,
        object_id=f"{study.pk}:{places}",
        label=f"Prepare a pilot of “{study.title}”"[:200],
        actor=actor,
    )


def open_study(*, study: Study, actor: Actor, progress: Progress | None = None) -> None:
    """Draw the design, make batches and slots, and let people in. Opens a paused study again.

    Raises:
        Conflict: the study is open or closed, or its instructions would show pictures of its trials.
        DataError, Invalid: the image set cannot carry the design, or people would not be told what they must be.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state == Study.State.PAUSED:
        _move(study, Study.State.PAUSED, Study.State.OPEN, actor)
        return
    before, image_set, settings = study.state, study.image_set, _ready(study)
    material = _draw(study, settings)
    made = make_mixed_images(study.image_set, material.batches, settings, progress)
    with transaction.atomic():
        _move(study, before, Study.State.OPEN, actor)
        _refuse_changed(study, image_set, settings)
        retire_free_places(study, Mode.PILOT)
        set_checks(study, material)
        make_live_slots(make_batches(study, material.batches, made, settings, Mode.LIVE), settings)


def start_pilot(*, study: Study, places: int, actor: Actor, progress: Progress | None = None) -> None:
    """Let `places` people with the pilot link try the study out, before it opens. What they say is never counted.

    Started again, after a change or for more people: places that were still free go, and `places` new ones are there.

    Raises:
        Conflict: the study was opened before, or its instructions would show pictures of its trials.
        DataError, Invalid: `places` is out of range, the image set cannot carry the design, or people would not be told
            what they must be.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    before, image_set, settings = study.state, study.image_set, _ready(study)
    _check_places(places)
    material = _draw(study, settings)
    batches = material.batches[:places]
    made = make_mixed_images(study.image_set, batches, settings, progress)
    with transaction.atomic():
        _move(study, before, Study.State.PILOT, actor, places=places)
        _refuse_changed(study, image_set, settings)
        retire_free_places(study, Mode.PILOT)
        set_checks(study, material)
        make_pilot_slots(make_batches(study, batches, made, settings, Mode.PILOT), settings, places)


def end_pilot(*, study: Study, actor: Actor) -> None:
    """Let nobody new try the study out: it is a draft again. Whoever has begun may finish."""
    require(actor, Action.OPEN_STUDY, study.pk)
    with transaction.atomic():
        _move(study, Study.State.PILOT, Study.State.DRAFT, actor)
        retire_free_places(study, Mode.PILOT)


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


def _ready(study: Study) -> Settings:
    """The settings of a study that was not opened yet and could be, as far as that shows without drawing.

    Raises:
        Conflict, Invalid: it was opened, its design does not fit together, or its consent page lacks something.
    """
    if study.state not in NOT_OPENED:
        raise Conflict(
            f"“{study.title}” is {study.get_state_display()}; only a draft or paused study can be opened, and only what"
            " was never opened can be tried out."
        )
    content = study.protocol.content
    settings = settings_of(content)
    settings.design.check()
    refuse_uninformed(study, content)
    return settings


def _draw(study: Study, settings: Settings) -> Material:
    opened = study.image_set.open()
    material = draw_material(opened, settings.design)
    refuse_overlap(opened, settings.design, material)
    return material


def _check_places(n_places: int) -> None:
    if not 1 <= n_places <= MAX_PILOT_PLACES:
        message = f"Between 1 and {MAX_PILOT_PLACES:,} places."
        raise Invalid(f"The pilot was not started. {message}", fields={"places": [message]})


def jobs_of(study: Study) -> Q:
    """Which jobs make places of `study`."""
    of_pilot = Q(kind=PILOT_KIND, object_id__startswith=f"{study.pk}:")
    return Q(kind=OPEN_KIND, object_id=str(study.pk)) | of_pilot


def _refuse_twice(study: Study) -> None:
    """One waiting or running job is enough: both kinds change the same places."""
    if Job.objects.filter(jobs_of(study), state__in=(JobState.QUEUED, JobState.RUNNING)).exists():
        raise Conflict(f"The places of “{study.title}” are being made already; see the jobs.")


def _refuse_changed(study: Study, image_set: ImageSet, settings: Settings) -> None:
    """Drawing took its time: refuse if somebody meanwhile changed what it was drawn for, or emptied what people must be
    told."""
    content = study.protocol.content
    refuse_uninformed(study, content)
    if study.image_set != image_set or settings_of(content) != settings:
        raise Conflict(f"Somebody changed “{study.title}” meanwhile; nothing was done. Try again.")


def _move(study: Study, before: str, after: str, actor: Actor, **said: Any) -> None:
    """Change the state if it is still `before`, so that of two people who press a button one is told."""
    now = timezone.now()
    changes: dict[str, Any] = {"state": after}
    if after == Study.State.CLOSED:
        changes["closed_at"] = now
    elif after == Study.State.OPEN and before in NOT_OPENED:
        changes["opened_at"] = now
    if not Study.objects.filter(pk=study.pk, state=before).update(**changes):
        study.refresh_from_db()
        raise Conflict(f"“{study.title}” is {study.get_state_display()} already; nothing was changed.")
    study.refresh_from_db()
    audit.record(actor, _event(before, after), study, **said)


def _event(before: str, after: str) -> str:
    if after == Study.State.DRAFT:
        return "study.pilot_ended"
    return f"study.{after}"
