"""Pages of participations: the list, one with its way and its answers, and the judgement whether it counts.

Nobody's id at a recruiter is shown here; a participation is called by the id that hilmix drew for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from elicitation.flow import validity
from elicitation.flow.events import COMPREHENSION
from elicitation.mixes.services import pixels_of
from elicitation.monitoring.filters import participation_filters
from elicitation.monitoring.one import Passage, passage_of
from elicitation.monitoring.sheets import csv_reply
from elicitation.monitoring.words import in_words
from elicitation.participants.models import Participation, ParticipationEvent
from elicitation.studies.models import Mode, Source, Study
from elicitation.studies.pages import visible_study
from elicitation.trials.flags import Flagged, excluding, flags_of
from elicitation.trials.models import Response, Trial, TrialImage
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, allowed
from hilmix.core.mixing import to_png
from hilmix.core.release_tables import level_column
from hilmix.errors import Conflict, Invalid
from hilmix.lists import Listing, listing

Row = dict[str, Any]
# Of the csv, in this order: name and what it holds. A column for each factor that varies between people follows.
COLUMNS: Mapping[str, str] = {
    "participation": "the id that hilmix drew",
    "mode": "live, pilot or preview",
    "state": "how far it came",
    "protocol": "version of the protocol",
    "started_at": "when consent was given (UTC); empty where it was imported",
    "completed_at": "when the closing page was sent (UTC)",
    "minutes": "between the two",
    "answers": "trials answered",
    "trials": "trials planned",
    "rounds": "of the comprehension check",
    "problems": "reported by the person",
    "flags": "that stand under the rules in force",
    "left_out_by": "those of the flags that leave it out of labels",
    "invalid_reason": "why somebody marked it as not to count",
    "over_quota": "finished after its place had gone to somebody else",
    "typed_id": "whether the person typed the recruiter's id in",
}


@require_safe
def study_participations(request: HttpRequest, slug: str) -> HttpResponse:
    """Who takes part, one row each; live ones unless others are asked for."""
    study = visible_study(request, slug)
    flags = _flags(study, request)
    found = _listing(request, study, flags)
    rows = []
    for person in found.page:
        stand = flags.get(person.pk, [])
        rows.append((person, stand, in_words(person.levels), _counting(person, stand)))
    context = {
        "study": study,
        "listing": found,
        "rows": rows,
        "has_levels": any(levels for _person, _flags, levels, _counting in rows),
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/participations.html", context)


@require_safe
def participations_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The rows that the filters leave, all of them, as csv."""
    study = visible_study(request, slug)
    flags = _flags(study, request)
    people = _listing(request, study, flags).queryset
    rows = [_row(person, flags.get(person.pk, [])) for person in people.iterator(chunk_size=500)]
    audit.record(request.user, "study.participations_downloaded", study, n=len(rows))
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    lines = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    return csv_reply(f"{study.slug}-participations.csv", lines)


@require_safe
def study_participation(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """One participation: its way, each answer with what was shown and what it says, and whether it counts."""
    study, person = participation_at(request, slug, public_id)
    return _shown(request, study, passage_of(study, person))


@require_POST
def judge_participation(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Mark it as not to count, with a reason, or take that back."""
    study, person = participation_at(request, slug, public_id)
    try:
        if request.POST.get("do") == "valid":
            validity.mark_valid(participation=person, actor=request.user)
            messages.success(request, _("It counts again."))
        else:
            reason = request.POST.get("reason", "")
            validity.mark_invalid(participation=person, reason=reason, actor=request.user)
            messages.success(request, _("It does not count any more; its place is free for somebody else."))
    except Invalid as refusal:
        return _shown(request, study, passage_of(study, person), refusal.fields.get("reason", []))
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("study_participation", slug=slug, public_id=public_id)


@require_safe
def participation_picture(request: HttpRequest, slug: str, public_id: str, image_id: int) -> HttpResponse:
    """A picture as a trial of this participation showed it, at native size."""
    _study, person = participation_at(request, slug, public_id)
    shown = TrialImage.objects.select_related("mixed_image__pair__image_set")
    image = get_object_or_404(shown, pk=image_id, trial__participation=person)
    png = to_png(pixels_of(image.mixed_image))
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def participation_at(request: HttpRequest, slug: str, public_id: str) -> tuple[Study, Participation]:
    """A study that the person may see, and one of its participations; a 404 page otherwise."""
    study = visible_study(request, slug)
    mine = study.participations.select_related("protocol", "slot__batch", "study")
    return study, get_object_or_404(mine, public_id=public_id)


def _shown(request: HttpRequest, study: Study, passage: Passage, errors: Sequence[str] = ()) -> HttpResponse:
    context = {
        "study": study,
        "passage": passage,
        "person": passage.person,
        "errors": errors,
        "may_judge": allowed(request.user, Action.JUDGE_PARTICIPATION, study.pk)
        and passage.person.state != Participation.State.WITHDRAWN,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/participation.html", context, status=400 if errors else 200)


def _flags(study: Study, request: HttpRequest) -> dict[int, list[Flagged]]:
    """The flags of the mode that is asked for; of live ones where all modes are."""
    asked = request.GET.get("mode")
    return flags_of(study, mode=asked if asked in Mode.values else Mode.LIVE)


def _listing(request: HttpRequest, study: Study, flags: Mapping[int, Sequence[Flagged]]) -> Listing:
    by_flag: dict[str, list[int]] = defaultdict(list)
    for pk, stand in flags.items():
        for one in stand:
            by_flag[one.rule.flag].append(pk)
    left_out = [pk for pk, stand in flags.items() if excluding(stand)]
    return listing(request, _people(study), participation_filters(study, by_flag, left_out))


def _people(study: Study) -> QuerySet[Participation]:
    """Everybody, newest first, with the counts that the list shows."""
    return (
        study.participations.select_related("protocol")
        .annotate(
            n_answers=_count(
                Response.objects.filter(trial__participation=OuterRef("pk")), "trial__participation"
            ),
            n_trials=_count(Trial.objects.filter(participation=OuterRef("pk")), "participation"),
            n_rounds=_count(
                ParticipationEvent.objects.filter(participation=OuterRef("pk"), kind=COMPREHENSION),
                "participation",
            ),
            typed_id=F("identity__typed"),
            n_problems=Count("problem_reports"),
            n_open_problems=Count("problem_reports", filter=Q(problem_reports__handled_at=None)),
            took=F("completed_at") - F("started_at"),
        )
        .order_by("-pk")
    )


def _count(rows: QuerySet[Any], of: str) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values(of).annotate(n=Count("pk")).values("n")), 0)


def _counting(person: Any, flags: Sequence[Flagged]) -> str:
    """Whether its answers count, or why not."""
    if person.invalid_at is not None:
        return _("marked as not to count")
    if excluding(flags):
        return _("left out by a rule")
    if person.mode != Mode.LIVE:
        return _("only live ones count")
    if not person.n_answers:
        return _("no answers")
    return _("counts, over quota") if person.is_over_quota else _("counts")


def _row(person: Any, flags: Sequence[Flagged]) -> Row:
    took: timedelta | None = person.took
    return {
        "participation": person.public_id,
        "mode": person.mode,
        "state": person.state,
        "protocol": person.protocol.version,
        "started_at": ""
        if person.source == Source.IMPORTED
        else person.started_at.isoformat(timespec="seconds"),
        "completed_at": person.completed_at.isoformat(timespec="seconds") if person.completed_at else "",
        "minutes": f"{took / timedelta(minutes=1):.2f}" if took else "",
        "answers": person.n_answers,
        "trials": person.n_trials,
        "rounds": person.n_rounds,
        "problems": person.n_problems,
        "flags": " ".join(one.rule.flag for one in flags),
        "left_out_by": " ".join(one.rule.flag for one in excluding(flags)),
        "invalid_reason": person.invalid_reason,
        "over_quota": "yes" if person.is_over_quota else "no",
        "typed_id": "yes" if person.typed_id else "no",
        **{level_column(factor): level for factor, level in person.levels.items()},
    }
