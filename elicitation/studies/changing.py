"""What a protocol is to say after a change, and what of a study cannot change any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from elicitation.studies.carrying import carried_texts, without_brought_words
from elicitation.studies.factors import Factor
from elicitation.studies.fixing import FIXED, FIXED_BY_PILOT, changed_although_fixed
from elicitation.studies.hypotheses import hypothesis_problems
from elicitation.studies.level_checks import complete_factors
from elicitation.studies.models import Protocol, Study
from elicitation.studies.plans import (
    StudyPlan,
    check_plan,
    content_of_plan,
    default_texts_of,
    plan_of_study,
)
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import rule_problems
from hilmix.errors import Conflict, Invalid


def analysed_otherwise(study: Study, before: Protocol, plan: StudyPlan) -> dict[str, Any]:
    """The content with other rules and hypotheses, for a study in which nobody is asked any more.

    Raises:
        Conflict: anything else would change.
        Invalid: with messages per field.
    """
    as_it_was = replace(plan_of_study(study), rules=plan.rules, hypotheses=plan.hypotheses)
    texts = as_it_was.texts if plan.texts is None else plan.texts
    if replace(plan, texts=texts, information=None) != as_it_was:
        raise Conflict(
            f"“{study.title}” is {study.get_state_display()}: its rules and hypotheses may change, and nothing else."
        )
    problems = rule_problems(plan.rules) | hypothesis_problems(
        plan.hypotheses, plan.factors, plan.design.lambdas_e4
    )
    if problems:
        raise Invalid("Nothing was changed.", fields=problems)
    said = replace(settings_of(before.content), rules=plan.rules, hypotheses=plan.hypotheses).as_content()
    return {**before.content, "rules": said["rules"], "hypotheses": said["hypotheses"]}


def changed_content(
    study: Study, before: Protocol, plan: StudyPlan
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the protocol is to say, and the labels of the texts that stayed although their defaults are others now.

    Raises:
        Invalid: with messages per field, where `plan` cannot be carried out or would change what opening fixed.
    """
    old = plan_of_study(study)
    plan = _without_stale(old, plan)
    check_plan(plan, changed=study)
    texts, kept = carried_from(old, plan)
    content = content_of_plan(replace(plan, texts=texts, factors=_bare(old, before, plan)))
    if study.state != Study.State.DRAFT:
        fixed = changed_although_fixed(settings_of(before.content), settings_of(content))
        fixed += [name for name in ("image_set", "slug") if getattr(plan, name) != getattr(old, name)]
        if fixed:
            why = FIXED_BY_PILOT if study.state == Study.State.PILOT else FIXED
            raise Invalid("Some of this is fixed. Nothing was changed.", fields={key: [why] for key in fixed})
    return content, kept


def _without_stale(old: StudyPlan, plan: StudyPlan) -> StudyPlan:
    """The plan without what belongs to another interface or image set than it names.

    Options have their defaults again. Positions of images and of classes mean nothing in another set: images are drawn
    again, also where mixed images were named, and all classes are mixed.
    """
    if plan.interface != old.interface and plan.options == old.options:
        plan = replace(plan, options={})
    if plan.image_set == old.image_set:
        return plan
    names = ("example_images", "check_images", "class_pairs", "mixed_images")
    stale: dict[str, Any] = {
        name: () for name in names if getattr(plan.design, name) == getattr(old.design, name)
    }
    return replace(plan, design=replace(plan.design, **stale))


def carried_from(old: StudyPlan, plan: StudyPlan) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The texts of `plan` where those of `old` were the defaults of its settings."""
    texts = old.texts if plan.texts is None else plan.texts
    if texts is None:
        return default_texts_of(plan), ()
    return carried_texts(texts, _defaults(old), _defaults(plan))


def _bare(old: StudyPlan, before: Protocol, plan: StudyPlan) -> tuple[Factor, ...]:
    """The factors of `plan` without the words that their levels brought as long as the study was `old`."""
    settings = settings_of(before.content)

    def completed(factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
        return complete_factors(factors, settings, old.texts or {}, old.language, old.title)

    return without_brought_words(plan.factors, completed)


def _defaults(plan: StudyPlan) -> dict[str, Any]:
    return default_texts_of(replace(plan, information=None))
