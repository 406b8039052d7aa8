"""The page on which a release is frozen: what is proposed for it, to be changed, and the button that queues it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from elicitation.studies.fields import GroupedForm
from elicitation.studies.pages import visible_study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, require
from hilmix.core.licences import LICENCES
from hilmix.errors import Conflict, Invalid
from hilmix.hub.answers import n_to_publish
from hilmix.hub.models import Release
from hilmix.hub.release_options import LONGEST_DESCRIPTION, FreezeOptions, proposed_options
from hilmix.hub.releases import queue_freeze


class FreezeForm(GroupedForm):
    """The fields of `FreezeOptions`."""

    images = forms.ChoiceField(
        choices=Release.Images.choices,
        label=_("Mixed images"),
        help_text=_(
            "Recipes only: whoever opens the release mixes the images again from a copy of the image set; each is "
            "checked against its sha256."
        ),
    )
    licence = forms.ChoiceField(
        choices=[(name, f"{name}: {licence.title}") for name, licence in LICENCES.items()],
        label=_("Licence"),
        help_text=_(
            "Of the answers and the labels, and of included mixed images too if the image set has a stated licence; "
            "if not, their users must ask the makers of the images."
        ),
    )
    creators = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        label=_("Creators"),
        help_text=_("Whom to cite, one name a line, in this order."),
    )
    description = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=LONGEST_DESCRIPTION,
        label=_("Description"),
        help_text=_("A paragraph for whoever finds the release."),
    )

    def options(self) -> FreezeOptions:
        """What was chosen."""
        lines = self.cleaned_data["creators"].splitlines()
        return FreezeOptions(
            **{**self.cleaned_data, "creators": [line.strip() for line in lines if line.strip()]}
        )


@require_http_methods(["GET", "HEAD", "POST"])
def freeze(request: HttpRequest, slug: str) -> HttpResponse:
    """The form with what is proposed; sent, it queues the making, and the page of the job shows how far it is."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.FREEZE_RELEASE, study.pk)
    newest = study.releases.select_related("study").order_by("-number").first()
    context: dict[str, Any] = {
        "study": study,
        "newest": newest,
        "may_open": True,
        "n_to_publish": n_to_publish(study),
    }
    if request.method == "POST":
        form = FreezeForm(request.POST)
        if form.is_valid():
            try:
                job = queue_freeze(study=study, actor=request.user, options=form.options())
                return redirect("job", job_id=job.pk)
            except (Conflict, Invalid) as error:
                form.refuse(Invalid(error.message, fields=error.fields))
        return render(request, "hub/freeze.html", {**context, "form": form}, status=400)
    proposed = proposed_options(study)
    form = FreezeForm(initial={**proposed.as_json(), "creators": "\n".join(proposed.creators)})
    return render(request, "hub/freeze.html", {**context, "form": form})
