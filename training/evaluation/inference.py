"""What may be said of the difference between two arms, and what may not.

Both arms are measured on the same images and trained with the same seeds; the difference is taken seed by seed and
image by image, and its interval is for other images *and* other seeds (`components`). Verdicts are for the planned
contrasts of the primary metric only, after Holm; all else is exploratory. Below `LEAST_SEEDS` there is no verdict and
the interval is for these trained models alone. Choosing an arm is in `choice`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hilmix.core.errors import DataError
from hilmix.figures import number
from training.evaluation.components import Components, Measured, Terms

LEAST_SEEDS = 5
ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 1000  # "more than that" is an answer too

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A mean with the variances it rests on. `these_models`: its interval is for other images but these trained models,
    as there are fewer than `LEAST_SEEDS` seeds."""

    components: Components
    these_models: bool

    @property
    def value(self) -> float:
        return self.components.mean

    @property
    def error(self) -> float:
        """Standard error, in the metric's unit."""
        if self.these_models:
            return math.sqrt(self.components.of_images + self.components.of_people)
        return math.sqrt(self.components.variance())

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error."""
        if not self.these_models:
            return self.components.freedom()
        people = self.components.people_df
        return min(self.components.n_images - 1, people or math.inf)

    def interval(self, alpha: float = ALPHA) -> Interval:
        """value ± t · error, which holds the true value with probability 1 − `alpha`."""
        half = float(stats.t.ppf(1 - alpha / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p of "the true value is 0"."""
        if not self.error:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))


def estimate(measured: Measured, people: Iterable[Measured] | None = None) -> Estimate:
    """The mean of a metric over seeds, or of a difference of two (`a.minus(b)`), with its interval.

    `people` adds the variation of drawing other participants: one item for each bootstrap draw of participants, the
    same metric (or difference) with everything that people said rebuilt from the drawn ones. See `with_people`.
    """
    components = measured.components()
    if people is not None:
        components = with_people(components, people)
    return Estimate(components, these_models=components.n_seeds < LEAST_SEEDS)


def with_people(components: Components, replicates: Iterable[Measured]) -> Components:
    """Add what drawing other participants changes: the estimand is then the mean for other images, seeds and people.

    Each replicate is the same measurement after a bootstrap of *participants* (all answers of a person go together):
    either the label sets [N, K] that models are judged against, or the predictions of models retrained on rebuilt
    training labels. The variance of the replicates' means is added, less what the images already hold: the noise of an
    image's own label, independent of other images', is part of the variance between images (Cameron, Gelbach &
    Miller, Journal of Business & Economic Statistics 29, 2011: variances of two ways, less that of both at once).
    That can be told apart for means over images only; for other metrics nothing is taken off, and the interval is
    rather too wide. Replicates are consumed one by one, never held together. With a handful of participants it is
    too narrow, as any bootstrap of so few.

    Raises `DataError` below 20 replicates, or where their seeds or images are not those of the measurement.
    """
    means: list[float] = []
    image_sum = image_squares = np.zeros(components.n_images)
    apart = True
    for one in replicates:
        if len(one.values) != components.n_seeds or one.n_images != components.n_images:
            raise DataError("a bootstrap of participants must be measured on the same seeds and images")
        means.append(float(one.values.mean()))
        if isinstance(one, Terms):
            by_image = one.terms.mean(axis=0, dtype=np.float64)
            image_sum = image_sum + by_image
            image_squares = image_squares + by_image**2
        else:
            apart = False
    n = len(means)
    if n < 20:
        raise DataError(f"a bootstrap of participants needs at least 20 draws, not {n}")
    added = float(np.var(means, ddof=1))
    if apart:
        own = (image_squares - image_sum**2 / n).sum() / (n - 1) / components.n_images**2
        added = max(added - float(own), 0.0)
    return replace(components, of_people=added, people_df=n - 1)


@dataclass(frozen=True)
class Judged:
    """One comparison as it may be reported: A − B.

    `p_holm` and `interval_holm` allow for the number of planned contrasts; the interval holds 0 exactly where `p_holm`
    is above α. Both are None for what is exploratory and where there is no verdict. `better` is "a", "b" or None;
    `detectable` is the least true difference that would be found with 80 % power at the first step of Holm.
    """

    name: str
    estimate: Estimate
    planned: bool
    p_holm: float | None
    interval_holm: Interval | None
    detectable: float | None
    better: str | None
    sentence: str


def judge(
    planned: Mapping[str, Estimate],
    exploratory: Mapping[str, Estimate] | None = None,
    *,
    higher_is_better: bool,
    alpha: float = ALPHA,
) -> list[Judged]:
    """Judge the planned contrasts of the primary metric together, and put the exploratory ones beside them.

    Holm, Scandinavian Journal of Statistics 6, 1979, over all planned contrasts; those with fewer than `LEAST_SEEDS`
    seeds count in their number but get no verdict. `higher_is_better` is the primary metric's; what is exploratory
    gets no verdict, so it may be of any metric.
    """
    if not planned:
        raise DataError(
            "there is no planned contrast: name at least one, or report everything as exploratory"
        )
    names = list(planned)
    p = [1.0 if planned[name].these_models else planned[name].p for name in names]
    adjusted, levels = holm(p, alpha)
    judged = [
        _planned(name, planned[name], adjusted[k], levels[k], len(names), higher_is_better, alpha)
        for k, name in enumerate(names)
    ]
    others = exploratory or {}
    return judged + [exploratory_one(name, one, len(others)) for name, one in others.items()]


def holm(p: Sequence[float], alpha: float = ALPHA) -> tuple[list[float], list[float]]:
    """Adjusted p of each, and the level at which each is judged: α/(m − j) at step j, and after the first that is
    not rejected that one's level."""
    m = len(p)
    order = sorted(range(m), key=lambda k: p[k])
    adjusted, levels = [0.0] * m, [0.0] * m
    running, step = 0.0, 0
    for j, k in enumerate(order):
        running = min(max(running, (m - j) * p[k]), 1.0)
        adjusted[k] = running
        levels[k] = alpha / (m - step)
        if step == j and p[k] <= alpha / (m - j):
            step = j + 1 if j + 1 < m else j
    return adjusted, levels


def detectable(
    components: Components, *, alpha: float = ALPHA, power: float = POWER, seeds: int | None = None
) -> float:
    """The least true difference that is found with this power: (t_{1−α/2} + t_power) · standard error.

    Bloom, "Minimum detectable effects", Evaluation Review 19, 1995. With `seeds`, if so many had been trained.
    """
    freedom = components.freedom(seeds)
    multiple = stats.t.ppf(1 - alpha / 2, freedom) + stats.t.ppf(power, freedom)
    return float(multiple) * math.sqrt(components.variance(seeds))


def seeds_needed(
    components: Components, difference: float, *, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """With how many seeds in all a true `difference` would be found; None where no number would do (up to
    `MOST_SEEDS`): the images, or the people, are too few."""
    if not difference > 0 or components.n_seeds < 2:
        raise DataError("the number of seeds is told from two or more seeds and a difference above 0")
    low, high = 2, MOST_SEEDS
    if detectable(components, alpha=alpha, power=power, seeds=high) > difference:
        return None
    while low < high:
        middle = (low + high) // 2
        if detectable(components, alpha=alpha, power=power, seeds=middle) <= difference:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass(frozen=True)
class McNemar:
    """`only_a` and `only_b`: images that one model alone has right; `p`: exact, two-sided, of "as many of each"."""

    only_a: int
    only_b: int
    p: float


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> McNemar:
    """Compare the accuracy of *one* pair of models on the same images, bool [N] each (McNemar, Psychometrika 12, 1947;
    exact binomial). It says nothing of other seeds."""
    if right_a.shape != right_b.shape or right_a.ndim != 1 or right_a.dtype != bool or right_b.dtype != bool:
        raise DataError(
            "McNemar's test takes right or wrong of two models, bool, one value for each of the same images"
        )
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def _planned(
    name: str, one: Estimate, p_holm: float, level: float, m: int, higher_is_better: bool, alpha: float
) -> Judged:
    if one.these_models:
        low, high = one.interval()
        sentence = (
            f"For these trained models the difference is {number(one.value)} (95 % interval {number(low)} to "
            f"{number(high)}, for other images). No verdict: {_count(one.components.n_seeds, 'seed')}, and "
            f"{LEAST_SEEDS} are needed."
        )
        return Judged(name, one, True, None, None, None, None, sentence)
    low, high = one.interval(level)
    least = detectable(one.components, alpha=alpha / m)
    better = None
    if p_holm <= alpha:
        better = "a" if (one.value > 0) == higher_is_better else "b"
    said = (
        "not separable" if better is None else f"the {'first' if better == 'a' else 'second'} arm is better"
    )
    sentence = (
        f"{said.capitalize()}: difference {number(one.value)}, {number(low)} to {number(high)} allowing for "
        f"{_count(m, 'planned contrast')} (Holm p = {number(p_holm, 2)})."
    )
    if better is None and not least:
        sentence += " The two were equal on every image with every seed."
    elif better is None:
        sentence += f" A true difference of {number(least)} would be found with {POWER:.0%} power."
    return Judged(name, one, True, p_holm, (low, high), least, better, sentence)


def exploratory_one(name: str, one: Estimate, n: int) -> Judged:
    """One of `n` comparisons that nobody planned: an interval that is not adjusted, and no verdict."""
    low, high = one.interval()
    scope = " for these trained models" if one.these_models else ""
    sentence = (
        f"Exploratory, one of {_count(n, 'such comparison')}: difference {number(one.value)}{scope} "
        f"(95 % interval {number(low)} to {number(high)}, not adjusted)."
    )
    return Judged(name, one, False, None, None, None, None, sentence)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
