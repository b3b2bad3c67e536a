"""How `check` reads: streamed, so that no table is held in memory; instants as the microseconds that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.sql.expression import CompoundSelect

from .. import schema
from ..columns import PREFIX, Instant
from ..database import Tx

AT_ONCE = 2000


def stream(tx: Tx, wanted: Select[Any] | CompoundSelect[Any]) -> Iterator[Any]:
    """Run a statement and give its rows, a few thousand in memory at a time."""
    result = tx.connection.execution_options(yield_per=AT_ONCE).execute(wanted)
    yield from result


def named(table: FromClause, names: str, *, prefix: str = "") -> tuple[ColumnElement[Any], ...]:
    """Give columns by their names; instants as the microseconds that are stored."""
    return tuple(micros(table.c[name]).label(prefix + name) for name in names.split())


def micros(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give an instant as the microseconds that are stored; any other column as it is."""
    return type_coerce(column, BigInteger) if isinstance(column.type, Instant) else column


def belongs(row: FromClause, parent: FromClause, column: str) -> ColumnElement[bool]:
    """Tell whether a row of the same book is the one that a column names."""
    return and_(parent.c.book_id == row.c.book_id, parent.c.id == row.c[column])


def count(tx: Tx, table: str) -> int:
    """Count the book's rows of a table."""
    rows = schema.metadata.tables[PREFIX + table]
    return int(tx.execute(select(func.count()).select_from(rows).where(rows.c.book_id == tx.book_id)).scalar_one())


def orphans(tx: Tx, table: str, column: str) -> Iterator[str]:
    """Give ids that a column such as ``topup_id`` names although there is no such row."""
    rows = schema.metadata.tables[PREFIX + table]
    parents = schema.metadata.tables[PREFIX + column.removesuffix("_id")]
    wanted = select(rows.c[column]).select_from(rows.outerjoin(parents, belongs(rows, parents, column)))
    for row in stream(tx, wanted.where(rows.c.book_id == tx.book_id, parents.c.id.is_(None))):
        yield row[0]


def wide(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give a number so that sums and differences with it never leave what the engine can hold."""
    return cast(column, Numeric(38, 0))


def halves(amount: ColumnElement[Any], name: str, *, when: ColumnElement[bool] | None = None) -> list[Any]:
    """Sum an amount in two halves of 32 bits, as ``name_high`` and ``name_low``.

    One amount changed by hand may be so large that SQLite refuses to sum it.
    """
    parts = {"high": amount.bitwise_rshift(literal(32)), "low": amount.bitwise_and(literal(0xFFFFFFFF))}
    return [
        func.sum(half if when is None else case((when, half), else_=0)).label(f"{name}_{which}")
        for which, half in parts.items()
    ]


def joined_halves(row: Any, name: str) -> int:
    """Give a sum that `halves` made; zero where nothing was summed."""
    return int(getattr(row, f"{name}_high") or 0) * 2**32 + int(getattr(row, f"{name}_low") or 0)
