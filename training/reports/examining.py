"""Each arm by itself: scores with intervals, its classes, thirds by what people said, symptoms.

Pure: arms in, JSON out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import calibration, inference, people
from training.evaluation.corruptions import CORRUPTIONS
from training.evaluation.diagnosis import RULES, Finding, diagnose
from training.evaluation.evidence import Calibrated, Curves, Evidence
from training.evaluation.leakage import Leakage
from training.evaluation.near_duplicates import NearDuplicates
from training.evaluation.scores import summarise
from training.evaluation.values import BY_KEY, METRICS
from training.reports.comparing import MeasuredArm, undefined_of
from training.reports.confusion import confusion_of
from training.reports.cooling import at_temperature
from training.reports.inputs import ArmResult, RunResult
from training.reports.telling import class_name

PER_CLASS = ("precision", "recall", "f1")


def scores_of(arm: ArmResult, measured: MeasuredArm) -> dict[str, Any]:
    """By metric: mean and sd over seeds, each seed's value, a 95 % interval and what it is for, floor and ceiling. A
    figure that is not defined for one of the runs has no mean, and says why."""
    found = {}
    for metric in METRICS:
        if _values(arm, metric.key):
            found[metric.key] = _score(arm, measured, metric.key)
        elif why := undefined_of(arm, metric.key):
            values = [run.values.get(metric.key) for run in arm.runs]
            found[metric.key] = {
                "mean": None,
                "sd": None,
                "values": values,
                "interval": None,
                "these_models": True,
                "undefined": [why],
            }
    return found


def _score(arm: ArmResult, measured: MeasuredArm, key: str) -> dict[str, Any]:
    found = summarise(_values(arm, key))
    assert found is not None
    told = [one for run in arm.runs if isinstance(one := run.evaluations.get("test", {}).get(key), Mapping)]
    interval, these_models = None, True
    if BY_KEY[key].interval == "norm":
        # Chance raises an error of calibration, which resampling repeats: each model's own interval, on average.
        ends = [one["interval"] for one in told if one.get("interval")]
        interval = [float(end) for end in np.mean(ends, axis=0)] if len(ends) == len(arm.runs) else None
    elif key in measured and not (told and not any(one.get("interval") for one in told)):
        # Where no run dared an interval, as of a class that few draws hold, there is none of their mean.
        estimate = inference.estimate(measured[key])
        interval, these_models = list(estimate.interval()), estimate.these_models or arm.is_external
        if interval is not None:
            low, high = BY_KEY[key].low, BY_KEY[key].high
            interval = [
                max(interval[0], -np.inf if low is None else low),
                min(interval[1], np.inf if high is None else high),
            ]
            if interval[0] == interval[1] and told and all(one.get("interval") for one in told):
                # As where no image is right: that none varied is not that none can. Each model's own, on average.
                interval = [float(end) for end in np.mean([one["interval"] for one in told], axis=0)]
    beside = {}
    for name in ("floor", "ceiling", "debiased"):
        known = [one[name] for one in told if one.get(name) is not None]
        beside[name] = float(np.mean(known)) if known else None
    undefined = dict.fromkeys(said for one in told for said in one.get("undefined", ()))
    if arm.reach is not None and BY_KEY[key].ceiling:
        # By the votes that are known now, which may be more than when the runs were judged.
        beside |= arm.reach.beside(key)
        undefined = dict.fromkeys(said for said in undefined if said not in people.NO_CEILING)
        undefined |= {arm.reach.why: None} if arm.reach.why else {}
    return {
        **asdict(found),
        "n": told[0]["n"] if told else arm.runs[0].metrics.get("n"),
        "interval": interval,
        "these_models": these_models,
        **{name: value for name, value in beside.items() if value is not None},
        "undefined": list(undefined),
    }


def _values(arm: ArmResult, key: str) -> list[float]:
    values = [run.values.get(key) for run in arm.runs]
    return [one for one in values if one is not None] if None not in values else []


def thirds_of(arm: ArmResult) -> list[dict[str, Any]]:
    """Figures against people on thirds of human entropy, mean over seeds: its range, and each value by metric."""
    each = [run.evaluations.get("test", {}).get("human_thirds") or [] for run in arm.runs]
    if not each or len({len(one) for one in each}) > 1:
        return []
    told = []
    for rows in zip(*each, strict=True):
        keys = [key for key in rows[0] if key != "entropy"]
        told.append(
            {"entropy": rows[0]["entropy"], **{key: _mean_value([row[key] for row in rows]) for key in keys}}
        )
    return told


def classes_of(arm: ArmResult, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class its name (its number without `classes`), how many test images it has, and precision, recall and F1,
    mean over seeds; None for what is undefined."""
    each = [run.evaluations.get("test", {}).get("per_class") or {} for run in arm.runs]
    if not each or any(key not in one for one in each for key in PER_CLASS):
        return []
    told = []
    for number, first in enumerate(each[0]["recall"]):
        of_class = {key: _mean_value([one[key][number] for one in each])["value"] for key in PER_CLASS}
        told.append({"class": class_name(number, classes), "n": first["n"], **of_class})
    return told


def _mean_value(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One figure of several seeds: means of value, floor and ceiling."""
    told = {}
    for key in ("value", "floor", "ceiling"):
        known = [one[key] for one in each if one.get(key) is not None]
        told[key] = float(np.mean(known)) if known else None
    return told


def diagnosis_of(
    arm: ArmResult,
    leakage: Leakage,
    near_duplicates: NearDuplicates | None,
    *,
    apart: bool,
    classes: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """What every rule says of the arm: in how many seeds it is found, and the numbers of the first of those (of the
    first seed, where in none), classes by their names where there are any. Unless validation images were set `apart`,
    curves are of the test images, and no rule is to send anybody back to training by them."""
    each = [evidence_of(run, arm, leakage, near_duplicates) for run in arm.runs]
    if not apart:
        each = [replace(one, curves=None) for one in each]
    found = [diagnose(one) for one in each]
    return [_finding(arm, [run[place] for run in found], classes) for place in range(len(RULES))]


def _finding(arm: ArmResult, found: Sequence[Finding], classes: Sequence[str]) -> dict[str, Any]:
    states: list[str] = [one.state for one in found]
    state = next((one for one in ("found", "not found") if one in states), "not assessed")
    shown = states.index(state)
    rule, numbers = found[0].rule, dict(found[shown].numbers)
    if isinstance(which := numbers.get("classes"), list):
        numbers["classes"] = [class_name(int(number), classes) for number in which]
    return {
        "rule": rule.key,
        "name": rule.name,
        "level": rule.level,
        "state": state,
        "n_found": states.count("found"),
        "n_seeds": len(states),
        "seed": arm.runs[shown].seed,
        "seeds_found": [run.seed for run, one in zip(arm.runs, states, strict=True) if one == "found"],
        "of_test": rule.of_test,
        "threshold": rule.threshold,
        "cause": rule.cause,
        "numbers": numbers,
        "remedy": rule.remedy,
        "missing": found[shown].missing,
    }


def evidence_of(
    run: RunResult, arm: ArmResult, leakage: Leakage, near_duplicates: NearDuplicates | None
) -> Evidence:
    """What is known of one run, for the rules."""
    robust = run.evaluations.get("robustness", {})
    return Evidence(
        curves=_curves(run),
        confusion=confusion_of(run),
        leakage=None if arm.is_external else leakage,
        near_duplicates=None if arm.is_external else near_duplicates,
        train_accuracy=run.evaluations.get("training", {}).get("accuracy", {}).get("value"),
        test_accuracy=run.values.get("accuracy"),
        corruptions=_corrupted(run),
        attacks=bool(robust.get("attacks")),
        mixes=run.mixes,
        calibration=_calibrated(run),
    )


def _corrupted(run: RunResult) -> bool:
    """Whether any corruption was evaluated; turned and shifted images are none."""
    return run.robustness is not None and any(name in CORRUPTIONS for name, _ in run.robustness.transforms)


def _curves(run: RunResult) -> Curves | None:
    if not run.curves:
        return None
    columns = {
        key: np.array([epoch.get(key, np.nan) for epoch in run.curves], dtype=np.float64)
        for key in ("train_loss", "validation_loss", "train_floor", "validation_accuracy")
    }
    accuracy = columns["validation_accuracy"]
    try:
        # Validation losses are against hard labels, whose entropy is 0.
        return Curves(
            columns["train_loss"],
            columns["validation_loss"],
            np.nan_to_num(columns["train_floor"]),
            validation_accuracy=accuracy if np.isfinite(accuracy).all() else None,
        )
    except DataError:
        return None


def _calibrated(run: RunResult) -> Calibrated | None:
    plain = at_temperature(run, "none")
    if isinstance(plain, str):
        return None
    confidence, outcome = plain.confidence, plain.outcome
    value = calibration.calibration_error(
        confidence, outcome, calibration.equal_width(confidence), calibration.ECE
    )
    assert value.value is not None
    assert value.interval is not None
    after = at_temperature(run, "hard")
    temperature = ece_after = None
    if not isinstance(after, str):
        temperature = after.T
        which = calibration.equal_width(after.confidence)
        ece_after = calibration.error(after.confidence, after.outcome, which, calibration.ECE)
    return Calibrated(
        value.value,
        value.interval,
        float(confidence.mean()),
        float(outcome.mean()),
        temperature,
        ece_after,
    )
