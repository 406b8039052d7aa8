"""One number for how easily a model breaks, 0 (best) to 100, and what lies between two arms.

In the spirit of Lakera's MLTest, whose formula is not published; ours is a mean over groups of transforms, so that
no group counts for more because it has more members. A score is never had without the clean accuracy and the
intervals: a model that is never right has nothing to break. Intervals are 95 %, from a bootstrap of the test images
with the same draws for both arms; they say nothing of other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation import intervals
from training.evaluation.corruptions import GROUPS, TRANSFORMS, suite
from training.evaluation.robustness import (
    Assessment,
    Floats,
    Key,
    check_same_images,
    divided,
    instability,
    value_of,
)
from training.evaluation.values import Value

Figures = Callable[[Floats], Floats]  # weights of images [D, N] to M figures of each draw [D, M]

BANDS = ((20.0, "green"), (40.0, "yellow"))  # a score up to and with the number; above is red
_WHY = ("too few images are classified correctly as they are",)


def band_of(score: float) -> str:
    """`green` up to 20, `yellow` up to 40, else `red`; rounding is no worse band."""
    return next((name for limit, name in BANDS if score <= limit + 1e-9), "red")


@dataclass(frozen=True)
class Risk:
    """A risk score, which cannot be made without the clean accuracy and both intervals.

    `score` is 100 × the mean over `groups` of the mean break rate in each; `groups` holds those, 0–1. `warnings` say
    where a low score is no merit.
    """

    score: Value
    clean_accuracy: Value
    groups: Mapping[str, Value]
    instability: Mapping[Key, float]
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        given: tuple[tuple[str, Any], ...] = (
            ("risk score", self.score),
            ("clean accuracy", self.clean_accuracy),
        )
        for name, one in given:
            if not isinstance(one, Value) or one.value is None or one.interval is None:
                raise DataError(f"a risk score is not given without clean accuracy and intervals: no {name}")

    @property
    def band(self) -> str:
        """`green` up to 20, `yellow` up to 40, else `red`."""
        assert self.score.value is not None
        return band_of(self.score.value)

    def as_json(self) -> dict[str, Any]:
        """Score, band, clean accuracy, groups and warnings, together, and how many transforms were run (each severity
        is one)."""
        return {
            "n_transforms": len(self.instability),
            "score": self.score.as_json(),
            "band": self.band,
            "clean_accuracy": self.clean_accuracy.as_json(),
            "groups": {group: one.as_json() for group, one in self.groups.items()},
            "warnings": list(self.warnings),
        }


def risk(assessment: Assessment, *, draws: int = intervals.DRAWS, seed: int = 0) -> Risk:
    """The risk score of one model. Raises `DataError` unless all of `suite()` was run, and where nothing is right."""
    n, right = len(assessment.labels), int(assessment.right.sum())
    score, *groups = _values(risk_figures(assessment), n, right, draws, seed)
    return Risk(
        score=score,
        clean_accuracy=Value(right / n, n, intervals.wilson(right / n, n)),
        groups=dict(zip(GROUPS, groups, strict=True)),
        instability=instability(assessment),
        warnings=tuple(warnings_of(assessment)),
    )


@dataclass(frozen=True)
class RiskComparison:
    """Two arms' risks and what lies between them, A − B, below 0 where A is the safer.

    `score` is in points of the score; `groups` and `transforms` (mean over severities) are differences of break
    rates; `accuracy` of clean accuracies.
    """

    a: Risk
    b: Risk
    score: Value
    accuracy: Value
    groups: Mapping[str, Value]
    transforms: Mapping[str, Value]


def compare_risks(
    a: Assessment, b: Assessment, *, draws: int = intervals.DRAWS, seed: int = 0
) -> RiskComparison:
    """A − B with paired intervals: the same test images, drawn alike for both."""
    check_same_images(a, b)
    names, n = _names(a), len(a.labels)
    both = [_all_figures(one, names) for one in (a, b)]
    values = _values(lambda weights: both[0](weights) - both[1](weights), n, n, draws, seed)
    accuracy, score, rest = values[0], values[1], values[2:]
    return RiskComparison(
        a=risk(a, draws=draws, seed=seed),
        b=risk(b, draws=draws, seed=seed),
        score=score,
        accuracy=accuracy,
        groups=dict(zip(GROUPS, rest, strict=False)),
        transforms=dict(zip(names, rest[len(GROUPS) :], strict=True)),
    )


@dataclass(frozen=True)
class BreakComparison:
    """Break rates of two arms over one transform's severities, on the images that both had right; all 0–1."""

    a: Value
    b: Value
    difference: Value


def compare_breaks(
    a: Assessment, b: Assessment, *, draws: int = intervals.DRAWS, seed: int = 0
) -> dict[str, BreakComparison]:
    """Of each transform, how often either arm breaks an image that both classify correctly as it is."""
    check_same_images(a, b)
    names, both = _names(a), a.right & b.right
    of_a, of_b = (break_figures(one, names, both) for one in (a, b))

    def figures(weights: Floats) -> Floats:
        first, second = of_a(weights), of_b(weights)
        return np.concatenate([first, second, first - second], axis=1)

    values, m = _values(figures, len(both), int(both.sum()), draws, seed), len(names)
    return {name: BreakComparison(*values[i::m]) for i, name in enumerate(names)}


def _all_figures(assessment: Assessment, names: Sequence[str]) -> Figures:
    """Clean accuracy, score, break rate of each group, of each transform."""
    score = risk_figures(assessment)
    breaks = break_figures(assessment, names, assessment.right)

    def figures(weights: Floats) -> Floats:
        accuracy = weights @ assessment.right / weights.sum(axis=1)
        return np.concatenate([accuracy[:, None], score(weights), breaks(weights)], axis=1)

    return figures


def risk_figures(assessment: Assessment) -> Figures:
    """Score, then break rate of each group: the mean over its transforms and severities.

    Raises `DataError` unless the whole suite was run: a score of the mildest severities would be in the same colours.
    """
    group_of = [TRANSFORMS[key].group for key, _ in assessment.transforms]
    missing = [key for key in suite() if key not in assessment.transforms]
    if missing:
        names = ", ".join(dict.fromkeys(name for name, _ in missing))
        raise DataError(
            f"a risk score needs every transform at every severity, {len(suite())} in all; run were "
            f"{len(suite()) - len(missing)} of them, and missing are severities of {names}"
        )
    members = [[group == name for group in group_of] for name in GROUPS]
    rates = _rates(assessment.broke, members, assessment.right)

    def figures(weights: Floats) -> Floats:
        groups = rates(weights)
        return np.column_stack([100 * groups.mean(axis=1), groups])

    return figures


def group_figures(assessment: Assessment) -> tuple[list[str], Figures]:
    """The groups of which every transform was run at every severity, and their break rates as in `risk_figures`: what
    can be said where there is no score. Raises `DataError` where nothing is right as it is."""
    run = set(assessment.transforms)
    whole = [name for name in GROUPS if set(suite((name,))) <= run]
    of = [TRANSFORMS[key].group for key, _ in assessment.transforms]
    members = [[group == name for group in of] for name in whole]
    return whole, _rates(assessment.broke, members, assessment.right)


def break_figures(assessment: Assessment, names: Sequence[str], among: NDArray[np.bool_]) -> Figures:
    """Break rate of each transform, its severities together, among some images."""
    members = [[key == name for key, _ in assessment.transforms] for name in names]
    return _rates(assessment.broke, members, among)


def row_figures(assessment: Assessment, among: NDArray[np.bool_]) -> Figures:
    """Break rates among some images: of each transform, its severities together, and then of each severity alone."""
    keys = assessment.transforms
    members = [[key == name for key, _ in keys] for name in _names(assessment)]
    return _rates(assessment.broke, [*members, *np.eye(len(keys), dtype=bool).tolist()], among)


def _rates(broke: NDArray[np.bool_], members: Sequence[Sequence[bool]], among: NDArray[np.bool_]) -> Figures:
    """Σ w·(share of the members that broke the image) / Σ w, over the images `among`: [D, M]."""
    if not among.any():
        raise DataError("no test image is classified correctly as it is, so no break rate is defined")
    shares = np.stack([broke[np.asarray(each)].mean(axis=0) for each in members], axis=1)[among]

    def figures(weights: Floats) -> Floats:
        inside = weights[:, among]
        return divided(inside @ shares, inside.sum(axis=1, keepdims=True))

    return figures


def _values(figures: Figures, n_images: int, n: int, draws: int, seed: int) -> list[Value]:
    """Each figure with its bootstrap interval, resting on `n` of `n_images` images."""
    values, ends = intervals.bootstrap(lambda weights: {"all": figures(weights)}, n_images, draws, seed)
    return [value_of(v, e, n, _WHY) for v, e in zip(values["all"], ends["all"].T, strict=True)]


def warnings_of(assessment: Assessment) -> Iterator[str]:
    """Where a low score is no merit: a model that cannot break what it never had."""
    n, right = len(assessment.labels), int(assessment.right.sum())
    commonest = int(np.bincount(assessment.labels).max())
    if len(np.unique(assessment.predicted)) == 1:
        yield "The model gives every image the same class, so little can break it; its score says nothing."
    elif intervals.wilson(right / n, n)[0] <= commonest / n:
        yield (
            f"Clean accuracy {right / n:.1%} is not above that of always naming the commonest class "
            f"({commonest / n:.1%}); a low score is no merit."
        )


def _names(assessment: Assessment) -> list[str]:
    return list(dict.fromkeys(key for key, _ in assessment.transforms))
