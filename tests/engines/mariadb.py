"""A MariaDB server of the tests' own.

Sources: MariaDB server documentation, `mariadb-install-db` and `mariadbd`
options, InnoDB system variables.
"""

from __future__ import annotations

import itertools
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from .server import USER, Command, LoopbackServer, ServerFailed

if TYPE_CHECKING:
    from pymysql.connections import Connection

_FOLDERS = (Path("/usr/sbin"), Path("/usr/bin"), Path("/usr/libexec"))
_URL = re.compile(r"mariadb\+pymysql://[^/]+/(?P<name>[a-z0-9_]+)")

_NO_SUCH_SESSION = 1094

SMALL = {"innodb_buffer_pool_size": "64M", "innodb_log_file_size": "16M", "performance_schema": "OFF"}


class Programs(NamedTuple):
    """The programs of the installed version."""

    install: Path
    server: Path


def find_programs() -> Programs | None:
    """Find the programs of a server, on PATH or in the system's folders."""
    found = [_find(name) for name in ("mariadb-install-db", "mariadbd")]
    install, server = found
    return None if install is None or server is None else Programs(install, server)


def _find(name: str) -> Path | None:
    if on_path := shutil.which(name):
        return Path(on_path)
    return next((folder / name for folder in _FOLDERS if (folder / name).exists()), None)


class MariaDBServer(LoopbackServer):
    """A running server; `new_database` gives an empty database each time.

    A commit reaches the disk before it is answered. Its character set is what the
    server's own default says, latin1: what needs another one has to say so.
    """

    NAME = "MariaDB"
    ACCOUNTS = ("mysql", "nobody")
    STOP_SIGNALS: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, *, fsync: bool = True) -> None:
        """Make the server's files and start it.

        Args:
            fsync: False forgets the disk, for tests that do not kill the server.

        Raises:
            ServerFailed: No programs, or they failed.
        """
        programs = find_programs()
        if programs is None:
            raise ServerFailed("MariaDB is not installed.")
        self._programs = programs
        self._fsync = fsync
        self._numbers = itertools.count(1)
        super().__init__()

    def new_database(self, *, template: str | None = None) -> str:
        """Make a database and give its URL.

        Args:
            template: The URL of an earlier database; the new one is a copy of it.
        """
        name = f"test_{next(self._numbers)}"
        self.administer(f"CREATE DATABASE {name}")
        if template is not None:
            self._copy(self._name_of(template), name)
        return f"mariadb+pymysql://{USER}@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database that `new_database` made, whoever is still connected to it."""
        name = self._name_of(url)
        for (victim,) in self.administer("SELECT id FROM information_schema.processlist WHERE db = %s", name):
            self._end_session(victim)
        self.administer(f"DROP DATABASE {name}")

    def administer(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement outside any database and give its rows."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return [tuple(row) for row in cursor.fetchall()]

    def _name_of(self, url: str) -> str:
        known = _URL.fullmatch(url)
        if known is None:
            raise ValueError(f"{url!r} is not a database of this server.")
        return known["name"]

    def _end_session(self, session: object) -> None:
        import pymysql

        try:
            self.administer("KILL %s", session)
        except pymysql.err.OperationalError as error:
            if error.args[0] != _NO_SUCH_SESSION:  # it may have ended by itself
                raise

    def _copy(self, source: str, target: str) -> None:
        with self._connect() as connection, connection.cursor() as cursor:

            def ask(statement: str) -> list[tuple[str, ...]]:
                cursor.execute(statement)
                return list(cursor.fetchall())

            ask("SET foreign_key_checks = 0")
            ask(f"USE {source}")
            made = {table: ask(f"SHOW CREATE TABLE {table}")[0][1] for (table,) in ask("SHOW TABLES")}
            triggers = [ask(f"SHOW CREATE TRIGGER {trigger}")[0][2] for trigger, *_ in ask("SHOW TRIGGERS")]
            ask(f"USE {target}")
            for table, statement in made.items():
                ask(statement)
                ask(f"INSERT INTO {table} SELECT * FROM {source}.{table}")
            for statement in triggers:
                ask(statement)

    def _connect(self) -> Connection:
        import pymysql  # only where a server runs: `find_programs` works without the driver

        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, autocommit=True, connect_timeout=5, read_timeout=30
        )

    def _make(self) -> None:
        accounts = self._folder / "accounts.sql"
        # One statement a line, and the bootstrap grants nothing before it has read the tables that it just made.
        user = f"{USER}@'127.0.0.1'"
        statements = ("FLUSH PRIVILEGES", f"CREATE USER {user}", f"GRANT ALL ON *.* TO {user}")
        accounts.write_text("".join(f"{statement};\n" for statement in statements))
        options = ["--no-defaults", f"--datadir={self._data}", f"--extra-file={accounts}", "--skip-test-db"]
        small = [f"--{name}={value}" for name, value in SMALL.items()]
        self._run([self._programs.install, *options, "--auth-root-authentication-method=normal", *small])

    def _command(self) -> Command:
        settings = SMALL | {
            "datadir": self._data,
            "port": self.port,
            "bind_address": "127.0.0.1",
            "socket": "socket",  # in the data directory; the path of a socket must be short
            "pid_file": "pid",
            "innodb_flush_log_at_trx_commit": 1 if self._fsync else 0,
            "innodb_doublewrite": "ON" if self._fsync else "OFF",
            "sync_frm": "ON" if self._fsync else "OFF",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._programs.server, "--no-defaults", "--skip-name-resolve", *options]

    def _answers(self) -> bool:
        import pymysql

        try:
            self._connect().close()
        except pymysql.err.OperationalError:
            return False
        return True
