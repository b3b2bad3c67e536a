"""Top-ups paid with Razorpay, through the whole library."""

from __future__ import annotations

import pytest

from prepaid import Address, Money, Prepaid, Seller
from prepaid.core.errors import GatewayUnavailable
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.razorpay_world import NOW, WEBHOOK_SECRET, configured, simulated

CREDIT = Money.of("500.00", "INR")


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
        seller=Seller(name="Nimbus", address=Address(city="Bengaluru", country="IN")),
        currencies=("INR",),
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


@pytest.fixture
def topup(ada):
    quote = ada.topups.quote(CREDIT)
    return ada.topups.start(quote, return_url="https://p.example/back", cancel_url="https://p.example/", key="1")


@pytest.fixture
def order_id(topup):
    return topup.checkout.widget["order_id"]


@pytest.fixture
def deliver(billing, simulator, clock):
    def webhook(event, about):
        headers, body = simulator.webhook(event, about, secret=WEBHOOK_SECRET, at=clock.now())
        return billing.webhooks.receive("razorpay", body=body, headers=headers)

    return webhook


def test_a_payment_told_by_two_events_and_the_browser_is_credited_once(deliver, ada, simulator, topup, order_id):
    payment_id = simulator.pay(order_id)
    assert deliver("payment.captured", payment_id).outcome == "credited"
    assert deliver("order.paid", order_id).outcome == "duplicate"
    assert ada.topups.confirm(topup.id).state == "credited"
    assert ada.balance().available == CREDIT


def test_a_failed_payment_leaves_the_topup_open_for_another(deliver, ada, simulator, topup, order_id):
    failed = simulator.fail(order_id)
    assert deliver("payment.failed", failed).outcome == "pending"
    assert ada.topups.get(topup.id).state == "pending"
    simulator.pay(order_id)
    assert ada.topups.confirm(topup.id).state == "credited"


def test_a_topup_that_was_given_up_is_credited_if_it_is_paid_after_all(deliver, ada, simulator, topup, order_id):
    assert ada.topups.cancel(topup.id).state == "canceled"
    payment_id = simulator.pay(order_id)
    assert deliver("payment.captured", payment_id).outcome == "credited"
    assert ada.balance().available == CREDIT


def test_a_topup_past_its_time_is_credited_if_it_is_paid_late(billing, deliver, ada, simulator, clock, topup, order_id):
    payment_id = simulator.attempt(order_id)
    clock.advance(minutes=11)
    simulator.time_out(payment_id)
    clock.advance(days=1)
    billing.run_due("topups")
    assert ada.topups.get(topup.id).state == "expired"
    clock.advance(days=1)
    simulator.answer_of_bank(payment_id)
    simulator.capture(payment_id)
    assert deliver("payment.captured", payment_id).outcome == "credited"


def test_a_payment_of_another_sum_waits_in_review(deliver, ada, simulator, topup, order_id):
    payment_id = simulator.pay(order_id, amount=51_180)
    assert deliver("payment.captured", payment_id).outcome == "review"
    assert ada.balance().available == Money.of("0.00", "INR")


def test_an_order_paid_for_another_topup_credits_nothing_here(ada, simulator, topup, order_id):
    quote = ada.topups.quote(Money.of("10.00", "INR"))
    cheap = ada.topups.start(quote, return_url="https://p.example/b", cancel_url="https://p.example/", key="2")
    simulator.pay(cheap.checkout.widget["order_id"])
    assert ada.topups.confirm(topup.id).state == "pending"
    assert ada.topups.confirm(cheap.id).state == "credited"
    assert ada.balance().available == Money.of("10.00", "INR")


def test_an_answer_lost_while_starting_is_found_again(ada, simulator, clock):
    quote = ada.topups.quote(CREDIT)
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next("accept-then-drop")
    with pytest.raises(GatewayUnavailable) as caught:
        ada.topups.start(quote, return_url="https://p.example/b", cancel_url="https://p.example/", key="3")
    clock.advance(days=2)
    assert ada.topups.confirm(caught.value.topup_id).state == "pending"
    assert len(simulator.all_of("order")) == 1


def test_another_sum_that_was_refused_and_then_captured_by_hand_waits_in_review(
    billing, deliver, ada, simulator, topup, order_id
):
    payment_id = simulator.authorise(order_id, amount=51_180)
    assert deliver("payment.authorized", payment_id).outcome == "mismatch"
    simulator.capture(payment_id)
    assert deliver("payment.captured", payment_id).outcome == "review"
    assert ada.topups.get(topup.id).state == "review"
    assert ada.balance().available == Money.of("0.00", "INR")
    assert billing.check().ok
