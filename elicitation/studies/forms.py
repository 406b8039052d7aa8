"""The settings of a study as one form, but for those that are rows (rows_forms.py): what a researcher fills in.

A form checks how values are written; whether they fit together is for the service, which names the fields it refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from django import forms
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from elicitation.images.models import ImageSet
from elicitation.studies.fields import (
    METHODS,
    PERSPECTIVES,
    PIXELS,
    RESAMPLING,
    AmountField,
    ClassPairsField,
    GroupedForm,
    LambdasField,
    MixedImagesField,
    NumbersField,
    OptionsField,
    area,
    information_field,
    interface_choices,
    number,
    options_help,
    read_class_pairs,
    written_class_pairs,
)
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.plans import StudyPlan
from elicitation.studies.protocol import DEFAULT_TIMING_REASON, Design, Display, Flow
from elicitation.studies.texts import INFORMATION

DESIGN, DISPLAY, FLOW, PAYMENT, STOP = Design(), Display(), Flow(), Payment(), Stop()
FIXED = _("Fixed: the study's places were made with it. Copy the study to ask otherwise.")


@dataclass(frozen=True)
class Section:
    """A part of the form, to be found by its `key` in the table of contents. `rows` names a template for rows."""

    key: str
    title: Promise
    intro: Promise | str = ""
    fields: tuple[str, ...] = ()
    rows: str = ""


SECTIONS = (
    Section("about", _("The study"), fields=("title", "slug", "image_set", "language")),
    Section(
        "asked",
        _("How it is asked"),
        fields=("interface", "options", "perspective", "bonus", "timing_reason"),
    ),
    Section(
        "factors",
        _("What varies"),
        _(
            "To compare ways of asking: a factor has levels, and each level changes some of the settings of this form."
            " People are spread evenly over the levels. Leave this empty where everybody is asked in one way."
        ),
        rows="factors",
    ),
    Section(
        "shown",
        _("What is shown to how many"),
        fields=(
            *("n_mixed_images", "lambdas", "trials_per_person", "repeats", "answers_per_unit", "seed"),
            *("lease_minutes", "class_pairs", "same_class", "method", "mixed_images"),
        ),
    ),
    Section("apart", _("Images set apart"), fields=("checks", "check_images", "example_images")),
    Section("display", _("Display"), fields=("enlargement", "pixels", "resampling", "exposure_ms")),
    Section(
        "way",
        _("The way through it"),
        fields=(
            *("max_comprehension_rounds", "break_every", "resume_gap_minutes", "min_width_px"),
            *("withdraw_days", "withdrawal"),
        ),
    ),
    Section(
        "payment",
        _("Payment"),
        _("What participants are promised. The planner reckons with it what the study will cost."),
        fields=("currency", "reward_e2", "minutes", "bonus_kind", "bonus_e2"),
    ),
    Section(
        "stop",
        _("When it is enough"),
        _("The monitor says when this is reached; nothing closes by itself."),
        fields=("stop", "stop_width"),
    ),
    Section(
        "rules",
        _("Rules of quality"),
        _(
            "What is looked at in each participation. A rule only flags, unless it says that it leaves out: then the"
            " flagged people's answers make no labels. No answer is ever deleted, and a rule can be changed later."
        ),
        rows="rules",
    ),
    Section(
        "hypotheses",
        _("Hypotheses"),
        _(
            "What you expect, written down before the first answer and frozen with it. Anything else is exploratory."
        ),
        rows="hypotheses",
    ),
    Section(
        "information",
        _("What people are told before they consent"),
        _("All other words are written once the draft is there, on the page of its texts."),
        fields=tuple(INFORMATION),
    ),
)


class StudyForm(GroupedForm):
    """What a researcher chooses for a study; the fields are those of `StudyPlan` and its parts.

    `base` is the plan that is being changed: what the form does not ask stays as it is there. Fields named in `fixed`
    are shown and keep their value whatever is sent.
    """

    title = forms.CharField(max_length=120, label=_("Title"), help_text=_("Participants see it."))
    slug = forms.SlugField(
        max_length=60,
        label=_("Link"),
        help_text=_("The study will be at /s/<link>/."),
        error_messages={"invalid": _("Letters, digits, hyphens and underscores only: it becomes the link.")},
    )
    image_set = forms.ModelChoiceField(queryset=ImageSet.objects.all(), label=_("Image set"))
    language = forms.ChoiceField(
        choices=settings.LANGUAGES, label=_("Language"), help_text=_("Of all that participants read.")
    )
    interface = forms.ChoiceField(
        choices=interface_choices, label=_("Interface"), help_text=_("What participants do with a picture.")
    )
    options = OptionsField(
        required=False,
        label=_("Options of the interface"),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    perspective = forms.ChoiceField(choices=PERSPECTIVES, label=_("Perspective"))
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
        DESIGN.n_mixed_images, _("Mixed images"), _("Pairs, where every interface asks about pairs.")
    )
    lambdas = LambdasField(
        initial="0.1 0.25 0.5 0.75 0.9",
        label=_("Mixing coefficients λ"),
        help_text=_("The share of the first image, from 0 to 1."),
    )
    trials_per_person = number(DESIGN.trials_per_person, _("Trials a person"))
    repeats = number(
        DESIGN.repeats,
        _("Repeated trials a person"),
        _("Shown again later, to see how much one person's answers vary."),
    )
    answers_per_unit = number(
        DESIGN.answers_per_unit,
        _("People per mixed image"),
        _("9 answers give a reliability of about .8. Where people differ in levels: for each combination."),
    )
    seed = number(DESIGN.seed, _("Seed"), _("Decides which images are mixed."))
    lease_minutes = number(
        DESIGN.lease_minutes,
        _("Minutes without an answer until a place is given to somebody else"),
        _("0: reckoned from the estimated minutes under Payment."),
    )
    class_pairs = ClassPairsField(
        required=False,
        label=_("Class pairs"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("A pair a line, such as “cat / dog”. Empty: every two classes, equally often."),
    )
    same_class = forms.BooleanField(
        required=False,
        label=_("Also mix images of one class"),
        help_text=_("Where no class pairs are chosen above."),
    )
    mixed_images = MixedImagesField(
        required=False,
        label=_("Named mixed images"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "A mixed image a line: the positions of its two images in the image set and λ, such as “12 345 0.25”; as "
            "many as there are mixed images, with λ of those above. Empty: drawn."
        ),
    )
    method = forms.ChoiceField(
        required=False,
        choices=METHODS,
        label=_("How images are mixed"),
        help_text=_(
            "λ·first + (1 − λ)·second. H-Mix was published as hmix@1, which knows the λ of H-Mix only."
        ),
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
    pixels = forms.ChoiceField(choices=PIXELS, label=_("Enlargement counts"))
    resampling = forms.ChoiceField(choices=RESAMPLING, label=_("Resampling"))
    exposure_ms = forms.IntegerField(
        required=False,
        label=_("Milliseconds until a mask covers the picture"),
        help_text=_("Empty for no limit."),
    )
    max_comprehension_rounds = number(
        FLOW.max_comprehension_rounds,
        _("Rounds of the comprehension check"),
        _("Whoever has not understood after so many cannot go on."),
    )
    break_every = number(FLOW.break_every, _("A break every so many trials"), _("0 for none."))
    resume_gap_minutes = number(
        FLOW.resume_gap_minutes, _("Minutes away until the short instructions are shown again")
    )
    min_width_px = forms.IntegerField(
        required=False,
        initial=FLOW.min_width_px,
        label=_("Least width of the window in CSS pixels"),
        help_text=_("0 for any. 700 keeps telephones out."),
    )
    withdraw_days = number(FLOW.withdraw_days, _("Days in which one can withdraw"), _("0: not by the link."))
    withdrawal = forms.ChoiceField(
        choices=[
            ("delete", _("deletes the answers")),
            ("anonymise", _("keeps the answers, and nothing that leads to the person")),
        ],
        label=_("Withdrawing"),
    )
    currency = forms.CharField(
        required=False,
        max_length=3,
        initial=PAYMENT.currency,
        label=_("Currency"),
        help_text=_("Three letters, such as GBP."),
    )
    reward_e2 = AmountField(
        initial="0.00",
        label=_("Reward for taking part"),
        help_text=_("Such as 2.25; 0 where nobody is paid."),
    )
    minutes = forms.IntegerField(
        required=False,
        initial=PAYMENT.minutes,
        label=_("Estimated minutes"),
        help_text=_("How long it takes; recruiters ask for it. 0 where it is not known."),
    )
    bonus_kind = forms.ChoiceField(
        required=False,
        choices=[
            ("none", _("no bonus")),
            ("flat", _("the same for everybody who finishes")),
            ("agreement", _("grows with the agreement with other people's answers")),
        ],
        label=_("Bonus"),
        help_text=_(
            "Its rule in words stands under “How it is asked”. Agreement needs the perspective of 100 others."
        ),
    )
    bonus_e2 = AmountField(initial="0.00", label=_("Bonus, at most"))
    stop = forms.ChoiceField(
        required=False,
        choices=[
            ("answers", _("every mixed image has its answers")),
            ("interval", _("the labels are sure enough")),
        ],
        label=_("Enough when"),
    )
    stop_width = forms.FloatField(
        required=False,
        initial=STOP.width,
        label=_("Sure enough: width of the 95% interval of a label"),
        help_text=_("On average at most this, from 0.01 to 1."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        base: StudyPlan | None = None,
        fixed: Collection[str] = (),
    ) -> None:
        super().__init__(data, initial=_initial(base) if base else None)
        self.base = base
        self.fields["options"].help_text = options_help()
        if base is None:
            for name in INFORMATION:
                self.fields[name] = information_field(name)
        else:
            known = ", ".join(base.image_set.classes[:40])
            self.fields["class_pairs"].help_text = f"{self.fields['class_pairs'].help_text} {known}"
        for name in set(fixed) & set(self.fields):
            self.fields[name].disabled = True
            self.fields[name].help_text = FIXED
        self.sections = [one for one in SECTIONS if one.rows or one.fields[0] in self.fields]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if "image_set" in data and "class_pairs" in data:
            try:
                data["class_pairs"] = read_class_pairs(data["class_pairs"], data["image_set"].classes)
            except forms.ValidationError as error:
                self.add_error("class_pairs", error)
        for name, default in (("min_width_px", 0), ("minutes", 0), ("stop_width", STOP.width)):
            if data.get(name) is None:
                data[name] = default
        otherwise = {"currency": PAYMENT.currency, "bonus_kind": "none", "stop": STOP.rule}
        for name, usual in (otherwise | {"method": DESIGN.method}).items():
            data[name] = data.get(name) or usual
        return data

    def plan(self) -> StudyPlan:
        """The plan that the valid form describes."""
        data = {**self.cleaned_data, "lambdas_e4": self.cleaned_data["lambdas"]}
        base = self.base or StudyPlan(slug=data["slug"], title=data["title"], image_set=data["image_set"])
        if self.base is None:
            information: Mapping[str, str] | None = {name: data[name] for name in INFORMATION if data[name]}
        else:
            information = base.information
        names = ({field.name for field in fields(StudyPlan)} & set(data)) - {"stop", "payment"}
        return replace(
            base,
            design=_part(base.design, data),
            display=_part(base.display, data),
            flow=_part(base.flow, data),
            payment=_part(base.payment, {**data, "bonus": data["bonus_kind"]}),
            stop=Stop(rule=data["stop"], width=data["stop_width"]),
            information=information,
            **{name: data[name] for name in names},
        )


def _part(base: Any, data: Mapping[str, Any]) -> Any:
    """One of the dataclasses of a plan with the form's fields of the same names."""
    return replace(base, **{field.name: data[field.name] for field in fields(base) if field.name in data})


def _initial(plan: StudyPlan) -> dict[str, Any]:
    """The fields of the form as `plan` has them."""
    design, payment = plan.design, plan.payment
    return {
        **{name: getattr(plan, name) for name in ("title", "slug", "language", "interface", "perspective")},
        **{name: getattr(plan, name) for name in ("bonus", "timing_reason")},
        **asdict(design),
        **asdict(plan.display),
        **asdict(plan.flow),
        "image_set": plan.image_set.pk,
        "options": OptionsField.written(plan.options),
        "lambdas": LambdasField.written(design.lambdas_e4),
        "class_pairs": written_class_pairs(design.class_pairs, plan.image_set.classes),
        "mixed_images": MixedImagesField.written(design.mixed_images),
        "check_images": NumbersField.written(design.check_images),
        "example_images": NumbersField.written(design.example_images),
        "currency": payment.currency,
        "reward_e2": AmountField.written(payment.reward_e2),
        "minutes": payment.minutes,
        "bonus_kind": payment.bonus,
        "bonus_e2": AmountField.written(payment.bonus_e2),
        "stop": plan.stop.rule,
        "stop_width": plan.stop.width,
    }
