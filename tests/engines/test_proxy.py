"""The harness itself: a commit whose answer is lost has happened, and nothing else is touched."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pymysql
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.engines.proxy import LossyProxy, MariaDBSession


@pytest.fixture
def database(server):
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def direct(database):
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (id int PRIMARY KEY)"))
    yield engine
    engine.dispose()


def kept(engine):
    with engine.connect() as connection:
        return [number for (number,) in connection.execute(text("SELECT id FROM kept ORDER BY id"))]


def insert(connection, number):
    connection.execute(text("INSERT INTO kept VALUES (:number)"), {"number": number})


def test_a_commit_is_kept_though_its_answer_is_lost(database, direct):
    with LossyProxy(database, lambda statement: True) as proxy:
        engine = create_engine(proxy.url)
        with pytest.raises(OperationalError) as lost, engine.begin() as connection:
            insert(connection, 1)
        engine.dispose()

    assert kept(direct) == [1]
    assert proxy.lost == ["COMMIT"]
    assert lost.value.connection_invalidated


def test_reads_roll_backs_and_refused_statements_are_answered(database, direct):
    with LossyProxy(database, lambda statement: True) as proxy:
        engine = create_engine(proxy.url)
        for number in (1, 2):
            with engine.connect() as connection:
                insert(connection, number)
                assert connection.execute(text("SELECT count(*) FROM kept")).scalar() == 1
        with engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM kept")).scalar() == 0, "and COMMIT"
        with engine.connect() as connection, pytest.raises(Exception, match="nothing_here"):
            connection.execute(text("SELECT * FROM nothing_here"))
        engine.dispose()

    assert kept(direct) == []
    assert proxy.lost == []


def test_answers_are_lost_only_where_it_was_asked_for(database, direct):
    with LossyProxy(database, lambda statement: len(kept(direct)) == 2) as proxy:
        engine = create_engine(proxy.url)
        heard = []
        for number in range(4):
            try:
                with engine.begin() as connection:
                    insert(connection, number)
                heard.append(number)
            except OperationalError:
                pass
        engine.dispose()

    assert kept(direct) == [0, 1, 2, 3]
    assert heard == [0, 2, 3]


@pytest.mark.postgresql
@pytest.mark.parametrize("prepared", [False, True])
def test_a_statement_that_is_a_transaction_of_its_own_is_a_commit(postgres_cluster, prepared):
    url = postgres_cluster.new_database()
    plain = make_url(url).set(drivername="postgresql").render_as_string()
    armed = []
    with psycopg.connect(plain, autocommit=True) as direct, LossyProxy(url, lambda statement: bool(armed)) as proxy:
        direct.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        through = make_url(proxy.url).set(drivername="postgresql").render_as_string()
        with closing(psycopg.connect(through, autocommit=True)) as connection:
            for number in range(3):
                connection.execute("INSERT INTO kept VALUES (%s)", (number,), prepare=prepared)
            armed.append(1)
            # Nothing is written by it, so nothing of it can be lost.
            connection.execute("UPDATE kept SET id = 9 WHERE id = 8")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO kept VALUES (%s)", (2,), prepare=prepared)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("INSERT INTO kept VALUES (%s)", (3,), prepare=prepared)

        assert direct.execute("SELECT id FROM kept ORDER BY id").fetchall() == [(0,), (1,), (2,), (3,)]
        assert proxy.lost == ["INSERT INTO kept VALUES ($1)"]


@pytest.mark.mariadb
def test_a_compound_statement_that_commits_is_a_commit_and_one_that_rolls_back_is_none(mariadb_server):
    url = mariadb_server.new_database()
    compound = (
        "BEGIN NOT ATOMIC INSERT INTO kept VALUES ({number}); "
        "IF {number} = 1 THEN ROLLBACK; SELECT NULL; ELSE COMMIT; SELECT {number}; END IF; END"
    )
    with LossyProxy(url, lambda statement: True) as proxy:
        place = make_url(proxy.url)
        where = {"host": place.host, "port": place.port, "user": place.username, "database": place.database}
        with closing(pymysql.connect(**where)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept (id int PRIMARY KEY) ENGINE=InnoDB")
            cursor.execute(compound.format(number=1))
            assert cursor.fetchall() == ((None,),)
            with pytest.raises(pymysql.err.OperationalError) as lost:
                cursor.execute(compound.format(number=2))

        assert lost.value.args[0] == 2013
        assert proxy.lost == [compound.format(number=2)]
    engine = create_engine(url)
    assert kept(engine) == [2]
    engine.dispose()


def test_who_asks_while_the_last_answer_is_passed_on_is_heard():
    """The client's thread may be at the next statement before the server's is done with the answer."""
    session, (first, second) = (
        MariaDBSession(),
        ("BEGIN NOT ATOMIC COMMIT; END", "BEGIN NOT ATOMIC INSERT; COMMIT; END"),
    )
    session.asked(packet(b"\x03" + first.encode()))
    answers = session.answered(packet(b"\x00\x00\x00"))
    assert next(answers).commits == first

    session.asked(packet(b"\x03" + second.encode()))
    assert list(answers) == []
    [answer] = session.answered(packet(b"\x00\x00\x00"))
    assert answer.commits == second


def packet(body):
    return len(body).to_bytes(3, "little") + b"\0" + body
