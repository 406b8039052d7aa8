"""The figures of a report, as data: what is drawn, what it means and what it was computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilmix.figures import Cell, Figure, Series, Table, needs_log
from training.evaluation.calibration import THIN
from training.evaluation.corruptions import GROUPS
from training.evaluation.values import BY_KEY
from training.reports.inputs import ArmResult, RunResult
from training.reports.tables import pair_words, which_interval

_RELIABILITY = {
    "none": ("reliability", "Reliability", ""),
    "hard": (
        "reliability_hard",
        "Reliability after T of the labels",
        ", logits divided by the temperature that fits the labels of the validation images",
    ),
    "human": (
        "reliability_human",
        "Reliability after T of people",
        ", logits divided by the temperature that fits what people said of the validation images",
    ),
}
# How a reliability diagram is read, beside its table.
BINS = (
    f"The larger a point, the more predictions are behind it; hollow below {THIN} of a model. Band, drawn as a pale "
    "bar: where a calibrated model's accuracy would be in 95 % of draws; a point within is no sign of miscalibration."
)


def curves_of(
    arms: Sequence[ArmResult], n: int, source: str, *, apart: bool, n_apart: int | None = None
) -> list[Figure]:
    """Losses and accuracy after each epoch, of the arms that were trained here; watched were `n_apart` validation
    images where such were set `apart`, else the `n` evaluation images."""
    trained = [arm for arm in arms if any(run.curves for run in arm.runs)]
    if not trained:
        return []
    n_seeds = max(len(arm.runs) for arm in trained)
    over = "Thick: mean over seeds; thin: each seed" if n_seeds > 1 else "One seed"
    some = "" if n_apart is None else f"{n_apart} "
    which = "Validation" if apart else "Evaluation"
    watched = f"the {some}validation images" if apart else f"the {n} evaluation images (none were set apart)"
    return [
        _curve(
            trained, source, "train_loss", "Training loss", "cross-entropy, nats",
            f"Mean soft cross-entropy of each epoch's batches, augmentation on. {over}; dashed: the entropy of the "
            "arm's targets, below which no loss falls: compare the distances.",
            floor=True,
        ),
        _curve(
            trained, source, "validation_loss", f"{which} loss", "cross-entropy, nats",
            f"Cross-entropy against the hard labels of {watched} after each epoch, by which none is chosen. {over}.",
        ),
        _curve(
            trained, source, "validation_accuracy", f"{which} accuracy", "share correct",
            f"Accuracy on {watched}, after each epoch. {over}.",
        ),
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
) -> Figure:
    """One figure over epochs: each seed faint, the mean on top, and a dashed floor where asked for; a loss that falls
    far on a logarithmic scale."""
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
    epochs = max(len(values) for values in means)
    rows: list[tuple[Cell, ...]] = [
        (epoch + 1, *(values[epoch] if epoch < len(values) else None for values in means))
        for epoch in range(epochs)
    ]
    table = Table(f"{title}, mean over seeds", tuple(columns), tuple(rows))
    values = (point[1] for one in series for point in one.points)
    log_y = key == "validation_loss" and needs_log(values)
    return Figure(key, "curve", title, definition, "epoch", unit, tuple(series), table, source, log_y)


def reliability_of(
    calibration: Mapping[str, Sequence[Mapping[str, Any]]], n: int, source: str
) -> list[Figure]:
    """One figure for each temperature that was assessed for some arm; `calibration` by arm."""
    found = []
    for way, (key, title, more) in _RELIABILITY.items():
        known = {
            name: one["bins"]
            for name, ways in calibration.items()
            for one in ways
            if one["key"] == way and "bins" in one
        }
        if not known:
            continue
        columns = ["Confidence"]
        for name in known:
            columns += [
                f"{name}: {what}" for what in ("predictions", "confidence", "accuracy", "band from", "to")
            ]
        rows: list[tuple[Cell, ...]] = []
        for bins in zip(*known.values(), strict=True):
            cells: list[Cell] = [f"{bins[0]['low']:.2f}–{bins[0]['high']:.2f}"]
            for one in bins:
                low, high = one["band"] or (None, None)
                cells += [one["n"], one["confidence"], one["accuracy"], low, high]
            rows.append(tuple(cells))
        series = tuple(
            Series(name, tuple(_bin(one) for one in bins if one["n"]), group)
            for group, (name, bins) in enumerate(known.items())
        )
        definition = (
            f"Share right against mean confidence in {len(rows)} bins, all seeds together ({n} images each){more}. On "
            "the diagonal a model is as often right as it says."
        )
        table = Table(f"{title}, all seeds together. {BINS}", tuple(columns), tuple(rows))
        found.append(
            Figure(key, "reliability", title, definition, "confidence", "accuracy", series, table, source)
        )
    return found


def _bin(one: Mapping[str, Any]) -> tuple[float | None, ...]:
    low, high = one["band"] or (None, None)
    return one["confidence"], one["accuracy"], one["n"], low, high, int(one["thin"])


def contrasts_of(contrasts: Mapping[str, Any], primary: str, source: str) -> list[Figure]:
    """The differences in the primary metric: the planned ones, and apart from them each arm's from the reference."""
    metric = BY_KEY[primary]
    better = {True: "Above 0 the first arm is better.", False: "Below 0 the first arm is better.", None: ""}
    found = []
    for key, name, title in (
        ("contrasts", "planned", "Contrasts"),
        ("differences", "exploratory", "Differences"),
    ):
        shown = [one for one in contrasts[name] if one["metric"] == primary]
        if not shown:
            continue
        ends = [(one["value"], *(one["interval_holm"] or one["interval"])) for one in shown]
        names = tuple(pair_words(one) for one in shown)
        which = which_interval(shown)
        definition = (
            f"Difference in {metric.name} ({metric.definition}), first arm less second. {which}. "
            f"{better[metric.higher_is_better]}"
        )
        table = Table(
            f"Differences in {metric.name}. {which}",
            ("Contrast", "Difference", "from", "to"),
            tuple((name, *three) for name, three in zip(names, ends, strict=True)),
        )
        series = (Series(name, tuple((float(row), *three) for row, three in enumerate(ends)), 0),)
        found.append(
            Figure(
                key, "forest", f"{title}: {metric.name}", definition,
                f"difference in {metric.name}", "contrast", series, table, source,
                y_categories=names, reference=0.0,
            )
        )  # fmt: skip
    return found


def robustness_of(told: Mapping[str, Any], source: str) -> list[Figure]:
    """Errors by severity, and break rates by group."""
    figures = []
    lines = {one["name"]: one["error_by_severity"] for one in told["arms"] if one.get("error_by_severity")}
    if lines:
        rows = tuple((severity + 1, *(line[severity] for line in lines.values())) for severity in range(5))
        series = tuple(Series(name, _points(line), group) for group, (name, line) in enumerate(lines.items()))
        figures.append(
            Figure(
                "corruptions", "curve", "Errors under corruptions",
                "Share of errors at each severity, mean over the 15 corruptions and the seeds.",
                "severity", "share of errors", series,
                Table("Errors by severity", ("Severity", *lines), rows), source,
            )
        )  # fmt: skip
    scored = [one for one in told["arms"] if one.get("score")]
    if scored:
        series = tuple(
            Series(
                one["name"],
                tuple(
                    (float(place), one["groups"][group]["value"], *one["groups"][group]["interval"])
                    for place, group in enumerate(GROUPS)
                ),
                number,
            )
            for number, one in enumerate(scored)
        )
        cells = tuple((group, *(one["groups"][group]["value"] for one in scored)) for group in GROUPS)
        figures.append(
            Figure(
                "break_rates", "bars", "What breaks",
                "Of the images that are right as they are, the share that is wrong under a group of changes, with 95 % "
                "intervals. The risk score is 100 times the mean of the groups.",
                "group", "break rate", series,
                Table("Break rates by group", ("Group", *(one["name"] for one in scored)), cells), source,
                x_categories=GROUPS,
            )
        )  # fmt: skip
    return figures


def thirds_of(thirds: Mapping[str, Sequence[Mapping[str, Any]]], source: str) -> list[Figure]:
    """Cross-entropy against people where they agree and where they do not."""
    known = {name: rows for name, rows in thirds.items() if len(rows) == 3}
    if not known:
        return []
    key, words = "human_cross_entropy", ("people agree most", "between", "people agree least")
    series = [
        Series(name, tuple((float(k), row[key]["value"]) for k, row in enumerate(rows)), group)
        for group, (name, rows) in enumerate(known.items())
    ]
    first = next(iter(known.values()))
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (
            words[k],
            *(rows[k][key]["value"] for rows in known.values()),
            row[key]["floor"],
        )
        for k, row in enumerate(first)
    )
    return [
        Figure(
            "human_thirds", "bars", "Where people disagree",
            f"{BY_KEY[key].name} on thirds of the test images by the entropy of what people said, mean over seeds. The "
            "floor in the table is the entropy of the labels themselves.",
            "third of the test images", "nats", tuple(series),
            Table("By human entropy", ("Third", *known, "floor"), cells), source,
            x_categories=words,
        )
    ]  # fmt: skip


def _mean_curve(arm: ArmResult, key: str) -> list[float]:
    """Mean over seeds, epoch by epoch."""
    lines = [_curve_of(run, key) for run in arm.runs if run.curves]
    shortest = min(len(line) for line in lines)
    return [float(mean) for mean in np.mean([line[:shortest] for line in lines], axis=0)]


def _points(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((epoch + 1, value) for epoch, value in enumerate(values))


def _curve_of(run: RunResult, key: str) -> list[float]:
    return [epoch[key] for epoch in run.curves]
