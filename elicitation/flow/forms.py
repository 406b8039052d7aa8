"""The forms of participants' pages: consent, closing questions, a reported problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from elicitation.recruiters.base import MAX_ID, Recruiter
from elicitation.studies.texts import Box, SurveyItem
from hilmix.errors import Invalid

MAX_TEXT = 10_000


class ConsentForm(forms.Form):
    """The consent boxes of a study, each on its own; and what the recruiter calls the person, where it did not say."""

    ID = "recruiter-id"  # no box can be called so: names of boxes have no hyphen

    def __init__(
        self,
        boxes: Sequence[Box],
        data: Mapping[str, Any] | None = None,
        *,
        asks: Recruiter | None = None,
        required: bool = True,
    ) -> None:
        super().__init__(data)
        self.recruiter = asks
        needed = _("Please tick this box if you want to take part.")
        for box in boxes:
            self.fields[box.name] = forms.BooleanField(
                label=box.text, required=box.required, error_messages={"required": needed}
            )
        if asks is not None:
            self.fields[self.ID] = forms.CharField(
                label=_("Your %(site)s id") % {"site": asks.TITLE},
                max_length=MAX_ID,
                required=required,
                error_messages={"required": _("Please type it in: without it you could not be paid.")},
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.recruiter and (typed := cleaned.get(self.ID)):
            try:
                cleaned[self.ID] = self.recruiter.check_id(typed)
            except Invalid as error:
                self.add_error(self.ID, error.message)
        return cleaned

    def boxes(self) -> list[forms.BoundField]:
        """The boxes, in order."""
        return [field for field in self if field.name != self.ID]

    def id_field(self) -> forms.BoundField | None:
        """Where the person types in their id; None where they need not."""
        return self[self.ID] if self.recruiter else None

    @property
    def has_choices(self) -> bool:
        """Whether there are boxes that may be left empty."""
        return not all(box.field.required for box in self.boxes())

    def ticked(self) -> dict[str, bool]:
        """Box name → whether it was ticked."""
        return {box.name: bool(self.cleaned_data.get(box.name)) for box in self.boxes()}

    def typed_id(self) -> str:
        """The id as the recruiter writes it; empty where none was typed in."""
        return str(self.cleaned_data.get(self.ID) or "")


class SurveyForm(forms.Form):
    """The closing questions: a whole number from 1 to its points for each likert item, text for the others."""

    def __init__(self, items: Sequence[SurveyItem], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.items = {item.name: item for item in items}
        for item in items:
            self.fields[item.name] = _likert(item) if item.kind == "likert" else _free_text(item)

    def rows(self) -> list[tuple[SurveyItem, forms.BoundField]]:
        """Each question with its field, in order."""
        return [(item, self[name]) for name, item in self.items.items()]

    def answers(self) -> dict[str, int | str]:
        """What was answered, by name; what was left empty is left out."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}


def _likert(item: SurveyItem) -> forms.Field:
    return forms.TypedChoiceField(
        choices=[(point, str(point)) for point in range(1, item.points + 1)],
        widget=forms.RadioSelect,
        coerce=int,
        empty_value=None,
        label=item.prompt,
        required=item.required,
        error_messages={"required": _("Please choose one.")},
    )


def _free_text(item: SurveyItem) -> forms.Field:
    return forms.CharField(
        label=item.prompt,
        required=item.required,
        max_length=MAX_TEXT,
        error_messages={"required": _("Please write something.")},
    )


class ProblemForm(forms.Form):
    """What went wrong, in the words of whoever met it, and on which page."""

    text = forms.CharField(
        max_length=MAX_TEXT,
        label=gettext_lazy("What went wrong?"),
        error_messages={"required": gettext_lazy("Please say what went wrong.")},
    )
    page = forms.RegexField(r"^[a-z_]{1,40}$", required=False)
