"""``prepaid tax-rules``, as an operator runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prepaid.cli import main

PANEL = """
from prepaid import Address, Prepaid, Seller

billing = Prepaid(
    database="sqlite:///{path}",
    mode="test",
    seller=Seller(name="Nimbus GmbH", address=Address(country="DE")),
    load_plugins=False,
)
"""
ROWS = "country,components,valid_from,source\nDE,MwSt 19,2021-01-01,UStG § 12\nFR,TVA 20,2014-01-01,CGI art. 278\n"
ADDED = "+ DE MwSt 19 % from 2021-01-01 (UStG § 12)\n+ FR TVA 20 % from 2014-01-01 (CGI art. 278)\n= 0 unchanged\n"
APPLY = ("--apply", "--reason", "our first rules", "--actor", "alice@nimbus.example")


@pytest.fixture(autouse=True)
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = tmp_path / "billing.db"
    (tmp_path / "panel.py").write_text(PANEL.format(path=url))
    (tmp_path / "rules.csv").write_text(ROWS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "panel", raising=False)
    monkeypatch.setenv("PREPAID_APP", "panel:billing")
    CliRunner().invoke(main, ["db", "upgrade", "--database", f"sqlite:///{url}"])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["tax-rules", *arguments])


def output(*arguments: str) -> tuple[int, str]:
    result = run(*arguments)
    return result.exit_code, result.output


def test_a_diff_is_shown_and_nothing_is_changed() -> None:
    assert output("import", "rules.csv") == (1, ADDED)
    assert output("import", "rules.csv") == (1, ADDED)


def test_a_diff_is_applied_once_and_then_there_is_none() -> None:
    assert output("import", "rules.csv", *APPLY) == (0, ADDED + "applied\n")
    assert output("import", "rules.csv") == (0, "= 2 unchanged\n")
    assert output("import", "rules.csv", *APPLY) == (0, "= 2 unchanged\nnothing to apply\n")


def test_who_applied_it_and_why_is_in_the_audit() -> None:
    run("import", "rules.csv", *APPLY)
    import panel as host  # type: ignore[import-not-found]

    entries = host.billing.operator("auditor", permissions=["audit.read"]).audit.list().items
    host.billing.close()

    assert {(entry.action, entry.actor, entry.reason) for entry in entries} == {
        ("tax-rule-add", "alice@nimbus.example", "our first rules")
    }


def test_the_diff_as_json_names_each_change() -> None:
    run("import", "rules.csv", *APPLY)
    Path("rules.csv").write_text(
        "country,components,valid_from\nDE,MwSt 16,2027-01-01\nFR,TVA 21,2010-01-01\nIT,IVA 22,2013-10-01\n"
    )

    status, written = output("import", "rules.csv", "--json")

    ended, replaced, added, new, last = map(json.loads, written.splitlines())
    assert status == 1
    assert (ended["change"], ended["rule"]["country"], ended["valid_to"]) == ("end", "DE", "2027-01-01")
    assert ended["rule"]["id"].startswith("tax_")
    assert (replaced["change"], replaced["by"]["components"]) == ("replace", [["TVA", "21", [], "100", ""]])
    assert [(item["change"], item["rule"]["country"]) for item in (added, new)] == [("add", "DE"), ("add", "IT")]
    assert last == {"unchanged": 0, "is_empty": False, "apply": False}


def test_rates_come_from_the_package() -> None:
    rates = ("vat-rates", "--from", "2026-11-01", "--country", "DE", "--country", "EL")

    status, shown = output(*rates)
    assert status == 1
    assert [line.split(" from ")[0] for line in shown.splitlines()] == [
        "+ DE (registered local or oss) MwSt 19 %",
        "+ GR (registered local or oss) ΦΠΑ 24 %",
        "= 0 unchanged",
    ]
    assert output(*rates, *APPLY)[0] == 0
    assert output(*rates) == (0, "= 2 unchanged\n")
    assert len(output("vat-rates", "--from", "2026-11-01")[1].splitlines()) == 26


def test_an_export_goes_to_a_pipe_or_a_file_and_is_imported_again() -> None:
    run("import", "rules.csv", *APPLY)

    status, piped = output("export")
    assert status == 0
    assert output("export", "--to", "copy.csv") == (0, "")

    assert Path("copy.csv").read_bytes() == piped.encode()
    assert "FR,TVA 20," in piped
    assert output("import", "copy.csv") == (0, "= 2 unchanged\n")


def test_a_file_that_a_spreadsheet_wrote_is_read() -> None:
    Path("rules.csv").write_bytes(b"\xef\xbb\xbf" + ROWS.replace(",", ";").replace("\n", "\r\n").encode())

    assert output("import", "rules.csv") == (1, ADDED)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"country,valid_from,components\nFR,2014-01-01,TVA\n", "prepaid: Line 2, components: "),
        (b"country,valid_from\nFR,2014-01-01\n\xff", "prepaid: Line 3: the file is not UTF-8.\n"),
        (b"x" * 2_000_001, "prepaid: The file has at most 2000000 bytes.\n"),
    ],
)
def test_a_file_that_cannot_be_read_exits_with_2_and_one_line(content: bytes, said: str) -> None:
    Path("rules.csv").write_bytes(content)

    status, written = output("import", "rules.csv")

    assert status == 2
    assert written.startswith(said)
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "nowhere.csv"), "nowhere.csv"),
        (("import", "rules.csv", "--apply"), "--reason"),
        (("import", "rules.csv", "--apply", "--reason", "why"), "--actor"),
        (("vat-rates", "--from", "soon"), "--from"),
        (("vat-rates",), "--from"),
        (("vat-rates", "--from", "2026-11-01", "--country", "GB"), "GB"),
    ],
)
def test_wrong_use_exits_with_2_and_names_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    status, written = output(*arguments)

    assert status == 2
    assert said in written
    assert output("export")[1].count("\n") == 1  # the header alone: nothing was imported


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eu_vat_rates_data", None)

    status, written = output("vat-rates", "--from", "2026-11-01")

    assert status == 2
    assert "prepaid[vat-rates]" in written
