"""``prepaid digest``, as an operator runs it."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from prepaid.cli import main

PANEL = """
from datetime import UTC, datetime

from prepaid import Address, Prepaid, Seller, permissions
from prepaid.testing.clock import MovableClock
from prepaid.testing.mail import RecordingMailer

mailer = RecordingMailer()
billing = Prepaid(
    database="sqlite:///{path}",
    mode="test",
    seller=Seller(name="Nimbus GmbH", address=Address(country="DE")),
    mailer=mailer,
    clock=MovableClock(),
    load_plugins=False,
)
billing.upgrade_database()
ops = billing.operator("alice", permissions=permissions.ALL)
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "digesting.py").write_text(PANEL.format(path=tmp_path / "billing.db"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "digesting", raising=False)
    import digesting  # type: ignore[import-not-found]

    digesting.ops.digest.settings(email="cfo@nimbus.example")
    yield digesting
    digesting.billing.close()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["digest", "--app", "digesting:billing", *arguments])
    return result.exit_code, result.output


def test_a_preview_shows_the_mail_and_sends_nothing(host) -> None:
    status, output = run("--day", "2026-11-22", "--preview")

    letter = host.ops.digest.preview(host.billing._context.current_day().replace(day=22))
    assert (status, output) == (0, f"{letter.subject}\n\n{letter.text}")
    assert host.mailer.sent == []


def test_a_preview_as_json_has_the_html_too(host) -> None:
    status, output = run("--day", "2026-11-22", "--preview", "--json")

    assert status == 0
    assert set(json.loads(output)) == {"subject", "text", "html"}
    assert json.loads(output)["html"].startswith("<!DOCTYPE html>")


def test_a_day_is_sent_once_and_said_to_be_sent(host) -> None:
    assert run("--day", "2026-11-22", "--send") == (0, "2026-11-22: sent\n")
    assert run("--day", "2026-11-22", "--send", "--json") == (0, '{"day": "2026-11-22", "state": "sent"}\n')

    assert len(host.mailer.sent) == 1
    [entry] = host.ops.audit.list(action="digest-send").items
    assert (entry.actor, entry.target) == ("cli", "2026-11-22")


def test_a_mail_that_cannot_be_delivered_now_exits_with_1(host) -> None:
    host.mailer.failures = [OSError("down")]

    assert run("--day", "2026-11-22", "--send") == (1, "2026-11-22: not delivered yet, the job outbox tries again\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--day", "2026-11-22"], "--preview or --send"),
        (["--preview"], "--day"),
        (["--day", "yesterday", "--preview"], "no day such as 2026-11-22"),
        (["--day", "2026-11-23", "--preview"], "has ended"),
        (["--day", "2026-11-23", "--send"], "has ended"),
    ],
)
def test_wrong_use_exits_with_2_and_changes_nothing(host, arguments: list[str], said: str) -> None:
    status, output = run(*arguments)

    assert status == 2
    assert said in output
    with closing(sqlite3.connect("billing.db")) as database:
        assert database.execute("SELECT count(*) FROM prepaid_digest").fetchone() == (0,)


def test_switched_off_nothing_is_sent(host) -> None:
    host.ops.digest.settings(enabled=False)

    status, output = run("--day", "2026-11-22", "--send")

    assert (status, output) == (2, "prepaid: Digests are switched off.\n")
