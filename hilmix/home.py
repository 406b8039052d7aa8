"""The home page, which says what is going on and what to do next, and the two health addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from elicitation.images.models import ImageSet
from elicitation.participants.models import Participation, ProblemReport
from elicitation.recruiters.direct import Direct
from elicitation.studies.models import Mode, Slot, Source, Study
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import ALLOWED, Action, Role
from hilmix.hub.lineage_kinds import withdrawn_words
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import queues_without_worker, workers_alive
from hilmix.lists import number_of
from training.models import Experiment

LOOKED_AT = 40  # studies and releases, the newest: what is older waits for nobody's next step
SHOWN = 8
RECENT = timedelta(days=7)  # for how long a failed job is mentioned

Many = QuerySet[Any]


@dataclass(frozen=True)
class Step:
    """Something to do next: what is the matter, what can be done, and where. `urgent` where something went wrong."""

    matter: str
    todo: str
    url: str
    urgent: bool = False


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """For the public: what this is and which open studies anybody may join, none that a panel recruits for. For the
    signed-in: what is going on."""
    person = request.user
    if not isinstance(person, User):
        by_link = Q(recruitment=None) | Q(recruitment__recruiter=Direct.NAME)
        open_studies = Study.objects.filter(by_link, state=Study.State.OPEN, source=Source.PERSON)
        return render(request, "welcome.html", {"studies": open_studies})
    studies = list(_with_progress(Study.objects.visible_to(person))[:LOOKED_AT])
    visible = Release.objects.visible_to(person).select_related("study")
    newest = visible.annotate(n_experiments=Count("experiments")).order_by("-pk")
    releases = count_withdrawn(newest[:LOOKED_AT])
    experiments = Experiment.objects.visible_to(person)
    jobs = Job.objects.visible_to(person)
    broken = jobs.filter(state__in=[JobState.FAILED, JobState.LOST], finished_at__gte=timezone.now() - RECENT)
    steps = [
        *_after_jobs(broken[:SHOWN]),
        *_after_releases(person, releases),
        *_after_studies(person, studies),
        *_at_the_beginning(person, studies),
    ]
    context = {
        "steps": sorted(steps, key=lambda step: not step.urgent),
        "studies": studies[:SHOWN],
        "releases": releases[:SHOWN],
        "experiments": experiments.with_state().select_related("release")[:SHOWN],
        "jobs": jobs.filter(state__in=[JobState.QUEUED, JobState.RUNNING])[:SHOWN],
        "queues_without_worker": queues_without_worker(),
    }
    return render(request, "home.html", context)


def _with_progress(studies: Many) -> Many:
    """Studies, the newest first, with how far they are."""
    live = {"study": OuterRef("pk"), "mode": Mode.LIVE}
    slots = Slot.objects.filter(batch__study=OuterRef("pk"), batch__mode=Mode.LIVE)
    finished = Participation.objects.filter(**live, state__in=Participation.FINISHED)
    to_publish = finished.filter(Q(consent__publish=True) | ~Q(source=Source.PERSON))
    finished_at = Coalesce("completed_at", "started_at")  # not everybody goes on to the closing page
    releases = Release.objects.filter(study=OuterRef("pk")).order_by("-number")
    problems = ProblemReport.objects.filter(study=OuterRef("pk"), handled_at=None)
    return studies.annotate(
        n_places=number_of(slots, "batch__study"),
        n_filled=number_of(slots.filter(state=Slot.State.FILLED), "batch__study"),
        n_finished=number_of(finished, "study"),
        n_to_publish=number_of(to_publish, "study"),
        n_problems=number_of(problems, "study"),
        last_finished_at=Subquery(to_publish.order_by(finished_at.desc()).values(at=finished_at)[:1]),
        last_released_at=Subquery(releases.values("created_at")[:1]),
    ).order_by("-pk")


# --- what to do next


def _after_jobs(broken: Many) -> Iterator[Step]:
    for job in broken:
        said = _("“%(label)s” failed") if job.state == JobState.FAILED else _("“%(label)s” was lost")
        yield Step(
            said % {"label": job.label}, _("See why, and try again"), job.get_absolute_url(), urgent=True
        )


def _after_releases(person: User, releases: Sequence[Any]) -> Iterator[Step]:
    """Of each study, its newest release is looked at: an earlier one has been followed."""
    newest: dict[int, Any] = {}
    for release in releases:
        newest.setdefault(release.study_id, release)
    for release in newest.values():
        page = reverse("release", args=[release.pk])
        if release.n_withdrawn:
            matter = f"{release.name} {withdrawn_words(release.n_withdrawn)}"
            yield Step(matter, _("Freeze a new release"), page, urgent=True)
        elif not release.n_experiments and Role(person.kind) in ALLOWED[Action.LAUNCH_EXPERIMENT]:
            matter = _("No model has been trained on %(name)s") % {"name": release.name}
            yield Step(
                matter, _("Launch an experiment"), f"{reverse('new_experiment')}?release={release.name}"
            )


def _after_studies(person: User, studies: Sequence[Any]) -> Iterator[Step]:
    parts = dict(Membership.objects.filter(user=person).values_list("study_id", "part"))
    for study in studies:
        roles = {Role(person.kind), *map(Role, filter(None, [parts.get(study.pk)]))}
        may = {action for action, allowed in ALLOWED.items() if not allowed.isdisjoint(roles)}
        yield from _after_study(study, may)


def _after_study(study: Any, may: set[Action]) -> Iterator[Step]:
    page, named = reverse("study", args=[study.slug]), {"title": study.title, "n": study.n_problems}
    if study.n_problems and Action.JUDGE_PARTICIPATION in may:
        matter = ngettext(
            "%(n)d problem was reported in “%(title)s”",
            "%(n)d problems were reported in “%(title)s”",
            study.n_problems,
        )
        reports = reverse("study_problems", args=[study.slug])
        yield Step(matter % named, _("Read what people wrote"), reports, urgent=True)
    if Action.OPEN_STUDY in may:
        if study.state in (Study.State.DRAFT, Study.State.PILOT):
            yield Step(_("“%(title)s” is not open yet") % named, _("Try it out, then open it"), page)
        elif study.state == Study.State.OPEN and study.n_places and study.n_filled == study.n_places:
            yield Step(_("Every place of “%(title)s” is filled") % named, _("Close it"), page)
    if Action.FREEZE_RELEASE in may and study.n_to_publish:
        page = reverse("freeze_release", args=[study.slug])
        if study.last_released_at is None:
            yield Step(_("“%(title)s” has answers and no release") % named, _("Freeze a release"), page)
        elif study.last_finished_at and study.last_finished_at > study.last_released_at:
            yield Step(
                _("“%(title)s” has answers that no release holds") % named, _("Freeze a release"), page
            )


def _at_the_beginning(person: User, studies: Sequence[Any]) -> Iterator[Step]:
    if studies or Role(person.kind) not in ALLOWED[Action.CREATE_STUDY]:
        return
    if ImageSet.objects.exists():
        yield Step(_("You are in no study yet"), _("Set one up"), reverse("new_study"))
    else:
        yield Step(_("There are no images yet"), _("See how to import some"), reverse("image_sets"))


# --- health


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The web process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The web process answers and reaches its database; `workers` says whether long work would be done."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok", "workers": {q: workers_alive(q) for q in ("data", "train")}})
