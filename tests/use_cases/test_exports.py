"""Exports: every row and every sum is what the transfers say, in every format, on days of every length."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from beancount.core import data

from prepaid import Money, Promotion
from prepaid.core.figures import FIGURES
from prepaid.reporting import digest
from tests.store.lives import live
from tests.store.shops import CODES, Shop
from tests.use_cases.export_steps import TABLES, balances, exported, load, read
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    charge,
    checkout_of,
    eur,
    give,
    live_in,
    operator,
    reverse,
    rows,
    seller,
    start,
    top_up,
)

# A day of 25 hours, one of 23 that begins at 1 o'clock, and one of 24 and a half.
CHANGES = {
    "Europe/Berlin": datetime(2026, 10, 24, 20, tzinfo=UTC),
    "Asia/Beirut": datetime(2026, 3, 28, 15, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 3, tzinfo=UTC),
}

TRANSFERS = """
SELECT t.id, t.transaction_id, t.posted_at, t.amount, t.currency, t.kind, t.wallet_after,
  d.kind AS debit, d.owner AS debited, c.kind AS credit, c.owner AS credited
FROM prepaid_transfer t
JOIN prepaid_account d ON d.id = t.debit_id JOIN prepaid_account c ON c.id = t.credit_id
WHERE t.book_id = :book
"""


def in_ledger_units(amount, currency="EUR"):
    return Decimal(amount).scaleb(-4 if currency == "JPY" else -6)


def day_of(micros, zone):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(ZoneInfo(zone)).date()


def summed(pairs):
    sums = Counter()
    for key, amount in pairs:
        sums[key] += amount
    return {key: amount for key, amount in sums.items() if amount}


@pytest.fixture
def lived(open_billing, simulated, clock):
    """Give a function that lets a few days of a panel pass in a zone, over a change of its clocks."""

    def live_in_zone(zone, steps=170):
        clock.set(CHANGES[zone])
        billing = open_billing(seller=seller(timezone=zone))
        for customer in (ADA, EVE):
            billing.customers.register(customer, name=customer.title(), currency="EUR")
        add_rule(billing)
        live_in(billing, "FR")
        live_in(billing, "US", EVE)
        for code, limits in CODES.items():
            operator(billing).promotions.create(Promotion(code, **limits))
        give(billing, "5")
        top_up(billing, simulated, "21.00")
        charge(billing, "7.123456")
        top_up(billing, simulated, "1200", currency="JPY")
        chance = random.Random(sum(zone.encode()))
        while clock.now() < CHANGES[zone] + timedelta(days=2):
            live(Shop(billing, simulated, clock), chance, steps=steps // 10)
            clock.advance(hours=5)
        return billing

    return live_in_zone


@pytest.mark.parametrize("zone", CHANGES)
def test_the_sums_of_every_export_are_those_of_the_transfers(lived, zone):
    billing = lived(zone)
    transfers = rows(billing, TRANSFERS)
    moved = [(row, in_ledger_units(row.amount, row.currency), day_of(row.posted_at, zone)) for row in transfers]
    of_wallets = summed(
        (
            (day.isoformat(), row.credited if is_in else row.debited, row.kind, row.currency),
            amount if is_in else -amount,
        )
        for row, amount, day in moved
        if (is_in := row.credit == "wallet") or row.debit == "wallet"
    )
    between = summed(
        ((day.isoformat(), row.debit, row.credit, row.kind, row.currency), amount) for row, amount, day in moved
    )
    assert len({key[0] for key in of_wallets}) >= 3

    for format in TABLES:
        found = read(billing, "transactions", format)
        assert sorted(int(row["id"]) for row in found) == sorted(
            row.id for row in transfers if "wallet" in (row.debit, row.credit)
        )
        keys = ("day", "customer", "kind", "currency")
        assert summed((tuple(row[key] for key in keys), row["amount"]) for row in found) == of_wallets
        journal = read(billing, "journal", format)
        assert [int(row["id"]) for row in journal] == [
            row.id for row in sorted(transfers, key=lambda row: (row.posted_at, row.id))
        ]
        sides = [(row["debit"].split(":")[0], row["credit"].split(":")[0]) for row in journal]
        assert (
            summed(
                ((row["day"], *side, row["kind"], row["currency"]), row["amount"])
                for row, side in zip(journal, sides, strict=True)
            )
            == between
        )


def by_hand(moved):
    """Work out the figures of a day from the accounting page, without the library's own words for them."""

    def flow(debit=None, credit=None, kinds=None):
        return sum(
            amount
            for row, amount, _ in moved
            if debit in (None, row.debit) and credit in (None, row.credit) and (kinds is None or row.kind in kinds)
        )

    topup = ("topup",)
    bought = ("topup", "refund", "refund-reversal", "dispute", "dispute-reversal")
    return {
        "funds_in": sum(
            flow(source, to, topup) for source in ("clearing", "suspense") for to in ("wallet", "tax_payable")
        ),
        "credit_consumed": flow(credit="revenue") - flow(debit="revenue"),
        "tax_collected": flow(credit="tax_payable") - flow(debit="tax_payable"),
        "refunds_issued": flow(credit="clearing", kinds=("refund",)) - flow("clearing", kinds=("refund-reversal",)),
        "bonus_granted": flow(kinds=("bonus",))
        - flow("wallet", kinds=("clawback",))
        + flow(credit="wallet", kinds=("clawback",)),
        "discount": flow("promotion", kinds=bought) - flow(credit="promotion", kinds=bought),
        "vouchers": flow(kinds=("voucher",)),
        "goodwill": flow(kinds=("goodwill",)),
        "breakage": flow(credit="breakage"),
        "fees": flow(kinds=("fee",)),
        "disputed": flow("disputes", "clearing", ("dispute",)) - flow("clearing", "disputes", ("dispute-reversal",)),
        "suspense_in": flow(credit="suspense"),
        "suspense_out": flow("suspense"),
    }


@pytest.mark.parametrize("zone", CHANGES)
def test_revenue_has_every_figure_of_every_day_as_the_transfers_say(lived, zone, clock):
    billing = lived(zone)
    moved = [
        (row, in_ledger_units(row.amount, row.currency), day_of(row.posted_at, zone))
        for row in rows(billing, TRANSFERS)
    ]
    first = min(day for _, _, day in moved) - timedelta(days=1)
    days = [first + timedelta(days=number) for number in range(6)]
    assert max(day for _, _, day in moved) < days[-1] + timedelta(days=1)

    for format in TABLES:
        found = read(billing, "revenue", format, since=first, until=days[-1] + timedelta(days=1))
        whole = {(row["day"], row["currency"]): row for row in found if row["gateway"] == "*"}
        assert sorted(whole) == sorted(
            (day.isoformat(), currency) for day in days for currency in ("EUR", "USD", "JPY")
        )
        for day in days:
            for currency in ("EUR", "JPY"):
                of_day = [each for each in moved if (each[2], each[0].currency) == (day, currency)]
                row = whole[day.isoformat(), currency]
                assert {name: row[name] for name in FIGURES} == by_hand(of_day), (day, currency)
    assert sum(row["funds_in"] for row in whole.values()) > 0


@pytest.mark.parametrize("zone", CHANGES)
def test_dashboard_exports_journal_and_digest_say_the_same_as_the_transfers(lived, zone):
    billing = lived(zone)
    ops, context = operator(billing), billing._context
    transfers = rows(billing, TRANSFERS)
    moved = [(row, in_ledger_units(row.amount, row.currency), day_of(row.posted_at, zone)) for row in transfers]
    first, last = min(day for _, _, day in moved), max(day for _, _, day in moved)
    span = {"since": first, "until": last + timedelta(days=1)}
    billing.run_due(only="rollups")
    assert {row.kind for row in transfers} >= {"refund", "dispute", "topup", "charge"}

    in_journal = [
        (
            SimpleNamespace(debit=row["debit"].split(":")[0], credit=row["credit"].split(":")[0], kind=row["kind"]),
            row["amount"],
            (row["day"], row["currency"]),
        )
        for row in read(billing, "journal", "jsonl")
    ]
    in_revenue = {
        format: {
            (row["day"], row["currency"]): {name: row[name] for name in FIGURES}
            for row in read(billing, "revenue", format, **span)
            if row["gateway"] == "*"
        }
        for format in TABLES
    }
    for currency in ("EUR", "JPY"):
        by_day = {each.day: each for each in ops.reports.daily(first, span["until"], currency=currency)}
        for day, of_day in by_day.items():
            by_transfers = by_hand([each for each in moved if (each[2], each[0].currency) == (day, currency)])
            key = (day.isoformat(), currency)
            card = ops.reports.summary(day, day + timedelta(days=1), currency=currency)
            mailed = context.database.read(
                lambda tx, day=day: digest.figures_of_day(tx, day, currency, zone=zone)  # noqa: B023 - called at once
            )
            said = {
                "card": {name: getattr(card, name).amount for name in FIGURES},
                "day": {name: getattr(of_day, name).amount for name in FIGURES},
                "journal": by_hand([each for each in in_journal if each[2] == key]),
                "digest": {name: in_ledger_units(amount, currency) for name, amount in mailed.items()},
                **{format: found[key] for format, found in in_revenue.items()},
            }
            assert said == dict.fromkeys(said, by_transfers), (day, currency)
        forward = ops.reports.roll_forward(first, span["until"], currency=currency)
        wallets = sum(
            (amount if row.credit == "wallet" else -amount)
            for row, amount, _ in moved
            if row.currency == currency and "wallet" in (row.debit, row.credit)
        )
        assert forward.closing.amount == by_day[last].closing.amount == wallets
        assert forward.opening.amount == 0


def test_a_gateways_row_has_what_moved_through_its_own_accounts(open_billing, simulated, tmp_path, clock):
    from prepaid.gateways import SimulatedGateway

    other = SimulatedGateway(state=tmp_path / "other.db", clock=clock, name="other")
    billing = open_billing(gateways=[simulated, other])
    billing.customers.register(ADA, currency="EUR")
    add_rule(billing)
    live_in(billing, "FR")
    for gateway, amount in ((simulated, "50.00"), (other, "10.00")):
        topup = start(billing, amount, gateway=gateway.name)
        gateway.pay(checkout_of(topup))
        billing.customer(ADA).topups.confirm(topup.id)
    charge(billing, "3")

    day = {"since": clock.now().date(), "until": clock.now().date() + timedelta(days=1)}
    found = {row["gateway"]: row for row in read(billing, "revenue", currency="EUR", **day)}

    names = ("funds_in", "tax_collected", "credit_consumed")
    assert {gateway: [str(row[name]) for name in names] for gateway, row in found.items()} == {
        "*": ["72.00", "12.00", "3.00"],
        "simulated": ["60.00", "10.00", "0.00"],
        "other": ["12.00", "2.00", "0.00"],
    }


@pytest.mark.parametrize("zone", CHANGES)
def test_documents_and_taxes_add_up_to_what_was_paid(lived, zone):
    billing = lived(zone)
    moved = [(row, in_ledger_units(row.amount, row.currency)) for row in rows(billing, TRANSFERS)]
    sold, lost = {"wallet", "tax_payable"}, {"wallet", "tax_payable", "promotion"}
    documented = {
        "topup": lambda row: row.debit in ("clearing", "suspense") and row.credit in sold,
        "refund": lambda row: -(row.credit == "clearing"),
        "refund-reversal": lambda row: row.debit == "clearing",
        "dispute": lambda row: -(row.credit == "disputes" and row.debit in lost),
        "dispute-reversal": lambda row: row.debit == "disputes" and row.credit in lost,
    }
    paid = summed((row.currency, documented[row.kind](row) * amount) for row, amount in moved if row.kind in documented)
    taxed = summed(
        (row.currency, amount if row.credit == "tax_payable" else -amount)
        for row, amount in moved
        if "tax_payable" in (row.credit, row.debit)
    )
    numbers = rows(
        billing,
        "SELECT number FROM prepaid_invoice WHERE book_id = :book"
        " ORDER BY CASE kind WHEN 'invoice' THEN 0 ELSE 1 END, year, sequence",
    )
    assert taxed["EUR"] > 0

    for format in TABLES:
        found = read(billing, "invoices", format)
        assert [row["number"] for row in found] == [number for (number,) in numbers]
        assert all(row["net"] + row["tax"] == row["total"] for row in found)
        assert summed((row["currency"], row["total"]) for row in found) == paid
        assert summed((row["currency"], row["tax"]) for row in found) == taxed
        taxes = read(billing, "tax", format)
        assert summed((row["currency"], row["amount"]) for row in taxes) == taxed
        assert summed((row["currency"], row["base"]) for row in taxes) == summed(
            (row["currency"], row["net"]) for row in found
        )
        assert sum(int(row["documents"]) for row in taxes) == len(found)


@pytest.mark.parametrize("zone", CHANGES)
def test_beancount_reads_the_journal_and_comes_to_our_balances(lived, zone):
    billing = lived(zone)
    transfers = rows(billing, TRANSFERS)

    entries = load(exported(billing, "journal", "beancount"))

    ours = Counter()
    for row in transfers:
        amount = in_ledger_units(row.amount, row.currency)
        ours[row.debit, row.debited if row.debit != "wallet" else "", row.currency] += amount
        ours[row.credit, row.credited if row.credit != "wallet" else "", row.currency] -= amount
    names = {
        "wallet": "Liabilities:Prepaid:Wallets",
        "clearing": "Assets:Clearing:Simulated",
        "external": "Assets:External:Partner",
        "revenue": "Income:Usage",
        "tax_payable": "Liabilities:Tax",
        "promotion": "Expenses:Promotions",
        "goodwill": "Expenses:Goodwill",
        "breakage": "Income:Breakage",
        "migration": "Equity:Migration",
        "suspense": "Liabilities:Suspense",
        "refunds_in_transit": "Liabilities:Refunds-In-Transit",
        "disputes": "Assets:Disputes:Simulated",
    }
    names["clearing", "outside"] = "Assets:Clearing:Outside"
    assert balances(entries) == {
        (names.get((kind, owner)) or names[kind], currency): amount for (kind, owner, currency), amount in ours.items()
    }
    read_back = [entry.meta["transaction"] for entry in data.filter_txns(entries)]
    assert sorted(read_back) == sorted({row.transaction_id for row in transfers})
    opened = [entry.account for entry in entries if isinstance(entry, data.Open)]
    assert sorted(opened) == sorted({account for account, _ in balances(entries)})
    customers = {entry.meta["customer"] for entry in data.filter_txns(entries) if "customer" in entry.meta}
    assert customers == {ADA, EVE}


@SQLITE
def test_spans_that_meet_have_every_row_once(lived, clock):
    billing = lived("Europe/Berlin")
    began = CHANGES["Europe/Berlin"]
    bounds = [began + (clock.now() + timedelta(1) - began) / 9 * number for number in range(10)]
    days = [date(2026, 10, 23) + timedelta(days=number) for number in range(9)]
    for name in ("transactions", "journal", "invoices"):
        whole = exported(billing, name).splitlines()[1:]
        assert len(whole) > 3
        for parts in (bounds, days):
            pieces = [exported(billing, name, since=since, until=until) for since, until in pairwise(parts)]
            found = [line for piece in pieces for line in piece.splitlines()[1:]]
            # Documents come series by series.
            assert (found, whole) == (whole, found) if name != "invoices" else sorted(found) == sorted(whole)


@SQLITE
def test_a_transfer_stands_with_what_its_transaction_says_and_its_grant(billing, simulated, clock):
    add_rule(billing)
    live_in(billing, "FR")
    topup = top_up(billing, simulated, "50.00")
    give(billing, "2", key="gift")
    clock.advance(minutes=90)
    used = clock.now() - timedelta(hours=1)
    taken = charge(
        billing,
        "52.5",
        key="vm-1/5",
        resource="vm-1",
        kind="instance",
        project="web",
        period=(used, clock.now()),
        description="vm-1, 1 h",
        allow_negative=True,
    )
    reverse(billing, taken, "1", key="back")

    found = read(billing, "transactions")

    shared = {"customer": ADA, "currency": "EUR", "day": "2026-11-23"}
    assert all(shared.items() <= row.items() for row in found)
    wanted = (
        "kind amount balance_after credit grant_kind resource topup gateway cause_type cause reverses actor".split()
    )
    back, taken = found[-1]["reverses"], found[2]["transaction"]
    assert back == taken
    reference = (topup.id, "simulated", "topup", topup.id, None, "gateway:simulated")
    given = (None, None, "operator", "gift", None, "alice@nimbus.example")
    usage = (None, None, "usage", "vm-1/5", None, "host")
    undone = (None, None, "reversal", "back", taken, "host")
    assert [tuple(None if row[key] is None else str(row[key]) for key in wanted) for row in found] == [
        ("topup", "50.00", "50.00", "paid", "paid", None, *reference),
        ("bonus", "2.00", "52.00", "promotional", "promotional", None, *given),
        ("charge", "-2.00", "50.00", "promotional", "promotional", "vm-1", *usage),
        ("charge", "-50.00", "0.00", "paid", "paid", "vm-1", *usage),
        ("charge", "-0.50", "-0.50", "paid", None, "vm-1", *usage),
        ("reversal", "0.50", "0.00", "paid", None, "vm-1", *undone),
        ("reversal", "0.50", "0.50", "paid", "paid", "vm-1", *undone),
    ]  # fmt: skip
    label = "description resource_kind project period_start period_end posted_at".split()
    assert {tuple(row[key] for key in label) for row in found[2:5]} == {
        ("vm-1, 1 h", "instance", "web", "2026-11-23T12:30:00Z", "2026-11-23T13:30:00Z", "2026-11-23T13:30:00Z")
    }


@SQLITE
def test_a_document_stands_with_its_buyer_tax_and_payment(billing, simulated):
    top_up(billing, simulated, "20.00", customer=EVE)  # of whom nobody knows where she lives
    add_rule(billing)
    live_in(billing, "FR")
    topup = top_up(billing, simulated, "50.00")
    [invoice] = billing.customer(ADA).invoices.list().items

    second, first = read(billing, "invoices")

    amounts = ("net", "tax", "total")
    assert {key: str(first[key]) if key in amounts else first[key] for key in first} == {
        "number": "TINV26-000002",
        "kind": "invoice",
        "date": "2026-11-23",
        "issued_at": "2026-11-23T12:00:00Z",
        "customer": ADA,
        "buyer": "Ada",
        "country": "FR",
        "jurisdiction": "FR",
        "treatment": "standard",
        "tax_ids": None,
        "net": "50.00",
        "tax": "10.00",
        "total": "60.00",
        "currency": "EUR",
        "corrects": None,
        "topup": topup.id,
        "gateway": "simulated",
        "payment": invoice.payment[1],
        "id": invoice.id,
        "sha256": invoice.sha256,
    }
    assert (second["buyer"], second["country"], second["jurisdiction"]) == ("Eve", None, None)


@SQLITE
def test_a_credit_note_takes_away_and_names_what_it_corrects(billing, simulated):
    """Documents of that kind are put in by hand: as they will be, with amounts above zero."""
    add_rule(billing)
    live_in(billing, "FR")
    top_up(billing, simulated, "50.00")
    issue_credit_note(billing)

    invoice, note = read(billing, "invoices")

    assert (note["number"], note["kind"], note["corrects"]) == ("TCN26-000001", "credit-note", invoice["number"])
    assert [str(note[key]) for key in ("net", "tax", "total")] == ["-50.00", "-10.00", "-60.00"]
    [tax] = read(billing, "tax")
    assert (tax["documents"], str(tax["base"]), str(tax["amount"])) == ("2", "0.00", "0.00")


def issue_credit_note(billing):
    import json

    from tests.use_cases.steps import change

    [row] = rows(billing, "SELECT * FROM prepaid_invoice WHERE book_id = :book")
    snapshot = json.loads(row.snapshot) | {"kind": "credit-note", "number": "TCN26-000001", "corrects": row.number}
    document = dict(row._mapping) | {
        "id": row.id[:-2] + "zz",
        "kind": "credit-note",
        "number": "TCN26-000001",
        "snapshot": json.dumps(snapshot),
    }
    [entry] = rows(billing, "SELECT * FROM prepaid_tax_entry WHERE book_id = :book")
    taken = dict(entry._mapping) | {"invoice_id": document["id"], "base": -entry.base, "amount": -entry.amount}
    [series] = rows(billing, "SELECT * FROM prepaid_invoice_series WHERE book_id = :book")
    put = {
        "invoice_series": dict(series._mapping) | {"kind": "credit-note"},
        "invoice": document,
        "tax_entry": taken,
    }
    for table, values in put.items():
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        change(billing, f"INSERT INTO prepaid_{table} ({names}) VALUES ({places})", **values)


@SQLITE
def test_what_a_discount_of_everything_gave_names_no_gateway(billing):
    operator(billing).promotions.create(Promotion("FREE", **CODES["FREE"]))
    start(billing, "20.00", code="FREE")

    assert [(row["kind"], row["gateway"]) for row in read(billing, "transactions")] == [("topup", None)]
    [invoice] = read(billing, "invoices")
    assert (invoice["gateway"], invoice["payment"], str(invoice["total"])) == (None, None, "0.00")


@SQLITE
def test_money_in_review_is_in_the_journal_and_in_no_wallet(billing, simulated):
    topup = start(billing, "20.00")
    simulated.pay(checkout_of(topup), amount=eur("19.00"))
    billing.customer(ADA).topups.confirm(topup.id)

    assert read(billing, "transactions") == []
    [row] = read(billing, "journal")
    assert (row["debit"], row["credit"], row["customer"], row["description"]) == (
        "clearing:simulated",
        "suspense",
        None,
        None,
    )
    [entry] = data.filter_txns(load(exported(billing, "journal", "beancount")))
    assert (entry.narration, "customer" in entry.meta) == ("topup", False)


@SQLITE
def test_one_currency_is_exported_if_one_is_asked_for(billing, simulated):
    top_up(billing, simulated, "50.00")
    top_up(billing, simulated, "500", currency="JPY")

    for name in ("transactions", "revenue", "invoices", "tax", "journal"):
        both, one = read(billing, name), read(billing, name, currency="JPY")
        assert {row["currency"] for row in one} == {"JPY"}
        assert one == [row for row in both if row["currency"] == "JPY"]
        assert len(both) > len(one)


@SQLITE
def test_a_currency_that_is_in_use_no_more_is_still_told_of(open_billing, billing, simulated):
    top_up(billing, simulated, "500", currency="JPY")
    now = open_billing(currencies=("EUR",))

    day = {"since": date(2026, 11, 23), "until": date(2026, 11, 24)}
    whole = [row for row in read(now, "revenue", **day) if row["gateway"] == "*"]

    assert [(row["currency"], str(row["funds_in"])) for row in whole] == [("EUR", "0.00"), ("JPY", "500")]
    assert len(read(now, "transactions", currency="JPY")) == 1


@SQLITE
def test_an_empty_book_has_headers_and_days_without_anything(billing):
    for name in ("transactions", "invoices", "tax", "journal"):
        for format in TABLES:
            assert read(billing, name, format) == []
        assert exported(billing, name).count(b"\r\n") == 1
    assert load(exported(billing, "journal", "beancount")) == []
    assert len(read(billing, "revenue", since=date(2026, 2, 1), until=date(2026, 3, 1))) == 28 * 3


@SQLITE
def test_books_do_not_see_each_other(open_billing, billing, simulated):
    other = open_billing(book="another")
    other.customers.register(ADA, currency="EUR")
    top_up(billing, simulated, "50.00")
    top_up(other, simulated, "20.00")

    for name, count in (("transactions", 1), ("journal", 1), ("invoices", 1), ("tax", 1)):
        assert len(read(billing, name)) == len(read(other, name)) == count
    assert str(read(other, "transactions")[0]["amount"]) == "20.00"


@SQLITE
def test_weak_currencies_are_written_with_the_digits_that_they_have(open_billing):
    billing = open_billing(currencies=("JPY", "KWD"))
    billing.customers.register(ADA, currency="JPY")
    for amount, currency in (("1234567", "JPY"), ("0.0001", "JPY"), ("9.125", "KWD")):
        operator(billing).customers.grant(
            ADA, Money.of(amount, currency), kind="goodwill", reason="r", key=f"{amount}/{currency}"
        )

    for format in TABLES:
        amounts = [row["amount"] for row in read(billing, "transactions", format)]
        assert amounts == [Decimal("1234567"), Decimal("0.0001"), Decimal("9.125")]


def test_who_listens_is_told_how_many_there_are_before_the_first_and_after_the_last(billing, monkeypatch):
    from prepaid.reporting.exports import exporting

    monkeypatch.setattr(exporting, "TOLD_EVERY", 2)
    for number in range(5):
        give(billing, "1", key=f"gift-{number}")
    heard = []

    exported(billing, "transactions", on_progress=lambda done, of: heard.append((done, of)))

    assert heard == [(0, 5), (2, 5), (4, 5), (5, 5)]
    for name in ("revenue", "invoices", "tax", "journal"):
        heard.clear()
        exported(billing, name, on_progress=lambda done, of: heard.append((done, of)))
        assert heard[-1][0] == heard[-1][1]
