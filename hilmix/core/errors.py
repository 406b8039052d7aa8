"""The one error of the framework-free core.

Every failure that a person can cause or mend (a broken file, a wrong shape, a changed release) is a
`DataError` whose message says what was wrong, where, and what to do. Programming mistakes raise ordinary
exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

MOST_ERRORS = 1000  # rows that a refusal names; how many there are is said in any case
_SAID = 3  # of them in the message


class DataError(ValueError):
    """Data that cannot be used; the message is written for the person who brought it."""


class RowError(TypedDict):
    """A row that cannot be used: of which table, counted from 0 after its header; which column, and what is wrong."""

    table: str
    row: int
    column: str
    problem: str


class Refused(DataError):
    """Rows that cannot be used: `errors` names every one of them (the first `MOST_ERRORS`), of `n` in all."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        self.errors = list(errors[:MOST_ERRORS])
        self.n = len(errors)
        said = [f"{one['table']}, row {one['row']}: {one['problem']}" for one in errors[:_SAID]]
        more = f" (and {self.n - _SAID:,} more rows)" if self.n > _SAID else ""
        super().__init__(" ".join(said) + more)
