"""A host's panel: an engine and a table of its own in the database that holds the books."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import pytest
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select, text
from sqlalchemy.orm import Session, registry

from prepaid import configure_sqlite
from tests import engines
from tests.use_cases.steps import ADA, give

HOSTS = pytest.mark.parametrize("kind", ["connection", "session"])
# A session has a connection: what is shown with the one is seldom otherwise with the other.
SESSIONS = pytest.mark.parametrize("kind", ["session", pytest.param("connection", marks=pytest.mark.full)])
SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
SERVERS = pytest.mark.parametrize("place", engines.SERVERS, indirect=True)
POSTGRESQL = pytest.mark.parametrize("place", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
MARIADB = pytest.mark.parametrize("place", [pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True)

_numbers = itertools.count(1)


def dialect_of(engine):
    """Name an engine's kind; MariaDB goes by two names."""
    return {"mysql": "mariadb"}.get(engine.dialect.name, engine.dialect.name)


class Server:
    """A rented server, as the panel maps it."""

    def __init__(self, name):
        self.name = name


class Panel:
    """Rents servers: one row each, written by connections and sessions of the panel's own.

    Attributes:
        engine: The panel's engine, with the isolation level that its driver begins with.
        table: Names of servers.
        mapped: Its class, for sessions.
    """

    def __init__(self, url, **options):
        self.engine = create_engine(url, **options)
        if self.engine.dialect.name == "sqlite":
            configure_sqlite(self.engine)
        self.table = Table(f"panel_server_{next(_numbers)}", MetaData(), Column("name", String(60), primary_key=True))
        self.table.create(self.engine)
        self._mapping = registry()
        self.mapped = type("Rented", (Server,), {})
        self._mapping.map_imperatively(self.mapped, self.table)

    @property
    def dialect(self):
        return dialect_of(self.engine)

    @contextmanager
    def opened(self, kind):
        """Open a connection or a session that begins by itself; nothing is committed at the end."""
        with self.engine.connect() if kind == "connection" else Session(self.engine) as host:
            yield host

    def rent(self, host, name):
        """Write a row through a connection, or through a session as an object that is not flushed yet."""
        if isinstance(host, Session):
            host.add(self.mapped(name))
        else:
            host.execute(insert(self.table).values(name=name))

    def servers(self):
        """Give what is committed."""
        with self.engine.connect() as connection:
            return sorted(connection.execute(select(self.table.c.name)).scalars())

    def close(self):
        self._mapping.dispose()
        self.engine.dispose()


def of(billing, customer=ADA):
    """Give a settled balance as text."""
    return str(billing.customer(customer).balance().settled.amount)


def given(billing):
    billing.customers.register(ADA)
    give(billing, "10")
    return billing


def old_snapshot(panel, host, level="REPEATABLE READ"):
    host.execution_options(isolation_level=level)
    host.execute(text("SELECT count(*) FROM prepaid_account")).scalar()
