"""The harness itself: databases are apart, and nothing is left running."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from tests.engines.mariadb import MariaDBServer

pytestmark = pytest.mark.mariadb


def connect(url: str, **options: object) -> pymysql.Connection:
    parts = make_url(url)
    place = {"host": parts.host, "port": parts.port, "user": parts.username, "database": parts.database}
    return pymysql.connect(**place, autocommit=True, read_timeout=30, **options)


def ask(url: str, question: str, **options: object) -> tuple[tuple[object, ...], ...]:
    with connect(url, **options) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchall()


def test_two_databases_of_one_server_share_nothing(mariadb_server):
    first, second = mariadb_server.new_database(), mariadb_server.new_database()

    ask(first, "CREATE TABLE only_here (id int)")

    assert ask(first, "SHOW TABLES") == (("only_here",),)
    assert ask(second, "SHOW TABLES") == ()


def test_a_copy_of_a_template_holds_its_rows_keys_and_triggers(mariadb_server):
    template = mariadb_server.new_database()
    for statement in (
        "CREATE TABLE child (id serial, parent int, FOREIGN KEY (parent) REFERENCES parent (id)) ENGINE=InnoDB",
        "CREATE TABLE parent (id int PRIMARY KEY, CHECK (id > 0)) ENGINE=InnoDB",
        "CREATE TRIGGER keep BEFORE DELETE ON child FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '% kept'",
        "INSERT INTO parent VALUES (7)",
        "INSERT INTO child VALUES (5, 7)",
    ):
        ask(template, statement, init_command="SET foreign_key_checks = 0")

    copy = mariadb_server.new_database(template=template)

    ask(copy, "INSERT INTO child (parent) VALUES (7)")
    assert ask(copy, "SELECT * FROM child") == ((5, 7), (6, 7))
    assert ask(template, "SELECT * FROM child") == ((5, 7),)
    for refused in ("DELETE FROM child", "INSERT INTO child (parent) VALUES (8)", "INSERT INTO parent VALUES (0)"):
        with pytest.raises(pymysql.err.Error):
            ask(copy, refused)


@pytest.mark.parametrize(("options", "flush", "twice"), [({}, 1, 1), ({"fsync": False}, 0, 0)])
def test_commits_reach_the_disk_unless_it_is_forgotten_and_the_rest_is_as_a_host_may_have_it(options, flush, twice):
    server = MariaDBServer(**options)
    url = server.new_database()
    for variable, value in (
        ("innodb_flush_log_at_trx_commit", flush),
        ("innodb_doublewrite", twice),
        ("bind_address", "127.0.0.1"),
        ("character_set_database", "latin1"),
        ("tx_isolation", "REPEATABLE-READ"),
    ):
        assert ask(url, f"SELECT @@{variable}") == ((value,),), variable
    server.stop()


def test_dropping_a_database_ends_its_connections(mariadb_server):
    url = mariadb_server.new_database()
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE held (id int) ENGINE=InnoDB")
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM held")  # a metadata lock, on which DROP would wait

        mariadb_server.drop_database(url)

        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("SELECT 1")
    with pytest.raises(pymysql.err.OperationalError, match="Unknown database"):
        connect(url)


def test_a_database_of_another_server_is_not_dropped(mariadb_server):
    with pytest.raises(ValueError, match="not a database"):
        mariadb_server.drop_database("postgresql+psycopg://u@127.0.0.1/test_1")


def test_stopping_ends_the_server_and_removes_its_directory():
    server = MariaDBServer(fsync=False)
    process, folder = server._process, server._folder

    server.stop()

    assert process.poll() == 0
    assert not folder.exists()
    server.stop()


def test_the_end_of_the_process_stops_the_server():
    code = (
        "from tests.engines.mariadb import MariaDBServer\n"
        "server = MariaDBServer(fsync=False)\n"
        "print(server._process.pid, server._folder)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)

    pid, folder = done.stdout.split()
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_forked_process_leaves_the_server_alone(mariadb_server):
    child = multiprocessing.get_context("fork").Process(target=mariadb_server.stop)
    child.start()
    child.join(30)

    assert child.exitcode == 0
    assert ask(mariadb_server.new_database(), "SELECT 1") == ((1,),)
