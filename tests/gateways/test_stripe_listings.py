"""Lists of Stripe: every captured payment once, refunds and disputes, in pages, on an account shared with others."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from prepaid.core.money import Money
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import VALID, flattened, plain
from tests.gateways.stripe_world import (
    FLOWS,
    FORM,
    KEY,
    NOW,
    TOPUP,
    a_refund,
    bound,
    created,
    paid,
    refused,
    shorten_waits,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


def all_of(method, since=NOW, until=NOW + HOUR):
    listed, cursor = [], None
    while True:
        page = method(since, until, cursor=cursor)
        listed += page.items
        if page.next is None:
            return listed
        cursor = page.next


def foreign_session(simulator, **changes):
    """Create a session as another application on the account does."""
    body = urlencode(list(flattened({**VALID, **changes})))
    return plain(simulator, "POST", "/v1/checkout/sessions", body=body, secret=KEY)[2]["id"]


def foreign_intent(simulator, **changes):
    body = urlencode(list(flattened({"amount": 700, "currency": "usd", **changes})))
    return plain(simulator, "POST", "/v1/payment_intents", body=body, secret=KEY)[2]["id"]


# Payments


@FLOWS
def test_a_payment_is_listed_as_it_is_read(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    ref = paid(gateway, simulator)
    assert all_of(gateway.list_payments) == [gateway.fetch_payment(ref)]


def test_payments_of_both_flows_and_of_others_are_listed_once_each(simulator, clock):
    page, form = bound(simulator, clock), bound(simulator, clock, **FORM)
    by_page = paid(page, simulator, topup_id="order-1", key="1")
    by_form = paid(form, simulator, topup_id="order-2", key="2")
    session_id = foreign_session(simulator)
    foreign = simulator.pay(session_id)
    alone = foreign_intent(simulator, metadata={"flow": "checkout"})
    simulator.pay(alone)
    for gateway in (page, form):
        listed = [(item.payment_id, item.checkout_id, item.topup_id) for item in all_of(gateway.list_payments)]
        assert listed == [
            (by_page.payment_id, by_page.checkout_id, "order-1"),
            (alone, alone, None),
            (foreign, foreign, None),
            (by_form.payment_id, by_form.checkout_id, "order-2"),
        ]


def test_only_captured_payments_are_listed(simulator, clock):
    for flow in ({}, FORM):
        gateway = bound(simulator, clock, **flow)
        for number, happening in enumerate(("decline", "authorise", "complete_later", "cancel_payment")):
            ref = created(gateway, key=f"{flow}{number}")
            getattr(simulator, happening)(ref.checkout_id)
        created(gateway, key=f"{flow}untouched")
    assert all_of(gateway.list_payments) == []


def test_what_was_refunded_or_disputed_since_is_listed_as_such(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.refund(ref.checkout_id, 5000)
    simulator.dispute(ref.checkout_id)
    (payment,) = all_of(gateway.list_payments)
    assert (payment.state, payment.refunded, payment.disputed) == ("captured", Money.of("50.00", "EUR"), True)


@FLOWS
def test_a_period_holds_its_first_second_and_not_its_last(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    refs = []
    for number in range(4):
        refs.append(paid(gateway, simulator, topup_id=f"order-{number}", key=f"key-{number}"))
        clock.advance(seconds=1)
    listed = all_of(gateway.list_payments, NOW + timedelta(seconds=1), NOW + timedelta(seconds=3))
    assert [payment.topup_id for payment in listed] == ["order-2", "order-1"]
    tick = timedelta(microseconds=1)
    later = all_of(gateway.list_payments, NOW + timedelta(seconds=1) + tick, NOW + timedelta(seconds=3) + tick)
    assert [payment.topup_id for payment in later] == ["order-3", "order-2"]


@FLOWS
def test_many_payments_come_in_pages(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    for number in range(107):
        paid(gateway, simulator, topup_id=f"order-{number}", key=f"key-{number}")
    simulator.requests.clear()
    listed = all_of(gateway.list_payments)
    assert [payment.topup_id for payment in listed] == [f"order-{number}" for number in reversed(range(107))]
    assert {request.query["limit"] for request in simulator.requests} == {"50"}


def test_a_mark_that_was_edited_away_loses_no_payment(gateway, simulator):
    ref = paid(gateway, simulator)

    def forget(content):
        for item in content["data"]:
            intent = item.get("payment_intent") or item
            intent["metadata"] = {}

    simulator.rewrite_next(forget)
    first = gateway.list_payments(NOW, NOW + HOUR)
    simulator.rewrite_next(forget)
    second = gateway.list_payments(NOW, NOW + HOUR, cursor=first.next)
    assert [payment.payment_id for payment in [*first.items, *second.items]] == [ref.payment_id]


def in_shells(page, *, ours):
    for intent in page["data"]:
        if ("topup_id" in intent["metadata"]) == ours:
            intent["currency"] = intent["latest_charge"]["currency"] = "shl"


def test_a_payment_of_others_that_cannot_be_read_is_left_out_and_one_of_ours_is_not(simulator, clock):
    gateway = bound(simulator, clock, **FORM)
    ref = paid(gateway, simulator)
    simulator.pay(foreign_intent(simulator))
    simulator.rewrite_next(lambda page: in_shells(page, ours=False))
    page = gateway.list_payments(NOW, NOW + HOUR, cursor="intents/")
    assert [payment.payment_id for payment in page.items] == [ref.payment_id]
    simulator.rewrite_next(lambda page: in_shells(page, ours=True))
    assert refused(gateway.list_payments, NOW, NOW + HOUR, cursor="intents/").code == "unusable-reply"


@pytest.mark.parametrize("metadata", [None, [], 7, "x"])
def test_a_payment_that_does_not_say_whose_it_is_must_be_readable(gateway, simulator, metadata):
    simulator.pay(foreign_intent(simulator))
    simulator.rewrite_next(lambda page: page["data"][0].update(metadata=metadata, currency="shl"))
    assert refused(gateway.list_payments, NOW, NOW + HOUR, cursor="intents/").code == "unusable-reply"


def test_a_session_without_a_payment_is_left_out(gateway, simulator):
    foreign_session(simulator)
    simulator.rewrite_next(lambda page: page["data"][0].update(mode="setup"))
    assert gateway.list_payments(NOW, NOW + HOUR).items == []


# Refunds and disputes


def test_refunds_of_a_period_are_listed_whoever_made_them(gateway, simulator, clock):
    ref = paid(gateway, simulator)
    ours = gateway.refund(a_refund(ref))
    clock.advance(minutes=1)
    simulator.refund(ref.checkout_id, 100)
    listed = all_of(gateway.list_refunds)
    assert listed == gateway.refunds_of(ref)
    assert listed[1] == ours
    assert all_of(gateway.list_refunds, NOW, NOW + timedelta(minutes=1)) == [ours]
    assert all_of(gateway.list_refunds, NOW - HOUR, NOW) == []


def test_many_refunds_and_disputes_come_in_pages(gateway, simulator):
    ref = paid(gateway, simulator)
    refunds = [simulator.refund(ref.checkout_id, 10) for _ in range(60)]
    disputes = [simulator.dispute(ref.checkout_id, amount=10) for _ in range(25)]
    assert [refund.gateway_refund_id for refund in all_of(gateway.list_refunds)] == refunds[::-1]
    assert [dispute.dispute_id for dispute in all_of(gateway.list_disputes)] == disputes[::-1]
    assert all_of(gateway.list_disputes) == gateway.disputes_of(ref)
    assert all_of(gateway.list_disputes, NOW + HOUR, NOW + 2 * HOUR) == []


def test_money_that_went_back_without_a_payment_of_ours_is_left_out(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.refund(ref.checkout_id, 10)
    simulator.dispute(ref.checkout_id)
    for method in (gateway.list_refunds, gateway.list_disputes):
        simulator.rewrite_next(lambda page: page["data"][0].update(payment_intent=None))
        assert method(NOW, NOW + HOUR).items == []


def test_a_refund_made_in_the_dashboard_is_ours_by_its_payment(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.refund(ref.checkout_id, 10)
    simulator.rewrite_next(lambda page: page["data"][0].update(status="lost"))
    assert refused(gateway.list_refunds, NOW, NOW + HOUR).code == "unusable-reply"
    simulator.rewrite_next(lambda page: page["data"][0].update(status="lost", payment_intent={"metadata": {}}))
    assert gateway.list_refunds(NOW, NOW + HOUR).items == []


# Cursors and replies


@pytest.mark.parametrize(
    "cursor", ["", "sessions", "intents/pi_", "refunds/re_1", "sessions/cs_1/x", "sessions/cs_ü", "elsewhere/", "/pi_1"]
)
def test_a_cursor_that_is_not_of_the_list_is_never_asked_with(gateway, simulator, cursor):
    assert refused(gateway.list_payments, NOW, NOW + HOUR, cursor=cursor).code == "unknown-cursor"
    assert simulator.requests == []


@pytest.mark.parametrize("method", ["list_payments", "list_refunds", "list_disputes"])
@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.update(object="checkout.session"),
        lambda page: page.pop("object"),
        lambda page: page.update(data={}),
        lambda page: page.update(data=None),
        lambda page: page.update(data=["an id instead"]),
        lambda page: page.pop("data"),
        lambda page: page.update(has_more=None),
        lambda page: page.update(has_more="false"),
        lambda page: page.update(data=[], has_more=True),
        lambda page: (page.update(has_more=True), page["data"][-1].update(id=7)),
        lambda page: page["data"][0].update(created=int(NOW.timestamp()) - 1),
        lambda page: page["data"][0].update(created=int((NOW + HOUR).timestamp())),
        lambda page: page["data"][0].update(created=None),
        lambda page: page["data"][0].update(created=10**12),
    ],
)
def test_a_page_that_is_none_is_unusable(gateway, simulator, method, change):
    ref = paid(gateway, simulator)
    simulator.refund(ref.checkout_id, 10)
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(change)
    error = refused(getattr(gateway, method), NOW, NOW + HOUR)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


@pytest.mark.parametrize("fault", ["drop", "500", "html", "429", "truncated"])
@pytest.mark.parametrize("method", ["list_payments", "list_refunds", "list_disputes"])
def test_a_fault_while_listing_can_be_tried_again(gateway, simulator, quick_retries, fault, method):
    paid(gateway, simulator)
    simulator.fault_next(fault, times=3 if fault in {"drop", "500", "html"} else 1)
    error = refused(getattr(gateway, method), NOW, NOW + HOUR)
    assert (error.retryable, error.outcome_unknown) == (True, False)
    assert len(all_of(gateway.list_payments)) == 1


def test_a_lie_about_a_listed_payment_is_reported_for_the_core_to_judge(gateway, simulator):
    paid(gateway, simulator)
    simulator.fault_next("wrong-amount")
    assert gateway.list_payments(NOW, NOW + HOUR).items[0].captured == Money.of("50.01", "EUR")
    simulator.fault_next("wrong-mode")
    assert gateway.list_payments(NOW, NOW + HOUR).items[0].mode == "live"
    simulator.fault_next("wrong-id")
    assert gateway.list_payments(NOW, NOW + HOUR).items[0].topup_id == TOPUP


def test_what_is_listed_is_told(gateway):
    able = gateway.capabilities()
    assert (able.lists_payments, able.lists_refunds, able.lists_disputes, able.list_delay_s) == (True, True, True, 0)
