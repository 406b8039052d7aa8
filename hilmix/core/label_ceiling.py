"""What a perfect label could reach: how well the answers of people are predicted by what people say on average.

People differ, so no label predicts them all. The perfect label of a mixed image is the mean of what everybody would say
about it; few have been asked, so its losses are estimated from how far people agree, not from their means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilmix.core.held_out import Floats, Given
from hilmix.core.judgements import Unit
from hilmix.core.softlabels.counting import classes_of, lambdas_e4


@dataclass(frozen=True)
class Reachable:
    """The least losses that labels could have at `n` answers, in the terms of `label_scores.Compared`; None where they
    cannot be told: nobody shares an image with anybody."""

    n: int
    squared_error: float | None
    cross_entropy: float | None


@dataclass(frozen=True)
class Ceiling:
    """What is reachable overall and at each λ (in ten-thousandths); overall is the mean over the λ where it is known,
    each counting by its answers."""

    overall: Reachable
    by_lambda: dict[int, Reachable]


def ceiling_of(given: Given, units: Sequence[Unit], n_classes: int) -> Ceiling:
    """Estimate both at each λ, from mixed images that two or more people judged.

    The squared error is the variance of answers to one image, with n − 1 for n people. The cross-entropy is the mean
    entropy of the perfect labels: these are taken as Dirichlet (for two classes, Beta) with the mean of the answers at
    this λ, and as different from each other as images are: the variance of all answers less that within images.
    """
    said = _first_second_others(given, units, n_classes) if given.of_classes else given.said
    of_lambda = lambdas_e4(units)[given.unit]
    by_lambda = {}
    for one in np.unique(of_lambda):
        at = of_lambda == one
        by_lambda[int(one)] = _reachable(said[at], given.unit[at])
    return Ceiling(_overall(list(by_lambda.values())), by_lambda)


def _overall(parts: Sequence[Reachable]) -> Reachable:
    known = [part for part in parts if part.squared_error is not None]
    if not known:
        return Reachable(0, None, None)
    n = [part.n for part in known]
    squared = np.average([part.squared_error for part in known], weights=n)
    return Reachable(
        sum(n), float(squared), float(np.average([part.cross_entropy for part in known], weights=n))
    )


def _reachable(said: Floats, unit: np.ndarray) -> Reachable:
    """Of answers float64 [n, M] at one λ."""
    _, index, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    shared = sizes[index] > 1
    if not shared.any():
        return Reachable(len(said), None, None)
    means = np.stack([np.bincount(index, column) for column in said.T], axis=1) / sizes[:, None]
    squares = np.sum((said - means[index]) ** 2, axis=1)[shared]
    n = sizes[index][shared]
    within = float(np.mean(squares * n / (n - 1)))  # each image's variance, as often as it was judged
    mean = said.mean(axis=0)
    total = float(np.sum((said - mean) ** 2) / (len(said) - 1))
    return Reachable(len(said), within / 2, mean_entropy(mean, max(0.0, total - within)))


def mean_entropy(mean: Floats, variance: float) -> float:
    """The mean entropy (nats) of Dirichlet vectors with this mean float64 [M] and this variance, summed over the M.

    Σ mₖ·(ψ(ν + 1) − ψ(νmₖ + 1)), ν + 1 = (1 − Σ mₖ²) / variance; the entropy of the mean where nothing varies.
    """
    mean = mean[mean > 0]
    most = float(1 - mean @ mean)
    if most <= 1e-12:
        return 0.0
    if variance <= 1e-9 * most:
        return float(-mean @ np.log(mean))
    spread = max(most / variance - 1, 0.0)
    return float(mean @ (digamma(np.array([spread + 1])) - digamma(spread * mean + 1)))


def digamma(x: Floats) -> Floats:
    """ψ(x) for float64 x > 0, to 1e-10: x is raised by the recurrence, then the asymptotic series is taken
    (Abramowitz and Stegun, 6.3.5 and 6.3.18)."""
    below = np.zeros_like(x)
    for _ in range(8):
        below += 1 / x
        x = x + 1
    square = 1 / x**2
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return np.log(x) - 0.5 / x - series - below


def _first_second_others(given: Given, units: Sequence[Unit], n_classes: int) -> Floats:
    """The shares of all classes, that of the first image first and that of the second next."""
    order = np.tile(np.arange(n_classes), (len(units), 1)) + 2
    places = np.arange(len(units))
    first, second = classes_of(units)
    order[places, second] = 1
    order[places, first] = 0
    return np.take_along_axis(given.said, np.argsort(order, axis=1)[given.unit], axis=1)
