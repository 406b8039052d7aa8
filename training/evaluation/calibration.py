"""Whether confidence is what it says it is: errors over bins, with what chance alone would show and what is known.

All of it is computed from a confidence and an outcome an image: for the top class, max p̂ and whether it is right (Guo
et al., ICML 2017); against people, max p̂ and the share q(ŷ) who said the same. A bin's gap is Σ (outcome −
confidence), and the three errors are norms of the gaps: ECE (ℓ1), RMS (ℓ2), MCE (the largest).

**The interval.** The gaps are the true gaps μ plus noise, and a norm obeys the triangle inequality. So the error T lies
within ‖noise‖ above the true error θ = ‖μ‖, and above θ + (noise along μ), whatever μ is:

    T − (quantile of ‖noise‖)  ≤  θ  ≤  T + z·(largest deviation of the noise in one direction).

The percentile bootstrap fails here, as it resamples an error that chance has raised already; Sun et al. (arXiv
2408.08998) treat the ℓ2 case. `tests/training/test_calibration_intervals.py` measures the coverage of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation.metrics import Floats, Labels, check_labels, check_probabilities, sums_by_group
from training.evaluation.values import Interval, Value

N_BINS = 15
A_BIN = 100  # images in a bin of `by_hundreds`
THIN = 20  # a bin of fewer images says little: drawn hollow
DRAWS = 500
LEVEL = 0.95
_AT_ONCE = 4_000_000
ECE, RMS, MCE = 1.0, 2.0, np.inf  # the norms
_quantile = NormalDist().inv_cdf


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: confidences in (low, high], the first bin closed at 0.

    `accuracy` and `confidence` are means over the bin's `n` images, or None where it is empty.
    """

    low: float
    high: float
    n: int
    accuracy: float | None
    confidence: float | None


@dataclass(frozen=True)
class CurvePoint(ReliabilityBin):
    """A bin with its consistency band: where the accuracy of a calibrated model would be in `LEVEL` of all draws
    (Bröcker & Smith, Weather and Forecasting 2007), None where the bin is empty. `thin`: fewer than `THIN` images."""

    band: Interval | None
    thin: bool


# -- bins: the number of each image's bin


def equal_width(confidence: Floats, n_bins: int = N_BINS) -> Labels:
    """Bins (low, high] of equal width from 0 to 1; exactly 0 is in the first, exactly 1 in the last."""
    edges = np.arange(1, n_bins) / n_bins
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def equal_mass(confidence: Floats, n_bins: int = N_BINS) -> Labels:
    """Adaptive bins: confidences in rising, stable order, split into `n_bins` as equal as can be."""
    sizes = [len(part) for part in np.array_split(np.empty(len(confidence)), n_bins)]
    return _in_order(confidence, np.repeat(np.arange(n_bins), sizes))


def by_hundreds(confidence: Floats, size: int = A_BIN) -> Labels:
    """Bins of `size` images in rising, stable order of confidence, the last of which takes the remainder."""
    return _in_order(
        confidence, np.minimum(np.arange(len(confidence)) // size, max(len(confidence) // size - 1, 0))
    )


def _in_order(confidence: Floats, numbers: Labels) -> Labels:
    which = np.empty(len(confidence), np.int64)
    which[np.argsort(confidence, kind="stable")] = numbers
    return which


# -- errors


def top_class(probabilities: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Confidence max p̂ and outcome [ŷ = y] of each image, float64 [N] both; a tie goes to the lowest class number."""
    check_probabilities(probabilities)
    check_labels(labels, probabilities)
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == labels).astype(np.float64)


def ece(probabilities: Floats, labels: Labels, n_bins: int = N_BINS) -> float:
    """Expected calibration error Σ_b (n_b/N) |accuracy_b − confidence_b|: top label, bins of equal width."""
    confidence, outcome = top_class(probabilities, labels)
    return error(confidence, outcome, equal_width(confidence, n_bins), ECE)


def ece_floor(probabilities: Floats, n_bins: int = N_BINS, draws: int = 200, seed: int = 0) -> float:
    """What the ECE of a *perfectly calibrated* model with these confidences would be, by chance alone.

    An ECE near this floor is no evidence of miscalibration; the floor falls as the number of images grows.
    """
    check_probabilities(probabilities)
    confidence = probabilities.max(axis=1)
    return floor(confidence, equal_width(confidence, n_bins), ECE, draws, seed)


def rms_equal_mass_100(
    probabilities: Floats, labels: Labels, size: int = A_BIN, *, pixmix_compat: bool = False
) -> float:
    """√(Σ_b (n_b/N)(accuracy_b − confidence_b)²) over bins of `size` images by rising confidence (`by_hundreds`).

    `pixmix_compat` does what the published PixMix code does: its loop never comes to the last bin, the most confident
    one, while N counts all images. So it returns 0 where there is one bin, and fails, here as `DataError`, where
    there are fewer images than one bin holds.
    """
    confidence, outcome = top_class(probabilities, labels)
    which = by_hundreds(confidence, size)
    if not pixmix_compat:
        return error(confidence, outcome, which, RMS)
    if len(confidence) < size:
        raise DataError(
            f"The published PixMix code fails on {len(confidence)} images with {size} a bin: take smaller bins, or "
            "the corrected form."
        )
    gaps, sizes = _gaps(outcome - confidence, which), np.bincount(which)
    return float(np.sqrt((gaps[0, :-1] ** 2 / sizes[:-1]).sum() / len(confidence)))


def error(confidence: Floats, outcome: Floats, which: Labels, power: float) -> float:
    """The norm `power` (`ECE`, `RMS` or `MCE`) of the gaps of the bins `which`."""
    return float(_norm(_gaps(outcome - confidence, which), np.bincount(which), power)[0])


def floor(confidence: Floats, which: Labels, power: float, draws: int = DRAWS, seed: int = 0) -> float:
    """Mean error where each outcome is 1 with probability equal to its confidence (consistency resampling)."""
    rng = np.random.default_rng(seed)
    sizes, found = np.bincount(which), []
    at_once = max(1, _AT_ONCE // len(confidence))
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        right = rng.random((rows, len(confidence))) < confidence
        found.append(_norm(_gaps(right - confidence, which), sizes, power))
    return float(np.concatenate(found).mean())


def calibration_error(
    confidence: Floats, outcome: Floats, which: Labels, power: float, seed: int = 0
) -> Value:
    """An error with its floor, debiased value and 95 % interval.

    Args:
        confidence, outcome: float64 [N] in [0, 1]; an outcome may be a share of people.
        which: each image's bin; bins that hold none do not count.
        power: `ECE`, `RMS` or `MCE`.

    The debiased value takes from the error what its noise adds to it: for RMS exactly, in its square (Bröcker 2012;
    Kumar et al., NeurIPS 2019); for ECE and MCE by the mean of a normal redraw around the gaps seen (Kumar et al.).
    It is never below 0, and no longer an error that was seen.
    """
    which = np.unique(which, return_inverse=True)[1]
    sizes, gaps = np.bincount(which), _gaps(outcome - confidence, which)
    found = float(_norm(gaps, sizes, power)[0])
    variances = _variances(outcome, which, sizes)
    noise = _noise(variances, seed)
    return Value(
        found,
        len(confidence),
        _interval(found, _norm(noise, sizes, power), gaps, sizes, variances, power),
        debiased=debiased(outcome - confidence, which, variances, power, seed),
        floor=floor(confidence, which, power, seed=seed),
    )


def debiased(residuals: Floats, which: Labels, variances: Floats, power: float, seed: int = 0) -> float:
    """The error of residuals [N] in bins `which`, none empty, less what noise of `variances` [B] of their sums adds."""
    sizes, gaps = np.bincount(which), _gaps(residuals, which)
    found = float(_norm(gaps, sizes, power)[0])
    if power == RMS:
        return float(np.sqrt(max(found**2 - (variances / sizes).sum() / len(residuals), 0.0)))
    return max(2 * found - float(_norm(gaps + _noise(variances, seed), sizes, power).mean()), 0.0)


def _noise(variances: Floats, seed: int) -> Floats:
    """Normal noise of the bins' sums: [4·DRAWS, B]."""
    return np.random.default_rng(seed).normal(size=(4 * DRAWS, len(variances))) * np.sqrt(variances)


def _interval(
    found: float, noise: Floats, gaps: Floats, sizes: Labels, variances: Floats, power: float
) -> Interval:
    """Ends of the interval of the module's head; `noise` are norms of noise alone, [draws].

    ECE: as the true error is at least |Σ true gaps|, the gap of all images bounds it from below too; each of the two
    bounds takes half of the lower error. RMS: T² = θ² + 2θ·(noise along μ) + ‖noise‖² is solved for θ at quantiles
    of both, which is narrower than the inequality.
    """
    tail = (1 - LEVEL) / 2
    n = sizes.sum()
    if power == RMS:
        along = _quantile(1 - tail / 2) * np.sqrt((variances / sizes).max() / n)
        low, high = np.quantile(noise, [tail / 2, 1 - tail / 2]) ** 2
        lower = np.sqrt(max(along**2 + found**2 - high, 0.0)) - along
        upper = np.sqrt(max(along**2 + found**2 - low, 0.0)) + along
    elif power == ECE:
        of_all = np.sqrt(variances.sum()) / n
        lower = max(
            found - np.quantile(noise, 1 - tail / 2), abs(gaps.sum()) / n - _quantile(1 - tail / 4) * of_all
        )
        upper = found + _quantile(1 - tail) * of_all
    else:
        lower = found - np.quantile(noise, 1 - tail)
        upper = found + _quantile(1 - tail) * (np.sqrt(variances) / sizes).max()
    return max(float(lower), 0.0), min(float(upper), 1.0)


def _gaps(residuals: Floats, which: Labels) -> Floats:
    """Σ of the residuals [N] or [D, N] in each bin: [D, B]."""
    return sums_by_group(np.atleast_2d(residuals), which, int(which.max()) + 1)


def _norm(gaps: Floats, sizes: Labels, power: float) -> Floats:
    """Error of each row of gaps [D, B], a bin counting by its size; empty bins do not count."""
    some = np.maximum(sizes, 1)
    if power == ECE:
        return np.asarray(np.abs(gaps).sum(axis=1) / sizes.sum())
    if power == RMS:
        return np.asarray(np.sqrt((gaps**2 / some).sum(axis=1) / sizes.sum()))
    return np.asarray((np.abs(gaps) / some).max(axis=1))


def _variances(outcome: Floats, which: Labels, sizes: Labels) -> Floats:
    """Variance of each bin's sum of outcomes, n·π(1 − π): the most that outcomes in [0, 1] of that mean can have.

    π is (Σ outcome + 1)/(n + 2), so that a bin in which all are right is not taken for one without noise.
    """
    share = (np.bincount(which, weights=outcome, minlength=len(sizes)) + 1) / (sizes + 2)
    return np.asarray(sizes * share * (1 - share))


# -- all classes, and diagrams


def classwise(
    probabilities: Floats, labels: Labels, *, adaptive: bool = False, draws: int = 200, seed: int = 0
) -> Value:
    """Mean over classes of the ECE of p̂_k against [y = k] (Kull et al., NeurIPS 2019); every image has a p̂_k.

    `adaptive` takes bins of equal mass (Nixon et al., CVPR workshops 2019). The floor is of labels drawn from the
    predictions themselves, the debiased value the error less the floor, not below 0. The interval's noise is that of
    the outcomes, as in `calibration_error`: of a model that is sure and wrong, the predictions know of none.
    """
    check_probabilities(probabilities)
    check_labels(labels, probabilities)
    n, classes = probabilities.shape
    drawn = _drawn_labels(probabilities, draws, seed)
    tail = (1 - LEVEL) / 2
    found, deviation, most, by_chance = 0.0, 0.0, 0.0, 0.0
    for k, p in enumerate(probabilities.T):
        outcome = (labels == k).astype(np.float64)
        which = np.unique(equal_mass(p) if adaptive else equal_width(p), return_inverse=True)[1]
        sizes = np.bincount(which)
        found += error(p, outcome, which, ECE) / classes
        by_chance += float(_norm(_gaps((drawn == k) - p, which), sizes, ECE).mean()) / classes
        # Classes are not independent: deviations and quantiles are added as if they moved together, which is the most.
        variances = _variances(outcome, which, sizes)
        deviation += float(np.sqrt(variances.sum())) / n / classes
        most += float(np.quantile(_norm(_noise(variances, seed), sizes, ECE), 1 - tail)) / classes
    ends = max(found - most, 0.0), min(found + _quantile(1 - tail) * deviation, 1.0)
    return Value(found, n, ends, debiased=max(found - by_chance, 0.0), floor=by_chance)


def _drawn_labels(probabilities: Floats, draws: int, seed: int) -> Labels:
    """Labels drawn from the predictions: int64 [draws, N]."""
    steps = np.cumsum(probabilities, axis=1)[:, :-1]
    uniform = np.random.default_rng(seed).random((draws, len(probabilities)))
    drawn = np.zeros(uniform.shape, np.int64)
    for step in steps.T:
        drawn += uniform >= step
    return drawn


def reliability(probabilities: Floats, labels: Labels, n_bins: int = N_BINS) -> list[ReliabilityBin]:
    """Bins of equal width over the top-label confidence max_k p̂_k, from 0 to 1, empty bins among them."""
    confidence, outcome = top_class(probabilities, labels)
    return [
        ReliabilityBin(point.low, point.high, point.n, point.accuracy, point.confidence)
        for point in curve(confidence, outcome, n_bins, draws=1)
    ]


def curve(
    confidence: Floats, outcome: Floats, n_bins: int = N_BINS, draws: int = DRAWS, seed: int = 0
) -> list[CurvePoint]:
    """A reliability curve over `n_bins` bins of equal width, with consistency bands. Thin bins are marked."""
    which = equal_width(confidence, n_bins)
    rng = np.random.default_rng(seed)
    points = []
    for number in range(n_bins):
        inside = confidence[which == number]
        n = len(inside)
        band = None
        if n:
            at_once = max(1, _AT_ONCE // n)
            shares = np.concatenate(
                [
                    (rng.random((min(at_once, draws - i), n)) < inside).mean(axis=1)
                    for i in range(0, draws, at_once)
                ]
            )
            low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            band = float(low), float(high)
        points.append(
            CurvePoint(
                low=number / n_bins,
                high=(number + 1) / n_bins,
                n=n,
                accuracy=float(outcome[which == number].mean()) if n else None,
                confidence=float(inside.mean()) if n else None,
                band=band,
                thin=n < THIN,
            )
        )
    return points
