"""Tests of a study's hypotheses, the same for real and for simulated answers. People, not answers, are the sample.

Of each person there is one number, a mean over their answers; t tests of these numbers follow (one-sample, Welch's or
paired). The images are those of the study: nothing is said of others. What is tested is `studies/hypotheses.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Study
from elicitation.trials.models import Trial
from hilmix.core.release import pair_key
from hilmix.core.release_answers import HALF_E4, perceived_share
from hilmix.hub.answers import Answers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]

# How somebody reads which test was made.
TESTS = {
    "deviation": "mean of perceived share less λ",
    "difference": "difference between two levels",
    "better_label": "squared error of the label made by others, less that of λ",
}


@dataclass(frozen=True)
class Table:
    """Counted answers as arrays of one length.

    `person`, `unit` numbers · `lambda_e4` shown; one half for a pair · `pair` whether it is about a pair · `condition`
    how it was asked · `perceived` share of the first image and `confidence`, 0–1, NaN where there is none · `levels`
    factor → the level of each answer.
    """

    person: Ints
    unit: Ints
    lambda_e4: Ints
    pair: Mask
    condition: Ints
    perceived: Floats
    confidence: Floats
    levels: Mapping[str, Texts]


@dataclass(frozen=True)
class TestResult:
    """What a test says. `interval` is 95%, of the estimate; numbers are None where people are too few, or all alike.

    `found`: p is below the hypothesis' alpha, and a label that should be better is not worse.
    """

    name: str
    estimate: float | None
    interval: tuple[float, float] | None
    statistic: float | None
    p: float | None
    n_people: int
    found: bool


def test_hypothesis(hypothesis: Hypothesis, answers: Table) -> TestResult:
    """Carry out the planned test on `answers`.

    A factor varied within people is compared within whoever answered at both levels; between people, where nobody did.
    """
    if hypothesis.test == "difference":
        return _test_difference(hypothesis, answers)
    if hypothesis.test == "better_label":
        chosen = concerned(hypothesis, answers.lambda_e4, np.ones(len(answers.person), dtype=bool))
        numbers = _better_label(answers)
        _people, means = _means(answers.person[chosen], numbers[chosen])
        return _one_sample(hypothesis, means)
    chosen = concerned(hypothesis, answers.lambda_e4, (answers.lambda_e4 != HALF_E4) | answers.pair)
    _people, means = _means(answers.person[chosen], _deviation(answers)[chosen])
    return _one_sample(hypothesis, means)


test_hypothesis.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's
TestResult.__test__ = False  # type: ignore[attr-defined]


def answers_of(study: Study) -> Table:
    """The counted answers of a study that may be released: live, valid, not excluded, first."""
    said = Answers(study)
    about = {
        image.key: (image.lambda_e4, image.pair.first_class, image.pair.second_class)
        for image in said.mixed_images
    }
    for image in said.mixed_images:
        pair = image.pair
        key = pair_key(pair.first_index, pair.second_index)
        about.setdefault(key, (HALF_E4, pair.first_class, pair.second_class))
    planned = Trial.objects.filter(participation__study=study).exclude(levels={})
    levels = {
        (participation, position): of_trial
        for participation, position, of_trial in planned.values_list("participation", "position", "levels")
    }
    numbers: dict[tuple[str, str], int] = {}
    rows, given = [], []
    for one in said:
        lambda_e4, *classes = about[one.key]
        share = perceived_share(one.judgement, *classes) if one.counted else None
        if share is None:
            continue
        named = (("person", one.participant), ("unit", one.key), ("condition", one.condition))
        person, unit, condition = (numbers.setdefault(name, len(numbers)) for name in named)
        confidence = getattr(one.judgement, "confidence", None)
        rows.append(
            (
                person,
                unit,
                lambda_e4,
                one.unit == "pair",
                condition,
                share,
                np.nan if confidence is None else confidence,
            )
        )
        given.append(levels.get((one.person.pk, one.position), {}))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 7).T
    person, unit, shown, pair, condition = columns[:5].astype(np.int64)
    factors = sorted({factor for one in given for factor in one})
    return Table(
        *(person, unit, shown, pair.astype(bool), condition),
        perceived=columns[5],
        confidence=columns[6],
        levels={
            factor: np.array([one.get(factor, "") for one in given], dtype=np.str_) for factor in factors
        },
    )


# --- one number a person ---


def _deviation(answers: Table) -> Floats:
    return answers.perceived - answers.lambda_e4 / 10_000


def concerned(hypothesis: Hypothesis, lambda_e4: Ints, otherwise: Mask) -> Mask:
    """What was shown at the λ that the hypothesis names; `otherwise` where it names none."""
    return np.isin(lambda_e4, hypothesis.lambdas_e4) if hypothesis.lambdas_e4 else otherwise


def _means(person: Ints, values: Floats) -> tuple[Ints, Floats]:
    """Who gave one of `values`, and the mean of theirs."""
    told = ~np.isnan(values)
    people, index, n = np.unique(person[told], return_inverse=True, return_counts=True)
    return people, np.bincount(index, values[told], len(people)) / n


def _test_difference(hypothesis: Hypothesis, answers: Table) -> TestResult:
    """Shares are compared as deviations from λ, so that what a person happened to be shown does not matter."""
    values = answers.confidence if hypothesis.outcome == "confidence" else _deviation(answers)
    chosen = concerned(hypothesis, answers.lambda_e4, np.ones(len(values), dtype=bool))
    level = answers.levels.get(hypothesis.factor, np.full(len(values), "", dtype=np.str_))
    sides = [chosen & (level == name) for name in hypothesis.levels]
    (first, one), (second, other) = (_means(answers.person[side], values[side]) for side in sides)
    both, at_first, at_second = np.intersect1d(first, second, return_indices=True)
    if len(both):
        return _one_sample(hypothesis, one[at_first] - other[at_second])
    return _welch(hypothesis, one, other)


def _better_label(answers: Table) -> Floats:
    """For each answer, the squared error of the label that all others make, less that of λ.

    The label is `human_lambda_shrunk`, made under each condition of everybody's answers but this person's: curve, ρ and
    mean of the others are without them.
    """
    difference = np.full(len(answers.person), np.nan)
    for condition in np.unique(answers.condition):
        here = answers.condition == condition
        label = _label_of_others(
            answers.person[here], answers.unit[here], answers.lambda_e4[here], answers.perceived[here]
        )
        shown = answers.lambda_e4[here] / 10_000
        said = answers.perceived[here]
        difference[here] = (said - label) ** 2 - (said - shown) ** 2
    return difference


def _label_of_others(person: Ints, unit: Ints, lambda_e4: Ints, said: Floats) -> Floats:
    _, person = np.unique(person, return_inverse=True)
    _, unit = np.unique(unit, return_inverse=True)
    shown, at = np.unique(lambda_e4, return_inverse=True)
    expected = _curve_of_others(person, at, shown / 10_000, said)
    residual = said - (np.bincount(at, said) / np.bincount(at))[at]
    rho = _rho_of_others(person, unit, residual)[person]
    others = np.bincount(unit)[unit] - 1
    mean = (np.bincount(unit, said)[unit] - said) / np.maximum(others, 1)
    weight = others * rho / np.maximum(1 + (others - 1) * rho, 1e-12)
    return np.asarray(expected + weight * (mean - expected))


def _curve_of_others(person: Ints, at: Ints, shown: Floats, said: Floats) -> Floats:
    """g(λ) of each answer without that person's answers; λ where nobody else answered."""
    cell = person * len(shown) + at
    n = np.bincount(at)[at] - np.bincount(cell)[cell]
    total = np.bincount(at, said)[at] - np.bincount(cell, said)[cell]
    return np.where(n > 0, total / np.maximum(n, 1), shown[at])


def _rho_of_others(person: Ints, unit: Ints, residual: Floats) -> Floats:
    """ICC(1) without each person, 0 where it is undefined (see core.agreement.one_way): whole sums less theirs."""
    n, total = np.bincount(unit), np.bincount(unit, residual)
    left, rest = n[unit] - 1, total[unit] - residual
    by_person = lambda values: np.bincount(person, values)  # noqa: E731
    squares = np.sum(total**2 / n) - by_person(
        total[unit] ** 2 / n[unit] - np.where(left > 0, rest**2 / np.maximum(left, 1), 0)
    )
    sizes = np.sum(n.astype(np.float64) ** 2) - by_person(2.0 * n[unit] - 1)
    groups = len(n) - by_person((left == 0).astype(np.float64))
    size = len(person) - np.bincount(person)
    grand = residual.sum() - by_person(residual)
    whole = np.sum(residual**2) - by_person(residual**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (squares - grand**2 / size) / (groups - 1)
        within = (whole - squares) / (size - groups)
        n0 = (size - sizes / size) / (groups - 1)
        rho = (between - within) / (between + (n0 - 1) * within)
    return np.clip(np.nan_to_num(rho, nan=0.0, posinf=0.0, neginf=0.0), 0, 1)


# --- t tests ---


def _one_sample(hypothesis: Hypothesis, values: Floats) -> TestResult:
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5 if n > 1 else 0.0
    return _result(hypothesis, values.mean() if n else None, error, n - 1, n)


def _welch(hypothesis: Hypothesis, one: Floats, other: Floats) -> TestResult:
    n = len(one) + len(other)
    if min(len(one), len(other)) < 2:
        return _result(hypothesis, None, 0.0, 0, n)
    parts = np.var(one, ddof=1) / len(one), np.var(other, ddof=1) / len(other)
    below = parts[0] ** 2 / (len(one) - 1) + parts[1] ** 2 / (len(other) - 1)
    freedom = (parts[0] + parts[1]) ** 2 / below if below else 0.0
    return _result(hypothesis, one.mean() - other.mean(), float(sum(parts)) ** 0.5, float(freedom), n)


def _result(
    hypothesis: Hypothesis, estimate: float | None, error: float, freedom: float, n: int
) -> TestResult:
    """The t test of `estimate`, whose standard error is `error`; none where that is 0."""
    if estimate is None or error < 1e-12:
        known = None if estimate is None else float(estimate)
        return TestResult(hypothesis.name, known, None, None, None, n, found=False)
    t = float(estimate) / error
    half = float(special.stdtrit(freedom, 0.975)) * error
    p = {
        "two-sided": 2 * special.stdtr(freedom, -abs(t)),
        "greater": special.stdtr(freedom, -t),
        "less": special.stdtr(freedom, t),
    }[hypothesis.alternative]
    worse = hypothesis.test == "better_label" and estimate > 0
    return TestResult(
        name=hypothesis.name,
        estimate=float(estimate),
        interval=(float(estimate) - half, float(estimate) + half),
        statistic=t,
        p=float(p),
        n_people=n,
        found=bool(p < hypothesis.alpha) and not worse,
    )
