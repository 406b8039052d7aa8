"""What to do about a recruiter's submission, given what is held here. It is said; a person does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from elicitation.participants.models import Identity, Participation
from elicitation.participants.services import decrypted
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.prolific import (
    ACTIVE,
    APPROVED,
    AWAITING,
    NO_CODE,
    REJECTED,
    RETURNED,
    TIMED_OUT,
    Listed,
)
from elicitation.recruiters.services import Way
from elicitation.studies.models import Mode, Study

PAYS = frozenset({ACTIVE, AWAITING, APPROVED})  # statuses of a stay that is paid, or may be yet


class Todo(StrEnum):
    """What a person should do about a submission, most urgent first."""

    PAY_BY_HAND = "pay_by_hand"
    LOOK = "look"
    APPROVE = "approve"
    ASK_TO_RETURN = "ask_to_return"
    WAIT = "wait"
    NOTHING = "nothing"

    @property
    def label(self) -> Promise:
        return TODOS[self]


TODOS: dict[Todo, Promise] = {
    Todo.PAY_BY_HAND: _("pay by hand"),
    Todo.LOOK: _("look at it"),
    Todo.APPROVE: _("approve"),
    Todo.ASK_TO_RETURN: _("ask to return"),
    Todo.WAIT: _("wait"),
    Todo.NOTHING: _("nothing to do"),
}


@dataclass(frozen=True)
class Held:
    """What is held of a person: the participation, how many of its trials are answered, and when the last was."""

    participation: Participation
    answered: int
    total: int
    last_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether every planned answer is here."""
        return self.participation.state in Participation.FINISHED or (
            self.total > 0 and self.answered == self.total
        )


@dataclass(frozen=True)
class Finding:
    """One submission, or one person who has none: the recruiter's ids and status, what is held, and what to do.

    `public_id` is ours, empty where nothing is held. Says who somebody is.
    """

    pid: str
    session: str
    status: str
    public_id: str
    held: str
    todo: Todo
    reason: str

    def __repr__(self) -> str:
        return f"Finding({self.status}, {self.todo})"


def finding_of(row: Listed, held: Held | None, way: Way, others: Collection[str] = ()) -> Finding:
    """What to do about `row`; `others` are the statuses of the person's other stays, empty where none was heard of."""
    todo, reason = _unknown(row, way) if held is None else _known(row, held, way, others)
    return Finding(
        pid=row.pid,
        session=row.session,
        status=row.status,
        public_id=held.participation.public_id if held else "",
        held=_held_in_words(held) if held else translate("nothing"),
        todo=todo,
        reason=reason,
    )


def _known(row: Listed, held: Held, way: Way, others: Collection[str]) -> tuple[Todo, str]:
    """Of somebody who took part."""
    if row.status in (APPROVED, REJECTED):
        return _decided(row, held)
    if held.finished:
        return _finished(row, held, way, others)
    if row.status in (RETURNED, TIMED_OUT):
        return Todo.NOTHING, translate("Left early; the place is free again.")
    if row.status == ACTIVE:
        return Todo.WAIT, translate("Taking part now.")
    if row.code and row.code == way.code(Outcome.DATA_PROBLEM):
        return Todo.LOOK, translate(
            "Says that answers could not be saved. Anybody can say so: see what is here."
        )
    if row.status != AWAITING:
        return Todo.NOTHING, translate("This status decides nothing here.")
    if held.participation.state == Participation.State.DECLINED:
        return Todo.ASK_TO_RETURN, translate("Did not pass the questions about the controls.")
    if row.code and row.code == way.code(Outcome.COMPLETED):
        return Todo.LOOK, translate("Has the code for finishing, but has not finished.")
    if held.answered and row.code and row.code in (way.code(Outcome.ENDED), way.code(Outcome.FULL)):
        return Todo.LOOK, translate("The study was closed while they answered: pay them.")
    if held.answered and row.code is None:
        return Todo.LOOK, translate("Did not finish. The code, which says why, is in Prolific's list only.")
    return Todo.ASK_TO_RETURN, translate("Left early.")


def _decided(row: Listed, held: Held) -> tuple[Todo, str]:
    if row.status == REJECTED and held.finished:
        return Todo.LOOK, translate("Rejected, though all answers are here.")
    return Todo.NOTHING, translate("Decided already.")


def _finished(row: Listed, held: Held, way: Way, others: Collection[str]) -> tuple[Todo, str]:
    """Of somebody whose answers are all here. One participation is paid once, however many stays it took."""
    if row.status in (TIMED_OUT, RETURNED) and PAYS.intersection(others):
        return Todo.NOTHING, translate("Finished, and is paid by another stay.")
    if row.status in (TIMED_OUT, RETURNED) and "" in others:
        return Todo.WAIT, translate("Finished in another stay, which is not in the list: get a newer one.")
    if row.status == AWAITING and {AWAITING, APPROVED}.intersection(others):
        return Todo.LOOK, translate("Finished once, but there is another stay to pay: approve only one.")
    if held.participation.mode != Mode.LIVE and row.status in (TIMED_OUT, RETURNED, AWAITING):
        return Todo.LOOK, translate("Took part in the pilot: pay it only if this is the pilot's list.")
    if row.status == TIMED_OUT:
        return Todo.PAY_BY_HAND, translate("Timed out, but finished.")
    if row.status == RETURNED:
        return Todo.PAY_BY_HAND, translate("Returned, but finished.")
    if row.status == ACTIVE:
        return Todo.WAIT, translate("Finished here, and has not sent it off there yet.")
    if row.status != AWAITING:
        return Todo.NOTHING, translate("This status decides nothing here.")
    if row.code is None:
        return Todo.APPROVE, translate("Finished.")
    if row.code.upper() in NO_CODE:
        return Todo.APPROVE, translate("Came back without a code (NOCODE); all answers are here.")
    if row.code != way.code(Outcome.COMPLETED):
        return Todo.APPROVE, translate("Typed in another code; all answers are here.")
    return Todo.APPROVE, translate("Finished.")


def _unknown(row: Listed, way: Way) -> tuple[Todo, str]:
    """Of somebody of whom nothing is held."""
    if row.status in (APPROVED, REJECTED, RETURNED, TIMED_OUT):
        return Todo.NOTHING, translate("Unknown here, and decided there.")
    if row.status == ACTIVE:
        return Todo.WAIT, translate("Has not consented yet.")
    ends = {way.code(outcome): outcome for outcome in Outcome if way.code(outcome)}
    outcome = ends.get(row.code or "")
    if outcome in (Outcome.COMPLETED, Outcome.ENDED):
        return Todo.LOOK, translate(
            "Unknown here, with the code of one who took part: withdrew, or was given it."
        )
    if outcome is not None:
        return Todo.ASK_TO_RETURN, translate("Did not take part: %(why)s.") % {"why": outcome.label}
    return Todo.LOOK, translate("Unknown here: came by another link, or gave another id.")


def not_listed(study: Study, others: Sequence[Held]) -> list[Finding]:
    """Those who finished here, who came from the recruiter, and whom its list does not have; not those of a pilot."""
    live = [held for held in others if held.participation.mode == Mode.LIVE]
    done = {held.participation.pk: held for held in live if held.finished}
    identities = Identity.objects.filter(study=study, participation__in=done)
    return [
        Finding(
            pid=decrypted(identity.pid_ciphertext),
            session="",
            status="",
            public_id=done[identity.participation_id].participation.public_id,
            held=_held_in_words(done[identity.participation_id]),
            todo=Todo.LOOK,
            reason=translate("Typed their id in, and it is not in the list.")
            if identity.typed
            else translate("Finished here, and is not in the list."),
        )
        for identity in identities
    ]


def _held_in_words(held: Held) -> str:
    said = ngettext("%(answered)d of %(n)d answer", "%(answered)d of %(n)d answers", held.total) % {
        "answered": held.answered,
        "n": held.total,
    }
    person = held.participation
    marks = [str(person.get_state_display())]
    if person.mode != Mode.LIVE:
        marks.append(str(person.get_mode_display()))
    if person.invalid_at is not None:
        marks.append(translate("marked invalid"))
    return f"{said}; {', '.join(marks)}"
