"""The participant's pages: entry with consent, trials, survey, thanks, withdrawal, problems. No cookie on any.

Trials run in the browser; everything else is a page of the server, in the study's language and words.
"""

from __future__ import annotations

from dataclasses import replace

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from elicitation.flow import services
from elicitation.flow.config import page_config
from elicitation.flow.forms import (
    EXPIRED,
    REWORDED,
    ConsentForm,
    ProblemForm,
    SurveyForm,
    Visit,
    participant_page,
    show,
)
from elicitation.flow.withdrawal import may_withdraw, withdraw, withdraw_until
from elicitation.participants.models import Participation
from elicitation.participants.services import Arrival, link_of, report_problem
from elicitation.studies.models import Source, Study
from elicitation.studies.texts import information_rows, rendered
from hilmix.errors import Conflict, Invalid
from hilmix.security import STYLE_ATTRIBUTES

MAX_PID = 100
State = Participation.State


@participant_page("GET", "POST")
def entry(request: HttpRequest, visit: Visit) -> HttpResponse:
    """What the study is and what happens with the answers; taking part begins with the required boxes ticked."""
    pid = request.GET.get("pid", "")[:MAX_PID]
    if pid and (known := services.known_participation(visit.study, pid)):
        return redirect("participation", link=link_of(known))
    if visit.study.state != Study.State.OPEN:
        return _closed(visit, _("This study is not open at the moment. Thank you for coming."))
    if request.method != "POST":
        return _consent(visit, ConsentForm(visit.texts.boxes))
    fresh, form = visit.is_fresh(request, "consent"), ConsentForm(visit.texts.boxes, request.POST)
    if request.POST.get("decision") == "decline":
        return show(
            visit, "declined", {"text": rendered(visit.texts.declined), "again": request.get_full_path()}
        )
    if not visit.saw_protocol(request):
        return _consent(visit, form, str(REWORDED))
    if not fresh:
        return _consent(visit, form, str(EXPIRED))
    if not form.is_valid():
        return _consent(visit, form, _("Please tick every box that is needed if you want to take part."))
    try:
        joined, _new = services.join_study(
            study=visit.study,
            source=Source.PERSON,
            boxes=form.cleaned_data,
            arrival=Arrival(pid=pid),
            protocol=visit.protocol,
        )
    except Invalid as error:
        return _consent(visit, form, error.message)
    except Conflict as error:
        return _closed(visit, error.message)
    return redirect("participation", link=link_of(joined))


@participant_page("GET")
@csp_replace(STYLE_ATTRIBUTES)  # type: ignore[arg-type]  # its type knows views without arguments only
def participation(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Where this person is on the way: the trials, the closing questions, thanks, or one of the other ends."""
    current = visit.person
    if current.state == State.WITHDRAWN:
        return _withdrawn(visit, current.completion_code)
    if current.state == State.COMPLETED:
        return _thanks(visit)
    if current.state == State.ANSWERED:
        return redirect("participation_survey", link=visit.link)
    if current.state == State.DECLINED:
        return _closed(
            visit, _("Thank you for your time. This study cannot go on for you; please close the page.")
        )
    if visit.study.state == Study.State.CLOSED:
        return _closed(visit, _("This study has ended. Thank you for what you answered."))
    current = services.resume(participation=current)
    return show(visit, "trials", {"config": page_config(current, visit.link)})


@participant_page("GET", "POST")
def survey(request: HttpRequest, visit: Visit) -> HttpResponse:
    """The closing questions; sending them ends the participation and draws the completion code."""
    current = visit.person
    if current.state != State.ANSWERED:
        return redirect("participation", link=visit.link)
    if request.method != "POST":
        return _survey(visit, SurveyForm(visit.texts.survey))
    form = SurveyForm(visit.texts.survey, request.POST)
    if not visit.is_fresh(request, "survey"):
        return _survey(visit, form, str(EXPIRED))
    if not form.is_valid():
        return _survey(visit, form, _("Something is missing, or cannot be kept as it is."))
    services.finish(participation=current, survey=form.answers())
    return redirect("participation", link=visit.link)


@participant_page("GET", "POST")
def withdrawal(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Until when one may withdraw, what is deleted and what cannot be undone; the button does it."""
    current = visit.person
    if current.state == State.WITHDRAWN:
        return redirect("participation", link=visit.link)
    expired = ""
    if request.method == "POST":
        if visit.is_fresh(request, "withdraw"):
            withdrawn = withdraw(participation=current)
            if _deletes(visit):
                return redirect("participation", link=visit.link)
            # The code is no longer stored: this reply is the last that can say it.
            return _withdrawn(replace(visit, participation=withdrawn), current.completion_code)
        expired = str(EXPIRED)
    context = {
        "open": may_withdraw(current),
        "offered": visit.settings.flow.withdraw_days > 0,
        "until": _day(visit),
        "deletes": _deletes(visit),
        "code": current.completion_code,
        "text": rendered(visit.texts.withdrawal),
        "token": visit.token_for("withdraw"),
        "error": expired,
    }
    return show(visit, "withdraw", context, status=400 if expired else 200)


@participant_page("GET", "POST")
def problem(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Say what went wrong, from whichever page one comes."""
    if request.method != "POST":
        if "sent" in request.GET:
            return show(visit, "problem_sent")
        return _problem(visit, ProblemForm(initial={"page": request.GET.get("page", "")}))
    form = ProblemForm(request.POST)
    if not visit.is_fresh(request, "problem"):
        return _problem(visit, form, str(EXPIRED))
    if not form.is_valid():
        return _problem(visit, form, _("Your report was not sent."))
    report_problem(study=visit.study, participation=visit.participation, **form.cleaned_data)
    return redirect(f"{visit.problem_url}?sent")


def _consent(visit: Visit, form: ConsentForm, error: str = "") -> HttpResponse:
    context = {
        "form": form,
        "text": rendered(visit.texts.consent),
        "information": [*information_rows(visit.texts), *_promises(visit)],
        "token": visit.token_for("consent"),
        "error": error,
    }
    return show(visit, "consent", context, status=400 if error else 200)


def _promises(visit: Visit) -> list[tuple[str, str]]:
    """What the settings mean for people, so that it need not be kept in step by hand."""
    settings = visit.settings
    rows = []
    if settings.timing_reason:
        rows.append((_("Times"), _("How long you look and answer is stored. %s") % settings.timing_reason))
    if days := settings.flow.withdraw_days:
        link = ngettext(
            "Until %(days)d day after you begin, your private link withdraws you: ",
            "Until %(days)d days after you begin, your private link withdraws you: ",
            days,
        ) % {"days": days}
        rows.append((_("Withdrawing"), link + _kept(visit)))
    return rows


def _kept(visit: Visit) -> str:
    if _deletes(visit):
        return _("your answers are then deleted. Answers published before cannot be called back.")
    return _("all that leads to you is then deleted; your answers stay, without anything that leads to you.")


def _deletes(visit: Visit) -> bool:
    return visit.settings.flow.withdrawal == "delete"


def _survey(visit: Visit, form: SurveyForm, error: str = "") -> HttpResponse:
    context = {"form": form, "token": visit.token_for("survey"), "error": error}
    return show(visit, "survey", context, status=400 if error else 200)


def _problem(visit: Visit, form: ProblemForm, error: str = "") -> HttpResponse:
    context = {"form": form, "token": visit.token_for("problem"), "error": error}
    return show(visit, "problem", context, status=400 if error else 200)


def _thanks(visit: Visit) -> HttpResponse:
    context = {
        "thanks": rendered(visit.texts.thanks),
        "debrief": rendered(visit.texts.debrief),
        "code": visit.person.completion_code,
        "until": _day(visit) if may_withdraw(visit.person) else "",
    }
    return show(visit, "thanks", context)


def _withdrawn(visit: Visit, code: str) -> HttpResponse:
    return show(visit, "withdrawn", {"code": code, "deletes": _deletes(visit)})


def _closed(visit: Visit, message: str) -> HttpResponse:
    return show(visit, "closed", {"message": message})


def _day(visit: Visit) -> str:
    """The day until which one may withdraw, in words."""
    return date_format(withdraw_until(visit.person), "DATE_FORMAT")
