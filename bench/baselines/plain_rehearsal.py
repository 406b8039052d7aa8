"""Baseline for carrying a design out in memory: one numpy program for one design and one test.

Every unit is answered by `k` people, `per_person` units each; observers as in `core.observers`: leaning, noise,
lapses, "I cannot tell", confidence, whole percents. Then the one-sample t test of people's mean deviation from λ. It
omits: factors and ways of asking, other interfaces and tests, and putting a stated effect in.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from hilmix.core.observers import Population, beta_parameter


def repeat(
    of: Population,
    lambdas: np.ndarray,
    effects: np.ndarray,
    k: int,
    per_person: int,
    rng: np.random.Generator,
) -> float:
    """p of one repetition; `lambdas` [n] and `effects` [n] of the units, n a multiple of `per_person`."""
    unit = np.tile(np.arange(len(lambdas)), k)
    person = np.arange(len(unit)) // per_person
    n_people, n = person[-1] + 1, len(unit)
    bias = rng.normal(0, of.person_bias_sd, n_people)
    noise = of.noise_sd * rng.lognormal(0, of.noise_spread, n_people)
    lapse = rng.beta(1, beta_parameter(of.lapse), n_people)
    cannot_tell = rng.beta(1, beta_parameter(of.cannot_tell), n_people)
    sure = np.clip(rng.normal(of.confidence, of.confidence_sd, n_people), 0.1, 0.9)
    seen = np.interp(lambdas, of.shown, of.seen)
    evidence = (np.log(seen / (1 - seen)) + effects)[unit] + bias[person] + noise[person] * rng.normal(size=n)
    value = 1 / (1 + np.exp(-evidence))
    value = np.where(rng.uniform(size=n) < lapse[person], rng.uniform(size=n), value)
    confidence = sure[person] + of.confidence_slope * 2 * np.abs(value - 0.5)
    confidence = np.clip(confidence + of.confidence_noise_sd * rng.normal(size=n), 0, 1)
    undecided = (np.abs(value - 0.5) < 0.1) & (rng.uniform(size=n) < cannot_tell[person])
    said, confidence = np.round(100 * value) / 100, np.round(100 * confidence) / 100
    told = ~undecided & (lambdas[unit] != 0.5)
    away = (said - lambdas[unit])[told]
    means = np.bincount(person[told], away, n_people) / np.bincount(person[told], minlength=n_people)
    t = means.mean() / (np.std(means, ddof=1) / n_people**0.5)
    return float(2 * special.stdtr(n_people - 1, -abs(t)))
