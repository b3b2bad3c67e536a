"""The driver's own connection below the pool: for the few statements whose time counts.

Pool, session settings and the look whether a connection still answers stay
SQLAlchemy's, and what the driver raises becomes the error that SQLAlchemy would
have raised: whoever retries or translates needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from . import servers

T = TypeVar("T")

_CURSOR: Final = "prepaid_cursor"


def run(engine: Engine, work: Callable[[PoolProxiedConnection], T]) -> T:
    """Run ``work`` on a pooled connection, which it leaves without a transaction.

    Raises:
        sqlalchemy.exc.DBAPIError: Whatever the driver refused, as SQLAlchemy says it.
    """
    driver_error, pooled = engine.dialect.loaded_dbapi.Error, None
    try:
        pooled = engine.raw_connection()
        return work(pooled)
    except driver_error as error:
        raise _translated(engine, pooled, error) from error
    except BaseException as error:
        _give_up_if_interrupted(pooled, error)
        raise
    finally:
        if pooled is not None:
            pooled.close()


def _give_up_if_interrupted(pooled: PoolProxiedConnection | None, error: BaseException) -> None:
    if pooled is not None and not isinstance(error, Exception):
        pooled.invalidate(error)  # nobody knows what the driver has sent and read


def cursor_of(pooled: PoolProxiedConnection) -> Any:
    """Give the driver's cursor that is kept with a connection: making one takes a tenth of a charge's time."""
    cursor = pooled.info.get(_CURSOR)
    if cursor is None:
        cursor = pooled.info[_CURSOR] = pooled.cursor()
    return cursor


def execute(cursor: Any, statement: str, parameters: Any = (), *, commits: bool = False, **options: Any) -> None:
    """Run one statement; every one that is sent below SQLAlchemy goes through here.

    Args:
        cursor: The driver's.
        statement: In the driver's own style.
        parameters: Its values.
        commits: It is a transaction of its own, or ends one.
        options: The driver's own.
    """
    cursor.execute(statement, parameters, **options)


@contextmanager
def _cursor_within(connection: Connection) -> Iterator[Any]:
    """Give a cursor of the driver's inside the transaction that is open."""
    pooled = connection.connection
    try:
        with closing(pooled.cursor()) as cursor:
            yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        raise _translated(connection.engine, pooled, error) from error
    except BaseException as error:
        _give_up_if_interrupted(pooled, error)
        raise


def copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Send rows by PostgreSQL's COPY, inside the transaction that is open, while they are made; give how many.

    Args:
        connection: SQLAlchemy's, through psycopg.
        statement: ``COPY … FROM STDIN``.
        rows: Their values.

    Raises:
        sqlalchemy.exc.DBAPIError: Whatever the driver refused, as SQLAlchemy says it.
    """
    with _cursor_within(connection) as cursor:
        send(cursor, statement, rows)
        return int(cursor.rowcount)


def read(connection: Connection, statement: str, parameters: Any, **options: Any) -> list[Any]:
    """Read rows as the driver gives them, inside the transaction that is open.

    Raises:
        sqlalchemy.exc.DBAPIError: Whatever the driver refused, as SQLAlchemy says it.
    """
    with _cursor_within(connection) as cursor:
        execute(cursor, statement, parameters, **options)
        return list(cursor.fetchall())


def change(connection: Connection, statement: str, parameters: Any, **options: Any) -> int:
    """Change rows inside the transaction that is open; give how many.

    Raises:
        sqlalchemy.exc.DBAPIError: Whatever the driver refused, as SQLAlchemy says it.
    """
    with _cursor_within(connection) as cursor:
        execute(cursor, statement, parameters, **options)
        return int(cursor.rowcount)


def send(cursor: Any, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run one COPY; every one goes through here."""
    with cursor.copy(statement) as copied:
        for row in rows:
            copied.write_row(row)


def _translated(engine: Engine, pooled: PoolProxiedConnection | None, error: Any) -> BaseException:
    connection = None if pooled is None else pooled.driver_connection
    lost = engine.dialect.is_disconnect(error, connection, None) or servers.is_without_cluster(error)
    if lost and pooled is not None:
        pooled.invalidate(error)
    translated: BaseException = DBAPIError.instance(
        None,
        None,
        error,
        engine.dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=engine.dialect,
    )
    return translated
