"""What changed and attacked test images did to the arms: risk score beside clean accuracy, corruption error, attacks.

Images and seeds are resampled as everywhere in the report; differences are against one named arm, on the same images
and seeds. Pure: arms in, JSON out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import inference, risk, robustness
from training.evaluation.components import Measured
from training.evaluation.corruptions import CORRUPTIONS, GROUPS, TRANSFORMS
from training.evaluation.metrics import Floats
from training.evaluation.resampling import resampled
from training.evaluation.robustness import Assessment
from training.reports.comparing import difference
from training.reports.inputs import ELSEWHERE, ArmResult, RunResult

EXAMPLES = 8
NOT_ASKED = "no corruptions were evaluated: name them with robustness in the configuration"
NO_ATTACKS = "not asked for: name fgsm, pgd or square under robustness"


def robustness_of(arms: Sequence[ArmResult], reference: str) -> dict[str, Any]:
    """`reference`, and for each arm under `arms` its figures, or `not_assessed` with the reason."""
    by_name = {arm.name: arm for arm in arms}
    against = by_name.get(reference)
    measured = {arm.name: _measured(arm, against) for arm in arms}
    told = []
    for arm in arms:
        found = measured[arm.name]
        one: dict[str, Any] = {"name": arm.name, "attacks": _attacks(arm)}
        if isinstance(found, str):
            one["not_assessed"] = found
        else:
            one |= _of_arm(arm, found)
            if against is not None and against is not arm and not isinstance(measured[reference], str):
                one["against"] = _against(arm, against, measured)
        told.append(one)
    return {"reference": reference, "groups": list(GROUPS), "arms": told}


def _measured(arm: ArmResult, reference: ArmResult | None) -> dict[str, Measured] | str:
    runs = [run.robustness for run in arm.runs if run.robustness is not None]
    if not runs or len(runs) < len(arm.runs):
        return ELSEWHERE if arm.is_external else NOT_ASKED
    try:
        figures = [_figures(one, _twin(run, reference)) for one, run in zip(runs, arm.runs, strict=True)]
        return resampled(figures, len(runs[0].labels))
    except DataError as error:
        return str(error)


def _twin(run: RunResult, reference: ArmResult | None) -> Assessment | None:
    """The reference's model of the same seed, or its first where it has none."""
    if reference is None or not reference.runs:
        return None
    return next(
        (one.robustness for one in reference.runs if one.seed == run.seed), reference.runs[0].robustness
    )


def _figures(one: Assessment, reference: Assessment | None) -> Callable[[Floats], Mapping[str, Floats]]:
    """Accuracy, mean error, corruption error and, where all groups were assessed, the risk, of weights [D, N]."""
    right = one.right.astype(np.float64)
    have_all = {name for name, _ in one.transforms} >= set(CORRUPTIONS)
    ours = robustness.errors_by_corruption(one) if have_all else None
    theirs = robustness.errors_by_corruption(reference) if have_all and reference is not None else None
    try:
        score = risk.risk_figures(one)
    except DataError:
        score = None

    def figures(weights: Floats) -> dict[str, Floats]:
        found = {"accuracy": weights @ right / weights.sum(axis=1)}
        if ours is not None:
            found["mean_error"] = weights @ ours.mean(axis=1) / weights.sum(axis=1)
        if ours is not None and theirs is not None:
            found["mce_percent"] = 100 * robustness.divided(weights @ ours, weights @ theirs).mean(axis=1)
        if score is not None:
            all_of_it = score(weights)
            found["score"] = all_of_it[:, 0]
            found |= {group: all_of_it[:, 1 + k] for k, group in enumerate(GROUPS)}
        return found

    return figures


def _of_arm(arm: ArmResult, found: Mapping[str, Measured]) -> dict[str, Any]:
    runs = [run.robustness for run in arm.runs if run.robustness is not None]
    said = {key: _value(one) for key, one in found.items()}
    score = said.get("score")
    told: dict[str, Any] = {
        "n_seeds": len(runs),
        "n": len(runs[0].labels),
        "accuracy": said["accuracy"],
        "mean_error": said.get("mean_error"),
        "mce_percent": said.get("mce_percent"),
        # A score stands beside the clean accuracy and its interval, or not at all.
        "score": score,
        "band": risk.band_of(score["value"]) if score else None,
        "groups": {group: said[group] for group in GROUPS if group in said},
        "warnings": sorted({warning for one in runs for warning in risk.warnings_of(one)}),
        "error_by_severity": _by_severity(runs),
        "break_rates": _mean_of([robustness.break_rates(one) for one in runs]),
        "instability": _mean_of([robustness.instability(one) for one in runs]),
        "failures": [vars(one) for one in robustness.failures(runs[0], EXAMPLES)],
        "failures_of_seed": arm.runs[0].seed,
    }
    return told


def _against(
    arm: ArmResult, reference: ArmResult, measured: Mapping[str, dict[str, Measured] | str]
) -> dict[str, Any]:
    """A − reference of accuracy, score and groups, and of the break rates on images that both have right."""
    ours, theirs = measured[arm.name], measured[reference.name]
    assert not isinstance(ours, str)
    assert not isinstance(theirs, str)
    told: dict[str, Any] = {"arm": reference.name}
    for key in ("accuracy", "score", *GROUPS):
        if key in ours and key in theirs:
            apart = difference(arm, reference, ours[key], theirs[key])
            told[key] = None if isinstance(apart, str) else _value(apart)
    told["breaks"] = _breaks(arm, reference)
    return told


def _breaks(arm: ArmResult, reference: ArmResult) -> list[dict[str, Any]]:
    """Difference of break rates of each transform on the images that both models of a seed have right."""
    pairs = [
        (one.robustness, other.robustness)
        for one in arm.runs
        for other in reference.runs
        if one.seed == other.seed and one.robustness is not None and other.robustness is not None
    ]
    try:
        figures = [_break_difference(a, b) for a, b in pairs]
        found = resampled(figures, len(pairs[0][0].labels)) if figures else {}
    except DataError:
        return []
    return [{"transform": TRANSFORMS[name].name, **_value(one)} for name, one in found.items()]


def _break_difference(a: Assessment, b: Assessment) -> Callable[[Floats], Mapping[str, Floats]]:
    robustness.check_same_images(a, b)
    names = list(dict.fromkeys(key for key, _ in a.transforms))
    first, second = (risk.break_figures(one, names, a.right & b.right) for one in (a, b))

    def figures(weights: Floats) -> dict[str, Floats]:
        apart = first(weights) - second(weights)
        return {name: apart[:, k] for k, name in enumerate(names)}

    return figures


def _by_severity(runs: Sequence[Assessment]) -> list[float] | None:
    """Mean error over the corruptions at each severity, over seeds."""
    rows = []
    for one in runs:
        wrong = one.wrong_under.mean(axis=1)
        by = [
            [
                wrong[k]
                for k, (name, at) in enumerate(one.transforms)
                if name in CORRUPTIONS and at == severity
            ]
            for severity in range(1, 6)
        ]
        if not all(by):
            return None
        rows.append([float(np.mean(each)) for each in by])
    return [float(one) for one in np.mean(rows, axis=0)]


def _mean_of(each: Sequence[Mapping[tuple[str, int], float | None]]) -> dict[str, float | None]:
    """Mean over seeds and severities, by transform."""
    gathered: dict[str, list[float]] = {}
    for one in each:
        for (name, _), value in one.items():
            if value is not None:
                gathered.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in gathered.items()}


def _attacks(arm: ArmResult) -> dict[str, Any]:
    """Mean over seeds of what attacks left, by attack, as the runs stored it; what they say of masked gradients."""
    stored = [run.evaluations.get("robustness", {}).get("attacks") or {} for run in arm.runs]
    names = dict.fromkeys(name for one in stored for name in one if "accuracy" in one[name])
    found: dict[str, Any] = {}
    for name in names:
        each = [one[name] for one in stored if name in one]
        found[name] = {
            "n": each[0].get("n"),
            "accuracy": _mean(each, "accuracy"),
            "loss": _mean(each, "loss"),
        }
    masked = [one["masked_gradients"] for one in stored if "masked_gradients" in one]
    if masked:
        found["masked_gradients"] = list(dict.fromkeys(_said_of_gradients(one) for one in masked))
    return found


def _mean(each: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [value for one in each if (value := _number(one.get(key))) is not None]
    return float(np.mean(known)) if known else None


def _said_of_gradients(found: Mapping[str, Any]) -> str:
    return " ".join(found["reasons"]) if found["masked"] else "no sign of masked gradients."


def _number(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, (int, float)) else None


def _value(one: Measured) -> dict[str, Any]:
    found = inference.estimate(one)
    return {"value": found.value, "interval": list(found.interval()), "these_models": found.these_models}
