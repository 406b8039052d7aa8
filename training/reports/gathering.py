"""From the rows and files of runs to what a report is made of. Only the job that writes reports imports this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.evaluation.evidence import HeldOutMixes
from training.evaluation.held_out import HeldOut
from training.evaluation.metrics import log_softmax
from training.experiments.material import Material
from training.experiments.models import Arm
from training.reports.inputs import (
    ArmResult,
    RunResult,
    on_test,
    on_validation,
    under_attack,
    under_corruptions,
)
from training.runs.keeping import CORRUPTED, PREDICTIONS, read_arrays
from training.runs.models import Run


def arm_result(arm: Arm, material: Material | None) -> ArmResult:
    runs = sorted(arm.runs.all(), key=lambda run: (run.seed, run.fold))
    counted = [run for run in runs if not run.candidate and not run.excluded]
    folds = tuple(_run_result(run, material) for run in counted if run.fold)
    return ArmResult(
        name=arm.name,
        policy=arm.policy,
        params=arm.params,
        settings={**arm.settings, **_tuned(arm, counted)},
        is_external=arm.is_external,
        runs=tuple(
            _run_result(
                run, material, _mixes(arm, [one for one in counted if one.seed == run.seed], material)
            )
            for run in counted
            if not run.fold
        ),
        folds=folds,
        excluded=tuple(
            (run.seed, run.fold, run.excluded) for run in runs if run.excluded and not run.candidate
        ),
        held_out=_held_out(counted, material),
        reach=None if material is None else material.reach,
        candidates=tuple(_run_result(run, None) for run in runs if run.candidate and not run.excluded),
    )


def _run_result(run: Run, material: Material | None, mixes: HeldOutMixes | None = None) -> RunResult:
    found = {}
    if material is not None and not run.fold:
        images, arrays = material.images, read_arrays(run, PREDICTIONS)
        test = on_test(arrays, images.human)
        corrupted = read_arrays(run, CORRUPTED)
        found = {
            "test": test,
            "validation": on_validation(arrays, images.labels, images.human),
            "robustness": under_corruptions(corrupted, test),
            "mixes": mixes,
            "attacks": under_attack(arrays),
            "numbers": arrays.get("indices"),
        }
    return RunResult(
        run.seed,
        run.curves,
        run.metrics,
        run.environment,
        run.n_steps,
        run.plan_sha256,
        fold=run.fold,
        evaluations=run.evaluations,
        **found,  # type: ignore[arg-type]  # each by its own type above
    )


def _mixes(arm: Arm, runs: Sequence[Run], material: Material | None) -> HeldOutMixes | None:
    """What the folds of one seed made of the mixed images that they held out, all of these together."""
    if material is None:
        return None
    parts = [read_arrays(run, PREDICTIONS) for run in runs if run.fold]
    parts = [part for part in parts if "mixed_rows" in part]
    if not parts:
        return None
    rows = np.concatenate([part["mixed_rows"] for part in parts])
    logits = np.concatenate([part["mixed_logits"] for part in parts])
    first, second = material.images.labels[material.parents[rows]].T
    human = None if material.answers is None else material.answers[rows]
    lambda_e4 = np.rint(material.data.lambdas()[rows] * 10_000).astype(np.int64)
    unlike = first != second  # of two images of one class λ says nothing
    if not unlike.any():
        return None
    return HeldOutMixes(
        np.exp(log_softmax(logits))[unlike],
        first[unlike],
        second[unlike],
        lambda_e4[unlike],
        None if human is None else human[unlike],
    )


def _held_out(runs: Sequence[Run], material: Material | None) -> HeldOut | None:
    """What each seed's folds together made of all mixed images; a seed that lacks a fold is left out, be it every one.
    None where the folds left no predictions at all."""
    if material is None or material.held_out is None:
        return None
    folds = [run for run in runs if run.fold]
    each, left_out, found = {}, [], False
    for seed in dict.fromkeys(run.seed for run in runs):
        parts = [read_arrays(run, PREDICTIONS) for run in folds if run.seed == seed]
        rows = [part["mixed_rows"] for part in parts if "mixed_rows" in part]
        order = np.argsort(np.concatenate(rows)) if rows else np.empty(0, np.int64)
        found = found or bool(rows)
        if len(order) < len(material.held_out.rows):
            left_out.append(seed)
            continue
        each[seed] = log_softmax(np.concatenate([part["mixed_logits"] for part in parts])[order])
    if not found:
        return None
    none = np.empty((0, len(material.held_out.rows), len(material.images.classes)))
    log_p = np.stack(list(each.values())) if each else none
    return HeldOut(material.held_out, tuple(each), log_p, tuple(left_out))


def _tuned(arm: Arm, runs: Sequence[Run]) -> dict[str, Any]:
    """What the search on validation images chose for the arm."""
    keys = arm.experiment.config.get("tune") or {}
    train: dict[str, Any] = next((run.train for run in runs if not run.fold), {})
    chosen = {key: train[key] for key in keys if key in train}
    return {"tuned": chosen} if chosen else {}
