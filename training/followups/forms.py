"""The form that makes a study of the images on which a model, people and mixup disagree most."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from elicitation.studies.fields import GroupedForm
from training.followups.services import Asked


class FollowUpForm(GroupedForm):
    title = forms.CharField(
        max_length=120, label=_("Title of the study"), help_text=_("Participants see it.")
    )
    slug = forms.SlugField(
        max_length=60, label=_("Link"), help_text=_("Letters, digits and hyphens: /s/link/.")
    )
    n = forms.IntegerField(
        min_value=1, label=_("Images that the rule picks"), help_text=_("As many again are drawn at random.")
    )
    answers = forms.IntegerField(min_value=1, max_value=1000, label=_("People who answer each"))
    arm = forms.CharField(widget=forms.HiddenInput)
    rule = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, most: int, **options: Any) -> None:
        super().__init__(data, **options)
        self.fields["n"].widget.attrs["max"] = most

    def asked(self) -> Asked:
        said = self.cleaned_data
        return Asked(said["arm"], said["rule"], said["n"], said["answers"], said["slug"], said["title"])
