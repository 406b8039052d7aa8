"""The pages about paying people: the recruiter's list beside what is held, and the bonuses.

Recruiters' ids are shown only here, to those who may pay, and each time it is written down that they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from elicitation.flow.findings import Todo
from elicitation.flow.reconciling import Reconciled, findings_kept, queue_sync, reconcile
from elicitation.monitoring.payment import bonus_list, bonuses_of
from elicitation.monitoring.sheets import csv_reply
from elicitation.recruiters import prolific_api
from elicitation.recruiters.models import Submission
from elicitation.recruiters.prolific import Listed, read_export
from elicitation.recruiters.services import recruitment_of
from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from elicitation.studies.protocol import settings_of
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, Invalid

MAX_FILE = 20_000_000  # bytes
HEADER = ("Participant id", "Submission id", "Status", "Participation", "What is here", "What to do", "Why")


class ExportForm(forms.Form):
    """The list that the recruiter exports."""

    export = forms.FileField(
        label=_("The csv that Prolific exports"),
        help_text=_(
            "At Prolific: the study, Submissions, Download. Upload it as it is; demographics are not read."
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def rows(self) -> list[Listed]:
        """The submissions in the file.

        Raises:
            Invalid: it is not what Prolific exports.
        """
        file: UploadedFile = self.cleaned_data["export"]
        if file.size is None or file.size > MAX_FILE:
            raise Invalid("The file is too large to be a list of submissions.")
        try:
            return read_export(file.read().decode("utf-8"))
        except UnicodeDecodeError:
            raise Invalid("The file is no text in UTF-8. Upload it as Prolific exports it.") from None


@never_cache
@require_http_methods(["GET", "POST"])
def study_submissions(request: HttpRequest, slug: str) -> HttpResponse:
    """Upload the recruiter's list, or have it fetched; says of each submission what is held and what to do."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.PAY_PARTICIPANTS, study.pk)
    if request.POST.get("do") == "fetch":
        return _fetch(request, study)
    form = ExportForm()
    result: Reconciled | None = None
    if request.POST.get("do") == "kept":
        result = findings_kept(study=study, actor=request.user)
    elif request.method == "POST":
        form = ExportForm(request.POST, request.FILES)
        result = _compared(study, form, request.user)
    if result is not None and request.POST.get("do") == "csv":
        return csv_reply(f"{study.slug}-submissions.csv", [HEADER, *_rows(result)])
    way = recruitment_of(study)
    context = {
        "study": study,
        "form": form,
        "result": result,
        "groups": _groups(result) if result else [],
        "recruiter": way.recruiter,
        "may_fetch": prolific_api.has_token() and bool(way.options.get("study_id")),
        "statuses": Submission.objects.filter(study=study)
        .values_list("status")
        .annotate(n=Count("pk"))
        .order_by("status"),
        "bonus": settings_of(study.protocol.content).payment.bonus,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/submissions.html", context, status=400 if form.errors else 200)


def _compared(study: Study, form: ExportForm, actor: User) -> Reconciled | None:
    """What the uploaded list says; None where the form is not right, and says why."""
    if form.is_valid():
        try:
            return reconcile(study=study, rows=form.rows(), actor=actor)
        except Invalid as error:
            form.add_error("export", error.message)
    return None


def _fetch(request: HttpRequest, study: Study) -> HttpResponse:
    assert isinstance(request.user, User)
    try:
        return redirect("job", job_id=queue_sync(study=study, actor=request.user).pk)
    except Conflict as error:
        messages.error(request, error.message)
        return redirect("study_submissions", slug=study.slug)


def _groups(result: Reconciled) -> list[tuple[Todo, int]]:
    counts = [(todo, sum(finding.todo == todo for finding in result.findings)) for todo in Todo]
    return [(todo, n) for todo, n in counts if n]


def _rows(result: Reconciled) -> list[Sequence[str]]:
    return [
        (
            finding.pid,
            finding.session,
            finding.status,
            finding.public_id,
            finding.held,
            str(finding.todo.label),
            finding.reason,
        )
        for finding in result.findings
    ]


@never_cache
@require_http_methods(["GET", "POST"])
def study_bonuses(request: HttpRequest, slug: str) -> HttpResponse:
    """What everybody has earned beside the reward; the button downloads the list that Prolific's bonus form takes."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.PAY_PARTICIPANTS, study.pk)
    if request.method == "POST":
        rows = bonus_list(study=study, actor=request.user)
        return csv_reply(f"{study.slug}-bonuses.csv", [(pid, money(amount)) for pid, amount in rows])
    bonuses = bonuses_of(study)
    settings = settings_of(study.protocol.content)
    context: dict[str, Any] = {
        "study": study,
        "payment": settings.payment,
        "rule": settings.bonus,
        "bonuses": bonuses,
        "total_e2": sum(bonus.amount_e2 for bonus in bonuses),
        "n_paid": sum(bonus.amount_e2 > 0 and bonus.paid_to and not bonus.refused for bonus in bonuses),
        "unknown": [bonus for bonus in bonuses if bonus.amount_e2 and not bonus.paid_to],
        "refused": [bonus for bonus in bonuses if bonus.amount_e2 and bonus.refused],
        "too_few": [bonus for bonus in bonuses if bonus.too_few],
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
        "title": gettext("Bonuses"),
    }
    return render(request, "elicitation/bonuses.html", context)


def money(amount_e2: int) -> str:
    """An amount in hundredths as `1.25`."""
    return f"{amount_e2 // 100}.{amount_e2 % 100:02d}"
