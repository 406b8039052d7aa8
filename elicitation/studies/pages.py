"""Researchers' pages of studies: the list, a new one, and one study with its design, counts and mixed images."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from elicitation.interfaces import interface_named
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import pixels_of
from elicitation.studies import opening, services
from elicitation.studies.forms import StudyForm
from elicitation.studies.models import Study, Unit
from elicitation.studies.panels import panels_of
from elicitation.studies.protocol import Settings, settings_of
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.accounts.services import set_membership
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_text, to_png
from hilmix.errors import Conflict, Invalid

MOVES = {"open": opening.open_study, "pause": opening.pause_study, "close": opening.close_study}
SHOWN_MIXES = 24


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
            form.refuse(error)
    return render(request, "elicitation/new_study.html", {"form": form}, status=400 if form.errors else 200)


@require_safe
def study_detail(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    protocol = study.protocol
    counts = study.participations.aggregate(
        started=Count("pk"),
        running=Count("pk", filter=Q(state="running")),
        finished=Count("pk", filter=Q(state__in=["answered", "completed"])),
        withdrawn=Count("pk", filter=Q(state="withdrawn")),
    )
    slots = study.batches.aggregate(
        total=Count("slots"), filled=Count("slots", filter=Q(slots__state="filled"))
    )
    shown = mixed_images_of(study).select_related("pair").order_by("pk")
    classes = study.image_set.classes
    context: dict[str, Any] = {
        "study": study,
        "protocol": protocol,
        "protocols": study.protocols.order_by("-version"),
        "facts": facts_of(settings_of(protocol.content)),
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
        "may_edit": allowed(request.user, Action.EDIT_STUDY, study.pk),
    }
    return render(request, "elicitation/study.html", context)


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
    """Open, pause or close a study."""
    study = visible_study(request, slug)
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


def mixed_images_of(study: Study) -> QuerySet[MixedImage]:
    """The mixed images that a study's units are about: one each, or those of every λ of a pair."""
    units = Unit.objects.filter(batch__study=study)
    lambdas_e4 = settings_of(study.protocol.content).design.lambdas_e4
    of_pairs = Q(pair__in=units.filter(mixed_image=None).values("pair"), lambda_e4__in=lambdas_e4)
    return MixedImage.objects.filter(of_pairs | Q(pk__in=units.values("mixed_image")))


def facts_of(settings: Settings) -> list[tuple[str, str]]:
    """What a protocol settles beside its texts, as label and value."""
    interface, design, flow = interface_named(settings.interface), settings.design, settings.flow
    per_person = [f"{design.trials_per_person}", f"{design.repeats} {gettext('repeats')}"]
    if interface.CHECKS:
        per_person.append(f"{design.checks} {gettext('attention checks')}")
    return [
        (
            gettext("Interface"),
            f"{settings.interface}@{settings.interface_version}: {gettext(interface.TITLE)}",
        ),
        *[(name, str(value)) for name, value in settings.options.items()],
        (gettext("Perspective"), settings.perspective),
        (gettext("Language"), settings.language),
        (gettext("Bonus rule"), settings.bonus or gettext("none")),
        (gettext("Times"), settings.timing_reason or gettext("not recorded")),
        ("λ", ", ".join(lambda_text(value) for value in design.lambdas_e4)),
        (gettext("Trials a person"), " + ".join(per_person)),
        (gettext("People per mixed image"), str(design.answers_per_unit)),
        (gettext("Set apart"), _set_apart(settings)),
        (gettext("Display"), _display(settings)),
        (gettext("Comprehension check"), gettext("up to %d rounds") % flow.max_comprehension_rounds),
        (
            gettext("Breaks"),
            gettext("every %d trials") % flow.break_every if flow.break_every else gettext("none"),
        ),
        (
            gettext("Withdrawing"),
            gettext("within %(days)d days: %(how)s") % {"days": flow.withdraw_days, "how": flow.withdrawal},
        ),
    ]


def _set_apart(settings: Settings) -> str:
    examples, checks = settings.design.example_images, settings.design.check_images
    said = [gettext("%d images for instructions and practice") % len(examples)]
    if settings.design.checks:
        said.append(gettext("%d for checks") % len(checks) if checks else gettext("checks by agreement"))
    return ", ".join(said)


def _display(settings: Settings) -> str:
    display = settings.display
    size = f"{display.enlargement}× ({display.pixels})" if display.enlargement else gettext("fits the window")
    limit = f"{display.exposure_ms} ms" if display.exposure_ms else gettext("no time limit")
    return f"{size}, {display.resampling}, {limit}"


def visible_study(request: HttpRequest, slug: str) -> Study:
    """The study at `slug`, if the person may see it; a 404 page otherwise."""
    assert isinstance(request.user, User)
    return get_object_or_404(Study.objects.visible_to(request.user).select_related("image_set"), slug=slug)
