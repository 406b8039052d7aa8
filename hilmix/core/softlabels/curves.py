"""Policies that predict an image from others like it: what people see at its λ, in its two classes, or of its pair.

In the class-pair curve and the midpoints every unit is turned so that its lower class comes first, λ becoming 1 − λ and
low high, so that it is of no account which image came first. Two images of one class say nothing about two classes:
what is said of them is left out there, and their label is their class anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.judgements import Judgement, PerceivedMidpoint, Unit
from hilmix.core.softlabels import components
from hilmix.core.softlabels.base import Evidence, LabelPolicy, Params
from hilmix.core.softlabels.counting import (
    Numbers,
    classes_of,
    counted,
    lambdas_e4,
    perceived,
    rows_of_shares,
)
from hilmix.core.softlabels.lambdas import LAMBDA_ANSWERS
from hilmix.core.softlabels.rows import Floats, Ints, Rows
from hilmix.core.softlabels.variances import Variances, variances_of

MIDPOINTS: tuple[type[Judgement], ...] = (PerceivedMidpoint,)
MIDPOINT_ENDS = 0.01, 0.99  # a midpoint at an end would make every mix of the pair one image


# --- a curve over λ


def fit_curve(lambdas: Ints, means: Floats, sizes: Ints) -> tuple[Ints, Floats, Ints]:
    """g at each λ answered: λ in ten-thousandths ascending, g, and how many answers it rests on, [levels] each.

    From the means of units at `lambdas` [n] with `sizes` answers. g never falls as λ grows: neighbours that do fall
    are given their common mean (pool adjacent violators).
    """
    shown, level = np.unique(lambdas[sizes > 0], return_inverse=True)
    weights = np.bincount(level, sizes[sizes > 0], len(shown))
    sums = np.bincount(level, (sizes * means)[sizes > 0], len(shown))
    blocks: list[tuple[float, float, int]] = []  # sum, weight, levels
    for total, weight in zip(sums.tolist(), weights.tolist(), strict=True):
        block = (total, weight, 1)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    curve = np.repeat([total / weight for total, weight, _ in blocks], [levels for *_, levels in blocks])
    return shown, curve.astype(np.float64), weights.astype(np.int64)


def on_curve(lambdas: Ints, shown: Ints, curve: Floats) -> Floats:
    """g at `lambdas`, float64 [n]: straight between the λ answered, and to (0, 0) and (1, 1) beyond them."""
    ends = [level for level in (0, 10_000) if level not in shown]
    at = np.concatenate([shown, ends])
    order = np.argsort(at)
    return np.interp(lambdas, at[order], np.concatenate([curve, np.array(ends) / 10_000])[order])


def _as_json(shown: Ints, curve: Floats) -> dict[str, float]:
    return {str(level): value for level, value in zip(shown.tolist(), curve.tolist(), strict=True)}


def _population_curve(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """g(λ) ± 1.96·√(τ² + κ²), τ² the variance at this λ of image effects about it and κ² its own: where the share of
    one image may lie."""
    units, numbers, lambdas = evidence.units, perceived(evidence.units), lambdas_e4(evidence.units)
    shown, curve, sizes = fit_curve(lambdas, numbers.means, numbers.sizes)
    shares = on_curve(lambdas, shown, curve)
    at_level = Numbers.of(numbers.values, np.searchsorted(shown, lambdas[numbers.groups]), len(shown))
    residuals = Numbers.of(numbers.values - shares[numbers.groups], numbers.groups, len(units))
    fit, variances = one_way(residuals.values, residuals.groups), variances_of(lambdas, residuals)
    rows = rows_of_shares(
        units, evidence.n_classes, shares,
        n=_looked_up(lambdas, shown, sizes, 0),
        spreads=_looked_up(lambdas, shown, at_level.known_spreads(), np.nan),
        halves=variances.halves() if variances and fit and fit.between else None,
    )  # fmt: skip
    fitted = {"curve": _as_json(shown, curve), "between": fit.between if fit else None,
              "within": fit.within if fit else None, "by_lambda": variances.by_lambda if variances else {},
              "n_answers": len(numbers.values)}  # fmt: skip
    return rows, fitted


def _looked_up(lambdas: Ints, shown: Ints, values: npt.NDArray[Any], otherwise: float) -> npt.NDArray[Any]:
    """Of each of `lambdas` the value at its level, `otherwise` where nobody answered there."""
    if not len(shown):
        return np.full(len(lambdas), otherwise, dtype=values.dtype)
    place = np.minimum(np.searchsorted(shown, lambdas), len(shown) - 1)
    return np.where(shown[place] == lambdas, values[place], otherwise).astype(values.dtype)


# --- class pairs


def turned(units: Sequence[Unit]) -> npt.NDArray[np.bool_]:
    """Which units are turned round, bool [n]: those whose second class is the lower one."""
    first, second = classes_of(units)
    return second < first


def _flip(values: npt.NDArray[Any], where: npt.NDArray[np.bool_], whole: float) -> npt.NDArray[Any]:
    return np.where(where, whole - values, values)


def _class_pair(units: Sequence[Unit], n_classes: int) -> Ints:
    """One number for each two classes, whichever is first, int64 [n]."""
    first, second = classes_of(units)
    return np.minimum(first, second) * n_classes + np.maximum(first, second)


def _class_pair_curve(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """g(λ) and what this class pair has beside it at this λ, shrunk by variance components: image in class pair."""
    units, flip = evidence.units, turned(evidence.units)
    first, second = classes_of(units)
    numbers = perceived(units).only(first != second)
    lambdas = _flip(lambdas_e4(units), flip, 10_000)
    means = _flip(numbers.means, flip, 1.0)
    shown, curve, _ = fit_curve(lambdas, means, numbers.sizes)
    expected = on_curve(lambdas, shown, curve)
    pairs = _class_pair(units, evidence.n_classes)
    cells, cell = np.unique(pairs * 10_001 + lambdas, return_inverse=True)

    values = _flip(numbers.values, flip[numbers.groups], 1.0) - expected[numbers.groups]
    parts = components.fit(values, numbers.groups, cell)
    answered = numbers.sizes > 0
    offsets = np.where(answered, means - expected, 0.0)
    found = components.effects(parts, offsets, numbers.sizes.astype(np.float64), cell, len(cells))
    of_cell = Numbers.of(values, cell[numbers.groups], len(cells))
    shares = np.clip(expected + found.upper[cell], 0.0, 1.0)
    variances = variances_of(lambdas, Numbers.of(values, numbers.groups, len(units)))
    rows = rows_of_shares(
        units, evidence.n_classes, _flip(shares, flip, 1.0),
        n=of_cell.sizes[cell], spreads=of_cell.known_spreads()[cell],
        halves=_about_class_pairs(variances, parts, found.upper_variance[cell]),
    )  # fmt: skip
    fitted = {
        "curve": _as_json(shown, curve),
        "class_pairs": _cells(cells, found.upper, evidence.n_classes),
        "between_class_pairs": parts.upper, "between_images": parts.lower, "within": parts.rest,
        "by_lambda": variances.by_lambda if variances else {}, "n_answers": len(values),
    }  # fmt: skip
    return rows, fitted


def _about_class_pairs(
    variances: Variances | None, parts: components.Components, of_class_pair: Floats
) -> Floats | None:
    """Half a 95% interval, float64 [n]: of the variance at this λ of images about g, the part that their class pair
    does not explain, with what is not known of that (`of_class_pair` [n]); and the variance of g."""
    if variances is None or not parts.lower:
        return None
    unexplained = (parts.lower + of_class_pair) / (parts.lower + parts.upper)
    squares = variances.between * unexplained + variances.of_curve
    return np.where(variances.between > 0, NORMAL_95 * np.sqrt(squares), np.nan)


def _cells(cells: Ints, offsets: Floats, n_classes: int) -> dict[str, dict[str, float]]:
    """`"2-5": {"2500": −0.03}`: what each class pair has beside the curve, by λ of its lower class."""
    found: dict[str, dict[str, float]] = {}
    for code, offset in zip(cells.tolist(), offsets.tolist(), strict=True):
        pair, level = divmod(code, 10_001)
        found.setdefault("-".join(map(str, divmod(pair, n_classes))), {})[str(level)] = offset
    return found


# --- midpoints


def through_midpoint(lambdas: npt.ArrayLike, midpoints: npt.ArrayLike) -> Floats:
    """λ̃ float64 [n] for λ and the midpoints m of their pairs: odds(λ̃) = odds(λ)·(1 − m)/m.

    It grows with λ through (0, 0), (m, ½), (1, 1), is λ itself at m = ½, and is turned with λ and m.
    """
    shares, m = np.asarray(lambdas, dtype=np.float64), np.clip(midpoints, *MIDPOINT_ENDS)
    first, second = shares * (1 - m), (1 - shares) * m
    return np.asarray(first / (first + second), dtype=np.float64)


def _perceived_midpoint(evidence: Evidence, params: Params) -> tuple[Rows, dict[str, Any]]:
    """λ through the midpoint of the pair. Each midpoint is taken less the mean of its start side, these are averaged
    within side and then over sides, and shrunk pair → class pair → all by variance components."""
    units = evidence.units
    # The same pair may have been asked about under several keys: whoever answered twice counts with the first of these.
    asked = sorted((pair for pair in evidence.pairs if _of_two_classes(pair)), key=attrgetter("key"))
    pairs, of_asked, of_unit = _by_parents(asked, units, evidence.n_classes)
    answers, groups = counted(asked, same=of_asked)
    said = [answer.judgement for answer in answers if isinstance(answer.judgement, PerceivedMidpoint)]
    flip = turned(asked)[groups]
    values = _flip(np.array([judgement.value for judgement in said], dtype=np.float64), flip, 1.0)
    sides = np.array([_SIDES[judgement.start] for judgement in said], dtype=np.int64)
    sides = np.where(flip, _TURNED[sides], sides)

    pair_of = of_asked[groups]
    class_pairs, upper = np.unique(pairs, return_inverse=True)
    side_means = Numbers.of(values, sides, len(_TURNED)).means
    mean = float(side_means[np.unique(sides)].mean()) if len(said) else 0.5
    offsets = values - side_means[sides]
    parts = components.fit(offsets, pair_of, upper)
    means, worth = _over_sides(offsets, pair_of, sides, len(pairs))
    found = components.effects(parts, means, worth, upper, len(class_pairs))

    flip = turned(units)
    lambdas = _flip(lambdas_e4(units), flip, 10_000) / 10_000
    midpoints, halves = mean + found.lower[of_unit], NORMAL_95 * np.sqrt(found.lower_variance[of_unit])
    low, high = through_midpoint(lambdas, midpoints + halves), through_midpoint(lambdas, midpoints - halves)
    shares = _flip(through_midpoint(lambdas, midpoints), flip, 1.0)
    counts = Numbers.of(values, pair_of, len(pairs))
    rows = rows_of_shares(
        units, evidence.n_classes, shares,
        n=counts.sizes[of_unit], spreads=counts.known_spreads()[of_unit],
        ends=(np.where(flip, 1 - high, low), np.where(flip, 1 - low, high)) if parts.lower else None,
    )  # fmt: skip
    fitted = {
        "mean": mean,
        "sides": {name: float(side_means[code]) for name, code in _SIDES.items() if code in sides},
        "class_pairs": {
            "-".join(map(str, divmod(code, evidence.n_classes))): mean + effect
            for code, effect in zip(class_pairs.tolist(), found.upper.tolist(), strict=True)
        },
        "between_class_pairs": parts.upper, "between_pairs": parts.lower, "within": parts.rest,
        "n_answers": len(said),
    }  # fmt: skip
    return rows, fitted


_SIDES = {"": 0, "low": 1, "high": 2}
_TURNED = np.array([0, 2, 1])  # a pair turned round is come to from the other side


def _of_two_classes(pair: Unit) -> bool:
    return pair.first_class != pair.second_class


def _by_parents(asked: Sequence[Unit], units: Sequence[Unit], n_classes: int) -> tuple[Ints, Ints, Ints]:
    """The pairs there are as int64 [P] numbers of their class pairs, and the position among them of every unit asked
    about, [A], and to be labelled, [n]. Units of unknown parents share one pair of their classes, nobody's."""
    places: dict[tuple[int, object], int] = {}

    def placed(some: Sequence[Unit], keys: list[object]) -> Ints:
        codes = _class_pair(some, n_classes).tolist()
        found = [places.setdefault(pair, len(places)) for pair in zip(codes, keys, strict=True)]
        return np.array(found, dtype=np.int64)

    of_asked = placed(asked, [sorted_parents(unit) or unit.key for unit in asked])
    of_units = placed(units, [sorted_parents(unit) for unit in units])
    return np.array([code for code, _ in places], dtype=np.int64), of_asked, of_units


def sorted_parents(unit: Unit) -> tuple[int, ...]:
    """The two parents, lower first; empty where they are not known."""
    return tuple(sorted(unit.parents or ()))


def _over_sides(offsets: Floats, groups: Ints, sides: Ints, n: int) -> tuple[Floats, Floats]:
    """Of each of n groups the mean over sides of the mean within each, and how many equal answers it is worth."""
    n_sides = len(_TURNED)
    cells = Numbers.of(offsets, groups * n_sides + sides, n * n_sides)
    sizes, means = cells.sizes.reshape(n, n_sides), cells.means.reshape(n, n_sides)
    there = sizes > 0
    k = there.sum(axis=1)
    inverse = np.where(there, 1 / np.maximum(sizes, 1), 0.0).sum(axis=1)
    return (means * there).sum(axis=1) / np.maximum(k, 1), np.where(
        k > 0, k**2 / np.where(k > 0, inverse, 1), 0.0
    )


POLICIES = (
    LabelPolicy(
        "population_curve", 1, LAMBDA_ANSWERS,
        "g(λ): the mean perceived λ at this λ over all images, never falling with λ, straight between the λ that were "
        "shown; the image itself is of no account.",
        "share judged", _population_curve,
    ),
    LabelPolicy(
        "class_pair_curve", 1, LAMBDA_ANSWERS,
        "g(λ) and what images of the same two classes have beside it at the same λ, drawn to g(λ) the more the fewer "
        "answered; which class comes first is of no account.",
        "share judged", _class_pair_curve,
    ),
    LabelPolicy(
        "perceived_midpoint", 1, MIDPOINTS,
        "λ on a curve through (0, 0), (m, ½) and (1, 1), m the perceived midpoint of the pair, averaged within start "
        "side and then over sides and drawn to that of its class pair and of all pairs the more the fewer answered.",
        "share judged", _perceived_midpoint, about="pair",
    ),
)  # fmt: skip
