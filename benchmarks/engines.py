"""The engines that are measured: started here with full durability, on the disk, and stopped at the end.

The servers are those of the tests with more memory; the one place that knows
how to start them.
"""

from __future__ import annotations

import importlib
import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from .limits import Limit
from .limits.mariadb import MariaDBLimit
from .limits.postgres import PostgresLimit
from .limits.sqlite import SQLiteLimit
from .machine import refuse_memory

Engine = Literal["pg", "sqlite", "mariadb"]
ENGINES: Final[tuple[Engine, ...]] = ("pg", "sqlite", "mariadb")

LIMITS: Final[Mapping[Engine, Callable[[str], Limit]]] = {
    "pg": PostgresLimit,
    "sqlite": SQLiteLimit,
    "mariadb": MariaDBLimit,
}

_SERVERS: Final[Mapping[Engine, tuple[str, str, tuple[str, ...]]]] = {
    "pg": ("tests.engines.postgres", "PostgresCluster", ("-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB")),
    "mariadb": (
        "tests.engines.mariadb",
        "MariaDBServer",
        ("--innodb_buffer_pool_size=1G", "--innodb_log_file_size=512M"),
    ),
}
"""Where each server comes from, and what it is told beyond what the tests tell it."""


class NotAvailable(Exception):
    """Something that a section needs is not here; the message says what."""


class Engines:
    """Servers, started when a section first asks for them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._folder = tempfile.TemporaryDirectory(prefix="prepaid-benchmarks-")
        self._servers: dict[Engine, Any] = {}
        self._numbers = itertools.count(1)
        refuse_memory(self.folder)

    @property
    def folder(self) -> Path:
        """A folder on the same disk, removed at the end."""
        return Path(self._folder.name)

    def new_url(self, engine: Engine) -> str:
        """Make an empty database and give its URL.

        Raises:
            NotAvailable: The engine cannot be started here.
        """
        if engine == "sqlite":
            return f"sqlite:///{self.folder / f'{next(self._numbers)}.db'}"
        if engine not in self._servers:
            self._servers[engine] = _start(engine)
        return str(self._servers[engine].new_database())

    def close(self) -> None:
        """Stop the servers and remove every file."""
        for server in self._servers.values():
            server.stop()
        self._folder.cleanup()


def _start(engine: Engine) -> Any:
    module, name, more = _SERVERS[engine]
    try:
        found = importlib.import_module(module)
    except ImportError as absence:
        raise NotAvailable(f"{module} cannot be imported: {absence}") from None
    if found.find_programs() is None:
        raise NotAvailable(f"the programs of {name} are not installed")

    class Server(getattr(found, name)):  # type: ignore[misc]  # a class that is found by name
        """The tests' server with more memory; of an option that is given twice the last one counts."""

        def _command(self) -> list[str | Path]:
            return [*super()._command(), *more]

    return Server()
