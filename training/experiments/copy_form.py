"""The form filled with the configuration of an experiment: sent as it stands it gives the same configuration."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from hilmix.accounts.roles import Actor
from hilmix.hub.models import Release
from training.experiments import copying
from training.experiments.copying import Filled, Lost
from training.experiments.forms import ExperimentForm
from training.experiments.models import Experiment
from training.runs.models import Run


class CopyForm(ExperimentForm):
    """What no field can hold is kept as it is, and said, until somebody fills in the field that it is of."""

    origin: Experiment

    def __init__(
        self, actor: Actor, release: Release, data: Any = None, *, origin: Experiment, more: bool = False
    ) -> None:
        self.origin, self.copied = origin, origin.parsed
        filled = _held(actor, release, copying.filled(self.copied))
        untouched, _errors = _sent_untouched(actor, release, filled)
        self.lost: list[Lost] = copying.lost(untouched.settings(), self.copied)
        super().__init__(actor, release, data, more=more, filled=filled)

    def settings(self) -> dict[str, Any]:
        return copying.put_back(super().settings(), self.lost)

    @cached_property
    def kept(self) -> list[str]:
        """What the fields do not show, and stays as it is."""
        return [one.words(self.copied) for one in self.lost]

    @cached_property
    def not_copied(self) -> list[str]:
        """What belongs to the experiment and to no configuration."""
        runs = Run.objects.filter(arm__experiment=self.origin).select_related("arm")
        elsewhere = dict.fromkeys(run.arm.name for run in runs if run.arm.is_external)
        frozen = {run.arm_id: set(run.arm.settings.get("seeds") or self.copied.seeds) for run in runs}
        own = {run.seed for run in runs if not run.arm.is_external and run.seed not in frozen[run.arm_id]}
        said = []
        if own:
            seeds = ", ".join(map(str, sorted(own)))
            said.append(
                _("Seeds that were added later (%(seeds)s); write them under Seeds.") % {"seeds": seeds}
            )
        if elsewhere:
            names = ", ".join(elsewhere)
            said.append(
                _("Arms that were trained elsewhere (%(names)s); bring them again.") % {"names": names}
            )
        return said


def _held(actor: Actor, release: Release, filled: Filled) -> Filled:
    """Without what its field would not take back."""
    form, errors = _sent_untouched(actor, release, filled)
    fields = {key: value for key, value in filled.fields.items() if key not in errors}
    rows = {}
    for name, formset in (("arms", form.arms), ("contrasts", form.contrasts)):
        refused = {place: set(row.errors) for place, row in enumerate(formset)}
        rows[name] = [
            {key: value for key, value in row.items() if key not in refused.get(place, ())}
            for place, row in enumerate(getattr(filled, name))
        ]
    return Filled(fields, rows["arms"], rows["contrasts"])


def _sent_untouched(actor: Actor, release: Release, filled: Filled) -> tuple[ExperimentForm, set[str]]:
    """The form as nobody touched it, judged, and the fields of it that refuse what they began with."""
    data = sent(ExperimentForm(actor, release, filled=filled))
    form = ExperimentForm(actor, release, data, filled=filled)
    for part in (form, form.arms, form.contrasts):
        part.is_valid()
    return form, set(form.errors)


def sent(form: ExperimentForm) -> QueryDict:
    """What a browser sends of a form that nobody touched."""
    data = QueryDict(mutable=True)
    for formset in (form.arms, form.contrasts):
        for part in (formset.management_form, *formset):
            _send(part, data)
    _send(form, data)
    return data


def _send(form: forms.BaseForm, data: QueryDict) -> None:
    for field in form:
        value, kind = field.value(), field.field
        choices: Any = getattr(kind, "choices", ())
        if isinstance(kind, forms.BooleanField):
            if value:
                data[field.html_name] = "on"
        elif isinstance(kind, forms.MultipleChoiceField):
            chosen = set(map(str, value or ()))
            data.setlist(field.html_name, [str(key) for key, _label in choices if str(key) in chosen])
        elif isinstance(kind, forms.ChoiceField) and value is None:
            data[field.html_name] = str(next(iter(choices))[0])
        else:
            data[field.html_name] = "" if value is None else str(value)
