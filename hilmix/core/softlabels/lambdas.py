"""Policies that read one number from an answer: λ itself, what people see in the middle, and that mean shrunk.

Recipes and evidence: Collins et al., Human-in-the-Loop Mixup, UAI 2023, and a recomputation of its published answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilmix.core.agreement import one_way
from hilmix.core.judgements import Answer, CannotTell, Judgement, PerceivedLambda, Unit
from hilmix.core.softlabels import counting
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Param, Params
from hilmix.core.softlabels.counting import Numbers, lambdas_e4, perceived, rows_of_shares, two_hot
from hilmix.core.softlabels.rows import Floats, Ints, Rows
from hilmix.core.softlabels.variances import Variances, variances_of

LAMBDA_ANSWERS: tuple[type[Judgement], ...] = (PerceivedLambda, CannotTell)


def _mixup(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    units = evidence.units
    return rows_of_shares(units, evidence.n_classes, lambdas_e4(units) / 10_000), {}


# --- human_lambda


def _human_lambda(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """A mean or median λ̄ of the counted answers; a mean Σω·λ̂/Σω has the interval λ̄ ± 1.96·σ·√Σω²/Σω, σ² that of
    answers to one image at this λ; a median of a few answers has none."""
    units = evidence.units
    numbers, lambdas = perceived(units), lambdas_e4(units)
    fit, variances = _fit(lambdas, numbers)
    within, n = None if variances is None else variances.within, numbers.sizes
    shares, worth = numbers.means, n.astype(np.float64)
    if params["statistic"] == "median":
        shares, within = _medians(numbers), None
    elif params["statistic"] == "confidence_weighted":
        shares, worth = _weighted(numbers, counting.confidences(units, "human_lambda"))
    halves = counting.interval_of_means(within, worth)
    shares = np.where(n > 0, shares, lambdas / 10_000)
    rows = rows_of_shares(
        units, evidence.n_classes, shares, n=n, spreads=numbers.known_spreads(), halves=halves
    )
    if within is None:
        return rows, {"within": None}
    return rows, {"within": fit.within, "by_lambda": fit.by_lambda}


def _medians(numbers: Numbers) -> Floats:
    """The median of each unit's values, float64 [n]; 0 where it has none."""
    if not len(numbers.values):
        return numbers.means
    ordered = numbers.values[np.lexsort((numbers.values, numbers.groups))]
    starts = np.cumsum(numbers.sizes) - numbers.sizes
    last = len(ordered) - 1
    below = ordered[np.minimum(starts + np.maximum(numbers.sizes - 1, 0) // 2, last)]
    above = ordered[np.minimum(starts + numbers.sizes // 2, last)]
    return np.where(numbers.sizes > 0, (below + above) / 2, 0.0)


def _weighted(numbers: Numbers, sure: Floats) -> tuple[Floats, Floats]:
    """Σω·λ̂/Σω of each unit, and how many equal answers it is worth, (Σω)²/Σω², float64 [n] both. Where nobody is sure
    of anything, the plain mean."""
    n = len(numbers.sizes)
    unsure = np.bincount(numbers.groups, sure, n)[numbers.groups] == 0
    weights = np.where(unsure, 1.0, sure)
    total = np.bincount(numbers.groups, weights, n)
    squares = np.bincount(numbers.groups, weights**2, n)
    means = np.bincount(numbers.groups, weights * numbers.values, n) / np.where(total > 0, total, 1.0)
    # A mean lies between its values, which rounding must not undo.
    return np.clip(means, 0.0, 1.0), total**2 / np.where(squares > 0, squares, 1.0)


# --- human_lambda_shrunk


@dataclass(frozen=True)
class Shrinkage:
    """What `human_lambda_shrunk` estimates from all counted answers; stored with the labels.

    `curve` g: λ in ten-thousandths → mean perceived λ · `rho` ICC(1) of the answers less g(λ), 0–1 ·
    `between`, `within` variances of image effects and of answers to one image · `by_lambda` the same at each λ up to ½
    (with that of 1 − λ), for intervals · `n_answers`, `n_units` used.
    """

    curve: dict[int, float]
    rho: float
    between: float
    within: float | None
    n_answers: int
    n_units: int
    by_lambda: dict[str, dict[str, float]]

    def expected(self, lambda_e4: int) -> float:
        """g(λ): what people see in an average image at this λ; λ itself where nobody answered."""
        return self.curve.get(lambda_e4, lambda_e4 / 10_000)

    def weight(self, n: int) -> float:
        """w(n) = nρ / (1 + (n − 1)ρ): the reliability of a mean of n answers, 0 for none."""
        return n * self.rho / (1 + (n - 1) * self.rho) if n else 0.0

    def as_params(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        curve = {str(key): value for key, value in sorted(self.curve.items())}
        return {"curve": curve, "rho": self.rho, "between": self.between, "within": self.within,
                "by_lambda": self.by_lambda, "n_answers": self.n_answers, "n_units": self.n_units}  # fmt: skip


def fit_shrinkage(units: Sequence[Unit]) -> Shrinkage:
    """Estimate the population curve g(λ) and ρ = ICC(1) of λ̂ − g(λ) from the counted answers.

    ρ is clipped to 0 or more, and is 0 where it is undefined (nobody shares an image with anybody): then the
    answers cannot tell image effects from noise, and every label is the curve.
    """
    return _fit(lambdas_e4(units), perceived(units))[0]


def _fit(lambdas: Ints, numbers: Numbers) -> tuple[Shrinkage, Variances | None]:
    values, groups = numbers.values, numbers.groups
    levels, level = np.unique(lambdas, return_inverse=True)
    sizes = np.bincount(level, numbers.sizes, len(levels))
    means = np.bincount(level, numbers.sizes * numbers.means, len(levels)) / np.maximum(sizes, 1)
    shown = sizes > 0
    curve = dict(zip(levels[shown].tolist(), means[shown].tolist(), strict=True))
    residuals = Numbers.of(values - means[level][groups], groups, len(lambdas))
    fit, variances = one_way(residuals.values, groups), variances_of(lambdas, residuals)
    shrinkage = Shrinkage(
        curve=curve,
        rho=max(0.0, fit.icc) if fit else 0.0,
        between=fit.between if fit else 0.0,
        within=fit.within if fit else None,
        n_answers=len(values),
        n_units=int(np.count_nonzero(numbers.sizes)),
        by_lambda=variances.by_lambda if variances else {},
    )
    return shrinkage, variances


@dataclass(frozen=True, eq=False)
class Shrunk:
    """`shares` λ̃ and their `weights` w(n), float64 [n] both, with the numbers and the fit that they are made of."""

    shares: Floats
    weights: Floats
    numbers: Numbers
    fit: Shrinkage
    variances: Variances | None


def shrunk_shares(units: Sequence[Unit]) -> Shrunk:
    """What `human_lambda_shrunk` gives to the first class of each unit."""
    numbers, lambdas = perceived(units), lambdas_e4(units)
    fit, variances = _fit(lambdas, numbers)
    levels, level = np.unique(lambdas, return_inverse=True)
    expected = np.array([fit.expected(lambda_e4) for lambda_e4 in levels.tolist()])[level]
    most = int(numbers.sizes.max(initial=0))
    weights = np.array([fit.weight(n) for n in range(most + 1)])[numbers.sizes]
    shares = expected + weights * (numbers.means - expected)
    return Shrunk(shares, weights, numbers, fit, variances)


def _human_lambda_shrunk(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """λ̃ = g(λ) + w(n)·(λ̄ − g(λ)); interval λ̃ ± 1.96·√((1 − w)²·(τ² + κ²) + w²·σ²/n), τ², σ² and κ² the variances at
    this λ of image effects, of answers to one image and of g."""
    shrunk, units = shrunk_shares(evidence.units), evidence.units
    sizes, variances = shrunk.numbers.sizes, shrunk.variances
    rows = rows_of_shares(
        units, evidence.n_classes, shrunk.shares,
        n=sizes, spreads=shrunk.numbers.known_spreads(),
        halves=variances.halves(shrunk.weights, sizes) if variances and shrunk.fit.rho > 0 else None,
    )  # fmt: skip
    return rows, shrunk.fit.as_params()


# --- hmix_weighted


def _hmix_weighted(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    units = evidence.units
    numbers = perceived(units, repeats=True)
    sure = counting.confidences(units, "hmix_weighted", repeats=True)
    means = np.bincount(numbers.groups, numbers.values * sure, len(units)) / np.maximum(numbers.sizes, 1)
    shares = np.where(numbers.sizes > 0, means, lambdas_e4(units) / 10_000)
    rows = rows_of_shares(units, evidence.n_classes, shares, n=numbers.sizes, spreads=numbers.known_spreads())
    return rows, {}


# --- of one answer


def _perceived_of_one(answer: Answer, unit: Unit, evidence: Evidence, params: Params) -> Floats | None:
    if not isinstance(answer.judgement, PerceivedLambda):
        return None
    return two_hot([unit], answer.judgement.value, evidence.n_classes)[0]


def _weighted_of_one(answer: Answer, unit: Unit, evidence: Evidence, params: Params) -> Floats | None:
    said = answer.judgement
    if not isinstance(said, PerceivedLambda):
        return None
    share = said.value * counting.confidence_of(said, unit, "hmix_weighted")
    return two_hot([unit], share, evidence.n_classes)[0]


POLICIES = (
    LabelPolicy(
        "mixup", 1, (),
        "The mixing coefficient λ itself, as mixup makes it up: no answer is used.",
        "mixing coefficient", _mixup,
    ),
    LabelPolicy(
        "human_lambda", 1, LAMBDA_ANSWERS,
        "The raw mean (or median, or mean weighted by confidence) of the perceived λ, each person's first answer only; "
        "λ where nobody gave a number.",
        "share judged", _human_lambda,
        params=(
            Param(
                "statistic", "mean",
                "mean; median; or confidence_weighted, Σω·λ̂/Σω with confidence ω",
                choices=("mean", "median", "confidence_weighted"),
            ),
        ),
        of_one=_perceived_of_one,
    ),
    LabelPolicy(
        "human_lambda_shrunk", 1, LAMBDA_ANSWERS,
        "The mean perceived λ drawn towards what people see on average at this λ, the more the fewer "
        "answered: g(λ) + w(n)·(mean − g(λ)), w(n) = nρ/(1 + (n − 1)ρ).",
        "share judged", _human_lambda_shrunk,
    ),
    LabelPolicy(
        "hmix_weighted", 1, LAMBDA_ANSWERS,
        "The published H-Mix 'Weighted Re-Label': mean of perceived λ × confidence, repeats included, "
        "not divided by the mean confidence, so no estimate of λ; λ where nobody gave a number.",
        "share judged", _hmix_weighted,
        of_one=_weighted_of_one,
    ),
)  # fmt: skip
