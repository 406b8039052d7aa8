"""The participant's pages: entry with consent, the trials page, comments, thanks. Trials run in the browser."""

from __future__ import annotations

from typing import Any

from csp.decorators import csp_replace
from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from elicitation.flow import services
from elicitation.flow.access import token_for
from elicitation.interfaces import interface_named
from elicitation.participants.models import Participation
from elicitation.participants.services import link_of, participation_of
from elicitation.studies.models import Source, Study
from elicitation.studies.texts import rendered
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.security import STYLE_ATTRIBUTES

MAX_PID = 100


class CommentsForm(forms.Form):
    comments = forms.CharField(
        required=False, max_length=10_000, label=_("Comments"), widget=forms.Textarea(attrs={"rows": 5})
    )


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def entry(request: HttpRequest, slug: str) -> HttpResponse:
    """What the study is and what happens with the answers; taking part begins with the boxes ticked."""
    study = Study.objects.filter(slug=slug, source=Source.PERSON).select_related("image_set").first()
    if study is None or study.state == Study.State.DRAFT:
        raise NotFound("There is no study at this address.")
    pid = request.GET.get("pid", "")[:MAX_PID]
    if pid and (known := services.known_participation(study, pid)):
        return redirect("participation", link=link_of(known))
    if study.state != Study.State.OPEN:
        return _closed(request, study, _("This study is not open at the moment. Thank you for coming."))
    texts = study.protocol.content["texts"]
    errors: list[str] = []
    ticked: dict[str, bool] = {name: name in request.POST for name, _text in texts["boxes"]}
    if request.POST.get("decision") == "decline":
        context = {"study": study, "consent_url": request.get_full_path()}
        return render(request, "elicitation/participant/declined.html", context)
    if request.method == "POST":
        try:
            participation, _new = services.join_study(
                study=study, source=Source.PERSON, boxes=ticked, pid=pid
            )
            return redirect("participation", link=link_of(participation))
        except Invalid as error:
            errors = [error.message]
        except Conflict as error:
            return _closed(request, study, error.message)
    needed = _("Please tick this box if you want to take part.") if errors else ""
    context = {
        "study": study,
        "texts": {"consent_html": rendered(texts["consent"]), "information": texts["information"]},
        "boxes": [
            {"name": name, "label": text, "checked": ticked[name], "error": "" if ticked[name] else needed}
            for name, text in texts["boxes"]
        ],
        "errors": errors,
    }
    return render(request, "elicitation/participant/consent.html", context, status=400 if errors else 200)


@login_not_required
@never_cache
@csp_replace(STYLE_ATTRIBUTES)  # type: ignore[arg-type]  # its type knows views without arguments only
@require_http_methods(["GET"])
def participation(request: HttpRequest, link: str) -> HttpResponse:
    """Where this person is on the way: the trials, the closing page, or thanks."""
    current = participation_of(link)
    if current.state == Participation.State.COMPLETED:
        return _thanks(request, current)
    if current.state == Participation.State.ANSWERED:
        return redirect("participation_comments", link=link)
    if current.state == Participation.State.DECLINED:
        return _closed(
            request,
            current.study,
            _("Thank you for your time. This study cannot go on for you; please close the page."),
        )
    if current.study.state == Study.State.CLOSED:
        return _closed(request, current.study, _("This study has ended. Thank you for what you answered."))
    current = services.resume(participation=current)
    return render(
        request,
        "elicitation/participant/trials.html",
        {"study": current.study, "config": _config(current, link)},
    )


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def comments(request: HttpRequest, link: str) -> HttpResponse:
    """The last page before the code: anything the person wants to tell us."""
    current = participation_of(link)
    if current.state not in (Participation.State.ANSWERED, Participation.State.COMPLETED):
        return redirect("participation", link=link)
    form = CommentsForm(request.POST or None)
    if current.state == Participation.State.COMPLETED or (request.method == "POST" and form.is_valid()):
        services.finish(
            participation=current, comments=form.cleaned_data["comments"] if form.is_bound else ""
        )
        return redirect("participation", link=link)
    return render(request, "elicitation/participant/comments.html", {"study": current.study, "form": form})


def _config(current: Participation, link: str) -> dict[str, Any]:
    """What the trials page is given as JSON. Nothing in it says λ."""
    content = current.protocol.content
    texts = content["texts"]
    answered, total = services.answered_of(current)
    return {
        "study": {"slug": current.study.slug, "title": current.study.title},
        "participation": current.public_id,
        "token": token_for(current),
        "epoch": current.epoch,
        "api": reverse("participation_plan").removesuffix("plan/"),
        "next_url": reverse("participation_comments", args=[link]),
        "interface": content["interface"]["name"],
        "plugin": interface_named(content["interface"]["name"]).PLUGIN,
        "texts": {
            "instructions": [rendered(page) for page in texts["instructions"]],
            "comprehension": texts["comprehension"],
            "question": texts["question"],
            "confidence_question": texts["confidence_question"],
            "perspective": content["perspective"],
        },
        "display": content["display"],
        "max_comprehension_attempts": content["max_comprehension_rounds"],
        "answered": answered,
        "total": total,
    }


def _thanks(request: HttpRequest, current: Participation) -> HttpResponse:
    context = {
        "study": current.study,
        "completion_code": current.completion_code,
        "thanks": current.protocol.content["texts"]["thanks"],
    }
    return render(request, "elicitation/participant/thanks.html", context)


def _closed(request: HttpRequest, study: Study, message: Any) -> HttpResponse:
    return render(request, "elicitation/participant/closed.html", {"study": study, "message": message})
