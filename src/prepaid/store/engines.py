"""Engine set-up and the codes by which engines say *try again* or *that exists*.

SQLite's driver opens no transaction for a read by default, which loses updates
silently; an engine we configure starts every write with ``BEGIN IMMEDIATE`` and
every read with a deferred ``BEGIN`` on a WAL file, so that readers never wait.

Sources: SQLite result codes; PostgreSQL appendix A; MariaDB error codes.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from ..core.errors import ConfigurationError, PrepaidError
from . import servers

READ_ONLY: Final = "prepaid_read"
"""Execution option of connections that only read."""

CONFIGURED: Final = "prepaid_configured"
"""Marks, in a pooled connection's ``info``, that `configure_sqlite` has set it up."""

BUSY_TIMEOUT_MS: Final = 30_000

_SQLITE_RETRY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_UNIQUE = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_POSTGRES_RETRY = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03"}
_POSTGRES_FAILED_BEFORE = "25P02"
# Changed since the snapshot, too many connections, no cluster, going down, lock wait, deadlock, connection lost.
_MARIADB_RETRY = {1020, 1040, 1047, 1053, 1205, 1213, 2003, 2006, 2013}

_configured: weakref.WeakSet[Engine] = weakref.WeakSet()
_to_dispose: weakref.WeakSet[Engine] = weakref.WeakSet()


class Duplicate(PrepaidError):
    """A unique key exists already; the transaction was rolled back whole."""


def configure_sqlite(engine: Engine) -> Engine:
    """Set up a SQLite engine for money and return it.

    Write-ahead log, full synchronisation, foreign keys, a busy timeout of 30 s,
    and explicit transactions: ``BEGIN IMMEDIATE`` unless the connection has the
    execution option ``prepaid_read``.

    Raises:
        ConfigurationError: Not SQLite, or a database without a file.
    """
    if engine.dialect.name != "sqlite":
        raise ConfigurationError("configure_sqlite takes a SQLite engine.")
    if not engine.url.database or ":memory:" in engine.url.database or "mode=memory" in str(engine.url):
        raise ConfigurationError("SQLite needs a file, such as sqlite:///billing.db; money is not kept in memory.")
    if engine not in _configured:
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        engine.dispose()  # what is pooled was opened without any of it
        _configured.add(engine)
    return engine


def _on_sqlite_connect(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    record.info[CONFIGURED] = True
    cursor = connection.cursor()
    # The timeout first: even turning WAL on needs a lock that another process may hold. The last two are for batches,
    # whose rows go all over the unique keys: 16 MB of pages at most, and as much to be copied at a checkpoint.
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -16000",
        "wal_autocheckpoint = 4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_sqlite_begin(connection: Any) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def open_engine(database: str | URL | Engine, *, patient: bool = False) -> Engine:
    """Make a configured engine from a URL, or check the host's own.

    Args:
        database: Where.
        patient: For changes of the schema: statements may take their time.

    Raises:
        ConfigurationError: The URL cannot be used, its driver is not installed,
            or a SQLite engine was not given to `configure_sqlite`.
    """
    if isinstance(database, Engine):
        if database.dialect.name == "sqlite" and database not in _configured:
            raise ConfigurationError("Give the SQLite engine to prepaid.configure_sqlite(engine) first.")
        if servers.is_mariadb(database.dialect.name):
            servers.drop_nodes_without_cluster(database)
        return database
    try:
        url = make_url(database)
        engine = create_engine(url, hide_parameters=True, **_options(url, patient=patient))
    except (ArgumentError, NoSuchModuleError):
        raise ConfigurationError("database is an SQLAlchemy URL such as sqlite:///billing.db, or an Engine.") from None
    except ImportError as missing:
        raise ConfigurationError(
            f"The database driver {missing.name!r} is not installed; see the extras of prepaid."
        ) from None
    if engine.dialect.name == "sqlite":
        configure_sqlite(engine)
    else:
        servers.look_after_rest(engine)
    if servers.is_mariadb(engine.dialect.name):
        servers.prepare_connections(engine, patient=patient)
        servers.drop_nodes_without_cluster(engine)
    _dispose_after_fork(engine)
    return engine


def _options(url: URL, *, patient: bool) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {}
    if backend == "postgresql" or servers.is_mariadb(backend):
        return servers.engine_options(url, patient=patient)
    raise ConfigurationError(f"prepaid runs on SQLite, PostgreSQL and MariaDB, not on {backend!r}.")


def _dispose_after_fork(engine: Engine) -> None:
    if not _to_dispose and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_connections)
    _to_dispose.add(engine)


def _forget_connections() -> None:
    # Two processes must not talk over one socket; the parent keeps its own.
    for engine in _to_dispose:
        engine.dispose(close=False)


def refuse_autocommit(engine: Engine) -> None:
    """Make sure that the engine's connections keep a transaction together, and values whole.

    Raises:
        ConfigurationError: Each statement would be committed by itself, or the
            server is none that is fit for money.
    """
    if engine.dialect.name == "sqlite":
        return  # configured by us: the driver's own mode is off, and BEGIN is written out
    with engine.connect() as connection:
        if commits_by_itself(connection):
            raise ConfigurationError(
                "The engine commits each statement by itself (isolation_level AUTOCOMMIT); money needs transactions."
            )
        servers.refuse_lax(connection)


def commits_by_itself(connection: Connection) -> bool:
    """Tell whether a connection to a server commits each statement by itself."""
    return connection.dialect.detect_autocommit_setting(connection.connection.dbapi_connection)  # type: ignore[arg-type]


def is_duplicate(error: DBAPIError) -> bool:
    """Tell whether a unique key was violated, on any engine."""
    cause: Any = error.orig
    return isinstance(error, IntegrityError) and (
        getattr(cause, "sqlite_errorcode", None) in _SQLITE_UNIQUE
        or getattr(cause, "sqlstate", None) == "23505"
        or _errno(cause) == 1062
    )


def is_retryable(error: DBAPIError) -> bool:
    """Tell whether the whole transaction may succeed when it is run again."""
    cause: Any = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_RETRY
    return (
        error.connection_invalidated
        or getattr(cause, "sqlstate", None) in _POSTGRES_RETRY
        or _is_lost(cause)
        or _errno(cause) in _MARIADB_RETRY
    )


def is_fatal(error: DBAPIError) -> bool:
    """Tell whether the whole transaction is lost, or may be: a savepoint does not bring it back."""
    return is_retryable(error) or getattr(error.orig, "sqlstate", None) == _POSTGRES_FAILED_BEFORE


def _is_lost(cause: Any) -> bool:
    # psycopg gives no code when the server cannot be reached or went away.
    return isinstance(cause, Exception) and type(cause).__name__ == "OperationalError" and _no_code(cause)


def _no_code(cause: Any) -> bool:
    return hasattr(cause, "sqlstate") and cause.sqlstate is None and _errno(cause) is None


def _errno(cause: Any) -> int | None:
    first = cause.args[0] if getattr(cause, "args", None) else None
    return first if isinstance(first, int) else None
