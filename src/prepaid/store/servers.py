"""Database servers set up for money: nobody waits for ever, nothing is cut to fit, a read is one moment.

SQLite has no server; what it needs is in `engines`.

Sources: PostgreSQL manual, chapter 20 (client connection defaults: lock_timeout);
MariaDB documentation, `SET TRANSACTION`, `START TRANSACTION`, `SQL_MODE`, InnoDB
system variables, Galera status (error 1047).
"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection, Engine, PoolProxiedConnection, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from ..core.errors import ConfigurationError

CONNECT_TIMEOUT_S: Final = 5
LOCK_TIMEOUT_S: Final = 10
"""How long a statement waits for a row that another transaction holds; then the whole is run again."""

REST_S: Final = 1.0
"""How long a connection may rest in the pool and be trusted to answer."""

SILENCE_TIMEOUT_S: Final = 30
"""How long MariaDB may send nothing: a node cut off from its cluster would never answer."""

UPGRADE_LOCK_TIMEOUT_S: Final = 60

_RESTS_SINCE: Final = "prepaid_rests_since"
_MARIADB: Final = ("mysql", "mariadb")
_NOT_IN_CLUSTER: Final = 1047
_CHARACTER_SETS: Final = "SELECT @@character_set_client, @@character_set_connection, @@character_set_results"
_STRICT: Final = ("STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "TRADITIONAL")


def is_mariadb(dialect: str) -> bool:
    """Tell whether a dialect's name is one of MariaDB's two."""
    return dialect in _MARIADB


def engine_options(url: URL, *, patient: bool) -> dict[str, Any]:
    """Give the arguments of `create_engine` for a server; what the URL sets itself is left alone.

    Args:
        url: Of PostgreSQL or MariaDB.
        patient: For a change of the schema, which may be silent for long.
    """
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S}
    if is_mariadb(url.get_backend_name()):
        arguments |= {} if patient else {"read_timeout": SILENCE_TIMEOUT_S, "write_timeout": SILENCE_TIMEOUT_S}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    if not is_mariadb(url.get_backend_name()):
        wait_ms = 1000 * (UPGRADE_LOCK_TIMEOUT_S if patient else LOCK_TIMEOUT_S)
        # The last one counts: those of the URL come after ours.
        arguments["options"] = " ".join((f"-c lock_timeout={wait_ms}", *url.normalized_query.get("options", ())))
    return {"isolation_level": "READ COMMITTED", "connect_args": arguments}


def look_after_rest(engine: Engine) -> None:
    """Let a pooled connection that has rested prove that it still answers, before it is used.

    One that was in use a moment ago is not asked: that would be a round trip for
    every charge, and what breaks in between is met by running the whole again.
    """

    def remember(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    def look(connection: Any, record: ConnectionPoolEntry, pooled: PoolProxiedConnection) -> None:
        since = record.info.get(_RESTS_SINCE)
        if since is None or time.monotonic() - since < REST_S:
            return
        try:
            answers = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            answers = False
        if not answers:
            raise InvalidatePoolError

    event.listen(engine, "checkin", remember)
    event.listen(engine, "checkout", look)


def prepare_connections(engine: Engine, *, patient: bool) -> None:
    """Let each connection of an engine made here to MariaDB refuse what does not fit, and give up waiting."""
    wait_s = UPGRADE_LOCK_TIMEOUT_S if patient else LOCK_TIMEOUT_S
    settings = (
        f"SET SESSION innodb_lock_wait_timeout = {wait_s}, lock_wait_timeout = {wait_s}, "
        "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
    )

    def prepare(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(settings)

    event.listen(engine, "connect", prepare)


def drop_nodes_without_cluster(engine: Engine) -> None:
    """Let a connection go when its Galera node has lost the cluster: it answers pings, and nothing else."""
    if not event.contains(engine, "handle_error", _on_error):
        event.listen(engine, "handle_error", _on_error)


def is_without_cluster(error: BaseException) -> bool:
    """Tell whether a driver's error says that a Galera node has lost its cluster."""
    return bool(error.args) and error.args[0] == _NOT_IN_CLUSTER


def _on_error(context: ExceptionContext) -> None:
    if is_without_cluster(context.original_exception):
        context.is_disconnect = True


def catch_up(connection: Connection) -> None:
    """Wait until a Galera node has what its cluster has committed; the connection has not been used yet.

    Raises:
        sqlalchemy.exc.OperationalError: It does not get there, by the server's own patience.
    """
    if not is_mariadb(connection.dialect.name):
        return
    cluster = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
    connection.rollback()  # within a transaction a node does not wait
    if cluster is not None and cluster[1] == "ON":
        connection.exec_driver_sql("SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1")


def begin_write(connection: Connection) -> None:
    """Let a transaction on a host's MariaDB engine see what was committed before each statement.

    Its default, REPEATABLE READ, shows what was there at the first read: a key
    that another process posted meanwhile would not be found.
    """
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def begin_snapshot(connection: Connection) -> None:
    """Let all statements of a read on MariaDB see one moment; writing is refused."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def refuse_lax(connection: Connection) -> None:
    """Make sure that a server is fit for money: what does not fit is refused, and each character comes as it was sent.

    Raises:
        ConfigurationError: It is MySQL, or cuts values to fit without an error, or
            the connection has another encoding than UTF-8: some lose characters,
            some have bytes in them that mean something else to the server.
    """
    dialect = connection.dialect.name
    if is_mariadb(dialect):
        _refuse_cutting(connection)
        sets = connection.exec_driver_sql(_CHARACTER_SETS).one()
        if set(sets) != {"utf8mb4"}:
            raise ConfigurationError("MariaDB loses characters on this connection: give it charset=utf8mb4.")
    elif dialect == "postgresql" and connection.exec_driver_sql("SHOW client_encoding").scalar() != "UTF8":
        raise ConfigurationError("PostgreSQL loses characters on this connection: give it client_encoding=utf8.")


def _refuse_cutting(connection: Connection) -> None:
    if not connection.dialect.is_mariadb:  # type: ignore[attr-defined]
        raise ConfigurationError("prepaid runs on MariaDB, not on MySQL.")
    modes = str(connection.exec_driver_sql("SELECT @@sql_mode").scalar()).split(",")
    if not set(modes) & set(_STRICT):
        raise ConfigurationError(
            "MariaDB cuts values to fit (sql_mode without STRICT_ALL_TABLES); money needs them refused."
        )
