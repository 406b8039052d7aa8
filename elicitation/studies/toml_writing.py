"""Writes a study's plan as a TOML file, to be read, kept with a preregistration, changed by hand and read in elsewhere.

A file holds everything of a plan, so reading it in (toml.py) gives the same protocol, to the hash. Image set and
classes stand in it by name; λ and money are decimals. It holds no codes and no people.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import tomli_w

from elicitation.interfaces import INTERFACES
from elicitation.studies.factors import Factor
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Source
from elicitation.studies.plans import StudyPlan
from elicitation.studies.tables import NOTHING
from hilmix.core.mixing import lambda_text

HEADER = "# A study of hilmix. Read it in with: python manage.py study import FILE.toml [--slug LINK]\n\n"
# A list of numbers or short names, which the writer spreads over lines.
SPREAD = re.compile(r'\[\n((?:\s+(?:-?[\d.]+|"[^"\\\n]{0,40}"),\n){1,60})\s*\]')


def study_file(
    plan: StudyPlan, *, source: str = Source.PERSON, recruitment: Mapping[str, Any] | None = None
) -> str:
    """The file of a plan, as text.

    Args:
        recruitment: how people come to the study, without codes.
    """
    document = _document(plan, source, recruitment or {})
    plain, tidy = tomli_w.dumps(document), _tidied(document)
    # Text with other ends of lines, or that itself looks like a list, could come out of the tidying otherwise.
    return HEADER + (tidy if tomllib.loads(tidy) == tomllib.loads(plain) else plain)


def _tidied(document: Mapping[str, Any]) -> str:
    """The document with texts over several lines, and lists of numbers and names on one."""

    def on_one_line(spread: re.Match[str]) -> str:
        items = [line.strip().removesuffix(",") for line in spread[1].splitlines()]
        return f"[{', '.join(items)}]"

    return SPREAD.sub(on_one_line, tomli_w.dumps(document, multiline_strings=True))


def _document(plan: StudyPlan, source: str, recruitment: Mapping[str, Any]) -> dict[str, Any]:
    classes = plan.image_set.classes
    design, payment = asdict(plan.design), plan.payment
    design["lambdas"] = _decimals(design.pop("lambdas_e4"))
    design["class_pairs"] = [[classes[first], classes[second]] for first, second in plan.design.class_pairs]
    design["mixed_images"] = list(map(list, plan.design.mixed_images))
    document: dict[str, Any] = {
        "slug": plan.slug,
        "title": plan.title,
        "source": str(source),
        "language": plan.language,
        "perspective": plan.perspective,
        "bonus": plan.bonus,
        "timing_reason": plan.timing_reason,
        "image_set": {"name": plan.image_set.name, "sha256": plan.image_set.sha256},
        "interface": {
            "name": plan.interface,
            "version": INTERFACES[plan.interface].VERSION,
            "options": dict(plan.options),
        },
        "design": design,
        "display": _with_nothing(asdict(plan.display)),
        "flow": asdict(plan.flow),
        "payment": {
            "currency": payment.currency,
            "reward": _money(payment.reward_e2),
            "minutes": payment.minutes,
            "bonus": payment.bonus,
            "bonus_at_most": _money(payment.bonus_e2),
        },
        "stop": asdict(plan.stop),
        "factors": [_factor(factor) for factor in plan.factors],
        "rules": [asdict(rule) for rule in plan.rules],
        "hypotheses": [_hypothesis(hypothesis) for hypothesis in plan.hypotheses],
    }
    if plan.texts is not None:
        document["texts"] = dict(plan.texts)
        if plan.information is not None:
            document["texts"]["information"] = dict(plan.information)
    if recruitment:
        document["recruitment"] = dict(recruitment)
    return document


def _factor(factor: Factor) -> dict[str, Any]:
    content = asdict(factor)
    for level in content["levels"]:
        if "display" in level["set"]:
            level["set"]["display"] = _with_nothing(level["set"]["display"])
    return content | {"levels": list(content["levels"])}


def _hypothesis(hypothesis: Hypothesis) -> dict[str, Any]:
    content = asdict(hypothesis)
    content["lambdas"] = _decimals(content.pop("lambdas_e4"))
    return content | {"levels": list(hypothesis.levels)}


def _with_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: NOTHING if value is None else value for name, value in values.items()}


def _decimals(lambdas_e4: tuple[int, ...]) -> list[Decimal]:
    return [Decimal(lambda_text(value)) for value in lambdas_e4]


def _money(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)
