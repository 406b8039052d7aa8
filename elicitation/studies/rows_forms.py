"""The rows of a study's form that hold its rules of quality and its hypotheses. Factors are in factor_forms.py.

What a browser does not send at all stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.forms import formset_factory
from django.utils.translation import gettext_lazy as _

from elicitation.studies.fields import LambdasField, LinesField
from elicitation.studies.hypotheses import ALTERNATIVES, MAX_HYPOTHESES, OUTCOMES, TESTS, Hypothesis
from elicitation.studies.rules import FLAGS, Rule

Data = Mapping[str, Any] | None


def rows_sent(data: Data, prefix: str) -> bool:
    """Whether a browser sent the rows called `prefix`."""
    return data is not None and f"{prefix}-TOTAL_FORMS" in data


class RuleForm(forms.Form):
    """One flag: whether it is looked at, its limits, and whether it leaves people out of labels."""

    on = forms.BooleanField(required=False, label=_("Look at it"))
    excludes = forms.BooleanField(required=False, label=_("Leave the flagged out of labels"))
    reason = forms.CharField(required=False, max_length=500, label=_("Why it may leave somebody out"))

    def __init__(self, flag: str, rule: Rule | None, data: Data = None) -> None:
        self.flag, self.name = flag, flag.replace("_", " ")
        self.about = FLAGS[flag]
        params = {name: default for name, (default, _meaning) in self.about.params.items()}
        params |= dict(rule.params) if rule else {}
        initial: dict[str, Any] = {
            "on": rule is not None,
            **{f"limit_{name}": value for name, value in params.items()},
        }
        if rule:
            initial |= {"excludes": rule.excludes, "reason": rule.reason}
        super().__init__(data, prefix=f"rules-{flag}", initial=initial)
        limits = {
            f"limit_{name}": forms.FloatField(
                label=_("Limit"), help_text=str(meaning), initial=default, min_value=0, required=False
            )
            for name, (default, meaning) in self.about.params.items()
        }
        self.fields = {"on": self.fields.pop("on"), **limits, **self.fields}
        if self.about.kind == "content":
            self.fields["reason"].help_text = _(
                "Needed where it leaves out: it is about what people answered."
            )

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        for name in self.about.params:
            if data.get("on") and f"limit_{name}" not in self.errors and data.get(f"limit_{name}") is None:
                self.add_error(f"limit_{name}", _("Say a limit, or do not look at it."))
        return data

    def rule(self) -> Rule | None:
        """The rule that the valid form describes; None where it is not looked at."""
        data = self.cleaned_data
        if not data["on"]:
            return None
        params = {name: data[f"limit_{name}"] for name in self.about.params}
        return Rule(self.flag, params, excludes=data["excludes"], reason=data["reason"].strip())


class RulesForm:
    """A row for every flag."""

    prefix = "rules"

    def __init__(self, base: Sequence[Rule], data: Data = None) -> None:
        self.base = base
        self.sent = data is not None and f"{self.prefix}-sent" in data
        known = {rule.flag: rule for rule in base}
        self.rows = [RuleForm(flag, known.get(flag), data if self.sent else None) for flag in FLAGS]

    def is_valid(self) -> bool:
        valid = [row.is_valid() for row in self.rows] if self.sent else []
        return all(valid)

    @property
    def n_on(self) -> int:
        """How many rules there were before anything was changed here."""
        return len(self.base)

    @property
    def n_excluding(self) -> int:
        return sum(rule.excludes for rule in self.base)

    def rules(self) -> tuple[Rule, ...]:
        """The rules that the valid form describes, those of before first and in their order."""
        if not self.sent:
            return tuple(self.base)
        said = {row.flag: row.rule() for row in self.rows}
        flags = dict.fromkeys([*(rule.flag for rule in self.base), *said])
        return tuple(rule for flag in flags if (rule := said.get(flag)) is not None)


class LevelsField(forms.CharField):
    """The names of two levels with a space or comma between them."""

    def clean(self, value: Any) -> tuple[str, ...]:
        return tuple(super().clean(value).replace(",", " ").split())


class HypothesisForm(forms.Form):
    name = forms.CharField(
        max_length=40, label=_("Name"), help_text=_("Lower-case letters, digits, - and _.")
    )
    statement = LinesField(
        max_length=1000, widget=forms.Textarea(attrs={"rows": 2}), label=_("What is expected, in a sentence")
    )
    test = forms.ChoiceField(
        choices=[
            ("deviation", _("people see other shares than λ")),
            ("difference", _("two levels of a factor differ")),
            ("better_label", _("people's labels predict people better than λ does")),
        ],
        initial=TESTS[0],  # what a browser sends of the empty row, which so counts as untouched
        label=_("Test"),
        help_text=_("People, not answers, are the sample."),
    )
    outcome = forms.ChoiceField(
        choices=[("perceived", _("the share that is seen")), ("confidence", _("confidence"))],
        initial=OUTCOMES[0],
        label=_("Outcome"),
    )
    factor = forms.CharField(required=False, max_length=40, label=_("Factor, where levels differ"))
    levels = LevelsField(required=False, label=_("Its two levels"), help_text=_("The first less the second."))
    lambdas_e4 = LambdasField(
        required=False,
        label=_("At these λ"),
        help_text=_("Empty: all; for shares other than λ, all but one half."),
    )
    alternative = forms.ChoiceField(
        choices=[
            ("two-sided", _("differs either way")),
            ("greater", _("is greater")),
            ("less", _("is less")),
        ],
        initial=ALTERNATIVES[0],
        label=_("Direction"),
    )
    alpha = forms.FloatField(initial=0.05, label=_("Level of significance"))
    effect = forms.FloatField(
        initial=0.0, label=_("Expected effect"), help_text=_("From -1 to 1; for planning only.")
    )
    primary = forms.BooleanField(required=False, label=_("The primary hypothesis"))

    def hypothesis(self) -> Hypothesis:
        """The hypothesis that the valid form describes."""
        return Hypothesis(**{name: value for name, value in self.cleaned_data.items() if name != "DELETE"})


class HypothesesForm:
    """All hypotheses."""

    prefix = "hypotheses"

    def __init__(self, base: Sequence[Hypothesis], data: Data = None) -> None:
        self.base = base
        self.sent = rows_sent(data, self.prefix)
        kind = formset_factory(
            HypothesisForm,
            extra=1,
            can_delete=True,
            max_num=MAX_HYPOTHESES,
            absolute_max=MAX_HYPOTHESES + 5,
        )
        initial = [
            {
                **vars(one),
                "levels": " ".join(one.levels),
                "lambdas_e4": LambdasField.written(one.lambdas_e4),
            }
            for one in base
        ]
        self.formset = kind(data if self.sent else None, initial=initial, prefix=self.prefix)

    def is_valid(self) -> bool:
        return not self.sent or self.formset.is_valid()

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that the valid form describes."""
        if not self.sent:
            return tuple(self.base)
        kept = [
            form for form in self.formset.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")
        ]
        return tuple(form.hypothesis() for form in kept)
