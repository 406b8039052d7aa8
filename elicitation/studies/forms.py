"""What a researcher fills in for a new study, and the fields that other forms of researchers share.

A form checks how values are written; whether they fit together is for the service, which names the fields it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES
from elicitation.studies.protocol import (
    DEFAULT_TIMING_REASON,
    Design,
    Display,
    Flow,
)
from elicitation.studies.services import StudyPlan
from elicitation.studies.texts import INFORMATION, REQUIRED_INFORMATION
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_e4_from_text
from hilmix.errors import Invalid

DESIGN, DISPLAY, FLOW = Design(), Display(), Flow()


class GroupedForm(forms.Form):
    """A form whose fields stand under headings, and that shows what a service refused."""

    groups: Sequence[tuple[Any, Sequence[str]]] = ()

    def grouped(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """Heading and fields of each group."""
        return [(title, [self[name] for name in names]) for title, names in self.groups]

    def refuse(self, error: Invalid) -> None:
        """Put the messages of `error` beside the fields that it names, and the others above the form."""
        for name, problems in error.fields.items():
            here = name in self.fields
            texts = [str(problem) for problem in problems]
            self.add_error(name if here else None, texts if here else [f"{name}: {text}" for text in texts])
        if not error.fields:
            self.add_error(None, error.message)


def number(initial: int, label: Any, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(initial=initial, label=label, help_text=help_text)


class LinesField(forms.CharField):
    """Text of several lines, which end in one way whatever the browser sends."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


def area(label: Any, help_text: Any = "", rows: int = 3, **options: Any) -> LinesField:
    return LinesField(
        label=label,
        help_text=help_text,
        required=False,
        widget=forms.Textarea(attrs={"rows": rows}),
        **options,
    )


class NumbersField(forms.CharField):
    """Whole numbers with spaces or commas between them, as a tuple; empty for none."""

    def clean(self, value: Any) -> tuple[int, ...]:
        try:
            return tuple(int(text) for text in super().clean(value).replace(",", " ").split())
        except ValueError:
            raise forms.ValidationError(_("Whole numbers with spaces between them.")) from None


class OptionsField(forms.CharField):
    """Lines `name=value`; a value that is JSON (true, 3) is read as such, any other is text."""

    def clean(self, value: Any) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for line in filter(str.strip, super().clean(value).splitlines()):
            name, equals, text = (part.strip() for part in line.partition("="))
            if not equals or not name or name in options:
                raise forms.ValidationError(
                    _("“%(line)s”: each line is name=value, and a name is there once."),
                    params={"line": line},
                )
            options[name] = _json_or_text(text)
        return options


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def interface_choices() -> list[tuple[str, str]]:
    return [(name, f"{name}: {gettext(interface.TITLE)}") for name, interface in INTERFACES.items()]


def options_help() -> str:
    """Which options there are, with their defaults."""
    told = [
        f"{name}: "
        + ", ".join(f"{option}={json.dumps(value)}" for option, value in interface.OPTIONS.items())
        for name, interface in INTERFACES.items()
        if interface.OPTIONS
    ]
    return gettext("A line name=value each; empty for the defaults. %s") % "; ".join(told).replace('"', "")


class StudyForm(GroupedForm):
    """What a researcher chooses for a new study; the fields are those of `StudyPlan` and its parts."""

    title = forms.CharField(max_length=120, label=_("Title"), help_text=_("Participants see it."))
    slug = forms.SlugField(
        max_length=60,
        label=_("Link"),
        help_text=_("The study will be at /s/<link>/."),
        error_messages={"invalid": _("Letters, digits, hyphens and underscores only: it becomes the link.")},
    )
    image_set = forms.ModelChoiceField(queryset=ImageSet.objects.all(), label=_("Image set"))
    language = forms.ChoiceField(choices=settings.LANGUAGES, label=_("Language"))
    interface = forms.ChoiceField(choices=interface_choices, label=_("Interface"))
    options = OptionsField(
        required=False,
        label=_("Options of the interface"),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    perspective = forms.ChoiceField(
        choices=[("you", _("what do you see")), ("100 others", _("what would 100 other people see"))],
        label=_("Perspective"),
    )
    bonus = area(
        _("Bonus rule"),
        _("Shown to participants as it stands here; empty for none. It must not reward guessing λ."),
    )
    timing_reason = area(
        _("Why times are recorded"),
        _("Participants read it. Empty: neither times nor focus events are recorded."),
        initial=DEFAULT_TIMING_REASON,
    )
    n_mixed_images = number(
        DESIGN.n_mixed_images, _("Mixed images"), _("Pairs, where the interface asks about pairs.")
    )
    lambdas = forms.CharField(initial="0.1 0.25 0.5 0.75 0.9", label=_("Mixing coefficients λ"))
    trials_per_person = number(DESIGN.trials_per_person, _("Trials a person"))
    repeats = number(DESIGN.repeats, _("Repeated trials a person"))
    answers_per_unit = number(
        DESIGN.answers_per_unit,
        _("People per mixed image"),
        _("9 answers give a reliability of about .8."),
    )
    seed = number(DESIGN.seed, _("Seed"), _("Decides which images are mixed."))
    same_class = forms.BooleanField(required=False, label=_("Also mix images of one class"))
    lease_minutes = number(
        DESIGN.lease_minutes,
        _("Minutes without an answer until a place is given to somebody else"),
    )
    checks = number(
        DESIGN.checks,
        _("Attention checks a person"),
        _("0, or at least 2. Unmixed images; their results are for you only."),
    )
    check_images = NumbersField(
        required=False,
        label=_("Images for attention checks"),
        help_text=_("Positions in the image set. Empty: those that at least 95% of people agree on."),
    )
    example_images = NumbersField(
        required=False,
        label=_("Images for instructions and practice"),
        help_text=_("Positions in the image set, at least four. Empty: drawn for you."),
    )
    enlargement = forms.IntegerField(
        required=False, label=_("Enlargement"), help_text=_("Whole multiple; empty fits the window.")
    )
    pixels = forms.ChoiceField(
        choices=[("css", _("CSS pixels")), ("device", _("pixels of the screen"))],
        label=_("Enlargement counts"),
    )
    resampling = forms.ChoiceField(
        choices=[("nearest", _("nearest neighbour")), ("bicubic", _("bicubic"))], label=_("Resampling")
    )
    exposure_ms = forms.IntegerField(
        required=False,
        label=_("Milliseconds until a mask covers the picture"),
        help_text=_("Empty for no limit."),
    )
    max_comprehension_rounds = number(FLOW.max_comprehension_rounds, _("Rounds of the comprehension check"))
    break_every = number(FLOW.break_every, _("A break every so many trials"), _("0 for none."))
    resume_gap_minutes = number(
        FLOW.resume_gap_minutes, _("Minutes away until the short instructions are shown again")
    )
    withdraw_days = number(FLOW.withdraw_days, _("Days in which one can withdraw"), _("0: not by the link."))
    withdrawal = forms.ChoiceField(
        choices=[
            ("delete", _("deletes the answers")),
            ("anonymise", _("keeps the answers, and nothing that leads to the person")),
        ],
        label=_("Withdrawing"),
    )

    groups = (
        (_("The study"), ("title", "slug", "image_set", "language")),
        (_("How it is asked"), ("interface", "options", "perspective", "bonus", "timing_reason")),
        (
            _("What is shown to how many"),
            (
                "n_mixed_images",
                "lambdas",
                "trials_per_person",
                "repeats",
                "answers_per_unit",
                "seed",
                "lease_minutes",
                "same_class",
            ),
        ),
        (_("Images set apart"), ("checks", "check_images", "example_images")),
        (_("Display"), ("enlargement", "pixels", "resampling", "exposure_ms")),
        (
            _("The way through it"),
            (
                "max_comprehension_rounds",
                "break_every",
                "resume_gap_minutes",
                "withdraw_days",
                "withdrawal",
            ),
        ),
        (_("What people are told before they consent"), tuple(INFORMATION)),
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.fields["options"].help_text = options_help()
        for name in INFORMATION:
            self.fields[name] = information_field(name)

    def clean_lambdas(self) -> tuple[int, ...]:
        try:
            return tuple(
                lambda_e4_from_text(text) for text in self.cleaned_data["lambdas"].replace(",", " ").split()
            )
        except DataError as error:
            raise forms.ValidationError(str(error)) from None

    def plan(self) -> StudyPlan:
        """The plan that the valid form describes."""
        data = {**self.cleaned_data, "lambdas_e4": self.cleaned_data["lambdas"]}
        information = {name: data[name] for name in INFORMATION if data[name]}
        names = {field.name for field in fields(StudyPlan)} & set(data)
        return StudyPlan(
            design=_part(Design, data),
            display=_part(Display, data),
            flow=_part(Flow, data),
            information=information,
            **{name: data[name] for name in names},
        )


def _part(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """One of the dataclasses of a plan from the form's fields of the same names."""
    return kind(**{field.name: data[field.name] for field in fields(kind) if field.name in data})


def information_field(name: str) -> LinesField:
    """The field of a piece of information, by its name in texts.py."""
    help_text = _("Needed before people can take part.") if name in REQUIRED_INFORMATION else ""
    return area(INFORMATION[name], help_text, rows=2, max_length=1000)
