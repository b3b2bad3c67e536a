"""A check from a place on proves what is new since then and what that touches, and says where the next may begin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from prepaid import InvalidRequest
from prepaid.integrity import proving
from tests.engines import SERVERS
from tests.use_cases.refund_steps import approve, ask, checkout_id, give_back, look, refunds_of
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    change,
    charge,
    checkout_of,
    database,
    eur,
    give,
    operator,
    start,
    top_up,
    value,
)


def invariants(report):
    return {finding.invariant for finding in report.findings}


def unlock(billing):
    """Drop the triggers, as somebody with the database's password would."""
    found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    names = database(billing).read(lambda tx: tx.execute(text(found)).scalars().all())
    for name in names:
        change(billing, f"DROP TRIGGER {name}")


def raise_amount(billing, key):
    change(billing, "UPDATE prepaid_transfer SET amount = amount + 1 WHERE cause_id = :key", key=key)


@pytest.fixture
def aged(billing, simulated, clock):
    """Give a book with a past, and the place where a check a day later ended."""
    give(billing, "50")
    give(billing, "50", customer=EVE)
    top_up(billing, simulated, "20.00")
    charge(billing, "1", key="old")
    charge(billing, "1", key="eves", customer=EVE)
    billing.usage.hold(ADA, eur("2"), key="kept", expires_in=timedelta(days=90))
    clock.advance(days=1)
    return billing, billing.check().place


def test_new_rows_on_a_clean_book_are_clean(aged, simulated, clock):
    billing, place = aged

    charge(billing, "1", key="new")
    top_up(billing, simulated, "30.00")
    held = billing.usage.hold(ADA, eur("1"), key="more", expires_in=timedelta(hours=1))
    billing.usage.capture(held.id, eur("0.5"))
    billing.usage.reverse(charge(billing, "2", key="again").transaction_id, key="back", reason="a mistake")
    report = billing.check(since=place)

    assert report.findings == ()
    assert report.is_complete
    clock.advance(days=1)
    assert billing.check(since=report.place).findings == ()
    assert billing.check(since=billing.check(since=report.place).place).ok


def test_the_place_moves_on_with_the_book(aged, clock):
    billing, place = aged

    charge(billing, "1", key="new")
    clock.advance(hours=2)

    assert billing.check(since=place).place != place


@pytest.mark.parametrize("place", SERVERS, indirect=True)
def test_what_was_written_first_and_committed_last_is_new(aged, clock):
    """Its row has the lower number of two in the last hour; the place must lie before it."""
    billing, _ = aged
    engine = create_engine(database(billing).engine.url, isolation_level="READ COMMITTED")
    with engine.connect() as connection:
        with billing.joined(connection) as joined:
            joined.usage.charge(ADA, eur("1"), key="slow")
        charge(billing, "1", key="fast", customer=EVE)
        place = billing.check().place
        connection.commit()
    engine.dispose()
    number = value(billing, "SELECT id FROM prepaid_transfer WHERE book_id = :book AND cause_id = 'slow'")
    assert number < value(billing, "SELECT id FROM prepaid_transfer WHERE book_id = :book AND cause_id = 'fast'")

    assert int(place.split(".")[1]) < number
    assert billing.check(since=place).ok


def test_nothing_new_is_clean(aged):
    billing, place = aged

    assert billing.check(since=place).ok


@SQLITE
def test_a_new_row_that_was_changed_is_found(aged):
    billing, place = aged
    unlock(billing)
    charge(billing, "1", key="new")
    raise_amount(billing, "new")

    report = billing.check(since=place)

    assert invariants(report) == {"L2", "L3", "L5"}
    assert report.place == place


@SQLITE
@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE prepaid_account SET balance = balance + 1 WHERE owner = 'user-42'",
        "UPDATE prepaid_account SET held = held + 1 WHERE owner = 'user-42'",
        "UPDATE prepaid_grant SET remaining = remaining - 1 WHERE kind = 'paid'",
        "UPDATE prepaid_hold SET state = 'released' WHERE state = 'open'",
    ],
)
def test_what_a_new_row_touches_is_proved_too(aged, tampering):
    billing, place = aged
    charge(billing, "1", key="new")
    change(billing, tampering)

    assert not billing.check(since=place).ok


@SQLITE
def test_a_new_hold_touches_its_wallet(aged):
    billing, place = aged
    billing.usage.hold(EVE, eur("1"), key="hers", expires_in=timedelta(hours=1))
    change(billing, "UPDATE prepaid_account SET held = held + 1 WHERE owner = 'eve'")

    assert invariants(billing.check(since=place)) == {"L4"}


@SQLITE
def test_what_nothing_new_touches_is_left_to_a_whole_check(aged):
    billing, place = aged
    unlock(billing)
    charge(billing, "1", key="new")
    raise_amount(billing, "eves")

    assert billing.check(since=place).ok
    assert invariants(billing.check()) == {"L2", "L3", "L5"}


@SQLITE
def test_a_row_that_vanished_below_a_new_one_is_found(aged):
    billing, place = aged
    unlock(billing)
    charge(billing, "1", key="first")
    charge(billing, "1", key="second")
    change(billing, "DELETE FROM prepaid_transfer WHERE cause_id = 'first'")

    assert "L2" in invariants(billing.check(since=place))


@SQLITE
def test_what_was_posted_shortly_before_a_check_is_proved_again_by_the_next(billing, clock):
    give(billing, "50")
    clock.advance(days=1)
    charge(billing, "1", key="late")  # as good as one that was committed after the check began
    clock.advance(minutes=30)
    place = billing.check().place
    unlock(billing)
    raise_amount(billing, "late")

    assert "L2" in invariants(billing.check(since=place))


@SQLITE
def test_a_top_up_paid_since_then_is_proved_however_old_it_is(billing, simulated, clock):
    old = start(billing, "30.00")
    simulated.pay(old.checkout.redirect_url.rsplit("/", 1)[1])
    clock.advance(days=1)
    place = billing.check().place
    billing.customer(ADA).topups.confirm(old.id)
    change(billing, "UPDATE prepaid_payment SET captured = captured - 1")

    assert "B1" in invariants(billing.check(since=place))


@SQLITE
@pytest.mark.parametrize("since", ["", "x", "1", "1.2", "9.0.0", "1.1.999999999999999999", "1.-1.0", 7, "١.0.0"])
def test_what_is_no_place_of_this_book_is_refused(billing, since):
    with pytest.raises(InvalidRequest) as refused:
        billing.check(since=since)

    assert refused.value.field == "since"


@SQLITE
def test_books_that_are_wrong_everywhere_are_not_listed_to_the_end(aged, monkeypatch):
    billing, _ = aged
    monkeypatch.setattr(proving, "MOST_FINDINGS", 3)
    unlock(billing)
    change(billing, "UPDATE prepaid_transfer SET amount = amount + 1")

    report = billing.check()

    assert len(report.findings) == 3
    assert not report.is_complete
    assert report.place is None


@SQLITE
def test_one_wrong_row_in_a_chain_is_one_finding_there(aged):
    billing, _ = aged
    unlock(billing)
    raise_amount(billing, "old")

    chain = [finding for finding in billing.check().findings if finding.invariant == "L2"]

    row = value(billing, "SELECT id FROM prepaid_transfer WHERE cause_id = 'old'")
    assert [finding.keys for finding in chain] == [("transfer", str(row))]


RESOLUTIONS = ["credit_received", "credit_quoted", "refund"]


@pytest.mark.parametrize("action", RESOLUTIONS)
def test_a_review_that_was_parked_before_the_place_and_ended_after_it_is_clean(billing, simulated, clock, action):
    topup = start(billing, "30.00")
    simulated.pay(checkout_of(topup), amount=eur("31.00"))
    assert billing.customer(ADA).topups.confirm(topup.id).state == "review"
    clock.advance(days=1)
    place = billing.check().place
    operator(billing).topups.resolve(topup.id, action=action, reason="seen", key="once")

    report = billing.check(since=place)

    assert report.findings == ()
    assert billing.check(since=report.place).ok
    assert billing.check().ok


def open_dispute(billing, simulated, topup):
    dispute_id = simulated.dispute(checkout_id(billing, topup))
    look(billing, topup)
    return lambda: simulated.lose(dispute_id)


def pending_refund(billing, simulated, topup):
    simulated.script_refund("pending")
    approve(billing, ask(billing, topup, "20"))
    return lambda: simulated.finish_refund(refunds_of(billing, topup)[0].gateway_refund_id)


def settled_refund(billing, simulated, topup):
    give_back(billing, topup, "20")
    return lambda: simulated.finish_refund(refunds_of(billing, topup)[0].gateway_refund_id, succeed=False)


def waiting_request(billing, simulated, topup):
    asked = ask(billing, topup, "20")
    return lambda: approve(billing, asked)


@pytest.mark.parametrize("begin", [open_dispute, pending_refund, settled_refund, waiting_request])
def test_money_that_began_to_go_back_before_the_place_and_went_on_after_it_is_clean(billing, simulated, clock, begin):
    topup = top_up(billing, simulated, "30.00")
    go_on = begin(billing, simulated, topup)
    clock.advance(days=1)
    place = billing.check().place
    go_on()
    look(billing, topup)

    report = billing.check(since=place)

    assert report.findings == ()
    assert billing.check(since=report.place).ok
    assert billing.check().ok
