"""Simulated participants: what a person might answer to a mixed image, for demonstrations and tests.

The perception is S-shaped, after the published H-Mix infer answers: their median at each λ, with person bias,
an effect of the image, noise, lapses, and a confidence that follows how extreme the answer is (r about .6),
not how right it is. An observer sees nothing but λ, a seeded generator and the effect passed in: never a
label, never a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilmix.core.judgements import CannotTell, PerceivedLambda

# Median perceived λ at λ = .1, .25, .5, .75, .9 in the H-Mix answers (.08, .14, .50, .83, .92), made
# symmetric because which image is first is drawn at random here.
_SHOWN = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_SEEN = (0.01, 0.08, 0.155, 0.5, 0.845, 0.92, 0.99)

# Spreads on the logit scale, chosen so that answers at each λ spread as the published ones do (standard
# deviation about .17 to .25) and ICC(1) of the answers less the population curve is about .32, as published.
PERSON_BIAS_SD = 0.25
IMAGE_EFFECT_SD = 0.8
NOISE_SD = 0.9

# Confidence is base + slope·|answer − ½|·2 plus noise; its means are about .63 at λ = .5 and .79 at
# the ends.
CONFIDENCE_SLOPE = 0.38
CONFIDENCE_NOISE_SD = 0.11


def draw_image_effect(rng: np.random.Generator) -> float:
    """Draw how one mixed image differs from the average image of its λ, on the logit scale; the same for
    everybody."""
    return float(rng.normal(0, IMAGE_EFFECT_SD))


@dataclass(frozen=True)
class Observer:
    """One simulated person.

    `bias` logit-scale leaning to the first image · `noise` logit-scale standard deviation of each look ·
    `lapse` probability of an answer anywhere on the slider · `cannot_tell` probability of saying so in front
    of an even mix · `confidence` confidence (0–1) in an answer of one half.
    """

    bias: float
    noise: float
    lapse: float
    cannot_tell: float
    confidence: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Observer:
        """Draw a person from the population; the same generator state gives the same person."""
        return cls(
            bias=float(rng.normal(0, PERSON_BIAS_SD)),
            noise=float(NOISE_SD * rng.lognormal(0, 0.2)),
            lapse=float(rng.beta(1, 24)),
            cannot_tell=float(rng.beta(1, 7)),
            confidence=float(np.clip(rng.normal(0.5, 0.1), 0.1, 0.9)),
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
        noise, anywhere, lapse, undecided, confidence_noise = (
            rng.normal(), rng.uniform(), rng.uniform(), rng.uniform(), rng.normal()
        )  # fmt: skip
        seen = float(np.interp(lambda_true, _SHOWN, _SEEN))
        evidence = np.log(seen / (1 - seen)) + self.bias + image_effect + self.noise * noise
        value = anywhere if lapse < self.lapse else 1 / (1 + np.exp(-evidence))
        if abs(value - 0.5) < 0.1 and undecided < self.cannot_tell:
            return CannotTell()
        confidence = (
            self.confidence + CONFIDENCE_SLOPE * 2 * abs(value - 0.5) + CONFIDENCE_NOISE_SD * confidence_noise
        )
        return PerceivedLambda(_whole_percent(value), _whole_percent(confidence))


def _whole_percent(value: float) -> float:
    return round(100 * min(1.0, max(0.0, float(value)))) / 100
