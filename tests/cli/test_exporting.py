"""``prepaid export``, as an operator runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import prepaid
from prepaid import Money
from prepaid.cli import main

PANEL = """
from prepaid import Address, Prepaid, Seller

billing = Prepaid(
    database="sqlite:///{path}",
    mode="test",
    seller=Seller(name="Nimbus GmbH", address=Address(country="DE"), timezone="Europe/Berlin"),
    load_plugins=False,
)
"""
SPAN = ("--since", "2020-01-01", "--until", "2029-01-01")


@pytest.fixture(autouse=True)
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    url = tmp_path / "billing.db"
    (tmp_path / "panel.py").write_text(PANEL.format(path=url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "panel", raising=False)
    monkeypatch.setenv("PREPAID_APP", "panel:billing")
    CliRunner().invoke(main, ["db", "upgrade", "--database", f"sqlite:///{url}"])
    import panel as host  # type: ignore[import-not-found]

    host.billing.customers.register("user-42", currency="EUR")
    ops = host.billing.operator("alice", permissions=prepaid.permissions.ALL)
    for number in range(3):
        ops.customers.grant("user-42", Money.of("1.50", "EUR"), kind="goodwill", reason="hello", key=f"gift-{number}")
    yield
    host.billing.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", *arguments])


def test_an_export_goes_to_the_output_and_what_was_done_beside_it() -> None:
    result = run("transactions", *SPAN)

    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))
    assert [row["amount"] for row in rows] == ["1.50"] * 3
    assert result.stderr == "3 rows of transactions as csv\n"


@pytest.mark.parametrize(
    ("format", "begins"), [("csv", b"id,"), ("xlsx", b"PK"), ("jsonl", b"{"), ("beancount", b";;")]
)
def test_an_export_goes_to_a_file_in_any_format(tmp_path: Path, format: str, begins: bytes) -> None:
    result = run("journal", *SPAN, "--format", format, "--to", "journal.out")

    assert (result.exit_code, result.stdout) == (0, f"3 rows of journal as {format}\n")
    assert (tmp_path / "journal.out").read_bytes().startswith(begins)


def test_what_was_done_is_told_as_json() -> None:
    result = run("tax", *SPAN, "--to", "tax.csv", "--json")

    assert json.loads(result.stdout) == {"export": "tax", "format": "csv", "rows": 0, "to": "tax.csv"}


def test_a_file_that_is_there_is_replaced_only_if_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")

    refused = run("tax", *SPAN, "--to", "mine.csv")
    assert (refused.exit_code, (tmp_path / "mine.csv").read_text()) == (2, "mine")
    assert refused.stderr.startswith("prepaid: ")
    assert run("tax", *SPAN, "--to", "mine.csv", "--overwrite").exit_code == 0
    assert (tmp_path / "mine.csv").read_text() != "mine"


def test_instants_and_a_currency_limit_an_export() -> None:
    now = __import__("panel").billing._context.now()

    before = run("transactions", "--since", "2020-01-01T00:00Z", "--until", "2021-01-01T00:00+01:00")
    after = run("transactions", "--since", "2020-01-01", "--until", f"{now.year + 1}-01-01", "--currency", "EUR")

    assert before.stderr == "0 rows of transactions as csv\n"
    assert after.stderr == "3 rows of transactions as csv\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ("ledger", *SPAN),
        ("tax",),
        ("tax", "--since", "2026-01-01"),
        ("tax", *SPAN, "--format", "pdf"),
        ("tax", *SPAN, "--format", "beancount"),
        ("tax", *SPAN, "--currency", "GBP"),
        ("tax", "--since", "yesterday", "--until", "2026-01-01"),
        ("tax", "--since", "2026-13-01", "--until", "2027-01-01"),
        ("tax", "--since", "2026-01-01T00:00", "--until", "2027-01-01"),
        ("tax", "--since", "2027-01-01", "--until", "2026-01-01"),
        ("tax", *SPAN, "--to", "."),
        ("tax", *SPAN, "--to", "missing/tax.csv"),
        ("revenue", "--since", "1980-01-01", "--until", "2026-01-01"),
    ],
)
def test_wrong_use_exits_with_2_and_writes_nothing(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    before = set(tmp_path.iterdir())

    result = run(*wrong)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
    assert {path for path in tmp_path.iterdir() if "billing.db" not in path.name} <= before


def test_a_disk_that_is_full_exits_with_1_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    result = run("tax", *SPAN, "--to", "tax.csv")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "No space left on device" in result.stderr
    assert not (tmp_path / "tax.csv").exists()


def export_in_a_process(*arguments: str, **streams: int) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from prepaid.cli import main; sys.argv = ['prepaid', 'export', *{arguments!r}]; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(prepaid.__file__).parent.parent), "TERM": "xterm"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, text=True, check=False, timeout=60, env=environment, **streams)  # type: ignore[call-overload, no-any-return]


def test_a_terminal_sees_how_far_an_export_is() -> None:
    ours, theirs = pty.openpty()

    done = export_in_a_process("transactions", *SPAN, stdout=subprocess.PIPE, stderr=theirs)

    os.close(theirs)
    seen = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "exporting transactions" in seen
    assert "3/3" in seen
    assert len(done.stdout.splitlines()) == 4


def test_a_workbook_is_nothing_for_a_terminal() -> None:
    ours, theirs = pty.openpty()

    done = export_in_a_process("tax", *SPAN, "--format", "xlsx", stdout=theirs, stderr=subprocess.PIPE)

    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "--to FILE" in done.stderr
