"""Rows in SQL of our own, where somebody waits: there the ORM takes longer to put it together than the database to
answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connection, models

ROWS_AT_ONCE = 500  # of a few columns each: far below what a statement may have of values


def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement returns; none where it returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def insert(row: models.Model) -> None:
    """Insert one new row and set its key: what `row.save(force_insert=True)` does, without signals."""
    fields, sql = _statement(type(row))
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    ((row.pk,),) = fetch(sql, values)
    row._state.adding = False
    row._state.db = connection.alias


def insert_many(into: str, rows: Sequence[tuple[Any, ...]], returning: str = "") -> list[tuple[Any, ...]]:
    """Insert `rows`, many with one statement; what is returned of each, in any order.

    Args:
        into: table and columns, such as `item (name, price)`.
        returning: columns.
    """
    found: list[tuple[Any, ...]] = []
    ending = f" returning {returning}" if returning else ""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        sql = f"insert into {into} values {placeholders(len(some), len(some[0]))}{ending}"  # noqa: S608
        found += fetch(sql, [value for row in some for value in row])
    return found


@lru_cache(maxsize=1024)
def placeholders(n_rows: int, n_columns: int) -> str:
    """`(%s, %s), (%s, %s)` for two rows of two columns."""
    return ", ".join([f"({', '.join(['%s'] * n_columns)})"] * n_rows)


@lru_cache
def _statement(model: type[models.Model]) -> tuple[list[models.Field[Any, Any]], str]:
    quoted = connection.ops.quote_name
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(quoted(str(field.column)) for field in fields)
    key, table = quoted(str(model._meta.pk.column)), quoted(model._meta.db_table)
    return fields, f"insert into {table} ({columns}) values {placeholders(1, len(fields))} returning {key}"  # noqa: S608
