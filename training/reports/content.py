"""What a report says, as data: numbers, figures, definitions and where they come from, and no verdict that is
not earned.

Pure: finished runs as plain values in, one JSON dictionary out. The page, the Markdown and the command line
all show this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hilmix.figures import Figure, Series, Table
from training.evaluation.leakage import Leakage
from training.evaluation.scores import METRICS, pool_reliability, summarise

FORMAT = "hilmix-report/1"
ENOUGH_SEEDS = 5
_ARROWS = {True: " ↑", False: " ↓", None: ""}


@dataclass(frozen=True)
class RunResult:
    """One finished run as the report needs it; fields as in `training.runs.models.Run`."""

    seed: int
    curves: list[dict[str, float]]
    metrics: dict[str, Any]
    environment: dict[str, Any]
    n_steps: int
    plan_sha256: str


@dataclass(frozen=True)
class ArmResult:
    """One arm with its runs in order of seed; `params` is the release's record of the policy."""

    name: str
    policy: str
    params: dict[str, Any]
    runs: tuple[RunResult, ...]


def report_content(
    *,
    name: str,
    source: str,
    arms: Sequence[ArmResult],
    leakage: Leakage,
    provenance: Sequence[tuple[str, str]],
    config: dict[str, Any],
) -> dict[str, Any]:
    """The report of an experiment whose runs are all finished.

    `source` is the release's (person, simulated or imported); `provenance` pairs of label and value that name
    release, image set, configuration and code.
    """
    seeds = [run.seed for run in arms[0].runs]
    first = arms[0].runs[0]
    cited = "; ".join(f"{label} {value}" for label, value in provenance[:4])
    return {
        "format": FORMAT,
        "name": name,
        "source": source,
        "watermark": "Simulated participants" if source == "simulated" else "",
        "notes": _notes(source, len(seeds), first.metrics["ce_human"] is None),
        "seeds": seeds,
        "n_evaluation": first.metrics["n"],
        "metrics": [asdict(metric) for metric in METRICS if first.metrics[metric.key] is not None],
        "arms": [_arm(arm) for arm in arms],
        "figures": [figure.as_dict() for figure in _figures(arms, first.metrics["n"], cited)],
        "leakage": {**asdict(leakage), "sentences": list(leakage.sentences)},
        "budget": _budget(arms),
        "provenance": [list(pair) for pair in (*provenance, *_environment(arms))],
        "config": config,
    }


def score_table(content: dict[str, Any]) -> Table:
    """Arms × metrics as mean ± spread over the seeds: the table of the page, the command line and the
    Markdown."""
    rows = []
    for arm in content["arms"]:
        cells = [spread_text(arm["summary"][metric["key"]]) for metric in content["metrics"]]
        rows.append((arm["name"], *cells))
    n_seeds, n_images = len(content["seeds"]), content["n_evaluation"]
    caption = (
        f"Mean ± standard deviation over {n_seeds} seed{'s' * (n_seeds > 1)}, on {n_images} evaluation "
        "images. ↑ higher is better, ↓ lower is better."
    )
    heads = [f"{metric['name']}{_ARROWS[metric['higher_is_better']]}" for metric in content["metrics"]]
    return Table(caption, ("Arm", *heads), tuple(rows))


def spread_text(summary: dict[str, Any] | None) -> str:
    """ "0.912 ± 0.004"; without a spread for one seed, a dash where nothing was measured."""
    if summary is None:
        return "–"
    if summary["sd"] is None:
        return f"{summary['mean']:.4f}"
    return f"{summary['mean']:.4f} ± {summary['sd']:.4f}"


def _notes(source: str, n_seeds: int, no_human_labels: bool) -> list[str]:
    """Why there is no verdict, and what else a reader must know first."""
    notes = []
    if source == "simulated":
        notes.append(
            "The answers were simulated, not given by people: this report shows that the way works, "
            "and gives no verdict."
        )
    if n_seeds < ENOUGH_SEEDS:
        notes.append(f"Too few seeds for a verdict: {n_seeds}, where at least {ENOUGH_SEEDS} are needed.")
    notes.append("No contrast was planned before the first run, so every difference here is exploratory.")
    if no_human_labels:
        notes.append("The image set has no human labels, so cross-entropy against them was not measured.")
    return notes


def _arm(arm: ArmResult) -> dict[str, Any]:
    summary = {}
    for metric in METRICS:
        found = summarise([run.metrics[metric.key] for run in arm.runs])
        summary[metric.key] = asdict(found) if found else None
    return {"name": arm.name, "policy": arm.policy, "params": arm.params, "summary": summary}


def _budget(arms: Sequence[ArmResult]) -> dict[str, Any]:
    """Whether every arm of a seed saw the same batches with the same augmentation, by the hash of each run's
    plan."""
    plans = [[run.plan_sha256 for run in arm.runs] for arm in arms]
    steps = {run.n_steps for arm in arms for run in arm.runs}
    equal = len(steps) == 1 and all(row == plans[0] for row in plans)
    sentence = (
        f"Every run took {steps.pop()} steps; all arms of a seed saw the same batches, augmented alike."
        if equal
        else "The arms did NOT see the same batches: do not compare them."
    )
    return {"equal": equal, "sentence": sentence, "plans": plans[0]}


def _environment(arms: Sequence[ArmResult]) -> list[tuple[str, str]]:
    """Device, precision and versions; where runs differ (a resumed experiment), all values are named."""
    runs = [run for arm in arms for run in arm.runs]
    labels = {
        "device": "Device", "threads": "Threads", "precision": "Precision", "python": "Python", "torch":
        "torch", "numpy": "numpy", "code": "Code that trained",
    }  # fmt: skip
    pairs = []
    for key, label in labels.items():
        values = sorted({str(run.environment[key]) for run in runs if key in run.environment})
        pairs.append((label, ", ".join(values)))
    seconds = sum(run.environment["seconds"] for run in runs)
    return [*pairs, ("Training time", f"{seconds:.0f} s for {len(runs)} runs")]


def _figures(arms: Sequence[ArmResult], n: int, source: str) -> list[Figure]:
    n_seeds = len(arms[0].runs)
    over = f"Thick: mean over {n_seeds} seeds; thin: each seed." if n_seeds > 1 else "One seed."
    return [
        _curve(
            arms, source, "train_loss", "Training loss", "cross-entropy, nats",
            f"Mean soft cross-entropy of each epoch's batches, augmentation on. {over} Dashed: the "
            "mean entropy of the arm's targets, the floor below which no loss can fall; compare the distance "
            "to the floor, not the height.",
            floor=True,
        ),
        _curve(
            arms, source, "validation_loss", "Evaluation loss", "cross-entropy, nats",
            f"Cross-entropy against the hard labels of the {n} evaluation images after each epoch. {over} "
            "Nothing is selected on it: the weights of the last epoch are judged. Logarithmic scale.",
            log_y=True,
        ),
        _curve(
            arms, source, "validation_accuracy", "Evaluation accuracy", "share correct",
            f"Accuracy on the {n} evaluation images after each epoch. {over}",
        ),
        _reliability(arms, n, source),
    ]  # fmt: skip


def _curve(
    arms: Sequence[ArmResult],
    source: str,
    key: str,
    title: str,
    unit: str,
    definition: str,
    *,
    floor: bool = False,
    log_y: bool = False,
) -> Figure:
    """One figure over epochs: each seed faint, the mean on top, and a dashed floor where asked for."""
    series, columns, means = [], ["Epoch"], []
    for group, arm in enumerate(arms):
        line = _mean_curve(arm, key)
        if len(arm.runs) > 1:
            series += [
                Series(f"{arm.name}, seed {run.seed}", _points(_curve_of(run, key)), group, "faint")
                for run in arm.runs
            ]
        series.append(Series(arm.name, _points(line), group))
        columns.append(arm.name)
        means.append(line)
        if floor:
            lowest = _mean_curve(arm, "train_floor")
            series.append(Series(f"{arm.name}, floor", _points(lowest), group, "dashed"))
            columns.append(f"{arm.name}, floor")
            means.append(lowest)
    rows = tuple((epoch + 1, *(values[epoch] for values in means)) for epoch in range(len(means[0])))
    table = Table(f"{title}, mean over seeds", tuple(columns), rows)
    return Figure(key, "curve", title, definition, "epoch", unit, tuple(series), table, source, log_y)


def _reliability(arms: Sequence[ArmResult], n: int, source: str) -> Figure:
    """Accuracy against confidence, all seeds together; bins without predictions are left out."""
    series, pooled = [], []
    for group, arm in enumerate(arms):
        bins = pool_reliability([run.metrics["reliability"] for run in arm.runs])
        pooled.append(bins)
        filled = tuple((b["confidence"], b["accuracy"], b["n"]) for b in bins if b["n"])
        series.append(Series(arm.name, filled, group))
    columns = ["Confidence"]
    for arm in arms:
        columns += [f"{arm.name}: {what}" for what in ("predictions", "mean confidence", "accuracy")]
    rows = []
    for bins in zip(*pooled, strict=True):
        cells: list[str | int | float | None] = [f"{bins[0]['low']:.2f}–{bins[0]['high']:.2f}"]
        for b in bins:
            cells += [b["n"], b["confidence"], b["accuracy"]]
        rows.append(tuple(cells))
    definition = (
        "Share of correct predictions against mean confidence of the most probable class, in "
        f"{len(rows)} bins of equal width; predictions of all seeds together ({n} images each). On the "
        "diagonal a model is as often right as it says, below it less often. The larger a point, the more "
        "predictions are behind it."
    )
    return Figure(
        "reliability",
        "reliability",
        "Reliability",
        definition,
        "confidence",
        "accuracy",
        tuple(series),
        Table("Reliability, all seeds together", tuple(columns), tuple(rows)),
        source,
    )


def _mean_curve(arm: ArmResult, key: str) -> list[float]:
    """Mean over seeds, epoch by epoch."""
    return [
        float(mean) for mean in np.mean([[epoch[key] for epoch in run.curves] for run in arm.runs], axis=0)
    ]


def _points(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((epoch + 1, value) for epoch, value in enumerate(values))


def _curve_of(run: RunResult, key: str) -> list[float]:
    return [epoch[key] for epoch in run.curves]
