"""How much worse a model is on images that were tampered with: break rates, corruption error, failure examples.

`assess` puts a model through the transforms of `training.evaluation.corruptions`; everything else is arithmetic on
what it predicted. Mean corruption error follows Hendrycks & Dietterich (ICLR 2019). The risk score made of break
rates is in `training.evaluation.risk`, attacks in `training.evaluation.attacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation import intervals
from training.evaluation.corruptions import CORRUPTIONS, TRANSFORMS, CorruptedSet, suite
from training.evaluation.values import Interval, Value

Floats = NDArray[np.float64]
Key = tuple[str, int]  # transform and severity


@dataclass(frozen=True)
class Assessment:
    """What a model made of N test images, as they are and under T transforms.

    `labels`, `predicted` int64 [N]; `p_label` float64 [N], the probability given to the label; `transforms`: T pairs
    (key, severity); `predicted_under` int64 [T, N] and `p_label_under` float64 [T, N].
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    p_label: Floats
    transforms: tuple[Key, ...]
    predicted_under: NDArray[np.int64]
    p_label_under: Floats

    def __post_init__(self) -> None:
        n, t = len(self.labels), len(self.transforms)
        shapes = [each.shape for each in (self.labels, self.predicted, self.p_label)]
        under = [each.shape for each in (self.predicted_under, self.p_label_under)]
        if not n or set(shapes) != {(n,)} or set(under) != {(t, n)}:
            raise DataError(
                f"an assessment needs one label and prediction for each image and transform; got {n} labels, {t} "
                f"transforms, and predictions of shape {shapes[1:]} and {under}"
            )
        unknown = [key for key, _ in self.transforms if key not in TRANSFORMS]
        if unknown or len(set(self.transforms)) < t:
            raise DataError(
                f"an assessment names each known transform once; unknown: {', '.join(unknown) or 'none'}"
            )

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are classified correctly as they are, [N]."""
        return self.predicted == self.labels

    @property
    def wrong_under(self) -> NDArray[np.bool_]:
        """Which images are classified wrongly under each transform, [T, N]."""
        return self.predicted_under != self.labels

    @property
    def broke(self) -> NDArray[np.bool_]:
        """Which images are right as they are and wrong under each transform, [T, N]."""
        return self.wrong_under & self.right


def assess(
    predict: Callable[[NDArray[np.uint8]], Floats],
    test_set: CorruptedSet,
    labels: NDArray[np.int64],
    transforms: Sequence[Key] | None = None,
) -> Assessment:
    """Put a model through `transforms`, all of the risk score without them.

    `predict` gives logits float64 [N, K] of images uint8 [N, H, W, C]; `test_set` gives the images as they are and
    transformed; `labels` int64 [N].
    """
    keys = suite() if transforms is None else tuple(transforms)
    if len(labels) != len(test_set.images):
        raise DataError(f"there are {len(labels)} labels for {len(test_set.images)} test images")
    clean = _judged(predict(test_set.images), labels)
    under = [_judged(predict(test_set.get(name, severity)), labels) for name, severity in keys]
    empty = np.empty((0, len(labels)))
    return Assessment(
        labels=labels,
        predicted=clean[0],
        p_label=clean[1],
        transforms=keys,
        predicted_under=np.stack([one[0] for one in under]) if under else empty.astype(np.int64),
        p_label_under=np.stack([one[1] for one in under]) if under else empty,
    )


def break_rates(assessment: Assessment) -> dict[Key, float | None]:
    """b = #{right as it is, wrong under it} / #{right as it is} of each transform, 0–1; None where nothing is right."""
    right = int(assessment.right.sum())
    counts = assessment.broke.sum(axis=1)
    return {
        key: int(n) / right if right else None for key, n in zip(assessment.transforms, counts, strict=True)
    }


def instability(assessment: Assessment) -> dict[Key, float]:
    """u = #{prediction differs from the one without it} / N of each transform, 0–1, right or wrong."""
    changed = (assessment.predicted_under != assessment.predicted).mean(axis=1)
    return {key: float(u) for key, u in zip(assessment.transforms, changed, strict=True)}


@dataclass(frozen=True)
class CorruptionError:
    """Errors under the 15 corruptions, mean over 5 severities, beside a named reference.

    `mean_error` is their plain mean, 0–1. `mce_percent` is the mean of Σ_s E / Σ_s E_ref, 100 where the model errs
    as the reference does; `relative_mce_percent` the same of E − E_clean. `each_percent` has the terms of the first.
    A ratio whose denominator is not positive is undefined, and so is a mean that it enters. Intervals: bootstrap of
    the test images.
    """

    reference: str
    mean_error: Value
    mce_percent: Value
    relative_mce_percent: Value
    each_percent: Mapping[str, Value]


def corruption_error(
    assessment: Assessment,
    reference: Assessment,
    reference_name: str,
    *,
    draws: int = intervals.DRAWS,
    seed: int = 0,
) -> CorruptionError:
    """Mean corruption error of a model against `reference`, on the same images under the same corruptions.

    Raises `DataError` unless both went through all 15 × 5.
    """
    check_same_images(assessment, reference)
    ours, theirs = (errors_by_corruption(one) for one in (assessment, reference))  # [N, 15]
    ours_more, theirs_more = (
        errors - (~one.right)[:, None] for errors, one in ((ours, assessment), (theirs, reference))
    )

    def figures(weights: Floats) -> dict[str, Floats]:
        terms = 100 * divided(weights @ ours, weights @ theirs)
        relative = 100 * divided(weights @ ours_more, weights @ theirs_more)
        error = weights @ ours.mean(axis=1) / weights.sum(axis=1)
        return {
            "error": error,
            "mce": terms.mean(axis=1),
            "relative": relative.mean(axis=1),
            "each": terms,
        }

    n = len(assessment.labels)
    values, ends = intervals.bootstrap(figures, n, draws, seed)
    why = (f"{reference_name} makes no error there that could be divided by",)
    error, mce, relative = (value_of(values[key], ends[key], n, why) for key in ("error", "mce", "relative"))
    each = {key: value_of(values["each"][i], ends["each"][:, i], n, why) for i, key in enumerate(CORRUPTIONS)}
    return CorruptionError(reference_name, error, mce, relative, each)


@dataclass(frozen=True)
class Failure:
    """An image that a transform did most harm: its place in the test set, and the label's probability before and
    after.
    """

    image: int
    transform: str
    severity: int
    p_label: float
    p_label_under: float
    predicted_under: int

    @property
    def drop(self) -> float:
        """How much probability the label lost, 0–1."""
        return self.p_label - self.p_label_under


def failures(assessment: Assessment, k: int) -> list[Failure]:
    """The `k` images with the largest drop of the label's probability, each under the transform that did it.

    Only images that are right as they are and wrong under it; every image once; ties in order of the test set.
    """
    drops = np.where(assessment.broke, assessment.p_label - assessment.p_label_under, -np.inf)
    if not len(drops):
        return []
    worst, drop = drops.argmax(axis=0), drops.max(axis=0)
    order = np.argsort(-drop, kind="stable")[:k]
    return [
        Failure(
            image=int(i),
            transform=assessment.transforms[worst[i]][0],
            severity=assessment.transforms[worst[i]][1],
            p_label=float(assessment.p_label[i]),
            p_label_under=float(assessment.p_label_under[worst[i], i]),
            predicted_under=int(assessment.predicted_under[worst[i], i]),
        )
        for i in order
        if np.isfinite(drop[i])
    ]


def _judged(logits: Floats, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Most probable class and probability of the label, each [N], in float64."""
    wide = np.asarray(logits, dtype=np.float64)
    odds = np.exp(wide - wide.max(axis=1, keepdims=True))
    return wide.argmax(axis=1), np.asarray(odds[np.arange(len(labels)), labels] / odds.sum(axis=1))


def divided(above: Floats, below: Floats) -> Floats:
    """above / below; NaN where below is not positive."""
    positive = below > 0
    return np.where(positive, above / np.where(positive, below, 1), np.nan)


def value_of(value: Floats, ends: Floats, n: int, why: tuple[str, ...]) -> Value:
    """A figure and its ends [2] as a `Value`, undefined (`why`) where it is not finite."""
    if not np.isfinite(value):
        return Value(None, n, undefined=why)
    interval: Interval | None = (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None
    return Value(float(value), n, interval)


def check_same_images(a: Assessment, b: Assessment) -> None:
    """Raise `DataError` unless both were assessed on the same labels under the same transforms."""
    if not np.array_equal(a.labels, b.labels) or a.transforms != b.transforms:
        raise DataError(
            "two arms are compared on the same test images under the same transforms, in the same order"
        )


def errors_by_corruption(assessment: Assessment) -> Floats:
    """Share of the severities of each of the 15 corruptions under which each image is wrong, [N, 15]."""
    place = {key: i for i, key in enumerate(assessment.transforms)}
    keys = [key for key in suite() if key[0] in CORRUPTIONS]
    missing = [f"{name} {severity}" for name, severity in keys if (name, severity) not in place]
    if missing:
        raise DataError(f"mean corruption error needs all corruptions; not assessed: {', '.join(missing)}")
    wrong = assessment.wrong_under
    rows = [[place[key] for key in keys if key[0] == name] for name in CORRUPTIONS]
    return np.stack([wrong[each].mean(axis=0) for each in rows], axis=1)
