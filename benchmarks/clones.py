"""Many rows from one: a row that the library wrote is copied, with other values where copies differ.

Filling a book through the library would take hours. A copy has every column of
its model, so that nothing here has to know the columns that do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from sqlalchemy import Engine

AT_ONCE = 2000

Changes = Iterable[Mapping[str, object]]
"""For each copy, what differs; the same columns in all of them."""


def rows(engine: Engine, statement: str) -> list[dict[str, Any]]:
    """Read rows as the driver gives them: instants are microseconds."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql(statement).mappings()]


def clone(engine: Engine, table: str, model: Mapping[str, Any], changes: Changes) -> None:
    """Copy ``model``, a row of ``table``, once for each of ``changes``; its number is the engine's to give.

    Raises:
        KeyError: A column that differs is not one of the table's.
    """
    columns = [name for name in model if name != "id" or not isinstance(model["id"], int)]
    changes = iter(changes)
    first = next(changes, None)
    if first is None:
        return
    places = [columns.index(name) for name in _known(first, columns)]
    base = [model[name] for name in columns]
    copies = _copies(base, places, chain([first], changes))
    _insert(engine, table, columns, copies)


def _known(changed: Iterable[str], columns: Sequence[str]) -> list[str]:
    names = list(changed)
    if unknown := [name for name in names if name not in columns]:
        raise KeyError(f"no column {', '.join(unknown)} among {', '.join(columns)}")
    return names


def _copies(base: list[Any], places: Sequence[int], changes: Changes) -> Iterator[list[Any]]:
    for change in changes:
        copy = base.copy()
        for place, value in zip(places, change.values(), strict=True):
            copy[place] = value
        yield copy


def _insert(engine: Engine, table: str, columns: Sequence[str], copies: Iterator[list[Any]]) -> None:
    quote = engine.dialect.identifier_preparer.quote
    names = ", ".join(quote(name) for name in columns)
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if engine.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in copies:
                    copy.write_row(row)
        else:
            mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
            statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608
            while some := list(islice(copies, AT_ONCE)):
                cursor.executemany(statement, some)
        raw.commit()
    finally:
        raw.close()
