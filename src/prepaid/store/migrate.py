"""Schema versions: check at first use, upgrade only when told to.

Alembic runs from inside the package with a version table of its own, under a
lock, so that several processes may upgrade at once and a host's own migrations
are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL

from ..core.errors import ConfigurationError
from . import servers
from .columns import PREFIX
from .engines import open_engine, refuse_autocommit

VERSION_TABLE: Final = f"{PREFIX}alembic_version"
HEAD: Final = "0001"
"""Schema version of this library; versions are numbers that only rise."""

_LOCK_NAME: Final = "prepaid_upgrade"
_POSTGRES_LOCK: Final = 5_077_321_044
_MARIADB_LOCK_S: Final = 60


def current(engine: Engine) -> str | None:
    """Give the schema version of a database, or None if it was never upgraded."""
    with engine.connect() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def check(engine: Engine) -> None:
    """Make sure that the schema is the one of this library.

    A node of a cluster is asked again once it has what was committed elsewhere:
    it may have been upgraded through another.

    Raises:
        ConfigurationError: It was never made, is older, or is newer; the
            message says what to run.
        sqlalchemy.exc.OperationalError: A node does not get what was committed
            elsewhere, by the server's own patience.
    """
    if current(engine) == HEAD:
        return
    with engine.connect() as connection:
        servers.catch_up(connection)
        check_through(connection)


def check_through(connection: Connection) -> None:
    """Make sure, on an open connection, that the schema is the one of this library.

    Raises:
        ConfigurationError: As `check`.
    """
    version = _version(connection)
    if version == HEAD:
        return
    if version is None or version < HEAD:
        found = "has no prepaid tables" if version is None else f"has schema {version}, this library needs {HEAD}"
        raise ConfigurationError(
            f"The database {found}: call billing.upgrade_database() or run `prepaid db upgrade --database URL`."
        )
    raise ConfigurationError(
        f"The database has schema {version}, newer than the {HEAD} of this library: install a newer prepaid."
    )


def upgrade_schema(database: str | URL | Engine) -> tuple[str | None, str]:
    """Bring the schema to `HEAD` and give its version before and after; nothing happens if it is there.

    Raises:
        ConfigurationError: The URL cannot be used, or the database is newer than this library.
    """
    with _opened(database, patient=True) as engine:
        refuse_autocommit(engine)
        with engine.begin() as connection, _locked(connection):
            before = _version(connection)
            if before != HEAD:
                _migrate(connection, before)
    return before, HEAD


def _migrate(connection: Connection, version: str | None) -> None:
    from alembic import command
    from alembic.config import Config

    if version is not None and version > HEAD:
        raise ConfigurationError(f"The database has schema {version}, newer than the {HEAD} of this library.")
    config = Config()
    config.set_main_option("script_location", str(files("prepaid.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def schema_status(database: str) -> tuple[str | None, str]:
    """Give the schema version of the database of a URL, and the one this library needs.

    Raises:
        ConfigurationError: The URL cannot be used.
    """
    with _opened(database) as engine:
        return current(engine), HEAD


@contextmanager
def _opened(database: str | URL | Engine, *, patient: bool = False) -> Iterator[Engine]:
    engine = open_engine(database, patient=patient)
    try:
        yield engine
    finally:
        if engine is not database:
            engine.dispose()


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    # SQLite needs no lock of its own: the transaction began with BEGIN IMMEDIATE.
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
    if not servers.is_mariadb(dialect):
        yield
        return
    lock = {"name": _LOCK_NAME, "wait": _MARIADB_LOCK_S}
    if connection.execute(text("SELECT GET_LOCK(:name, :wait)"), lock).scalar() != 1:
        raise ConfigurationError("Another process is upgrading the database and does not finish.")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})
