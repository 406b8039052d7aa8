"""What the page of a finished run shows, as data (`hilmix-run/1`). Pure: no torch and no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hilmix.figures import Cell, Figure, Item, Picture, Series, Table, show
from training.evaluation import calibration, metrics, people
from training.evaluation.predictions import Predictions
from training.evaluation.ranking import confusion_matrix
from training.evaluation.values import BY_KEY, GROUPS, METRICS
from training.reports import confusion
from training.reports.drawing import BINS
from training.reports.inputs import SCORES
from training.reports.run.behind import ORDERS, Behind, Ints, Judged, distances

FORMAT = "hilmix-run/1"
SHOWN = 12  # images of a gallery; all of them are on a page of their own
_PER_CLASS = {"precision": "Precision", "recall": "Recall", "f1": "F1", "auroc": "AUROC", "auprc": "AP"}


def run_content(
    judged: Judged,
    shown: Behind,
    *,
    title: str,
    classes: Sequence[str],
    scores: Mapping[str, Any],
    training: Mapping[str, Any] | None,
    source: str,
    watermark: str,
    address: Callable[[int], str],
) -> dict[str, Any]:
    """Everything but the curves. `scores` are those of the run's row, of which metrics are taken that were not measured
    with an interval; `training` is the accuracy on training images; `address(place)` is where an image's picture is."""
    found = judged.predictions
    counts = confusion_matrix(found.p.argmax(axis=1), found.labels, len(classes))
    return {
        "format": FORMAT,
        "title": title,
        "where": judged.where,
        "n": len(found.labels),
        "classes": list(classes),
        "watermark": watermark,
        "n_mistakes": int(np.count_nonzero(shown.orders[ORDERS.index("mistakes")] >= 0)),
        "has_people": found.human is not None,
        "metrics": metric_rows(judged, scores, training),
        "by_class": asdict(table) if (table := _by_class(judged, classes)) else None,
        "confusion": counts.tolist(),
        "bins": [
            number for number in range(calibration.N_BINS) if shown.bins[number] < shown.bins[number + 1]
        ],
        "figures": [
            figure.as_dict()
            for figure in (
                _confusion(counts, classes, title, judged.where, source),
                _reliability(found, title, judged.where, source),
                *_galleries(judged, shown, classes, source, address),
            )
        ],
    }


def metric_rows(
    judged: Judged, scores: Mapping[str, Any], training: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Groups of metrics, each with its rows: key, name, definition, which way is better, and its figure."""
    known = {SCORES[key]: {"value": one} for key, one in scores.items() if key in SCORES and one is not None}
    known |= {key: one for key, one in judged.evaluation.items() if key in BY_KEY}
    if judged.predictions.human is not None:
        # By the votes that are known now, as a report has them, which may be more than when the run was judged.
        reach = people.reach(judged.predictions.counts)
        known |= {key: _beside(one, reach.beside(key)) for key, one in known.items() if reach.beside(key)}
    groups = []
    for group, title in GROUPS.items():
        rows = [
            {
                "key": metric.key,
                "name": metric.name,
                "definition": metric.definition,
                "unit": metric.unit,
                "floor_is": metric.floor,
                "ceiling_is": metric.ceiling,
                "higher_is_better": metric.higher_is_better,
                **{key: known[metric.key].get(key) for key in ("value", "interval", "floor", "ceiling")},
                "undefined": list(known[metric.key].get("undefined", ())),
            }
            for metric in METRICS
            if metric.group == group and metric.key in known
        ]
        if group == "labels" and rows and training:
            rows.insert(1, _on_training(training))
        if rows:
            groups.append({"key": group, "title": title, "rows": rows})
    return groups


def _beside(one: Mapping[str, Any], bounds: Mapping[str, float]) -> dict[str, Any]:
    undefined = [said for said in one.get("undefined", ()) if said not in people.NO_CEILING]
    return {**one, **bounds, "undefined": undefined}


def _on_training(accuracy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": "training_accuracy",
        "name": "Accuracy, training",
        "definition": f"share right of {accuracy['n']} plain training images, neither mixed nor augmented; far above "
        "the accuracy says that the model over-fits",
        "unit": "",
        "floor_is": "",
        "ceiling_is": "",
        "higher_is_better": None,
        "value": accuracy["value"],
        "interval": accuracy["interval"],
        "floor": None,
        "ceiling": None,
        "undefined": list(accuracy.get("undefined", ())),
    }


def _by_class(judged: Judged, classes: Sequence[str]) -> Table | None:
    """Precision and recall side by side: a rare class that is missed is in no mean over images."""
    told = judged.evaluation.get("per_class")
    if not told:
        return None
    keys = [key for key in _PER_CLASS if key in told]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, told[keys[0]][k]["n"], *(_within(told[key][k]) for key in keys))
        for k, name in enumerate(classes)
    )
    heads = ("Class", "Images", *(_PER_CLASS[key] for key in keys))
    return Table(f"By class, on the {judged.where} images, with 95 % intervals", heads, rows)


def _within(one: Mapping[str, Any]) -> str | None:
    if one["value"] is None:
        return None
    if not one.get("interval"):
        return show(one["value"])
    low, high = one["interval"]
    return f"{one['value']:.3f} ({low:.3f} to {high:.3f})"


def _confusion(counts: Ints, classes: Sequence[str], title: str, where: str, source: str) -> Figure:
    n = int(counts.sum())
    wrong = n - int(np.trace(counts))
    off = counts.copy()
    np.fill_diagonal(off, 0)
    reading = f"All {n} {where} images are right."
    if wrong:
        actual, predicted = divmod(int(off.argmax()), len(off))
        reading = (
            f"{wrong} of {n} {where} images are wrong; most often {classes[actual]} is taken for "
            f"{classes[predicted]} ({off[actual, predicted]} of {counts[actual].sum()})."
        )
    heads = ("Actual", *(f"as {name}" for name in classes), "all")
    rows: list[tuple[Cell, ...]] = [
        (classes[k], *(int(one) for one in line), int(line.sum())) for k, line in enumerate(counts)
    ]
    if len(classes) > confusion.MOST_COLUMNS:
        heads = ("Actual", "Predicted", "Images")
        order = [int(place) for place in np.argsort(-off, axis=None, kind="stable") if off.flat[place]]
        pairs = [divmod(place, len(off)) for place in order[: confusion.LISTED]]
        rows = [(classes[i], classes[j], int(off[i, j])) for i, j in pairs]
    return Figure(
        "confusion", "matrix", "What is taken for what",
        f"The {n} {where} images by their class (row) and what the model took them for (column); shade: the square "
        "root of the share of the row. Choose a cell to see its images.",
        "predicted", "actual", (Series(title, confusion.cells_of(counts), 0),),
        Table("Images by actual and predicted class", heads, tuple(rows)), source,
        reading=reading, x_categories=tuple(classes), y_categories=tuple(classes),
    )  # fmt: skip


def _reliability(found: Predictions, title: str, where: str, source: str) -> Figure:
    confidence, outcome = calibration.top_class(found.p, found.labels)
    points = [one for one in calibration.curve(confidence, outcome) if one.n]
    gap = float(confidence.mean() - outcome.mean())
    outside = [one for one in points if one.band and not one.band[0] <= (one.accuracy or 0) <= one.band[1]]
    side = "above" if gap > 0 else "below"
    reading = (
        f"Its mean confidence is {100 * abs(gap):.1f} percentage points {side} its accuracy; {len(outside)} of "
        f"{len(points)} bins lie outside of where a calibrated model would be."
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{one.low:.2f}–{one.high:.2f}", one.n, one.confidence, one.accuracy, *(one.band or (None, None)))
        for one in points
    )
    series = Series(
        title,
        tuple(
            (one.confidence, one.accuracy, one.n, *(one.band or (None, None)), int(one.thin))
            for one in points
        ),
        0,
    )
    return Figure(
        "reliability", "reliability", "Reliability",
        f"Share right against mean confidence in {calibration.N_BINS} bins, on {len(outcome)} {where} images; on the "
        "diagonal it is as often right as it says. Choose a point to see its images.",
        "confidence", "accuracy", (series,),
        Table(
            f"Bins of confidence. {BINS}",
            ("Confidence", "Images", "mean confidence", "accuracy", "band from", "to"), rows,
        ),
        source, reading=reading,
    )  # fmt: skip


def _galleries(
    judged: Judged,
    shown: Behind,
    classes: Sequence[str],
    source: str,
    address: Callable[[int], str],
) -> list[Figure]:
    found, where = judged.predictions, judged.where
    entropies = metrics.entropies(found.p)
    apart = None if found.human is None else distances(found)

    def rows_of(order: str) -> list[int]:
        return [int(row) for row in shown.orders[ORDERS.index(order)][:SHOWN] if row >= 0]

    def figure(key: str, title: str, definition: str, reading: str, value: str, values: Any) -> Figure:
        rows = rows_of(key)
        items = tuple(
            Item(
                (Picture(address(int(judged.numbers[row])), f"{where} image, {classes[found.labels[row]]}"),),
                caption(row),
            )
            for row in rows
        )
        heads = ("Image", "Label", "Model", "Confidence", value)
        told: tuple[tuple[Cell, ...], ...] = tuple(
            (
                int(judged.numbers[row]),
                classes[found.labels[row]],
                classes[int(found.p[row].argmax())],
                float(found.p[row].max()),
                float(values[row]),
            )
            for row in rows
        )
        return Figure(
            key, "gallery", title, definition, "", "", (), Table(title, heads, told), source,
            reading=reading, items=items,
        )  # fmt: skip

    def caption(row: int) -> str:
        said = f"{classes[found.labels[row]]}; model: {classes[int(found.p[row].argmax())]} {found.p[row].max():.2f}"
        if found.human is None:
            return said
        most = int(found.human[row].argmax())
        return f"{said}; people: {classes[most]} {found.human[row, most]:.2f}"

    sure = [float(found.p[row].max()) for row in rows_of("mistakes")]
    unsure = rows_of("uncertain")
    figures = []
    if sure:
        figures.append(
            figure(
                "mistakes", "Most confident mistakes",
                f"Of the {where} images that are wrong those with the highest confidence. Label first.",
                f"Its surest mistake has a confidence of {sure[0]:.3f}. Look whether the label or the model is wrong.",
                "Entropy, nats", entropies,
            )
        )  # fmt: skip
    figures.append(
        figure(
            "uncertain", "Most uncertain",
            f"The {where} images with the highest entropy of what the model says, right or wrong.",
            f"Of these {len(unsure)}, "
            f"{sum(int(found.p[row].argmax()) == int(found.labels[row]) for row in unsure)} are right.",
            "Entropy, nats", entropies,
        )
    )  # fmt: skip
    if apart is not None:
        largest = rows_of("people")
        agreed = sum(int(found.p[row].argmax()) == int(found.labels[row]) for row in largest)
        figures.append(
            figure(
                "people", "Largest disagreement with people",
                f"The {where} images whose model and people's distributions are furthest apart: half of Σ |p̂ₖ − qₖ|, "
                "0 to 1.",
                f"Model and people are {apart[largest[0]]:.3f} apart at most; by the label the model is right on "
                f"{agreed} of these {len(largest)}.",
                "Distance", apart,
            )
        )  # fmt: skip
    return figures
