"""The form with which an admin launches an experiment: what a TOML file says, checked by the same code."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from hilmix.accounts.roles import Actor
from hilmix.core.softlabels import DEFAULT_POLICY
from hilmix.errors import Invalid
from hilmix.hub.models import Release
from training.engine.config import PRECISIONS, SCHEDULES, TrainConfig
from training.engine.net_table import NET_TABLE
from training.evaluation.values import BY_KEY
from training.experiments.arm_forms import (
    MOST_ROWS,
    Arms,
    Contrasts,
    RowForm,
    number,
    numbers,
    policies_of,
)
from training.experiments.config import EXCLUSIONS, PRIMARIES, ROBUSTNESS, ExperimentConfig, parse_config
from training.experiments.copying import ROWS, Filled
from training.experiments.models import Experiment
from training.experiments.recipe import TUNE_RULES
from training.experiments.services import create_experiment

_USUAL = TrainConfig()
_LARGE = 16  # pixels a side, from which a picture bears a crop of 4
MORE_ROWS = 2
# Where a refusal of an arm is shown whose key is no field of its row.
_ARM_FIELDS = {"on_the_fly": "fly_method", "": "policy"}


class ExperimentForm(forms.Form):
    """Fields say what they are; `parse_config` and `create_experiment` decide what is acceptable."""

    name = forms.CharField(label=_("Name"), max_length=120)
    image_set = forms.CharField(
        label=_("Image set"),
        required=False,
        max_length=120,
        help_text=_("Only where the release's has another name here."),
    )
    train_on = forms.CharField(label=_("Train on the split"), initial="train", max_length=120)
    evaluate_on = forms.CharField(label=_("Evaluate on the split"), initial="test", max_length=120)
    validation = forms.CharField(
        label=_("Validation"),
        initial="0",
        max_length=120,
        help_text=_(
            "So many images of the training split that are in no mixed image, or the name of a split; they leave "
            "training. Temperatures, tuning and the choice of an arm need them."
        ),
    )
    seeds = forms.CharField(
        label=_("Seeds"),
        initial="0, 1, 2, 3, 4",
        help_text=_("Whole numbers. Below five seeds there is no verdict."),
    )
    primary = forms.ChoiceField(
        label=_("Primary metric"),
        required=False,
        choices=[
            ("", _("cross-entropy against people, or the labels where there are none")),
            *((key, BY_KEY[key].name) for key in PRIMARIES),
        ],
        help_text=_("Planned contrasts are judged by it alone."),
    )
    holdout_mixes = forms.FloatField(
        label=_("Share of mixed images held out at a time"),
        required=False,
        help_text=_(
            "Empty: none. 0.2 trains every arm five times more, each without a fifth and its parents."
        ),
    )
    resample_people = forms.BooleanField(label=_("Resample participants too"), required=False)
    robustness = forms.MultipleChoiceField(
        label=_("Robustness"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[(key, f"{key}: {words}") for key, words in ROBUSTNESS.items()],
    )
    exclude = forms.MultipleChoiceField(
        label=_("Runs that are left out, by a rule fixed now"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[(key, f"{key}: {words}") for key, words in EXCLUSIONS.items()],
    )
    net = forms.ChoiceField(label=_("Net"))
    epochs = forms.IntegerField(label=_("Epochs"), initial=_USUAL.epochs)
    batch_size = forms.IntegerField(label=_("Images in a batch"), initial=_USUAL.batch_size)
    lr = forms.FloatField(label=_("Learning rate"), initial=_USUAL.lr)
    momentum = forms.FloatField(label=_("Momentum"), initial=_USUAL.momentum)
    weight_decay = forms.FloatField(label=_("Weight decay"), initial=_USUAL.weight_decay)
    warmup_epochs = forms.FloatField(label=_("Epochs of warm-up"), initial=_USUAL.warmup_epochs)
    schedule = forms.ChoiceField(label=_("How the rate falls"), choices=[(name, name) for name in SCHEDULES])
    milestones = forms.CharField(
        label=_("Steps down after"),
        required=False,
        help_text=_("Fractions of the training, for the schedule “steps”, such as 0.5, 0.75."),
    )
    factor = forms.FloatField(label=_("Factor of each step down"), required=False)
    ema = forms.FloatField(
        label=_("Moving average of weights"), required=False, help_text=_("Decay a step; empty for none.")
    )
    clip_norm = forms.FloatField(
        label=_("Largest norm of a gradient"), required=False, help_text=_("Empty for no clipping.")
    )
    mixed_share = forms.FloatField(
        label=_("Share of mixed images in a batch"),
        required=False,
        help_text=_("Empty for their natural share."),
    )
    precision = forms.ChoiceField(label=_("Precision"), choices=[(name, name) for name in PRECISIONS])
    threads = forms.IntegerField(
        label=_("Processor threads"), required=False, help_text=_("Empty: what torch chooses.")
    )
    deterministic = forms.BooleanField(
        label=_("Deterministic"), required=False, help_text=_("fp32, fixed threads.")
    )
    crop = forms.IntegerField(label=_("Random crop, pixels"), help_text=_("0 for none."))
    flip = forms.BooleanField(
        label=_("Mirror at random"),
        required=False,
        help_text=_("Not for digits and other images with a left and a right."),
    )
    rotation = forms.FloatField(label=_("Turn, degrees either way"), initial=0)
    blur = forms.FloatField(label=_("Blur, pixels"), initial=0)
    noise = forms.FloatField(label=_("Noise, 1 is white"), initial=0)
    brightness = forms.FloatField(label=_("Brightness, times 1 ±"), initial=0)
    contrast = forms.FloatField(label=_("Contrast, times 1 ±"), initial=0)

    GROUPS = (
        (
            _("What is compared"),
            (
                "name",
                "seeds",
                "primary",
                "train_on",
                "evaluate_on",
                "validation",
                "holdout_mixes",
                "image_set",
            ),
        ),
        (_("How it is judged"), ("robustness", "exclude", "resample_people")),
        (
            _("Training"),
            (
                "net",
                "epochs",
                "batch_size",
                "lr",
                "weight_decay",
                "warmup_epochs",
                "mixed_share",
                "precision",
            ),
        ),
        (_("Augmentation"), ("crop", "flip", "rotation", "blur", "noise", "brightness", "contrast")),
    )
    RARE = ("momentum", "schedule", "milestones", "factor", "ema", "clip_norm", "threads", "deterministic")

    origin: Experiment | None = None  # whose configuration it was filled with

    def __init__(
        self,
        actor: Actor,
        release: Release,
        data: Any = None,
        *,
        more: bool = False,
        filled: Filled | None = None,
    ) -> None:
        """`more` shows further rows for arms and contrasts instead of judging what is filled in; `filled` is what the
        fields begin with instead of what is usual."""
        self.actor, self.release = actor, release
        arms: list[dict[str, Any]] = [{"policy": "mixup"}, {"policy": DEFAULT_POLICY}, {}]
        contrasts: list[dict[str, Any]] = [{}, {}]
        if filled:
            arms, contrasts = [*filled.arms, {}][:MOST_ROWS], [*filled.contrasts, {}][:MOST_ROWS]
        if data is not None and more:
            data = data.copy()
            for prefix in ROWS:
                key = f"{prefix}-TOTAL_FORMS"
                with suppress(ValueError):  # what is no number the rows refuse themselves
                    data[key] = str(int(data.get(key) or 0) + MORE_ROWS)
        super().__init__(data, initial=filled.fields if filled else None)
        self.arms = Arms(data, prefix="arms", initial=None if data else arms)
        self.contrasts = Contrasts(data, prefix="contrasts", initial=None if data else contrasts)
        self._fit_to_images(filled.fields["net"] if filled and "net" in filled.fields else "")
        for key in TUNE_RULES:
            self.fields[f"tune_{key}"] = forms.CharField(label=f"tune.{key}", required=False)

    def _fit_to_images(self, named: str) -> None:
        """What the pictures of the release allow, and the net that is `named`: refused where it does not fit them."""
        images = self.release.study.image_set
        side = min(images.height, images.width)
        self.fields["crop"].initial = 4 if side >= _LARGE else 1
        self.fields["flip"].initial = side >= _LARGE
        self.fields["net"].choices = [  # type: ignore[attr-defined]
            (net.name, f"{net.name}: {net.parameters:,} weights")
            for net in NET_TABLE.values()
            if net.least_side <= side or net.name == named
        ]

    @cached_property
    def policies(self) -> list[tuple[str, str]]:
        """The labels that arms can learn from, with their meanings."""
        return policies_of(self.release)

    @property
    def conditions(self) -> tuple[str, ...]:
        return self.release.opened.conditions

    def groups(self) -> Iterable[tuple[Any, list[forms.BoundField]]]:
        """The titled fields that everybody sees."""
        for title, names in self.GROUPS:
            yield title, [self[name] for name in names]

    def rare(self) -> list[forms.BoundField]:
        return [self[name] for name in self.RARE]

    def tuning(self) -> list[forms.BoundField]:
        return [self[f"tune_{key}"] for key in TUNE_RULES]

    def rare_is_open(self) -> bool:
        """Whether something is refused among what is folded away, or is not as usual there."""
        return any(
            field.errors
            or (not self.is_bound and field.name in self.initial and field.value() != field.field.initial)
            for field in (*self.rare(), *self.tuning())
        )

    def create(self) -> Experiment | None:
        """The experiment, or None with what stands in its way beside the fields."""
        if not all([self.is_valid(), self.arms.is_valid(), self.contrasts.is_valid()]):
            return None
        try:
            return create_experiment(config=self._config(), actor=self.actor, origin=self.origin)
        except Invalid as refusal:
            self._show(refusal)
            return None

    def _config(self) -> ExperimentConfig:
        settings = self.settings()
        return parse_config({**settings, **{rows: list(settings[rows].values()) for rows in ROWS}})

    def settings(self) -> dict[str, Any]:
        """What is filled in, as a configuration has it, but its arms and contrasts by the number of their row; without
        what a field refuses."""
        given = self.cleaned_data
        known = {key: value for key, value in given.items() if _is_given(value)}
        config: dict[str, Any] = {
            key: known[key]
            for key in (
                *(
                    "name",
                    "image_set",
                    "train_on",
                    "evaluate_on",
                    "primary",
                    "holdout_mixes",
                    "resample_people",
                ),
                *("robustness", "exclude"),
            )
            if key in known
        }
        config |= {"release": self.release.name, "seeds": numbers(given.get("seeds", ""))}
        config |= {"validation": number(given.get("validation", "0"))}
        rows = {place: row for place, row in enumerate(self.arms) if row.is_filled()}
        names = {row.shown_name() for row in rows.values()}
        config["arms"] = {place: row.as_config(names) for place, row in rows.items()}
        config["contrasts"] = {
            place: {key: value for key, value in row.cleaned_data.items() if value}
            for place, row in enumerate(self.contrasts)
            if row.is_filled()
        }
        tune = {key: numbers(known[f"tune_{key}"]) for key in TUNE_RULES if f"tune_{key}" in known}
        if tune:
            config["tune"] = tune
        return config | {"train": self._train()}

    def _train(self) -> dict[str, Any]:
        given = self.cleaned_data
        names = [*self.GROUPS[2][1], *self.RARE]
        train = {key: given[key] for key in names if _is_given(given.get(key))}
        if "milestones" in train:
            train["milestones"] = numbers(train["milestones"])
        return train | {"augment": {key: given[key] for key in self.GROUPS[3][1] if key in given}}

    def _show(self, refusal: Invalid) -> None:
        """Put each reason beside the field it is about, those about none at the top."""
        for key, reasons in refusal.fields.items():
            for reason in reasons:
                self._show_one(key, reason)
        if not refusal.fields:
            self.add_error(None, refusal.message)

    def _show_one(self, key: str, reason: str) -> None:
        table, _dot, part = key.partition(".")
        part = part.split(".")[0]
        row: forms.Form | None
        if table == "arms":
            row, field = self._row_of(self.arms, reason), _ARM_FIELDS.get(part, part)
        elif table == "contrasts":
            row, field = self._row_of(self.contrasts, reason), part or "against"
        else:
            row, field = self, self._field_of(key, reason)
        if row is not None and field in row.fields:
            bare = getattr(reason, "bare", reason)  # what it is of is seen from where it stands
            row.add_error(field, bare[0].upper() + bare[1:])
        else:
            self.add_error(None, f"{key}: {reason}")

    def _field_of(self, key: str, reason: str) -> str:
        """The field that a key is of; where a whole table is refused, the one whose name the reason begins with."""
        table, _dot, last = key.rpartition(".")
        if key == "tune":
            filled = [f"tune_{one}" for one in TUNE_RULES if self.cleaned_data.get(f"tune_{one}")]
            named = f"tune_{reason.split()[0]}"
            return named if named in filled else next(iter(filled), "")
        if key == "train":
            return reason.split()[0]
        return f"tune_{last}" if table == "tune" else last

    def _row_of(self, rows: Iterable[RowForm], reason: str) -> RowForm | None:
        """The row of the arm or contrast that a refusal is of, or the only one that is filled in."""
        filled = [row for row in rows if row.is_filled()]
        number = getattr(reason, "number", None)
        if number is not None:
            return filled[number - 1] if number <= len(filled) else None  # kept, and in no row
        return filled[0] if len(filled) == 1 else None


def _is_given(value: Any) -> bool:
    """Whether something is filled in: 0 is, a box without its tick is not."""
    return value is not None and value is not False and value not in ("", [])
