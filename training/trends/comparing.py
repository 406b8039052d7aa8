"""One configuration on several releases of a study: its figures on each, what differs from the release before, and how
far the labels moved. Pure: what was read of files in, JSON out (`hilmix-over-time/1`), computed once by a job.

A difference is paired by test image, and by seed where both releases have it. Nobody planned it before the first run,
so it is exploratory: an interval, unadjusted, and no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.release_changes import SAME_LABEL
from training.evaluation import inference
from training.evaluation.components import Measured, Terms
from training.evaluation.predictions import Predictions
from training.evaluation.resampling import measure, terms
from training.evaluation.values import BY_KEY
from training.reports.comparing import of_seeds
from training.trends import drawing

FORMAT = "hilmix-over-time/1"
ALSO = ("accuracy", "log_loss", "brier", "human_cross_entropy")  # beside the primary metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labels:
    """The soft labels of an arm's mixed images: their `keys`, and `values` float64 [n, K] in that order; of the first
    `seed`, where each seed has its own part of the answers."""

    keys: tuple[str, ...]
    values: Floats
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class ArmOnRelease:
    """The runs of an arm that are compared: `test` are their predictions of the test images, by seed."""

    seeds: tuple[int, ...]
    test: tuple[Predictions, ...]
    n_steps: tuple[int, ...]
    labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class OnRelease:
    """An experiment of the configuration on one release: `facts` are stored and shown as they are; `tested`, `base` and
    `validation` int64 are positions in the image set; `trained_with` says device and versions in words."""

    facts: Mapping[str, Any]
    arms: Mapping[str, ArmOnRelease]
    keys: frozenset[str]
    tested: Ints
    base: Ints
    validation: Ints
    trained_with: str = ""
    other_people: bool = False  # its report was written with other human labels than are there now

    @property
    def name(self) -> str:
        return str(self.facts["release"])


def over_time(
    found: Sequence[OnRelease], *, primary: str, source: str, watermark: str, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The figures of all releases, in their order; `source` is what figures cite, `notes` what was left out before."""
    measured = [{name: _measured(arm, primary) for name, arm in one.arms.items()} for one in found]
    metrics = [
        key
        for key in dict.fromkeys((primary, *ALSO))
        if any(key in arm for one in measured for arm in one.values())
    ]
    releases = [
        {**one.facts, "n_tested": len(one.tested), "arms": {name: _scores(arm) for name, arm in own.items()}}
        for one, own in zip(found, measured, strict=True)
    ]
    steps = [
        _step(found[place], found[place + 1], measured[place], measured[place + 1], metrics)
        for place in range(len(found) - 1)
    ]
    figures = (
        drawing.figures_of(
            releases,
            steps,
            primary if primary in metrics else metrics[0],
            source,
            same_images=all(np.array_equal(one.tested, found[0].tested) for one in found),
        )
        if metrics
        else []
    )
    return {
        "format": FORMAT,
        "primary": primary,
        "metrics": [{"key": key, "name": BY_KEY[key].name, "higher": BY_KEY[key].higher_is_better} for key in metrics],
        "releases": releases,
        "steps": steps,
        "notes": [*notes, *_notes(found)],
        "watermark": watermark,
        "figures": [figure.as_dict() for figure in figures],
    }  # fmt: skip


def _measured(arm: ArmOnRelease, primary: str) -> dict[str, Measured]:
    """What is compared: means over images, and the primary metric where it is none."""
    each = [terms(one) for one in arm.test]
    if not each:
        return {}
    wanted = [key for key in dict.fromkeys((primary, *ALSO)) if all(key in one for one in each)]
    found: dict[str, Measured] = {key: Terms(np.stack([one[key] for one in each])) for key in wanted}
    if primary not in found:
        found |= {key: one for key, one in measure(arm.test).items() if key == primary}
    return found


def _scores(measured: Mapping[str, Measured]) -> dict[str, Any]:
    return {key: _estimate(inference.estimate(one)) for key, one in measured.items()}


def _estimate(one: inference.Estimate) -> dict[str, Any]:
    return {
        "value": one.value,
        "interval": list(one.interval()),
        "n_seeds": one.components.n_seeds,
        "these_models": one.these_models,
    }


def _step(
    before: OnRelease,
    after: OnRelease,
    measured_before: Mapping[str, Mapping[str, Measured]],
    measured_after: Mapping[str, Mapping[str, Measured]],
    metrics: Sequence[str],
) -> dict[str, Any]:
    same_images = np.array_equal(before.tested, after.tested)
    arms = {}
    for name, arm in after.arms.items():
        earlier = before.arms.get(name)
        if earlier is None:
            continue
        differences = {}
        if same_images:
            for key in metrics:
                pair = measured_after[name].get(key), measured_before[name].get(key)
                one = _difference(arm, earlier, *pair)
                if one is not None:
                    differences[key] = one
        arms[name] = {"differences": differences, "labels": moved(earlier.labels, arm.labels)}
    return {
        "before": before.name,
        "after": after.name,
        "answers": [before.facts["answers"], after.facts["answers"]],
        "came": len(after.keys - before.keys),
        "gone": len(before.keys - after.keys),
        "arms": arms,
        "notes": _step_notes(before, after, same_images=same_images),
    }


def _difference(
    now: ArmOnRelease, then: ArmOnRelease, one: Measured | None, other: Measured | None
) -> dict[str, Any] | None:
    """After less before, over the seeds that both have."""
    common = [seed for seed in now.seeds if seed in then.seeds]
    if one is None or other is None or not common:
        return None
    rows = [[arm.seeds.index(seed) for seed in common] for arm in (now, then)]
    return _estimate(inference.estimate(of_seeds(one, rows[0]).minus(of_seeds(other, rows[1]))))


def moved(before: Labels | None, after: Labels | None) -> dict[str, Any] | None:
    """How far the labels of the mixed images of both releases moved: half the summed absolute difference of the two
    vectors, 0–1. None where an arm has no mixed image of the release."""
    if before is None or after is None:
        return None
    place = {key: row for row, key in enumerate(before.keys)}
    rows = [(place[key], row) for row, key in enumerate(after.keys) if key in place]
    then, now = (np.array([pair[k] for pair in rows], np.int64) for k in (0, 1))
    far = np.abs(before.values[then] - after.values[now]).sum(axis=1) / 2
    some = far if len(far) else np.zeros(1)
    return {
        "n": len(far),
        "n_moved": int(np.count_nonzero(far > SAME_LABEL)),
        "mean": float(some.mean()),
        "p95": float(np.quantile(some, 0.95)),
        "most": float(some.max()),
        "seed": after.seed,
    }


def _step_notes(before: OnRelease, after: OnRelease, *, same_images: bool) -> list[str]:
    """What else than labels differs between two releases, each in a sentence."""
    notes = []
    if not same_images:
        both = len(np.intersect1d(before.tested, after.tested))
        notes.append(
            f"Their test images are not the same ({len(before.tested)} and {len(after.tested)}, {both} in both), so "
            "nothing is compared."
        )
    for what, then, now in (
        ("plain images that are trained on", before.base, after.base),
        ("validation images", before.validation, after.validation),
    ):
        other = len(np.setdiff1d(now, then))
        gone = len(np.setdiff1d(then, now))
        if other or gone:
            notes.append(
                f"Of the {what}, {other} are others than before and {gone} are there no more: validation images are "
                "drawn from those that are parents of no mixed image."
            )
    unequal = [
        f"{name} {_span(before.arms[name].n_steps)} → {_span(arm.n_steps)}"
        for name, arm in after.arms.items()
        if name in before.arms and set(arm.n_steps) != set(before.arms[name].n_steps)
    ]
    if unequal:
        notes.append(
            f"Trained for another number of steps ({', '.join(unequal)}): with another number of mixed images an epoch "
            "is another number of batches."
        )
    if before.trained_with != after.trained_with:
        notes.append(f"Trained with {before.trained_with}, then with {after.trained_with}.")
    apart = [
        name
        for name, arm in after.arms.items()
        if name in before.arms and set(arm.seeds) != set(before.arms[name].seeds)
    ]
    if apart:
        notes.append(f"Differences of {', '.join(apart)} are over the seeds that both have.")
    return notes


def _span(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, sorted(set(numbers))))


def _notes(found: Sequence[OnRelease]) -> list[str]:
    changed = [one.name for one in found if one.other_people]
    if not changed:
        return []
    return [
        f"The human labels of the image set changed since the reports on {', '.join(changed)} were written. Here all "
        "models are judged by those that are there now, so figures may differ from those reports."
    ]
