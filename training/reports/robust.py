"""What changed test images did to the arms: risk score beside clean accuracy, corruption error, break rates, failures.

Images and seeds are crossed as everywhere in the report; differences are against one named arm, on the same images and
seeds. What attacks did is in `attacked`. Pure: arms in, JSON out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import risk, robustness
from training.evaluation.components import Measured, Terms
from training.evaluation.corruptions import CORRUPTIONS, GROUPS, TRANSFORMS
from training.evaluation.metrics import Floats
from training.evaluation.resampling import resampled
from training.evaluation.robustness import Assessment
from training.reports.attacked import attacks_of
from training.reports.comparing import difference
from training.reports.estimating import estimated
from training.reports.inputs import ELSEWHERE, ArmResult, RunResult
from training.reports.telling import by_seed, class_name, named_seeds

EXAMPLES, OF_ONE = 8, 2  # failures that are shown, and how many of them under one transform
PAIRED = ("accuracy", "score", *GROUPS, "mean_error", "mce_percent", "relative_mce_percent")
NOT_ASKED = "no corruptions were evaluated: name them with robustness in the configuration"
FEW = "too few images are right as they are for a risk score: it is undefined in some draws of images"
NO_RELATIVE = (
    "relative mCE is undefined: under some corruption {} errs no more than without it, in all or in some draws of "
    "images"
)
NO_CORRUPTIONS = "mean corruption error takes the 15 corruptions, which were not all evaluated"


def robustness_of(arms: Sequence[ArmResult], reference: str, classes: Sequence[str] = ()) -> dict[str, Any]:
    """`reference`, and for each arm under `arms` its figures, or `not_assessed` with the reason; `classes` are the
    names of the classes, without which their numbers stand."""
    by_name = {arm.name: arm for arm in arms}
    against = by_name.get(reference)
    measured = {arm.name: _measured(arm, against) for arm in arms}
    told = []
    for arm in arms:
        found = measured[arm.name]
        one: dict[str, Any] = {"name": arm.name, "attacks": attacks_of(arm, against)}
        if isinstance(found, str):
            one["not_assessed"] = found
        else:
            one |= _of_arm(arm, found, classes)
            one["missing"] = _missing(arm, found, reference, against)
            if against is not None and against is not arm and not isinstance(measured[reference], str):
                one["against"] = _against(arm, against, measured)
        told.append(one)
    return {
        "reference": reference,
        "groups": list(GROUPS),
        "arms": told,
        "pairs": _pairs(arms, {name: one for name, one in measured.items() if not isinstance(one, str)}),
    }


def _pairs(arms: Sequence[ArmResult], known: Mapping[str, Mapping[str, Measured]]) -> list[dict[str, Any]]:
    """Of every two arms, the first less the second: accuracy, errors, score and groups, paired; `why` where they have
    no seed in common."""
    told = []
    for one, other in combinations([arm for arm in arms if arm.name in known], 2):
        found: dict[str, Any] = {"a": one.name, "b": other.name}
        for key in PAIRED:
            if key in known[one.name] and key in known[other.name]:
                apart = difference(one, other, known[one.name][key], known[other.name][key])
                found |= {"why": apart} if isinstance(apart, str) else {key: estimated(apart)}
        told.append(found)
    return told


def _measured(arm: ArmResult, reference: ArmResult | None) -> dict[str, Measured] | str:
    runs = [run.robustness for run in arm.runs if run.robustness is not None]
    if missing := [run.seed for run in arm.runs if run.robustness is None]:
        if arm.is_external:
            return ELSEWHERE
        asked = any(_was_put_through(run) for run in arm.runs)
        return f"what corruptions did is not here for {named_seeds(missing)}" if asked else NOT_ASKED
    try:
        figures = [_figures(one, _twin(run, reference)) for one, run in zip(runs, arm.runs, strict=True)]
        found = {"accuracy": Terms(np.stack([one.right for one in runs]).astype(np.float64))}
        if all(_has_all(one) for one in runs):
            errors = [robustness.errors_by_corruption(one).mean(axis=1) for one in runs]
            found["mean_error"] = Terms(np.stack(errors))
        return {**found, **resampled(figures, len(runs[0].labels))}
    except DataError as error:
        return str(error)


def _was_put_through(run: RunResult) -> bool:
    """Whether corruptions or turned images were evaluated, though what they did to each image may not be here."""
    kept = run.evaluations.get("robustness") or {}
    return run.robustness is not None or bool(set(kept) - {"attacks", "clean_accuracy"})


def _twin(run: RunResult, reference: ArmResult | None) -> Assessment | None:
    """The reference's model of the same seed, or its first where it has none."""
    if reference is None or not reference.runs:
        return None
    return next(
        (one.robustness for one in reference.runs if one.seed == run.seed), reference.runs[0].robustness
    )


def _has_all(one: Assessment) -> bool:
    return {name for name, _ in one.transforms} >= set(CORRUPTIONS)


def _figures(one: Assessment, reference: Assessment | None) -> Callable[[Floats], Mapping[str, Floats]]:
    """Corruption error and the risk, where all that they take was assessed, else the groups that were, of weights
    [D, N]."""
    both = reference is not None and _has_all(one) and _has_all(reference)
    ours = robustness.errors_by_corruption(one) if both else None
    theirs = robustness.errors_by_corruption(reference) if both and reference is not None else None
    clean = [(~each.right)[:, None] for each in (one, reference or one)]
    try:
        score = risk.risk_figures(one)
    except DataError:
        score = None
    try:
        whole, rates = ([], None) if score is not None else risk.group_figures(one)
    except DataError:
        whole, rates = [], None

    def figures(weights: Floats) -> dict[str, Floats]:
        found = {}
        if ours is not None and theirs is not None:
            found["mce_percent"] = 100 * robustness.divided(weights @ ours, weights @ theirs).mean(axis=1)
            more, than = weights @ (ours - clean[0]), weights @ (theirs - clean[1])
            found["relative_mce_percent"] = 100 * robustness.divided(more, than).mean(axis=1)
        if score is not None:
            all_of_it = score(weights)
            found["score"] = all_of_it[:, 0]
            found |= {group: all_of_it[:, 1 + k] for k, group in enumerate(GROUPS)}
        if rates is not None and whole:
            found |= dict(zip(whole, rates(weights).T, strict=True))
        return found

    return figures


def _missing(
    arm: ArmResult, found: Mapping[str, Measured], reference: str, against: ArmResult | None
) -> list[str]:
    """Why there is no risk score, or no corruption error."""
    runs = [run.robustness for run in arm.runs if run.robustness is not None]
    said = []
    if "score" not in found:
        said.append(next((why for one in runs if (why := _no_risk(one))), FEW))
    if "mean_error" not in found:
        said.append(NO_CORRUPTIONS)
    elif "mce_percent" not in found:
        said.append(_no_mce(reference, [_twin(run, against) for run in arm.runs]))
    elif "relative_mce_percent" not in found:
        said.append(NO_RELATIVE.format(reference))
    return said


def _no_mce(name: str, references: Sequence[Assessment | None]) -> str:
    """Why there is no mCE of an arm that was put through all corruptions; `references` are the models of the arm `name`
    that its errors would be divided by."""
    known = [one for one in references if one is not None and _has_all(one)]
    if len(known) < len(references):
        return f"mCE is not assessed: {name} was not put through the 15 corruptions with every seed"
    if any((robustness.errors_by_corruption(one).sum(axis=0) == 0).any() for one in known):
        return (
            f"mCE is undefined: {name} makes no error under some corruption, so nothing can be divided by it"
        )
    return f"mCE is undefined: {name} makes so few errors that some draws of images hold none under some corruption"


def _no_risk(one: Assessment) -> str | None:
    try:
        risk.risk_figures(one)
    except DataError as error:
        return str(error)
    return None


def _of_arm(arm: ArmResult, found: Mapping[str, Measured], classes: Sequence[str]) -> dict[str, Any]:
    runs = [run.robustness for run in arm.runs if run.robustness is not None]
    n_right = min(int(one.right.sum()) for one in runs)
    bounds: dict[str, tuple[float, float, int]] = {
        "accuracy": (0, 1, len(runs[0].labels)),
        "mean_error": (0, 1, len(runs[0].labels)),
        "mce_percent": (0, math.inf, len(runs[0].labels)),
        "relative_mce_percent": (
            -math.inf,
            math.inf,
            len(runs[0].labels),
        ),  # an arm may err less than undisturbed
        "score": (0, 100, n_right),
    }
    said = {key: estimated(one, *bounds.get(key, (0, 1, n_right))) for key, one in found.items()}
    score = said.get("score")
    told: dict[str, Any] = {
        "n_seeds": len(runs),
        "n": len(runs[0].labels),
        "accuracy": said["accuracy"],
        "mean_error": said.get("mean_error"),
        "mce_percent": said.get("mce_percent"),
        "relative_mce_percent": said.get("relative_mce_percent"),
        # A score stands beside the clean accuracy and its interval, or not at all.
        "score": score,
        "band": risk.band_of(score["value"]) if score else None,
        "groups": {group: said[group] for group in GROUPS if group in said},
        "warnings": by_seed(
            (
                (run.seed, warning)
                for run, one in zip(arm.runs, runs, strict=True)
                for warning in risk.warnings_of(one)
            ),
            arm.seeds,
        ),
        "error_by_severity": _by_severity(runs),
        "transforms": _by_transform(runs),
        "failures": [_failure(one, arm.runs[0], classes) for one in _worst(runs[0])],
        "failures_of_seed": arm.runs[0].seed,
    }
    return told


def _by_transform(runs: Sequence[Assessment]) -> list[dict[str, Any]]:
    """Break rate (of what is right as it is) and instability (of all images) of each transform, mean over its
    severities and the seeds."""
    names = _names(runs[0])
    n_right = min(int(one.right.sum()) for one in runs)
    try:
        breaks = resampled([_breaks_of(one, names) for one in runs], len(runs[0].labels))
    except DataError:
        breaks = {}
    told = []
    for name in names:
        changed = [_changed(one, name) for one in runs]
        told.append(
            {
                "key": name,
                "name": TRANSFORMS[name].name,
                "group": TRANSFORMS[name].group,
                "note": TRANSFORMS[name].note,
                "break_rate": estimated(breaks[name], 0, 1, n_right) if name in breaks else None,
                "instability": estimated(Terms(np.stack(changed)), 0, 1),
            }
        )
    return told


def _names(one: Assessment) -> list[str]:
    return list(dict.fromkeys(name for name, _ in one.transforms))


def _breaks_of(one: Assessment, names: Sequence[str]) -> Callable[[Floats], Mapping[str, Floats]]:
    rates = risk.break_figures(one, names, one.right)
    return lambda weights: dict(zip(names, rates(weights).T, strict=True))


def _changed(one: Assessment, name: str) -> Floats:
    """Share of a transform's severities under which each image gets another class than without it, [N]."""
    rows = [k for k, (key, _) in enumerate(one.transforms) if key == name]
    return np.asarray((one.predicted_under[rows] != one.predicted).mean(axis=0))


def _worst(one: Assessment) -> list[robustness.Failure]:
    """The worst failures, of which no transform has more than its share: else all are of the strongest."""
    found: list[robustness.Failure] = []
    for failure in robustness.failures(one, len(one.labels)):
        if sum(other.transform == failure.transform for other in found) < OF_ONE:
            found.append(failure)
        if len(found) == EXAMPLES:
            break
    return found


def _failure(one: robustness.Failure, run: RunResult, classes: Sequence[str]) -> dict[str, Any]:
    """An image that broke, as people find it: its number in the image set, and classes by name."""
    assert run.robustness is not None
    label = int(run.robustness.labels[one.image])
    return {
        **vars(one),
        "number": one.image if run.numbers is None else int(run.numbers[one.image]),
        "class": class_name(label, classes),
        "transform_name": TRANSFORMS[one.transform].name,
        "class_under": class_name(one.predicted_under, classes),
    }


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
            if isinstance(apart, str):
                told["why"] = apart
            else:
                told[key] = estimated(apart)
    told["breaks"] = _breaks(arm, reference)
    return told


def _breaks(arm: ArmResult, reference: ArmResult) -> list[dict[str, Any]]:
    """Break rates of each transform on the images that both models of a seed have right: `ours`, `theirs` and their
    difference with its interval."""
    pairs = [
        (one.robustness, other.robustness)
        for one in arm.runs
        for other in reference.runs
        if one.seed == other.seed and one.robustness is not None and other.robustness is not None
    ]
    try:
        both = [_on_both_right(a, b) for a, b in pairs]
        found = resampled(both, len(pairs[0][0].labels)) if pairs else {}
    except DataError:
        return []
    told = []
    for name in _names(pairs[0][0]) if pairs else ():
        if name not in found:  # undefined in too many draws
            continue
        rates = {key: float(found[f"{key} {name}"].values.mean()) for key in ("ours", "theirs")}
        told.append({"key": name, "transform": TRANSFORMS[name].name, **rates, **estimated(found[name])})
    return told


def _on_both_right(a: Assessment, b: Assessment) -> Callable[[Floats], Mapping[str, Floats]]:
    robustness.check_same_images(a, b)
    names = _names(a)
    first, second = (risk.break_figures(one, names, a.right & b.right) for one in (a, b))

    def figures(weights: Floats) -> dict[str, Floats]:
        ours, theirs = first(weights), second(weights)
        found = {name: ours[:, k] - theirs[:, k] for k, name in enumerate(names)}
        for key, rates in (("ours", ours), ("theirs", theirs)):
            found |= {f"{key} {name}": rates[:, k] for k, name in enumerate(names)}
        return found

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
