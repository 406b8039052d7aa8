"""Calibration of each arm on the test images: as trained, and with the temperatures that validation images give.

Pure: arms in, JSON out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.evaluation import calibration
from training.evaluation.metrics import Floats, log_softmax
from training.evaluation.temperature import fit_temperature, scaled
from training.reports.inputs import ELSEWHERE, ArmResult, RunResult
from training.reports.telling import COOLED, by_seed

TEMPERATURES = {"none": "as trained", "hard": "T of the labels", "human": "T of people"}
_NO_VALIDATION = "no validation images: name some with validation in the configuration"
_NO_PEOPLE = "the validation images have no human labels"


def calibration_of(arm: ArmResult) -> list[dict[str, Any]]:
    """Of each of `TEMPERATURES` its mean `T`, the `ece` on the test images and the `figures` of `COOLED`, `bins` of the
    reliability curve over all seeds, `notes` on how T was fitted; or `not_assessed` with the reason."""
    told: list[dict[str, Any]] = []
    for way, words in TEMPERATURES.items():
        named = {"key": way, "temperature": words}
        found = [at_temperature(run, way) for run in arm.runs]
        missing = next((one for one in found if isinstance(one, str)), None)
        if missing is not None:
            if arm.is_external and missing == _NO_VALIDATION:
                missing = ELSEWHERE
            told.append({**named, "not_assessed": missing})
            continue
        known = [one for one in found if not isinstance(one, str)]
        noted = [(run.seed, note) for run, one in zip(arm.runs, known, strict=True) for note in one.notes]
        told.append(
            {
                **named,
                "T": float(np.mean([one.T for one in known])),
                "T_of_each_seed": [one.T for one in known],
                "notes": by_seed(noted, arm.seeds),
                "figures": _figures_at(arm, way),
                **_reliability([(one.confidence, one.outcome) for one in known]),
            }
        )
    return told


def _figures_at(arm: ArmResult, way: str) -> dict[str, float | None]:
    """The figures of `COOLED` on the test images with a temperature, as the runs kept them: mean over seeds."""
    each = []
    for run in arm.runs:
        cooled = run.evaluations.get("temperature", {}).get(way, {})
        each.append((run.evaluations if way == "none" else cooled).get("test", {}))
    found: dict[str, float | None] = {}
    for key in COOLED:
        values = [one.get(key, {}).get("value") for one in each]
        found[key] = None if None in values else float(np.mean(values))
    return found


@dataclass(frozen=True, eq=False)
class Tempered:
    """T of a run, confidence and outcome of its test images divided by it, and what is to be said of the fit."""

    T: float
    confidence: Floats
    outcome: Floats
    notes: tuple[str, ...] = ()


def at_temperature(run: RunResult, way: str) -> Tempered | str:
    if run.test is None:
        return "the predictions of a run are not here"
    temperature = 1.0
    notes: tuple[str, ...] = ()
    if way != "none":
        if run.validation is None:
            return _NO_VALIDATION
        targets = run.validation.labels if way == "hard" else run.validation.human
        if targets is None:
            return _NO_PEOPLE
        # log p̂ are logits less a constant a row, which a temperature does not see.
        fitted = fit_temperature(run.validation.log_p, targets)
        assert fitted.value is not None
        temperature, notes = fitted.value, fitted.undefined
    p = np.exp(log_softmax(scaled(run.test.log_p, temperature)))
    return Tempered(temperature, *calibration.top_class(p, run.test.labels), notes)


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
