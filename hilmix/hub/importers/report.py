"""What an import came to: what came in from which table, what was odd about it and kept, or every row it refuses.

Nothing is repaired: a row with a known flaw is stored as it is and the flaw reported; rows that cannot be understood
refuse the whole import.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from elicitation.studies.models import Study
from hilmix.core.errors import Refused, RowError

__all__ = ["Flaw", "ImportReport", "Problems", "Refused", "TableReport", "Wrong"]

LONGEST = 300  # characters of a problem: a cell may be of any length


class Flaw(TypedDict):
    """Something odd that was kept. `row` counts from 0 after the header; None: it is so in every row."""

    table: str
    row: int | None
    flaw: str


class Wrong(Exception):
    """A cell that cannot be understood; whoever reads the rows knows which row it is in."""

    def __init__(self, column: str, problem: str) -> None:
        self.column = column
        half = LONGEST // 2
        self.problem = problem if len(problem) <= LONGEST else f"{problem[:half]} … {problem[-half:]}"
        super().__init__(self.problem)


class Problems:
    """Collects the rows that cannot be understood, so that all are named at once."""

    def __init__(self) -> None:
        self._errors: list[RowError] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, table: str, row: int, wrong: Wrong) -> None:
        """Note what is wrong with a row."""
        self._errors.append({"table": table, "row": row, "column": wrong.column, "problem": wrong.problem})

    def refuse(self) -> None:
        """Raise `Refused` where anything was noted."""
        if self._errors:
            raise Refused(self._errors)


@dataclass(frozen=True)
class TableReport:
    """What came in from one table: of which study (none for labels of images), how many of what."""

    study: str | None
    source_rows: int
    participants: int = 0
    responses: int = 0
    mixed_images: int = 0
    flaws: Sequence[Flaw] = ()


@dataclass(frozen=True)
class ImportReport:
    """What came in, by table; of a dry run, what would have.

    `studies` those that were made, the first one the import's own · `mixed_images` how many different ones ·
    `notes` what holds of the whole import, in sentences.
    """

    kind: str
    dry_run: bool
    tables: dict[str, TableReport]
    studies: Sequence[Study] = ()
    mixed_images: int = 0
    notes: Sequence[str] = field(default=())

    @property
    def study(self) -> Study:
        """The import's own study."""
        return self.studies[0]

    @property
    def participants(self) -> int:
        return sum(table.participants for table in self.tables.values())

    @property
    def responses(self) -> int:
        return sum(table.responses for table in self.tables.values())

    @property
    def source_rows(self) -> int:
        return sum(table.source_rows for table in self.tables.values())

    @property
    def flaws(self) -> list[Flaw]:
        return [flaw for table in self.tables.values() for flaw in table.flaws]

    def as_json(self) -> dict[str, Any]:
        """Totals and, under `tables`, the same of each table; JSON values."""
        return {
            "kind": self.kind,
            "dry_run": self.dry_run,
            "studies": [study.slug for study in self.studies],
            "notes": list(self.notes),
            **_counts(self, self.studies[0].slug if self.studies else None),
            "tables": {name: _counts(table, table.study) for name, table in self.tables.items()},
        }

    def as_text(self) -> str:
        """The same in a few lines for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.dry_run:
            yield "Nothing was stored: this is what would come in."
        for name, table in self.tables.items():
            if table.study is None:
                yield f"{name}: {_many(table.source_rows, 'row')}."
            else:
                came = f"{table.participants:,} participants, {table.responses:,} responses"
                rows = _many(table.source_rows, "source row")
                yield f"Study {table.study!r}: {came}, {table.mixed_images:,} mixed images ({rows} of {name})."
        if len(self.studies) > 1:
            yield f"Together {self.participants:,} participants, {self.responses:,} responses, " \
                  f"{self.mixed_images:,} mixed images."  # fmt: skip
        yield from self.notes
        if flaws := Counter((flaw["table"], flaw["flaw"]) for flaw in self.flaws):
            yield "Flaws of the published rows, kept as they are (--json lists every row):"
            yield from (f"  {n:5} × {table}: {flaw}" for (table, flaw), n in flaws.most_common())


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _counts(of: ImportReport | TableReport, study: str | None) -> dict[str, Any]:
    return {
        "study": study,
        "participants": of.participants,
        "responses": of.responses,
        "mixed_images": of.mixed_images,
        "source_rows": of.source_rows,
        "flaws": list(of.flaws),
    }
