"""Whole lives of a payment at Stripe, over sockets, with the page and with a form, led by nothing but webhooks."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import attrs
import pytest

from prepaid.core.money import Money
from prepaid.ports import PaymentRef, RefundRef, ReturnHint
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import FORM, KEY, NOW, TOPUP, WHSEC, a_refund, bound, created

FIFTY = Money.of("50.00", "EUR")


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


class Host:
    """A host that believes nothing but what it reads again, and is told by webhooks when to."""

    def __init__(self, gateway, simulator, clock):
        self.gateway, self.simulator, self.clock = gateway, simulator, clock
        self.ref = created(gateway)
        self.heard = 0
        self.events = []

    def hear(self, **delivery):
        """Take all webhooks since the last time, and look at what they are about."""
        at = self.clock.now()
        webhooks = self.simulator.webhooks(secret=WHSEC, at=at, after=self.heard, **delivery)
        self.heard += len(webhooks) // delivery.get("copies", 1)
        told = [event for headers, body in webhooks for event in self.gateway.parse_webhook(headers, body)]
        self.events += told
        for event in told:
            assert event.mode == "test"
            assert event.topup_id in {TOPUP, None}
            assert self.ref.checkout_id == event.checkout_id or event.payment_id or event.topup_id
            if event.payment_id is not None:
                assert self.ref.payment_id in {event.payment_id, None}
        payment = self.gateway.fetch_payment(self.ref)
        self.ref = attrs.evolve(self.ref, payment_id=payment.payment_id)
        return payment

    def kinds(self):
        return Counter(event.kind for event in self.events)


@pytest.fixture(params=[{}, FORM], ids=["page", "form"])
def host(request, simulator, clock):
    return Host(bound(simulator, clock, **request.param), simulator, clock)


def test_a_payment_is_made_returned_from_heard_of_refunded_in_parts_and_disputed(host, simulator, clock):
    gateway = host.gateway
    assert host.hear().state == "open"
    simulator.pay(host.ref.checkout_id)
    assert (
        gateway.parse_return(host.ref, {"session_id": "cs_test_of_another", "redirect_status": "failed"})
        == ReturnHint()
    )
    payment = host.hear()
    assert (payment.state, payment.captured, payment.topup_id) == ("captured", FIFTY, TOPUP)
    assert host.kinds()["payment"] >= 1

    clock.advance(days=1)
    first = gateway.refund(a_refund(host.ref))
    second = gateway.refund(a_refund(host.ref, refund_id="ref_2", key="refund-key-2", amount=Money.of("5.00", "EUR")))
    assert host.hear().refunded == Money.of("25.00", "EUR")
    simulator.settle_refund(second.gateway_refund_id, "failed", reason="declined")
    assert host.hear().refunded == Money.of("20.00", "EUR")
    assert host.kinds()["refund"] == 6
    looked_up = gateway.fetch_refund(RefundRef(payment=host.ref, refund_id="ref_2"))
    assert (looked_up.state, looked_up.failure) == ("failed", "declined")

    clock.advance(days=10)
    dispute_id = simulator.dispute(host.ref.checkout_id, amount=3000)
    assert host.hear().disputed
    (dispute,) = gateway.disputes_of(host.ref)
    assert (dispute.dispute_id, dispute.state, dispute.amount) == (dispute_id, "open", Money.of("30.00", "EUR"))
    simulator.advance_dispute(dispute_id, "under_review")
    simulator.advance_dispute(dispute_id, "won")
    host.hear()
    assert [dispute.state for dispute in gateway.disputes_of(host.ref)] == ["won"]
    again = simulator.dispute(host.ref.checkout_id, amount=3000)
    simulator.advance_dispute(again, "lost")
    host.hear()
    assert [dispute.state for dispute in gateway.disputes_of(host.ref)] == ["lost", "won"]
    assert host.kinds() == {"payment": host.kinds()["payment"], "refund": 6, "dispute": 8}

    until = clock.now() + timedelta(seconds=1)
    payments, cursor = [], None
    while True:
        page = gateway.list_payments(NOW, until, cursor=cursor)
        payments, cursor = [*payments, *page.items], page.next
        if cursor is None:
            break
    assert payments == [gateway.fetch_payment(host.ref)]
    assert gateway.list_refunds(NOW, until).items == [looked_up, first]
    assert gateway.list_disputes(NOW, until).items == gateway.disputes_of(host.ref)


def test_a_debit_takes_days_and_is_heard_of_when_it_came_in(host, simulator, clock):
    simulator.complete_later(host.ref.checkout_id)
    assert host.hear().state == "processing"
    clock.advance(days=4)
    simulator.succeed(host.ref.checkout_id)
    assert host.hear().captured == FIFTY


def test_a_debit_that_came_back_is_heard_of(host, simulator, clock):
    simulator.complete_later(host.ref.checkout_id)
    clock.advance(days=4)
    simulator.fail(host.ref.checkout_id)
    is_page = host.gateway.flow == "checkout"
    assert host.hear().state == ("failed" if is_page else "open")
    assert ("checkout.session.async_payment_failed" in {event.type for event in host.events}) == is_page


def test_an_inquiry_that_becomes_a_dispute_and_is_lost_is_followed(host, simulator):
    simulator.pay(host.ref.checkout_id)
    host.hear()
    dispute_id = simulator.dispute(host.ref.checkout_id, status="warning_needs_response")
    states = [host.gateway.disputes_of(host.ref)[0].state]
    for status in ("needs_response", "lost"):
        simulator.advance_dispute(dispute_id, status)
        states.append(host.gateway.disputes_of(host.ref)[0].state)
    assert states == ["inquiry", "open", "lost"]
    host.hear()
    assert [event.type for event in host.events if event.kind == "dispute"] == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


def test_webhooks_that_come_twice_in_the_wrong_order_and_late_tell_the_same(host, simulator, clock):
    simulator.pay(host.ref.checkout_id)
    simulator.refund(host.ref.checkout_id, 1000)
    simulator.dispute(host.ref.checkout_id)
    clock.advance(days=3)
    assert host.hear(copies=2, newest_first=True).refunded == Money.of("10.00", "EUR")
    assert host.events[0].type == "charge.dispute.funds_withdrawn"
    ids = [event.event_id for event in host.events]
    assert len(ids) == 2 * len(set(ids))
    assert set(Counter(ids).values()) == {2}


def test_a_checkout_nobody_used_is_closed(host, simulator):
    closed = host.gateway.cancel(host.ref)
    assert closed.state in {"expired", "canceled"}
    assert host.hear() == closed
    assert [event.kind for event in host.events] == ["payment"]
    with pytest.raises(ValueError, match=closed.state):
        simulator.pay(host.ref.checkout_id)


def test_reserved_money_is_heard_of_and_taken(host, simulator):
    simulator.authorise(host.ref.checkout_id)
    payment = host.hear()
    assert (payment.state, payment.authorised, payment.captured) == ("authorised", FIFTY, None)
    assert host.gateway.capture(host.ref, FIFTY, key="capture-key").captured == FIFTY
    assert host.hear().authorised is None
    assert host.events[-1].type == "payment_intent.succeeded"


def test_a_restricted_key_works_like_a_secret_one(clock):
    with StripeSimulator(secret_key="rk_test_limited", clock=clock) as simulator:
        gateway = bound(simulator, clock, secret_key="rk_test_limited")
        assert gateway.check_credentials().ok
        ref = PaymentRef(topup_id=TOPUP, checkout_id=created(gateway).checkout_id)
        simulator.pay(ref.checkout_id)
        assert gateway.fetch_payment(ref).captured == FIFTY
