"""Many simulated people at once: what `Observer` is for one person and one look, here for whole designs as arrays.

It is for carrying a design out hundreds of times. `calibrate` puts an effect of a stated size into what people see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilmix.core.observers import NEAR_EVEN, Population, beta_parameter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Standard normal numbers, and how much each of them weighs in a mean over all.
NORMAL = np.linspace(-5, 5, 201)
DENSITY = np.exp(-(NORMAL**2) / 2) / np.exp(-(NORMAL**2) / 2).sum()


@dataclass(frozen=True)
class Crowd:
    """People of a population; arrays [n] of what `Observer` has of one."""

    population: Population
    bias: Floats
    noise: Floats
    lapse: Floats
    cannot_tell: Floats
    confidence: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, n: int, population: Population) -> Crowd:
        """Draw `n` people."""
        return cls(
            population,
            bias=rng.normal(0, population.person_bias_sd, n),
            noise=population.noise_sd * rng.lognormal(0, population.noise_spread, n),
            lapse=rng.beta(1, beta_parameter(population.lapse), n),
            cannot_tell=rng.beta(1, beta_parameter(population.cannot_tell), n),
            confidence=np.clip(rng.normal(population.confidence, population.confidence_sd, n), 0.1, 0.9),
        )

    def answers(
        self, person: Ints, evidence: Floats, rng: np.random.Generator, more_confident: Floats | float = 0.0
    ) -> tuple[Floats, Floats]:
        """Perceived shares and confidences (0–1) of looks [N], both NaN where the person cannot tell.

        Args:
            person: whose look it is, a position in the crowd.
            evidence: for the first image, on the logit scale, the image's effect included.
            more_confident: added to each confidence before it is cut to 0–1.
        """
        n = len(person)
        looked = _share(evidence + self.bias[person] + self.noise[person] * rng.normal(size=n))
        value = np.where(rng.uniform(size=n) < self.lapse[person], rng.uniform(size=n), looked)
        of, noise = self.population, rng.normal(size=n)
        confidence = self.confidence[person] + of.confidence_slope * 2 * np.abs(value - 0.5)
        confidence = np.clip(confidence + of.confidence_noise_sd * noise + more_confident, 0, 1)
        undecided = (np.abs(value - 0.5) < NEAR_EVEN) & (rng.uniform(size=n) < self.cannot_tell[person])
        said = np.round(100 * np.stack([value, confidence])) / 100
        said[:, undecided] = np.nan
        return said[0], said[1]

    def midpoints(
        self, person: Ints, evidence: Floats, lambdas: Sequence[float], rng: np.random.Generator
    ) -> Floats:
        """At which of `lambdas` each person [N] sees as much of one image of a pair as of the other."""
        n = len(person)
        leaning = evidence + self.bias[person] + self.noise[person] * rng.normal(size=n)
        grid = np.array(lambdas, dtype=np.float64)
        anywhere = grid[rng.integers(len(grid), size=n)]
        seen = grid[_nearest(self.population, lambdas, leaning)]
        return np.where(rng.uniform(size=n) < self.lapse[person], anywhere, seen)


def calibrate(
    population: Population, effects: Floats, target: float, midpoints_of: Sequence[float] = ()
) -> tuple[float, float]:
    """The evidence with which people see `target` (0–1) on average, in the images whose `effects` [n] are given.

    Args:
        midpoints_of: for pairs, the λ that are shown; then 1 less the midpoint is to be `target` on average.

    Returns the evidence, and the mean that it gives: other than `target` only where lapses keep people from reaching
    it.
    """
    low, high = -9.0, 9.0
    for _step in range(40):
        middle = (low + high) / 2
        mean = expected_share(population, effects + middle, midpoints_of)
        low, high = (middle, high) if mean < target else (low, middle)
    return middle, mean


def expected_share(population: Population, evidence: Floats, midpoints_of: Sequence[float] = ()) -> float:
    """The mean of what a population answers to looks at images with this `evidence` [n], without "I cannot tell"."""
    total, said = _expected(population, evidence, midpoints_of)
    return float(total.sum() / said.sum())


def expected_shares(population: Population, evidence: Floats, midpoints_of: Sequence[float] = ()) -> Floats:
    """The same of each image by itself [n]."""
    total, said = _expected(population, evidence, midpoints_of)
    return total / said


def _expected(
    population: Population, evidence: Floats, midpoints_of: Sequence[float]
) -> tuple[Floats, Floats]:
    """Sum of the shares said and how much is said at all, of one look at each image [n]."""
    noise = population.noise_sd * math.exp(population.noise_spread**2)  # root mean square over people
    leaning = evidence[:, None] + math.hypot(population.person_bias_sd, noise) * NORMAL
    lapse = population.lapse
    if midpoints_of:
        grid = np.array(midpoints_of, dtype=np.float64)
        seen = 1 - grid[_nearest(population, midpoints_of, leaning)]
        return (1 - lapse) * (seen @ DENSITY) + lapse * (1 - grid.mean()), np.ones(len(evidence))
    shares = _share(leaning)
    said = 1 - population.cannot_tell * (np.abs(shares - 0.5) < NEAR_EVEN)
    lapsed = lapse * (1 - population.cannot_tell * 2 * NEAR_EVEN)  # they answer anywhere
    return (
        (1 - lapse) * ((shares * said) @ DENSITY) + lapsed * 0.5,
        (1 - lapse) * (said @ DENSITY) + lapsed,
    )


def _share(evidence: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-evidence)))


def _nearest(population: Population, lambdas: Sequence[float], leaning: Floats) -> Ints:
    """Which of `lambdas` has the evidence that is nearest to making up for `leaning` (as Observer.midpoint)."""
    evidence = np.array([population.evidence(value) for value in lambdas])
    order = np.argsort(evidence, kind="stable")
    edges = (evidence[order][1:] + evidence[order][:-1]) / 2
    return np.asarray(order[np.searchsorted(edges, -leaning)])
