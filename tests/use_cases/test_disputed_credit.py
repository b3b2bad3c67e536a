"""Credit that comes free while its payment is disputed: held by the dispute, so that a loss finds it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import event

from prepaid import Charge, InsufficientCredit, TransactionAborted, outbox
from tests.use_cases.panel import MARIADB, POSTGRESQL, old_snapshot
from tests.use_cases.refund_steps import approve, ask, checkout_id, disputes_of, look, proven, refunds_of
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE_FIRST,
    charge,
    database,
    eur,
    give,
    hold,
    kept,
    operator,
    parts,
    reverse,
    rows,
    top_up,
)


def dispute(billing, simulated, topup, amount=None):
    dispute_id = simulated.dispute(checkout_id(billing, topup), amount=amount and eur(amount))
    look(billing, topup)
    return dispute_id


def lose(billing, simulated, topup, dispute_id):
    simulated.lose(dispute_id)
    look(billing, topup)


def waiting(billing):
    """Give what of this is still to be done, and for whom."""
    found = rows(
        billing,
        "SELECT payload FROM prepaid_outbox WHERE book_id = :book AND topic = 'freed-credit' AND state = 'pending'",
    )
    return [json.loads(payload)["customer"] for (payload,) in found]


def told(billing):
    return rows(billing, "SELECT id FROM prepaid_outbox WHERE book_id = :book AND topic = 'freed-credit'")


# What comes free


def by_reversal(billing, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "40")
    dispute_id = dispute(billing, simulated, topup)
    assert kept(billing.customer(ADA).balance()) == ("10.00", "10.00", "0.00")
    reverse(billing, used)
    return topup, dispute_id


def by_a_refund_of_a_charge(billing, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "40")
    dispute_id = dispute(billing, simulated, topup)
    approve(billing, ask(billing, used, "40"))
    return topup, dispute_id


def by_release(billing, simulated):
    topup = top_up(billing, simulated, "50")
    reserved = hold(billing, "20")
    dispute_id = dispute(billing, simulated, topup)
    assert [each.amount for each in billing.customer(ADA).holds()] == [eur("20"), eur("30")]
    billing.usage.release(reserved.id)
    return topup, dispute_id


def by_lapse(billing, simulated):
    topup = top_up(billing, simulated, "50")
    hold(billing, "20")
    dispute_id = dispute(billing, simulated, topup)
    simulated.clock.advance(hours=3)
    billing.run_due()
    return topup, dispute_id


def by_lapse_before_a_charge(billing, simulated):
    topup = top_up(billing, simulated, "50")
    hold(billing, "20")
    dispute_id = dispute(billing, simulated, topup)
    simulated.clock.advance(hours=3)
    reverse(billing, charge(billing, "5"))
    billing.run_due(only="outbox")
    return topup, dispute_id


def by_another_dispute_won_after_all(billing, simulated):
    other, topup = top_up(billing, simulated, "50"), top_up(billing, simulated, "50")
    charge(billing, "50")
    first = dispute(billing, simulated, other)
    lose(billing, simulated, other, first)
    dispute_id = dispute(billing, simulated, topup)
    assert kept(billing.customer(ADA).balance()) == ("0.00", "0.00", "0.00")
    simulated.appeal(first)
    simulated.win(first)
    look(billing, other)
    billing.run_due(only="outbox")
    return topup, dispute_id


def by_a_refund_of_another_payment_that_failed(billing, simulated):
    other, topup = top_up(billing, simulated, "50"), top_up(billing, simulated, "50")
    charge(billing, "50")
    simulated.refund_at_provider(checkout_id(billing, other), eur("50"))
    look(billing, other)
    dispute_id = dispute(billing, simulated, topup)
    [refund] = refunds_of(billing, other)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    look(billing, other)
    billing.run_due(only="outbox")
    return topup, dispute_id


WAYS = [
    by_another_dispute_won_after_all,
    by_a_refund_of_another_payment_that_failed,
    by_reversal,
    by_a_refund_of_a_charge,
    by_release,
    by_lapse,
    by_lapse_before_a_charge,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@SQLITE_FIRST
def test_it_is_held_and_a_loss_takes_it(billing, ada, simulated, way):
    topup, dispute_id = way(billing, simulated)

    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    [reserve] = ada.holds()
    assert reserve.dispute_id == disputes_of(billing, topup)[0].id
    with pytest.raises(InsufficientCredit):
        charge(billing, "1")
    assert waiting(billing) == []
    proven(billing)

    lose(billing, simulated, topup, dispute_id)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    proven(billing)


@SQLITE_FIRST
def test_what_a_capture_leaves_of_a_hold_is_held(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    reserved = hold(billing, "20")
    dispute_id = dispute(billing, simulated, topup)
    billing.usage.capture(reserved.id, eur("5"))
    assert kept(ada.balance()) == ("45.00", "45.00", "0.00")
    proven(billing)
    lose(billing, simulated, topup, dispute_id)
    assert ada.balance().settled == eur("-5")
    proven(billing)


@SQLITE_FIRST
def test_each_disputed_payment_holds_its_own(billing, ada, simulated):
    first, second = (top_up(billing, simulated, amount) for amount in ("50", "30"))
    used = charge(billing, "70")
    dispute(billing, simulated, first)
    dispute(billing, simulated, second, "20")
    assert kept(ada.balance()) == ("10.00", "10.00", "0.00")
    reverse(billing, used, "40")
    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    assert sorted(each.amount for each in ada.holds()) == [eur("20"), eur("30")]
    proven(billing)


@SQLITE_FIRST
def test_no_more_is_held_than_may_still_be_lost(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "40")
    dispute(billing, simulated, topup)
    operator(billing).customers.grant(ADA, eur("10"), kind="goodwill", reason="sorry", key="sorry")
    reverse(billing, used, "15")
    assert kept(ada.balance()) == ("35.00", "25.00", "10.00")
    reverse(billing, used)
    assert kept(ada.balance()) == ("60.00", "50.00", "10.00")
    proven(billing)


# Whatever happens in between


def test_what_a_crash_after_the_commit_left_undone_a_job_makes_up_for(billing, ada, simulated, monkeypatch):
    monkeypatch.setattr(outbox, "deliver_now", lambda *parts: 1 / 0)
    by_reversal(billing, simulated)
    assert kept(ada.balance()) == ("50.00", "10.00", "40.00")
    assert waiting(billing) == [ADA]

    billing.run_due()

    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    assert waiting(billing) == []
    proven(billing)


@SQLITE_FIRST
def test_done_again_it_changes_nothing(billing, ada, simulated):
    by_reversal(billing, simulated)
    [before] = ada.holds()
    with database(billing).engine.begin() as connection:
        connection.exec_driver_sql("UPDATE prepaid_outbox SET state = 'pending' WHERE topic = 'freed-credit'")
    billing.run_due()
    assert ada.holds() == (before,)
    proven(billing)


@SQLITE_FIRST
def test_a_dispute_that_ended_meanwhile_holds_nothing(billing, ada, simulated, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "deliver_now", lambda *parts: 1 / 0)
        topup, dispute_id = by_release(billing, simulated)
    simulated.win(dispute_id)
    look(billing, topup)
    billing.run_due()
    assert kept(ada.balance()) == ("50.00", "0.00", "50.00")
    proven(billing)


def test_in_a_hosts_transaction_it_waits_for_the_job(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "40")
    dispute(billing, simulated, topup)
    with database(billing).engine.begin() as connection, billing.joined(connection) as joined:
        joined.usage.reverse(used.transaction_id, key="back", reason="outage")
    assert kept(ada.balance()) == ("50.00", "10.00", "40.00")
    assert waiting(billing) == [ADA]
    billing.run_due(only="outbox")
    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    proven(billing)


# Who has none


@pytest.mark.parametrize("end", ["win", "lose", "inquiry", "none", "another's"])
@SQLITE_FIRST
def test_who_has_no_open_dispute_is_told_nothing(billing, ada, simulated, end):
    topup = top_up(billing, simulated, "50")
    used, reserved, lapsing = charge(billing, "10"), hold(billing, "10"), hold(billing, "5", hours=1)
    if end == "another's":
        dispute(billing, simulated, top_up(billing, simulated, "50", customer=EVE))
    elif end != "none":
        dispute_id = simulated.dispute(checkout_id(billing, topup), inquiry=end == "inquiry")
        look(billing, topup)
        if end != "inquiry":
            getattr(simulated, end)(dispute_id)
            look(billing, topup)
    reverse(billing, used)
    billing.usage.release(reserved.id)
    simulated.clock.advance(hours=2)
    billing.run_due()
    assert ada.holds() == ()
    assert lapsing.id
    assert told(billing) == []


@SQLITE_FIRST
def test_a_charge_asks_nothing_and_a_reversal_once(billing, simulated):
    top_up(billing, simulated, "50")
    said = []
    event.listen(database(billing).engine, "before_cursor_execute", lambda *given: said.append(given[2]))

    used = charge(billing, "10")
    charge(billing, "10", allow_negative=True)
    give(billing, "1")
    charge(billing, "5", key="of two grants")
    billing.usage.charge_many([Charge(ADA, eur("1"), "batched")])
    assert [statement for statement in said if "dispute" in statement] == []
    said.clear()
    reverse(billing, used)
    asked = [statement for statement in said if "prepaid_dispute" in statement or "prepaid_outbox" in statement]
    assert len(asked) == 1


@SQLITE_FIRST
def test_what_a_dispute_of_another_payment_held_is_held_for_the_next(billing, ada, simulated):
    first, second = top_up(billing, simulated, "50"), top_up(billing, simulated, "50")
    hold(billing, "60")
    dispute_id = dispute(billing, simulated, first)
    dispute(billing, simulated, second)
    assert kept(ada.balance()) == ("100.00", "100.00", "0.00")

    simulated.win(dispute_id)
    look(billing, first)
    billing.run_due(only="outbox")

    assert kept(ada.balance()) == ("100.00", "100.00", "0.00")
    proven(billing)


@POSTGRESQL
def test_a_host_that_has_not_seen_the_dispute_begins_anew(billing, ada, simulated, panel):
    topup = top_up(billing, simulated, "50")
    reserved = hold(billing, "50")
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        dispute(billing, simulated, topup)
        with pytest.raises(TransactionAborted), billing.joined(host) as joined:
            joined.usage.release(reserved.id)
        host.rollback()
        with billing.joined(host) as joined:
            joined.usage.release(reserved.id)
        host.commit()
    billing.run_due(only="outbox")

    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    proven(billing)


@MARIADB
def test_a_host_locks_no_dispute(billing, ada, simulated, panel):
    topup, other = top_up(billing, simulated, "50"), top_up(billing, simulated, "50", customer=EVE)
    reserved = hold(billing, "20")
    dispute(billing, simulated, topup)
    dispute(billing, simulated, other)
    with panel.opened("connection") as host:
        with billing.joined(host) as joined:
            joined.usage.release(reserved.id)
        with panel.engine.connect() as worker:
            worker.exec_driver_sql("SELECT id FROM prepaid_dispute FOR UPDATE NOWAIT").all()
        host.commit()
    billing.run_due(only="outbox")

    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    proven(billing)
