"""The figures of the robustness page, from slices of what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hilmix.figures import Cell, Figure, Item, Picture, Series, Table, number
from training.reports.robustness.compared import Compared
from training.reports.robustness.pair import Change, Pair, three
from training.reports.robustness.words import (
    about_differences,
    about_groups,
    about_heat,
    about_severities,
    flip_caption,
    probability,
    which_interval,
)

Address = Callable[
    [int, str, int], str
]  # of an image: its number, the change (none: "none") and the severity

BREAKS = "Break rate: of the images that are right as they are, the share that is wrong under a change."


def figures_of(pair: Pair, groups: Sequence[str], of: str, source: str) -> list[Figure]:
    """What two arms look like side by side; `of` is the change whose severities are drawn."""
    found = [
        _differences(pair, source),
        _side_by_side(pair, source),
        _groups(pair, groups, source),
        _severities(pair, pair.changes[of], source),
        _both_heat(pair, source),
    ]
    return [one for one in found if one is not None]


def galleries_of(pair: Pair, address: Address, source: str) -> list[Figure]:
    """Images that one of the two breaks and the other holds, as they are and as they were changed."""
    sides = ((pair.a, pair.b, pair.a_breaks, "a_breaks"), (pair.b, pair.a, pair.b_breaks, "b_breaks"))
    return [_flips(pair, *side, address, source) for side in sides if side[2]]


def _differences(pair: Pair, source: str) -> Figure | None:
    rows = list(pair.whole())
    if not rows:
        return None
    cells: list[tuple[Cell, ...]] = [
        (change.name, change.group, *(one for each in _of(pair, place) for one in each))
        for place, change in rows
    ]
    points = [(float(row), *three(pair.apart[place])) for row, (place, _) in enumerate(rows)]
    intervals = f"{which_interval(pair)} Not adjusted for the number of changes."
    heads = (
        "Change", "Group", pair.a, "from", "to", pair.b, "from", "to", f"{pair.a} − {pair.b}", "from", "to",
    )  # fmt: skip
    definition = (
        f"Of the images that both have right ({pair.n_both:.0f} a seed), over all severities and {pair.n_seeds} seeds. "
        f"Below 0 {pair.a} breaks less often."
    )
    return Figure(
        "differences", "forest", f"{pair.a} less {pair.b}, by change", definition, "difference in break rate",
        "change", (Series(f"{pair.a} − {pair.b}", tuple(points), 0),),
        Table(f"Break rates on what both have right, by change. {intervals}", heads, tuple(cells)), source,
        reading=about_differences(pair), y_categories=tuple(change.name for _, change in rows), reference=0.0,
    )  # fmt: skip


def _side_by_side(pair: Pair, source: str) -> Figure | None:
    rows = list(pair.whole())
    if not rows:
        return None
    series = [
        Series(name, tuple((float(row), *three(of[place])) for row, (place, _) in enumerate(rows)), group)
        for group, (name, of) in enumerate(((pair.a, pair.of_a), (pair.b, pair.of_b)))
    ]
    cells = [(change.name, *three(pair.of_a[place]), *three(pair.of_b[place])) for place, change in rows]
    worst = max(rows, key=lambda one: float(pair.of_a[one[0], 0]))[1]
    worst_of_b = max(rows, key=lambda one: float(pair.of_b[one[0], 0]))[1]
    reading = (
        f"Both break most under {worst.name.lower()}."
        if worst == worst_of_b
        else f"{pair.a} breaks most under {worst.name.lower()}, {pair.b} under {worst_of_b.name.lower()}."
    )
    definition = (
        f"Break rates on the images that both have right, over all severities and {pair.n_seeds} seeds. Whether the "
        "two differ the figure of differences says: overlap here says little."
    )
    return Figure(
        "side_by_side", "forest", "Side by side, by change", definition, "break rate", "change", tuple(series),
        Table(
            f"Break rates, by change. {which_interval(pair)}",
            ("Change", pair.a, "from", "to", pair.b, "from", "to"), tuple(cells),
        ),
        source, reading=reading, y_categories=tuple(change.name for _, change in rows),
    )  # fmt: skip


def _groups(pair: Pair, groups: Sequence[str], source: str) -> Figure | None:
    each = [pair.arms[name].get("groups") or {} for name in (pair.a, pair.b)]
    known = tuple(group for group in groups if all(group in one for one in each))
    if not known:
        return None
    series = [
        Series(
            name,
            tuple(
                (float(place), of[group]["value"], *(of[group]["interval"] or (None, None)))
                for place, group in enumerate(known)
            ),
            number,
        )
        for number, (name, of) in enumerate(zip((pair.a, pair.b), each, strict=True))
    ]
    cells = [
        (
            group,
            *(one[group]["value"] for one in each),
            *_interval(pair.less.get(group)),
        )
        for group in known
    ]
    heads = ("Group", pair.a, pair.b, f"{pair.a} − {pair.b}", "from", "to")
    definition = (
        "Break rate of each arm, of the images that it has right itself, with 95 % intervals. The risk score is 100 "
        "times the mean of the groups; read it beside the clean accuracy."
    )
    return Figure(
        "groups", "bars", "What the risk score is made of", definition, "group of changes", "break rate",
        tuple(series), Table("Break rates by group", heads, tuple(cells)), source,
        reading=about_groups(pair, known), x_categories=known,
    )  # fmt: skip


def _interval(one: Any) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if one is None else (one["value"], *(one["interval"] or (None, None)))


def _severities(pair: Pair, change: Change, source: str) -> Figure | None:
    places = [place for place in pair.severities(change.key) if np.isfinite(pair.apart[place, 0])]
    if not places:
        return None
    at = [pair.rows[place][1] for place in places]
    series = [
        Series(
            name,
            tuple((float(severity), *three(of[place])) for severity, place in zip(at, places, strict=True)),
            group,
        )
        for group, (name, of) in enumerate(((pair.a, pair.of_a), (pair.b, pair.of_b)))
    ]
    cells = [
        (severity, *(one for each in _of(pair, place) for one in each))
        for severity, place in zip(at, places, strict=True)
    ]
    heads = ("Severity", pair.a, "from", "to", pair.b, "from", "to", f"{pair.a} − {pair.b}", "from", "to")
    note = f" {change.note[0].upper()}{change.note[1:]}." if change.note else ""
    definition = (
        f"Break rates under {change.name.lower()} at each severity, of the images that both have right; bands are 95 % "
        f"intervals.{note}"
    )
    return Figure(
        "severities", "curve", f"{change.name}, by severity", definition, "severity", "break rate", tuple(series),
        Table(f"{change.name}: break rates by severity", heads, tuple(cells)), source,
        reading=about_severities(pair, change, places),
    )  # fmt: skip


def _of(pair: Pair, place: int) -> tuple[Any, Any, Any]:
    return three(pair.of_a[place]), three(pair.of_b[place]), three(pair.apart[place])


def _both_heat(pair: Pair, source: str) -> Figure | None:
    """Both arms under each change at each severity, on one scale."""
    changes = [change for _, change in pair.whole()]
    if not changes:
        return None
    most = max(severity for _, severity in pair.rows)
    columns = tuple(f"{side}{severity}" for side in "AB" for severity in range(1, most + 1))
    points: list[tuple[float | None, ...]] = []
    cells: list[tuple[Cell, ...]] = []
    for row, change in enumerate(changes):
        line: list[Cell] = [None] * len(columns)
        for place in pair.severities(change.key):
            severity = pair.rows[place][1]
            for side, of in enumerate((pair.of_a, pair.of_b)):
                column, value = side * most + severity - 1, three(of[place])[0]
                if value is not None:
                    points.append((float(column), float(row), value, None))
                    line[column] = value
        cells.append((change.name, *line))
    definition = (
        f"Break rates on the images that both have right; A is {pair.a}, B is {pair.b}, the number the severity, 1 the "
        "mildest. Flips have one severity."
    )
    return Figure(
        "heat_of_both", "heat", "Every change at every severity", definition, "arm and severity", "change",
        (Series("break rate", tuple(points), 0),), Table("Break rates", ("Change", *columns), tuple(cells)), source,
        reading=about_heat(pair), x_categories=columns, y_categories=tuple(one.name for one in changes),
    )  # fmt: skip


def arms_heat(compared: Compared, changes: dict[str, Change], severity: int, source: str) -> list[Figure]:
    """All arms under each change, at one severity or (0) over all."""
    rows = [
        (compared.rows.index((key, at)), change.name)
        for key, change in changes.items()
        for at in (severity,)
        if (key, at) in compared.rows
    ]
    points: list[tuple[float | None, ...]] = []
    cells: list[tuple[Cell, ...]] = []
    for row, (place, name) in enumerate(rows):
        line = [three(compared.alone[arm, place])[0] for arm in range(len(compared.arms))]
        points += [(float(arm), float(row), v, None) for arm, v in enumerate(line) if v is not None]
        cells.append((name, *line))
    if not points:
        return []
    _, worst, most, _ = max(points, key=lambda point: point[2] or 0)
    assert worst is not None
    where = "all severities" if not severity else f"severity {severity}"
    # Numbered, as names of several arms find no place beside each other.
    numbers = tuple(str(place) for place in range(1, len(compared.arms) + 1))
    named = ", ".join(f"{number} {name}" for number, name in zip(numbers, compared.arms, strict=True))
    definition = (
        f"Break rate under every change, {where}, of the images that an arm has right itself, mean over its seeds. "
        f"Arms: {named}."
    )
    return [Figure(
        "heat_of_arms", "heat", f"All arms, {where}", definition, "arm", "change",
        (Series("break rate", tuple(points), 0),),
        Table(f"Break rates of all arms, {where}", ("Change", *compared.arms), tuple(cells)), source,
        reading=f"The highest break rate, {number(most or 0.0, 3)}, is under {rows[int(worst)][1].lower()}.",
        x_categories=numbers, y_categories=tuple(name for _, name in rows),
    )]  # fmt: skip


def _flips(
    pair: Pair, broken: str, held: str, flips: Sequence[Any], key: str, address: Address, source: str
) -> Figure:
    """Images that one arm breaks and the other holds: each as it is and under its change."""
    side, other = ("a", "b") if key == "a_breaks" else ("b", "a")
    items, cells = [], []
    for flip in flips:
        name, severity = pair.rows[int(flip["key"])]
        number, change = int(flip["number"]), pair.changes[name]
        items.append(
            Item(
                (
                    Picture(address(number, "none", 0), f"image {number} as it is"),
                    Picture(
                        address(number, name, severity),
                        f"image {number} under {change.name.lower()} {severity}",
                    ),
                ),
                flip_caption(pair, flip, change, severity, side),
            )
        )
        cells.append(
            (
                str(number),
                change.name,
                severity,
                probability(flip[f"p_{side}"]),
                probability(flip[f"p_{side}_under"]),
                probability(flip[f"p_{other}"]),
                probability(flip[f"p_{other}_under"]),
            )
        )
    definition = (
        f"Test images that both have right as they are; in brackets the probability of the class before and under the "
        f"change (seed {pair.flip_seed}). The most extreme, at most two a change: how it fails, not how often."
    )
    heads = (
        "Image", "Change", "Severity", f"Its class in {broken}", "under the change", f"in {held}", "under the change",
    )  # fmt: skip
    return Figure(
        key, "gallery", f"{broken} breaks, {held} holds", definition, "", "", (),
        Table(f"Probability of the image's class, seed {pair.flip_seed}", heads, tuple(cells)), source,
        reading=f"{len(items)} images that {broken} breaks and {held} does not.", items=tuple(items),
    )  # fmt: skip
