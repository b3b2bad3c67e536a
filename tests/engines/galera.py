"""A MariaDB Galera cluster of the tests' own: three servers on 127.0.0.1 that keep the same rows.

Every node takes writes and passes them on before a commit is answered. The first
one is made, the others copy its files with rsync when they join.

Sources: MariaDB documentation, Galera Cluster: getting started, system
variables, `wsrep_provider_options`, state snapshot transfers.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .mariadb import MariaDBServer
from .server import USER, Command, ServerFailed, free_ports

NODES: Final = 3
SYNC_TIMEOUT_S: Final = 60.0

_PROVIDERS = (Path("/usr/lib/galera/libgalera_smm.so"), Path("/usr/lib64/galera-4/libgalera_smm.so"))


def find_provider() -> Path | None:
    """Find the library that makes a server a node."""
    return next((path for path in _PROVIDERS if path.exists()), None)


class GaleraNode(MariaDBServer):
    """One server of a cluster.

    Attributes:
        address: Where the other nodes find it.
    """

    NAME = "Galera"
    STOP_SIGNALS = (signal.SIGKILL,)  # with the last node the cluster is gone, whatever is on the disk
    START_TIMEOUT_S = SYNC_TIMEOUT_S

    def __init__(self, members: Sequence[GaleraNode], *, provider: Path, fsync: bool) -> None:
        """Start a node that joins ``members``, or a new cluster if there is none.

        Args:
            members: The nodes of the cluster; the list may grow later.
            provider: The library that makes a server a node.
            fsync: False forgets the disk.

        Raises:
            ServerFailed: It did not come up, or was not in step in time.
        """
        self._members = members
        self._founds = not members
        self._provider = provider
        self.address = ""
        super().__init__(fsync=fsync)
        self._founds = False  # if it is started again it joins the others, also as the first one

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def status(self) -> dict[str, str]:
        """Give its wsrep status variables; their names without the prefix."""
        found = self.administer("SHOW STATUS LIKE 'wsrep_%%'")
        return {str(name).removeprefix("wsrep_"): str(value) for name, value in found}

    def kill(self) -> None:
        """End its process as ``kill -9`` does."""
        self._end()

    def restart(self) -> None:
        """Start it again on the same files and ports, and wait until it is in step.

        Raises:
            ServerFailed: It is not in time.
        """
        self._launch()
        if not self._is_ready():
            self._end()
            raise ServerFailed(f"A node did not come back: {self._said()}")

    def _make(self) -> None:
        if self._founds:
            super()._make()
            return
        self._data.mkdir()
        if self._account is not None:
            shutil.chown(self._data, self._account.pw_uid, self._account.pw_gid)

    def _choose_ports(self) -> None:
        self.port, group, self._incremental, self._snapshot = free_ports(4)
        self.address = f"127.0.0.1:{group}"

    def _command(self) -> Command:
        others = [node.address for node in self._members if node is not self]
        settings = {
            "binlog_format": "ROW",
            "innodb_autoinc_lock_mode": 2,
            "wsrep_on": "ON",
            "wsrep_provider": self._provider,
            "wsrep_cluster_address": "gcomm://" + ("" if self._founds else ",".join(others)),
            "wsrep_node_address": "127.0.0.1",
            "wsrep_sst_method": "rsync",
            "wsrep_sst_receive_address": f"127.0.0.1:{self._snapshot}",
        }
        provider = {
            "base_port": self.address.rpartition(":")[2],
            "gmcast.listen_addr": f"tcp://{self.address}",
            "ist.recv_addr": f"127.0.0.1:{self._incremental}",
            "gcache.size": "16M",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        joined = "; ".join(f"{name}={value}" for name, value in provider.items())
        return [*super()._command(), *options, f"--wsrep_provider_options={joined}"]

    def _answers(self) -> bool:
        return super()._answers() and self.status()["local_state_comment"] == "Synced"


class GaleraCluster:
    """Nodes that are in step; `new_database` gives an empty database that all of them have."""

    def __init__(self, *, size: int = NODES, fsync: bool = True) -> None:
        """Start the nodes one after another and wait until they see each other.

        Args:
            size: How many they are.
            fsync: False forgets the disk, for tests that kill no node.

        Raises:
            ServerFailed: A program is missing, or a node did not come up.
        """
        provider = find_provider()
        if provider is None or shutil.which("rsync") is None:
            raise ServerFailed("Galera's library or rsync is not installed.")
        self._numbers = itertools.count(1)
        self._nodes: list[GaleraNode] = []
        try:
            for _ in range(size):
                self._nodes.append(GaleraNode(self._nodes, provider=provider, fsync=fsync))
            self.wait_for(size)
        except BaseException:
            self.stop()
            raise

    @property
    def first(self) -> GaleraNode:
        """The first node, for whom needs no more than a server."""
        return self._nodes[0]

    def new_database(self) -> str:
        """Make a database and give its name; `url` says where a node has it."""
        name = f"cluster_{next(self._numbers)}"
        self._alive()[0].administer(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database at every node."""
        self._alive()[0].administer(f"DROP DATABASE {name}")

    def url(self, node: int, database: str) -> str:
        """Give the URL of a database at one node, from 0."""
        return f"mariadb+pymysql://{USER}@127.0.0.1:{self._nodes[node].port}/{database}"

    def kill_node(self, node: int) -> None:
        """End a node's process as ``kill -9`` does."""
        self._nodes[node].kill()

    def restart_node(self, node: int) -> None:
        """Start a killed node again and wait until it is in step with the others.

        Raises:
            ServerFailed: It is not in time.
        """
        self._nodes[node].restart()
        self.wait_for(len(self._alive()))

    def wait_for(self, size: int) -> None:
        """Wait until every running node is in step and sees ``size`` of them.

        Raises:
            ServerFailed: That does not come about in time, or a node ended.
        """
        deadline = time.monotonic() + SYNC_TIMEOUT_S
        while (alive := self._alive()) and time.monotonic() < deadline:
            seen = [node.status() for node in alive]
            if all((s["local_state_comment"], s["cluster_size"]) == ("Synced", str(size)) for s in seen):
                return
            time.sleep(0.05)
        raise ServerFailed(f"The cluster did not come to be of {size} nodes: {seen if alive else 'no node runs'}")

    def stop(self) -> None:
        """Stop the nodes and remove their directories; a second call does nothing."""
        for node in self._nodes:
            node.stop()

    def _alive(self) -> list[GaleraNode]:
        return [node for node in self._nodes if node.runs]
