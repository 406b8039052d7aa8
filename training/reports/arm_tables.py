"""Tables of what each arm is by itself: at three temperatures, by class, and against people on thirds of entropy.

Nothing is computed but words and rounding. Reports that were stored without some of it are shown without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hilmix.figures import Cell, Table, show
from training.evaluation.values import BY_KEY
from training.reports.tables import ARROWS, within
from training.reports.telling import COOLED

ByArm = Sequence[tuple[str, Any]]  # what is stored for each arm, in their order
Part = tuple[tuple[str, ...], tuple[Table, ...]]

THIRDS = "Least", "Middle", "Most"


def calibration(told: ByArm) -> Part:
    """Calibration on the test images, as trained and with each temperature, and why one was not fitted."""
    rows: list[tuple[Cell, ...]] = []
    said: dict[tuple[str, str], list[str]] = {}
    for name, ways in told:
        for one in ways:
            words = f"{one['temperature'][0].upper()}{one['temperature'][1:]}"
            if "not_assessed" in one:
                said.setdefault((words, f"not assessed, {one['not_assessed']}"), []).append(name)
                continue
            for note in one.get("notes", ()):
                said.setdefault((words, note), []).append(name)
            figures = one.get("figures", {})
            rows.append(
                (
                    name,
                    one["temperature"],
                    one["T"],
                    within(one["ece"], one["interval"]),
                    one["floor"],
                    *(figures.get(key) for key in COOLED),
                )
            )
    sentences = tuple(
        f"{words} ({'all arms' if len(names) == len(told) else ', '.join(names)}): {why}."
        for (words, why), names in said.items()
    )
    table = Table(
        "Calibration on the test images, mean over seeds, with and without temperature scaling, which was fitted on "
        "validation images: T of the labels to the least log loss, T of people to the least cross-entropy against "
        "human labels. The interval is of the error itself; the floor is what chance alone shows in an ECE.",
        ("Arm", "Temperature", "T", "ECE ↓", "Floor of ECE", *COOLED.values()),
        tuple(rows),
    )
    return sentences, (table,) if rows else ()


def by_class(told: ByArm) -> Part:
    """Precision, recall and F1 of each class, a table an arm."""
    tables = tuple(
        Table(
            f"{name}, by class: mean over seeds. A dash is a class that no test image is of.",
            ("Class", "Images", "Precision ↑", "Recall ↑", "F1 ↑"),
            tuple((row["class"], row["n"], row["precision"], row["recall"], row["f1"]) for row in rows),
        )
        for name, rows in told
        if rows
    )
    return (), tables


def by_entropy(told: ByArm) -> Part:
    """All figures against people on each third of the test images by how much people disagreed, a table a third."""
    known = [(name, thirds) for name, thirds in told if thirds]
    tables = []
    for number in range(len(known[0][1]) if known else 0):
        each = [thirds[number] for _, thirds in known]
        low, high = each[0]["entropy"]
        rows = tuple(
            (
                f"{BY_KEY[key].name}{ARROWS[BY_KEY[key].higher_is_better]}",
                *(one.get(key, {}).get("value") for one in each),
                None if key == "human_ece" else each[0].get(key, {}).get("floor"),
            )
            for key in BY_KEY
            if any(key in one for one in each)
        )
        caption = f"{THIRDS[number]} disagreement of people: entropy {show(low)} to {show(high)} nats, mean over seeds."
        tables.append(Table(caption, ("Against people", *(name for name, _ in known), "Floor"), rows))
    said = (
        "Thirds of the test images by the entropy of their human labels. There is no human ceiling on a third, as the "
        "same votes have chosen its images.",
    )
    return (said if tables else ()), tuple(tables)
