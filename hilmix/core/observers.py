"""Simulated participants: what a person might answer about a mixed image or a pair, for demonstrations and tests.

The perception is S-shaped, after the published H-Mix infer answers: their median at each λ, with person bias,
an effect of the image, noise, lapses, and a confidence that follows how extreme the answer is (r about .6),
not how right it is. All kinds of judgement come from this one perception. An observer sees nothing but λ, a
seeded generator and the effect passed in, and the indices of the two classes where it is to name classes:
never a label somebody gave, never a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilmix.core.judgements import CannotTell, ClassMass, Distribution, PerceivedLambda, PerceivedMidpoint

NEAR_EVEN = 0.1  # from one half: where “I cannot tell” may be said instead

# An image that is not mixed looks like what it is: it fails to only where the person does not look (a lapse).
UNMIXED_AT_LEAST = 0.95

# How much of the whole the two classes get where others may be named as well; the rest is shared by a few others.
NAMED_AT_LEAST, NAMED_AT_MOST = 0.85, 1.0
OTHERS = 3

# Where a normal distribution is summed up: finely over looks, at a few nodes over how much people's noise differs.
_GRID = np.linspace(-6, 6, 601)
_DENSITY = np.exp(-(_GRID**2) / 2) / np.exp(-(_GRID**2) / 2).sum()
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Population:
    """Whom observers are drawn from. Spreads are on the logit scale; `observer_fit` estimates them from answers.

    `shown` λ (0–1), ascending, and `seen` the median share (0–1) that is seen there; between them it is interpolated ·
    `person_bias_sd`, `image_effect_sd` how much people and images differ · `noise_sd` of one look, and `noise_spread`
    by how much people differ in it (standard deviation of its logarithm) · `lapse`, `cannot_tell` means over people,
    each Beta(1, ·) · `confidence` in an answer of one half, `confidence_sd` over people, `confidence_slope` how much
    it grows up to an answer of all or nothing, `confidence_noise_sd` of one answer.

    The defaults are of H-Mix: the median perceived λ of its infer answers at λ = .1, .25, .5, .75, .9 (.08, .14, .50,
    .83, .92), made symmetric because which image is first is drawn at random here; spreads such that answers at each λ
    spread as the published ones do (standard deviation about .17 to .25) and ICC(1) of the answers less the population
    curve is about .32; confidences with means of about .63 at λ = .5 and .79 at the ends.
    """

    shown: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    seen: tuple[float, ...] = (0.01, 0.08, 0.155, 0.5, 0.845, 0.92, 0.99)
    person_bias_sd: float = 0.25
    image_effect_sd: float = 0.8
    noise_sd: float = 0.9
    noise_spread: float = 0.2
    lapse: float = 0.04
    cannot_tell: float = 0.125
    confidence: float = 0.5
    confidence_sd: float = 0.1
    confidence_slope: float = 0.38
    confidence_noise_sd: float = 0.11

    def evidence(self, lambda_true: float) -> float:
        """The logit of the share that the average person sees in the average image."""
        seen = float(np.interp(lambda_true, self.shown, self.seen))
        return float(np.log(seen / (1 - seen)))

    def expected_share(self, lambda_true: float, image_effect: float = 0.0) -> float:
        """The mean perceived λ (0–1) of those of the population who say one: what a label of the image should be.

        Arguments as `Observer.answer`; whole percents are not rounded to.
        """
        spreads = np.sqrt(self.person_bias_sd**2 + (self.noise_sd * np.exp(self.noise_spread * _NODES)) ** 2)
        evidence = self.evidence(lambda_true) + image_effect + np.outer(spreads, _GRID)
        seen = _unmixed(lambda_true, 1 / (1 + np.exp(-evidence)))
        anywhere = (np.arange(1000) + 0.5) / 1000
        parts = (
            (1 - self.lapse, seen.ravel(), np.outer(_WEIGHTS, _DENSITY).ravel()),
            (self.lapse, anywhere, np.full(len(anywhere), 1 / len(anywhere))),
        )
        told = [
            (value, share * weight * (1 - self.cannot_tell * (np.abs(value - 0.5) < NEAR_EVEN)))
            for share, value, weight in parts
        ]
        return float(sum(value @ weight for value, weight in told) / sum(weight.sum() for _, weight in told))


H_MIX = Population()


def draw_image_effect(rng: np.random.Generator, population: Population = H_MIX) -> float:
    """Draw how one mixed image differs from the average image of its λ, on the logit scale; the same for
    everybody."""
    return float(rng.normal(0, population.image_effect_sd))


def beta_parameter(mean: float) -> float:
    """b of the Beta(1, b) with this mean (0–1): most people are near 0, a few far from it."""
    return 1 / max(mean, 1e-9) - 1


@dataclass(frozen=True)
class Observer:
    """One simulated person.

    `bias` logit-scale leaning to the first image · `noise` logit-scale standard deviation of each look ·
    `lapse` probability of an answer anywhere on the slider · `cannot_tell` probability of saying so in front
    of an even mix · `confidence` confidence (0–1) in an answer of one half · `population` whom they were drawn from.
    """

    bias: float
    noise: float
    lapse: float
    cannot_tell: float
    confidence: float
    population: Population = H_MIX

    @classmethod
    def draw(cls, rng: np.random.Generator, population: Population = H_MIX) -> Observer:
        """Draw a person from the population; the same generator state gives the same person."""
        return cls(
            bias=float(rng.normal(0, population.person_bias_sd)),
            noise=float(population.noise_sd * rng.lognormal(0, population.noise_spread)),
            lapse=float(rng.beta(1, beta_parameter(population.lapse))),
            cannot_tell=float(rng.beta(1, beta_parameter(population.cannot_tell))),
            confidence=float(np.clip(rng.normal(population.confidence, population.confidence_sd), 0.1, 0.9)),
            population=population,
        )

    def answer(
        self, lambda_true: float, rng: np.random.Generator, image_effect: float = 0.0
    ) -> PerceivedLambda | CannotTell:
        """Answer one look at a mixed image.

        Args:
            lambda_true: the first image's share, 0–1.
            rng: the only source of chance; every call draws the same number of values from it.
            image_effect: what `draw_image_effect` gave for this image (logit scale).

        Returns a perceived λ and a confidence in whole percents / 100, or `CannotTell`.
        """
        value, undecided, confidence_noise = self._look(lambda_true, rng, image_effect)
        if abs(value - 0.5) < NEAR_EVEN and undecided < self.cannot_tell:
            return CannotTell()
        of = self.population
        confidence = (
            self.confidence
            + of.confidence_slope * 2 * abs(value - 0.5)
            + of.confidence_noise_sd * confidence_noise
        )
        return PerceivedLambda(_whole_percent(value), _whole_percent(confidence))

    def midpoint(
        self, lambdas: Sequence[float], rng: np.random.Generator, image_effect: float = 0.0
    ) -> PerceivedMidpoint:
        """Say at which of `lambdas` (0–1) the person sees as much of one image of a pair as of the other.

        All images of the pair share one look, so that a person leans the same way in all of them. Arguments
        otherwise as `answer`; the value is one of `lambdas`.
        """
        noise, anywhere, lapse = rng.normal(), rng.uniform(), rng.uniform()
        if lapse < self.lapse:
            return PerceivedMidpoint(lambdas[int(anywhere * len(lambdas))])
        leaning = self.bias + image_effect + self.noise * noise
        return PerceivedMidpoint(
            min(lambdas, key=lambda share: abs(self.population.evidence(share) + leaning))
        )

    def class_mass(
        self,
        lambda_true: float,
        first_class: int,
        second_class: int,
        n_classes: int,
        rng: np.random.Generator,
        image_effect: float = 0.0,
    ) -> ClassMass:
        """Name the most probable class, a second one if it gets 5 percent or more, and classes it is not.

        Arguments otherwise as `answer`; the classes are indices below `n_classes`.
        """
        parents = first_class, second_class
        shares, named, others = self._look_at_classes(lambda_true, parents, n_classes, rng, image_effect)
        (top, share), *rest = sorted(shares.items(), key=lambda item: -item[1])
        mass = [(top, _whole_percent(share * named))]
        # Rounded down, so that the two never come to more than the whole.
        mass += [(index, int(100 * part * named) / 100) for index, part in rest if part * named >= 0.05]
        return ClassMass(tuple(mass), frozenset(others))

    def distribution(
        self,
        lambda_true: float,
        first_class: int,
        second_class: int,
        n_classes: int,
        rng: np.random.Generator,
        image_effect: float = 0.0,
    ) -> Distribution:
        """Share the whole out over the classes: most to the two that were mixed, the rest to a few others.

        Arguments as `class_mass`. The probabilities sum to 1.
        """
        parents = first_class, second_class
        shares, named, others = self._look_at_classes(lambda_true, parents, n_classes, rng, image_effect)
        p = np.zeros(n_classes)
        for index, share in shares.items():
            p[index] = share * (named if others else 1.0)
        p[others] = (1 - named) / max(len(others), 1)
        return Distribution(tuple(float(share) for share in p / p.sum()))

    def _look_at_classes(
        self,
        lambda_true: float,
        parents: tuple[int, int],
        n_classes: int,
        rng: np.random.Generator,
        image_effect: float,
    ) -> tuple[dict[int, float], float, list[int]]:
        """One look: the share seen of each parent's class, what these have of the whole, and other classes."""
        value, _undecided, _noise = self._look(lambda_true, rng, image_effect)
        named = rng.uniform(NAMED_AT_LEAST, NAMED_AT_MOST)
        return _shares(*parents, value), named, _others(rng, n_classes, set(parents))

    def _look(
        self, lambda_true: float, rng: np.random.Generator, image_effect: float
    ) -> tuple[float, float, float]:
        """One look: the share of the first image that is seen (0–1), and two values of chance for what is said."""
        noise, anywhere, lapse, undecided, confidence_noise = (
            rng.normal(), rng.uniform(), rng.uniform(), rng.uniform(), rng.normal()
        )  # fmt: skip
        if lapse < self.lapse:
            return anywhere, undecided, confidence_noise
        evidence = self.population.evidence(lambda_true) + self.bias + image_effect + self.noise * noise
        value = float(_unmixed(lambda_true, 1 / (1 + np.exp(-evidence))))
        return value, undecided, confidence_noise


def _unmixed(lambda_true: float, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The share seen, held where the image is not mixed."""
    low, high = (
        UNMIXED_AT_LEAST if lambda_true == 1 else 0.0,
        1 - UNMIXED_AT_LEAST if lambda_true == 0 else 1.0,
    )
    return np.clip(np.asarray(value, dtype=np.float64), low, high)


def _shares(first_class: int, second_class: int, value: float) -> dict[int, float]:
    """Class index → share seen; one class alone where both images are of it."""
    return (
        {first_class: 1.0} if first_class == second_class else {first_class: value, second_class: 1 - value}
    )


def _others(rng: np.random.Generator, n_classes: int, named: set[int]) -> list[int]:
    """Up to `OTHERS` classes that were not named, drawn at random."""
    others = [index for index in range(n_classes) if index not in named]
    return sorted(int(index) for index in rng.permutation(others)[:OTHERS])


def _whole_percent(value: float) -> float:
    return round(100 * min(1.0, max(0.0, float(value)))) / 100
