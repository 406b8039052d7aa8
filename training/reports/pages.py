"""Pages of reports: one folded part of it, and the order to write it anew; and what the page of an experiment shows of
its report and its runs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, NotFound
from training.choices.services import opened_to, see_test
from training.experiments.models import Arm, Experiment
from training.reports.advice import advice_of
from training.reports.as_told import content_of, renewing
from training.reports.headline import headline_of
from training.reports.parts import figures_at_once, parts_of
from training.reports.sections import Section, sections_of
from training.reports.services import renew_report
from training.reports.tables import checks_of, definitions_of, is_first_format, score_table
from training.reports.words import about_arm
from training.runs.models import Run


@require_safe
def report_part(request: HttpRequest, experiment_id: int, key: str) -> HttpResponse:
    """One part of a report with its figures; the page of the experiment fetches it when it is unfolded."""
    experiment = _visible(request, experiment_id)
    content = content_of(experiment)
    part = next((one for one in parts_of(content) if one.key == key), None)
    if part is None:
        raise NotFound(_("This report has no such part."))
    by = f"the part {part.title!r} of the report"
    opening = (
        see_test(experiment=experiment, actor=request.user, by=by)
        if part.of_test
        else opened_to(experiment, request.user)
    )
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "content": content,
        "part": part,
        "opening": opening,
    }
    if part.key == "metrics":
        context |= {"scores": score_table(content), "definitions": definitions_of(content)}
    return render(request, "training/part.html", context)


@require_POST
def report_renew(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Queue the job that writes the report anew."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.LAUNCH_EXPERIMENT)
    try:
        renew_report(experiment=experiment, actor=request.user)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(
            request, _("The report is being written anew; this page shows the present one until then.")
        )
    return redirect(experiment)


def shown(person: Any, experiment: Experiment) -> dict[str, Any]:
    """What the page of an experiment shows of its report, which must be there."""
    content = experiment.report.content
    steers = allowed(person, Action.LAUNCH_EXPERIMENT)
    opening = opened_to(experiment, person)
    told: dict[str, Any] = {
        "content": content,
        "renewing": renewing(experiment),
        "figures_at_once": figures_at_once(content),
        "parts": parts_of(content),
        "opening": opening,
        "checks": checks_of(content),
        "may_add_seeds": steers,
        "may_renew": steers and experiment.is_reported,
    }
    if is_first_format(content):
        return told | {"scores": score_table(content), "definitions": definitions_of(content)}
    sections: dict[str, Section] = {section.key: section for section in sections_of(content)}
    return told | {
        "headline": headline_of(content),
        "advice": advice_of(content, with_test=opening.shows),
        "contrasts": sections.get("contrasts"),
        "not_assessed": sections.get("not-assessed"),
    }


def runs_shown() -> QuerySet[Run]:
    """Runs as the page of an experiment reads them: their states, and why one is left out (`why`)."""
    runs = Run.objects.select_related("job").only("arm", "seed", "fold", "candidate", "finished_at", "job")
    return runs.annotate(why=KT("evaluations__excluded__why"))


def arms_shown(experiment: Experiment) -> list[tuple[Arm, str, list[Run]]]:
    """Its arms, each in words and with its runs, which were read with it (`runs_shown`)."""
    return [(arm, about_arm(arm), list(arm.runs.all())) for arm in experiment.arms.all()]


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    related = ("release__study", "report", "choice")
    return get_object_or_404(
        Experiment.objects.visible_to(request.user).with_state().defer(None).select_related(*related),
        pk=experiment_id,
    )
