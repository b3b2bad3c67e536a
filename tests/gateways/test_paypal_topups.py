"""Top-ups paid with PayPal, through the whole library."""

from __future__ import annotations

import pytest

from prepaid import Address, Money, Prepaid, Seller
from prepaid.core.errors import GatewayUnavailable
from prepaid.testing.clock import MovableClock
from tests.gateways.paypal_world import NOW, configured, simulated

CREDIT = Money.of("50.00", "EUR")


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


@pytest.fixture
def billing(tmp_path, simulator, clock):
    system = Prepaid(
        database=f"sqlite:///{tmp_path}/billing.db",
        mode="test",
        seller=Seller(name="Nimbus", address=Address(city="Berlin", country="DE")),
        gateways=[configured(api_base=simulator.url)],
        clock=clock,
        webhook_budget_s=60,
    )
    system.upgrade_database()
    system.customers.register("user-42", email="ada@example.com", name="Ada")
    yield system
    system.close()


@pytest.fixture
def ada(billing):
    return billing.customer("user-42")


def start(ada):
    quote = ada.topups.quote(CREDIT)
    return ada.topups.start(quote, return_url="https://p.example/back", cancel_url="https://p.example/", key="1")


@pytest.fixture
def topup(ada):
    return start(ada)


@pytest.fixture
def order_id(topup):
    return topup.checkout.redirect_url.partition("token=")[2]


@pytest.fixture
def deliver(billing, simulator):
    def webhook(event_type, about):
        headers, body = simulator.webhook(event_type, about)
        return billing.webhooks.receive("paypal", body=body, headers=headers)

    return webhook


def test_a_payment_told_by_two_events_and_the_browser_is_credited_once(deliver, ada, simulator, topup, order_id):
    simulator.pay(order_id)
    assert deliver("CHECKOUT.ORDER.COMPLETED", order_id).outcome == "credited"
    assert deliver("PAYMENT.CAPTURE.COMPLETED", order_id).outcome == "duplicate"
    assert ada.topups.confirm(topup.id).state == "credited"
    assert ada.balance().available == CREDIT


def test_money_that_is_pending_is_credited_when_it_is_there(deliver, ada, simulator, topup, order_id):
    simulator.pend_next_capture(order_id, "ECHECK")
    simulator.pay(order_id)
    assert deliver("PAYMENT.CAPTURE.PENDING", order_id).outcome == "pending"
    assert ada.topups.get(topup.id).state == "processing"
    simulator.complete(order_id)
    assert deliver("PAYMENT.CAPTURE.COMPLETED", order_id).outcome == "credited"
    assert ada.balance().available == CREDIT


def test_money_that_never_comes_is_not_credited(deliver, ada, simulator, topup, order_id):
    simulator.pend_next_capture(order_id)
    simulator.pay(order_id)
    simulator.deny(order_id)
    deliver("PAYMENT.CAPTURE.DENIED", order_id)
    assert ada.topups.get(topup.id).state == "failed"
    assert not ada.balance().available


def test_a_payment_to_another_account_is_not_credited(deliver, ada, simulator, topup, order_id):
    simulator.pay(order_id)
    simulator.rewrite_next(lambda content: None)  # the verification of the webhook
    simulator.fault_next("wrong-merchant")
    assert deliver("CHECKOUT.ORDER.COMPLETED", order_id).outcome == "mismatch"
    assert not ada.balance().available


def test_another_amount_than_was_started_waits_for_an_operator(deliver, ada, simulator, topup, order_id):
    simulator.pay(order_id)
    simulator.rewrite_next(lambda content: None)
    simulator.fault_next("wrong-amount")
    assert deliver("CHECKOUT.ORDER.COMPLETED", order_id).outcome == "review"
    assert not ada.balance().available


def test_an_order_nobody_approved_expires(ada, simulator, topup, order_id):
    simulator.vanish(order_id)
    assert ada.topups.confirm(topup.id).state == "expired"


def test_a_webhook_that_cannot_be_verified_now_comes_again(deliver, billing, ada, simulator, topup, order_id):
    simulator.pay(order_id)
    headers, body = simulator.webhook("CHECKOUT.ORDER.COMPLETED", order_id)
    simulator.fault_next("500")
    assert billing.webhooks.receive("paypal", body=body, headers=headers).status >= 500
    assert billing.webhooks.receive("paypal", body=body, headers=headers).outcome == "credited"


def test_a_webhook_that_paypal_did_not_send_is_refused(billing, simulator, topup, order_id):
    headers, body = simulator.webhook("CHECKOUT.ORDER.COMPLETED", order_id)
    assert billing.webhooks.receive("paypal", body=body.replace(b"WH-", b"XH-"), headers=headers).status == 400
    assert billing.webhooks.receive("paypal", body=body, headers={}).status == 400


def test_a_start_whose_answer_was_lost_is_resumed_with_the_same_order(ada, simulator):
    simulator.fault_next("accept-then-drop")
    with pytest.raises(GatewayUnavailable):
        start(ada)
    resumed = start(ada)
    assert [order["id"] for order in simulator.orders()] == [resumed.checkout.redirect_url.partition("token=")[2]]
