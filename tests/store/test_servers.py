"""Database servers: nobody waits for ever, and what a server or a host has set otherwise does no harm."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from prepaid import ConfigurationError, TransactionAborted
from prepaid.store import Database, schema, servers, upgrade_schema
from prepaid.store.engines import open_engine
from tests.engines import SERVERS
from tests.store.test_engines import add_setting, raise_setting, settings

ON_SERVERS = pytest.mark.parametrize("database_url", SERVERS, indirect=True)
ON_MARIADB = pytest.mark.parametrize(
    "database_url", [server for server in SERVERS if server.values == ("mariadb",)], indirect=True
)


def open_database(where):
    return Database(where, book="main", mode="test", now=lambda: datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
def upgraded(database_url):
    upgrade_schema(database_url)
    return database_url


@pytest.fixture
def host_engine(upgraded):
    """Give an engine as a host may have it: nothing is set."""
    engine = create_engine(upgraded)
    yield engine
    engine.dispose()


@pytest.fixture
def database(upgraded):
    database = open_database(upgraded)
    yield database
    database.close()


# Waiting


@contextmanager
def held(url, *statements):
    """Hold locks in a transaction of somebody else."""
    engine = create_engine(url)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
        yield connection
    engine.dispose()


HOLD_A_ROW = "UPDATE prepaid_setting SET updated_at = 7 WHERE name = 'a'"


@ON_SERVERS
def test_who_waits_too_long_for_a_row_tries_again(monkeypatch, upgraded):
    monkeypatch.setattr(servers, "LOCK_TIMEOUT_S", 1)
    database, tries = open_database(upgraded), []
    database.write(lambda tx: add_setting(tx, "a"))

    with held(upgraded, HOLD_A_ROW) as holder:

        def work(tx):
            tries.append(1)
            if len(tries) == 2:
                holder.rollback()
            add_setting(tx, "b")
            raise_setting(tx, "a")

        database.write(work)

    assert len(tries) == 2
    assert settings(database) == [("a", 1), ("b", 0)]
    database.close()


@ON_SERVERS
def test_a_row_that_is_never_let_go_is_given_up_with_nothing_kept(monkeypatch, upgraded):
    monkeypatch.setattr(servers, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr("prepaid.store.database.MAX_ATTEMPTS", 2)
    database = open_database(upgraded)
    database.write(lambda tx: add_setting(tx, "a"))

    def work(tx):
        add_setting(tx, "b")
        raise_setting(tx, "a")

    with held(upgraded, HOLD_A_ROW):
        began = time.monotonic()
        with pytest.raises(TransactionAborted):
            database.write(work)
        assert time.monotonic() - began < 9, "it waited as long as who is patient, or for ever"
        assert settings(database) == [("a", 0)], "who reads does not wait"

    database.close()


@ON_SERVERS
def test_connections_have_limits_of_their_own_and_those_of_the_url_come_first(upgraded):
    lock_wait, mine = {
        "postgresql": (
            "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'",
            {"options": "-c lock_timeout=3s"},
        ),
        "mariadb": ("SELECT @@innodb_lock_wait_timeout * 1000", {"read_timeout": "300", "connect_timeout": "7"}),
    }[make_url(upgraded).get_backend_name()]
    changed = make_url(upgraded).update_query_dict(mine)

    def look(engine):
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            waits_s = (driver._read_timeout, driver.connect_timeout) if "mariadb" in upgraded else None
            found = int(connection.execute(text(lock_wait)).scalar()), waits_s
        engine.dispose()
        return found

    if "postgresql" in upgraded:
        assert (look(open_engine(upgraded)), look(open_engine(changed))) == ((10_000, None), (3_000, None))
    else:
        assert (look(open_engine(upgraded)), look(open_engine(changed))) == ((10_000, (30, 5)), (10_000, (300, 7)))
    assert look(open_engine(upgraded, patient=True))[0] == 60_000


@ON_MARIADB
def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch, upgraded):
    monkeypatch.setattr(servers, "SILENCE_TIMEOUT_S", 1)
    monkeypatch.setattr("prepaid.store.database.MAX_ATTEMPTS", 1)
    database = open_database(upgraded)
    began = time.monotonic()

    with pytest.raises(TransactionAborted):
        database.read(lambda tx: tx.execute(text("SELECT SLEEP(20)")))

    assert time.monotonic() - began < 10
    assert settings(database) == [], "the next one gets a connection of its own"
    database.close()


@ON_MARIADB
def test_an_upgrade_is_waited_for(monkeypatch, database_url):
    monkeypatch.setattr(servers, "SILENCE_TIMEOUT_S", 1)
    database, done = open_database(database_url), threading.Event()

    def upgrade():
        database.upgrade()
        done.set()

    with held(database_url, "SELECT GET_LOCK('prepaid_upgrade', 5)"):
        waiting = threading.Thread(target=upgrade)
        waiting.start()
        assert not done.wait(2), "longer than a server may be silent otherwise"
    waiting.join(30)

    assert done.is_set()
    assert settings(database) == []
    database.close()


# A host's own engine, and a server that is set otherwise


@ON_MARIADB
def test_a_write_on_a_hosts_engine_sees_what_was_committed_meanwhile(host_engine, upgraded):
    with host_engine.connect() as connection:
        assert connection.get_isolation_level() == "REPEATABLE READ"
    database, other = open_database(host_engine), open_database(upgraded)

    def work(tx):
        count = text("SELECT count(*) FROM prepaid_setting")
        before = tx.execute(count).scalar()
        other.write(lambda tx: add_setting(tx, "a"))
        return before, tx.execute(count).scalar()

    assert database.write(work) == (0, 1)
    assert database.read(lambda tx: tx.execute(text("SELECT @@tx_read_only")).scalar()) == 0, "nothing stays behind"
    with host_engine.connect() as connection:
        assert connection.get_isolation_level() == "REPEATABLE READ"
    other.close()


@ON_MARIADB
def test_who_only_reads_cannot_write(database):
    with pytest.raises(DBAPIError, match="READ ONLY"):
        database.read(lambda tx: add_setting(tx, "a"))

    database.write(lambda tx: add_setting(tx, "b"))
    assert settings(database) == [("b", 0)]


@pytest.fixture
def lax(mariadb_server):
    """Let a server cut values to fit, and make tables without transactions, if nobody says otherwise."""
    kept = mariadb_server.administer("SELECT @@global.sql_mode, @@global.default_storage_engine")[0]
    mariadb_server.administer("SET GLOBAL sql_mode = '', default_storage_engine = 'MyISAM'")
    yield
    mariadb_server.administer("SET GLOBAL sql_mode = %s, default_storage_engine = %s", *kept)


@ON_MARIADB
def test_a_server_that_would_cut_values_is_told_not_to(lax, database):
    with pytest.raises(DBAPIError):
        database.write(lambda tx: add_setting(tx, "n" * 33))
    assert settings(database) == []


@ON_MARIADB
def test_a_hosts_engine_that_would_cut_values_is_refused(lax, host_engine):
    database = open_database(host_engine)

    for use in (database.upgrade, lambda: database.book_id):
        with pytest.raises(ConfigurationError, match="STRICT_ALL_TABLES"):
            use()


@pytest.mark.parametrize(
    ("database_url", "option", "needed"),
    [
        pytest.param(engine, option, needed, marks=getattr(pytest.mark, engine))
        for engine, option, needed in (
            ("mariadb", {"charset": "latin1"}, "charset=utf8mb4"),
            ("mariadb", {"charset": "utf8mb3"}, "charset=utf8mb4"),
            ("mariadb", {"charset": "sjis"}, "charset=utf8mb4"),
            ("postgresql", {"client_encoding": "latin1"}, "client_encoding=utf8"),
            ("postgresql", {"client_encoding": "big5"}, "client_encoding=utf8"),
        )
    ],
    indirect=["database_url"],
)
@pytest.mark.parametrize("opened", [open_engine, create_engine], ids=["ours", "host"])
def test_a_connection_that_loses_characters_is_refused(upgraded, option, needed, opened):
    engine = opened(make_url(upgraded).update_query_dict(option))

    with pytest.raises(ConfigurationError, match=needed):
        _ = open_database(engine).book_id
    engine.dispose()


@ON_MARIADB
def test_mysql_is_refused(monkeypatch, host_engine):
    with host_engine.connect():
        pass  # SQLAlchemy asks the server what it is when it first connects
    monkeypatch.setattr(host_engine.dialect, "is_mariadb", False)

    with pytest.raises(ConfigurationError, match="not on MySQL"):
        _ = open_database(host_engine).book_id


def made(url):
    """Describe the tables of a database as MariaDB would make them again."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        tables = {name: connection.execute(text(f"SHOW CREATE TABLE {name}")).one()[1] for name in names}
    engine.dispose()
    return tables


@ON_MARIADB
def test_tables_are_the_same_whatever_the_servers_defaults_and_by_both_names_of_the_dialect(
    lax, mariadb_server, database_url
):
    other_url = mariadb_server.new_database()
    upgrade_schema(database_url)
    upgrade_schema(other_url.replace("mariadb+", "mysql+"))

    tables = made(database_url)
    assert made(other_url) == tables
    mariadb_server.drop_database(other_url)
    for name in schema.metadata.tables:
        assert "ENGINE=InnoDB" in tables[name], name
        assert "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin" in tables[name], name
        assert tables[name].count("CHARACTER SET") == tables[name].count("CHARACTER SET utf8mb4"), name
        assert tables[name].count("COLLATE") == tables[name].count("utf8mb4_nopad_bin"), name


@pytest.fixture(params=["compact", "redundant"])
def old_rows(request, mariadb_server):
    """Let a server make rows of an older format, whose indexes hold less of a text."""
    [(kept,)] = mariadb_server.administer("SELECT @@global.innodb_default_row_format")
    mariadb_server.administer("SET GLOBAL innodb_default_row_format = %s", request.param)
    yield request.param
    mariadb_server.administer("SET GLOBAL innodb_default_row_format = %s", kept)


@ON_MARIADB
def test_no_index_is_cut_short_in_rows_of_an_older_format(upgraded, old_rows, mariadb_server):
    other_url = mariadb_server.new_database()
    upgrade_schema(other_url)

    assert made(other_url) == made(upgraded)
    format_of = "SELECT DISTINCT row_format FROM information_schema.tables WHERE table_schema = %s"
    found = mariadb_server.administer(format_of, make_url(other_url).database)
    assert found == [(old_rows.capitalize(),)]
    mariadb_server.drop_database(other_url)


# Upgrades that were interrupted


@ON_MARIADB
@pytest.mark.parametrize(
    "interrupted_at", ["TABLE IF NOT EXISTS prepaid_topup", "INDEX IF NOT EXISTS ix_prepaid_outbox", "CREATE TRIGGER"]
)
def test_an_upgrade_goes_on_where_it_was_interrupted(database_url, mariadb_server, interrupted_at):
    class PulledPlug(Exception):
        pass

    def interrupt(connection, cursor, statement, *rest):
        if interrupted_at in " ".join(statement.split()):
            raise PulledPlug

    engine = create_engine(database_url)
    event.listen(engine, "before_cursor_execute", interrupt)
    with pytest.raises(PulledPlug):
        upgrade_schema(engine)
    engine.dispose()
    assert "prepaid_book" in made(database_url)

    upgrade_schema(database_url)

    whole = mariadb_server.new_database()
    upgrade_schema(whole)
    assert made(database_url) == made(whole)
    triggers = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s ORDER BY trigger_name"
    found = [mariadb_server.administer(triggers, make_url(url).database) for url in (database_url, whole)]
    assert found[0] == found[1]
    assert len(found[0]) == 2 * len(schema.APPEND_ONLY)
    mariadb_server.drop_database(whole)


# A node without its cluster


NOT_PREPARED = "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node'"


@ON_MARIADB
@pytest.mark.parametrize("own_engine", [True, False])
def test_a_connection_to_a_node_without_its_cluster_is_not_used_again(host_engine, upgraded, own_engine):
    database, sessions = open_database(upgraded if own_engine else host_engine), []

    def work(tx):
        add_setting(tx, "a")
        sessions.append(tx.execute(text("SELECT CONNECTION_ID()")).scalar())
        if len(sessions) == 1:
            tx.execute(text(NOT_PREPARED))

    database.write(work)

    assert len(set(sessions)) == 2
    assert settings(database) == [("a", 0)]
    open_database(database.engine)  # listens once, however many share an engine
    database.close()


@ON_MARIADB
def test_other_errors_leave_the_connection_as_it_is(database):
    sessions = []

    def work(tx):
        sessions.append(tx.execute(text("SELECT CONNECTION_ID()")).scalar())
        if len(sessions) == 1:
            tx.execute(text(NOT_PREPARED.replace("1047", "1213")))

    database.write(work)

    assert len(sessions) == 2
    assert len(set(sessions)) == 1
