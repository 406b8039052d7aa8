"""Researchers' pages of studies: the list, a new one, and one study with its design, counts and mixed images."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import pixels_of
from elicitation.studies import services
from elicitation.studies.models import Study, Unit
from elicitation.studies.panels import panels_of
from elicitation.studies.services import Design, StudyPlan
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.accounts.services import set_membership
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_e4_from_text, lambda_text, to_png
from hilmix.errors import Conflict, Invalid

MOVES = {"open": services.open_study, "pause": services.pause_study, "close": services.close_study}
SHOWN_MIXES = 24


class StudyForm(forms.Form):
    """What a researcher chooses for a new study; refusals of the service appear beside the fields."""

    title = forms.CharField(max_length=120, label=_("Title"), help_text=_("Participants see it."))
    slug = forms.SlugField(
        max_length=60,
        label=_("Link"),
        help_text=_("The study will be at /s/<link>/."),
        error_messages={"invalid": _("Letters, digits, hyphens and underscores only: it becomes the link.")},
    )
    image_set = forms.ModelChoiceField(queryset=ImageSet.objects.all(), label=_("Image set"))
    interface = forms.ChoiceField(choices=[(name, name) for name in INTERFACES], label=_("Interface"))
    perspective = forms.ChoiceField(
        choices=[("you", _("what do you see")), ("100 others", _("what would 100 other people see"))],
        label=_("Perspective"),
    )
    n_mixed_images = forms.IntegerField(initial=60, label=_("Mixed images"))
    lambdas = forms.CharField(initial="0.1 0.25 0.5 0.75 0.9", label=_("Mixing coefficients λ"))
    trials_per_person = forms.IntegerField(initial=30, label=_("Trials a person"))
    repeats = forms.IntegerField(initial=2, label=_("Repeated trials a person"))
    answers_per_unit = forms.IntegerField(
        initial=9, label=_("People per mixed image"), help_text=_("9 answers give a reliability of about .8.")
    )
    same_class = forms.BooleanField(required=False, label=_("Also mix images of one class"))
    enlargement = forms.IntegerField(
        required=False, label=_("Enlargement"), help_text=_("Whole multiple; empty fits the window.")
    )
    seed = forms.IntegerField(initial=1, label=_("Seed"), help_text=_("Decides which images are mixed."))

    def clean_lambdas(self) -> tuple[int, ...]:
        try:
            return tuple(
                lambda_e4_from_text(text) for text in self.cleaned_data["lambdas"].replace(",", " ").split()
            )
        except DataError as error:
            raise forms.ValidationError(str(error)) from None

    def plan(self) -> StudyPlan:
        data = dict(self.cleaned_data)
        design = Design(
            lambdas_e4=data.pop("lambdas"),
            **{
                name: data.pop(name)
                for name in ("n_mixed_images", "trials_per_person", "repeats", "answers_per_unit")
            },
            **{name: data.pop(name) for name in ("same_class", "seed")},
        )
        return StudyPlan(design=design, **data)


class MemberForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"))
    part = forms.ChoiceField(
        choices=[*Membership.Part.choices, ("", _("none"))],
        required=False,
        label=_("Part"),
        initial=Membership.Part.VIEWER,
    )


@require_safe
def study_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    studies = (
        Study.objects.visible_to(request.user)
        .select_related("image_set")
        .annotate(
            n_completed=Count("participations", filter=Q(participations__state__in=["answered", "completed"]))
        )
    )
    return render(request, "elicitation/studies.html", {"studies": studies})


@require_http_methods(["GET", "POST"])
def new_study(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.CREATE_STUDY)
    form = StudyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            study = services.create_study(plan=form.plan(), actor=request.user)
            messages.success(request, _("The study is a draft. Look at it, then open it."))
            return redirect("study", slug=study.slug)
        except Invalid as error:
            _show(form, error)
    return render(request, "elicitation/new_study.html", {"form": form}, status=400 if form.errors else 200)


@require_safe
def study_detail(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    study = _visible(request, slug)
    units = Unit.objects.filter(batch__study=study)
    counts = study.participations.aggregate(
        started=Count("pk"),
        running=Count("pk", filter=Q(state="running")),
        finished=Count("pk", filter=Q(state__in=["answered", "completed"])),
    )
    slots = study.batches.aggregate(
        total=Count("slots"), filled=Count("slots", filter=Q(slots__state="filled"))
    )
    shown = (
        MixedImage.objects.filter(pk__in=units.values("mixed_image")).select_related("pair").order_by("pk")
    )
    classes = study.image_set.classes
    context: dict[str, Any] = {
        "study": study,
        "protocol": study.protocol,
        "design": study.protocol.content["design"],
        "lambdas": [lambda_text(value) for value in study.protocol.content["design"].get("lambdas_e4", [])],
        "link": request.build_absolute_uri(reverse("study_entry", args=[study.slug])),
        "counts": counts,
        "slots": slots,
        "answers": study.participations.aggregate(
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
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "elicitation/study.html", context)


@require_safe
def mixed_image(request: HttpRequest, slug: str, mixed_image_id: int) -> HttpResponse:
    """A mixed image of a study that the person may see, at native size."""
    study = _visible(request, slug)
    mine = MixedImage.objects.filter(pk__in=Unit.objects.filter(batch__study=study).values("mixed_image"))
    found = get_object_or_404(mine.select_related("pair__image_set"), pk=mixed_image_id)
    png = to_png(pixels_of(found))
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@require_POST
def move_study(request: HttpRequest, slug: str, move: str) -> HttpResponse:
    """Open, pause or close a study."""
    study = _visible(request, slug)
    if move not in MOVES:
        raise Invalid(f"A study can be opened, paused or closed, not {move!r}.")
    try:
        MOVES[move](study=study, actor=request.user)
    except (Conflict, Invalid, DataError) as error:
        messages.error(request, str(error))
    return redirect("study", slug=slug)


@require_POST
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Give somebody a part in the study, or end it."""
    study = _visible(request, slug)
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


def _visible(request: HttpRequest, slug: str) -> Study:
    assert isinstance(request.user, User)
    return get_object_or_404(Study.objects.visible_to(request.user).select_related("image_set"), slug=slug)


def _show(form: forms.Form, error: Invalid) -> None:
    for field, texts in error.fields.items():
        form.add_error(field if field in form.fields else None, [str(text) for text in texts])
    if not error.fields:
        form.add_error(None, error.message)
