"""The way of one participant: join, resume, complete, finish. Each step is one transaction with a defined answer.

Saving answers, the step between, is in saving.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from elicitation.flow import allocation
from elicitation.participants.models import Consent, Participation
from elicitation.participants.services import UNKNOWN, Arrival, remember_identity
from elicitation.recruiters.services import is_taken, known_participation, remember_stay
from elicitation.studies.factors import cells_of
from elicitation.studies.models import Mode, Protocol, Study
from elicitation.studies.reading import reading_of
from elicitation.studies.texts import CONTACT, PUBLISH, text_hashes
from elicitation.trials.flags import process_measures
from elicitation.trials.planning import write_plan
from hilmix.errors import Conflict, Invalid
from hilmix.rows import fetch, insert


class TookPartBefore(Conflict):
    """The person tried the study out, and may not take part in it as well; or the other way round."""

    code = "took_part_before"


class IdTaken(Conflict):
    """Somebody takes part under the id that was typed in. Only the recruiter's link can tell whether it is the same."""

    code = "id_taken"


def join_study(
    *,
    study: Study,
    source: str,
    boxes: Mapping[str, bool],
    arrival: Arrival = UNKNOWN,
    protocol: Protocol | None = None,
    mode: str = Mode.LIVE,
) -> tuple[Participation, bool]:
    """Take part: consent is written, a slot held, and the whole plan drawn and stored.

    Args:
        source: where the answers will come from; must be what the study is for.
        boxes: consent box name → ticked; all required ones of the protocol must be.
        arrival: who the person is at the recruiter, and their stay, if known. Somebody who comes again gets the same
            participation.
        protocol: the version whose consent page was shown; the newest where none was.
        mode: live, pilot or preview; each has places of its own.

    Returns the participation, and whether it is new.

    Raises:
        Invalid: a required consent box is not ticked.
        Conflict: the study lets nobody in for this mode, is for another source, is full (`StudyFull`), or the person
            took part in another mode (`TookPartBefore`), or typed in the id of somebody known (`IdTaken`).
    """
    protocol = protocol or Protocol.objects.raw(NEWEST, [study.pk])[0]
    consent = _consent(protocol, boxes)
    if source != study.source:
        raise Conflict(f"“{study.title}” takes {study.get_source_display()} answers, not {source} ones.")
    if known := _known(study, arrival, mode):
        return known, False
    try:
        with transaction.atomic():
            _require_open(study, protocol, mode)
            slot = allocation.claim_slot(study, protocol, mode)
            cells = cells_of(reading_of(protocol).settings.factors)
            participation = Participation(
                study=study, protocol=protocol, slot=slot, source=source, mode=mode, levels=cells[slot.cell]
            )
            write_plan(participation)
            consent.participation = participation
            insert(consent)
            if arrival.pid:
                remember_identity(participation, arrival)
            if arrival.session:
                remember_stay(participation, arrival.session)
    except IntegrityError:
        # The same person or stay twice at once, in two windows: the first one's place is theirs.
        if known := _known(study, arrival, mode):
            return known, False
        raise
    return participation, True


def resume(*, participation: Participation) -> Participation:
    """The trials page was opened (again): a new epoch begins, and a lost slot is taken back where one is free."""
    with transaction.atomic():
        locked = Participation.objects.select_for_update(of=("self",)).select_related(
            "study", "protocol", "slot"
        )
        current = locked.get(pk=participation.pk)
        allocation.take_back(current)
        allocation.renew_lease(current)
        current.epoch += 1
        current.save(update_fields=["epoch", "last_seen_at"])
    return current


def answered_of(participation: Participation) -> tuple[int, int]:
    """How many planned trials have an answer, and how many there are."""
    ((answered, total),) = fetch(COUNTS, [participation.pk])
    return answered, total


def missing_positions(participation: Participation) -> list[int]:
    """Positions of planned trials without an answer."""
    return list(participation.trials.filter(response=None).values_list("position", flat=True))


def complete(*, participation: Participation) -> list[int]:
    """All trials are answered: fill the slot. Returns the positions still missing; nothing changes while there are any.

    Calling it again changes nothing.

    Raises:
        Conflict: the way has ended before: by the comprehension check, or by withdrawing.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state in (Participation.State.DECLINED, Participation.State.WITHDRAWN):
            raise Conflict(_("This participation has ended; nothing was changed."))
        missing = missing_positions(current)
        if missing or current.state != Participation.State.RUNNING:
            return missing
        current.state = Participation.State.ANSWERED
        current.measures = process_measures(current)
        current.save(update_fields=["state", "measures", "last_seen_at"])
        allocation.take_back(current)  # where the lease ended meanwhile and nobody has taken the place
        allocation.fill(current)
    return []


def finish(*, participation: Participation, survey: Mapping[str, Any]) -> Participation:
    """The closing page was sent: keep its answers by name, draw the completion code. A second call keeps the first's.

    Raises:
        Conflict: not every planned answer is held yet, or the person has withdrawn.
    """
    with transaction.atomic():
        current = Participation.objects.select_for_update().get(pk=participation.pk)
        if current.state == Participation.State.COMPLETED:
            return current
        if current.state != Participation.State.ANSWERED:
            raise Conflict(
                _("Some answers have not arrived yet. Go back to the study; it continues where you were.")
            )
        current.state = Participation.State.COMPLETED
        current.survey = dict(survey)
        current.completed_at = timezone.now()
        current.completion_code = secrets.token_hex(4).upper()
        current.save()
    return current


def lets_in(state: str, mode: str) -> bool:
    """Whether a study in this state takes new people in this mode."""
    if mode == Mode.PREVIEW:
        return state != Study.State.CLOSED
    return state == (Study.State.PILOT if mode == Mode.PILOT else Study.State.OPEN)


def _require_open(study: Study, protocol: Protocol, mode: str) -> None:
    """Until this transaction ends, nobody closes the study or writes its protocol anew."""
    shared = " for share of study" if connection.features.has_select_for_update else ""
    ((state, sha256),) = fetch(STATE + shared, [protocol.pk])
    if not lets_in(state, mode):
        raise Conflict(_("“%(title)s” is not open at the moment.") % {"title": study.title})
    if sha256 != protocol.sha256:
        raise Conflict(_("This study was changed a moment ago. Please open its page again."))


def _known(study: Study, arrival: Arrival, mode: str) -> Participation | None:
    """The participation of somebody who comes again.

    Raises:
        TookPartBefore: it was in another mode. Whoever tried a study out has seen it, and is not asked again.
        IdTaken: somebody has the id that was typed in, and the stay is not theirs.
    """
    known = known_participation(study, arrival)
    if known is None and arrival.typed and is_taken(study, arrival):
        # Another window of the same stay may have come between the two looks; stay and id are written at once.
        known = known_participation(study, arrival)
        if known is None:
            raise IdTaken(
                _(
                    "Somebody takes part with this id already. If it is yours, open the link from your recruiter again."
                )
            )
    if known is not None and known.mode != mode:
        raise TookPartBefore(_("You have taken part in this study before. Thank you for coming."))
    return known


def _consent(protocol: Protocol, boxes: Mapping[str, bool]) -> Consent:
    """What was agreed to, not saved yet. Publishing needs a box of its own where the protocol has one."""
    shown = {box.name: box for box in reading_of(protocol).texts.boxes}
    ticked = {name: bool(boxes.get(name)) for name in shown}
    if missing := [box.text for name, box in shown.items() if box.required and not ticked[name]]:
        message = _("Please tick every box that is needed if you want to take part.")
        raise Invalid(message, fields={"boxes": missing})
    return Consent(
        text_sha256=_consent_sha256(protocol.sha256),
        boxes=ticked,
        publish=ticked.get(PUBLISH, True),
        contact=ticked.get(CONTACT, False),
    )


@lru_cache(maxsize=256)
def _consent_sha256(protocol_sha256: str) -> str:
    """The hash of the consent page of the protocols with this hash."""
    contents = Protocol.objects.filter(sha256=protocol_sha256).values_list("content", flat=True)
    return text_hashes(contents[0])["consent"]


# Written out, because they are part of every joining and every save: the ORM takes longer to put them together than
# the database to answer.
NEWEST = """
    select id, study_id, version, sha256 from elicitation_protocol
    where study_id = %s order by version desc limit 1
"""
STATE = """
    select study.state, protocol.sha256
    from elicitation_study study join elicitation_protocol protocol on protocol.study_id = study.id
    where protocol.id = %s
"""
COUNTS = """
    select count(elicitation_response.id), count(*)
    from elicitation_trial left join elicitation_response on elicitation_response.trial_id = elicitation_trial.id
    where elicitation_trial.participation_id = %s
"""
