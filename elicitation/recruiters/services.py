"""How people come to a study, and what is kept of their coming: their recruiter's id, and each of their stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from elicitation.participants.models import Identity, Participation
from elicitation.participants.services import Arrival, encrypted, keyed, pid_hmac
from elicitation.recruiters.base import Outcome, Recruiter
from elicitation.recruiters.direct import Direct
from elicitation.recruiters.models import Recruitment, Submission
from elicitation.recruiters.prolific import Prolific
from elicitation.studies.models import Mode, Study
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid
from hilmix.rows import insert

RECRUITERS: Mapping[str, Recruiter] = {recruiter.NAME: recruiter for recruiter in (Direct(), Prolific())}


@dataclass(frozen=True)
class Way:
    """How people come to one study: its recruiter with its options. Where nothing was chosen it is a direct link."""

    recruiter: Recruiter
    options: Mapping[str, Any]

    def code(self, outcome: Outcome) -> str:
        return self.recruiter.code(self.options, outcome)

    def completion_url(self, outcome: Outcome) -> str:
        return self.recruiter.completion_url(self.options, outcome)


def recruitment_of(study: Study) -> Way:
    """How people come to `study`."""
    row = Recruitment.objects.filter(study=study).first()
    recruiter = RECRUITERS[row.recruiter if row else Direct.NAME]
    return Way(recruiter, row.options if row and recruiter.HAS_CODES else {})


def set_recruitment(
    *,
    study: Study,
    recruiter: str,
    options: Mapping[str, Any],
    excludes: Collection[Study] = (),
    actor: Actor,
) -> Recruitment:
    """Say how people come to `study`. Codes that are not given are drawn; where no option is given, those that the
    study once had stay as they are, for the recruiter may have them still.

    Args:
        excludes: studies whose participants may not take part in this one; the actor must see them. Those that
            somebody else excluded and the actor cannot see stay excluded.

    Raises:
        Invalid: there is no such recruiter, or its options are not right (fields name them).
        Conflict: the study's answers come from no people.
    """
    require(actor, Action.RECRUIT, study.pk)
    if study.source != "person":
        raise Conflict(
            f"“{study.title}” takes {study.get_source_display()} answers; nobody is recruited for it."
        )
    if recruiter not in RECRUITERS:
        raise Invalid(
            "The recruitment was not saved.", fields={"recruiter": [f"One of {', '.join(RECRUITERS)}."]}
        )
    _refuse_hidden(study, excludes, actor)
    earlier = Recruitment.objects.filter(study=study).values_list("options", flat=True).first() or {}
    given = {**earlier, **options} if RECRUITERS[recruiter].HAS_CODES else options
    checked = {**earlier, **RECRUITERS[recruiter].check_options(given)}
    with transaction.atomic():
        row, _new = Recruitment.objects.update_or_create(
            study=study, defaults={"recruiter": recruiter, "options": checked}
        )
        hidden = list(row.excludes.exclude(pk__in=seen_by(actor)))
        row.excludes.set([*excludes, *hidden])
        # Without the options: codes are nobody's to read here.
        audit.record(
            actor,
            "study.recruitment_set",
            study,
            recruiter=recruiter,
            excludes=sorted(other.slug for other in excludes),
        )
    return row


def _refuse_hidden(study: Study, excludes: Collection[Study], actor: Actor) -> None:
    wanted = {other.pk for other in excludes}
    if study.pk in wanted or seen_by(actor).filter(pk__in=wanted).count() != len(wanted):
        raise Invalid(
            "The recruitment was not saved.", fields={"excludes": ["Other studies that you may see."]}
        )


def seen_by(actor: Actor) -> QuerySet[Study]:
    """The studies that the actor may see; all of them where it is no person."""
    person = user_or_none(actor)
    return Study.objects.all() if person is None else Study.objects.visible_to(person)


def recruitment_as_plan(study: Study, reader: Actor) -> dict[str, Any]:
    """The recruitment as a study's file says it: without codes, without the id of one study at a recruiter, and without
    studies that the reader may not see."""
    row = Recruitment.objects.filter(study=study).first()
    if row is None:
        return {"recruiter": Direct.NAME, "excludes": []}
    return {
        "recruiter": row.recruiter,
        "excludes": sorted(row.excludes.filter(pk__in=seen_by(reader)).values_list("slug", flat=True)),
    }


# --- Who comes ----------------------------------------------------------------------------------------------


def known_participation(study: Study, arrival: Arrival) -> Participation | None:
    """The participation of whoever comes: by who they are or, where that is new, by the stay that the recruiter counts.

    Somebody whose link once lacked their id, and who mistyped it, is found by the stay. A typed id finds nobody:
    anybody could type it.
    """
    if arrival.pid and not arrival.typed:
        told = Identity.objects.filter(study=study, pid_hmac=pid_hmac(study, arrival.pid))
        if identity := told.select_related("participation").first():
            return identity.participation
    if arrival.session:
        stays = Submission.objects.filter(study=study, session_hmac=session_hmac(study, arrival.session))
        if stay := stays.select_related("participation").first():
            return stay.participation
    return None


def is_taken(study: Study, arrival: Arrival) -> bool:
    """Whether somebody takes part under this id."""
    return Identity.objects.filter(study=study, pid_hmac=pid_hmac(study, arrival.pid)).exists()


def remember_stay(participation: Participation, session: str) -> None:
    """Keep the first stay of somebody new.

    Raises:
        IntegrityError: it is somebody else's.
    """
    insert(
        Submission(
            participation=participation,
            study=participation.study,
            session_hmac=session_hmac(participation.study, session),
            session_ciphertext=encrypted(session),
        )
    )


def remember_arrival(participation: Participation, arrival: Arrival) -> None:
    """Keep the stay that somebody comes with, beside earlier ones; and their id, where so far it was only typed in."""
    if participation.state == Participation.State.WITHDRAWN:
        return
    with transaction.atomic():
        if arrival.session:
            Submission.objects.get_or_create(
                study=participation.study,
                session_hmac=session_hmac(participation.study, arrival.session),
                defaults={"participation": participation, "session_ciphertext": encrypted(arrival.session)},
            )
        if arrival.pid and not arrival.typed:
            correct_typed(participation, arrival.pid)


def correct_typed(participation: Participation, pid: str) -> None:
    """What the recruiter says of a person prevails over what they typed."""
    told = pid_hmac(participation.study, pid)
    of_study = Identity.objects.filter(study=participation.study)
    if not of_study.filter(pid_hmac=told).exclude(participation=participation).exists():
        of_study.filter(participation=participation, typed=True).update(
            pid_hmac=told, pid_ciphertext=encrypted(pid), typed=False
        )


def is_excluded(study: Study, pid: str) -> bool:
    """Whether the person took part in a study that this one excludes. A look at a study is no taking part."""
    if not pid:
        return False
    excluded = Study.objects.filter(
        pk__in=Recruitment.excludes.through.objects.filter(recruitment__study=study).values("study")
    )
    by_study = [Q(study=other, pid_hmac=pid_hmac(other, pid)) for other in excluded]
    if not by_study:
        return False
    return Identity.objects.filter(reduce(or_, by_study)).exclude(participation__mode=Mode.PREVIEW).exists()


def session_hmac(study: Study, session: str) -> str:
    """The look-up value of a stay; never the same as that of a person."""
    return keyed(f"{study.pk}:session:{session}")
