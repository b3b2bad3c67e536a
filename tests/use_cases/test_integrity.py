"""The check: silent on clean books, and every row changed by hand is found and named."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from prepaid import Prepaid
from prepaid.gateways import SimulatedGateway
from prepaid.integrity.proving import PROOFS
from prepaid.store.schema import APPEND_ONLY
from prepaid.testing.clock import MovableClock
from prepaid.testing.mail import RecordingMailer
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    PlainRenderer,
    add_rule,
    charge,
    checkout_of,
    counts,
    database,
    eur,
    give,
    live_in,
    operator,
    run,
    seller,
    start,
    top_up,
)


@pytest.fixture(scope="module")
def full_books(upgraded_file, tmp_path_factory):
    """Give a file with a bit of everything, whose triggers are gone."""
    folder, clock = tmp_path_factory.mktemp("books"), MovableClock()
    gateway = SimulatedGateway(state=folder / "simulated.db", clock=clock)
    shutil.copy(upgraded_file, folder / "billing.db")
    options = {"mailer": RecordingMailer(), "renderer": PlainRenderer(), "clock": clock, "load_plugins": False}
    billing = Prepaid(
        database=f"sqlite:///{folder / 'billing.db'}", mode="test", seller=seller(), gateways=[gateway], **options
    )
    for customer in (ADA, EVE):
        billing.customers.register(customer, email=f"{customer}@example.com", name=customer)
    fill(billing, gateway, clock)
    assert billing.check().ok
    drop_triggers(billing)
    billing.close()
    return folder / "billing.db"


def fill(billing, gateway, clock):
    add_rule(billing)
    live_in(billing, "FR")
    top_up(billing, gateway, "50.00")
    clock.advance(minutes=1)
    top_up(billing, gateway, "20.00")
    parked = start(billing, "30.00")
    gateway.pay(checkout_of(parked), amount=eur("1.00"))
    billing.customer(ADA).topups.confirm(parked.id)
    start(billing, "40.00")
    give(billing, "5")
    charge(billing, "12.3", key="big")  # two grants
    charge(billing, "3", customer=EVE, allow_negative=True)
    give(billing, "1", customer=EVE)
    run(billing)
    clock.advance(hours=3)
    billing.run_due()


def drop_triggers(billing):
    def work(tx):
        found = tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for name in found:
            tx.execute(text(f"DROP TRIGGER {name}"))
        return len(found)

    assert database(billing).write(work) == 2 * len(APPEND_ONLY)


@pytest.fixture
def books(full_books, tmp_path, open_billing):
    path = tmp_path / "tampered.db"
    shutil.copy(full_books, path)
    return open_billing(database=f"sqlite:///{path}")


def tamper(billing, statement):
    """Change exactly one row, as somebody with the database's password would."""

    with closing(sqlite3.connect(database(billing).engine.url.database)) as intruder, intruder:
        intruder.execute("PRAGMA ignore_check_constraints = ON")
        assert intruder.execute(statement).rowcount == 1, statement


# Clean books


def test_clean_books_raise_no_alarm_at_any_moment(billing, ada, simulated, clock):
    def ok():
        report = billing.check()
        assert (report.ok, report.findings) == (True, ())
        return report

    ok()
    add_rule(billing)
    live_in(billing, "FR")
    topup = start(billing)
    ok()
    simulated.pay(checkout_of(topup))
    ada.topups.confirm(topup.id)
    ok()
    charge(billing, "70", allow_negative=True)
    ok()
    give(billing, "3")
    ok()
    failed = start(billing)
    simulated.fail(checkout_of(failed))
    ada.topups.confirm(failed.id)
    ok()
    clock.advance(hours=2)
    billing.run_due()
    report = ok()
    assert report.counted == {"transfer": 5, "grant": 2, "topup": 2, "payment": 1, "invoice": 1}


def test_checking_writes_nothing(billing, simulated):
    top_up(billing, simulated)
    before = counts(billing)

    billing.check()

    assert counts(billing) == before


@SQLITE
def test_progress_is_told_proof_by_proof(billing):
    steps = []

    billing.check(on_progress=lambda name, done, of: steps.append((name, done, of)))

    proofs = len({*PROOFS, "meters"})
    assert [done for _, done, _ in steps] == list(range(proofs))
    assert {of for _, _, of in steps} == {proofs}
    assert [name for name, _, _ in steps][:3] == ["numbers", "transfers", "wallet chains"]


# One row changed by hand

WALLET = "(SELECT id FROM prepaid_account WHERE kind = 'wallet' AND owner = 'user-42' AND currency = 'EUR')"
CHARGE = "(SELECT id FROM prepaid_transfer WHERE cause_id = 'big' AND part = 0)"
SECOND = "(SELECT id FROM prepaid_transfer WHERE cause_id = 'big' AND part = 1)"
FIRST = "(SELECT min(id) FROM prepaid_transfer WHERE kind = 'topup')"
PAID = "(SELECT min(id) FROM prepaid_grant WHERE kind = 'paid')"
CREDITED = "(SELECT min(id) FROM prepaid_topup WHERE state = 'credited')"
PARKED = "(SELECT id FROM prepaid_topup WHERE state = 'review')"
OPEN = "(SELECT id FROM prepaid_topup WHERE state IN ('pending', 'expired'))"
INVOICE = "(SELECT min(id) FROM prepaid_invoice)"

TAMPERED = {
    "more on a balance": ("L2", f"UPDATE prepaid_account SET balance = balance + 1 WHERE id = {WALLET}"),
    "a sequence that ran ahead": ("L2", f"UPDATE prepaid_account SET seq = seq + 1 WHERE id = {WALLET}"),
    "something held": ("L4", f"UPDATE prepaid_account SET held = -1 WHERE id = {WALLET}"),
    "a smaller charge": ("L2", f"UPDATE prepaid_transfer SET amount = amount - 1 WHERE id = {CHARGE}"),
    "a charge of nothing": ("L1", f"UPDATE prepaid_transfer SET amount = 0 WHERE id = {CHARGE}"),
    "a charge turned round": (
        "L2",
        f"UPDATE prepaid_transfer SET debit_id = credit_id, credit_id = debit_id WHERE id = {CHARGE}",
    ),
    "an account paid to itself": ("L1", f"UPDATE prepaid_transfer SET debit_id = credit_id WHERE id = {CHARGE}"),
    "an account that is not there": ("L1", f"UPDATE prepaid_transfer SET credit_id = 999999 WHERE id = {CHARGE}"),
    "another currency": ("L1", f"UPDATE prepaid_transfer SET currency = 'USD' WHERE id = {CHARGE}"),
    "a charge moved to another wallet": (
        "L1",
        "UPDATE prepaid_transfer SET wallet_id = (SELECT id FROM prepaid_account WHERE owner = 'eve')"
        f" WHERE id = {CHARGE}",
    ),
    "a charge without its wallet": (
        "L1",
        f"UPDATE prepaid_transfer SET wallet_id = NULL, wallet_seq = NULL, wallet_after = NULL WHERE id = {CHARGE}",
    ),
    "another balance after it": (
        "L2",
        f"UPDATE prepaid_transfer SET wallet_after = wallet_after + 1 WHERE id = {CHARGE}",
    ),
    "another place in the chain": ("L2", f"UPDATE prepaid_transfer SET wallet_seq = 900 WHERE id = {CHARGE}"),
    "a charge that vanished": ("L2", f"DELETE FROM prepaid_transfer WHERE id = {CHARGE}"),
    "a posting that vanished": ("B1", f"DELETE FROM prepaid_transfer WHERE id = {FIRST}"),
    "another grant burned": ("L3", f"UPDATE prepaid_transfer SET grant_id = {PAID} WHERE id = {CHARGE}"),
    "a key used for two things": (
        "L5",
        f"UPDATE prepaid_transfer SET fingerprint = 'x' WHERE id = {SECOND}",
    ),
    "a part that is missing": (
        "L5",
        f"UPDATE prepaid_transfer SET part = 7 WHERE id = {SECOND}",
    ),
    "a transaction split": (
        "L5",
        f"UPDATE prepaid_transfer SET transaction_id = 'txn_x' WHERE id = {SECOND}",
    ),
    "more left of a grant": ("L3", f"UPDATE prepaid_grant SET remaining = remaining + 1 WHERE id = {PAID}"),
    "a larger grant": ("L3", f"UPDATE prepaid_grant SET size = size + 1 WHERE id = {PAID}"),
    "a grant closed": ("L3", f"UPDATE prepaid_grant SET open = 0 WHERE id = {PAID}"),
    "a debt forgotten": ("L3", "UPDATE prepaid_grant SET debt_paid = 0 WHERE debt_paid > 0"),
    "a grant that vanished": ("L3", f"DELETE FROM prepaid_grant WHERE id = {PAID}"),
    "half a unit": (
        "L7",
        f"UPDATE prepaid_grant SET cost_net_minor = cost_net_minor, size = size + 0.5 WHERE id = {PAID}",
    ),
    "a balance in words": ("L7", f"UPDATE prepaid_account SET held = 'nothing' WHERE id = {WALLET}"),
    "another scale": ("L7", "UPDATE prepaid_currency SET scale = 2 WHERE code = 'EUR'"),
    "a payment that vanished": ("B1", f"DELETE FROM prepaid_payment WHERE topup_id = {CREDITED}"),
    "a smaller payment": ("B1", f"UPDATE prepaid_payment SET captured = captured - 1 WHERE topup_id = {CREDITED}"),
    "a payment in another currency": ("B1", f"UPDATE prepaid_payment SET currency = 'USD' WHERE topup_id = {CREDITED}"),
    "a parked payment that grew": (
        "B1",
        f"UPDATE prepaid_payment SET captured = captured + 1 WHERE topup_id = {PARKED}",
    ),
    "a top-up credited by hand": ("B1", f"UPDATE prepaid_topup SET state = 'credited' WHERE id = {OPEN}"),
    "a parked top-up credited by hand": ("B1", f"UPDATE prepaid_topup SET state = 'credited' WHERE id = {PARKED}"),
    "a credited top-up taken back": ("B1", f"UPDATE prepaid_topup SET state = 'failed' WHERE id = {CREDITED}"),
    "a state of no table": ("B6", f"UPDATE prepaid_topup SET state = 'paid' WHERE id = {OPEN}"),
    "a larger order": ("B1", f"UPDATE prepaid_topup SET net = net + 1, total = total + 1 WHERE id = {CREDITED}"),
    "an invoice that vanished": ("B5", f"DELETE FROM prepaid_invoice WHERE id = {INVOICE}"),
    "an invoice rewritten": (
        "B5",
        f"UPDATE prepaid_invoice SET snapshot = replace(snapshot, 'Nimbus', 'Cumulus') WHERE id = {INVOICE}",
    ),
    "an invoice with another tax": ("B5", f"UPDATE prepaid_invoice SET tax = tax + 1 WHERE id = {INVOICE}"),
    "an invoice with another net": (
        "B5",
        f"UPDATE prepaid_invoice SET net = net + 1, total = total + 1 WHERE id = {INVOICE}",
    ),
    "an invoice renumbered": ("B5", f"UPDATE prepaid_invoice SET sequence = 9 WHERE id = {INVOICE}"),
    "an invoice with another number": (
        "B5",
        f"UPDATE prepaid_invoice SET number = 'TINV26-000009' WHERE id = {INVOICE}",
    ),
    "an invoice of another customer": ("B5", f"UPDATE prepaid_invoice SET customer = 'eve' WHERE id = {INVOICE}"),
    "an invoice dated back": (
        "B5",
        "UPDATE prepaid_invoice SET issued_on = '2025-01-01' WHERE id = (SELECT max(id) FROM prepaid_invoice)",
    ),
    "a series set back": ("B5", "UPDATE prepaid_invoice_series SET last = 1"),
    "a file replaced": (
        "B5",
        f"UPDATE prepaid_document_file SET content = x'25504446' WHERE invoice_id = {INVOICE}",
    ),
    "a customer who was not told": (
        "B9",
        f"DELETE FROM prepaid_outbox WHERE dedupe_key = 'topup-credited/' || {CREDITED}",
    ),
}


@SQLITE
@pytest.mark.parametrize("name", list(TAMPERED))
def test_one_row_changed_by_hand_is_found(books, name):
    invariant, statement = TAMPERED[name]

    tamper(books, statement)

    report = books.check()
    assert not report.ok
    assert invariant in {finding.invariant for finding in report.findings}
    for finding in report.findings:
        assert finding.keys
        assert finding.expected != finding.found


@SQLITE
def test_a_finding_names_the_row_and_both_values(books):
    tamper(books, f"UPDATE prepaid_account SET balance = balance + 1 WHERE id = {WALLET}")

    found = {finding.invariant: finding for finding in books.check().findings}

    assert found["L2"].keys[0] == found["L3"].keys[0] == "account"
    balance = books.customer(ADA).balance().settled.units
    assert found["L3"].expected == f"open grants {balance}"
    assert found["L3"].found == f"open grants {balance - 1}"


@SQLITE
def test_another_book_of_the_same_database_raises_no_alarm(books, open_billing):
    tamper(books, f"UPDATE prepaid_account SET balance = balance + 1 WHERE id = {WALLET}")

    assert open_billing(database=str(database(books).engine.url), book="other").check().ok
    assert not books.check().ok


@SQLITE
def test_a_report_still_sums_over_books_with_a_finding(books, clock):
    tamper(books, f"UPDATE prepaid_account SET balance = balance + 1 WHERE id = {WALLET}")

    summary = operator(books).reports.summary(date(2026, 11, 23), clock.now() + timedelta(days=1))

    assert summary.funds_in == eur("84")
