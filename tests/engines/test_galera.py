"""The harness itself: nodes keep the same rows, and one of them may die."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engines.galera import GaleraCluster
from tests.engines.test_mariadb import ask

pytestmark = pytest.mark.galera


@pytest.fixture
def database(galera_cluster: GaleraCluster) -> Iterator[str]:
    name = galera_cluster.new_database()
    ask(galera_cluster.url(0, name), "CREATE TABLE shared (id int PRIMARY KEY) ENGINE=InnoDB")
    yield name
    galera_cluster.drop_database(name)


def rows_at(cluster: GaleraCluster, node: int, database: str) -> list[int]:
    # After everything that was committed anywhere before.
    rows = ask(cluster.url(node, database), "SELECT id FROM shared ORDER BY id", init_command="SET wsrep_sync_wait = 1")
    return [row for (row,) in rows]


def test_three_nodes_are_in_step_and_each_commit_reaches_the_disk(galera_cluster):
    statuses = [node.status() for node in galera_cluster._nodes]

    assert [status["cluster_size"] for status in statuses] == ["3", "3", "3"]
    assert len({status["cluster_state_uuid"] for status in statuses}) == 1
    assert len({status["gcomm_uuid"] for status in statuses}) == 3
    for node in galera_cluster._nodes:
        assert node.administer("SELECT @@innodb_flush_log_at_trx_commit, @@bind_address") == [(1, "127.0.0.1")]


def test_a_row_written_at_one_node_is_read_at_another(galera_cluster, database):
    ask(galera_cluster.url(0, database), "INSERT INTO shared VALUES (7)")

    assert rows_at(galera_cluster, 2, database) == [7]


@pytest.mark.full
@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_node_leaves_the_others_writing_and_comes_back_with_what_it_missed(galera_cluster, database, victim):
    others = [node for node in range(3) if node != victim]
    pid = galera_cluster._nodes[victim]._process.pid

    galera_cluster.kill_node(victim)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for node in others:
        ask(galera_cluster.url(node, database), f"INSERT INTO shared VALUES ({node})")
    galera_cluster.restart_node(victim)
    assert [rows_at(galera_cluster, node, database) for node in range(3)] == [others] * 3


def test_stopping_ends_every_node_and_removes_its_directory():
    cluster = GaleraCluster(size=1, fsync=False)
    [node] = cluster._nodes
    pid, folder = node._process.pid, node._folder
    assert node.administer("SELECT @@innodb_flush_log_at_trx_commit") == [(0,)]

    cluster.stop()

    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    cluster.stop()
