"""Each arm by itself: scores with intervals, temperature and reliability, people, mixed images held out, symptoms.

Pure: arms in, JSON out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import calibration, inference
from training.evaluation.diagnosis import RULES, Finding, diagnose
from training.evaluation.evidence import Calibrated, Curves, Evidence
from training.evaluation.leakage import Leakage
from training.evaluation.metrics import Floats, log_softmax
from training.evaluation.near_duplicates import NearDuplicates
from training.evaluation.scores import summarise
from training.evaluation.temperature import fit_temperature, scaled
from training.evaluation.values import BY_KEY, METRICS
from training.reports.comparing import MeasuredArm
from training.reports.inputs import ELSEWHERE, ArmResult, RunResult

TEMPERATURES = {"none": "as trained", "hard": "T of the labels", "human": "T of people"}
_NO_VALIDATION = "no validation images: name some with validation in the configuration"
_NO_PEOPLE = "the validation images have no human labels"


def scores_of(arm: ArmResult, measured: MeasuredArm) -> dict[str, Any]:
    """By metric: mean and sd over seeds, each seed's value, a 95 % interval and what it is for, floor and ceiling."""
    return {metric.key: _score(arm, measured, metric.key) for metric in METRICS if _values(arm, metric.key)}


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
    beside = {}
    for name in ("floor", "ceiling", "debiased"):
        known = [one[name] for one in told if one.get(name) is not None]
        beside[name] = float(np.mean(known)) if known else None
    return {
        **asdict(found),
        "n": told[0]["n"] if told else arm.runs[0].metrics.get("n"),
        "interval": interval,
        "these_models": these_models,
        **{name: value for name, value in beside.items() if value is not None},
        "undefined": list(dict.fromkeys(said for one in told for said in one.get("undefined", ()))),
    }


def _values(arm: ArmResult, key: str) -> list[float]:
    values = [run.values.get(key) for run in arm.runs]
    return [one for one in values if one is not None] if None not in values else []


def calibration_of(arm: ArmResult) -> list[dict[str, Any]]:
    """Of each of `TEMPERATURES` its mean `T`, the `ece` on the test images, `bins` of the reliability curve over
    all seeds; or `not_assessed` with the reason."""
    told: list[dict[str, Any]] = []
    for way, words in TEMPERATURES.items():
        named = {"key": way, "temperature": words}
        found = [_at_temperature(run, way) for run in arm.runs]
        missing = next((one for one in found if isinstance(one, str)), None)
        if missing is not None:
            if arm.is_external and missing == _NO_VALIDATION:
                missing = ELSEWHERE
            told.append({**named, "not_assessed": missing})
            continue
        known = [one for one in found if not isinstance(one, str)]
        told.append(
            {
                **named,
                "T": float(np.mean([t for t, _ in known])),
                "T_of_each_seed": [t for t, _ in known],
                **_reliability([curve for _, curve in known]),
            }
        )
    return told


def _at_temperature(run: RunResult, way: str) -> tuple[float, tuple[Floats, Floats]] | str:
    """T of a run, and confidence and outcome of its test images divided by it."""
    if run.test is None:
        return "the predictions of a run are not here"
    temperature = 1.0
    if way != "none":
        if run.validation is None:
            return _NO_VALIDATION
        targets = run.validation.labels if way == "hard" else run.validation.human
        if targets is None:
            return _NO_PEOPLE
        # log p̂ are logits less a constant a row, which a temperature does not see.
        fitted = fit_temperature(run.validation.log_p, targets).value
        assert fitted is not None
        temperature = fitted
    p = np.exp(log_softmax(scaled(run.test.log_p, temperature)))
    return temperature, calibration.top_class(p, run.test.labels)


def _reliability(each: Sequence[tuple[Floats, Floats]]) -> dict[str, Any]:
    """ECE of each seed on average, its floor, and the bins with all seeds together; bands are one seed's, as seeds see
    the same images."""
    errors = [
        calibration.calibration_error(
            confidence, outcome, calibration.equal_width(confidence), calibration.ECE
        )
        for confidence, outcome in each
    ]
    bands = calibration.curve(*each[0])
    confidence, outcome = (np.concatenate(part) for part in zip(*each, strict=True))
    together = calibration.curve(confidence, outcome, draws=1)
    ends = np.mean([one.interval for one in errors if one.interval is not None], axis=0)
    return {
        "ece": float(np.mean([one.value for one in errors if one.value is not None])),
        "interval": [float(end) for end in ends],
        "floor": float(np.mean([one.floor for one in errors if one.floor is not None])),
        "bins": [
            {**asdict(point), "n": point.n, "band": band.band, "thin": band.thin}
            for point, band in zip(together, bands, strict=True)
        ],
    }


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


def mixed_of(arm: ArmResult) -> dict[str, Any] | None:
    """On mixed images that were held out: against answers (`people`) and agreement with mixup (`mixup`), mean over
    folds weighted by their images, then over seeds."""
    stored = [(run.seed, one) for run in (*arm.runs, *arm.folds) if (one := run.evaluations.get("mixed"))]
    if not stored:
        return None
    told: dict[str, Any] = {"n": sum(one["n"] for seed, one in stored if seed == stored[0][0])}
    for part in ("people", "mixup"):
        keys = dict.fromkeys(key for _, one in stored for key in one.get(part) or {} if key in BY_KEY)
        told[part] = {key: _over_folds(stored, part, key) for key in keys}
        for _, one in stored:
            if isinstance(why := (one.get(part) or {}).get("not_assessed"), str):
                told[part]["not_assessed"] = why
    return told


def _over_folds(stored: Sequence[tuple[int, Mapping[str, Any]]], part: str, key: str) -> dict[str, Any]:
    values = []
    for seed in dict.fromkeys(seed for seed, _ in stored):
        folds = [one[part][key] for of, one in stored if of == seed and key in (one.get(part) or {})]
        known = [(one["value"], one["n"]) for one in folds if one["value"] is not None]
        if known:
            values.append(float(np.average([v for v, _ in known], weights=[n for _, n in known])))
    found = summarise(values)
    first = next(one[part][key] for _, one in stored if key in (one.get(part) or {}))
    return {
        "value": found.mean if found else None,
        "sd": found.sd if found else None,
        "interval": first["interval"] if len(stored) == 1 else None,
        "floor": first.get("floor"),
        "ceiling": first.get("ceiling"),
    }


def _mean_value(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One figure of several seeds: means of value, floor and ceiling."""
    told = {}
    for key in ("value", "floor", "ceiling"):
        known = [one[key] for one in each if one.get(key) is not None]
        told[key] = float(np.mean(known)) if known else None
    return told


def diagnosis_of(
    arm: ArmResult, leakage: Leakage, near_duplicates: NearDuplicates | None, *, apart: bool
) -> list[dict[str, Any]]:
    """What every rule says of the arm: in how many seeds it is found, and the numbers of the first of those (of the
    first seed, where in none). Unless validation images were set `apart`, curves are of the test images, and no rule
    is to send anybody back to training by them."""
    each = [evidence_of(run, arm, leakage, near_duplicates) for run in arm.runs]
    if not apart:
        each = [replace(one, curves=None) for one in each]
    found = [diagnose(one) for one in each]
    return [_finding(arm, [run[place] for run in found]) for place in range(len(RULES))]


def _finding(arm: ArmResult, found: Sequence[Finding]) -> dict[str, Any]:
    states: list[str] = [one.state for one in found]
    state = next((one for one in ("found", "not found") if one in states), "not assessed")
    shown = states.index(state)
    rule = found[0].rule
    return {
        "rule": rule.key,
        "name": rule.name,
        "level": rule.level,
        "state": state,
        "n_found": states.count("found"),
        "n_seeds": len(states),
        "seed": arm.runs[shown].seed,
        "threshold": rule.threshold,
        "numbers": found[shown].numbers,
        "remedy": rule.remedy,
        "missing": found[shown].missing,
    }


def evidence_of(
    run: RunResult, arm: ArmResult, leakage: Leakage, near_duplicates: NearDuplicates | None
) -> Evidence:
    """What is known of one run, for the rules."""
    tested = run.evaluations.get("test", {})
    confusion = tested.get("confusion")
    if confusion is None and run.test is not None:
        classes = run.test.p.shape[1]
        flat = run.test.labels * classes + run.test.p.argmax(axis=1)
        confusion = np.bincount(flat, minlength=classes**2).reshape(classes, classes)
    robust = run.evaluations.get("robustness", {})
    return Evidence(
        curves=_curves(run),
        confusion=None if confusion is None else np.asarray(confusion, dtype=np.int64),
        leakage=None if arm.is_external else leakage,
        near_duplicates=None if arm.is_external else near_duplicates,
        train_accuracy=run.curves[-1].get("train_accuracy") if run.curves else None,
        test_accuracy=run.values.get("accuracy"),
        corruptions=run.robustness is not None,
        attacks=bool(robust.get("attacks")),
        mixes=run.mixes,
        calibration=_calibrated(run),
    )


def _curves(run: RunResult) -> Curves | None:
    if not run.curves:
        return None
    columns = {
        key: np.array([epoch.get(key, np.nan) for epoch in run.curves], dtype=np.float64)
        for key in ("train_loss", "validation_loss", "train_floor")
    }
    try:
        # Validation losses are against hard labels, whose entropy is 0.
        return Curves(
            columns["train_loss"], columns["validation_loss"], np.nan_to_num(columns["train_floor"])
        )
    except DataError:
        return None


def _calibrated(run: RunResult) -> Calibrated | None:
    plain = _at_temperature(run, "none")
    if isinstance(plain, str):
        return None
    confidence, outcome = plain[1]
    value = calibration.calibration_error(
        confidence, outcome, calibration.equal_width(confidence), calibration.ECE
    )
    assert value.value is not None
    assert value.interval is not None
    after = _at_temperature(run, "hard")
    temperature = ece_after = None
    if not isinstance(after, str):
        temperature, (sure, happened) = after
        ece_after = calibration.error(sure, happened, calibration.equal_width(sure), calibration.ECE)
    # The interval is of the true error, which chance does not raise: its floor is 0.
    return Calibrated(
        value.value,
        value.interval,
        0.0,
        float(confidence.mean()),
        float(outcome.mean()),
        temperature,
        ece_after,
    )
