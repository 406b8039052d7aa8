"""The audit trail: one row for each thing somebody did, in the transaction that did it; and its rows in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import Actor, user_or_none

# What was done, in words; an action that is not here is told by its name.
WORDS: Mapping[str, str | Promise] = {
    "experiment.arm_added": gettext_lazy("brought predictions from elsewhere"),
    "experiment.chosen": gettext_lazy("chose an arm"),
    "experiment.compared_over_time": gettext_lazy("had a configuration compared over releases"),
    "experiment.created": gettext_lazy("wrote an experiment"),
    "experiment.launched": gettext_lazy("launched an experiment"),
    "experiment.report_printed": gettext_lazy("had a report written as a file"),
    "experiment.report_renewed": gettext_lazy("had a report written anew"),
    "experiment.runs_described": gettext_lazy("had the pages of runs made"),
    "experiment.seeds_added": gettext_lazy("added seeds to an experiment"),
    "experiment.test_seen": gettext_lazy("opened figures of the test images before an arm was chosen"),
    "export.made": gettext_lazy("made a file of the answers"),
    "imageset.human_labels": gettext_lazy("imported human labels"),
    "imageset.imported": gettext_lazy("imported an image set"),
    "job.cancel_requested": gettext_lazy("asked a job to stop"),
    "job.queued": gettext_lazy("queued a job"),
    "job.reordered": gettext_lazy("put a job elsewhere in the queue"),
    "job.retried": gettext_lazy("let a job run again"),
    "participation.invalid": gettext_lazy("marked a participation as not to count"),
    "participation.valid": gettext_lazy("let a participation count again"),
    "participation.withdrawn": gettext_lazy("withdrew from a study"),
    "people.added": gettext_lazy("added somebody"),
    "people.link_issued": gettext_lazy("made a sign-in link"),
    "people.password_set": gettext_lazy("set a password"),
    "people.signed_in_by_link": gettext_lazy("signed in by a link"),
    "problem.handled": gettext_lazy("saw to a reported problem"),
    "problem.reopened": gettext_lazy("opened a reported problem again"),
    "queue.paused": gettext_lazy("paused a queue"),
    "queue.resumed": gettext_lazy("resumed a queue"),
    "release.frozen": gettext_lazy("froze a release"),
    "run.asked": gettext_lazy("asked a model about images"),
    "run.explained": gettext_lazy("asked what a model looks at"),
    "study.analysed": gettext_lazy("asked for an analysis"),
    "study.bonuses_listed": gettext_lazy("downloaded the list of bonuses"),
    "study.closed": gettext_lazy("closed a study"),
    "study.created": gettext_lazy("created a study"),
    "study.exported": gettext_lazy("wrote the answers as they were published"),
    "study.follow_up": gettext_lazy("made a study of images on which a model and people disagree"),
    "study.imported": gettext_lazy("imported a study"),
    "study.labels_scored": gettext_lazy("asked for label scores"),
    "study.membership": gettext_lazy("gave somebody a part in a study, or ended it"),
    "study.open": gettext_lazy("opened a study"),
    "study.participations_downloaded": gettext_lazy("downloaded the list of participations"),
    "study.paused": gettext_lazy("paused a study"),
    "study.pilot": gettext_lazy("began a pilot"),
    "study.pilot_ended": gettext_lazy("ended a pilot"),
    "study.previewed": gettext_lazy("looked at a study as a participant"),
    "study.protocol_changed": gettext_lazy("changed the settings of a study"),
    "study.read_from_file": gettext_lazy("read a study from a file"),
    "study.recruitment_set": gettext_lazy("set who recruits"),
    "study.simulated": gettext_lazy("simulated a study"),
    "study.submissions_read": gettext_lazy("read the recruiter's list"),
    "study.submissions_shown": gettext_lazy("looked at whom to pay"),
    "study.texts_changed": gettext_lazy("changed the words of a study"),
    "token.created": gettext_lazy("made a token"),
    "token.revoked": gettext_lazy("ended a token"),
    "upload.received": gettext_lazy("brought a file"),
}


def record(actor: Actor, action: str, obj: models.Model, **detail: Any) -> AuditEvent:
    """Write down that `actor` did `action` to `obj`. Never pass a participant's identity in `detail`."""
    [event] = record_each(actor, action, [obj], **detail)
    return event


def record_each(actor: Actor, action: str, objs: Iterable[models.Model], **detail: Any) -> list[AuditEvent]:
    """The same of several objects, in one query."""
    return AuditEvent.objects.bulk_create(
        AuditEvent(
            actor=user_or_none(actor),
            action=action,
            object_kind=obj._meta.label_lower,
            object_id=str(obj.pk),
            detail=detail,
        )
        for obj in objs
    )


@dataclass(frozen=True)
class Told:
    """An event in words: `kind` and `name` of what it was done to, `url` its page if it has one and is still there."""

    event: AuditEvent
    who: str
    what: str
    kind: str
    name: str
    url: str
    details: list[tuple[str, str]]


def in_words(events: Iterable[AuditEvent]) -> list[Told]:
    """The events as people read them, in their order; one query for each kind of what they were done to."""
    events = list(events)
    wanted = defaultdict(set)
    for event in events:
        wanted[event.object_kind].add(event.object_id)
    there = {kind: _objects(kind, keys) for kind, keys in wanted.items()}
    return [_told(event, there[event.object_kind].get(event.object_id)) for event in events]


def _objects(kind: str, keys: set[str]) -> dict[str, models.Model]:
    """What is still there, by key; nothing of a kind that this version of hilmix does not have."""
    try:
        found = apps.get_model(kind)._default_manager.select_related().filter(pk__in=keys)
        return {str(obj.pk): obj for obj in found}
    except (LookupError, ValueError, ValidationError):
        return {}


def _told(event: AuditEvent, obj: models.Model | None) -> Told:
    kind = str(obj._meta.verbose_name) if obj else event.object_kind.rpartition(".")[2]
    url = obj.get_absolute_url() if obj is not None and hasattr(obj, "get_absolute_url") else ""
    of_people = event.action == "participation.withdrawn"
    return Told(
        event=event,
        who=event.actor.username if event.actor else _("a participant") if of_people else _("operator"),
        what=str(WORDS.get(event.action, event.action.replace(".", " ").replace("_", " "))),
        kind=kind,
        name=str(obj)
        if obj is not None and type(obj).__str__ is not models.Model.__str__
        else event.object_id,
        url=url,
        details=[(name.replace("_", " "), _said(value)) for name, value in event.detail.items()],
    )


def _said(value: Any) -> str:
    if value in (None, "", []):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(one)}" for name, one in value.items())
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)
