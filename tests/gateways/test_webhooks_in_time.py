"""A webhook is answered in time while the real adapters wait for a provider that says nothing; a job does the work."""

from __future__ import annotations

import threading
import time
from random import Random

import pytest

from prepaid import Money, Prepaid
from prepaid.system import IN_TIME
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.campaign_providers import PayPal, Razorpay, Stripe, StripeForm
from tests.use_cases.steps import ADA, BACK, BILLING, seller

PROMISED_S = 3


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def gate():
    """Give what a provider waits for before it says a word."""
    gate = threading.Event()
    yield gate
    _open(gate)


def _open(gate):
    gate.set()
    for thread in threading.enumerate():
        if thread.name == IN_TIME:
            thread.join(10)


@pytest.fixture
def provider(request, clock):
    provider = request.param(clock, Random(1))
    yield provider
    provider.close()


@pytest.fixture
def billing(provider, clock, tmp_path):
    billing = Prepaid(
        database=f"sqlite:///{tmp_path}/billing.db",
        mode="test",
        seller=seller(),
        currencies=(provider.currency,),
        gateways=[provider.gateway(timeout_s=20)],
        clock=clock,
        load_plugins=False,
        webhook_budget_s=1,
    )
    billing.upgrade_database()
    billing.customers.register(ADA, currency=provider.currency)
    yield billing
    billing.close()


@pytest.fixture
def topup(billing, provider):
    """Give a top-up that was paid, of which nobody knows here."""
    door = billing.customer(ADA)
    quote = door.topups.quote(Money.of("50", provider.currency))
    topup = door.topups.start(quote, return_url=BACK, cancel_url=BILLING, key="k")
    [(checkout_id, _)] = provider.checkouts()
    provider.news()
    provider.pay(checkout_id)
    return topup


@pytest.fixture
def receive(billing, provider, topup):
    """Give a function that delivers the same webhook each time, and says how long the answer took."""
    *_, message = provider.news()

    def received():
        headers, body = message()
        began = time.monotonic()
        result = billing.webhooks.receive(provider.name, body=body, headers=headers)
        return result, time.monotonic() - began

    return received


def silent(gate):
    return Fault(spoil=lambda answer: answer if gate.wait(30) else None)


ALL = pytest.mark.parametrize("provider", [Stripe, StripeForm, Razorpay, PayPal], indirect=True)


@ALL
def test_it_is_answered_in_time_and_the_job_credits_once(provider, billing, topup, receive, gate, clock):
    if provider.name == "paypal":
        provider.simulator.rewrite_next(lambda content: None)  # that it is genuine is still said
    provider.simulator.fault_next(silent(gate))

    result, took_s = receive()

    assert took_s < PROMISED_S
    assert (result.status, result.outcome) == (200, "recorded")
    ada = billing.customer(ADA)
    assert ada.topups.get(topup.id).state == "pending"
    clock.advance(minutes=2)
    billing.run_due(only="webhooks")
    assert ada.topups.get(topup.id).state == "credited"

    _open(gate)  # and what was still under way finds it done

    assert ada.balance().settled == Money.of("50", provider.currency)
    assert receive()[0].outcome == "duplicate"
    assert billing.check().ok


@pytest.mark.parametrize("provider", [PayPal], indirect=True)
def test_one_that_cannot_even_be_verified_in_time_is_sent_again(provider, billing, topup, receive, gate):
    provider.simulator.fault_next(silent(gate))

    result, took_s = receive()

    assert took_s < PROMISED_S
    assert (result.status, result.outcome) == (503, "unavailable")
    assert receive()[0].outcome == "credited"
    _open(gate)
    assert billing.check().ok
