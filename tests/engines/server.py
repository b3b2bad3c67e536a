"""A server of the tests' own: private directory, free port on loopback, stopped at the end.

Database servers refuse to run as root, so that a test run by root hands them to
an unprivileged account. Only processes started here are ever stopped.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, TypedDict

USER: Final = "prepaid"
START_TIMEOUT_S: Final = 30.0
START_ATTEMPTS: Final = 3
STOP_TIMEOUT_S: Final = 10.0

Command = list[str | Path]


class ServerFailed(RuntimeError):
    """A server could not be made or started; the message ends with what it said."""


class _Identity(TypedDict, total=False):
    cwd: Path
    env: dict[str, str]
    user: int
    group: int
    extra_groups: tuple[int, ...]


class LoopbackServer(ABC):
    """A server process in a directory of its own.

    Attributes:
        port: The port on 127.0.0.1 that it listens on.
    """

    NAME: ClassVar[str]
    """What it is called, in errors and in the name of its directory."""

    ACCOUNTS: ClassVar[tuple[str, ...]]
    """Unprivileged accounts that root may hand it to, the best one first."""

    STOP_SIGNALS: ClassVar[tuple[signal.Signals, ...]]
    """What is sent to end it, one after the other."""

    START_TIMEOUT_S: ClassVar[float] = START_TIMEOUT_S

    def __init__(self) -> None:
        """Make the server's files and start it.

        Raises:
            ServerFailed: Its programs failed.
        """
        self._account = _account(self.NAME, self.ACCOUNTS)
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix=f"prepaid-{self.NAME.lower()}-"))
        self._log = self._folder / "log"
        self.port = 0
        atexit.register(self.stop)
        try:
            if self._account is not None:
                os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
            self._make()
            self._start()
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def _make(self) -> None:
        """Make the files that it runs on."""

    @abstractmethod
    def _command(self) -> Command:
        """Give what runs it on `port`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether it takes connections."""

    def stop(self) -> None:
        """Stop the server and remove its directory; a second call does nothing."""
        if os.getpid() != self._owner:
            return  # A fork of the test's process ends; the server is not its own.
        atexit.unregister(self.stop)
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, command: Command) -> None:
        """Run a program of the server's to its end, as its account."""
        done = subprocess.run(command, capture_output=True, check=False, **self._as_account())
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise ServerFailed(f"{Path(command[0]).name} failed: {said[-2000:]}")

    def _start(self) -> None:
        # Another process may take the free ports before the server does.
        for attempt in range(1, START_ATTEMPTS + 1):
            self._choose_ports()
            self._launch()
            if self._is_ready():
                return
            self._end()
            if attempt == START_ATTEMPTS or "in use" not in self._said():
                raise ServerFailed(f"{self.NAME} did not start: {self._said()}")

    def _choose_ports(self) -> None:
        [self.port] = free_ports(1)

    def _launch(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_account(),
            )

    def _is_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + self.START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        for stop in self.STOP_SIGNALS:
            if process is None or process.poll() is not None:
                return
            process.send_signal(stop)  # to our own child only
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                continue

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip()

    def _as_account(self) -> _Identity:
        # Its own: two servers that are made at once trip over each other's temporary tables.
        own = _Identity(cwd=self._folder, env={**os.environ, "TMPDIR": str(self._folder)})
        if self._account is None:
            return own
        return {**own, "user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": ()}


def _account(server: str, names: Sequence[str]) -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in names:
        if name in known:
            return known[name]
    raise ServerFailed(f"{server} does not run as root, and there is none of {', '.join(names)}.")


def free_ports(count: int) -> list[int]:
    """Give ports on 127.0.0.1 that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
