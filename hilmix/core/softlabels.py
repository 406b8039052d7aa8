"""Label policies: pure functions from the judgements of each mixed image to a probability vector.

A policy has a name, a version and a meaning, and declares the judgements it takes; what it estimates from the
data is returned with the labels, so that a release can store it. Answers that were asked for in different ways
are not pooled unless the caller names them. Recipes and evidence: Collins et al., Human-in-the-Loop Mixup, UAI
2023, and a recomputation of its published answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, Judgement, PerceivedLambda, Unit, counted_answers

__all__ = [
    "DEFAULT_POLICY", "POLICIES", "Answer", "LabelPolicy", "LabelRow", "LabelSet", "Shrinkage", "Unit",
    "asked_under", "build_label_set", "conditions_of", "fit_shrinkage",
]  # fmt: skip

DEFAULT_POLICY = "human_lambda_shrunk"


@dataclass(frozen=True, eq=False, slots=True)
class LabelRow:
    """The label of one unit.

    `probabilities` float64 [K], ≥ 0, sum 1 · `lambda_` share of the first class, None if it has none ·
    `n` answers used · `spread` their population standard deviation, None below two · `interval` 95%, 0–1.
    """

    probabilities: npt.NDArray[np.float64]
    lambda_: float | None
    n: int
    spread: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class LabelPolicy:
    """A named way of making labels. `meaning` says in one sentence what its number means."""

    name: str
    version: int
    accepts: tuple[type[Judgement], ...]
    meaning: str
    compute: Callable[[Sequence[Unit], int], tuple[list[LabelRow], dict[str, Any]]]

    def build(self, units: Sequence[Unit], n_classes: int, **params: Any) -> list[LabelRow]:
        """Return one row a unit, in order; DataError for a judgement it does not take."""
        return build_label_set(self, units, n_classes, **params).rows


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels with what made them: policy, its version, the parameters it estimated (JSON values), and the conditions
    whose answers it used (none for a policy that uses no answer)."""

    policy: str
    version: int
    params: dict[str, Any]
    rows: list[LabelRow]
    conditions: tuple[str, ...] = ()

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """All labels as float64 [n, K]."""
        return np.stack([row.probabilities for row in self.rows])


def conditions_of(units: Iterable[Unit]) -> tuple[str, ...]:
    """Return the conditions under which the units were answered, sorted."""
    return tuple(sorted({answer.condition for unit in units for answer in unit.answers}))


def asked_under(condition: str, units: Iterable[Unit]) -> list[Unit]:
    """Return every unit, in order, with the answers given under `condition` only."""
    return [
        replace(unit, answers=tuple(answer for answer in unit.answers if answer.condition == condition))
        for unit in units
    ]


def build_label_set(
    policy: LabelPolicy | str,
    units: Sequence[Unit],
    n_classes: int,
    *,
    pool: Collection[str] = (),
    **params: Any,
) -> LabelSet:
    """Make the labels of all units of a study at once: some policies estimate parameters from all of them.

    Answers of several conditions (perspective, wording, bonus …) are used together only if `pool` names each of
    them. Raises DataError otherwise, and for a judgement that the policy does not take.
    """
    if isinstance(policy, str):
        if policy not in POLICIES:
            raise DataError(f"There is no label policy {policy!r}. Choose one of: {', '.join(POLICIES)}.")
        policy = POLICIES[policy]
    if params:
        raise DataError(
            f"The label policy {policy.name} takes no parameter {', '.join(map(repr, sorted(params)))}."
        )
    for unit in units:
        _check_unit(policy, unit, n_classes)
    conditions = conditions_of(units) if policy.accepts else ()
    _check_pooling(conditions, pool)
    rows, fitted = policy.compute(units, n_classes)
    return LabelSet(policy.name, policy.version, fitted, rows, conditions)


def _check_unit(policy: LabelPolicy, unit: Unit, n_classes: int) -> None:
    for index in (unit.first_class, unit.second_class):
        if not 0 <= index < n_classes:
            raise DataError(f"The unit {unit.key} names class {index}, but there are {n_classes} classes.")
    for answer in unit.answers:
        if policy.accepts and not isinstance(answer.judgement, policy.accepts):
            taken = " or ".join(kind.__name__ for kind in policy.accepts)
            given = type(answer.judgement).__name__
            raise DataError(
                f"The label policy {policy.name} takes {taken}; the unit {unit.key} has a {given}."
            )


def _check_pooling(conditions: Sequence[str], pool: Collection[str]) -> None:
    if len(conditions) > 1 and not set(conditions) <= set(pool):
        raise DataError(
            f"The answers were given under {len(conditions)} conditions, {', '.join(map(repr, conditions))}: people "
            "were not all asked in the same way. Make one label set for each, or name all of them in `pool`."
        )


def _two_hot(unit: Unit, share: float, n_classes: int) -> npt.NDArray[np.float64]:
    probabilities = np.zeros(n_classes)
    probabilities[unit.first_class] += share
    probabilities[unit.second_class] += 1 - share
    return probabilities


def _row(unit: Unit, n_classes: int, share: float, values: Sequence[float]) -> LabelRow:
    spread = float(np.std(values)) if len(values) > 1 else None
    return LabelRow(_two_hot(unit, share, n_classes), share, len(values), spread)


# --- mixup ---


def _mixup(units: Sequence[Unit], n_classes: int) -> tuple[list[LabelRow], dict[str, Any]]:
    return [_row(unit, n_classes, unit.lambda_, ()) for unit in units], {}


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


def _human_lambda(units: Sequence[Unit], n_classes: int) -> tuple[list[LabelRow], dict[str, Any]]:
    """Mean of the counted answers; interval λ̄ ± 1.96·σ/√n with σ pooled over all images."""
    numbers = _numbers(units)
    within, answered = _fit(units, numbers).within, numbers.sizes > 0
    shares = np.where(answered, numbers.means, _lambdas_e4(units) / 10_000)
    halves = None if within is None else NORMAL_95 * np.sqrt(within / np.maximum(numbers.sizes, 1))
    return _rows(units, n_classes, shares, numbers, halves, answered), {"within": within}


def _human_lambda_shrunk(units: Sequence[Unit], n_classes: int) -> tuple[list[LabelRow], dict[str, Any]]:
    """λ̃ = g(λ) + w(n)·(λ̄ − g(λ)); interval λ̃ ± 1.96·√(τ²·(1 − w(n))), τ² the variance of image effects."""
    numbers = _numbers(units)
    fit = _fit(units, numbers)
    expected = np.array([fit.expected(unit.lambda_e4) for unit in units])
    most = int(numbers.sizes.max(initial=0))
    weights = np.array([fit.weight(n) for n in range(most + 1)])[numbers.sizes]
    shares = expected + weights * (numbers.means - expected)
    halves = None if fit.within is None else NORMAL_95 * np.sqrt(fit.between * (1 - weights))
    every = np.ones(len(units), dtype=bool)
    return _rows(units, n_classes, shares, numbers, halves, every), fit.as_params()


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


def _hmix_weighted(units: Sequence[Unit], n_classes: int) -> tuple[list[LabelRow], dict[str, Any]]:
    rows = []
    for unit in units:
        judged = [
            answer.judgement for answer in unit.answers if isinstance(answer.judgement, PerceivedLambda)
        ]
        values = [judgement.value for judgement in judged]
        weighted = [
            value * _confidence(unit, judgement) for value, judgement in zip(values, judged, strict=True)
        ]
        rows.append(_row(unit, n_classes, float(np.mean(weighted)) if weighted else unit.lambda_, values))
    return rows, {}


def _confidence(unit: Unit, judgement: PerceivedLambda) -> float:
    if judgement.confidence is None:
        raise DataError(
            f"The label policy hmix_weighted needs a confidence; an answer to {unit.key} has none."
        )
    return judgement.confidence


_LAMBDA_ANSWERS: tuple[type[Judgement], ...] = (PerceivedLambda, CannotTell)

POLICIES: dict[str, LabelPolicy] = {
    policy.name: policy
    for policy in (
        LabelPolicy(
            "mixup", 1, (),
            "The mixing coefficient λ itself, as mixup makes it up: no answer is used.",
            _mixup,
        ),
        LabelPolicy(
            "human_lambda", 1, _LAMBDA_ANSWERS,
            "The raw mean of the perceived λ, each person's first answer only; λ where nobody gave a number.",
            _human_lambda,
        ),
        LabelPolicy(
            "human_lambda_shrunk", 1, _LAMBDA_ANSWERS,
            "The mean perceived λ drawn towards what people see on average at this λ, the more the fewer "
            "answered: g(λ) + w(n)·(mean − g(λ)), w(n) = nρ/(1 + (n − 1)ρ).",
            _human_lambda_shrunk,
        ),
        LabelPolicy(
            "hmix_weighted", 1, _LAMBDA_ANSWERS,
            "The published H-Mix 'Weighted Re-Label': mean of perceived λ × confidence, repeats included, "
            "not divided by the mean confidence, so no estimate of λ; λ where nobody gave a number.",
            _hmix_weighted,
        ),
    )
}  # fmt: skip
