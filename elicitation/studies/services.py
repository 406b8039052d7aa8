"""What happens to studies as they are written: they are created, changed and copied. Opening them is in opening.py.

A protocol's content is never changed once anybody takes part under it, or could: a change then makes a new version,
in force for whoever joins from then on. Only a draft in which nobody takes part is rewritten in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from elicitation.interfaces import interface_named
from elicitation.studies.changing import analysed_otherwise, carried_from, changed_content
from elicitation.studies.diff import differences
from elicitation.studies.models import Mode, Protocol, Source, Study
from elicitation.studies.places import change_live_places
from elicitation.studies.plans import StudyPlan, check_plan, content_of_plan, plan_of_study
from elicitation.studies.protocol import content_sha256, settings_of
from elicitation.studies.text_checks import check_texts
from elicitation.studies.texts import missing_information, texts_of
from hilmix.accounts import audit
from hilmix.accounts.models import Membership
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid

MAX_LISTED = 50  # differences that an audit row names


@dataclass(frozen=True)
class Change:
    """What a change came to: the version in force, whether anything differs, and the labels of the texts that somebody
    had written and that stayed as they were although their defaults are others now."""

    protocol: Protocol
    changed: bool
    kept: tuple[str, ...] = ()


def create_study(*, plan: StudyPlan, source: str = Source.PERSON, actor: Actor) -> Study:
    """Create a draft; its creator becomes its owner.

    Raises:
        Invalid: with messages per field, where the plan cannot be carried out.
    """
    require(actor, Action.CREATE_STUDY)
    return _create(plan, source, actor)


def copy_study(*, study: Study, slug: str, title: str, actor: Actor, source: str | None = None) -> Study:
    """Create a draft that asks the same as `study` does now, in its newest words; nobody's answers come along.

    Args:
        source: where the copy's answers will come from; that of `study` where it is None, people's where those were
            imported.

    Raises:
        Invalid: with messages per field, as for a new study.
    """
    require(actor, Action.VIEW_STUDY, study.pk)
    require(actor, Action.CREATE_STUDY)
    original = plan_of_study(study)
    renamed = replace(original, slug=slug, title=title)
    texts, _kept = carried_from(original, renamed)
    if source is None:
        source = Source.PERSON if study.source == Source.IMPORTED else study.source
    return _create(replace(renamed, texts=texts), source, actor, copied_from=study)


def change_protocol(*, study: Study, plan: StudyPlan, actor: Actor, based_on: str | None) -> Change:
    """Make the protocol say what `plan` says: everything of a draft, and what opening did not fix of an opened study.

    Texts that are the defaults of the settings before become the defaults of the settings after; what somebody wrote
    stays, and `Change.kept` names it. More or fewer answers a unit make or take places of an open study. Title and,
    of a draft, link and image set are the study's and change with it.

    Args:
        plan: all of it; take `plan_of_study(study)` and replace what is to differ.
        based_on: sha256 of the content that was read before changing it; None where nobody else can have changed it.

    Raises:
        Conflict: another content is in force than the one that was read, or the study is closed or imported and more
            than rules and hypotheses would differ.
        Invalid: with messages per field, where the plan cannot be carried out, would change what opening fixed, or
            would no longer tell people what they must be told.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    with transaction.atomic():
        current, before = _locked(study, based_on)
        kept: tuple[str, ...] = ()
        renamed = False
        if current.is_only_analysed:
            content = analysed_otherwise(current, before, plan)
        else:
            content, kept = changed_content(current, before, plan)
            if current.state != Study.State.DRAFT:
                refuse_uninformed(current, content)
            renamed = _rename(current, plan)
        found = differences(before.content, content)
        protocol = _put(current, before, content) if found else before
        changed = renamed or bool(found)
        if found and current.state in (Study.State.OPEN, Study.State.PAUSED):
            change_live_places(current, settings_of(content))
        if changed:
            listed = [one.label for one in found[:MAX_LISTED]]
            audit.record(actor, "study.protocol_changed", study, version=protocol.version, changed=listed)
    study.refresh_from_db()
    return Change(protocol, changed, kept)


def change_texts(
    *, study: Study, texts: Mapping[str, Any], actor: Actor, based_on: str | None = None
) -> Protocol:
    """Make the protocol say other `texts`, for whoever joins from then on. Texts that are the same change nothing.

    `based_on` is the sha256 of the content that was read before changing it, where somebody else may have changed it
    meanwhile. Returns the version in force.

    Raises:
        Conflict: the study is closed, or another content is in force than `based_on`.
        Invalid: with messages per text, where a participant could not be shown it, or where an open study would no
            longer say what people must be told.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    with transaction.atomic():
        current, before = _locked(study, based_on)
        if current.is_only_analysed:
            raise Conflict(f"“{study.title}” is closed; its texts stay as they were.")
        content = {**before.content, "texts": dict(texts)}
        check_texts(texts, interface_named(settings_of(content).interface))
        if current.state != Study.State.DRAFT:
            refuse_uninformed(current, content)
        if not differences(before.content, content):
            return before
        protocol = _put(current, before, content)
        audit.record(actor, "study.texts_changed", study, version=protocol.version)
    return protocol


def refuse_uninformed(study: Study, content: Mapping[str, Any]) -> None:
    """People are told who asks, what for, and what becomes of their answers, or they are not asked."""
    missing = missing_information(texts_of(content)) if study.source == Source.PERSON else []
    if missing:
        raise Invalid(
            "Before people can take part, the consent page must say: "
            + ", ".join(missing).replace("_", " ")
            + ".",
            fields={name: ["People must be told this before they consent."] for name in missing},
        )


def _create(plan: StudyPlan, source: str, actor: Actor, copied_from: Study | None = None) -> Study:
    imported = source == Source.IMPORTED  # what others asked is taken as it was
    check_plan(plan, imported=imported)
    content = content_of_plan(plan, imported=imported)
    with transaction.atomic():
        study = Study.objects.create(
            slug=plan.slug,
            title=plan.title,
            image_set=plan.image_set,
            source=source,
            copied_from=copied_from,
            created_by=user_or_none(actor),
        )
        Protocol.objects.create(study=study, content=content, sha256=content_sha256(content))
        if creator := user_or_none(actor):
            Membership.objects.create(user=creator, study=study, part=Membership.Part.OWNER)
        origin = {"copied_from": copied_from.slug} if copied_from else {}
        audit.record(actor, "study.created", study, slug=study.slug, **origin)
    return study


def _locked(study: Study, based_on: str | None) -> tuple[Study, Protocol]:
    """The study and the version in force, locked: whoever begins under it waits until the change is written."""
    current = Study.objects.select_for_update(of=("self",)).select_related("image_set").get(pk=study.pk)
    before = current.protocols.select_for_update().latest("version")
    if based_on not in (None, before.sha256):
        raise Conflict(
            "Somebody else changed this study meanwhile. Open the page again to see what it says now."
        )
    return current, before


def _rename(study: Study, plan: StudyPlan) -> bool:
    """What a plan says that is the study's own and not its protocol's; whether any of it is new."""
    changed = [name for name in ("slug", "title", "image_set") if getattr(study, name) != getattr(plan, name)]
    if "image_set" in changed and study.participations.exclude(mode=Mode.PREVIEW).exists():
        problem = "People took part, if only to try the study out: its pictures stay. Copy the study instead."
        raise Invalid(problem, fields={"image_set": [problem]})
    for name in changed:
        setattr(study, name, getattr(plan, name))
    if changed:
        study.save(update_fields=changed)
    return bool(changed)


def _put(study: Study, before: Protocol, content: dict[str, Any]) -> Protocol:
    """Write `content` down, in place while nobody takes part under it and nobody can."""
    sha256 = content_sha256(content)
    if study.state == Study.State.DRAFT and not before.participations.exists():
        before.content, before.sha256 = content, sha256
        before.save(update_fields=["content", "sha256"])
        return before
    return Protocol.objects.create(study=study, version=before.version + 1, content=content, sha256=sha256)
