"""Which class is taken for which: the confusion of each arm, all of its seeds together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hilmix.figures import Cell, Figure, Series, Table
from training.evaluation.ranking import confusion_matrix
from training.reports.inputs import ArmResult, RunResult

MOST_COLUMNS = 20  # classes of which the table is a matrix too
LISTED = 100  # confusions that it lists of more classes


def confusion_of(run: RunResult) -> NDArray[np.int64] | None:
    """Counts [K, K] of the test images, rows actual; None where neither they nor the predictions are known."""
    stored = run.evaluations.get("test", {}).get("confusion")
    if stored is not None:
        return np.asarray(stored, dtype=np.int64)
    if run.test is None:
        return None
    return confusion_matrix(run.test.p.argmax(axis=1), run.test.labels, run.test.p.shape[1])


def figures_of(arms: Sequence[ArmResult], classes: Sequence[str], n: int, source: str) -> list[Figure]:
    """One figure with a matrix of each arm whose runs are all known; `n` test images. `classes` are the names in order,
    without which numbers stand for them."""
    summed: dict[str, NDArray[np.int64]] = {}
    for arm in arms:
        each = [one for run in arm.runs if (one := confusion_of(run)) is not None]
        if each and len(each) == len(arm.runs):
            summed[arm.name] = np.sum(each, axis=0)
    if not summed:
        return []
    size = max(len(counts) for counts in summed.values())
    names = tuple(classes) if len(classes) == size else tuple(str(label) for label in range(size))
    definition = (
        f"The {n} test images by their class (row) and what a model took them for (column), once for each seed of the "
        "arm. Shade: the square root of the share of the row."
    )
    return [
        Figure(
            "confusion", "matrix", "What is taken for what", definition, "predicted", "actual",
            tuple(Series(name, cells_of(counts), group) for group, (name, counts) in enumerate(summed.items())),
            _table(summed, names), source, reading=_reading(summed, names),
            x_categories=names, y_categories=names,
        )
    ]  # fmt: skip


def cells_of(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], ...]:
    """(column, row, count, share of the row) of each cell that holds an image."""
    rows = counts.sum(axis=1)
    return tuple(
        (int(column), int(row), int(counts[row, column]), float(counts[row, column] / rows[row]))
        for row, column in np.argwhere(counts)
    )


def _reading(summed: dict[str, NDArray[np.int64]], names: Sequence[str]) -> str:
    """The confusion that is most frequent over all arms."""
    wrong = np.sum(list(summed.values()), axis=0)
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "No test image was taken for another class."
    row, column = divmod(int(wrong.argmax()), len(wrong))
    return (
        f"Most often {names[row]} is taken for {names[column]}: {wrong[row, column]} of {wrong.sum()} mistakes, "
        "all arms and seeds together."
    )


def _table(summed: dict[str, NDArray[np.int64]], names: Sequence[str]) -> Table:
    """Each arm's matrix with the share of each class that is right; of many classes the most frequent confusions."""
    if len(names) > MOST_COLUMNS:
        return _listed(summed, names)
    rows: list[tuple[Cell, ...]] = []
    for arm, counts in summed.items():
        for actual, line in enumerate(counts):
            total = int(line.sum())
            right = float(line[actual] / total) if total else None
            rows.append((arm, names[actual], *(int(count) for count in line), total, right))
    columns = ("Arm", "Actual", *(f"as {name}" for name in names), "all", "share right")
    return Table("Predicted class by actual class, all seeds together", columns, tuple(rows))


def _listed(summed: dict[str, NDArray[np.int64]], names: Sequence[str]) -> Table:
    wrong = np.sum(list(summed.values()), axis=0)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.flat[place]]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (names[actual], names[predicted], *(int(counts[actual, predicted]) for counts in summed.values()))
        for actual, predicted in pairs
    )
    caption = f"The most frequent confusions (at most {LISTED}), all seeds together"
    return Table(caption, ("Actual", "Predicted", *summed), rows)
