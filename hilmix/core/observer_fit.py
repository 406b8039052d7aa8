"""Observers like the people of a study: `fit_population` estimates whom to draw them from out of what people said.

On the logit scale an answer is taken as the curve at λ + person + image + noise, all normal, or as a lapse anywhere on
the scale. Everything is fitted to moments, so that observers do on average what people did: the curve to the median at
each λ, the whole spread and the lapses to the variance of the answers and to how many are on the wrong side, and what
people and images have of the spread to how alike the answers of one person, and those to one image, are. Likelihood
would ask more of the form of the distribution than people give: H-Mix has far too many answers of 0, 50 and 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hilmix.core.crowds import DENSITY, NORMAL
from hilmix.core.errors import DataError
from hilmix.core.judgements import CannotTell, ClassMass, PerceivedLambda, PerceivedMidpoint, Unit
from hilmix.core.observers import H_MIX, NEAR_EVEN, Population
from hilmix.core.release_answers import HALF_E4, perceived_share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST = 30  # answers from which a population is fitted
UNDECIDED = (0.5 - NEAR_EVEN, 0.5 + NEAR_EVEN)  # where "I cannot tell" may be said instead of a share
UNNAMED = 0.975  # share of a class where no second one was named: that has less than a twentieth (Observer.class_mass)
MOST_LAPSES = 0.3
USUAL = 200  # answers that the lapses of H-Mix weigh: lapses are so rare that few answers say little of them
FAR = 0.755  # beyond this share, on the wrong side of an uneven mix, hardly anybody answers who has looked

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_TABLE = np.arange(-8, 8.0005, 0.001)
_ANYWHERE = (np.arange(101) + 0.5) / 101
_CDF = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in _TABLE])


@dataclass(frozen=True)
class _Given:
    """The first answers as arrays of one length: shares and confidences (0–1, NaN where none was said)."""

    person: Ints
    unit: Ints
    lambda_e4: Ints
    share: Floats
    confidence: Floats


@dataclass(frozen=True)
class _Spread:
    """What the answers at each λ say, whoever gave them: logit of the median, whole spread, share of lapses."""

    lambdas_e4: Ints
    curve: Floats
    sd: float
    lapse: float


def fit_population(units: Sequence[Unit]) -> Population:
    """The population that the people who answered `units` are likely to be of; for every kind of judgement.

    How much people differ in their noise is not estimated; nor are confidences where none was asked, image effects
    where nobody shares an image with anybody, and the curve where nothing was shown: there it is as in H-Mix.

    Raises:
        DataError: fewer than 30 answers.
    """
    given = _read(units)
    told = ~np.isnan(given.share)
    if told.sum() < FEWEST:
        raise DataError(f"{int(told.sum())} answers are too few to fit observers on: at least {FEWEST}.")
    undecided = _undecided(given, told)
    spread = _fit_spread(given, told, undecided)
    images, people = _alike(given, told, spread)
    image_sd = H_MIX.image_effect_sd if images is None else _solve(spread, images, _between_images)
    person_sd = H_MIX.person_bias_sd if people is None else _solve(spread, people, _between_people)
    noise = math.sqrt(max(spread.sd**2 - image_sd**2 - person_sd**2, 0.01 * spread.sd**2))
    shown, seen = _curve(spread)
    return replace(
        H_MIX,
        shown=shown,
        seen=seen,
        image_effect_sd=image_sd,
        person_bias_sd=person_sd,
        noise_sd=noise / math.exp(H_MIX.noise_spread**2),
        lapse=spread.lapse,
        cannot_tell=undecided,
        **_fit_confidence(given, told),
    )


def _read(units: Sequence[Unit]) -> _Given:
    people: dict[str, int] = {}
    rows = []
    for number, unit in enumerate(units):
        seen: set[str] = set()
        for answer in unit.answers:
            said = answer.judgement
            if answer.repeat or answer.participant in seen or unit.lambda_e4 in (0, 10_000):
                continue
            seen.add(answer.participant)
            lambda_e4, share = unit.lambda_e4, perceived_share(said, unit.first_class, unit.second_class)
            if isinstance(
                said, PerceivedMidpoint
            ):  # which image it was tells how the person leans in an even mix
                lambda_e4, share = HALF_E4, 1 / (1 + math.exp(H_MIX.evidence(said.value)))
            if share is None and not isinstance(said, CannotTell):
                continue
            if isinstance(said, ClassMass) and share in (0, 1):
                share = UNNAMED if share else 1 - UNNAMED
            confidence = said.confidence if isinstance(said, PerceivedLambda) else None
            person = people.setdefault(answer.participant, len(people))
            rows.append((person, number, lambda_e4, _or_nan(share), _or_nan(confidence)))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    whole = columns[:3].astype(np.int64)
    return _Given(whole[0], whole[1], whole[2], share=columns[3], confidence=columns[4])


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


# --- the curve, the whole spread, lapses ---


@dataclass(frozen=True)
class _Moments:
    """At each λ [L] how many answers and their median; of all, the variance and the share far on the wrong side."""

    lambdas_e4: Ints
    n: Ints
    medians: Floats
    variance: float
    reversed: float | None


def _fit_spread(given: _Given, told: npt.NDArray[np.bool_], undecided: float) -> _Spread:
    """Spread and lapses together: more of either widens the answers, and lapses put more of them on the wrong side."""
    moments = _moments(given, told)
    if moments.reversed is None:
        return _spread_with(moments, H_MIX.lapse, undecided)
    n = int(moments.n[moments.lambdas_e4 != HALF_E4].sum())
    usual = _reversed(_spread_with(moments, H_MIX.lapse, undecided), moments)
    wanted = (n * moments.reversed + USUAL * usual) / (n + USUAL)
    low, high = 0.0, MOST_LAPSES
    for _step in range(20):
        lapse = (low + high) / 2
        spread = _spread_with(moments, lapse, undecided)
        low, high = (lapse, high) if _reversed(spread, moments) < wanted else (low, lapse)
    return spread


def _moments(given: _Given, told: npt.NDArray[np.bool_]) -> _Moments:
    lambdas, index, n = np.unique(given.lambda_e4, return_inverse=True, return_counts=True)
    share = np.where(told, given.share, 0.5)
    medians = np.array([_median(share[index == place]) for place in range(len(lambdas))])
    means = np.bincount(index, share) / n
    uneven = given.lambda_e4 != HALF_E4
    wrong = np.where(given.lambda_e4 > HALF_E4, share < 1 - FAR, share > FAR)
    return _Moments(
        lambdas,
        n,
        np.clip(medians, 0.005, 0.995),
        variance=float(np.mean((share - means[index]) ** 2)),
        reversed=float(wrong[uneven].mean()) if uneven.any() else None,
    )


def _median(share: Floats) -> float:
    """The median of shares that were said in whole percents, between which it is interpolated."""
    counts = np.bincount(np.round(100 * share).astype(np.int64), minlength=101)
    below = np.concatenate([[0], np.cumsum(counts)]) / len(share)
    place = int(np.searchsorted(below, 0.5, side="left")) - 1
    return (place - 0.5 + (0.5 - below[place]) / (below[place + 1] - below[place])) / 100


def _spread_with(moments: _Moments, lapse: float, undecided: float) -> _Spread:
    """The spread that gives the variance of the answers with this share of lapses: bisection."""
    low, high = 0.05, 8.0
    for _step in range(30):
        sd = math.sqrt(low * high)
        spread = _Spread(moments.lambdas_e4, _curve_of(moments, sd, lapse), sd, lapse)
        low, high = (sd, high) if _variance(spread, moments, undecided) < moments.variance else (low, sd)
    return spread


def _curve_of(moments: _Moments, sd: float, lapse: float) -> Floats:
    """The logits of which the medians are the medians, some of the answers being lapses."""
    at = np.log(moments.medians / (1 - moments.medians))
    return at - sd * np.interp((0.5 - lapse * moments.medians) / (1 - lapse), _CDF, _TABLE)


def _variance(spread: _Spread, moments: _Moments, undecided: float) -> float:
    """Expected variance of the answers at a λ, "I cannot tell" taken as one half; mean over the answers."""
    looked = 1 / (1 + np.exp(-(spread.curve[:, None] + spread.sd * NORMAL)))
    shares = np.hstack([looked, np.broadcast_to(_ANYWHERE, (len(looked), len(_ANYWHERE)))])
    weights = np.append((1 - spread.lapse) * DENSITY, np.full(len(_ANYWHERE), spread.lapse / len(_ANYWHERE)))
    near = (shares > UNDECIDED[0]) & (shares < UNDECIDED[1])
    said = np.where(near, (1 - undecided) * shares + undecided * 0.5, shares)
    squares = np.where(near, (1 - undecided) * shares**2 + undecided * 0.25, shares**2)
    return float(np.average(squares @ weights - (said @ weights) ** 2, weights=moments.n))


def _reversed(spread: _Spread, moments: _Moments) -> float:
    """Expected share of answers far on the wrong side, at the λ other than one half."""
    side = np.sign(spread.lambdas_e4 - HALF_E4)
    far = math.log(FAR / (1 - FAR))
    wrong = np.interp(-(side * spread.curve + far) / spread.sd, _TABLE, _CDF)
    uneven = side != 0
    share = (1 - spread.lapse) * wrong[uneven] + spread.lapse * (1 - FAR)
    return float(np.average(share, weights=moments.n[uneven]))


def _curve(spread: _Spread) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """λ and median share seen there: as fitted, and as in H-Mix beyond the λ that were shown; never falling."""
    shown = spread.lambdas_e4 / 10_000
    points = dict(zip(shown.tolist(), (1 / (1 + np.exp(-spread.curve))).tolist(), strict=True))
    for share, seen in zip(H_MIX.shown, H_MIX.seen, strict=True):
        if share < shown.min() or share > shown.max():
            points[share] = seen
    at = sorted(points)
    rising = np.maximum.accumulate(np.clip([points[share] for share in at], 0.005, 0.995))
    return tuple(at), tuple(float(value) for value in rising)


# --- what people and images have of the spread ---


def _alike(given: _Given, told: npt.NDArray[np.bool_], spread: _Spread) -> tuple[float | None, float | None]:
    """Mean product of the deviations from the mean at λ, of two answers to one image, and of two by one person."""
    share, lambda_e4 = given.share[told], given.lambda_e4[told]
    index = np.searchsorted(spread.lambdas_e4, lambda_e4)
    means = np.bincount(index, share, len(spread.lambdas_e4)) / np.maximum(np.bincount(index), 1)
    deviation = share - means[index]
    return _product(deviation, given.unit[told]), _product(deviation, given.person[told])


def _product(deviation: Floats, group: Ints) -> float | None:
    """Mean product over all pairs within a group; None where no group has two."""
    n, total, squares = np.bincount(group), np.bincount(group, deviation), np.bincount(group, deviation**2)
    pairs = np.sum(n * (n - 1))
    return float(np.sum(total**2 - squares) / pairs) if pairs else None


def _means(spread: _Spread, part: float) -> Floats:
    """Expected share at each λ [L, nodes] for each value of a part of the spread with standard deviation `part`."""
    rest = math.sqrt(max(spread.sd**2 - part**2, 0))
    at = spread.curve[:, None, None] + part * _NODES[None, :, None] + rest * _NODES[None, None, :]
    return (1 - spread.lapse) * (1 / (1 + np.exp(-at))) @ _WEIGHTS


def _between_images(means: Floats) -> float:
    """Variance of the expected share over images, mean over λ: what two answers to one image have in common."""
    centred = means - (means @ _WEIGHTS)[:, None]
    return float(np.mean((centred**2) @ _WEIGHTS))


def _between_people(means: Floats) -> float:
    """Variance over people of their mean expected share: what two answers of one person have in common."""
    centred = means - (means @ _WEIGHTS)[:, None]
    return float((centred.mean(axis=0) ** 2) @ _WEIGHTS)


def _solve(spread: _Spread, wanted: float, of: Callable[[Floats], float]) -> float:
    """The standard deviation of a part of the spread for which `of` its expected shares is `wanted`: bisection."""
    low, high = 0.0, 0.98 * spread.sd
    for _step in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if of(_means(spread, middle)) < wanted else (low, middle)
    return (low + high) / 2


# --- what is said beside the share ---


def _undecided(given: _Given, told: npt.NDArray[np.bool_]) -> float:
    """Of those who saw about as much of both, the share that said that they cannot tell."""
    low, high = UNDECIDED
    decided = np.count_nonzero((given.share[told] > low) & (given.share[told] < high))
    undecided = np.count_nonzero(~told)
    return undecided / (decided + undecided) if undecided else 0.0


def _fit_confidence(given: _Given, told: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Each person's line from an answer of one half to one of all, with one slope for everybody."""
    asked = told & ~np.isnan(given.confidence)
    if asked.sum() < FEWEST:
        return {}
    confidence, extreme = given.confidence[asked], 2 * np.abs(given.share[asked] - 0.5)
    _, person, n = np.unique(given.person[asked], return_inverse=True, return_counts=True)
    own = (np.bincount(person, confidence) / n, np.bincount(person, extreme) / n)
    x, y = extreme - own[1][person], confidence - own[0][person]
    slope = float(np.sum(x * y) / max(np.sum(x**2), 1e-12))
    base = own[0] - slope * own[1]
    noise = float(np.sum((y - slope * x) ** 2) / max(len(y) - len(n) - 1, 1))
    between = max(float(np.var(base)) - noise * float(np.mean(1 / n)), 0.0)
    return {
        "confidence": float(base.mean()),
        "confidence_sd": math.sqrt(between),
        "confidence_slope": slope,
        "confidence_noise_sd": math.sqrt(noise),
    }
