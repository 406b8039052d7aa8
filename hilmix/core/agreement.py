"""How far people agree with themselves, with each other and with λ: pure statistics of judgements.

Nothing here makes a label (see `softlabels`). ICC(1) follows Shrout & Fleiss, Psychological Bulletin 86,
1979, with the usual mean group size for unbalanced groups; deviations from λ are called deviations, not
errors, because perception is what is being measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilmix.core.judgements import PerceivedLambda, Unit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NORMAL_95 = 1.959964  # half width of a 95% normal interval, in standard errors


@dataclass(frozen=True)
class OneWay:
    """One-way random effects: variance between groups (≥ 0) and within, and ICC(1), which may be negative."""

    icc: float
    between: float
    within: float
    n_groups: int
    n_values: int


def one_way(values: Floats, groups: Ints) -> OneWay | None:
    """Analyse float64 [N] `values` that belong to groups int64 [N].

    ICC(1) = (MSB − MSW) / (MSB + (n₀ − 1)·MSW), n₀ = (N − Σnᵢ²/N)/(k − 1). None where it is undefined: fewer
    than two groups, no group with two values, or no variance at all.
    """
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    n, k = len(values), len(sizes)
    if k < 2 or n == k or np.ptp(values) < 1e-12:
        return None
    means = np.bincount(index, values) / sizes
    between = float(np.sum(sizes * (means - values.mean()) ** 2) / (k - 1))
    within = float(np.sum((values - means[index]) ** 2) / (n - k))
    n0 = float((n - np.sum(sizes.astype(np.float64) ** 2) / n) / (k - 1))
    icc = (between - within) / (between + (n0 - 1) * within)
    return OneWay(icc, max(0.0, (between - within) / n0), within, k, n)


def icc1(groups: Iterable[Sequence[float]]) -> float | None:
    """Return ICC(1) of groups of ratings (empty groups are left out), or None where it is undefined."""
    kept = [np.asarray(group, dtype=np.float64) for group in groups if len(group)]
    if not kept:
        return None
    index = np.repeat(np.arange(len(kept)), [len(group) for group in kept])
    result = one_way(np.concatenate(kept), index)
    return None if result is None else result.icc


@dataclass(frozen=True)
class Retest:
    """|first − repeat| of the perceived λ (0–1) over the trials asked twice of the same person."""

    n: int
    mean: float
    median: float
    share_over: float
    threshold: float


def retest_difference(units: Iterable[Unit], threshold: float = 0.2) -> Retest | None:
    """Compare each repeat with the same person's first answer, both a number; None if there is no pair."""
    differences: list[float] = []
    for unit in units:
        first: dict[str, float] = {}
        for answer in unit.answers:
            if not isinstance(answer.judgement, PerceivedLambda):
                continue
            if not answer.repeat:
                first.setdefault(answer.participant, answer.judgement.value)
            elif answer.participant in first:
                differences.append(abs(first[answer.participant] - answer.judgement.value))
    if not differences:
        return None
    array = np.array(differences)
    # A slider has whole percents: compare them exactly, not the floats they became.
    over = float(np.mean(np.round(array, 9) > threshold))
    return Retest(len(array), float(array.mean()), float(np.median(array)), over, threshold)


@dataclass(frozen=True)
class DeviationPoint:
    """What people said at one λ, 0–1, counted answers only; `interval` is 95%, clustered by person."""

    lambda_e4: int
    n: int
    n_cannot_tell: int
    mean: float | None
    median: float | None
    interval: tuple[float, float] | None
    mean_confidence: float | None

    @property
    def deviation(self) -> float | None:
        """Mean perceived λ minus λ."""
        return None if self.mean is None else self.mean - self.lambda_e4 / 10_000


def deviation_curve(units: Iterable[Unit]) -> list[DeviationPoint]:
    """Return one point for each λ shown, ascending, from each person's first answer to each image."""
    answers: dict[int, list[tuple[str, PerceivedLambda]]] = {}
    undecided: dict[int, int] = {}
    for unit in units:
        rows = answers.setdefault(unit.lambda_e4, [])
        seen: set[str] = set()
        for answer in unit.answers:
            if answer.repeat or answer.participant in seen:
                continue
            seen.add(answer.participant)
            if isinstance(answer.judgement, PerceivedLambda):
                rows.append((answer.participant, answer.judgement))
            else:
                undecided[unit.lambda_e4] = undecided.get(unit.lambda_e4, 0) + 1
    return [
        _point(lambda_e4, rows, undecided.get(lambda_e4, 0)) for lambda_e4, rows in sorted(answers.items())
    ]


def _point(lambda_e4: int, rows: list[tuple[str, PerceivedLambda]], n_cannot_tell: int) -> DeviationPoint:
    if not rows:
        return DeviationPoint(lambda_e4, 0, n_cannot_tell, None, None, None, None)
    values = np.array([judgement.value for _, judgement in rows])
    confidences = [judgement.confidence for _, judgement in rows if judgement.confidence is not None]
    return DeviationPoint(
        lambda_e4=lambda_e4,
        n=len(values),
        n_cannot_tell=n_cannot_tell,
        mean=float(values.mean()),
        median=float(np.median(values)),
        interval=_clustered_interval(values, [person for person, _ in rows]),
        mean_confidence=float(np.mean(confidences)) if confidences else None,
    )


def _clustered_interval(values: Floats, people: list[str]) -> tuple[float, float] | None:
    """95% interval of a mean, clustered by person (sandwich variance); None for one person."""
    _, index = np.unique(people, return_inverse=True)
    k = int(index.max()) + 1
    if k < 2:
        return None
    mean = float(values.mean())
    sums = np.bincount(index, values - mean)
    half = NORMAL_95 * float(np.sqrt(np.sum(sums**2) * k / (k - 1))) / len(values)
    return max(0.0, mean - half), min(1.0, mean + half)
