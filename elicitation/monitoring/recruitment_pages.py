"""The page on which a study's recruitment is chosen: who sends people, with which codes, and who may not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from elicitation.flow import modes
from elicitation.recruiters.base import Outcome, Recruiter
from elicitation.recruiters.models import Recruitment
from elicitation.recruiters.prolific import draw_code
from elicitation.recruiters.services import RECRUITERS, recruitment_of, set_recruitment
from elicitation.studies.models import Mode, Source, Study
from elicitation.studies.pages import visible_study
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import settings_of
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Invalid


class RecruitmentForm(forms.Form):
    """Recruiter, its options with a code for each outcome, and the studies whose participants may not come."""

    recruiter = forms.ChoiceField(label=_("Who sends people"), widget=forms.RadioSelect)
    study_id = forms.CharField(
        required=False,
        max_length=40,
        label=_("Study id at Prolific"),
        help_text=_("24 characters. Needed only to fetch submissions with a token; you may add it later."),
    )
    excludes = forms.ModelMultipleChoiceField(
        Study.objects.none(),
        required=False,
        label=_("Nobody who took part in"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "People are known by the recruiter's id. Whoever took part in one of these is told kindly."
        ),
    )

    def __init__(self, study: Study, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, one.TITLE) for name, one in RECRUITERS.items()]
        self.fields["recruiter"].choices = choices  # type: ignore[attr-defined]  # of a choice field
        others = Study.objects.visible_to(person).filter(source=Source.PERSON).exclude(pk=study.pk)
        self.fields["excludes"].queryset = others  # type: ignore[attr-defined]  # of a model choice field
        for outcome in Outcome:
            self.fields[code_field(outcome)] = forms.CharField(
                required=False, max_length=40, label=str(outcome.label)
            )

    def codes(self) -> list[forms.BoundField]:
        """The fields of the codes, in order."""
        return [self[code_field(outcome)] for outcome in Outcome]

    def options(self) -> dict[str, Any]:
        """What the recruiter's options are to be."""
        if not RECRUITERS[self.cleaned_data["recruiter"]].HAS_CODES:
            return {}
        codes = {outcome.value: self.cleaned_data[code_field(outcome)] for outcome in Outcome}
        return {"study_id": self.cleaned_data["study_id"], "codes": codes}

    def refuse(self, error: Invalid) -> None:
        """Say what a service would not accept beside the field that it names."""
        for name, said in error.fields.items():
            field = code_field(name) if name in set(Outcome) else name
            for message in said:
                self.add_error(field if field in self.fields else None, message)
        if not error.fields:
            self.add_error(None, error.message)


def code_field(outcome: str) -> str:
    return f"code_{outcome}"


@dataclass(frozen=True)
class Rate:
    """What an hour is paid, in hundredths, beside the least that the recruiter allows (None: it sets none)."""

    hourly_e2: int
    least_e2: int | None
    fee_e2: int  # what the recruiter takes for one person

    @property
    def is_low(self) -> bool:
        return self.least_e2 is not None and self.hourly_e2 < self.least_e2


def rate_of(payment: Payment, recruiter: Recruiter) -> Rate | None:
    """The hourly rate of the reward without bonus; None while the protocol does not say how long it takes."""
    if not payment.minutes:
        return None
    return Rate(
        hourly_e2=payment.reward_e2 * 60 // payment.minutes,
        least_e2=recruiter.MINIMUM_HOURLY_E2.get(payment.currency),
        fee_e2=round((payment.reward_e2 + payment.bonus_e2) * recruiter.FEE_SHARE),
    )


@never_cache
@require_http_methods(["GET", "POST"])
def study_recruitment(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose the recruiter, its codes and the excluded studies; shows the address to give to the recruiter."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.RECRUIT, study.pk)
    form = RecruitmentForm(study, request.user, request.POST or None, initial=_initial(study))
    if request.method == "POST" and form.is_valid():
        try:
            set_recruitment(
                study=study,
                recruiter=form.cleaned_data["recruiter"],
                options=form.options(),
                excludes=list(form.cleaned_data["excludes"]),
                actor=request.user,
            )
            messages.success(request, gettext("Saved. Give these codes and this address to your recruiter."))
            return redirect("study_recruitment", slug=slug)
        except Invalid as error:
            form.refuse(error)
    way = recruitment_of(study)
    payment = settings_of(study.protocol.content).payment
    context = {
        "study": study,
        "form": form,
        "recruiter": way.recruiter,
        "addresses": _addresses(request, study, way.recruiter),
        "payment": payment,
        "rate": rate_of(payment, way.recruiter),
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/recruitment.html", context, status=400 if form.errors else 200)


def _initial(study: Study) -> dict[str, Any]:
    """What is chosen so far; codes are drawn where there are none, so that there is something to save."""
    row = Recruitment.objects.filter(study=study).first()
    options = row.options if row else {}
    codes = options.get("codes", {})
    return {
        "recruiter": row.recruiter if row else "direct",
        "study_id": options.get("study_id", ""),
        "excludes": list(row.excludes.values_list("pk", flat=True)) if row else [],
        **{code_field(outcome): codes.get(outcome) or draw_code() for outcome in Outcome},
    }


def _addresses(request: HttpRequest, study: Study, recruiter: Recruiter) -> list[tuple[str, str]]:
    """What to give to the recruiter: the study's entry with its parameters, and the pilot's while there is one."""
    shown = [(gettext("Address of the study"), Mode.LIVE)]
    if study.state == Study.State.PILOT:
        shown.insert(0, (gettext("Address of the pilot"), Mode.PILOT))
    addresses = []
    for label, mode in shown:
        address = request.build_absolute_uri(modes.address(study, mode))
        if parameters := recruiter.parameters():
            address += f"{'&' if '?' in address else '?'}{parameters}"
        addresses.append((label, address))
    return addresses
