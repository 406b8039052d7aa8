"""The page of how well labels predict people: the newest result, and the form that starts another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.fields import GroupedForm
from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.core.label_scores import REPEATS
from hilmix.errors import Conflict, Invalid
from hilmix.figures import show
from hilmix.hub.models import Analysis
from hilmix.hub.scoring import JOB_KIND, MOST_REPEATS, queue_scores
from hilmix.jobs.models import Job


class ScoresForm(GroupedForm):
    """The fields of `queue_scores`."""

    repeats = forms.IntegerField(
        initial=REPEATS,
        min_value=1,
        max_value=MOST_REPEATS,
        label=_("How often answers are dealt out anew"),
        help_text=_("Each time in five folds. The more often, the less chance there is in the numbers."),
    )


@require_safe
def study_label_scores(request: HttpRequest, slug: str) -> HttpResponse:
    """How well each label predicted people when it was last asked; no number is computed here."""
    return _page(request, visible_study(request, slug), ScoresForm())


@require_POST
def score_study_labels(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue the scoring; the page shows how far it is."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.EDIT_STUDY, study.pk)
    form = ScoresForm(request.POST)
    if form.is_valid():
        try:
            queue_scores(study=study, actor=request.user, **form.cleaned_data)
            return redirect("study_label_scores", slug=slug)
        except (Conflict, Invalid) as error:
            form.refuse(Invalid(error.message, fields=error.fields))
    return _page(request, study, form, status=400)


def _page(request: HttpRequest, study: Study, form: ScoresForm, *, status: int = 200) -> HttpResponse:
    assert isinstance(request.user, User)
    scored = Analysis.objects.filter(study=study, kind=Analysis.Kind.LABELS)
    done = scored.filter(finished_at__isnull=False).first()
    waiting = scored.filter(finished_at=None, pk__gt=done.pk if done else 0).first()
    jobs = Job.objects.visible_to(request.user).filter(kind=JOB_KIND)
    context = {
        "study": study,
        "form": form,
        "done": done,
        "waiting": waiting,
        "job": jobs.filter(object_id=str(waiting.pk)).first() if waiting else None,
        "figures": done.content.get("figures", []) if done else [],
        "tables": [_shown(table) for table in done.content.get("tables", [])] if done else [],
        "watermark": study.watermark,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
        "may_edit": allowed(request.user, Action.EDIT_STUDY, study.pk),
    }
    return render(request, "hub/label_scores.html", context, status=status)


def _shown(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its cells as people read them, and so the further one of what was found lately."""
    further = {"further": _shown(table["further"])} if "further" in table else {}
    return {**table, **further, "rows": [[show(cell) for cell in row] for row in table["rows"]]}
