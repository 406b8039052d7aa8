"""The one table role × action. Checks, menus and the tests of every URL are made from it; nothing else grants anything.

A role is either a person's on the whole instance (admin, researcher, public) or a researcher's in one study (owner,
editor, viewer). What is not in the table is refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from django.contrib.auth.models import AnonymousUser

from hilmix.accounts.models import Membership, User
from hilmix.errors import Forbidden, NotFound


class Role(StrEnum):
    ADMIN = "admin"
    RESEARCHER = "researcher"
    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"
    PUBLIC = "public"


class Action(StrEnum):
    SIGN_IN = "account.sign_in"
    MANAGE_OWN_TOKENS = "account.tokens"
    MANAGE_PEOPLE = "people.manage"
    VIEW_AUDIT = "audit.view"
    VIEW_IMAGE_SETS = "imageset.view"
    IMPORT_IMAGES = "imageset.import"
    CREATE_STUDY = "study.create"
    VIEW_STUDY = "study.view"
    EDIT_STUDY = "study.edit"
    OPEN_STUDY = "study.open"
    RECRUIT = "study.recruit"
    PAY_PARTICIPANTS = "participation.pay"
    JUDGE_PARTICIPATION = "participation.judge"
    FREEZE_RELEASE = "release.freeze"
    VIEW_RELEASE = "release.view"
    IMPORT_ANSWERS = "hub.import"
    LAUNCH_EXPERIMENT = "experiment.launch"
    VIEW_EXPERIMENT = "experiment.view"
    CHOOSE_ARM = "experiment.choose"
    ASK_MODEL = "run.predict"
    VIEW_OWN_JOBS = "job.view"
    STEER_JOB = "job.steer"
    PAUSE_QUEUE = "queue.pause"
    TAKE_PART = "participation.take_part"


A, R, O, E, V, P = Role.ADMIN, Role.RESEARCHER, Role.OWNER, Role.EDITOR, Role.VIEWER, Role.PUBLIC  # noqa: E741

ALLOWED: Final[dict[Action, frozenset[Role]]] = {
    Action.SIGN_IN: frozenset({A, R, P}),
    Action.TAKE_PART: frozenset({A, R, P}),
    Action.MANAGE_OWN_TOKENS: frozenset({A, R}),
    Action.MANAGE_PEOPLE: frozenset({A}),
    Action.VIEW_AUDIT: frozenset({A}),
    Action.VIEW_IMAGE_SETS: frozenset({A, R}),
    Action.IMPORT_IMAGES: frozenset({A}),
    Action.CREATE_STUDY: frozenset({A, R}),
    Action.VIEW_STUDY: frozenset({A, O, E, V}),
    Action.EDIT_STUDY: frozenset({A, O, E}),
    Action.OPEN_STUDY: frozenset({A, O}),
    Action.RECRUIT: frozenset({A, O}),
    Action.PAY_PARTICIPANTS: frozenset({A, O}),
    Action.JUDGE_PARTICIPATION: frozenset({A, O, E}),
    Action.FREEZE_RELEASE: frozenset({A, O}),
    Action.VIEW_RELEASE: frozenset({A, O, E, V}),
    Action.IMPORT_ANSWERS: frozenset({A}),
    Action.LAUNCH_EXPERIMENT: frozenset({A}),
    Action.VIEW_EXPERIMENT: frozenset({A, O, E, V}),
    Action.CHOOSE_ARM: frozenset({A, O}),
    Action.ASK_MODEL: frozenset({A, O, E}),
    Action.VIEW_OWN_JOBS: frozenset({A, R}),
    Action.STEER_JOB: frozenset({A, R}),
    Action.PAUSE_QUEUE: frozenset({A}),
}
del A, R, O, E, V, P


class Operator:
    """The person at the machine's command line, who owns its files and may do everything."""


OPERATOR: Final = Operator()
Actor = User | AnonymousUser | Operator


def roles_of(person: Actor, study_id: int | None = None) -> frozenset[Role]:
    """The roles `person` has on the instance and, if given, in the study. With a token of one study they have none
    anywhere else, nor on the instance."""
    if isinstance(person, Operator):
        return frozenset({Role.ADMIN})
    if isinstance(person, AnonymousUser) or not person.is_active:
        return frozenset({Role.PUBLIC})
    if only_study_of(person) not in (None, study_id):
        return frozenset()
    roles = {Role(person.kind)}
    if study_id is not None:
        parts = Membership.objects.filter(user=person, study_id=study_id).values_list("part", flat=True)
        roles.update(Role(part) for part in parts)
    return frozenset(roles)


def allowed(person: Actor, action: Action, study_id: int | None = None) -> bool:
    """Whether the table grants `action` to one of the person's roles."""
    granted = ALLOWED[action]
    # The account itself first: its parts in a study take a query.
    places = dict.fromkeys((None, study_id))
    return any(not granted.isdisjoint(roles_of(person, place)) for place in places)


def require(person: Actor, action: Action, study_id: int | None = None) -> None:
    """Refuse unless allowed: NotFound for a study the person may not even see, Forbidden otherwise."""
    if allowed(person, action, study_id):
        return
    if study_id is not None and not allowed(person, Action.VIEW_STUDY, study_id):
        raise NotFound("There is no such study, or you may not see it.")
    who = "An admin" if study_id is None else "An admin or the study's owner"
    raise Forbidden(f"Your role does not allow this. {who} can do it.")


def only_study_of(person: Actor) -> int | None:
    """The one study that the token is good for with which `person` asks; None where there is no such limit."""
    return person.only_study_id if isinstance(person, User) else None


def user_or_none(person: Actor) -> User | None:
    """The account to write beside what was done; None for the operator at the command line."""
    return person if isinstance(person, User) else None
