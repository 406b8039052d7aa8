"""Made-up runs for tests of the report: predictions drawn from a seed, as good as one wishes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.evaluation.assessment import assess
from training.evaluation.corruptions import suite
from training.evaluation.leakage import Leakage
from training.evaluation.predictions import Predictions, predictions
from training.evaluation.robustness import Assessment
from training.evaluation.scores import score
from training.reports.content import report_content
from training.reports.inputs import ArmResult, RunResult

N, CLASSES = 240, 3
PROVENANCE = [("Release", "demo@1.0.0"), ("Image set", "digits"), ("Configuration", "abc"), ("Seeds", "0, 1")]
CLEAN = Leakage(540, 60, 100, 0, 0, 0)
CURVE = {"train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}


def judged(
    seed: int, strength: float, n: int = N, images: int = 0, human: bool = True, luck: int = 0
) -> Predictions:
    """Predictions of `n` images (the same ones for the same `images`), the better the greater `strength`."""
    world = np.random.default_rng([images, 1])
    labels = world.integers(0, CLASSES, n)
    said = 0.8 * np.eye(CLASSES)[labels] + 0.2 * world.dirichlet(np.ones(CLASSES), n)
    logits = (
        np.random.default_rng([seed, images, luck]).normal(0, 1, (n, CLASSES))
        + strength * np.eye(CLASSES)[labels]
    )
    return predictions(labels=labels, logits=logits, human=said if human else None)


def corrupted(test: Predictions, seed: int, *, breaks: float) -> Assessment:
    """Every transform makes a share `breaks` of the images another class."""
    rng = np.random.default_rng([seed, 5])
    keys = suite()
    clean = test.p.argmax(axis=1)
    hit = rng.random((len(keys), len(clean))) < breaks
    return Assessment(
        labels=test.labels,
        predicted=clean,
        p_label=test.p[np.arange(len(clean)), test.labels],
        transforms=keys,
        predicted_under=np.where(hit, (clean + 1) % CLASSES, clean),
        p_label_under=np.where(hit, 0.1, 0.9) + np.zeros(hit.shape),
    )


def run(
    seed: int,
    strength: float = 2.0,
    *,
    plan: str = "p",
    human: bool = False,
    validation: bool = False,
    breaks: float | None = None,
    luck: int = 0,
    evaluations: dict[str, Any] | None = None,
) -> RunResult:
    test = judged(seed, strength, human=human, luck=luck)
    said = {"test": assess(test, draws=50).as_json(), **(evaluations or {})}
    return RunResult(
        seed=seed,
        curves=[{**CURVE, "train_loss": 1.0 + seed}, {**CURVE, "train_loss": 0.5 + seed}],
        metrics=score(test.log_p, test.labels, test.human),
        environment={"device": "cpu (x)", "torch": "2", "seconds": 1.5},
        n_steps=10,
        plan_sha256=f"{plan}{seed}",
        evaluations=json.loads(json.dumps(said)),
        test=test,
        validation=judged(seed, strength, n=120, images=1, human=human) if validation else None,
        robustness=None if breaks is None else corrupted(test, seed, breaks=breaks),
    )


def arm(name: str, runs: Sequence[RunResult], **more: Any) -> ArmResult:
    params = {"version": 1, "meaning": f"what {name} means", "params": {}}
    made = ArmResult(name=name, policy=name, params=params, runs=tuple(runs))
    return replace(made, **more)


def report(
    arms: Sequence[ArmResult],
    *,
    source: str = "person",
    config: dict[str, Any] | None = None,
    classes: Sequence[str] = (),
) -> dict[str, Any]:
    """The report of these arms, as the database gives it back."""
    made = report_content(
        name="trial",
        source=source,
        arms=arms,
        leakage=CLEAN,
        provenance=PROVENANCE,
        config={"seeds": sorted({seed for one in arms for seed in one.seeds}), **(config or {})},
        classes=classes,
    )
    return dict(json.loads(json.dumps(made, sort_keys=True)))
