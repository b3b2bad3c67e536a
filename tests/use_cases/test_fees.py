"""What gateways keep of payments: posted with the payment, or when it is told, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from prepaid import Money
from prepaid.core.instants import from_micros
from prepaid.ports import PaymentRef
from prepaid.settlement import fees
from prepaid.store import topups
from tests.use_cases.refund_steps import checkout_id, hear, look, proven
from tests.use_cases.steps import ADA, SQLITE, checkout_of, database, eur, flow, rows, start, value

FEE = eur("1.75")


def test_what_a_gateway_keeps_of_a_payment_is_posted_beside_it(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    gateway.lies["fee"] = eur("1.75")
    credited = shop.customer(ADA).topups.confirm(topup.id)
    assert credited.state == "credited"
    assert flow(shop, "fees", "clearing") == "1.75"
    proven(shop)


def test_a_fee_in_another_currency_is_posted_in_its_own(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    gateway.lies["fee"] = Money.of("2.03", "USD")
    shop.customer(ADA).topups.confirm(topup.id)
    [posted] = rows(shop, "SELECT currency, amount FROM prepaid_transfer WHERE book_id = :book AND kind = 'fee'")
    assert tuple(posted) == ("USD", 2_030_000)
    proven(shop)


def test_a_payment_in_review_has_its_fee_posted_too(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup), amount=eur("40"))
    gateway.lies["fee"] = eur("1.75")
    assert shop.customer(ADA).topups.confirm(topup.id).state == "review"
    assert flow(shop, "fees", "clearing") == "1.75"
    proven(shop)


# Told later


def next_look(shop, topup):
    return value(shop, "SELECT next_poll_at FROM prepaid_topup WHERE book_id = :book AND id = :id", id=topup.id)


def paid_without_fee(shop, gateway, **paid):
    """Have a payment posted whose fee follows."""
    topup = start(shop)
    gateway.pay(checkout_of(topup), **paid)
    gateway.lies["fee_follows"] = True
    posted = shop.customer(ADA).topups.confirm(topup.id)
    assert flow(shop, "fees", "clearing") == "0.00"
    proven(shop)
    return posted


def look_whenever_due(shop, topup, clock):
    """Run the job at each look until none is scheduled, a month at most, and give how long that took."""
    began = clock.now()
    while (due := next_look(shop, topup)) is not None and clock.now() - began < timedelta(days=30):
        clock.set(from_micros(due))
        shop.run_due("topups")
    return clock.now() - began


def told_by_now(gateway, fee=FEE):
    gateway.lies.update(fee=fee, fee_follows=False)


@pytest.mark.parametrize(("paid", "state"), [({}, "credited"), ({"amount": eur("40")}, "review")])
def test_a_fee_that_follows_is_posted_when_it_is_told_and_nobody_looks_any_more(shop, gateway, clock, paid, state):
    topup = paid_without_fee(shop, gateway, **paid)
    assert topup.state == state
    for minutes in (1, 5):
        clock.advance(minutes=minutes)
        shop.run_due("topups")
        assert flow(shop, "fees", "clearing") == "0.00"
    told_by_now(gateway)
    clock.advance(minutes=15)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "1.75"
    assert next_look(shop, topup) is None
    proven(shop)
    look(shop, topup)
    assert flow(shop, "fees", "clearing") == "1.75"


def test_until_a_look_is_due_nobody_asks_and_then_whoever_comes_first(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway, Money.of("2.03", "USD"))
    asked = len(gateway.asked)
    for _ in range(3):
        shop.customer(ADA).topups.confirm(topup.id)
        assert set(hear(shop, gateway, topup)) == {200}
    assert len(gateway.asked) == asked
    clock.advance(minutes=1)

    shop.customer(ADA).topups.confirm(topup.id)

    [posted] = rows(shop, "SELECT currency, amount FROM prepaid_transfer WHERE book_id = :book AND kind = 'fee'")
    assert tuple(posted) == ("USD", 2_030_000)
    assert next_look(shop, topup) is None
    proven(shop)


def test_it_is_asked_for_beside_a_refund_too(shop, gateway, clock):
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    gateway.refund_at_provider(checkout_of(topup), eur("10"))
    gateway.lies["fee_follows"] = True
    shop.customer(ADA).topups.confirm(topup.id)
    assert flow(shop, "refunds_in_transit", "clearing") == "10.00"
    told_by_now(gateway)
    clock.advance(minutes=1)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "1.75"
    proven(shop)


def test_both_payments_of_a_checkout_have_their_fee(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    gateway.pay_again(checkout_id(shop, topup))
    first = gateway.fetch_payment(PaymentRef(topup_id=topup.id, checkout_id=checkout_id(shop, topup)))
    gateway.lies["further"] = tuple(evolve(each, fee_follows=True) for each in first.further)
    clock.advance(minutes=1)
    shop.run_due("topups")
    told_by_now(gateway)
    gateway.lies["further"] = tuple(evolve(each, fee=eur("0.25")) for each in first.further)
    clock.advance(minutes=5)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "2.00"
    proven(shop)


def test_a_second_payment_that_is_told_of_brings_the_fee_of_the_first(shop, gateway):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway)
    gateway.pay_again(checkout_id(shop, topup))

    assert set(hear(shop, gateway, topup)) == {200}

    assert flow(shop, "fees", "clearing") == "1.75"
    assert next_look(shop, topup) is None
    proven(shop)


def test_the_first_payment_is_looked_at_for_the_fee_of_the_second(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway)
    clock.advance(minutes=1)
    shop.run_due("topups")
    assert next_look(shop, topup) is None
    gateway.pay_again(checkout_id(shop, topup))
    first = gateway.fetch_payment(PaymentRef(topup_id=topup.id, checkout_id=checkout_id(shop, topup)))
    gateway.lies["further"] = tuple(evolve(each, fee_follows=True) for each in first.further)
    hear(shop, gateway, topup)
    gateway.lies["further"] = tuple(evolve(each, fee=eur("0.25")) for each in first.further)
    clock.advance(minutes=1)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "2.00"
    assert next_look(shop, topup) is None
    proven(shop)


def test_of_two_workers_the_one_who_is_told_the_fee_need_not_be_the_one_who_credits(shop, gateway):
    """The other one's answer was given before: it has no fee, and the refund is not in it either."""
    topup = start(shop)
    checkout = checkout_of(topup)
    gateway.pay(checkout)
    gateway.refund_at_provider(checkout, eur("10"))
    gateway.lies["fee"] = FEE

    def credited_by_another():
        gateway.lies.update(fee=None, fee_follows=True, refunded=None)
        shop.customer(ADA).topups.confirm(topup.id)

    gateway.on_fetch.append(credited_by_another)
    shop.customer(ADA).topups.confirm(topup.id)

    assert flow(shop, "fees", "clearing") == "1.75"
    assert flow(shop, "refunds_in_transit", "clearing") == "10.00"
    proven(shop)


def test_looks_for_a_payment_that_took_its_time_do_not_count(shop, gateway, clock):
    topup = start(shop)
    gateway.pay(checkout_of(topup), later=True)
    for _ in range(60):
        clock.set(from_micros(next_look(shop, topup)))
        shop.run_due("topups")
    gateway.finish(checkout_of(topup))
    gateway.lies["fee_follows"] = True
    assert shop.customer(ADA).topups.confirm(topup.id).state == "credited"
    clock.advance(minutes=1)
    shop.run_due("topups")
    told_by_now(gateway)
    clock.advance(minutes=5)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "1.75"


def test_a_look_that_ends_keeps_the_one_that_another_worker_asks_for_meanwhile(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway)
    clock.advance(minutes=1)
    soon = clock.now() + timedelta(minutes=2)

    def asked_by_another():
        database(shop).write(lambda tx: topups.schedule_facts(tx, topup.id, soon, 0))

    gateway.on_fetch.append(asked_by_another)
    shop.run_due("topups")

    assert from_micros(next_look(shop, topup)) == soon
    assert flow(shop, "fees", "clearing") == "1.75"


@SQLITE
def test_a_gateway_that_refuses_for_good_is_asked_no_more_after_a_week(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    gateway.fault_next("fetch_payment", "garbage", times=1_000)

    assert timedelta(days=7) < look_whenever_due(shop, topup, clock) < timedelta(days=10)
    assert shop.customer(ADA).topups.get(topup.id).failure == ""


@SQLITE
def test_a_fee_of_nothing_is_no_entry(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway, eur("0"))
    clock.advance(minutes=1)
    shop.run_due("topups")

    assert (flow(shop, "fees", "clearing"), next_look(shop, topup)) == ("0.00", None)
    proven(shop)


@SQLITE
def test_after_a_week_nobody_looks_for_it_any_more(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    asked = len(gateway.asked)

    assert timedelta(days=7) < look_whenever_due(shop, topup, clock) < timedelta(days=10)
    assert len(gateway.asked) - asked < 40
    proven(shop)


@SQLITE
def test_a_gateway_that_is_down_is_asked_again(shop, gateway, clock):
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway)
    gateway.fault_next("fetch_payment", "unavailable", times=1)
    clock.advance(minutes=1)
    shop.run_due("topups")
    assert (flow(shop, "fees", "clearing"), next_look(shop, topup) is None) == ("0.00", False)
    clock.advance(minutes=5)

    shop.run_due("topups")

    assert flow(shop, "fees", "clearing") == "1.75"


def test_two_workers_who_are_told_of_it_post_it_once(shop, gateway, monkeypatch):
    """The second one has looked, and found none, before the first one posts it."""
    topup = paid_without_fee(shop, gateway)
    told_by_now(gateway)
    payment = gateway.fetch_payment(PaymentRef(topup_id=topup.id, checkout_id=checkout_id(shop, topup)))
    real, context = fees.fee_of, shop._context

    def overtaken(*given):
        monkeypatch.setattr(fees, "fee_of", real)
        fees.post_late_fee(context, topup.gateway, payment)
        return real(*given)

    monkeypatch.setattr(fees, "fee_of", overtaken)
    fees.post_late_fee(context, topup.gateway, payment)

    assert flow(shop, "fees", "clearing") == "1.75"
    proven(shop)


@SQLITE
def test_a_fee_of_a_payment_that_is_not_known_is_nothing(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    payment = gateway.fetch_payment(PaymentRef(topup_id=topup.id, checkout_id=checkout_of(topup)))
    for each in (evolve(payment, fee=FEE), evolve(payment, fee=FEE, payment_id=None)):
        fees.post_late_fee(shop._context, topup.gateway, each)

    assert flow(shop, "fees", "clearing") == "0.00"
