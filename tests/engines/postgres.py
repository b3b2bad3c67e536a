"""A PostgreSQL server of the tests' own: private directory, free port on loopback, stopped at the end.

PostgreSQL refuses to run as root, so that a test run by root hands the server
to an unprivileged account. Only processes started here are ever stopped.

Sources: PostgreSQL manual, chapters 19 (server setup: start, shutdown) and
server programs `initdb` and `postgres`.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

USER: Final = "prepaid"
START_TIMEOUT_S: Final = 30.0
START_ATTEMPTS: Final = 3
STOP_TIMEOUT_S: Final = 10.0

_DEBIAN = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")
_URL = re.compile(r"postgresql\+psycopg://[^/]+/(?P<name>[a-z0-9_]+)")
_STATUS_LINE = 7


class ClusterFailed(RuntimeError):
    """The server could not be made or started; the message ends with what it said."""


class _Identity(TypedDict, total=False):
    cwd: Path
    user: int
    group: int
    extra_groups: tuple[int, ...]


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


class PostgresCluster:
    """A running server; `new_database` gives an empty database each time.

    Commits are synchronous, as they are by default.

    Attributes:
        port: The port on 127.0.0.1 that it listens on.
    """

    def __init__(self, *, fsync: bool = True) -> None:
        """Make the cluster and start it.

        Args:
            fsync: False forgets the disk, for tests that do not kill the server.

        Raises:
            ClusterFailed: No programs, or they failed.
        """
        programs = find_programs()
        if programs is None:
            raise ClusterFailed("PostgreSQL is not installed.")
        self._programs = programs
        self._fsync = fsync
        self._account = _account()
        self._numbers = itertools.count(1)
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="prepaid-postgres-"))
        self._log = self._folder / "log"
        self.port = 0
        atexit.register(self.stop)
        try:
            self._make()
            self._start()
        except BaseException:
            self.stop()
            raise

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

    def stop(self) -> None:
        """Stop the server and remove its directory; a second call does nothing."""
        if os.getpid() != self._owner:
            return  # A fork of the test's process ends; the server is not its own.
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _administer(self, statement: str) -> None:
        import psycopg  # only where a server runs: `find_programs` works without the driver

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def _make(self) -> None:
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync"]
        command: list[str | Path] = [self._programs.initdb, f"--pgdata={self._data}", f"--username={USER}", *options]
        done = subprocess.run(command, capture_output=True, check=False, **self._as_account())
        if done.returncode:
            raise ClusterFailed(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")

    def _start(self) -> None:
        # Another process may take the free port before the server does.
        for attempt in range(1, START_ATTEMPTS + 1):
            self.port = _free_port()
            self._process = self._launch()
            if self._is_ready(self._process):
                return
            _end(self._process)
            if attempt == START_ATTEMPTS or "in use" not in self._said():
                raise ClusterFailed(f"PostgreSQL did not start: {self._said()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "fsync": "on" if self._fsync else "off",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._programs.postgres, "-D", self._data, "-p", str(self.port), *options]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_account()
            )

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if self._status() == "ready":
                return True
            time.sleep(0.02)
        return False

    def _status(self) -> str:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _as_account(self) -> _Identity:
        if self._account is None:
            return {"cwd": self._folder}
        group = self._account.pw_gid
        return {"cwd": self._folder, "user": self._account.pw_uid, "group": group, "extra_groups": ()}


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _UNPRIVILEGED:
        if name in names:
            return names[name]
    raise ClusterFailed(f"PostgreSQL does not run as root, and there is none of {', '.join(_UNPRIVILEGED)}.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    # Fast shutdown, then immediate, then without asking: to our own child only.
    for stop in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(stop)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
