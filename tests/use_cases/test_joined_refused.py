"""What cannot be joined, or not any more, is refused by a message that says what to pass."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.orm.exc import FlushError

import prepaid
from prepaid import (
    ConfigurationError,
    TransactionAborted,
)
from prepaid.store import upgrade_schema
from prepaid.store.migrate import VERSION_TABLE
from tests.conftest import server_of
from tests.use_cases.panel import HOSTS, SERVERS, SESSIONS, SQLITE, Panel, of
from tests.use_cases.steps import (
    ADA,
    EVE,
    charge,
    database,
    give,
)


@pytest.fixture
def billing(billing):
    give(billing, "10")
    give(billing, "10", customer=EVE)
    return billing


# What cannot be joined


def refusal(billing, host):
    with pytest.raises(ConfigurationError) as refused, billing.joined(host):
        pytest.fail("this cannot be joined")
    return str(refused.value)


@SQLITE
@pytest.mark.parametrize("wrong", [None, "sqlite:///billing.db", 5, object()])
def test_what_is_no_connection_is_named(billing, wrong):
    assert "Connection or Session, as from engine.begin() or Session.begin(), not a" in refusal(billing, wrong)


@SQLITE
def test_an_engine_a_factory_and_the_drivers_own_connection_are_not_joined(billing, panel):
    with panel.engine.connect() as connection:
        for wrong in (panel.engine, sessionmaker(panel.engine), connection.connection, connection.begin()):
            assert type(wrong).__name__ in refusal(billing, wrong)


@SQLITE
def test_what_is_asynchronous_is_not_joined(billing, monkeypatch, panel):
    for wrong in (AsyncEngine, AsyncConnection, AsyncSession):
        assert wrong.__name__ in refusal(billing, wrong.__new__(wrong))
    with panel.engine.connect() as connection:
        monkeypatch.setattr(connection.dialect, "is_async", True)
        assert "after the commit" in refusal(billing, connection)


@HOSTS
def test_what_is_closed_is_not_joined(billing, panel, kind):
    with panel.engine.connect() as connection:
        pass
    session = Session(panel.engine, close_resets_only=False)
    session.close()

    assert "closed" in refusal(billing, connection if kind == "connection" else session)


def test_a_session_must_say_which_engine(billing, panel):
    assert "bind_arguments" in refusal(billing, Session())
    with Session(binds={panel.mapped: panel.engine}) as session:
        assert "bind_arguments" in refusal(billing, session)
        with billing.joined(session.connection(bind_arguments={"mapper": panel.mapped})) as joined:
            panel.rent(session, "vm-1")
            charge(joined, "1")
        session.commit()

    assert (of(billing), panel.servers()) == ("9.00", ["vm-1"])


def test_the_session_of_a_web_framework_is_the_one_of_this_thread(billing, panel):
    registry = scoped_session(sessionmaker(panel.engine))
    panel.rent(registry(), "vm-1")
    with billing.joined(registry) as joined:
        charge(joined, "1")
    registry.commit()
    registry.remove()

    assert (of(billing), panel.servers()) == ("9.00", ["vm-1"])


def test_a_session_that_begins_when_it_is_told(billing, panel):
    with Session(panel.engine, autobegin=False) as session:
        assert "begin()" in refusal(billing, session)
        with session.begin(), billing.joined(session) as joined:
            charge(joined, "1")

    assert of(billing) == "9.00"


@SERVERS
def test_a_connection_that_commits_each_statement_is_not_joined(billing, panel):
    with panel.engine.connect() as connection:
        assert "AUTOCOMMIT" in refusal(billing, connection.execution_options(isolation_level="AUTOCOMMIT"))
    with Session(panel.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        assert "AUTOCOMMIT" in refusal(billing, session)

    assert of(billing) == "10.00"


@SQLITE
def test_a_sqlite_engine_that_was_not_configured_is_not_joined(billing, place):
    engine = create_engine(place.url)
    with engine.connect() as connection:
        assert "configure_sqlite" in refusal(billing, connection)
        connection.rollback()
        prepaid.configure_sqlite(engine)
        assert "configure_sqlite" in refusal(billing, connection)  # it was connected before
    with engine.begin() as connection, billing.joined(connection) as joined:
        charge(joined, "1")
    engine.dispose()

    assert of(billing) == "9.00"


@SQLITE
def test_an_engine_with_other_options_is_as_good_as_its_parent(billing, panel):
    engine = panel.engine.execution_options(compiled_cache=None)
    with engine.begin() as connection, billing.joined(connection) as joined:
        charge(joined, "1")

    assert of(billing) == "9.00"


@SQLITE
def test_a_transaction_that_only_reads_is_not_joined(billing, panel):
    with panel.engine.connect().execution_options(prepaid_read=True) as connection:
        assert "only reads" in refusal(billing, connection)


@SQLITE
def test_a_transaction_that_was_begun_behind_sqlalchemys_back_is_seen(billing, panel):
    with panel.engine.connect() as connection:
        connection.begin()
        connection.exec_driver_sql("COMMIT")
        assert "configure_sqlite" in refusal(billing, connection)


@SERVERS
def test_a_connection_to_another_kind_of_database_is_not_joined(billing, tmp_path):
    with closing(Panel(f"sqlite:///{tmp_path / 'other.db'}")) as other, other.engine.connect() as connection:
        assert "The connection is to sqlite" in refusal(billing, connection)


@pytest.fixture
def elsewhere(request, place, tmp_path):
    """Give another database of the same kind, without a table."""
    if place.url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'elsewhere.db'}"
    return server_of(request, make_url(place.url).get_backend_name()).new_database()


def test_a_database_without_the_tables_is_not_joined(billing, elsewhere):
    with closing(Panel(elsewhere)) as other, other.engine.connect() as connection:
        assert "upgrade_database" in refusal(billing, connection)


def test_a_database_of_another_version_is_not_joined(billing, elsewhere):
    upgrade_schema(elsewhere)
    with closing(Panel(elsewhere)) as other, other.engine.connect() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0000'"))
        assert "has schema 0000" in refusal(billing, connection)


def test_another_database_where_the_book_is_another_is_not_joined(billing, elsewhere, open_billing, place):
    assert of(billing) == "10.00"  # the book is known
    upgrade_schema(elsewhere)
    with closing(Panel(elsewhere)) as other:
        with other.engine.connect() as connection:
            assert "another database" in refusal(billing, connection)
            connection.commit()
        # Its row has another number there: a higher one, or one of the first, of which some are used up in vain.
        before = [f"before-{number}" for number in range(3)] if database(billing).book_id <= 3 else []
        for book in (*before, place.book):
            open_billing(database=elsewhere, book=book).customers.register(ADA)
        with other.engine.connect() as connection:
            there = connection.execute(text("SELECT id FROM prepaid_book WHERE name = :name"), {"name": place.book})
            assert there.scalar() != database(billing).book_id
            assert "another database" in refusal(billing, connection)


# Blocks and transactions that have ended


def test_after_the_block_nothing_is_charged(billing, panel):
    with panel.opened("connection") as host:
        with billing.joined(host) as joined:
            charge(joined, "1", key="a")
        for use in (lambda: charge(joined, "1", key="b"), lambda: joined.balance(ADA)):
            with pytest.raises(ConfigurationError, match=r"block .* has ended"):
                use()
        host.commit()

    assert of(billing) == "9.00"


@SESSIONS
@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_after_the_transaction_nothing_is_charged_in_the_next_one(billing, panel, kind, end):
    with panel.opened(kind) as host, billing.joined(host) as joined:
        charge(joined, "1", key="a")
        getattr(host, end)()
        for use in (lambda: charge(joined, "1", key="b"), lambda: joined.balance(ADA)):
            with pytest.raises(ConfigurationError, match=r"transaction .* has ended"):
                use()

    assert of(billing) == ("9.00" if end == "commit" else "10.00")


@HOSTS
def test_a_transaction_that_waits_to_be_rolled_back_is_not_joined(billing, panel, kind):
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        if kind == "session":
            panel.rent(host, "vm-1")
            with pytest.raises((IntegrityError, FlushError)):
                host.flush()
        else:
            host.invalidate()
        with pytest.raises(TransactionAborted), billing.joined(host):
            pytest.fail("there is nothing to join")
        host.rollback()
        with billing.joined(host) as joined:
            charge(joined, "1")
        host.commit()

    assert (of(billing), panel.servers()) == ("9.00", [])
