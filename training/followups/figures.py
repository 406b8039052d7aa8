"""A follow-up's labels as figures, made of what `estimating` found: words and rounding only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilmix.figures import Cell, Figure, Series, Table
from training.reports.headline import short

NAMES = {"rule": "by the rule", "random": "at random"}
TO = {"model": "model", "mixup": "mixup"}


def figures_of(told: Mapping[str, Any], source: str, *, simulated: bool = False) -> list[Figure]:
    """What is left of the distances, and every image's label before and after; without a verdict where `simulated`."""
    found = [_labels(told, source)]
    if any(one["before"] is not None for one in told["sets"]):
        found.insert(0, _regression(told, source, simulated))
    return found


def _regression(told: Mapping[str, Any], source: str, simulated: bool) -> Figure:
    known = [one for one in told["sets"] if one["before"] is not None]
    names = [f"{NAMES[one['set']]}, from {TO[one['to']]}" for one in known]
    rows: list[tuple[Cell, ...]] = [
        (name, one["n"], *one["before"], *one["after"], *one["fall"])
        for name, one in zip(names, known, strict=True)
    ]
    columns = ["Images", "n"]
    for what in ("by old answers", "by new answers", "fall"):
        columns += [what, f"{what}: from", f"{what}: to"]
    series = [
        Series(f"by {what} answers", tuple((place, *one[key]) for place, one in enumerate(known)), group)
        for group, (what, key) in enumerate((("old", "before"), ("new", "after")))
    ]
    return Figure(
        "regression",
        "bars",
        "What is left of the distance when people are asked again",
        "How far people's share of the first parent is from the model's and from mixup's λ, by the answers that the "
        "rule saw and by new ones in the same direction (below 0: on the other side).",
        "images",
        "distance between shares",
        tuple(series),
        Table(
            "Distances before and after, mean over images, with 95 % intervals (Student's t)",
            tuple(columns),
            tuple(rows),
        ),
        source,
        reading=_reading(told, simulated),
        x_categories=tuple(names),
    )


def _reading(told: Mapping[str, Any], simulated: bool) -> str:
    """What is left in either set, from the model; how far old answers overstate it in the rule's set, and whether by
    more than in the random one."""
    sets = {one["set"]: one for one in told["sets"] if one["to"] == "model" and one["before"]}
    said = [
        f"{NAMES[name]} {one['before'][0]:.2f} became {one['after'][0]:.2f}" for name, one in sets.items()
    ]
    text = f"Of people's distance from the model, {'; '.join(said)}."
    more = next((one["more"] for one in told["falls"] if one["to"] == "model"), None)
    if "rule" not in sets or more is None:
        return text
    fell, low, high = sets["rule"]["fall"]
    text = f"{text} The rule's set fell by {short(fell)} [{short(low)}, {short(high)}]"
    beside = f"{short(more[0])} [{short(more[1])}, {short(more[2])}] more than the random one"
    if simulated:
        return f"{text}, {beside}."
    if low <= 0:
        return f"{text}, {beside}: that old answers overstate its distance cannot be told from chance."
    end = (
        "part of what the rule picked was luck" if more[1] > 0 else "not shown to be more than without a rule"
    )
    return f"{text}, so old answers overstate its distance; {beside}: {end}."


def _labels(told: Mapping[str, Any], source: str) -> Figure:
    labels = told["labels"]
    series = [
        Series(
            NAMES[name],
            tuple(
                (one["old"], one["new"])
                for one in labels
                if one["picked_as"] == name and None not in (one["old"], one["new"])
            ),
            group,
        )
        for group, name in enumerate(NAMES)
    ]
    columns = (
        "Mixed image", "picked", "inclusion probability", "λ", "model", "old answers", "old: n", "new answers alone",
        "new: from", "new: to", "new: n", "shrunk, old and new", "shrunk: from", "shrunk: to",
    )  # fmt: skip
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            one["key"],
            NAMES[one["picked_as"]],
            one["probability"],
            one["share"],
            one["model"],
            one["old"],
            one["n_old"],
            one["new"],
            *(one["interval"] or (None, None)),
            one["n_new"],
            one["shrunk"],
            *(one["shrunk_interval"] or (None, None)),
        )
        for one in labels
    )
    nearer = sum(
        abs(one["new"] - one["share"]) < abs(one["old"] - one["share"])
        for one in labels
        if None not in (one["old"], one["new"])
    )
    n = sum(None not in (one["old"], one["new"]) for one in labels)
    return Figure(
        "labels_again",
        "scatter",
        "Labels by old and by new answers",
        f"Each image's share of its first parent: by the answers of the release across, by new answers alone "
        f"({told['policy']}) upwards. On the diagonal people say the same again.",
        "share by old answers",
        "share by new answers",
        tuple(one for one in series if one.points),
        Table("Labels of each image: shares of the first parent with 95 % intervals", columns, rows),
        source,
        reading=f"By new answers {nearer} of {n} images lie nearer to λ than by the old ones.",
        diagonal=True,
    )
