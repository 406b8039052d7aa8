"""The form with which an admin launches an experiment: what a TOML file says, checked by the same code."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.boundfield import BoundWidget
from django.utils.translation import gettext_lazy as _

from hilmix.accounts.roles import Actor
from hilmix.core.softlabels import DEFAULT_POLICY, POLICIES
from hilmix.errors import Invalid
from hilmix.hub.models import Release
from training.engine.config import NETS, PRECISIONS, TrainConfig
from training.experiments.config import ExperimentConfig, parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment

_USUAL = TrainConfig()


class ExperimentForm(forms.Form):
    """Fields say what they are; `parse_config` and `create_experiment` decide what is acceptable."""

    name = forms.CharField(label=_("Name"), max_length=120)
    release = forms.ChoiceField(label=_("Release"))
    policies = forms.MultipleChoiceField(
        label=_("Arms: one for each label policy"),
        choices=[(policy, policy) for policy in POLICIES],
        widget=forms.CheckboxSelectMultiple,
        initial=["mixup", DEFAULT_POLICY],
    )
    condition = forms.CharField(
        label=_("Condition"),
        required=False,
        max_length=120,
        help_text=_(
            "Only where people were asked in several ways: the name of one, from the release's page."
        ),
    )
    seeds = forms.CharField(
        label=_("Seeds"),
        initial="0, 1, 2, 3, 4",
        help_text=_("Whole numbers. Below five seeds there is no verdict."),
    )
    net = forms.ChoiceField(label=_("Net"), choices=[(net, net) for net in NETS])
    epochs = forms.IntegerField(label=_("Epochs"), initial=_USUAL.epochs)
    batch_size = forms.IntegerField(label=_("Images in a batch"), initial=_USUAL.batch_size)
    lr = forms.FloatField(label=_("Learning rate"), initial=_USUAL.lr)
    weight_decay = forms.FloatField(label=_("Weight decay"), initial=_USUAL.weight_decay)
    warmup_epochs = forms.FloatField(label=_("Epochs of warm-up"), initial=_USUAL.warmup_epochs)
    crop = forms.IntegerField(
        label=_("Random crop, pixels"),
        initial=1,
        help_text=_("1 suits 8×8 images, 4 suits 32×32; 0 for none."),
    )
    flip = forms.BooleanField(
        label=_("Mirror at random"),
        required=False,
        help_text=_("Not for digits and other images with a left and a right."),
    )
    mixed_share = forms.FloatField(
        label=_("Share of mixed images in a batch"),
        required=False,
        help_text=_("Empty for their natural share."),
    )
    precision = forms.ChoiceField(label=_("Precision"), choices=[(name, name) for name in PRECISIONS])
    train_on = forms.CharField(label=_("Train on the split"), initial="train")
    evaluate_on = forms.CharField(label=_("Evaluate on the split"), initial="test")

    def __init__(self, actor: Actor, data: Any = None, *, release: str = "") -> None:
        """`release` is the name of the one to choose at first; the newest if there is none of that name."""
        super().__init__(data)
        self.actor = actor
        names = [known.name for known in Release.objects.select_related("study")]
        self.fields["release"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        self.fields["release"].initial = release

    def policy_choices(self) -> list[tuple[BoundWidget, str]]:
        """Each checkbox with what its policy means."""
        return [(choice, POLICIES[choice.data["value"]].meaning) for choice in self["policies"]]

    def create(self) -> Experiment | None:
        """The experiment, or None with what stands in its way beside the fields."""
        if not self.is_valid():
            return None
        try:
            return create_experiment(config=self._config(), actor=self.actor)
        except Invalid as refusal:
            self._show(refusal)
            return None

    def _config(self) -> ExperimentConfig:
        given = self.cleaned_data
        train = {
            key: given[key] for key in ("net", "epochs", "batch_size", "lr", "weight_decay", "warmup_epochs")
        }
        train |= {"precision": given["precision"], "augment": {"crop": given["crop"], "flip": given["flip"]}}
        if given["mixed_share"] is not None:
            train["mixed_share"] = given["mixed_share"]
        asked = {"condition": given["condition"]} if given["condition"] else {}
        return parse_config(
            {
                "name": given["name"],
                "release": given["release"],
                "arms": [{"name": policy, "policy": policy, **asked} for policy in given["policies"]],
                "seeds": [_whole(text) for text in given["seeds"].replace(",", " ").split()],
                "train_on": given["train_on"],
                "evaluate_on": given["evaluate_on"],
                "train": train,
            }
        )

    def _show(self, refusal: Invalid) -> None:
        """Put each reason beside the field it is about, those about none at the top."""
        for key, reasons in refusal.fields.items():
            name = {"arms": "policies"}.get(key, key.rpartition(".")[2])
            if name in self.fields:
                self.add_error(name, [reason[0].upper() + reason[1:] for reason in reasons])
            else:
                self.add_error(None, [f"{key}: {reason}" for reason in reasons])
        if not refusal.fields:
            self.add_error(None, refusal.message)


def _whole(text: str) -> int | str:
    """The number, or the text for `parse_config` to refuse."""
    return int(text) if text.isdecimal() else text
