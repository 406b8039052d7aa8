"""How people come to a pilot or a preview: by the study's address with a signed mode, `?as=<token>`.

A preview shows a researcher what participants see, with places of its own that are made when it is asked for and
cleared after a day. Its answers go the same way as anybody's, and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from elicitation.mixes.design import Recipe
from elicitation.participants.models import Participation, ProblemReport
from elicitation.studies.factors import cells_of
from elicitation.studies.material import draw_material, refuse_overlap
from elicitation.studies.models import Batch, Mode, Slot, Study
from elicitation.studies.opening import NOT_OPENED
from elicitation.studies.pages import visible_study
from elicitation.studies.places import (
    Images,
    add_slot,
    make_batches,
    make_mixed_images,
    retire_free_places,
    set_checks,
)
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.ways import unit_kind
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.errors import DataError
from hilmix.errors import Conflict, Invalid, NotFound

SALT = "study-mode"
PREVIEWS_KEPT = timedelta(days=1)


def token_for(study: Study, mode: str) -> str:
    """What the study's address carries so that whoever opens it takes part in `mode`; empty for live."""
    return "" if mode == Mode.LIVE else signing.Signer(salt=SALT).sign_object([study.pk, mode])


def mode_of(study: Study, token: str) -> str:
    """The mode that the address of `study` was signed for; live where it carries no token.

    Raises:
        NotFound: the token was cut, changed, or made for another study.
    """
    if not token:
        return Mode.LIVE
    try:
        study_id, mode = signing.Signer(salt=SALT).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError):
        study_id, mode = None, ""
    if study_id != study.pk or mode not in (Mode.PILOT, Mode.PREVIEW):
        raise NotFound(_("This link is not complete. Open it again from where you got it."))
    return str(mode)


def address(study: Study, mode: str) -> str:
    """The path of the study's entry in `mode`, on this site."""
    path, token = reverse("study_entry", args=[study.slug]), token_for(study, mode)
    return f"{path}?as={token}" if token else path


@require_POST
def preview_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a place for one preview and go there; back to the study, saying why, where none can be made."""
    study = visible_study(request, slug)
    assert isinstance(request.user, User)
    try:
        start_preview(study=study, actor=request.user)
    except (Conflict, Invalid, DataError) as error:
        messages.error(request, str(error))
        return redirect("study", slug=slug)
    return redirect(address(study, Mode.PREVIEW))


def start_preview(*, study: Study, actor: Actor) -> None:
    """Make one more place for a preview of the newest protocol, on the first batch of its material.

    The places go round over the cells of the design. Previews older than a day are cleared.

    Raises:
        Conflict: the study is closed, or its instructions would show pictures of its trials.
        DataError, Invalid: the image set cannot carry the design.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    if study.state == Study.State.CLOSED:
        raise Conflict(f"“{study.title}” is closed; it cannot be looked at as participants saw it.")
    settings = settings_of(study.protocol.content)
    settings.design.check()
    opened = study.image_set.open()
    material = draw_material(opened, settings.design)
    refuse_overlap(opened, settings.design, material)
    first = material.batches[:1]
    made = make_mixed_images(study.image_set, first, settings)
    with transaction.atomic():
        state = Study.objects.select_for_update().get(pk=study.pk).state
        clear_previews(study)
        batch = _batch_of(study, first[0], made, settings)
        if batch is None:
            retire_free_places(study, Mode.PREVIEW)  # they are of a design that is no longer meant
            (batch,) = make_batches(study, first, made, settings, Mode.PREVIEW)
        if state in NOT_OPENED:
            set_checks(study, material)
        add_slot(batch, settings)
        audit.record(actor, "study.previewed", study)


def clear_previews(study: Study) -> None:
    """Delete the previews of a study that are older than a day, with all that was said in them."""
    before = timezone.now() - PREVIEWS_KEPT
    old = study.participations.filter(mode=Mode.PREVIEW, started_at__lt=before)
    keys = list(old.values_list("pk", flat=True))
    slots = list(old.exclude(slot=None).values_list("slot", flat=True))
    Response.objects.filter(trial__participation__in=keys).delete()
    ProblemReport.objects.filter(participation__in=keys).delete()
    Participation.objects.filter(pk__in=keys).delete()
    Slot.objects.filter(pk__in=slots).delete()
    study.departures.filter(mode=Mode.PREVIEW, created_at__lt=before).delete()


def _batch_of(study: Study, recipes: Sequence[Recipe], made: Images, settings: Settings) -> Batch | None:
    """The newest preview batch, if its units are those of `recipes` and its slots are of the cells of `settings`."""
    newest = study.batches.filter(mode=Mode.PREVIEW).order_by("-ordinal").first()
    if newest is None or newest.slots.filter(cell__gte=len(cells_of(settings.factors))).exists():
        return None
    by_pair = unit_kind(settings) == "pair"
    wanted = [(made[recipe].pair_id, None if by_pair else made[recipe].pk) for recipe in recipes]
    return newest if list(newest.units.values_list("pair", "mixed_image")) == wanted else None
