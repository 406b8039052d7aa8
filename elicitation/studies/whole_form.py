"""The whole study as one form: its settings and its rows, read as one plan and refused as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from elicitation.studies.factor_forms import FactorsForm
from elicitation.studies.fixing import FIELDS, fixed_in_design
from elicitation.studies.forms import Section, StudyForm
from elicitation.studies.models import Study
from elicitation.studies.plans import StudyPlan
from elicitation.studies.rows_forms import HypothesesForm, RulesForm
from elicitation.studies.rules import default_rules
from hilmix.errors import Invalid

ROWS = ("factors", "rules", "hypotheses")


class WholeStudyForm:
    """The settings, and the rows by kind. `fixed` names what cannot change any more: fields, and kinds of rows.

    With `only_analysed` nothing but rules and hypotheses is read.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        base: StudyPlan | None = None,
        fixed: frozenset[str] = frozenset(),
        only_analysed: bool = False,
    ) -> None:
        self.is_bound, self.base, self.only_analysed = data is not None, base, only_analysed
        self.settings = StudyForm(data, base=base, fixed=fixed)
        self.factors = FactorsForm(
            base.factors if base else (), data, fixed="factors" in fixed, words_fixed=only_analysed
        )
        self.rules = RulesForm(base.rules if base else default_rules(), data)
        self.hypotheses = HypothesesForm(base.hypotheses if base else (), data)
        self.refused: dict[str, list[str]] = {}

    def is_valid(self) -> bool:
        valid = [self.rules.is_valid(), self.hypotheses.is_valid()]  # all, so that each says what is wrong
        if not self.only_analysed:
            valid += [self.settings.is_valid(), self.factors.is_valid()]
        return all(valid)

    def plan(self) -> StudyPlan:
        """The plan that the valid form describes."""
        rules, hypotheses = self.rules.rules(), self.hypotheses.hypotheses()
        if self.only_analysed and self.base:
            return replace(self.base, rules=rules, hypotheses=hypotheses)
        plan, factors = self.settings.plan(), self.factors.factors()
        return replace(plan, factors=factors, rules=rules, hypotheses=hypotheses)

    def refuse(self, error: Invalid) -> None:
        """Put each message where its field or its rows are; the others above the form."""
        self.refused = {name: error.fields[name] for name in ROWS if name in error.fields}
        others = {name: texts for name, texts in error.fields.items() if name not in ROWS}
        if others or not error.fields:
            self.settings.refuse(Invalid(error.message, fields=others))

    def sections(self) -> list[dict[str, Any]]:
        """The sections as the page shows them: each with its fields or rows, and whether something is wrong in it."""
        return [self._section(section) for section in self.settings.sections]

    def _section(self, section: Section) -> dict[str, Any]:
        fields = [self.settings[name] for name in section.fields]
        wrong = self._rows_wrong(section.rows) if section.rows else any(field.errors for field in fields)
        return {
            "key": section.key,
            "title": section.title,
            "intro": section.intro,
            "fields": fields,
            "template": f"elicitation/_rows_{section.rows}.html" if section.rows else "",
            "rows": getattr(self, section.rows) if section.rows else None,
            "refused": self.refused.get(section.rows, []),
            "wrong": self.is_bound and wrong,
        }

    def _rows_wrong(self, kind: str) -> bool:
        return bool(self.refused.get(kind)) or not getattr(self, kind).is_valid()


def fixed_fields(study: Study) -> frozenset[str]:
    """What of a study's form cannot change in its state: all but rules and hypotheses once nobody is asked any more,
    what decides the places once they are there, and nothing of a draft."""
    if study.is_only_analysed:
        return frozenset(StudyForm.base_fields) | {"factors"}
    if study.state == Study.State.DRAFT:
        return frozenset()
    design = {FIELDS.get(name, name) for name in fixed_in_design()}
    return frozenset(design | {"slug", "image_set", "interface", "factors"})
