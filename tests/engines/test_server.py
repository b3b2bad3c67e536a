"""What every server of the tests' own is promised to do, shown with programs that are no database."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest

from tests.engines.server import LoopbackServer, ServerFailed, free_ports


class Program(LoopbackServer):
    """Runs a shell's script, which is ready when it makes a file of that name."""

    NAME = "Program"
    ACCOUNTS = ("nobody",)
    STOP_SIGNALS = (signal.SIGTERM, signal.SIGKILL)
    START_TIMEOUT_S = 1.0

    def __init__(self, script: str) -> None:
        self._script, self.launched = script, []
        super().__init__()

    def _make(self) -> None:
        (self._folder / "made").touch()

    def _command(self):
        return ["/bin/sh", "-c", self._script]

    def _launch(self) -> None:
        super()._launch()
        self.launched.append(self._process.pid)

    def _answers(self) -> bool:
        return (self._folder / "ready").exists()


@pytest.fixture
def folders(monkeypatch):
    """Give the directories that are made during a test."""
    made, make = [], tempfile.mkdtemp

    def remembered(**options):
        made.append(Path(make(**options)))
        return str(made[-1])

    monkeypatch.setattr("tempfile.mkdtemp", remembered)
    return made


def test_a_server_runs_in_a_directory_of_its_own_until_it_is_stopped(folders):
    server = Program("touch ready; exec sleep 60")
    [folder], [pid] = folders, server.launched
    owner = Path(f"/proc/{pid}").stat().st_uid

    assert (folder / "made").exists()
    assert owner == folder.stat().st_uid != 0
    server.stop()

    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_ends_at_once_is_not_waited_for(folders):
    began = time.monotonic()

    with pytest.raises(ServerFailed, match="Program did not start: no such luck"):
        Program("echo no such luck; exit 1")

    assert time.monotonic() - began < Program.START_TIMEOUT_S
    assert not folders[0].exists()


def test_a_server_that_never_answers_is_ended(folders):
    with pytest.raises(ServerFailed, match="did not start"):
        Program("exec sleep 60")

    assert not folders[0].exists()


def test_a_port_that_somebody_took_meanwhile_is_given_up_for_another(folders):
    attempts = []

    class Unlucky(Program):
        def _choose_ports(self) -> None:
            super()._choose_ports()
            attempts.append(self.port)

    with pytest.raises(ServerFailed, match="in use"):
        Unlucky("echo address already in use; exit 1")

    assert len(set(attempts)) == 3


def test_free_ports_are_all_different():
    ports = free_ports(20)

    assert len(set(ports)) == 20
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
