"""The form of factors: what varies in a study, each with the rows of its levels, one empty row more than there are.

What a browser does not send at all stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _

from elicitation.studies.factors import ORDERS, VARIES, Factor, Level
from elicitation.studies.fields import (
    PERSPECTIVES,
    PIXELS,
    RESAMPLING,
    NamedLinesField,
    OptionsField,
    QuestionsField,
    area,
    interface_choices,
    pages,
    written_pages,
)
from elicitation.studies.fixing import WORDS
from elicitation.studies.rows_forms import Data, rows_sent

MAX_FACTORS, MAX_LEVELS = 6, 12
AS_STUDY = ("", _("as the study"))
SHORT = ("interface", "perspective", "bonus", "short_instructions")  # of a level: said, or as the study
OF_DISPLAY = ("enlargement", "pixels", "resampling", "exposure_ms")


class LevelForm(forms.Form):
    """A level: its name, and what it changes; what is left empty is as in the rest of the study."""

    name = forms.CharField(
        max_length=40, label=_("Level"), help_text=_("Lower-case letters, digits, - and _.")
    )
    interface = forms.ChoiceField(
        required=False, choices=lambda: [AS_STUDY, *interface_choices()], label=_("Interface")
    )
    options = OptionsField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        label=_("Options of the interface"),
        help_text=_("A line name = value each, of those that differ. left = first fixes the side."),
    )
    perspective = forms.ChoiceField(required=False, choices=[AS_STUDY, *PERSPECTIVES], label=_("Perspective"))
    bonus = area(_("Bonus rule"), rows=2)
    enlargement = forms.IntegerField(required=False, label=_("Enlargement"))
    pixels = forms.ChoiceField(required=False, choices=[AS_STUDY, *PIXELS], label=_("Enlargement counts"))
    resampling = forms.ChoiceField(required=False, choices=[AS_STUDY, *RESAMPLING], label=_("Resampling"))
    exposure_ms = forms.IntegerField(required=False, label=_("Milliseconds until a mask covers the picture"))
    without = forms.MultipleChoiceField(
        required=False,
        choices=[
            ("bonus", _("no bonus rule")),
            ("enlargement", _("no fixed enlargement")),
            ("exposure_ms", _("no mask")),
        ],
        widget=forms.CheckboxSelectMultiple,
        label=_("At this level there is"),
    )
    wording = NamedLinesField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=_("Said at each trial"),
        help_text=_("A line name = text each, such as question = How much of each?"),
    )
    instructions = area(_("Instructions"), _("A line --- begins a new page."), rows=5)
    short_instructions = area(_("Short instructions"))
    comprehension = QuestionsField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        label=_("Questions about the controls"),
        help_text=_(
            "A question, below it * the right answer, - another, > why. An empty line parts questions."
        ),
    )

    main = ("name", "interface", "options", "perspective", "bonus")
    display = (*OF_DISPLAY, "without")
    words = WORDS

    def level(self) -> Level:
        """The level that the valid form describes."""
        data = self.cleaned_data
        said = {name: data[name] for name in (*SHORT, "options", "wording", "comprehension") if data[name]}
        if data["instructions"]:
            said["instructions"] = pages(data["instructions"])
        display = {name: data[name] for name in OF_DISPLAY if data[name] not in (None, "")}
        for name in data["without"]:
            if name == "bonus":
                said["bonus"] = ""
            else:
                display[name] = None
        if display:
            said["display"] = display
        return Level(data["name"], said)


def _level_initial(level: Level) -> dict[str, Any]:
    display = level.set.get("display", {})
    without = [name for name in ("enlargement", "exposure_ms") if name in display and display[name] is None]
    without += ["bonus"] if level.set.get("bonus") == "" else []
    return {
        **{name: level.set.get(name, "") for name in SHORT},
        **{name: display[name] for name in OF_DISPLAY if name in display},
        "name": level.name,
        "without": without,
        "options": OptionsField.written(level.set.get("options", {})),
        "wording": NamedLinesField.written(level.set.get("wording", {})),
        "instructions": written_pages(level.set.get("instructions", ())),
        "comprehension": QuestionsField.written(level.set.get("comprehension", ())),
    }


class FactorForm(forms.Form):
    name = forms.CharField(max_length=40, label=_("Factor"), help_text=_("Such as direction, or exposure."))
    varies = forms.ChoiceField(
        choices=[
            ("between", _("between people: each meets one level")),
            ("within", _("within people: each meets all levels")),
        ],
        initial=VARIES[0],
        label=_("Varies"),
    )
    order = forms.ChoiceField(
        choices=[("blocks", _("one level after the other")), ("mixed", _("mixed from trial to trial"))],
        initial=ORDERS[0],
        label=_("Order within people"),
    )


@dataclass(frozen=True)
class FactorRow:
    """A factor and the rows of its levels."""

    form: forms.Form
    levels: BaseFormSet[Any]

    @property
    def is_used(self) -> bool:
        """Whether it is one of the study's factors, or is to become one."""
        deleted = bool(getattr(self.form, "cleaned_data", {}).get("DELETE"))
        return not deleted and (
            self.form.has_changed() or bool(self.form.initial) or self.levels.has_changed()
        )


class FactorsForm:
    """All factors. With `fixed`, only the words of their levels can be changed; with `words_fixed` not those either."""

    prefix = "factors"

    def __init__(
        self, base: Sequence[Factor], data: Data = None, *, fixed: bool = False, words_fixed: bool = False
    ) -> None:
        self.base, self.fixed = base, fixed
        self.open = () if words_fixed else WORDS
        self.sent = rows_sent(data, self.prefix)
        data = data if self.sent else None
        kind = formset_factory(
            FactorForm,
            extra=0 if fixed else 1,
            can_delete=True,
            max_num=MAX_FACTORS,
            absolute_max=MAX_FACTORS + 2,
        )
        initial = [{"name": one.name, "varies": one.varies, "order": one.order} for one in base]
        self.formset = kind(data, initial=initial, prefix=self.prefix)
        self.rows = [self._row(number, form, data) for number, form in enumerate(self.formset.forms)]

    def _row(self, number: int, form: forms.Form, data: Data) -> FactorRow:
        levels = self.base[number].levels if number < len(self.base) else ()
        kind = formset_factory(
            LevelForm,
            extra=0 if self.fixed else 1 if levels else 3,
            can_delete=True,
            max_num=MAX_LEVELS,
            absolute_max=MAX_LEVELS + 3,
        )
        prefix = f"{form.prefix}-levels"
        formset = kind(
            data if rows_sent(data, prefix) else None,
            initial=list(map(_level_initial, levels)),
            prefix=prefix,
        )
        if self.fixed:
            _disable([form, *formset.forms], but=self.open)
        return FactorRow(form, formset)

    def is_valid(self) -> bool:
        """Whether everything is written as it must be. A factor that is taken away need not be."""
        if not self.sent:
            return True
        self.formset.is_valid()
        valid = [self._is_row_valid(row) for row in self.rows]  # every row says what is wrong with it
        return all(valid)

    def _is_row_valid(self, row: FactorRow) -> bool:
        if self.formset._should_delete_form(row.form):  # type: ignore[attr-defined]  # Django's, not in its types
            return True
        if row.levels.has_changed() and not row.form.has_changed() and not row.form.initial:
            row.form.empty_permitted = False  # levels without a factor: it needs a name
            row.form.full_clean()
        return row.form.is_valid() & (row.levels.is_valid() or not row.levels.is_bound)

    def factors(self) -> tuple[Factor, ...]:
        """The factors that the valid form describes."""
        if not self.sent:
            return tuple(self.base)
        return tuple(self._factor(number, row) for number, row in enumerate(self.rows) if row.is_used)

    def _factor(self, number: int, row: FactorRow) -> Factor:
        base = self.base[number] if number < len(self.base) else None
        data = row.form.cleaned_data
        if not row.levels.is_bound:
            levels: tuple[Level, ...] = base.levels if base else ()
        else:
            old = base.levels if base else ()
            levels = tuple(
                self._level(form.level(), old[place] if place < len(old) else None)
                for place, form in enumerate(row.levels.forms)
                if form.cleaned_data and not form.cleaned_data.get("DELETE")
            )
        return Factor(data["name"], data["varies"], levels, data["order"])

    def _level(self, level: Level, old: Level | None) -> Level:
        """The level as the form says; default words of another way of asking go with it, unless rewritten."""
        if old is None:
            return level
        if self.fixed:
            kept = {name: value for name, value in old.set.items() if name not in WORDS}
            return Level(old.name, kept | {name: level.set[name] for name in WORDS if name in level.set})
        if all(old.set.get(name) == level.set.get(name) for name in ("interface", "perspective")):
            return level
        stale = {name for name in WORDS if name in old.set and old.set[name] == level.set.get(name)}
        return replace(level, set={name: value for name, value in level.set.items() if name not in stale})


def _disable(rows: Sequence[forms.Form], but: Sequence[str] = ()) -> None:
    for form in rows:
        for name, field in form.fields.items():
            field.disabled = name not in but
