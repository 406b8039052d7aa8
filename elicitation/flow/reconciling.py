"""What a recruiter says of its submissions, beside what is held here: who is to be paid, who left, who is unknown.

A status is kept as the recruiter says it and never inferred. It changes one thing here: the place of somebody who
returned or timed out is free again; their answers stay, and whoever is back finishes as an extra. Nobody is approved,
rejected or paid from here: what to do is said, and a person does it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from elicitation.flow import allocation
from elicitation.flow.findings import Finding, Held, Todo, finding_of, not_listed
from elicitation.participants.models import Identity, Participation
from elicitation.participants.services import decrypted, encrypted, pid_hmac
from elicitation.recruiters import prolific_api
from elicitation.recruiters.models import Submission
from elicitation.recruiters.prolific import RETURNED, TIMED_OUT, Listed
from elicitation.recruiters.services import correct_typed, recruitment_of, session_hmac
from elicitation.studies.models import Mode, Study
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job

JOB_KIND = "sync_submissions"
GRACE = timedelta(minutes=10)  # whoever timed out keeps the place while answers go on coming


@dataclass(frozen=True)
class Reconciled:
    """What became of a list of submissions; `freed` places were given back."""

    findings: list[Finding]
    freed: int

    def to_approve(self) -> list[str]:
        """The recruiter's ids of those to approve, as its form for many at once takes them."""
        return [finding.pid for finding in self.findings if finding.todo == Todo.APPROVE]


def reconcile(*, study: Study, rows: Sequence[Listed], actor: Actor) -> Reconciled:
    """Keep the statuses of `rows`, put mistyped ids right, free the places of who is gone, and say of everybody what
    to do.

    Everybody is found by the stay or by the person; a stay that was not known is kept. Doing it again changes nothing.
    """
    require(actor, Action.PAY_PARTICIPANTS, study.pk)
    people = _people(study)
    by_pid = dict(Identity.objects.filter(study=study).values_list("pid_hmac", "participation"))
    stays = {stay.session_hmac: stay for stay in Submission.objects.filter(study=study)}
    matched = []
    for row in rows:
        stay = stays.get(session_hmac(study, row.session))
        pk = stay.participation_id if stay else by_pid.get(pid_hmac(study, row.pid))
        matched.append((row, stay, people.get(pk) if pk is not None else None))
    with transaction.atomic():
        _keep_statuses(study, matched)
        _correct_ids(study, matched)
        freed = _free_places(study, matched)
        audit.record(actor, "study.submissions_read", study, n=len(rows), freed=freed)
    return Reconciled(_findings(study, [(row, held) for row, _stay, held in matched], people), freed)


def findings_kept(*, study: Study, actor: Actor) -> Reconciled:
    """What to do by the statuses that were kept last, fetched or uploaded. Audited; nothing changes.

    Codes, and submissions of whom nothing is held, are not kept: only the recruiter's list has them.
    """
    require(actor, Action.PAY_PARTICIPANTS, study.pk)
    people = _people(study)
    identities = Identity.objects.filter(study=study).values_list("participation", "pid_ciphertext")
    pids = {pk: decrypted(pid) for pk, pid in identities}
    rows = []
    for stay in Submission.objects.filter(study=study, participation__in=people).exclude(status=""):
        pk, session = stay.participation_id, decrypted(stay.session_ciphertext)
        rows.append((Listed(session, pids.get(pk, ""), stay.status, None), people[pk]))
    audit.record(actor, "study.submissions_shown", study, n=len(rows))
    return Reconciled(_findings(study, rows, people), 0)


def _findings(
    study: Study, rows: Sequence[tuple[Listed, Held | None]], people: dict[int, Held]
) -> list[Finding]:
    """What to do about each of `rows`, and about whoever finished and is in none; most urgent first."""
    stays: defaultdict[int, dict[str, str]] = defaultdict(dict)  # of a person: session → status
    kept = Submission.objects.filter(study=study).values_list("participation", "session_hmac", "status")
    for pk, session, status in kept:
        stays[pk][session] = status
    way = recruitment_of(study)
    findings = []
    for row, held in rows:
        theirs = stays[held.participation.pk] if held else {}
        mine = session_hmac(study, row.session)
        findings.append(finding_of(row, held, way, [said for stay, said in theirs.items() if stay != mine]))
    listed_here = {held.participation.pk for _row, held in rows if held}
    findings += not_listed(study, [held for pk, held in people.items() if pk not in listed_here])
    order = list(Todo)
    return sorted(findings, key=lambda finding: order.index(finding.todo))


def queue_sync(*, study: Study, actor: User) -> Job:
    """Queue the fetching of a study's submissions from its recruiter.

    Raises:
        Conflict: no token is set, or the study's id at the recruiter is not known.
    """
    require(actor, Action.PAY_PARTICIPANTS, study.pk)
    _study_id(study)
    return queue_job(
        kind=JOB_KIND, object_id=str(study.pk), label=f"Fetch the submissions of “{study.title}”", actor=actor
    )


def sync_submissions(*, study: Study, actor: Actor, progress: Progress) -> Reconciled:
    """Fetch the submissions of a study from its recruiter and keep their statuses.

    Raises:
        Conflict: no token is set, the study's id there is not known, or the recruiter does not answer.
    """
    require(actor, Action.PAY_PARTICIPANTS, study.pk)

    def said(n: int) -> None:
        progress.check()
        progress.update(n, n, "submissions read")

    result = reconcile(
        study=study, rows=prolific_api.fetch_submissions(_study_id(study), said=said), actor=actor
    )
    for todo in Todo:
        if n := sum(finding.todo == todo for finding in result.findings):
            progress.log(f"{todo.label}: {n}")
    progress.log(f"places freed: {result.freed}")
    return result


def _study_id(study: Study) -> str:
    """The study's id at its recruiter, whose submissions can be fetched."""
    study_id = str(recruitment_of(study).options.get("study_id", ""))
    prolific_api.require_ready(study_id)
    return study_id


# --- What is held -------------------------------------------------------------------------------------------


def _people(study: Study) -> dict[int, Held]:
    """Everybody but previews, by participation."""
    found = (
        study.participations.exclude(mode=Mode.PREVIEW)
        .defer("drawn", "survey", "measures")
        .annotate(
            n_trials=Count("trials"),
            n_answers=Count("trials__response"),
            last_at=Max("trials__response__received_at"),
        )
    )
    return {person.pk: Held(person, person.n_answers, person.n_trials, person.last_at) for person in found}


Match = tuple[Listed, Submission | None, Held | None]


def _keep_statuses(study: Study, matched: Iterable[Match]) -> None:
    now = timezone.now()
    new, changed = [], []
    for row, stay, held in matched:
        if stay is None and held is not None:
            new.append(
                Submission(
                    participation=held.participation,
                    study=study,
                    session_hmac=session_hmac(study, row.session),
                    session_ciphertext=encrypted(row.session),
                    status=row.status,
                    status_at=now,
                )
            )
        elif stay is not None and stay.status != row.status:
            stay.status, stay.status_at = row.status, now
            changed.append(stay)
    Submission.objects.bulk_create(new, ignore_conflicts=True)
    Submission.objects.bulk_update(changed, ["status", "status_at"], batch_size=500)


def _correct_ids(study: Study, matched: Iterable[Match]) -> None:
    """What the recruiter says of the person of a stay prevails over what they typed."""
    typed = set(Identity.objects.filter(study=study, typed=True).values_list("participation", flat=True))
    for row, stay, held in matched:
        if stay is not None and held is not None and held.participation.pk in typed:
            correct_typed(held.participation, row.pid)


def _free_places(study: Study, matched: Sequence[Match]) -> int:
    """Give back the places of those who are gone by all of their stays. Returns how many."""
    gone: dict[int, bool] = {}
    for row, _stay, held in matched:
        if held is not None:
            pk = held.participation.pk
            gone[pk] = gone.get(pk, True) and _is_gone(row, held)
    wanted = [pk for pk, left in gone.items() if left]
    # Somebody who came back after the list was made has a stay that is not in it.
    listed_stays = {session_hmac(study, row.session) for row, _stay, _held in matched}
    stays = Submission.objects.filter(participation__in=wanted).values_list("participation", "session_hmac")
    back = {pk for pk, session in stays if session not in listed_stays}
    leaving = Participation.objects.filter(
        pk__in=set(wanted) - back, state=Participation.State.RUNNING, slot__isnull=False
    ).select_for_update()
    freed = 0
    for participation in leaving.order_by("pk"):
        allocation.give_back(participation)
        freed += 1
    return freed


def _is_gone(row: Listed, held: Held) -> bool:
    if held.finished:
        return False  # all answers are here, and only the last click is missing
    if row.status == RETURNED:
        return True
    lately = held.last_at is not None and timezone.now() - held.last_at < GRACE
    return row.status == TIMED_OUT and not lately
