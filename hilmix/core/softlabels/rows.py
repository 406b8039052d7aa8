"""Labels as rows, one a mixed image, and in columns, which is how policies make them and releases keep them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class LabelRow:
    """The label of one unit.

    `probabilities` float64 [K], ≥ 0, sum 1 · `lambda_` the share of the first class (of two images of one class, what
    the policy gives to the first), None if it has none · `n` answers used · `spread` the population standard deviation
    of what they give to the first class, None below two · `interval` 95%, 0–1, of `lambda_`, None where the policy has
    no account of its noise · `predicted` whether it says what people would see rather than what they said.
    """

    probabilities: Floats
    lambda_: float | None
    n: int
    spread: float | None = None
    interval: tuple[float, float] | None = None
    predicted: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Rows(Sequence[LabelRow]):
    """The labels of n units in columns, which is how policies make them; as a sequence, one `LabelRow` a unit.

    `probabilities` float64 [n, K] · `lambdas`, `spreads`, `lows`, `highs` float64 [n], NaN where there is none ·
    `n` int64 [n] answers used · `predicted` of all of them.
    """

    probabilities: Floats
    lambdas: Floats
    n: Ints
    spreads: Floats
    lows: Floats
    highs: Floats
    predicted: bool = False

    @classmethod
    def of(cls, rows: Sequence[LabelRow], n_classes: int) -> Rows:
        """The same labels in columns."""
        if isinstance(rows, Rows):
            return rows
        ends = [row.interval or (np.nan, np.nan) for row in rows]
        return cls(
            np.array([row.probabilities for row in rows]).reshape(len(rows), n_classes),
            _column(row.lambda_ for row in rows),
            np.array([row.n for row in rows], dtype=np.int64),
            _column(row.spread for row in rows),
            _column(low for low, _ in ends),
            _column(high for _, high in ends),
            any(row.predicted for row in rows),
        )

    def __len__(self) -> int:
        return len(self.n)

    @overload
    def __getitem__(self, index: int) -> LabelRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelRow]: ...
    def __getitem__(self, index: int | slice) -> LabelRow | list[LabelRow]:
        chosen = index if isinstance(index, slice) else [range(len(self))[index]]
        rows = list(self._rows(chosen))
        return rows if isinstance(index, slice) else rows[0]

    def __iter__(self) -> Iterator[LabelRow]:
        return self._rows(slice(None))

    def _rows(self, chosen: slice | list[int]) -> Iterator[LabelRow]:
        numbers = (self.lambdas, self.n, self.spreads, self.lows, self.highs)
        columns = (column[chosen].tolist() for column in numbers)
        for label, share, n, spread, low, high in zip(self.probabilities[chosen], *columns, strict=True):
            # NaN is the only number that differs from itself.
            interval = (low, high) if low == low else None
            yield LabelRow(label, _or_none(share), n, _or_none(spread), interval, self.predicted)


def _column(values: Iterable[float | None]) -> Floats:
    return np.array(list(values), dtype=np.float64)  # None becomes NaN


def _or_none(value: float) -> float | None:
    return value if value == value else None
