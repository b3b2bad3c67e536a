"""The harness itself: databases are apart, and nothing is left running."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.engines.postgres import PostgresCluster

pytestmark = pytest.mark.postgresql


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def test_two_databases_of_one_cluster_share_nothing(postgres_cluster):
    first, second = postgres_cluster.new_database(), postgres_cluster.new_database()

    with connect(first) as connection:
        connection.execute("CREATE TABLE only_here (id int)")

    with connect(second) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_a_copy_of_a_template_holds_its_rows(postgres_cluster):
    template = postgres_cluster.new_database()
    with connect(template) as connection:
        connection.execute("CREATE TABLE filled AS SELECT 7 AS seven")

    with connect(postgres_cluster.new_database(template=template)) as connection:
        assert connection.execute("SELECT seven FROM filled").fetchone() == (7,)


def test_commits_reach_the_disk_and_text_is_utf8(postgres_cluster):
    with connect(postgres_cluster.new_database()) as connection:
        for setting, value in (("fsync", "on"), ("synchronous_commit", "on"), ("server_encoding", "UTF8")):
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)


def test_dropping_a_database_ends_its_connections(postgres_cluster):
    url = postgres_cluster.new_database()
    connection = connect(url)

    postgres_cluster.drop_database(url)

    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_stopping_ends_the_server_and_removes_its_directory():
    cluster = PostgresCluster(fsync=False)
    process, folder = cluster._process, cluster._folder
    with connect(cluster.new_database()) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)

    cluster.stop()

    assert process.poll() == 0
    assert not folder.exists()
    cluster.stop()


def test_the_end_of_the_process_stops_the_server():
    code = (
        "from tests.engines.postgres import PostgresCluster\n"
        "cluster = PostgresCluster(fsync=False)\n"
        "print(cluster._process.pid, cluster._folder)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)

    pid, folder = done.stdout.split()
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_forked_process_leaves_the_server_alone(postgres_cluster):
    child = multiprocessing.get_context("fork").Process(target=postgres_cluster.stop)
    child.start()
    child.join(30)

    assert child.exitcode == 0
    with connect(postgres_cluster.new_database()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
