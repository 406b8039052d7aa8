"""What a report is made of: runs and arms as plain values, and the predictions that a run left in its folder.

Pure: numpy and the standard library, no torch and no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation import robustness
from training.evaluation.evidence import HeldOutMixes
from training.evaluation.held_out import HeldOut
from training.evaluation.metrics import Floats
from training.evaluation.people import Reach
from training.evaluation.predictions import Predictions, predictions
from training.reports.advice import is_base_only

# Scores of a run, as runs of every version keep them, and the metric each of them is.
SCORES = {
    "accuracy": "accuracy",
    "ce_hard": "log_loss",
    "ce_human": "human_cross_entropy",
    "ece": "ece_equal_width_15",
    "brier": "brier",
}

ELSEWHERE = "the model is not here, only its predictions of the test images"


@dataclass(frozen=True, eq=False)
class Attack:
    """What an attack did to the test images at the places `rows` int64 [n]: `correct` bool [n] is what is still right,
    `loss` float64 [n] the cross-entropy against the label, nats."""

    rows: NDArray[np.int64]
    correct: NDArray[np.bool_]
    loss: Floats


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run as the report needs it; the first fields as in `training.runs.models.Run`.

    `test`, `validation` and `robustness` are None where the run left no such file; `mixes` are its predictions of the
    mixed images that it was not trained on. `logits` and `validation_logits` are kept for temperatures. `attacks` are
    by name; `numbers` int64 [N] are the test images' places in the image set.
    """

    seed: int
    curves: list[dict[str, Any]]
    metrics: dict[str, Any]
    environment: dict[str, Any]
    n_steps: int
    plan_sha256: str
    fold: int = 0
    evaluations: Mapping[str, Any] = field(default_factory=dict)
    test: Predictions | None = None
    validation: Predictions | None = None
    robustness: robustness.Assessment | None = None
    mixes: HeldOutMixes | None = None
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    numbers: NDArray[np.int64] | None = None

    @cached_property
    def values(self) -> dict[str, float]:
        """Every figure on the test images that is known, by metric."""
        kept = {SCORES[key]: one for key, one in self.metrics.items() if key in SCORES and one is not None}
        tested = self.evaluations.get("test", {})
        for key, one in tested.items():
            if isinstance(one, dict) and one.get("value") is not None:
                kept[key] = one["value"]
        return kept


@dataclass(frozen=True, eq=False)
class ArmResult:
    """One arm with the runs that are compared, in order of seed.

    `params` is the release's record of the policy (empty without one), `settings` the arm's part of the configuration,
    `folds` the runs that held mixed images out, `candidates` those that a recipe was chosen by, `excluded` seed and
    fold (0: all mixed images) of runs that a rule fixed before left out, with the reason. `held_out` is what the folds
    made of the mixed images that they held out, None where that is not known; `reach` what people reach on the test
    images by the votes that are known now, None where nobody looked.
    """

    name: str
    policy: str
    params: dict[str, Any]
    runs: tuple[RunResult, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_external: bool = False
    folds: tuple[RunResult, ...] = ()
    excluded: tuple[tuple[int, int, str], ...] = ()
    held_out: HeldOut | None = None
    reach: Reach | None = None
    candidates: tuple[RunResult, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def is_base_only(self) -> bool:
        """Whether it saw no mixed image of any kind."""
        return is_base_only(self.policy, self.settings, is_external=self.is_external)

    @property
    def start(self) -> str | None:
        """The arm (or run) whose weights it began with."""
        value = self.settings.get("start_from")
        return None if value is None else str(value)


def on_test(arrays: Mapping[str, NDArray[Any]], human: NDArray[Any] | None) -> Predictions | None:
    """Predictions of the test images; `human` [N, K] is what people said of all images, as votes or shares."""
    if "logits" not in arrays:
        return None
    said = None if human is None else human[arrays["indices"]]
    return predictions(labels=arrays["labels"], logits=arrays["logits"], human=said)


def on_validation(
    arrays: Mapping[str, NDArray[Any]], labels: NDArray[np.int64], human: NDArray[Any] | None
) -> Predictions | None:
    """Predictions of the validation images; `labels` and `human` are of all images of the image set."""
    if not len(arrays.get("validation_logits", ())):
        return None
    rows = arrays["validation_indices"]
    said = None if human is None else human[rows]
    if said is not None and not np.isfinite(said).all():
        said = None
    return predictions(labels=labels[rows], logits=arrays["validation_logits"], human=said)


def under_attack(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Attack]:
    """What attacks did to test images, by name: of each `NAME_rows`, `NAME_correct` and `NAME_loss`, [n]."""
    names = [key.removesuffix("_correct") for key in arrays if key.endswith("_correct")]
    return {
        name: Attack(arrays[f"{name}_rows"], arrays[f"{name}_correct"], arrays[f"{name}_loss"])
        for name in names
    }


def under_corruptions(
    arrays: Mapping[str, NDArray[Any]], test: Predictions | None
) -> robustness.Assessment | None:
    """What a run made of the corrupted test images: `names` and `severities` [T], `predicted` uint8 [T, N],
    `p_label` float16 [T, N]."""
    if test is None or not len(arrays.get("names", ())):
        return None
    rows = np.arange(len(test.labels))
    return robustness.Assessment(
        labels=test.labels,
        predicted=test.p.argmax(axis=1),
        p_label=test.p[rows, test.labels],
        transforms=tuple(
            (str(name), int(severity))
            for name, severity in zip(arrays["names"], arrays["severities"], strict=True)
        ),
        predicted_under=arrays["predicted"].astype(np.int64),
        p_label_under=arrays["p_label"].astype(np.float64),
    )
