"""A PostgreSQL server of the tests' own.

Sources: PostgreSQL manual, chapters 19 (server setup: start, shutdown) and
server programs `initdb` and `postgres`.
"""

from __future__ import annotations

import itertools
import re
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

from .server import USER, Command, LoopbackServer, ServerFailed

_DEBIAN = Path("/usr/lib/postgresql")
_URL = re.compile(r"postgresql\+psycopg://[^/]+/(?P<name>[a-z0-9_]+)")
_STATUS_LINE = 7


class Programs(NamedTuple):
    """The programs of one installed version."""

    initdb: Path
    postgres: Path


def find_programs() -> Programs | None:
    """Find the programs of a server: those on PATH, else the newest of Debian's."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(_DEBIAN.glob("*/bin"), key=lambda folder: _version(folder.parent.name), reverse=True)
    for folder in folders:
        programs = Programs(folder / "initdb", folder / "postgres")
        if all(program.exists() for program in programs):
            return programs
    return None


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


class PostgresCluster(LoopbackServer):
    """A running server; `new_database` gives an empty database each time.

    Commits are synchronous, as they are by default.
    """

    NAME = "PostgreSQL"
    ACCOUNTS = ("postgres", "nobody")
    # Fast shutdown, then immediate, then without asking.
    STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    def __init__(self, *, fsync: bool = True) -> None:
        """Make the cluster and start it.

        Args:
            fsync: False forgets the disk, for tests that do not kill the server.

        Raises:
            ServerFailed: No programs, or they failed.
        """
        programs = find_programs()
        if programs is None:
            raise ServerFailed("PostgreSQL is not installed.")
        self._programs = programs
        self._fsync = fsync
        self._numbers = itertools.count(1)
        super().__init__()

    def new_database(self, *, template: str = "template1") -> str:
        """Make a database and give its URL.

        Args:
            template: A name, or the URL of an earlier database that nobody is
                connected to; the new one is a copy of it.
        """
        name = f"test_{next(self._numbers)}"
        known = _URL.fullmatch(template)
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{known["name"] if known else template}"')
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database that `new_database` made, whoever is still connected to it."""
        known = _URL.fullmatch(url)
        if known is None:
            raise ValueError(f"{url!r} is not a database of this cluster.")
        self._administer(f'DROP DATABASE "{known["name"]}" WITH (FORCE)')

    def _administer(self, statement: str) -> None:
        import psycopg  # only where a server runs: `find_programs` works without the driver

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def _make(self) -> None:
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync"]
        self._run([self._programs.initdb, f"--pgdata={self._data}", f"--username={USER}", *options])

    def _command(self) -> Command:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "fsync": "on" if self._fsync else "off",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [self._programs.postgres, "-D", self._data, "-p", str(self.port), *options]

    def _answers(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"
