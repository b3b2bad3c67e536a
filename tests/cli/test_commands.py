"""The ``prepaid`` command, as an operator runs it."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import prepaid
from prepaid import Money, Rate
from prepaid.cli import main

PANEL = """
from prepaid import Address, Money, Prepaid, Seller
from prepaid.gateways import SimulatedGateway

def make():
    billing = Prepaid(
        database="sqlite:///{path}",
        mode="test",
        seller=Seller(name="Nimbus GmbH", address=Address(country="DE")),
        gateways=[SimulatedGateway(state="{path}.gateway")],
        load_plugins=False,
    )
    return billing

billing = make()
other = 42
"""

_JOBS = "meters credit webhooks topups identity promotions refunds tax-ids rollups digest outbox".split()
_NOTHING_DUE = "".join(f"{job}: done, 0\n" for job in _JOBS)


@pytest.fixture
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "billing.db"
    (tmp_path / "panel.py").write_text(PANEL.format(path=path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "panel", raising=False)
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_upgrade_makes_the_schema_and_says_when_it_is_there_already(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'billing.db'}"

    assert run("db", "status", "--database", url) == (1, "database has no schema, library 0001\n")
    assert run("db", "upgrade", "--database", url) == (0, "schema 0001, was missing\n")
    assert run("db", "upgrade", "--database", url) == (0, "schema 0001 already\n")
    assert run("db", "status", "--database", url) == (0, "database 0001, library 0001\n")


@pytest.mark.parametrize("command", ["upgrade", "status"])
def test_a_database_command_asks_for_the_url(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREPAID_DATABASE", raising=False)

    status, output = run("db", command)

    assert status == 2
    assert "--database" in output


def test_a_url_that_cannot_be_used_exits_with_2_and_one_line(tmp_path: Path) -> None:
    status, output = run("db", "upgrade", "--database", "oracle://somewhere/db")

    assert status == 2
    assert output.count("\n") == 1
    assert output.startswith("prepaid: ")


@pytest.mark.parametrize("name", ["billing", "make"])
def test_jobs_run_for_an_object_and_for_a_function_that_makes_it(panel: Path, name: str) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")

    status, output = run("run-jobs", "--app", f"panel:{name}", "--budget", "30")

    assert (status, output) == (0, _NOTHING_DUE)


def test_one_job_is_reported_as_json(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")

    status, output = run("run-jobs", "--app", "panel:billing", "--only", "outbox", "--json")

    assert status == 0
    assert json.loads(output) == {"job": "outbox", "status": "done", "count": 0}


def test_a_failed_job_exits_with_1_and_the_others_run(panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    database = sqlite3.connect(panel)
    database.execute("DROP TABLE prepaid_outbox")
    database.commit()
    database.close()

    status, output = run("run-jobs", "--app", "panel:billing")

    assert (status, output) == (1, _NOTHING_DUE.replace("outbox: done", "outbox: failed"))


def test_hours_that_have_ended_are_billed(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    import panel as host  # type: ignore[import-not-found]

    host.billing.customers.register("user-42", currency="EUR")
    began = host.billing._context.now() - timedelta(hours=3, minutes=30)
    host.billing.meters.start("user-42", resource="vm-1", rate=Rate.hourly("0.50", "EUR"), at=began)
    two_hours_on = (began + timedelta(hours=2)).isoformat()

    first = run("bill", "--app", "panel:billing", "--until", two_hours_on)
    second = run("bill", "--app", "panel:billing", "--json")
    third = run("bill", "--app", "panel:billing")

    assert first == (0, "2 charges of 1 customers: 1.00 EUR\n")
    assert (second[0], json.loads(second[1])) == (0, {"charges": 1, "customers": 1, "total": ["0.50 EUR"]})
    assert third == (0, "0 charges of 0 customers: nothing\n")
    host.billing.close()


@pytest.mark.parametrize("until", ["yesterday", "2026-11-22T05:00"])
def test_an_instant_that_cannot_be_read_exits_with_2(panel: Path, until: str) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")

    status, output = run("bill", "--app", "panel:billing", "--until", until)

    assert status == 2
    assert "until" in output


def test_an_unmigrated_database_is_named_with_what_to_run(panel: Path) -> None:
    status, output = run("run-jobs", "--app", "panel:billing")

    assert status == 2
    assert "prepaid db upgrade" in output


def test_a_clean_book_checks_with_0_and_a_broken_one_with_1(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    import panel as host  # type: ignore[import-not-found]

    host.billing.customers.register("user-42")
    status, output = run("check", "--app", "panel:billing")
    clean, place = output.splitlines()
    assert (status, clean) == (0, "clean: 0 transfers, 0 grants, 0 topups, 0 payments, 0 invoices")
    since = place.removeprefix("next --since ")
    assert run("check", "--app", "panel:billing", "--since", since)[0] == 0
    status, output = run("check", "--app", "panel:billing", "--since", "yesterday")
    assert status == 2
    assert "since" in output
    database = sqlite3.connect(panel)
    database.execute("UPDATE prepaid_account SET balance = 5 WHERE kind = 'wallet'")
    database.commit()
    database.close()

    status, output = run("check", "--app", "panel:billing")
    assert status == 1
    assert "L2 account" in output
    assert "findings:" in output
    status, output = run("check", "--app", "panel:billing", "--json")
    assert status == 1
    *findings, last = (json.loads(line) for line in output.splitlines())
    assert {finding["invariant"] for finding in findings} == {"L2", "L3"}
    assert last == {"ok": False, "is_complete": True, "counted": last["counted"], "place": None}
    host.billing.close()


@pytest.mark.parametrize("target", ["panel", "panel:", ":billing", "panel:nothing", "nowhere:billing", "panel:other"])
def test_an_app_that_cannot_be_loaded_is_wrong_use(panel: Path, target: str) -> None:
    status, output = run("check", "--app", target)

    assert status == 2
    assert "--app" in output


def test_without_an_app_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREPAID_APP", raising=False)

    status, output = run("check")

    assert status == 2
    assert "PREPAID_APP" in output


def check_in_a_process(stderr: int) -> subprocess.CompletedProcess[str]:
    code = "import sys; from prepaid.cli import main; sys.argv = ['prepaid', 'check', '--app', 'panel:billing']; main()"
    package = str(Path(prepaid.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": package, "TERM": "xterm"},
    )


def test_a_pipe_gets_no_progress(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")

    done = check_in_a_process(subprocess.PIPE)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("clean: ")


def test_a_terminal_sees_what_is_being_proved(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    ours, theirs = pty.openpty()

    done = check_in_a_process(theirs)

    os.close(theirs)
    seen = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "checking" in seen


def _paid_top_up(host: Any) -> str:
    ada = host.billing.customer("user-42")
    topup = ada.topups.start(
        ada.topups.quote(Money.of("50.00", "EUR")),
        return_url="https://p.example",
        cancel_url="https://p.example",
        key="k",
    )
    host.billing._context.gateways["simulated"].pay(topup.checkout.redirect_url.rsplit("/", 1)[1])
    return str(topup.id)


def test_a_period_is_reconciled_with_a_gateway(panel: Path) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    import panel as host  # type: ignore[import-not-found]

    host.billing.customers.register("user-42", currency="EUR")
    topup_id = _paid_top_up(host)
    now = host.billing._context.now()
    period = ("--since", (now - timedelta(days=1)).isoformat(), "--until", (now + timedelta(days=1)).isoformat())
    command = ("reconcile", "simulated", "--app", "panel:billing", *period)

    status, output = run(*command)
    found, lines = run(*command, "--json")
    host.billing.run_due("topups")
    settled = run(*command)

    assert (status, found) == (1, 1)
    assert f"of {topup_id}: not-settled (there 50.00 EUR)" in output
    item, figures = map(json.loads, lines.splitlines())
    assert (item["found"], item["topup"], item["there"]) == ("missing_here", topup_id, "50.00 EUR")
    assert figures == {"ok": False, "matched": 0, "foreign": 0, "listed": True}
    assert settled == (0, "1 matched, 0 of others\n")
    host.billing.close()


@pytest.mark.parametrize("wrong", [("nobody",), ("simulated", "--since", "never")])
def test_what_cannot_be_reconciled_exits_with_2(panel: Path, wrong: tuple[str, ...]) -> None:
    run("db", "upgrade", "--database", f"sqlite:///{panel}")
    period = ("--since", "2026-11-01T00:00Z", "--until", "2026-11-02T00:00Z")

    assert run("reconcile", "--app", "panel:billing", *period, *wrong)[0] == 2
