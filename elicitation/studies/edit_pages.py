"""Pages on which a study is written: a new one, and its settings changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from elicitation.studies import services
from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from elicitation.studies.plans import plan_of_study
from elicitation.studies.services import Change
from elicitation.studies.whole_form import WholeStudyForm, fixed_fields
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, Invalid


@require_http_methods(["GET", "POST"])
def new_study(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.CREATE_STUDY)
    form = WholeStudyForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            study = services.create_study(plan=form.plan(), actor=request.user)
            messages.success(request, _("The study is a draft. Look at it, then open it."))
            return redirect("study", slug=study.slug)
        except Invalid as error:
            form.refuse(error)
    return _form_page(request, form, None)


@require_http_methods(["GET", "POST"])
def study_protocol(request: HttpRequest, slug: str) -> HttpResponse:
    """Change a study: everything of a draft; what opening did not fix of another, as a new version."""
    study = visible_study(request, slug)
    require(request.user, Action.EDIT_STUDY, study.pk)
    protocol, base = study.protocol, plan_of_study(study)
    form = WholeStudyForm(
        request.POST if request.method == "POST" else None,
        base=base,
        fixed=fixed_fields(study),
        only_analysed=study.is_only_analysed,
    )
    if form.is_bound and form.is_valid():
        try:
            change = services.change_protocol(
                study=study, plan=form.plan(), actor=request.user, based_on=request.POST.get("based_on", "")
            )
            _say(request, study, change)
            return redirect("study", slug=study.slug)
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.refuse(Invalid(error.message))
    based_on = request.POST.get("based_on", protocol.sha256)
    return _form_page(request, form, study, protocol=protocol, based_on=based_on)


def _form_page(request: HttpRequest, form: WholeStudyForm, study: Study | None, **said: Any) -> HttpResponse:
    sections = form.sections()
    context = {
        "form": form,
        "sections": sections,
        "study": study,
        "is_fixed": study is not None and bool(fixed_fields(study)),
        "only_analysed": form.only_analysed,
        "may_open": study is not None and allowed(request.user, Action.OPEN_STUDY, study.pk),
        **said,
    }
    wrong = form.settings.errors or any(section["wrong"] for section in sections)
    return render(
        request, "elicitation/study_form.html", context, status=400 if form.is_bound and wrong else 200
    )


def _say(request: HttpRequest, study: Study, change: Change) -> None:
    """Tell what a change came to."""
    if not change.changed:
        messages.info(request, _("Nothing was changed."))
    elif study.state == Study.State.DRAFT:
        messages.success(request, _("The draft was changed."))
    else:
        new = _("Version %(version)d is in force for whoever begins from now on.")
        messages.success(request, new % {"version": change.protocol.version})
    if change.kept:
        said = ngettext(
            "A text that somebody wrote stayed as it is; look whether it still fits: %(names)s.",
            "Texts that somebody wrote stayed as they are; look whether they still fit: %(names)s.",
            len(change.kept),
        )
        messages.warning(request, said % {"names": ", ".join(change.kept)})
