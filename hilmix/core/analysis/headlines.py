"""The few numbers that a study is cited for, to see which of them hang on who is left out."""

from __future__ import annotations

import numpy as np

from hilmix.core.analysis.classes import entropies, outside
from hilmix.core.analysis.estimates import by_level
from hilmix.core.analysis.perceived import halves, midpoints, reversed_answers
from hilmix.core.analysis.reliability import rated, retest_differences
from hilmix.core.analysis.table import AnswerTable

MOST_LEVELS = 11  # λ at which the mean is told; of more only the slope


def headlines(answers: AnswerTable) -> dict[str, float | None]:
    """By name; of all answers but repeats, agreement of first ones. None where a number is not to be had of these."""
    if not len(answers.main):
        return {}
    found = {"share": _of_shares, "midpoint": _of_midpoints, "classes": _of_classes}[answers.kind](answers)
    differences, _people = retest_differences(answers)
    found["median |answer − repeat|"] = float(np.median(differences)) if len(differences) else None
    return {name: None if value is None or np.isnan(value) else float(value) for name, value in found.items()}


def _of_shares(answers: AnswerTable) -> dict[str, float | None]:
    told = answers.main.told
    found: dict[str, float | None] = {}
    levels = list(by_level(told.value, told.person, told.lambda_))
    if len(levels) <= MOST_LEVELS:
        found |= {f"mean perceived λ at {shown:g}": one.mean for shown, one in levels}
    centred = told.lambda_ - told.lambda_.mean() if len(told) else told.lambda_
    varied = float(centred @ centred) > 1e-12
    found["slope of perceived λ on λ"] = float(centred @ told.value / (centred @ centred)) if varied else None
    found["mean |perceived λ − λ|"] = _mean(np.abs(told.deviation))
    found["mean confidence"] = _mean(told.confidence[~np.isnan(told.confidence)])
    found["share of “cannot tell”"] = 1 - len(told) / len(answers.main)
    half, wrong = halves(told), reversed_answers(told)
    found["share of exactly one half"] = None if half is None else half.share
    found["share reversed, of uneven mixes"] = None if wrong is None else wrong.share
    first, ratings = rated(answers.first)
    _, at = np.unique(first.unit, return_index=True)
    level = np.unique(first.lambda_e4[at], return_inverse=True)[1]
    if len(first):
        found["Krippendorff's α"], found["ICC, raw"] = ratings.alpha(), ratings.icc()
        found["ICC of perceived λ − g(λ)"] = ratings.around(level).icc()
    return found


def _of_midpoints(answers: AnswerTable) -> dict[str, float | None]:
    found, (_, ratings) = midpoints(answers.main), rated(answers.first)
    assert found is not None  # there are answers
    return {
        "mean midpoint": found.all.mean,
        "median midpoint": found.all.median,
        "mean midpoint from the low end": None if found.low is None else found.low.mean,
        "mean midpoint from the high end": None if found.high is None else found.high.mean,
        "Krippendorff's α": ratings.alpha(),
        "ICC": ratings.icc(),
    }


def _of_classes(answers: AnswerTable) -> dict[str, float | None]:
    first = answers.first
    uncertain = entropies(first, np.random.default_rng(0))
    several = ~np.isnan(uncertain.two)
    elsewhere, nowhere = outside(answers.main)
    _, ratings = rated(first)
    return {
        "entropy of one person's label, bits": _mean(uncertain.one),
        "entropy of two people's mean label, bits": _mean(uncertain.two[several]),
        "share outside of the two classes": _mean(elsewhere),
        "share to no class": _mean(nowhere),
        "Krippendorff's α of the class named first": ratings.alpha(),
    }


def _mean(values: np.typing.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
