"""A small table that would be a large one is refused by its name before anybody reads it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilmix.core.errors import DataError
from hilmix.core.parquet import check_expanded

N = 1000


def written(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def often(text: str | bytes) -> pa.Array:
    """One text in `N` rows, of which the file has it once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * N, pa.int32()), pa.array([text]))


@pytest.mark.parametrize(
    "column",
    [
        often("x" * 10_000),
        often(bytes(10_000)),
        often("x" * 10_000).cast(pa.string()),
        pa.StructArray.from_arrays([often(bytes(10_000)).cast(pa.binary())], ["bytes"]),
        pa.array([[0.0] * 1500] * N, pa.list_(pa.float64(), 1500)),
    ],
    ids=["text", "bytes", "text written out", "picture", "numbers"],
)
def test_tables_that_are_larger_than_they_look_are_refused(tmp_path, column):
    path = written(tmp_path / "bomb.parquet", column=column)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match=r"With bomb\.parquet the tables hold more than 0\.0099 GB"):
        check_expanded([path], largest=9_900_000)
    check_expanded([path], largest=13_000_000)


def test_all_tables_together_are_counted_and_the_rows_of_each(tmp_path):
    paths = [written(tmp_path / f"{i}.parquet", column=often("x" * 1000)) for i in range(3)]
    check_expanded(paths[:2], largest=2_200_000)
    with pytest.raises(DataError, match=r"With 2\.parquet"):
        check_expanded(paths, largest=2_200_000)
    check_expanded(paths, most_rows=N)
    with pytest.raises(DataError, match="999 rows"):
        check_expanded(paths, most_rows=N - 1)


def test_nothing_that_may_be_empty_is_in_the_way(tmp_path):
    empty = pa.array([None] * N, pa.string())
    check_expanded([written(tmp_path / "a.parquet", column=empty, other=pa.nulls(N))])


def test_what_is_no_table_is_refused(tmp_path):
    (path := tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(DataError, match=r"a\.parquet is no readable Parquet table"):
        check_expanded([path])
