"""Policies that read one number from an answer: λ itself, the mean of what people see, and that mean shrunk.

Recipes and evidence: Collins et al., Human-in-the-Loop Mixup, UAI 2023, and a recomputation of its published answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.errors import DataError
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda, Unit, counted_answers
from hilmix.core.softlabels.base import Evidence, LabelPolicy, LabelRow, Params

LAMBDA_ANSWERS: tuple[type[Judgement], ...] = (PerceivedLambda, CannotTell)


def two_hot(unit: Unit, share: float, n_classes: int) -> npt.NDArray[np.float64]:
    probabilities = np.zeros(n_classes)
    probabilities[unit.first_class] += share
    probabilities[unit.second_class] += 1 - share
    return probabilities


def _row(unit: Unit, n_classes: int, share: float, values: Sequence[float]) -> LabelRow:
    spread = float(np.std(values)) if len(values) > 1 else None
    return LabelRow(two_hot(unit, share, n_classes), share, len(values), spread)


# --- mixup ---


def _mixup(evidence: Evidence, params: Params) -> tuple[list[LabelRow], dict[str, Any]]:
    return [_row(unit, evidence.n_classes, unit.lambda_, ()) for unit in evidence.units], {}


# --- human_lambda and human_lambda_shrunk ---


@dataclass(frozen=True)
class Shrinkage:
    """What `human_lambda_shrunk` estimates from all counted answers; stored with the labels.

    `curve` g: λ in ten-thousandths → mean perceived λ · `rho` ICC(1) of the answers less g(λ), 0–1 ·
    `between`, `within` variances of image effects and of answers to one image · `n_answers`, `n_units` used.
    """

    curve: dict[int, float]
    rho: float
    between: float
    within: float | None
    n_answers: int
    n_units: int

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
                "n_answers": self.n_answers, "n_units": self.n_units}  # fmt: skip


def fit_shrinkage(units: Sequence[Unit]) -> Shrinkage:
    """Estimate the population curve g(λ) and ρ = ICC(1) of λ̂ − g(λ) from the counted answers.

    ρ is clipped to 0 or more, and is 0 where it is undefined (nobody shares an image with anybody): then the
    answers cannot tell image effects from noise, and every label is the curve.
    """
    return _fit(units, _numbers(units))


@dataclass(frozen=True, eq=False)
class _Numbers:
    """The counted numbers of all units, one after another: float64 [N] `values` of units int64 [N] `groups`; float64 or
    int64 [n] `sizes`, `means` and `spreads` of each unit, the last two 0 where it has no number."""

    values: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    spreads: npt.NDArray[np.float64]


def _numbers(units: Sequence[Unit]) -> _Numbers:
    answers = [[judgement.value for judgement in counted_answers(unit)] for unit in units]
    sizes = np.array([len(values) for values in answers], dtype=np.int64)
    values = np.array([value for group in answers for value in group], dtype=np.float64)
    groups = np.repeat(np.arange(len(units)), sizes)
    of_unit = np.maximum(sizes, 1)
    means = np.bincount(groups, values, len(units)) / of_unit
    spreads = np.sqrt(np.bincount(groups, (values - means[groups]) ** 2, len(units)) / of_unit)
    return _Numbers(values, groups, sizes, means, spreads)


def _fit(units: Sequence[Unit], numbers: _Numbers) -> Shrinkage:
    values, groups = numbers.values, numbers.groups
    shown, index = np.unique(_lambdas_e4(units)[groups], return_inverse=True)
    means = np.bincount(index, values, len(shown)) / np.bincount(index, minlength=len(shown))
    curve = {int(lambda_e4): float(mean) for lambda_e4, mean in zip(shown, means, strict=True)}
    fit = one_way(values - means[index], groups)
    return Shrinkage(
        curve=curve,
        rho=max(0.0, fit.icc) if fit else 0.0,
        between=fit.between if fit else 0.0,
        within=fit.within if fit else None,
        n_answers=len(values),
        n_units=int(np.count_nonzero(numbers.sizes)),
    )


def _lambdas_e4(units: Sequence[Unit]) -> npt.NDArray[np.int64]:
    return np.array([unit.lambda_e4 for unit in units], dtype=np.int64)


def _human_lambda(evidence: Evidence, params: Params) -> tuple[list[LabelRow], dict[str, Any]]:
    """Mean of the counted answers; interval λ̄ ± 1.96·σ/√n with σ pooled over all images."""
    units = evidence.units
    numbers = _numbers(units)
    within, answered = _fit(units, numbers).within, numbers.sizes > 0
    shares = np.where(answered, numbers.means, _lambdas_e4(units) / 10_000)
    halves = None if within is None else NORMAL_95 * np.sqrt(within / np.maximum(numbers.sizes, 1))
    return _rows(units, evidence.n_classes, shares, numbers, halves, answered), {"within": within}


def _human_lambda_shrunk(evidence: Evidence, params: Params) -> tuple[list[LabelRow], dict[str, Any]]:
    """λ̃ = g(λ) + w(n)·(λ̄ − g(λ)); interval λ̃ ± 1.96·√(τ²·(1 − w(n))), τ² the variance of image effects."""
    units = evidence.units
    numbers = _numbers(units)
    fit = _fit(units, numbers)
    expected = np.array([fit.expected(unit.lambda_e4) for unit in units])
    most = int(numbers.sizes.max(initial=0))
    weights = np.array([fit.weight(n) for n in range(most + 1)])[numbers.sizes]
    shares = expected + weights * (numbers.means - expected)
    halves = None if fit.within is None else NORMAL_95 * np.sqrt(fit.between * (1 - weights))
    every = np.ones(len(units), dtype=bool)
    return _rows(units, evidence.n_classes, shares, numbers, halves, every), fit.as_params()


def _rows(
    units: Sequence[Unit],
    n_classes: int,
    shares: npt.NDArray[np.float64],
    numbers: _Numbers,
    halves: npt.NDArray[np.float64] | None,
    known: npt.NDArray[np.bool_],
) -> list[LabelRow]:
    """One row a unit, as `_row` makes one, from arrays [n]; its interval is shares ± `halves` where `known`."""
    labels, places = np.zeros((len(units), n_classes)), np.arange(len(units))
    labels[places, [unit.first_class for unit in units]] += shares
    labels[places, [unit.second_class for unit in units]] += 1 - shares
    if halves is None:
        halves, known = np.zeros(len(units)), np.zeros(len(units), dtype=bool)
    columns = (
        column.tolist()
        for column in (
            shares,
            numbers.sizes,
            numbers.spreads,
            np.maximum(0.0, shares - halves),
            np.minimum(1.0, shares + halves),
            known,
        )
    )
    return [
        LabelRow(label, share, n, spread if n > 1 else None, (low, high) if is_known else None)
        for label, share, n, spread, low, high, is_known in zip(labels, *columns, strict=True)
    ]


# --- hmix_weighted ---


def _hmix_weighted(evidence: Evidence, params: Params) -> tuple[list[LabelRow], dict[str, Any]]:
    rows = []
    for unit in evidence.units:
        judged = [
            answer.judgement for answer in unit.answers if isinstance(answer.judgement, PerceivedLambda)
        ]
        values = [judgement.value for judgement in judged]
        weighted = [
            value * _confidence(unit, judgement) for value, judgement in zip(values, judged, strict=True)
        ]
        rows.append(
            _row(unit, evidence.n_classes, float(np.mean(weighted)) if weighted else unit.lambda_, values)
        )
    return rows, {}


def _confidence(unit: Unit, judgement: PerceivedLambda) -> float:
    if judgement.confidence is None:
        raise DataError(
            f"The label policy hmix_weighted needs a confidence; an answer to {unit.key} has none."
        )
    return judgement.confidence


POLICIES = (
    LabelPolicy(
        "mixup", 1, (),
        "The mixing coefficient λ itself, as mixup makes it up: no answer is used.",
        "mixing coefficient", _mixup,
    ),
    LabelPolicy(
        "human_lambda", 1, LAMBDA_ANSWERS,
        "The raw mean of the perceived λ, each person's first answer only; λ where nobody gave a number.",
        "share judged", _human_lambda,
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
    ),
)  # fmt: skip
