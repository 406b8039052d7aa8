"""The tables of a release: one list of columns makes Parquet schema, csv header and data dictionary.

Rows are streamed in batches, so a table never has to fit into memory. What a release consists of, and its
hashes, are in `release`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hilmix.core.errors import DataError

BATCH_ROWS = 20_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: name, type (of `TYPES`, or probabilities), meaning with unit and range, may it be empty."""

    name: str
    type: str
    description: str
    nullable: bool = False


TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}

# fmt: off
COLUMNS: dict[str, tuple[Column, ...]] = {
    "mixed_images": (
        Column("key", "text", "name of the mixed image in this release"),
        Column("first_index", "integer", "position of the first parent in the image set"),
        Column("second_index", "integer", "position of the second parent in the image set"),
        Column("first_class", "integer", "class of the first parent, a position in the manifest's classes"),
        Column("second_class", "integer", "class of the second parent, a position in the manifest's classes"),
        Column("lambda_e4", "integer", "λ, the share of the first image, in ten-thousandths, 0–10000"),
        Column("method", "text", "mixing method, which decides the last bit of the pixels"),
        Column("sha256", "text", "sha256 of the decoded pixels; the picture is `images/<sha256>.png`"),
    ),
    "responses": (
        Column("key", "text", "mixed image that was shown"),
        Column("participant", "text", "pseudonym of the participant"),
        Column("position", "integer", "position of the trial in this participant's plan, from 0"),
        Column("repeat", "boolean", "a trial asked again to measure consistency"),
        Column("counted", "boolean", "labels use it: a number and the person's first answer to the image"),
        Column("cannot_tell", "boolean", "the answer is “I cannot tell”"),
        Column("perceived_lambda", "number", "perceived share of the first image, 0–1", nullable=True),
        Column("confidence", "number", "confidence in the answer, 0–1", nullable=True),
        Column("left", "text", "whose class stood on the left of the slider: first or second", nullable=True),
        Column("rt_ms", "number", "time on the trial, milliseconds", nullable=True),
        Column("payload", "json", "the answer as it was given, verbatim"),
        Column("source_row", "json", "for an imported answer, the row it came from, verbatim", nullable=True),
    ),
    "participants": (
        Column("participant", "text", "pseudonym, valid in this study only"),
        Column("source", "text", "person, simulated or imported"),
        Column("n_responses", "integer", "answers of this participant, repeats included"),
    ),
    "labels": (
        Column("key", "text", "mixed image"),
        Column("policy", "text", "label policy; its meaning and parameters are in the manifest"),
        Column("n", "integer", "answers that the label uses"),
        Column("lambda", "number", "share that the label gives to the first class, 0–1", nullable=True),
        Column("spread", "number", "population standard deviation of those answers, 0–1", nullable=True),
        Column("low", "number", "lower end of the 95% interval of lambda", nullable=True),
        Column("high", "number", "upper end of the 95% interval of lambda", nullable=True),
        Column("soft_label", "probabilities", "probability of each class in the manifest's order, sums to 1"),
    ),
}
# fmt: on


def schema(table: str, n_classes: int) -> pa.Schema:
    """Return the Parquet schema of a table for K classes (a soft label is fixed_size_list<double>[K])."""
    soft = pa.list_(pa.float64(), n_classes)
    return pa.schema(
        [
            pa.field(
                column.name,
                TYPES.get(column.type, soft),
                column.nullable,
                {"description": column.description},
            )
            for column in COLUMNS[table]
        ]
    )


def write_table(
    table: str, rows: Iterable[Row], n_classes: int, parquet: Path, csv_path: Path
) -> Iterator[Row]:
    """Write one table to both files in one order, yielding each row once written; consume it to the end.

    Raises DataError naming table, row and column of a value that is missing, of another type or not expected.
    """
    table_schema = schema(table, n_classes)
    iterator = iter(rows)
    with ExitStack() as stack:
        writer = stack.enter_context(pq.ParquetWriter(parquet, table_schema, compression="zstd"))
        # RFC 4180's line ends; with others, a bare carriage return in a cell would go unquoted and begin a row.
        text = csv.writer(stack.enter_context(csv_path.open("w", encoding="utf-8", newline="")))
        text.writerow(table_schema.names)
        start = 0
        while batch := list(islice(iterator, BATCH_ROWS)):
            for offset, row in enumerate(batch):
                _check_row(table, row, start + offset, n_classes)
            writer.write_batch(_record_batch(table, batch, start, table_schema))
            text.writerows([_cell(row.get(column.name)) for column in COLUMNS[table]] for row in batch)
            yield from batch
            start += len(batch)


def _check_row(table: str, row: Row, number: int, n_classes: int) -> None:
    names = {column.name for column in COLUMNS[table]}
    for name in row.keys() - names:
        raise DataError(f"Table {table}, row {number}: there is no column {name!r}.")
    for column in COLUMNS[table]:
        value = row.get(column.name)
        if value is None and not column.nullable:
            raise DataError(f"Table {table}, row {number}: the column {column.name!r} is empty.")
        if column.type == "probabilities" and value is not None and len(value) != n_classes:
            raise DataError(
                f"Table {table}, row {number}: {column.name} has {len(value)} values for {n_classes} classes."
            )


def _record_batch(table: str, batch: list[Row], start: int, table_schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in table_schema:
        try:
            arrays.append(pa.array([row.get(field.name) for row in batch], field.type))
        except (pa.ArrowException, TypeError) as error:
            where = f"Table {table}, rows {start} to {start + len(batch) - 1}, column {field.name}"
            raise DataError(f"{where}: {error}.") from None
    return pa.RecordBatch.from_arrays(arrays, schema=table_schema)


def _cell(value: Any) -> str:
    """One csv cell: empty for None, true/false, JSON for lists, and text safe in a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps([float(item) for item in value])


def read_table(path: Path, table: str, n_classes: int) -> pa.Table:
    """Read one Parquet table; DataError when it is not readable or has other columns than `COLUMNS`."""
    try:
        result = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet table ({error}).") from None
    if not result.schema.equals(schema(table, n_classes)):
        raise DataError(f"{path} has other columns than the table {table} of this release format.")
    return result


def dictionary() -> str:
    """Return the data dictionary of a release as Markdown."""
    lines = [
        "# Data dictionary", "",
        "Each table is there twice, with the same rows in the same order: `data/<table>.parquet` and",
        "`csv/<table>.csv`. In csv an empty cell means no value, lists are JSON, and a text that starts with",
        "`=`, `+`, `-` or `@` has an apostrophe before it, so that no spreadsheet runs it as a formula.",
    ]  # fmt: skip
    for table, columns in COLUMNS.items():
        lines += [
            "",
            f"## {table}",
            "",
            "| column | type | may be empty | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for column in columns:
            kind = "list of K numbers" if column.type == "probabilities" else column.type
            lines.append(
                f"| `{column.name}` | {kind} | {'yes' if column.nullable else 'no'} | {column.description} |"
            )
    return "\n".join(lines) + "\n"
