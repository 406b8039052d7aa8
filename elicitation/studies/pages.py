"""Researchers' pages of studies: the list, and one study with its state, counts and mixed images.

Writing a study is in edit_pages.py, its words in text_pages.py, the versions of its protocol in version_pages.py.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe
from django_filters import ChoiceFilter

from elicitation.mixes.services import pixels_of
from elicitation.studies import opening
from elicitation.studies.facts import facts_of
from elicitation.studies.models import Mode, Source, Study
from elicitation.studies.panels import panels_of
from elicitation.studies.protocol import settings_of
from elicitation.studies.shown import mixed_images_of
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.accounts.services import set_membership
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_text, to_png
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.jobs.models import Job, JobState
from hilmix.lists import Filters, SortedBy, TextFilter, listing

MOVES = {
    "pause": opening.pause_study,
    "close": opening.close_study,
    "end_pilot": opening.end_pilot,
}
SHOWN_MIXES = 24
PILOT_PLACES = 5  # offered for a pilot
MEANINGS = {
    Study.State.DRAFT: _("Nobody can take part. Everything can still be changed."),
    Study.State.PILOT: _(
        "Whoever has the pilot's link can try it out; what they answer is never counted. End the pilot to change more"
        " than words and rules."
    ),
    Study.State.OPEN: _("Whoever has the link can take part. What decides the places is fixed."),
    Study.State.PAUSED: _("Nobody new gets in; whoever has begun may finish. It can be opened again."),
    Study.State.CLOSED: _("Nobody takes part any more, and it cannot be opened again. Copy it to go on."),
}


class MemberForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"))
    part = forms.ChoiceField(
        choices=[*Membership.Part.choices, ("", _("none"))],
        required=False,
        label=_("Part"),
        initial=Membership.Part.VIEWER,
    )


class PilotForm(forms.Form):
    places = forms.IntegerField()


class StudyFilters(Filters):
    title = TextFilter(label=_("Study"))
    state = ChoiceFilter(choices=Study.State.choices, label=_("State"), empty_label=_("all"))
    source = ChoiceFilter(choices=Source.choices, label=_("Answers from"), empty_label=_("all"))
    image_set = TextFilter(field_name="image_set__name", label=_("Image set"))
    order = SortedBy(
        {
            "title": (_("by title"), ("title",)),
            "oldest": (_("oldest first"), ("pk",)),
            "finished": (_("most finished first"), ("-n_completed",)),
        }
    )


@require_safe
def study_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    studies = (
        Study.objects.visible_to(request.user)
        .select_related("image_set")
        .annotate(
            n_completed=Count(
                "participations",
                filter=Q(participations__state__in=["answered", "completed"], participations__mode=Mode.LIVE),
            )
        )
    )
    return render(request, "elicitation/studies.html", {"listing": listing(request, studies, StudyFilters)})


@require_safe
def study_detail(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    protocol = study.protocol
    settings = settings_of(protocol.content)
    live = study.participations.filter(mode=Mode.LIVE)
    shown = mixed_images_of(study, mode=Mode.LIVE).select_related("pair").order_by("pk")
    classes = study.image_set.classes
    context: dict[str, Any] = {
        "study": study,
        "protocol": protocol,
        "facts": facts_of(study, settings),
        "link": request.build_absolute_uri(reverse("study_entry", args=[study.slug])),
        "counts": live.aggregate(
            running=Count("pk", filter=Q(state="running")),
            finished=Count("pk", filter=Q(state__in=["answered", "completed"])),
            withdrawn=Count("pk", filter=Q(state="withdrawn")),
        ),
        "tried": study.participations.filter(mode=Mode.PILOT).count(),
        "slots": study.batches.filter(mode=Mode.LIVE).aggregate(
            total=Count("slots"), filled=Count("slots", filter=Q(slots__state="filled"))
        ),
        "answers": live.aggregate(
            main=Count("trials__response", filter=Q(trials__kind="main")),
            repeat=Count("trials__response", filter=Q(trials__kind="repeat")),
        ),
        "n_mixed_images": shown.count(),
        "mixes": [
            {
                "id": mixed.pk,
                "lambda": lambda_text(mixed.lambda_e4),
                "first": classes[mixed.pair.first_class],
                "second": classes[mixed.pair.second_class],
            }
            for mixed in shown[:SHOWN_MIXES]
        ],
        "memberships": study.memberships.select_related("user").order_by("user__username"),
        "member_form": MemberForm(),
        "panels": panels_of(study, request.user),
        "job": _last_job(request, study),
        **steering_of(request, study),
    }
    return render(request, "elicitation/study.html", context)


def steering_of(request: HttpRequest, study: Study) -> dict[str, Any]:
    """What a study's pages need to show its state and the buttons that this person may press."""
    return {
        "meaning": MEANINGS[Study.State(study.state)],
        "pilot_places": PILOT_PLACES,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
        "may_edit": allowed(request.user, Action.EDIT_STUDY, study.pk),
        "may_copy": allowed(request.user, Action.CREATE_STUDY),
    }


@require_safe
def mixed_image(request: HttpRequest, slug: str, mixed_image_id: int) -> HttpResponse:
    """A mixed image of a study that the person may see, at native size."""
    study = visible_study(request, slug)
    mine = mixed_images_of(study).select_related("pair__image_set")
    found = get_object_or_404(mine, pk=mixed_image_id)
    png = to_png(pixels_of(found))
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@require_POST
def move_study(request: HttpRequest, slug: str, move: str) -> HttpResponse:
    """Open, pause or close a study, or begin or end its pilot. What draws its material is queued as a job."""
    study = visible_study(request, slug)
    try:
        if move == "open":
            _say_queued(request, opening.queue_open(study=study, actor=request.user))
        elif move == "pilot":
            form = PilotForm(request.POST)
            places = form.cleaned_data["places"] if form.is_valid() else 0  # which the service refuses
            _say_queued(request, opening.queue_pilot(study=study, places=places, actor=request.user))
        elif move in MOVES:
            MOVES[move](study=study, actor=request.user)
        else:
            raise NotFound(f"A study can be opened, piloted, paused or closed, not {move!r}.")
    except (Conflict, Invalid, DataError) as error:
        said = [text for texts in getattr(error, "fields", {}).values() for text in texts]
        messages.error(request, " ".join(dict.fromkeys([str(error), *said])))
    return redirect("study", slug=slug)


def _say_queued(request: HttpRequest, job: Job | None) -> None:
    if job is not None:
        messages.success(request, _("The places are being made. This page shows how far it is."))


def _last_job(request: HttpRequest, study: Study) -> Job | None:
    """The newest job that makes places of this study, where the person may see it and it is not done."""
    jobs = Job.objects.visible_to(request.user).filter(opening.jobs_of(study))
    job = jobs.order_by("-created_at").first()
    return None if job is None or job.state == JobState.DONE else job


@require_POST
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Give somebody a part in the study, or end it."""
    study = visible_study(request, slug)
    form = MemberForm(request.POST)
    require(request.user, Action.OPEN_STUDY, study.pk)
    person = User.objects.filter(username=form.data.get("username", "")).first()
    if not form.is_valid() or person is None:
        messages.error(request, _("There is nobody with that user name. An admin can add them."))
    else:
        try:
            part = form.cleaned_data["part"] or None
            set_membership(person=person, study=study, part=part, actor=request.user)
        except (Conflict, Invalid) as error:
            messages.error(request, error.message)
    return redirect("study", slug=slug)


def visible_study(request: HttpRequest, slug: str) -> Study:
    """The study at `slug`, if the person may see it; a 404 page otherwise."""
    assert isinstance(request.user, User)
    return get_object_or_404(Study.objects.visible_to(request.user).select_related("image_set"), slug=slug)
