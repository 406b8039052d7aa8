"""How large a stranger's Parquet tables are once they are read: a small file can say one long text a million times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hilmix.core.errors import DataError

LARGEST = 1_000_000_000  # bytes of all tables together, every text written out
MOST_ROWS = 2_000_000  # of one table
_ROWS = 1000  # that are looked at together


def check_expanded(paths: Iterable[Path], *, largest: int = LARGEST, most_rows: int = MOST_ROWS) -> None:
    """Raise DataError naming the table that is unreadable, of more rows, or with which all are larger than allowed.

    What a table says of itself is not believed: it is gone through, with each different text in memory once.
    """
    left = largest
    for path in paths:
        n_rows = 0
        try:
            with _with_texts_once(path) as file:
                for batch in file.iter_batches(batch_size=_ROWS):
                    n_rows += batch.num_rows
                    left -= sum(_expanded(column) for column in batch.columns)
                    if left < 0 or n_rows > most_rows:
                        most = f"{largest / 1e9:g} GB or {most_rows:,} rows"
                        raise DataError(f"With {path.name} the tables hold more than {most}.")
        except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} is no readable Parquet table ({error}).") from None


def _with_texts_once(path: Path) -> pq.ParquetFile:
    metadata = pq.read_metadata(path)
    leaves = [metadata.schema.column(i) for i in range(len(metadata.schema.names))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=texts)


def _expanded(column: pa.Array) -> int:
    """How many bytes a column takes with every text written out."""
    if pa.types.is_struct(column.type):
        return sum(_expanded(part) for part in column.flatten())
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths, min_count=0).as_py()) + int(column.indices.nbytes)
