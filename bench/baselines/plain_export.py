"""Baseline for exporting answers: one SQL query of plain sqlite3, fetched in batches and written to one file.

The same columns of the same answers as csv, or as Parquet (zstd), synced to the disk. SQL does what it can while it
reads: it takes the answers apart and names what they are about. It omits: interfaces and judgements as objects, other
interfaces than this one, pseudonyms and their order, rules of quality and whom they leave out, a person's second answer
to the same, flags of single answers, formulas in csv, words for truth values, JSON in one order, and being complete or
absent.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.baselines.plain_release import RESPONSES
from hilmix.core.release_tables import BATCH_ROWS, schema


def export_csv(database: Path, study: int, n_classes: int, path: Path) -> None:
    """The answers of the study with primary key `study`, as csv."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = schema("responses", n_classes).names
        writer = csv.writer(file)
        writer.writerow(names)
        _each(database, study, lambda rows: writer.writerows(row[: len(names)] for row in rows))
        os.fsync(file.fileno())


def export_parquet(database: Path, study: int, n_classes: int, path: Path) -> None:
    """The same as Parquet."""
    columns = schema("responses", n_classes)

    def write(rows: list[tuple[Any, ...]]) -> None:
        arrays = [
            pa.array(map(bool, values) if field.type == pa.bool_() else values, field.type)
            for values, field in zip(zip(*rows, strict=True), columns, strict=False)
        ]
        parquet.write_batch(pa.RecordBatch.from_arrays(arrays, schema=columns))

    with path.open("wb") as file:
        with pq.ParquetWriter(file, columns, compression="zstd") as parquet:
            _each(database, study, write)
        os.fsync(file.fileno())


def _each(database: Path, study: int, write: Callable[[list[tuple[Any, ...]]], object]) -> None:
    source = sqlite3.connect(database).execute(RESPONSES, (study,))
    while rows := list(islice(source, BATCH_ROWS)):
        write(rows)
