"""Exports that cannot be are refused with what is wrong, before anything is written."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest

from prepaid import RequestRefused
from tests.use_cases.export_steps import EVERYTHING, exported
from tests.use_cases.steps import SQLITE, counts, give, operator, rows

pytestmark = SQLITE

NAIVE = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - naive on purpose
DAY = date(2026, 11, 23)

BAD = [
    *(("name", {"name": name}) for name in ("", "transaction", "Transactions", "../tax", None, 5, b"tax", ["tax"])),
    *(("format", {"format": format}) for format in ("", "pdf", "CSV", "beancount", None, 5, b"csv", ["csv"])),
    *(("format", {"name": name, "format": "beancount"}) for name in ("revenue", "invoices", "tax")),
    *(("since", {"since": since}) for since in (None, "2026-11-23", 5, True, NAIVE, [], date(1969, 12, 31))),
    *(("until", {"until": until}) for until in (None, "2026-11-23", 5, True, NAIVE, [], date(9000, 1, 2))),
    ("since", {"since": datetime(1969, 12, 31, tzinfo=UTC)}),
    ("until", {"until": datetime(9999, 12, 31, tzinfo=UTC)}),
    ("until", {"since": DAY, "until": DAY}),
    ("until", {"since": DAY, "until": date(2026, 11, 22)}),
    ("until", {"since": datetime(2026, 11, 23, 0, tzinfo=UTC), "until": DAY}),  # an hour after the day began in Berlin
    *(("currency", {"currency": code}) for code in ("GBP", "eur", "EURO", "", 5, True, b"EUR", [])),
    *(("on_progress", {"on_progress": wrong}) for wrong in (5, "print", True)),
    *(("overwrite", {"overwrite": wrong}) for wrong in (None, 1, "yes")),
    ("since", {"name": "revenue", "since": date(2000, 1, 1), "until": date(2026, 1, 1)}),
    ("since", {"name": "revenue", "since": date(1970, 1, 1), "until": date(9000, 1, 1), "on_progress": print}),
]


@pytest.mark.parametrize(("field", "wrong"), BAD, ids=lambda value: str(value)[:60])
def test_what_cannot_be_exported_is_refused_with_its_field(billing, tmp_path, field, wrong):
    give(billing, "1")
    path, before = tmp_path / "export", counts(billing)
    options = {"name": "transactions", "format": "csv", **EVERYTHING, **wrong}
    stream = io.BytesIO()

    for to in (path, stream):
        with pytest.raises(RequestRefused) as refused:
            operator(billing).reports.export(options["name"], to=to, **{k: options[k] for k in options if k != "name"})
        assert refused.value.field == field

    assert (path.exists(), stream.getvalue(), counts(billing)) == (False, b"", before)
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith(".export")] == []


def test_an_export_changes_nothing(billing, tmp_path):
    give(billing, "1")
    before = counts(billing)
    for name in ("transactions", "revenue", "invoices", "tax", "journal"):
        exported(billing, name)
    assert counts(billing) == before


# Names of accounts


def test_accounts_of_the_journal_are_named_by_the_seller_and_the_act_is_audited(billing):
    ops = operator(billing)
    give(billing, "1")

    ops.settings.account_map({"wallet": "Liabilities:1710", "promotion": "Expenses:4605"})
    [row] = exported(billing, "journal").decode().splitlines()[1:]
    assert "Expenses:4605,Liabilities:1710" in row
    ops.settings.account_map({"promotion": "Expenses:Werbung"})
    [row] = exported(billing, "journal").decode().splitlines()[1:]
    assert "Expenses:Werbung,Liabilities:Prepaid:Wallets" in row
    ops.settings.account_map({})

    acts = [entry for entry in ops.audit.list().items if entry.action == "settings"]
    assert [(act.target, act.after) for act in acts] == [
        ("account-map", {}),
        ("account-map", {"promotion": "Expenses:Werbung"}),
        ("account-map", {"promotion": "Expenses:4605", "wallet": "Liabilities:1710"}),
    ]
    assert acts[0].before == {"promotion": "Expenses:Werbung"}


@pytest.mark.parametrize("names", [None, {"wallets": "Assets:X"}, {"wallet": "Assets"}, {"clearing:": "Assets:X"}])
def test_names_that_cannot_be_change_nothing(billing, names):
    before = counts(billing)

    with pytest.raises(RequestRefused) as refused:
        operator(billing).settings.account_map(names)

    assert refused.value.field == "account_map"
    assert counts(billing) == before
    assert rows(billing, "SELECT * FROM prepaid_setting WHERE book_id = :book AND name = 'account-map'") == []
