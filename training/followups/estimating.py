"""The labels of a follow-up's images, from new answers alone and by shrinkage, and what regressed to the mean.

A rule that picks by what few people said picks luck as well: what they said of its images lies further out than what
they would say again. New answers do not know by what an image was picked, so labels from them alone are free of that.
So are shrunk labels of old and new answers together, g(λ) + w(n)·(mean − g(λ)), where g and ρ are the release's, of all
its images and not of those that were picked. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels import POLICIES, Shrinkage, build_label_set, conditions_of, fit_shrinkage
from training.evaluation.metrics import Floats

FORMAT = "hilmix-follow-up/1"
ALONE = "human_lambda", "distribution", "uniform_redistribution"  # the first that takes what was said
SHRUNK = "human_lambda_shrunk"
SETS = ("rule", "random")
TO = {"model": "the model", "mixup": "mixup"}
LEAST = 2


@dataclass(frozen=True)
class Image:
    """One image of the follow-up: `row` of the release, how it was picked; the share of its first parent by mixup (λ),
    by the models and by the release's answers when it was picked; `old` and `new` hold what was said of it."""

    row: int
    picked_as: str
    probability: float
    model: float
    people: float | None
    old: Unit
    new: Unit

    @property
    def share(self) -> float:
        return self.new.lambda_e4 / 10_000


def estimated(images: Sequence[Image], release: Sequence[Unit], n_classes: int) -> dict[str, Any]:
    """`hilmix-follow-up/1`: the labels of each image, and how far people are from model and mixup before and after.

    `release` are all units of the release under the condition that its labels are of.

    Raises:
        DataError: nobody has answered yet.
    """
    answered = [one for one in images if one.new.answers]
    if not answered:
        raise DataError("Nobody has answered yet, or nobody whose answers may be used.")
    alone, policy = _alone(answered, n_classes)
    fit, why = _fit(images, release)
    labels = []
    for one, (new, interval) in zip(answered, alone, strict=True):
        shrunk = None if fit is None else _shrunk(fit, one)
        labels.append(
            {
                "row": one.row,
                "key": one.new.key,
                "picked_as": one.picked_as,
                "probability": one.probability,
                "share": one.share,
                "model": one.model,
                "old": one.people,
                "n_old": len(one.old.answers),
                "new": new,
                "interval": interval,
                "n_new": len(_first_answers(one.new)),
                "shrunk": shrunk and shrunk[0],
                "shrunk_interval": shrunk and shrunk[1],
            }
        )
    return {
        "format": FORMAT,
        "n_images": len(images),
        "n_answered": len(answered),
        "n_answers": sum(one["n_new"] for one in labels),
        "policy": policy,
        "shrunk": {"policy": SHRUNK, "rho": fit.rho, "n_answers": fit.n_answers} if fit else {"why": why},
        "same_way": bool(set(conditions_of([one.new for one in images])) <= set(conditions_of(release))),
        "labels": labels,
        "sets": [_set(labels, name, to) for to in TO for name in SETS],
        "falls": [_falls(labels, to) for to in TO],
        "frame": [_frame(images, labels, to) for to in TO],
    }


def _first_answers(unit: Unit) -> list[Answer]:
    return [one for one in unit.answers if not one.repeat]


def _alone(
    images: Sequence[Image], n_classes: int
) -> tuple[list[tuple[float | None, list[float] | None]], str]:
    """The share of each first parent by new answers alone, with its interval, and the policy that says so."""
    units = [one.new for one in images]
    conditions = conditions_of(units)
    said = {type(answer.judgement) for unit in units for answer in unit.answers}
    policy = next((name for name in ALONE if said <= set(POLICIES[name].accepts)), None)
    if policy is None:
        raise DataError("People said neither a share nor classes, so no label can be made of it.")
    made = build_label_set(policy, units, n_classes, pool=conditions)
    found: list[tuple[float | None, list[float] | None]] = []
    for unit, row in zip(units, made.rows, strict=True):
        first, second = row.probabilities[unit.first_class], row.probabilities[unit.second_class]
        share = float(first / (first + second)) if row.n and first + second > 0 else None
        # Of answers about classes it is of the first class among all, not of its share of the two.
        interval = row.interval if policy == ALONE[0] else None
        found.append((share, list(interval) if interval else None))
    return found, policy


def _fit(images: Sequence[Image], release: Sequence[Unit]) -> tuple[Shrinkage | None, str]:
    """g and ρ of the release, where both its answers and the new ones say a λ; else why there are none."""
    said = [answer.judgement for one in images for answer in one.new.answers]
    if not any(isinstance(judgement, PerceivedLambda) for judgement in said):
        return None, "people were not asked for a share, which is what is shrunk"
    fit = fit_shrinkage(release)
    return (fit, "") if fit.n_answers else (None, "the release has no answers that say a share")


def _shrunk(fit: Shrinkage, one: Image) -> tuple[float, list[float]]:
    """g(λ) + w(n)·(mean − g(λ)) of old and new answers together, and ± 1.96·√(τ²(1 − w)), where it lies."""
    said = [
        answer.judgement.value
        for answer in (*_first_answers(one.old), *_first_answers(one.new))
        if isinstance(answer.judgement, PerceivedLambda)
    ]
    expected, weight = fit.expected(one.new.lambda_e4), fit.weight(len(said))
    value = expected + weight * (float(np.mean(said)) - expected) if said else expected
    half = 1.96 * float(np.sqrt(max(fit.between, 0.0) * (1 - weight)))
    return value, [max(0.0, value - half), min(1.0, value + half)]


# --- what regressed to the mean


def _distances(labels: Sequence[Mapping[str, Any]], name: str, to: str) -> tuple[Floats, Floats]:
    """Of the images of a set that were answered before and after, float64 [n] both: how far people were from model or
    mixup, and how far they are by new answers in the same direction, which may be less than 0."""
    key = "model" if to == "model" else "share"
    kept = [
        (one["old"] - one[key], one["new"] - one[key])
        for one in labels
        if one["picked_as"] == name and one["old"] is not None and one["new"] is not None
    ]
    before, after = np.array(kept, np.float64).reshape(-1, 2).T
    side = np.where(before < 0, -1.0, 1.0)
    return side * before, side * after


def _set(labels: Sequence[Mapping[str, Any]], name: str, to: str) -> dict[str, Any]:
    before, after = _distances(labels, name, to)
    return {
        "set": name,
        "to": to,
        "n": len(before),
        "before": _mean(before),
        "after": _mean(after),
        "fall": _mean(before - after),
    }


def _mean(values: Floats) -> list[float] | None:
    """Mean with its 95 % interval by Student's t over images; None below `LEAST`."""
    n = len(values)
    if n < LEAST:
        return None
    mean, half = float(values.mean()), _half(values.var(ddof=1) / n, n - 1)
    return [mean, mean - half, mean + half]


def _half(variance: float, df: float) -> float:
    return float(stats.t.ppf(0.975, df) * np.sqrt(variance))


def _falls(labels: Sequence[Mapping[str, Any]], to: str) -> dict[str, Any]:
    """How much more the distance fell in the rule's set than in the random one, with Welch's interval."""
    falls = []
    for name in SETS:
        before, after = _distances(labels, name, to)
        falls.append(before - after)
    sizes = np.array([len(one) for one in falls])
    if sizes.min() < LEAST:
        return {"to": to, "more": None}
    parts = np.array([one.var(ddof=1) for one in falls]) / sizes
    value = float(falls[0].mean() - falls[1].mean())
    if not parts.sum():
        return {"to": to, "more": [value, value, value]}
    half = _half(float(parts.sum()), float(parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()))
    return {"to": to, "more": [value, value - half, value + half]}


def _frame(images: Sequence[Image], labels: Sequence[Mapping[str, Any]], to: str) -> dict[str, Any]:
    """How far people are, by new answers, over all images that the rule could pick from and that had old answers, `n`
    of them: each of the follow-up's stands for 1/(its inclusion probability) (Horvitz and Thompson), those of a set
    that nobody answered for by the others of it. The interval counts the spread of both sets, which is too wide, as the
    rule's images would be the same again."""
    kept = {name: _distances(labels, name, to)[1] for name in SETS}
    sizes = {name: len(one) for name, one in kept.items()}
    stood_for = {
        name: sum(1 / one.probability for one in images if one.picked_as == name and one.people is not None)
        for name in SETS
    }
    n = sum(stood_for.values())
    if min(sizes.values()) < LEAST:
        return {"to": to, "n": round(n), "after": None}
    weights = {name: one / n for name, one in stood_for.items()}
    value = sum(weights[name] * float(kept[name].mean()) for name in SETS)
    variance = sum(weights[name] ** 2 * float(kept[name].var(ddof=1)) / sizes[name] for name in SETS)
    half = _half(variance, min(sizes.values()) - 1)
    return {"to": to, "n": round(n), "after": [value, value - half, value + half]}
