"""The planner beside a study's form: it is sent what stands in the form and answers with what that gives and costs.

A browser that runs scripts asks for the panel alone, again whenever something changes; any other opens it as a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from elicitation.interfaces import INTERFACES
from elicitation.recruiters.direct import Direct
from elicitation.recruiters.services import RECRUITERS, recruitment_of
from elicitation.studies import planner
from elicitation.studies.factor_forms import FactorsForm
from elicitation.studies.factors import Factor
from elicitation.studies.fields import AmountField
from elicitation.studies.models import Protocol, Study
from elicitation.studies.payment import BONUSES, Payment
from elicitation.studies.planner import Reckoning, Terms
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.whole_form import fixed_fields
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, require
from hilmix.core.errors import DataError

FRAGMENT = "X-Fragment"  # a header: only the panel is wanted


def _number(label: Any, least: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=least, max_value=most, label=label)


class PlannerForm(forms.Form):
    """What the planner reads of the study's form, by the same names, and two choices of its own.

    What is not sent, or is empty, is as in the study that is changed.
    """

    n_mixed_images = _number(gettext_lazy("Mixed images"), 1, 100_000)
    trials_per_person = _number(gettext_lazy("Trials a person"), 1, 500)
    repeats = _number(gettext_lazy("Repeated trials a person"), 0, 250)
    checks = _number(gettext_lazy("Attention checks a person"), 0, 100)
    answers_per_unit = _number(gettext_lazy("People per mixed image"), 1, 1000)
    currency = forms.RegexField(
        r"^[A-Z]{3}$", required=False, label=gettext_lazy("Currency"),
        error_messages={"invalid": gettext_lazy("Three capital letters, such as GBP or EUR.")},
    )  # fmt: skip
    reward_e2 = AmountField(min_value=0, label=gettext_lazy("Reward for taking part"))
    minutes = _number(gettext_lazy("Estimated minutes"), 0, 600)
    bonus_kind = forms.ChoiceField(
        required=False, choices=[(name, name) for name in BONUSES], label=gettext_lazy("Bonus")
    )
    bonus_e2 = AmountField(min_value=0, label=gettext_lazy("Bonus, at most"))
    interface = forms.ChoiceField(
        required=False, choices=[(name, name) for name in INTERFACES], label=gettext_lazy("Interface")
    )
    planner_people = forms.ChoiceField(required=False, label=gettext_lazy("People answer as in"))
    planner_recruiter = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Recruiter"),
        choices=lambda: [(one.NAME, one.TITLE) for one in RECRUITERS.values()],
    )

    own = ("planner_people", "planner_recruiter")  # fields that stand in the panel

    def __init__(self, person: User, data: Mapping[str, Any], recruiter: str) -> None:
        filled = QueryDict(mutable=True)
        filled.update({name: data[name] for name in self.base_fields if name in data})
        filled.setdefault("planner_people", planner.H_MIX)
        filled.setdefault("planner_recruiter", recruiter)
        super().__init__(filled, auto_id="panel_%s")
        choices = [(planner.H_MIX, _("H-Mix, as published")), *planner.components_choices(person)]
        self.fields["planner_people"].choices = choices  # type: ignore[attr-defined]

    def part(self, base: Any) -> Any:
        """`base`, a design or payment, with what was sent of its fields."""
        sent = {
            name: self.cleaned_data[name]
            for name in self.data
            if hasattr(base, name) and name in self.cleaned_data and self.data[name] != ""
        }
        return replace(base, **sent)


@require_http_methods(["GET", "HEAD", "POST"])
def study_planner(request: HttpRequest) -> HttpResponse:
    """People, minutes, payment, reliability and intervals for several numbers of answers a unit."""
    require(request.user, Action.CREATE_STUDY)
    assert isinstance(request.user, User)
    study, settings = _base(request)
    recruiter = recruitment_of(study).recruiter.NAME if study else Direct.NAME
    form = PlannerForm(request.user, request.POST, recruiter)
    context: dict[str, Any] = {"form": form, "own": [form[name] for name in form.own], "notes": []}
    if form.is_valid():
        context |= _reckoned(request, form, study, settings)
    else:
        context["problems"] = [
            (form.fields[name].label, texts) for name, texts in form.errors.items() if name in form.fields
        ]
    alone = FRAGMENT in request.headers
    template = "elicitation/_planner.html" if alone else "elicitation/planner.html"
    fields = [form[name] for name in form.fields if name not in form.own]
    return render(request, template, {**context, "alone": alone, "fields": fields})


def _reckoned(
    request: HttpRequest, form: PlannerForm, study: Study | None, settings: Settings
) -> dict[str, Any]:
    assert isinstance(request.user, User)
    notes = []
    chosen = RECRUITERS.get(form.cleaned_data["planner_recruiter"], RECRUITERS[Direct.NAME])
    interface = form.cleaned_data["interface"] or settings.interface
    try:
        components = planner.components_named(request.user, form.cleaned_data["planner_people"], interface)
    except DataError as error:
        components = planner.H_MIX_COMPONENTS
        notes.append(str(error) + " " + _("H-Mix is used instead."))
    factors, is_read = _factors(request, study, settings)
    if not is_read:
        notes.append(_("What varies cannot be read as it stands; it is left out here."))
    payment: Payment = form.part(settings.payment)
    if kind := form.cleaned_data["bonus_kind"]:
        payment = replace(payment, bonus=kind)
    reckoning: Reckoning = planner.reckon(
        form.part(settings.design),
        payment,
        factors,
        components,
        Terms(chosen.FEE_SHARE, chosen.MINIMUM_HOURLY_E2),
    )
    return {"reckoning": reckoning, "recruiter": chosen, "notes": notes}


def _base(request: HttpRequest) -> tuple[Study | None, Settings]:
    """The study that is being changed, which the form names by the content it was read from; none for a new one."""
    assert isinstance(request.user, User)
    sha256 = request.POST.get("based_on", "")
    visible = Protocol.objects.filter(study__in=Study.objects.visible_to(request.user))
    protocol = visible.select_related("study").filter(sha256=sha256).last() if sha256 else None
    if protocol is None:
        return None, Settings(interface="infer", interface_version=1)
    return protocol.study, settings_of(protocol.content)


def _factors(
    request: HttpRequest, study: Study | None, settings: Settings
) -> tuple[tuple[Factor, ...], bool]:
    """The factors as the form has them, and whether they could be read."""
    fixed = study is not None and "factors" in fixed_fields(study)
    form = FactorsForm(settings.factors, request.POST or None, fixed=fixed)
    return (form.factors(), True) if form.is_valid() else (settings.factors, False)
