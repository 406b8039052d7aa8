"""The participant's pages: entry with consent, trials, survey, thanks, withdrawal, problems. No cookie on any.

Trials run in the browser; everything else is a page of the server, in the study's language and words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from elicitation.flow import services
from elicitation.flow.allocation import StudyFull
from elicitation.flow.config import page_config
from elicitation.flow.forms import ConsentForm, ProblemForm, SurveyForm
from elicitation.flow.leaving import has_answered, has_begun, leave, left_outcome, left_token
from elicitation.flow.visits import EXPIRED, REWORDED, Ending, Visit, participant_page, show
from elicitation.flow.withdrawal import may_withdraw, withdraw, withdraw_until
from elicitation.participants.models import Departure, Participation
from elicitation.participants.services import Arrival, link_of, record_departure, report_problem
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import is_excluded, known_participation, remember_arrival
from elicitation.studies.models import Mode, Source, Study
from elicitation.studies.texts import information_rows, rendered
from hilmix.errors import Conflict, Invalid
from hilmix.security import STYLE_ATTRIBUTES

State = Participation.State
DATA_PROBLEM = "data_problem"  # the browser's event: the server misses answers that it cannot send


@participant_page("GET", "POST")
def entry(request: HttpRequest, visit: Visit) -> HttpResponse:
    """What the study is and what happens with the answers; taking part begins with the required boxes ticked."""
    if token := request.GET.get("left", ""):
        return _left(visit, left_outcome(visit.study, token))
    arrival = visit.arrival(request.GET)
    if reply := _refused_or_known(visit, arrival):
        return reply
    form = ConsentForm(
        visit.texts.boxes,
        request.POST if request.method == "POST" else None,
        asks=visit.way.recruiter if visit.asks_for_id(arrival) else None,
        required=visit.mode == Mode.LIVE,
    )
    if request.method != "POST":
        return _consent(visit, form)
    fresh = visit.is_fresh(request, "consent")
    if request.POST.get("decision") == "decline":
        record_departure(study=visit.study, mode=visit.mode, outcome=Departure.Outcome.NO_CONSENT)
        return _declined(visit, request.get_full_path())
    if not visit.saw_protocol(request):
        return _consent(visit, form, str(REWORDED))
    if not fresh:
        return _consent(visit, form, str(EXPIRED))
    if not form.is_valid():
        return _consent(visit, form, _said_of(form))
    if pid := form.typed_id():
        arrival = Arrival(pid=pid, session=arrival.session, typed=True)
        if reply := _refused_or_known(visit, arrival):
            return reply
    return _join(visit, form, arrival)


def _refused_or_known(visit: Visit, arrival: Arrival) -> HttpResponse | None:
    """Where somebody goes who need not, or cannot, consent; None for whoever may take part."""
    if known := known_participation(visit.study, arrival):
        if known.mode != visit.mode:
            return _excluded(visit)
        remember_arrival(known, arrival)
        return redirect("participation", link=link_of(known))
    if not visit.is_open:
        message = _("This study is not open at the moment. Thank you for coming.")
        return _closed(visit, message, Outcome.FULL)
    return _excluded(visit) if is_excluded(visit.study, arrival.pid) else None


def _excluded(visit: Visit) -> HttpResponse:
    """Somebody took part in a study that this one excludes, or tried this one out."""
    record_departure(study=visit.study, mode=visit.mode, outcome=Departure.Outcome.EXCLUDED)
    return _left(visit, Outcome.EXCLUDED)


def _join(visit: Visit, form: ConsentForm, arrival: Arrival) -> HttpResponse:
    try:
        joined, is_new = services.join_study(
            study=visit.study,
            source=Source.PERSON,
            boxes=form.ticked(),
            arrival=arrival,
            protocol=visit.protocol,
            mode=visit.mode,
        )
    except (Invalid, services.IdTaken) as error:
        return _consent(visit, form, error.message)
    except services.TookPartBefore:
        return _excluded(visit)
    except StudyFull as error:
        record_departure(study=visit.study, mode=visit.mode, outcome=Departure.Outcome.FULL)
        return _closed(visit, error.message, Outcome.FULL)
    except Conflict as error:
        return _closed(visit, error.message, Outcome.FULL)
    if not is_new:
        remember_arrival(joined, arrival)
    return redirect("participation", link=link_of(joined))


def _said_of(form: ConsentForm) -> str:
    """What is wrong with the form, in one sentence."""
    if set(form.errors) == {ConsentForm.ID}:
        return _("Please look at your id again.")
    return _("Please tick every box that is needed if you want to take part.")


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
        message = _("Thank you for your time. This study cannot go on for you; please close the page.")
        return _closed(visit, message, Outcome.FAILED_CHECK)
    if visit.study.state == Study.State.CLOSED and has_answered(current):
        message = _("This study ended before you could finish. What you answered is kept. Thank you for it.")
        return _closed(visit, message, Outcome.ENDED)
    if visit.study.state == Study.State.CLOSED:
        message = _("This study has ended. Thank you for what you answered.")
        return _closed(visit, message, Outcome.FULL)
    current = services.resume(participation=current)
    context = {"config": page_config(current, visit.link), "device_url": _device_url(visit)}
    return show(visit, "trials", context)


def _device_url(visit: Visit) -> str:
    return reverse("participation_device", args=[visit.link])


@participant_page("GET", "POST")
def device(request: HttpRequest, visit: Visit) -> HttpResponse:
    """The window is too narrow: make it wider, open the page on another device or, before beginning, go."""
    if visit.person.state != State.RUNNING:
        return redirect("participation", link=visit.link)
    is_sent = request.method == "POST" and visit.is_fresh(request, "device")
    if not visit.settings.flow.min_width_px:
        return redirect("participation", link=visit.link)  # every window is wide enough
    if is_sent:
        leave(participation=visit.person)
        token = left_token(visit.study, Outcome.WRONG_DEVICE)
        return redirect(f"{reverse('study_entry', args=[visit.study.slug])}?left={token}")
    context = {
        "least": visit.settings.flow.min_width_px,
        "may_leave": not has_begun(visit.person),
        "site": visit.way.recruiter,
        "token": visit.token_for("device"),
        "error": str(EXPIRED) if request.method == "POST" else "",
    }
    return show(visit, "device", context, status=400 if context["error"] else 200)


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
            if _deletes(visit) or visit.way.recruiter.HAS_CODES:
                return redirect("participation", link=visit.link)
            # The code is no longer stored: this reply is the last that can say it.
            return _withdrawn(replace(visit, participation=withdrawn), current.completion_code)
        expired = str(EXPIRED)
    context = {
        "open": may_withdraw(current),
        "offered": visit.settings.flow.withdraw_days > 0,
        "until": _day(visit),
        "deletes": _deletes(visit),
        # A code of one's own goes with all that leads to the person; one of the study leads to nobody.
        "code": "" if visit.way.recruiter.HAS_CODES else current.completion_code,
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
    link = visit.problem_link("")
    return redirect(f"{link}{'&' if '?' in link else '?'}sent")


def _consent(visit: Visit, form: ConsentForm, error: str = "") -> HttpResponse:
    context: dict[str, Any] = {
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
    context = {
        "form": form,
        "token": visit.token_for("problem"),
        "error": error,
        "ending": _problem_ending(visit),
    }
    return show(visit, "problem", context, status=400 if error else 200)


def _problem_ending(visit: Visit) -> Ending | None:
    """The way back for somebody whose browser could not send what it has; None while nothing of that kind was told."""
    person = visit.participation
    if person is None or person.state != State.RUNNING:
        return None
    stuck = person.events.filter(kind=DATA_PROBLEM).exists()
    return visit.ending(Outcome.DATA_PROBLEM) if stuck else None


def _thanks(visit: Visit) -> HttpResponse:
    context = {
        "thanks": rendered(visit.texts.thanks),
        "debrief": rendered(visit.texts.debrief),
        "ending": visit.ending(Outcome.COMPLETED, visit.person.completion_code),
        "until": _day(visit) if may_withdraw(visit.person) else "",
    }
    return show(visit, "thanks", context)


def _withdrawn(visit: Visit, code: str) -> HttpResponse:
    """Whoever had finished before keeps the code that says so."""
    finished = visit.person.completed_at is not None
    context = {
        "ending": visit.ending(Outcome.COMPLETED if finished else Outcome.WITHDRAWN, code),
        "finished": finished,
        "last_time": not _deletes(visit) and not visit.way.recruiter.HAS_CODES,
        "deletes": _deletes(visit),
    }
    return show(visit, "withdrawn", context)


def _declined(visit: Visit, again: str) -> HttpResponse:
    context = {
        "text": rendered(visit.texts.declined),
        "again": again,
        "ending": visit.ending(Outcome.NO_CONSENT),
    }
    return show(visit, "declined", context)


def _left(visit: Visit, outcome: Outcome) -> HttpResponse:
    """Somebody does not take part, and nothing of them was kept."""
    return show(visit, "left", {"outcome": str(outcome), "ending": visit.ending(outcome)})


def _closed(visit: Visit, message: str, outcome: Outcome) -> HttpResponse:
    return show(
        visit, "closed", {"message": message, "outcome": str(outcome), "ending": visit.ending(outcome)}
    )


def _day(visit: Visit) -> str:
    """The day until which one may withdraw, in words."""
    return date_format(withdraw_until(visit.person), "DATE_FORMAT")
