"""The rows of the experiment form: arms, and the contrasts between them that are planned."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from hilmix.core.softlabels import POLICIES
from hilmix.hub.models import Release
from training.engine.config import MIXING_LABELS, MIXING_METHODS
from training.experiments.config import BASE_LABELS
from training.experiments.recipe import MIXED_PLACES

_ON_THE_FLY = "fly_"
MOST_ROWS = 60  # of arms, and of contrasts


def policies_of(release: Release) -> list[tuple[str, str]]:
    """The labels that arms can learn from, each with its meaning: those that a release holds, then those that can be
    made of answers of the same kind."""
    opened = release.opened
    held = {one["name"]: str(one["meaning"]) for one in opened.label_sets}
    known = [POLICIES[one["policy"]] for one in opened.label_sets if one["policy"] in POLICIES]
    kinds = {(policy.about, policy.accepts) for policy in known}
    made = {
        name: policy.meaning
        for name, policy in POLICIES.items()
        if name not in held and (not policy.accepts or (policy.about, policy.accepts) in kinds)
    }
    return [*held.items(), *made.items()]


def _is_given(field: str, value: Any) -> bool:
    """Whether something is filled in: the first choice of labels of base images is none."""
    return value not in (None, "", {}) and not (field == "base_labels" and value == BASE_LABELS[0])


class RowForm(forms.Form):
    """A row of which nothing need be filled in: it is none then."""

    use_required_attribute = False

    def is_filled(self) -> bool:
        return any(_is_given(name, value) for name, value in self.cleaned_data.items())


class ArmForm(RowForm):
    """One arm."""

    name = forms.CharField(
        label=_("Arm"), required=False, max_length=120, help_text=_("Empty: called as its labels are.")
    )
    policy = forms.CharField(
        label=_("Label policy"),
        required=False,
        max_length=120,
        help_text=_("Empty: no mixed images of the release; base images fill their places."),
    )
    condition = forms.CharField(label=_("Condition"), required=False, max_length=120)
    answers_per_image = forms.IntegerField(
        label=_("Answers an image"), required=False, help_text=_("Empty: all.")
    )
    people = forms.IntegerField(label=_("People"), required=False, help_text=_("Empty: all."))
    mixed_share = forms.FloatField(
        label=_("Share of mixed images of this arm"), required=False, help_text=_("Empty: as all arms.")
    )
    base_labels = forms.ChoiceField(
        label=_("Labels of base images"), required=False, choices=[(name, name) for name in BASE_LABELS]
    )
    start_from = forms.CharField(
        label=_("Starts from"),
        required=False,
        max_length=120,
        help_text=_("Another arm, or the number of a finished run; its steps count as well."),
    )
    seeds = forms.CharField(
        label=_("Seeds of this arm"), required=False, help_text=_("Empty: all of the experiment.")
    )
    augment = forms.CharField(
        label=_("Augmentation of this arm"),
        required=False,
        max_length=400,
        help_text=_("Only what differs, such as: flip = true, rotation = 10"),
    )
    fly_method = forms.ChoiceField(
        label=_("Mixes made while training"),
        required=False,
        choices=[("", _("none")), *((name, name) for name in MIXING_METHODS)],
    )
    fly_alpha = forms.FloatField(label=_("α of their Beta distribution"), required=False)
    fly_labels = forms.ChoiceField(
        label=_("Their labels"), required=False, choices=[("", ""), *((name, name) for name in MIXING_LABELS)]
    )
    fly_share = forms.CharField(
        label=_("Share of plain images that are mixed"),
        required=False,
        max_length=10,
        help_text=_("Empty: 1. “mixed”: only at the places that mixed images have in other arms."),
    )

    MAIN = ("name", "policy", "condition")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].widget.attrs["list"] = "policies"
        self.fields["condition"].widget.attrs["list"] = "conditions"

    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.MAIN]

    def more_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.MAIN]

    def has_more(self) -> bool:
        """Whether something is filled in, or refused, below what every arm has."""
        return any(field.errors or _is_given(field.name, field.value()) for field in self.more_fields())

    def clean_augment(self) -> Mapping[str, Any]:
        """What is written as TOML, such as flip = true, as the table that it is."""
        text = self.cleaned_data["augment"]
        try:
            read = tomllib.loads(f"table = {{{text}}}")
        except tomllib.TOMLDecodeError:
            read = {}
        if [*read] != ["table"]:  # a text can close the braces and go on
            raise forms.ValidationError(f"Is {text!r}; write it as flip = true, rotation = 10")
        return dict(read["table"])

    def clean(self) -> None:
        """What mixes made while training would be like says nothing without their method."""
        given = self.cleaned_data
        said = [name for name in given if name.startswith(_ON_THE_FLY) and _is_given(name, given[name])]
        if said and "fly_method" in given and "fly_method" not in said:
            self.add_error("fly_method", _("Say how they are mixed, or leave α, labels and share empty."))

    def shown_name(self) -> str:
        """What refusals call the arm."""
        return str(self.cleaned_data.get("name") or self.cleaned_data.get("policy") or "")

    def as_config(self, names: Collection[str]) -> dict[str, Any]:
        """The arm as a configuration has it; `names` are those of all arms, of which one may look like a run's
        number."""
        given = {key: value for key, value in self.cleaned_data.items() if value not in (None, "", {})}
        config = {key: value for key, value in given.items() if not key.startswith(_ON_THE_FLY)}
        if config.get("base_labels") == BASE_LABELS[0]:
            del config["base_labels"]
        if "seeds" in config:
            config["seeds"] = numbers(config["seeds"])
        start = str(config.get("start_from", ""))
        if start.isdecimal() and start not in names:
            config["start_from"] = int(start)
        if "fly_method" in given:
            fly = {
                key.removeprefix(_ON_THE_FLY): value
                for key, value in given.items()
                if key.startswith(_ON_THE_FLY)
            }
            if fly.get("share") not in (None, MIXED_PLACES):
                fly["share"] = number(str(fly["share"]))
            config["on_the_fly"] = fly
        return config


class ContrastForm(RowForm):
    """One planned contrast."""

    arm = forms.CharField(label=_("First arm"), required=False, max_length=120)
    against = forms.CharField(label=_("Less the arm"), required=False, max_length=120)
    about = forms.CharField(label=_("What the difference is about"), required=False, max_length=120)


Arms = forms.formset_factory(ArmForm, extra=0, max_num=MOST_ROWS, absolute_max=MOST_ROWS)
Contrasts = forms.formset_factory(ContrastForm, extra=0, max_num=MOST_ROWS, absolute_max=MOST_ROWS)


def number(text: str) -> float | int | str:
    """The number that a text writes, or the text for the configuration to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def numbers(text: str) -> list[float | int | str]:
    """Numbers with commas or spaces between them."""
    return [number(part) for part in text.replace(",", " ").split()]
