"""The tables of a release, written to Parquet and csv in batches and read back: a table never has to fit into memory.

Their columns, and what each means, are in `release_columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hilmix.core.errors import DataError
from hilmix.core.release_columns import (
    COLUMNS,
    TYPES,
    VERSION,
    Column,
    Factors,
    Row,
    columns_of,
    level_column,
    tables_of,
)

__all__ = [
    "BATCH_ROWS", "COLUMNS", "VERSION", "Column", "Factors", "Row", "Rows", "columns_of", "dictionary", "level_column",
    "pair_key", "read_column", "read_table", "schema", "tables_of", "write_table",
]  # fmt: skip

BATCH_ROWS = 20_000

Rows = Iterable[Row] | Iterable[pa.RecordBatch]  # a table's rows one by one, or many at once in its schema

_PICTURE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_PARQUET: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "class": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "picture": _PICTURE,  # as the library `datasets` reads pictures
}


def pair_key(first_index: int, second_index: int) -> str:
    """How a release names a pair of images, from their positions in the image set."""
    return f"{first_index}-{second_index}"


def schema(table: str, n_classes: int, factors: Factors = (), version: int = VERSION) -> pa.Schema:
    """Return the Parquet schema of a table for K classes (a soft label is fixed_size_list<double>[K])."""
    soft = pa.list_(pa.float64(), n_classes)
    return pa.schema(
        [
            pa.field(
                column.name,
                _PARQUET.get(column.type, soft),
                column.nullable,
                {"description": column.description},
            )
            for column in columns_of(table, factors, version)
        ]
    )


def write_table(
    table: str, rows: Rows, n_classes: int, parquet: Path | None, csv_path: Path | None, factors: Factors = ()
) -> Iterator[pa.RecordBatch]:
    """Write one table to the files that are given, in one order, yielding its rows in batches once written; consume it
    to the end.

    Rows come one by one, or in record batches of this table's `schema`, best of about `BATCH_ROWS`. Raises DataError
    naming table, row and column of a value that is missing, of another type or not expected.
    """
    table_schema, described = schema(table, n_classes, factors), columns_of(table, factors)
    as_text = _csv_schema(table_schema, described)
    with ExitStack() as stack:
        typed = text = None
        if parquet is not None:
            typed = stack.enter_context(pq.ParquetWriter(parquet, table_schema, compression="zstd"))
        if csv_path is not None:
            text = stack.enter_context(pa_csv.CSVWriter(csv_path, as_text))
        start = 0
        for batch in _batches(table, rows, described, table_schema):
            _check_filled(table, batch, described, start)
            if typed is not None:
                typed.write_batch(batch)
            if text is not None:
                cells = [_cells(column, batch[column.name]) for column in described]
                text.write_batch(pa.RecordBatch.from_arrays(cells, schema=as_text))
            yield batch
            start += batch.num_rows


def _batches(
    table: str, rows: Rows, described: Sequence[Column], table_schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    iterator: Iterator[Any] = iter(rows)
    start = 0
    for first in iterator:
        if isinstance(first, pa.RecordBatch):
            if not first.schema.equals(table_schema):
                raise DataError(f"Table {table}: a batch of rows has other columns than the table.")
            yield first
        else:
            batch = [first, *islice(iterator, BATCH_ROWS - 1)]
            yield _record_batch(table, _columns(table, described, batch, start), start, table_schema)
            start += len(batch)


def _columns(
    table: str, described: Sequence[Column], batch: Sequence[Row], start: int
) -> dict[str, list[Any]]:
    """The rows as lists of values by column, with no value that belongs to no column."""
    names = {column.name for column in described}
    for number, row in enumerate(batch, start):
        if not row.keys() <= names:
            unknown = min(row.keys() - names)
            raise DataError(f"Table {table}, row {number}: there is no column {unknown!r}.")
    return {column.name: [row.get(column.name) for row in batch] for column in described}


def _record_batch(
    table: str, columns: Mapping[str, list[Any]], start: int, table_schema: pa.Schema
) -> pa.RecordBatch:
    arrays = []
    for name, values in columns.items():
        try:
            arrays.append(pa.array(values, table_schema.field(name).type))
        except (pa.ArrowException, TypeError) as error:
            where = f"Table {table}, rows {start} to {start + len(values) - 1}, column {name}"
            raise DataError(f"{where}: {error}.") from None
    return pa.RecordBatch.from_arrays(arrays, schema=table_schema)


def _check_filled(table: str, batch: pa.RecordBatch, described: Sequence[Column], start: int) -> None:
    for column in described:
        values = batch[column.name]
        if values.null_count and not column.nullable:
            number = start + pc.index(values.is_null(), True).as_py()
            raise DataError(f"Table {table}, row {number}: the column {column.name!r} is empty.")


# --- csv: true/false, JSON for lists, texts in quotes; no value is an empty cell, an empty text is ""


def _csv_schema(table_schema: pa.Schema, described: Sequence[Column]) -> pa.Schema:
    lists = {column.name for column in described if column.type in ("probabilities", "picture")}
    return pa.schema(
        [(field.name, pa.string() if field.name in lists else field.type) for field in table_schema]
    )


def _cells(column: Column, values: pa.Array) -> pa.Array:
    match column.type:
        case "text" | "json":
            return _safe_in_a_spreadsheet(values)
        case "probabilities":
            return _as_json(values)
    return values


_FORMULA = r"\A[=+\-@\t\r\n]"  # what a spreadsheet takes for the beginning of one


def _safe_in_a_spreadsheet(texts: pa.Array) -> pa.Array:
    """The texts, each that would be run as a formula with an apostrophe before it."""
    risky = pc.match_substring_regex(texts, _FORMULA)
    if not pc.any(risky).as_py():
        return texts
    return pc.if_else(risky, pc.binary_join_element_wise("'", texts, ""), texts)


def _as_json(lists: pa.Array) -> pa.Array:
    """Fixed-size lists of numbers as JSON texts."""
    size, there = lists.type.list_size, pc.drop_null(lists)
    offsets = pa.array(range(0, size * len(there) + 1, size), pa.int32())
    numbers = pa.ListArray.from_arrays(offsets, there.flatten().cast(pa.string()))
    texts = pc.binary_join_element_wise("[", pc.binary_join(numbers, ", "), "]", "")
    if not lists.null_count:
        return texts
    places = pc.subtract(pc.cumulative_sum(pc.cast(lists.is_valid(), pa.int64())), 1)
    return texts.take(pc.if_else(lists.is_valid(), places, pa.scalar(None, pa.int64())))


# --- reading


def read_table(
    path: Path, table: str, n_classes: int, factors: Factors = (), version: int = VERSION
) -> pa.Table:
    """Read one Parquet table; DataError when it is not readable or has other columns than its version says."""
    try:
        result = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet table ({error}).") from None
    if not result.schema.equals(schema(table, n_classes, factors, version)):
        raise DataError(f"{path} has other columns than the table {table} of this release format.")
    return result


def read_column(path: Path, column: str) -> list[Any]:
    """The values of one column of a Parquet table, whatever the version of its format."""
    return list(pq.read_table(path, columns=[column])[column].to_pylist())


def dictionary(factors: Factors | None = None) -> str:
    """Return the data dictionary of a release with these factors as Markdown; without them, of any release."""
    lines = [
        "# Data dictionary", "",
        "Each table is there twice, with the same rows in the same order: `data/<table>.parquet` and",
        "`csv/<table>.csv`; `pictures` is in Parquet only. In csv an empty cell means no value, an empty text is",
        '`""`, lists are JSON, and a text that starts with `=`, `+`, `-` or `@` has an apostrophe before it, so that',
        "no spreadsheet runs it as a formula.",
    ]  # fmt: skip
    for table, of_any in COLUMNS.items():
        columns = of_any if factors is None else columns_of(table, factors)
        lines += [
            "",
            f"## {table}",
            "",
            "| column | type | may be empty | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for column in columns:
            lines.append(
                f"| `{column.name}` | {TYPES[column.type]} | {'yes' if column.nullable else 'no'} | "
                f"{column.description} |"
            )
    return "\n".join(lines) + "\n"
