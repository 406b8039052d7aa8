"""The page that watches a study, and the problems that participants reported."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from elicitation.monitoring import services
from elicitation.monitoring.filters import ProblemFilters
from elicitation.monitoring.monitor import WATCHED, monitor_of
from elicitation.monitoring.words import in_words
from elicitation.participants.models import ProblemReport
from elicitation.studies.models import Mode, Source
from elicitation.studies.pages import visible_study
from elicitation.studies.protocol import settings_of
from hilmix.accounts.roles import Action, allowed
from hilmix.lists import listing

MOST_ROWS = 60  # class pairs shown; of more, those that are furthest behind


@require_safe
def study_monitor(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is where, what is there and what is missing, in one mode and, where factors vary, at some levels."""
    study = visible_study(request, slug)
    mode = Mode.PILOT if request.GET.get("mode") == Mode.PILOT else Mode.LIVE
    numbers = monitor_of(study, mode)
    combinations = numbers.coverage.combinations()
    chosen = _chosen(request, len(combinations))
    board = numbers.coverage.board(None if chosen is None else combinations[chosen])
    rows = board.rows
    if len(rows) > MOST_ROWS:
        behind = sorted(rows, key=lambda row: row.share_full)[:MOST_ROWS]
        rows = tuple(row for row in rows if row in behind)
    context: dict[str, Any] = {
        "study": study,
        "monitor": numbers,
        "mode": mode,
        "modes": [(value, Mode(value).label) for value in WATCHED],
        "every_mode": Mode.choices,
        "board": board,
        "rows": rows,
        "chosen": chosen,
        "combinations": [(at, in_words(levels)) for at, levels in enumerate(combinations) if levels],
        "widths": [
            (" / ".join(in_words(levels) for levels in one.levels if levels), one)
            for one in numbers.coverage.widths
        ],
        "timed": bool(settings_of(study.protocol.content).timing_reason),
        "runs": study.source != Source.IMPORTED,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/monitor.html", context)


def _chosen(request: HttpRequest, n: int) -> int | None:
    """Which combination of levels is asked for; all of them together where it is none."""
    asked = request.GET.get("levels", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 and int(asked) < n else None


@require_safe
def study_problems(request: HttpRequest, slug: str) -> HttpResponse:
    """What participants reported, those first that nobody has handled."""
    study = visible_study(request, slug)
    reports = study.problem_reports.select_related("participation").order_by("-handled_at", "-pk")
    context = {
        "study": study,
        "listing": listing(request, reports, ProblemFilters),
        "may_handle": allowed(request.user, Action.JUDGE_PARTICIPATION, study.pk),
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/problems.html", context)


@require_POST
def handle_problem(request: HttpRequest, slug: str, report_id: int) -> HttpResponse:
    """Mark a reported problem as handled, or as open again."""
    study = visible_study(request, slug)
    report = get_object_or_404(ProblemReport, study=study, pk=report_id)
    handled = request.POST.get("do") != "reopen"
    services.handle_problem(report=report, handled=handled, actor=request.user)
    messages.success(request, _("Marked as handled.") if handled else _("Open again."))
    return redirect("study_problems", slug=slug)
