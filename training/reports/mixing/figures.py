"""The response to λ as figures, made of what a report keeps: nothing is computed here but words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilmix.figures import FEW, Cell, Figure, Series, Table

TOLD = (
    "Share of the first parent in what both parents together are given, mean at each λ with its 95 % interval, of {} "
    "On the dashed line is who sees what was mixed."
)


def response_of_arms(mixing: Mapping[str, Any], source: str) -> Figure:
    """All arms beside people, over images of all class pairs."""
    arms = mixing["arms"]
    lines = {name: one["all"]["levels"] for name, one in arms.items()}
    people = next(iter(arms.values()))["all"]["levels"]
    n = max(one["n"] for one in arms.values())
    return _figure(
        "mixing_response",
        "The response to λ",
        TOLD.format(f"{n} images that the models held out, of all class pairs."),
        lines,
        people,
        source,
    )


def response_of_pair(
    mixing: Mapping[str, Any], arm: str, pair: Mapping[str, Any], classes: Sequence[str], source: str
) -> Figure:
    """One arm beside people, over images of one class pair, each turned so that `classes` are in order."""
    low, high = (classes[index] for index in pair["pair"])
    return _figure(
        "mixing_pair",
        f"The response to λ: {low} and {high}",
        TOLD.format(f"{pair['n']} held-out images of {low} and {high}, λ the share of {low}."),
        {arm: pair["levels"]},
        pair["levels"],
        source,
    )


def _figure(
    key: str,
    title: str,
    definition: str,
    models: Mapping[str, Sequence[Mapping[str, Any]]],
    people: Sequence[Mapping[str, Any]],
    source: str,
) -> Figure:
    series = [
        Series(name, tuple((one["share"], *one["model"]) for one in levels), group)
        for group, (name, levels) in enumerate(models.items())
    ]
    said = [one for one in people if one["people"]]
    if said:
        points = tuple((one["share"], *one["people"]) for one in said)
        series.append(Series("people", points, len(models)))
    shown = sorted({one["share"] for levels in models.values() for one in levels})
    series.append(Series("as mixed", tuple((share, share) for share in shown), len(models) + 1, "dashed"))
    columns = ["λ", "Images"]
    for name in models:
        columns += [name, f"{name}: from", f"{name}: to"]
    columns += ["people", "people: from", "people: to", "images that people answered"]
    by_share = {name: {one["share"]: one for one in levels} for name, levels in models.items()}
    rows: list[tuple[Cell, ...]] = []
    answered = {one["share"]: one for one in people}
    for share in shown:
        row: list[Cell] = [
            share,
            max(by_share[name][share]["n"] for name in models if share in by_share[name]),
        ]
        for levels_at in by_share.values():
            row += levels_at[share]["model"] if share in levels_at else [None] * 3
        one = answered.get(share, {})
        row += [*(one.get("people") or [None] * 3), one.get("n_people", 0)]
        rows.append(tuple(row))
    return Figure(
        key,
        "curve",
        title,
        definition,
        "λ, the share of the first image",
        "share seen of the first image",
        tuple(series),
        Table(
            f"{title}: mean shares with 95 % intervals, of models over images and seeds, of people over images",
            tuple(columns),
            tuple(rows),
        ),
        source,
        reading=_reading(models, said),
    )


def _reading(models: Mapping[str, Sequence[Mapping[str, Any]]], people: Sequence[Mapping[str, Any]]) -> str:
    """How steep each is from one end to the other: what of a change of λ is seen."""
    steep = {
        name: _slope([(one["share"], one["model"][0]) for one in levels]) for name, levels in models.items()
    }
    known = {name: slope for name, slope in steep.items() if slope is not None}
    of_people = _slope([(one["share"], one["people"][0]) for one in people])
    if not known:
        return "There is one λ only, so nothing can be said of a response."
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    said = (
        ", ".join(f"{slope:.2f} for {name}" for name, slope in known.items())
        if len(known) <= FEW
        else f"{known[least]:.2f} ({least}) to {known[most]:.2f} ({most}) for {len(known)} arms"
    )
    beside = "" if of_people is None else f" and {of_people:.2f} for people"
    return f"Of a change of λ between its ends this much is seen: {said}{beside}; all of it would be 1."


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    """(y of the largest x − y of the least) / (their difference); None of fewer than two x."""
    if len(points) < 2:
        return None
    (x, y), (x_end, y_end) = points[0], points[-1]
    return (y_end - y) / (x_end - x)
