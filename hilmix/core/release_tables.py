"""The tables of a release: one list of columns makes Parquet schema, csv header and data dictionary.

Rows are streamed in batches, so a table never has to fit into memory. Tables are written in the newest version of the
format; `since` keeps the older ones readable. What a release consists of, and its hashes, are in `release`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hilmix.core.errors import DataError

VERSION = 3  # of the format of releases, written today
BATCH_ROWS = 20_000

OF_A_FACTOR = "level_<factor>"  # stands for a column for each factor

Row = Mapping[str, Any]
Factors = Sequence[Mapping[str, Any]]  # of a manifest: name, varies (between or within people), levels


@dataclass(frozen=True)
class Column:
    """One column: name, type (of `TYPES`, or probabilities), meaning with unit and range, may it be empty, and the
    version of the format that brought it."""

    name: str
    type: str
    description: str
    nullable: bool = False
    since: int = 1


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
    "conditions": (
        Column("condition", "text", "name of this way of asking in this release", since=2),
        Column("interface", "text", "what was asked: infer, select_shuffled, construct, categorical, …", since=2),
        Column("interface_version", "integer", "version of the interface's questions and answers", since=2),
        Column("options", "json", "what the study chose for this interface", since=2),
        Column("language", "text", "language of the pages", since=2),
        Column("perspective", "text", "“you”: what do you see; “100 others”: what would 100 other people say", since=2),
        Column("wording", "json", "the words of each trial, by name", since=2),
        Column("bonus", "text", "the bonus rule as people read it; empty for none", since=2),
        Column("display", "json", "enlargement, the pixels it counts, resampling, exposure in milliseconds", since=2),
        Column(OF_A_FACTOR, "text", "level that belongs to this way of asking; a column for each factor of the study, "
               "empty where several levels do", nullable=True, since=3),
    ),
    "responses": (
        Column("key", "text", "what the answer is about: a mixed image, or FIRST-SECOND, the parents of a pair"),
        Column("unit", "text", "mixed_image, or pair where the pair was shown at every λ of the study", since=2),
        Column("condition", "text", "how it was asked, a row of `conditions`", since=2),
        Column("participant", "text", "pseudonym of the participant"),
        Column("protocol_sha256", "text", "the version of the study's protocol under which it was asked", since=3),
        Column(OF_A_FACTOR, "text", "level of this trial; a column for each factor of the study",
               nullable=True, since=3),
        Column("position", "integer", "position of the trial in this participant's plan, from 0"),
        Column("trial_index", "integer", "the how-manieth answer of the participant, over all windows, from 0",
               nullable=True, since=2),
        Column("repeat", "boolean", "a trial asked again to measure consistency"),
        Column("counted", "boolean", "labels use it: the first answer to this, a number, of a person who counts"),
        Column("not_counted", "text", "why labels do not use it: “invalid” (so marked by a researcher), “excluded: ” "
               "and the flags whose rules leave the person out, “repeat”, “later answer”, “cannot tell”",
               nullable=True, since=3),
        Column("flags", "json", "how it was given: untouched, reversed, focus_lost; cannot_tell? for an imported 50 "
               "with a confidence of at most 50. None of them leaves an answer out", since=3),
        Column("cannot_tell", "boolean", "the answer is “I cannot tell”"),
        Column("perceived_lambda", "number", "perceived share of the first image, 0–1", nullable=True),
        Column("confidence", "number", "confidence in the answer, 0–1", nullable=True),
        Column("perceived_midpoint", "number", "λ at which as much is seen of one image as of the other, 0–1",
               nullable=True, since=2),
        Column("mass", "json", "class → the share of 0–1 given to it, for the classes that were named",
               nullable=True, since=2),
        Column("excluded", "json", "classes said not to be in the picture", nullable=True, since=2),
        Column("probabilities", "probabilities", "a whole soft label, said by one person; sums to 1",
               nullable=True, since=2),
        Column("left", "text", "whose class was named or stood on the left: first or second", nullable=True),
        Column("drawn", "json", "all that was drawn for this trial: sides, order, start", since=2),
        Column("rt_ms", "number", "time on the trial, milliseconds", nullable=True),
        Column("time_elapsed_ms", "integer", "time in the study until then, milliseconds", nullable=True, since=2),
        Column("attempt", "integer", "which showing of the trial was answered, from 1", since=2),
        Column("payload", "json", "the answer as it was given, verbatim"),
        Column("source_row", "json", "for an imported answer, the row it came from, verbatim", nullable=True),
    ),
    "checks": (
        Column("participant", "text", "pseudonym of the participant", since=2),
        Column("position", "integer", "position of the attention check in this participant's plan, from 0", since=2),
        Column("class_index", "integer", "class of the unmixed image, a position in the manifest's classes", since=2),
        Column("share", "number", "share that the answer gave to this class, 0–1", nullable=True, since=2),
        Column("passed", "boolean", "more than 0.75 went to this class; a failure only flags", since=2),
    ),
    "participants": (
        Column("participant", "text", "pseudonym, valid in this study only"),
        Column("source", "text", "person, simulated or imported"),
        Column("protocol_sha256", "text", "the version of the study's protocol that this person met", since=2),
        Column(OF_A_FACTOR, "text", "level of this person; a column for each factor that varies between people",
               nullable=True, since=3),
        Column("over_quota", "boolean", "finished after the place was given to somebody else; counts all the same",
               since=3),
        Column("invalid", "boolean", "marked by a researcher as not to count; labels use none of the answers", since=3),
        Column("measures", "json", "flag → what it measures in the answers, null where that cannot be said", since=3),
        Column("flags", "json", "the flags that stand under the rules in the manifest", since=3),
        Column("excluded_by", "json", "those of them whose rules leave this person out of the labels", since=3),
        Column("n_responses", "integer", "answers of this participant, repeats included"),
        Column("checks_shown", "integer", "attention checks that this participant answered", since=2),
        Column("checks_failed", "integer", "those of them that were not passed", since=2),
        Column("drawn", "json", "what was drawn once for this person: order of classes, direction", since=2),
        Column("survey", "json", "answers on the closing scales; free text is never released", since=2),
    ),
    "labels": (
        Column("key", "text", "mixed image"),
        Column("policy", "text", "label policy; its meaning and parameters are in the manifest"),
        Column("condition", "text", "the condition whose answers it uses; empty where it uses none",
               nullable=True, since=2),
        Column("n", "integer", "answers that the label uses"),
        Column("lambda", "number", "share that the label gives to the first class, 0–1", nullable=True),
        Column("spread", "number", "population standard deviation of those answers, 0–1", nullable=True),
        Column("low", "number", "lower end of the 95% interval of lambda", nullable=True),
        Column("high", "number", "upper end of the 95% interval of lambda", nullable=True),
        Column("soft_label", "probabilities", "probability of each class in the manifest's order, sums to 1"),
    ),
}
# fmt: on


def tables_of(version: int) -> list[str]:
    """Return the tables that a release of this version of the format has."""
    return [table for table, columns in COLUMNS.items() if any(column.since <= version for column in columns)]


def columns_of(table: str, factors: Factors = (), version: int = VERSION) -> list[Column]:
    """Return the columns that a table has in a release with these factors."""
    columns: list[Column] = []
    for column in COLUMNS[table]:
        if column.name != OF_A_FACTOR:
            columns.append(column)
            continue
        for factor in factors:
            if table != "participants" or factor["varies"] == "between":
                columns.append(replace(column, name=level_column(factor["name"])))
    return [column for column in columns if column.since <= version]


def level_column(factor: str) -> str:
    """Return the name of the column that holds a factor's levels."""
    return f"level_{factor}"


def schema(table: str, n_classes: int, factors: Factors = (), version: int = VERSION) -> pa.Schema:
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
            for column in columns_of(table, factors, version)
        ]
    )


def write_table(
    table: str, rows: Iterable[Row], n_classes: int, parquet: Path, csv_path: Path, factors: Factors = ()
) -> Iterator[Row]:
    """Write one table to both files in one order, yielding each row once written; consume it to the end.

    Raises DataError naming table, row and column of a value that is missing, of another type or not expected.
    """
    table_schema, described = schema(table, n_classes, factors), columns_of(table, factors)
    iterator = iter(rows)
    with ExitStack() as stack:
        writer = stack.enter_context(pq.ParquetWriter(parquet, table_schema, compression="zstd"))
        # RFC 4180's line ends; with others, a bare carriage return in a cell would go unquoted and begin a row.
        text = csv.writer(stack.enter_context(csv_path.open("w", encoding="utf-8", newline="")))
        text.writerow(table_schema.names)
        start = 0
        while batch := list(islice(iterator, BATCH_ROWS)):
            columns = _columns(table, described, batch, start, n_classes)
            writer.write_batch(_record_batch(table, columns, start, table_schema))
            cells = [_cells(column, columns[column.name]) for column in described]
            text.writerows(zip(*cells, strict=True))
            yield from batch
            start += len(batch)


def _columns(
    table: str, described: Sequence[Column], batch: list[Row], start: int, n_classes: int
) -> dict[str, list[Any]]:
    """The rows as lists of values by column, complete and with no value that belongs to no column."""
    names = {column.name for column in described}
    for number, row in enumerate(batch, start):
        if not row.keys() <= names:
            unknown = min(row.keys() - names)
            raise DataError(f"Table {table}, row {number}: there is no column {unknown!r}.")
    columns = {}
    for column in described:
        values = columns[column.name] = [row.get(column.name) for row in batch]
        if not column.nullable and None in values:
            number = start + values.index(None)
            raise DataError(f"Table {table}, row {number}: the column {column.name!r} is empty.")
        if column.type == "probabilities":
            for number, value in enumerate(values, start):
                if value is not None and len(value) != n_classes:
                    raise DataError(
                        f"Table {table}, row {number}: {column.name} has {len(value)} values for {n_classes} classes."
                    )
    return columns


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


def _cells(column: Column, values: list[Any]) -> list[Any]:
    """The csv cells of a column: true/false, JSON for lists, text safe in a spreadsheet; the rest, and an empty cell
    for None, is as the csv module writes it."""
    match column.type:
        case "boolean":
            return [None if value is None else "true" if value else "false" for value in values]
        case "text" | "json":
            return [f"'{value}" if value and value[0] in _FORMULA else value for value in values]
        case "probabilities":
            return [None if value is None else json.dumps([float(p) for p in value]) for value in values]
    return values


_FORMULA = "=+-@\t\r"  # what a spreadsheet takes for the beginning of one


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
        "`csv/<table>.csv`. In csv an empty cell means no value, lists are JSON, and a text that starts with",
        "`=`, `+`, `-` or `@` has an apostrophe before it, so that no spreadsheet runs it as a formula.",
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
            kind = "list of K numbers" if column.type == "probabilities" else column.type
            lines.append(
                f"| `{column.name}` | {kind} | {'yes' if column.nullable else 'no'} | {column.description} |"
            )
    return "\n".join(lines) + "\n"
