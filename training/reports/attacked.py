"""What attacks did to the arms: accuracy and loss before and after, against the reference arm on the same images, and
how PGD's loss rose.

Images and seeds are crossed as everywhere in the report. Of runs that kept no image's outcome only the means are
known. Pure: arms in, JSON out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilmix.figures import Cell, Figure, Series, Table
from training.evaluation import metrics
from training.evaluation.components import Measured, Terms
from training.reports.comparing import difference
from training.reports.estimating import estimated
from training.reports.inputs import ArmResult
from training.reports.telling import ATTACKS, by_seed, share_of_255

NO_ATTACKS = "not asked for: name fgsm, pgd or square under robustness"


def attacks_of(arm: ArmResult, reference: ArmResult | None) -> dict[str, Any]:
    """By attack: `n`, `epsilon`, means over seeds of `accuracy` and `loss`; `measured`, these two and what they were
    before, with intervals; `against`, the differences from `reference`; of PGD the `trajectory` of the mean loss,
    before each step and after the last. `masked_gradients`: what the attacks say of gradients that hide."""
    stored = [run.evaluations.get("robustness", {}).get("attacks") or {} for run in arm.runs]
    found: dict[str, Any] = {}
    for name in ATTACKS:
        each = [one[name] for one in stored if "accuracy" in one.get(name, {})]
        if each:
            found[name] = _of_attack(name, each, arm, reference)
    masked = [
        (run.seed, one["masked_gradients"])
        for run, one in zip(arm.runs, stored, strict=True)
        if "masked_gradients" in one
    ]
    if masked:
        found["masked_gradients"] = by_seed(
            ((seed, _said_of_gradients(one)) for seed, one in masked), arm.seeds
        )
    return found


def _of_attack(
    name: str, each: Sequence[Mapping[str, Any]], arm: ArmResult, reference: ArmResult | None
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "n": each[0].get("n"),
        "epsilon": each[0].get("epsilon"),
        "accuracy": _mean([one["accuracy"]["value"] for one in each]),
        "loss": _mean([one["loss"] for one in each if one.get("loss") is not None]),
    }
    rising = [[*one["trajectory"], one["loss"]] for one in each if one.get("trajectory")]
    if rising and len({len(one) for one in rising}) == 1:
        told["trajectory"] = [float(loss) for loss in np.mean(rising, axis=0)]
    ours = _measured(name, arm)
    if ours:
        told["measured"] = {
            key: estimated(one, 0, 1 if key.startswith("accuracy") else math.inf) for key, one in ours.items()
        }
        if reference is not None and reference is not arm:
            told["against"] = _against(name, arm, reference, ours)
    return told


def _measured(name: str, arm: ArmResult) -> dict[str, Measured]:
    """Accuracy and loss of the attacked images, as they were and after; nothing where a run kept no image's outcome,
    or they were other images."""
    runs = [(run.attacks[name], run.test) for run in arm.runs if name in run.attacks]
    if not runs or len(runs) < len(arm.runs) or len(runs[0][0].rows) < 2:
        return {}
    rows = runs[0][0].rows
    known = [(one, test) for one, test in runs if test is not None and np.array_equal(one.rows, rows)]
    if len(known) < len(runs):
        return {}
    each = {
        "accuracy_before": [(test.p.argmax(axis=1) == test.labels)[rows] for _, test in known],
        "accuracy": [one.correct for one, _ in known],
        "loss_before": [metrics.cross_entropies(test.log_p, test.labels)[rows] for _, test in known],
        "loss": [one.loss for one, _ in known],
    }
    return {key: Terms(np.stack(terms).astype(np.float64)) for key, terms in each.items()}


def _against(name: str, arm: ArmResult, reference: ArmResult, ours: Mapping[str, Measured]) -> dict[str, Any]:
    """A − reference of accuracy and loss under an attack, or `why` there is no difference."""
    theirs = _measured(name, reference)
    told: dict[str, Any] = {"arm": reference.name}
    if not theirs:
        stored = [run.evaluations.get("robustness", {}).get("attacks") or {} for run in reference.runs]
        attacked = any("accuracy" in one.get(name, {}) for one in stored)
        why = (
            f"of {reference.name} only means are kept"
            if attacked
            else f"{reference.name} was not attacked so"
        )
        return told | {"why": why}
    if not np.array_equal(arm.runs[0].attacks[name].rows, reference.runs[0].attacks[name].rows):
        return told | {"why": f"{reference.name} was attacked on other images"}
    for key in ("accuracy", "loss"):
        apart = difference(arm, reference, ours[key], theirs[key])
        if isinstance(apart, str):
            return told | {"why": apart}
        told[key] = estimated(apart)
    return told


def figures_of(told: Mapping[str, Any], source: str) -> list[Figure]:
    """How PGD's loss rises, step by step; `told` is the report's robustness."""
    known = {
        one["name"]: one["attacks"]["pgd"]
        for one in told["arms"]
        if one["attacks"].get("pgd", {}).get("trajectory")
    }
    if not known:
        return []
    lines = {name: one["trajectory"] for name, one in known.items()}
    first = next(iter(known.values()))
    series = tuple(
        Series(name, tuple((float(step), loss) for step, loss in enumerate(line)), group)
        for group, (name, line) in enumerate(lines.items())
    )
    steps = max(len(line) for line in lines.values())
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (step, *(line[step] if step < len(line) else None for line in lines.values()))
        for step in range(steps)
    )
    definition = (
        f"Mean cross-entropy of {first['n']} test images after so many steps of PGD from a random start, at most "
        f"{share_of_255(first['epsilon'])} a pixel value. Where a line still climbs, more steps would leave less "
        "accuracy."
    )
    table = Table("Loss under PGD, mean over seeds", ("Steps", *lines), rows)
    return [
        Figure(
            "pgd_loss", "curve", "Loss under PGD", definition, "steps of PGD", "cross-entropy, nats", series,
            table, source,
        )
    ]  # fmt: skip


def _said_of_gradients(found: Mapping[str, Any]) -> str:
    if not found["masked"]:
        return "no sign of masked gradients."
    reasons = " ".join(found["reasons"])
    return f"gradients look masked, so what FGSM and PGD leave is no evidence of strength. {reasons}"


def _mean(known: Sequence[float]) -> float | None:
    return float(np.mean(known)) if known else None
