"""Engines: set up for money or refused, and told apart by how they say *again* and *that exists*."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from datetime import UTC, datetime

import psycopg.errors
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from prepaid import Address, ConfigurationError, Prepaid, Seller, TransactionAborted, configure_sqlite
from prepaid.store import Database, Duplicate, audits, upgrade_schema
from prepaid.store.audits import AuditFilter
from prepaid.store.engines import is_duplicate, is_retryable
from tests.engines import SERVERS

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def wire(database):
    return Prepaid(
        database=database, mode="test", seller=Seller(name="N", address=Address(country="DE")), load_plugins=False
    )


# SQLite


def test_a_configured_engine_keeps_money_safely(tmp_path):
    engine = configure_sqlite(create_engine(f"sqlite:///{tmp_path / 'host.db'}"))
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_configuring_twice_is_configuring_once(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    assert configure_sqlite(configure_sqlite(engine)) is engine
    said = []
    event.listen(engine, "before_cursor_execute", lambda *call: said.append(call[2]))

    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    with engine.connect().execution_options(prepaid_read=True) as connection, connection.begin():
        connection.execute(text("SELECT 1"))
    engine.dispose()

    assert [word for word in said if word.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN"]


def test_a_hosts_sqlite_engine_must_be_configured_first(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    with pytest.raises(ConfigurationError, match="configure_sqlite"):
        wire(engine)

    billing = wire(configure_sqlite(engine))
    billing.upgrade_database()
    assert billing.check().ok

    billing.close()  # a host's own engine is left alone
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM prepaid_book")).scalar() == 1
    engine.dispose()


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_money_is_not_kept_in_memory(url):
    with pytest.raises(ConfigurationError, match="file"):
        wire(url)


def test_only_sqlite_is_configured_here():
    with pytest.raises(ConfigurationError, match="SQLite engine"):
        configure_sqlite(create_engine("postgresql+psycopg://u@127.0.0.1:1/x"))


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("nonsense", "SQLAlchemy URL"),
        ("", "SQLAlchemy URL"),
        ("sqlite+nothing:///x.db", "SQLAlchemy URL"),
        ("nothing://host/x", "not on 'nothing'"),
        ("oracle://host/x", "not on 'oracle'"),
        ("postgresql+pg8000://host/x", "driver 'pg8000' is not installed"),
        (None, "SQLAlchemy URL"),
        (5, "SQLAlchemy URL"),
        (b"sqlite:///x.db", "SQLAlchemy URL"),
    ],
)
def test_a_database_that_cannot_be_used_at_all_is_refused_at_once(database, words):
    with pytest.raises(ConfigurationError, match=words):
        wire(database)


def test_a_password_shows_in_no_error(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        wire("oracle://ada:hunter2@host/x")
    assert "hunter2" not in str(refused.value)
    billing = wire("postgresql+psycopg://ada:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in repr(billing) + repr(billing._context.database)


def test_readers_never_wait_for_a_writer(tmp_path):
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    upgrade_schema(url)
    billing = wire(url)
    billing.customers.register("user-42")
    with billing._context.database.engine.begin() as connection:
        connection.execute(text("UPDATE prepaid_customer SET name = 'held'"))
        assert billing.customer("user-42").balance().settled.units == 0
        assert billing.check().ok
    billing.close()


# Codes


def sqlite_error(code, kind=sqlite3.OperationalError):
    error = kind("said by the engine")
    error.sqlite_errorcode = code
    return error


def mariadb_error(number):
    return Exception(number, "said by the engine")


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        (sqlite_error(sqlite3.SQLITE_BUSY), True),
        (sqlite_error(sqlite3.SQLITE_LOCKED), True),
        (sqlite_error(517), True),  # SQLITE_BUSY_SNAPSHOT, an extended code
        (sqlite_error(sqlite3.SQLITE_FULL), False),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), False),
        (psycopg.errors.SerializationFailure(), True),
        (psycopg.errors.DeadlockDetected(), True),
        (psycopg.errors.LockNotAvailable(), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.UndefinedTable(), False),
        (psycopg.errors.DiskFull(), False),
        (mariadb_error(1213), True),
        (mariadb_error(1205), True),
        (mariadb_error(2013), True),
        (mariadb_error(1020), True),
        (mariadb_error(1047), True),
        (mariadb_error(1040), True),
        (mariadb_error(1053), True),
        (mariadb_error(4025), False),  # a CHECK: of class OperationalError
        (mariadb_error(1062), False),
        (mariadb_error(1146), False),
        (Exception(), False),
        (Exception("words"), False),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(cause, again):
    assert is_retryable(OperationalError("UPDATE x", {}, cause)) is again


def test_a_lost_connection_is_tried_again():
    lost = DBAPIError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)

    assert is_retryable(lost)


@pytest.mark.parametrize(
    ("cause", "exists"),
    [
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.IntegrityError), True),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.IntegrityError), True),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.IntegrityError), False),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.IntegrityError), False),
        (psycopg.errors.UniqueViolation(), True),
        (psycopg.errors.ForeignKeyViolation(), False),
        (psycopg.errors.CheckViolation(), False),
        (mariadb_error(1062), True),
        (mariadb_error(1452), False),
        (mariadb_error(4025), False),
    ],
)
def test_only_a_unique_key_says_that_exists(cause, exists):
    assert is_duplicate(IntegrityError("INSERT x", {}, cause)) is exists
    assert is_duplicate(OperationalError("INSERT x", {}, cause)) is False


# Transactions that are run whole


@pytest.fixture
def database(database_url):
    upgrade_schema(database_url)
    database = Database(database_url, book="main", mode="test", now=lambda: NOW)
    yield database
    database.close()


def add_setting(tx, name):
    tx.execute(
        text("INSERT INTO prepaid_setting (book_id, name, value, updated_at) VALUES (:book, :name, '0', 0)"),
        {"book": tx.book_id, "name": name},
    )


def raise_setting(tx, name):
    tx.execute(
        text("UPDATE prepaid_setting SET updated_at = updated_at + 1 WHERE book_id = :book AND name = :name"),
        {"book": tx.book_id, "name": name},
    )


def settings(database):
    wanted = text("SELECT name, updated_at FROM prepaid_setting ORDER BY name")
    return database.read(lambda tx: [tuple(row) for row in tx.execute(wanted)])


def test_what_fails_in_the_middle_leaves_nothing(database):
    def work(tx):
        add_setting(tx, "a")
        raise ValueError("not after all")

    with pytest.raises(ValueError, match="not after all"):
        database.write(work)

    assert settings(database) == []


def test_a_key_that_exists_takes_the_whole_transaction_back(database):
    database.write(lambda tx: add_setting(tx, "a"))

    def work(tx):
        add_setting(tx, "b")
        add_setting(tx, "a")

    with pytest.raises(Duplicate):
        database.write(work)

    assert settings(database) == [("a", 0)]


def test_a_transaction_that_may_pass_later_is_run_again_whole(database):
    tries = []

    def work(tx):
        add_setting(tx, "a")
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("x", {}, psycopg.errors.SerializationFailure())
        return "done"

    assert database.write(work) == "done"
    assert settings(database) == [("a", 0)]


def test_a_transaction_that_never_passes_is_given_up_with_nothing_kept(database, monkeypatch):
    monkeypatch.setattr("prepaid.store.database.MAX_ATTEMPTS", 3)
    tries = []

    def work(tx):
        add_setting(tx, "a")
        tries.append(1)
        raise OperationalError("x", {}, psycopg.errors.DeadlockDetected())

    with pytest.raises(TransactionAborted) as refused:
        database.write(work)

    assert refused.value.retry_whole
    assert (len(tries), settings(database)) == (3, [])


def test_an_error_that_will_not_pass_is_raised_as_it_is(database):
    with pytest.raises(DBAPIError):
        database.write(lambda tx: tx.execute(text("SELECT * FROM prepaid_nothing")))
    with pytest.raises(DBAPIError):
        database.read(lambda tx: tx.execute(text("SELECT * FROM prepaid_nothing")))


def test_two_who_wait_for_each_other_both_get_through(database):
    """Each takes the row the other wants next; the engine gives one of them up, and it is run again."""
    for name in ("a", "b"):
        database.write(lambda tx, name=name: add_setting(tx, name))
    meet, first_try = threading.Barrier(2, timeout=1), {"ab": True, "ba": True}

    def cross(names):
        def work(tx):
            raise_setting(tx, names[0])
            if first_try[names]:
                first_try[names] = False
                with suppress(threading.BrokenBarrierError):  # one writer at a time lets nobody meet
                    meet.wait()
            raise_setting(tx, names[1])

        database.write(work)

    threads = [threading.Thread(target=cross, args=(names,)) for names in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert settings(database) == [("a", 2), ("b", 2)]


def test_a_reader_sees_one_moment_of_all_tables(database):
    database.write(lambda tx: add_setting(tx, "a"))

    def meanwhile(tx):
        add_setting(tx, "b")
        audits.add(tx, at=NOW, actor="alice", action="look", target="b")

    def work(tx):
        count = text("SELECT count(*) FROM prepaid_setting")
        before = tx.execute(count).scalar()
        database.write(meanwhile)
        return before, tx.execute(count).scalar(), audits.page(tx, AuditFilter(), before_id=None, limit=10)

    assert database.read(work) == (1, 1, [])
    assert len(settings(database)) == 2
    assert repr(database).startswith("<Database ")
    assert "main" in repr(database)


def test_keys_that_differ_in_a_byte_are_two(database):
    names = ["a", "A", "a ", "a  ", "\u00e4", "a\u0308", "\u00c4", "ss", "\u00df"]

    for name in names:
        database.write(lambda tx, name=name: add_setting(tx, name))
        database.write(lambda tx, name=name: raise_setting(tx, name))

    assert sorted(settings(database)) == sorted((name, 1) for name in names)
    with pytest.raises(Duplicate):
        database.write(lambda tx: add_setting(tx, "a "))


def test_text_of_any_script_comes_back_as_it_was(database):
    said = "Zo\u00eb \u0424\u0451\u0434\u043e\u0440 \u6771\u4eac \U0001f98a 'quoted' \\ % \n end "

    entry = {"actor": said[:100], "action": "look", "target": said, "reason": said * 2000, "before": {"a": said}}
    database.write(lambda tx: audits.add(tx, at=NOW, **entry))

    [kept] = database.read(lambda tx: audits.page(tx, AuditFilter(), before_id=None, limit=2))
    assert {name: getattr(kept, name) for name in entry} == entry


@pytest.mark.parametrize("database_url", SERVERS, indirect=True)
def test_a_server_cuts_nothing_to_fit(database):
    with pytest.raises(DBAPIError):
        database.write(lambda tx: add_setting(tx, "n" * 33))
    with pytest.raises(DBAPIError):
        database.write(lambda tx: tx.execute(text("UPDATE prepaid_book SET id = 5000000000")))

    assert settings(database) == []


@pytest.mark.parametrize("database_url", SERVERS, indirect=True)
def test_an_engine_that_commits_each_statement_by_itself_is_refused(database_url):
    upgrade_schema(database_url)
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    billing = wire(engine)

    for use in (billing.upgrade_database, billing.check):
        with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            use()

    engine.dispose()
