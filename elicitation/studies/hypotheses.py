"""Hypotheses of a study, as data, frozen with its protocol before the first answer. They are tested in the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elicitation.studies.factors import NAME, Factor

TESTS = ("deviation", "difference", "better_label")
OUTCOMES = ("perceived", "confidence")
ALTERNATIVES = ("two-sided", "greater", "less")
MAX_HYPOTHESES = 20

Problems = dict[str, list[str]]


@dataclass(frozen=True)
class Hypothesis:
    """A planned test.

    `deviation`: the mean perceived share less λ, at the λ named (none: all but one half), is not 0 ·
    `difference`: `outcome` differs between two `levels` of `factor` (first less second) ·
    `better_label`: the label made of other people's answers predicts somebody's answer better than λ does.
    `effect` is what the researcher expects, in units of the outcome (0–1), and is used for planning only. People, not
    answers, are the sample of every test.
    """

    name: str
    statement: str
    test: str
    outcome: str = "perceived"
    factor: str = ""
    levels: tuple[str, ...] = ()
    lambdas_e4: tuple[int, ...] = ()
    alternative: str = "two-sided"
    alpha: float = 0.05
    effect: float = 0.0
    primary: bool = False


def read_hypotheses(content: Sequence[Mapping[str, Any]]) -> tuple[Hypothesis, ...]:
    """Hypotheses as they stand in a protocol's content."""
    return tuple(
        Hypothesis(**{**one, "levels": tuple(one["levels"]), "lambdas_e4": tuple(one["lambdas_e4"])})
        for one in content
    )


def hypothesis_problems(
    hypotheses: Sequence[Hypothesis], factors: Sequence[Factor], lambdas_e4: Sequence[int]
) -> Problems:
    """What is wrong with the hypotheses, by the name of the field."""
    said: list[str] = []
    names = [hypothesis.name for hypothesis in hypotheses]
    said += [f"Two hypotheses are called {name!r}." for name in sorted(set(names)) if names.count(name) > 1]
    if len(hypotheses) > MAX_HYPOTHESES:
        said.append(f"At most {MAX_HYPOTHESES} hypotheses.")
    if sum(hypothesis.primary for hypothesis in hypotheses) > 1:
        said.append("At most one hypothesis is the primary one.")
    known = {factor.name: factor for factor in factors}
    for hypothesis in hypotheses:
        said += [f"{hypothesis.name}: {text}" for text in _problems_of(hypothesis, known, lambdas_e4)]
    return {"hypotheses": said} if said else {}


def _problems_of(
    hypothesis: Hypothesis, factors: Mapping[str, Factor], lambdas_e4: Sequence[int]
) -> list[str]:
    said = []
    if not NAME.fullmatch(hypothesis.name):
        said.append("a name has lower-case letters, digits, - and _.")
    if not hypothesis.statement.strip():
        said.append("say in a sentence what is expected.")
    for value, allowed, what in (
        (hypothesis.test, TESTS, "test"),
        (hypothesis.outcome, OUTCOMES, "outcome"),
        (hypothesis.alternative, ALTERNATIVES, "alternative"),
    ):
        if value not in allowed:
            said.append(f"the {what} is one of {', '.join(allowed)}.")
    if not 0 < hypothesis.alpha < 0.5:
        said.append("alpha is between 0 and 0.5.")
    if not -1 <= hypothesis.effect <= 1:
        said.append("the expected effect is between -1 and 1.")
    if outside := sorted(set(hypothesis.lambdas_e4) - set(lambdas_e4)):
        said.append(f"λ of {', '.join(str(value / 10_000) for value in outside)} is not shown.")
    if hypothesis.test == "difference":
        said += _levels_problems(hypothesis, factors)
    if hypothesis.test == "better_label" and hypothesis.alternative == "greater":
        said.append("a better label has the smaller error: the alternative is less, or two-sided.")
    return said


def _levels_problems(hypothesis: Hypothesis, factors: Mapping[str, Factor]) -> list[str]:
    if (factor := factors.get(hypothesis.factor)) is None:
        return ["name the factor whose levels are compared."]
    names = {level.name for level in factor.levels}
    if len(set(hypothesis.levels)) != 2 or not set(hypothesis.levels) <= names:
        return [f"name two levels of {factor.name!r}: {', '.join(sorted(names))}."]
    return []
