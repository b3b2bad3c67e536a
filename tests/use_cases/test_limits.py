"""Limits of top-ups: refused before anything starts, counted with what is open, never held against captured money."""

from __future__ import annotations

import threading
import time

import pytest

from prepaid import AmountOutOfRange, InvalidAmount, InvalidRequest, Money
from prepaid.core.limits import TopupLimits
from prepaid.settlement import selling
from prepaid.store import allowances
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    EVE,
    SQLITE,
    change,
    checkout_of,
    database,
    eur,
    give,
    operator,
    rows,
    start,
    top_up,
    value,
)


def limit(billing, **limits):
    operator(billing).settings.topup_limits(**limits)


def refused(billing, amount, **options):
    with pytest.raises(AmountOutOfRange) as caught:
        start(billing, amount, **options)
    assert caught.value.field == "amount"
    return caught.value


@SQLITE
@pytest.mark.parametrize(
    ("limits", "amount", "params"),
    [
        ({"minimum": "10"}, "9.99", {"minimum": "10.00 EUR"}),
        ({"maximum": "100"}, "100.01", {"maximum": "100.00 EUR"}),
        ({"step": "5"}, "12.50", {"step": "5.00 EUR"}),
        ({"maximum_balance": "40"}, "40.01", {"maximum_balance": "40.00 EUR"}),
        ({"daily": "40"}, "40.01", {"daily": "40.00 EUR"}),
        ({"pending": "40"}, "40.01", {"pending": "40.00 EUR"}),
    ],
)
def test_each_limit_refuses_at_the_quote_with_its_figure(billing, limits, amount, params):
    limit(billing, **{name: eur(figure) for name, figure in limits.items()})

    with pytest.raises(AmountOutOfRange) as caught:
        billing.customer(ADA).topups.quote(eur(amount))

    assert (caught.value.field, dict(caught.value.params)) == ("amount", params)
    assert start(billing, next(iter(limits.values()))).state == "pending"


def test_open_top_ups_count_against_what_may_wait(billing, simulated):
    limit(billing, pending=eur("100"))
    first = start(billing, "60")
    assert "wait" in refused(billing, "60").message

    simulated.pay(checkout_of(first))
    billing.customer(ADA).topups.confirm(first.id)

    assert start(billing, "60").state == "pending"
    assert billing.check().ok


@pytest.mark.parametrize("end", ["cancel", "fail", "lapse"])
def test_a_top_up_that_ends_unpaid_gives_its_room_back_once(billing, ada, simulated, clock, end):
    limit(billing, pending=eur("60"), daily=eur("60"))
    topup = start(billing, "60")
    if end == "cancel":
        ada.topups.cancel(topup.id)
    elif end == "fail":
        simulated.fail(checkout_of(topup))
    else:
        clock.set(topup.expires_at)
    for _ in range(3):
        billing.run_due()
        ada.topups.confirm(topup.id)

    assert start(billing, "60").state == "pending"
    refused(billing, "1")
    assert billing.check().ok


def test_what_is_paid_counts_for_its_day_of_the_sellers_zone(billing, simulated, clock):
    limit(billing, daily=eur("100"))
    top_up(billing, simulated, "70")
    assert "day" in refused(billing, "40").message
    assert start(billing, "30").state == "pending"

    clock.advance(hours=11)  # past midnight in Berlin, not in UTC

    assert start(billing, "100").state == "pending"
    assert billing.check().ok


def test_the_balance_counts_with_what_is_open(billing, ada, simulated):
    limit(billing, maximum_balance=eur("100"))
    give(billing, "30")
    start(billing, "50")
    refused(billing, "20.01")

    assert start(billing, "20").state == "pending"


def test_captured_money_is_credited_whatever_the_limits_say_by_then(billing, ada, simulated):
    topup = start(billing, "50")
    limit(billing, maximum=eur("10"), maximum_balance=eur("10"), daily=eur("10"), pending=eur("10"))
    operator(billing).customers.freeze(ADA, reason="looked at")
    simulated.pay(checkout_of(topup))

    assert ada.topups.confirm(topup.id).state == "credited"
    assert ada.balance().settled == eur("50")
    assert billing.check().ok


def test_limits_are_per_customer_and_per_currency(billing, simulated):
    limit(billing, pending=[eur("50"), Money.of("10", "USD")])
    start(billing, "50")

    assert start(billing, "50", customer=EVE).state == "pending"
    assert start(billing, "10", currency="USD").state == "pending"
    refused(billing, "10", currency="USD")
    assert start(billing, "5000", currency="JPY").state == "pending"


def test_starts_at_the_same_moment_never_take_more_than_there_is_room_for(billing, simulated):
    limit(billing, pending=eur("100"))
    quote = billing.customer(ADA).topups.quote(eur("30"))
    barrier, outcomes = threading.Barrier(8), []

    def go(number):
        barrier.wait()
        try:
            billing.customer(ADA).topups.start(quote, return_url=BACK, cancel_url=BILLING, key=f"race-{number}")
            outcomes.append("started")
        except AmountOutOfRange:
            outcomes.append("refused")

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused"] * 5 + ["started"] * 3
    assert value(billing, "SELECT pending FROM prepaid_topup_allowance WHERE book_id = :book") == eur("90").units
    assert billing.check().ok


def test_a_top_up_that_is_resumed_by_its_key_is_counted_once(billing, simulated):
    limit(billing, pending=eur("100"))
    ada = billing.customer(ADA)
    quote = ada.topups.quote(eur("60"))
    for _ in range(4):
        ada.topups.start(quote, return_url=BACK, cancel_url=BILLING, key="the-same")

    assert start(billing, "40").state == "pending"


@SQLITE
@pytest.mark.parametrize(
    "limits",
    [
        {"minimum": "5"},
        {"minimum": 5},
        {"minimum": [eur("5"), eur("6")]},
        {"minimum": eur("5"), "maximum": eur("4")},
        {"daily": Money.of("1", "GBP")},
        {"step": eur("0")},
        {"pending": Money.of("0.001", "EUR")},
    ],
)
def test_limits_that_cannot_be_are_refused(billing, limits):
    with pytest.raises((InvalidAmount, InvalidRequest)):
        limit(billing, **limits)
    assert rows(billing, "SELECT value FROM prepaid_setting WHERE book_id = :book") == []


@SQLITE
def test_limits_are_set_all_anew_and_audited(billing):
    limit(billing, minimum=eur("10"), daily=eur("50"))
    limit(billing, minimum=eur("5"))

    assert start(billing, "60").state == "pending"
    newest, first = [entry for entry in operator(billing).audit.list().items if entry.target == "topup-limits"]
    assert newest.before == first.after


@SQLITE
def test_the_check_sees_a_count_that_is_wrong(billing, simulated):
    start(billing, "50")
    change(billing, "UPDATE prepaid_topup_allowance SET pending = pending + 1")

    assert [finding.invariant for finding in billing.check().findings] == ["L4"]


@SQLITE
def test_captured_money_is_credited_though_its_count_was_lost(billing, ada, simulated):
    topup = start(billing)
    change(billing, "UPDATE prepaid_topup_allowance SET pending = 0, of_day = 0")
    simulated.pay(checkout_of(topup))

    assert ada.topups.confirm(topup.id).state == "credited"
    assert billing.check().ok


@SQLITE
def test_a_top_up_ends_though_a_clock_went_back_over_midnight(billing, ada, clock):
    first = start(billing, "60")
    today = clock.now()
    clock.advance(days=1)
    ada.topups.cancel(start(billing, "5").id)
    clock.set(today)
    start(billing, "10")

    assert ada.topups.cancel(first.id).state == "canceled"
    assert billing.check().ok


@SQLITE
def test_the_check_sees_a_top_up_that_is_not_counted_at_all(billing):
    start(billing)
    change(billing, "DELETE FROM prepaid_topup_allowance")

    assert {finding.invariant for finding in billing.check().findings} == {"L4"}


def test_a_start_that_waited_for_a_settlement_sees_the_balance_that_it_left(billing, ada, simulated, monkeypatch):
    topup = start(billing, "60")
    simulated.pay(checkout_of(topup))
    holding, post = threading.Event(), selling.post

    def slow(*parts, **named):
        holding.set()
        time.sleep(0.4)  # the count is released by now, and the other one waits for its row
        return post(*parts, **named)

    monkeypatch.setattr(selling, "post", slow)
    settling = threading.Thread(target=ada.topups.confirm, args=(topup.id,))
    settling.start()
    assert holding.wait(10)
    limits = TopupLimits(maximum_balance=eur("100")).of("EUR")

    room = database(billing).write(lambda tx: allowances.reserve(tx, ADA, eur("60"), day="2026-11-23", limits=limits))

    settling.join()
    assert (room, ada.balance().settled) == (False, eur("60"))
