"""Two arms side by side, as a page shows them: slices of what the report's job stored, and nothing computed but the
sign of a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.reports.robustness.compared import FLIP_COLUMNS, Compared, Row

Told = Mapping[str, Any]
Three = tuple[float | None, float | None, float | None]  # a figure and its interval


@dataclass(frozen=True)
class Change:
    """What an image is put through, as a report keeps it."""

    key: str
    name: str
    group: str
    note: str


@dataclass(frozen=True, eq=False)
class Pair:
    """Arm `a` and arm `b`: on what both have right, break rates of either and a less b, float32 [R, 3] each.

    `less` is a less b of accuracy, score, groups and errors, by key; `a_breaks` are images that a breaks and b holds,
    `b_breaks` the other way round, each by the columns of `FLIP_COLUMNS`, a's first.
    """

    a: str
    b: str
    arms: Mapping[str, Told]
    less: Mapping[str, Told]
    why: str
    changes: Mapping[str, Change]
    rows: tuple[Row, ...]
    of_a: NDArray[np.float32]
    of_b: NDArray[np.float32]
    apart: NDArray[np.float32]
    a_breaks: tuple[Mapping[str, float], ...]
    b_breaks: tuple[Mapping[str, float], ...]
    n_both: float
    n_seeds: int
    flip_seed: int
    simulated: bool
    classes: Sequence[str] = ()

    @property
    def these_models(self) -> bool:
        return any(one.get("these_models") for one in self.less.values())

    def whole(self) -> Iterator[tuple[int, Change]]:
        """The rows of changes, all severities together, that have a difference."""
        for place, (key, severity) in enumerate(self.rows):
            if not severity and np.isfinite(self.apart[place, 0]):
                yield place, self.changes[key]

    def severities(self, key: str) -> list[int]:
        """The rows of a change's severities, the mildest first."""
        return [place for place, (name, severity) in enumerate(self.rows) if name == key and severity]


def pair_of(
    robustness: Told, compared: Compared, a: str, b: str, *, simulated: bool, classes: Sequence[str] = ()
) -> Pair:
    """Arms `a` and `b` of what was compared; they are two different ones of `compared.arms`."""
    i, j = compared.arms.index(a), compared.arms.index(b)
    place = compared.pairs.index((min(i, j), max(i, j)))
    apart, flips = compared.apart[place], compared.flips[place]
    of_a, of_b, less = apart[:, :3], apart[:, 3:6], apart[:, 6:]
    a_breaks, b_breaks = (_flips(one) for one in flips)
    if i > j:
        of_a, of_b, less = of_b, of_a, -less[:, [0, 2, 1]]
        a_breaks, b_breaks = tuple(map(_turned, b_breaks)), tuple(map(_turned, a_breaks))
    known: Told = next((one for one in robustness.get("pairs", ()) if {one["a"], one["b"]} == {a, b}), {})
    arms = {one["name"]: one for one in robustness["arms"]}
    return Pair(
        a=a,
        b=b,
        arms=arms,
        less={
            key: one if known["a"] == a else _negated(one)
            for key, one in known.items()
            if isinstance(one, Mapping)
        },
        why=str(known.get("why", "")),
        changes=changes_of(robustness, compared),
        rows=compared.rows,
        of_a=of_a,
        of_b=of_b,
        apart=less,
        a_breaks=a_breaks,
        b_breaks=b_breaks,
        n_both=float(compared.n_both[place]),
        n_seeds=int(compared.n_seeds[place]),
        flip_seed=int(compared.flip_seed[place]),
        simulated=simulated,
        classes=classes,
    )


def changes_of(robustness: Told, compared: Compared) -> dict[str, Change]:
    """What was done to images, in order, by key."""
    told = {
        one["key"]: Change(one["key"], one["name"], one["group"], one["note"])
        for arm in robustness["arms"]
        if arm["name"] in compared.arms
        for one in arm.get("transforms", ())
    }
    return {key: told.get(key, Change(key, key, "", "")) for key, severity in compared.rows if not severity}


def three(values: NDArray[np.float32]) -> Three:
    """A figure and its interval as cells; None where there is none."""
    value, low, high = (float(f"{one:.6g}") if np.isfinite(one) else None for one in values)
    return value, low, high


def _flips(table: NDArray[np.float64]) -> tuple[Mapping[str, float], ...]:
    return tuple(dict(zip(FLIP_COLUMNS, row, strict=True)) for row in table.tolist() if row[0] == row[0])


def _turned(flip: Mapping[str, float]) -> Mapping[str, float]:
    other = {"a": "b", "b": "a"}
    parts = {key: key.split("_") for key in flip}
    return {
        key: flip["_".join(other.get(part, part) for part in parts[key])] if len(parts[key]) > 1 else value
        for key, value in flip.items()
    }


def _negated(one: Told) -> Told:
    ends = one["interval"]
    return {**one, "value": -one["value"], "interval": ends and [-ends[1], -ends[0]]}
