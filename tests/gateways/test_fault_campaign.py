"""Top-ups by gateways that misbehave at 30 % of all requests: what was captured is credited once, or waits, or is back.

The whole count (``-m full``) makes at least 1000 calls of each gateway.
"""

from __future__ import annotations

import itertools
import tempfile
from functools import partial
from pathlib import Path

import attrs
import pytest

from prepaid import GatewayError, repayment
from prepaid.gateways import StripeGateway
from prepaid.ports import PaymentSnapshot
from prepaid.settlement import settling
from tests.gateways.campaign import RATE, campaign
from tests.gateways.campaign_providers import PayPal, Razorpay, Stripe, StripeForm
from tests.gateways.campaign_simulated import Simulated
from tests.gateways.drivers import MEMORY
from tests.gateways.stripe_world import KEY, WHSEC, shorten_waits

PROVIDERS = {"stripe": Stripe, "stripe-form": StripeForm, "razorpay": Razorpay, "paypal": PayPal}
EACH = pytest.mark.parametrize("name", [*PROVIDERS, "simulated"])
SLICE, WHOLE = 60, 1000


@pytest.fixture
def folder(tmp_path):
    """Give a folder in memory: how soon a disk writes is no question here."""
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else tmp_path) as made:
        yield Path(made)


@pytest.fixture
def lead(folder, monkeypatch):
    """Give a function that leads a campaign at a gateway."""
    shorten_waits(monkeypatch)

    def led(name, **how):
        kind = partial(Simulated, folder=folder) if name == "simulated" else PROVIDERS[name]
        return campaign(kind, folder, **how)

    return led


@EACH
def test_a_slice_of_a_campaign_leaves_nothing_wrong(name, lead):
    figures = lead(name, seed=1, calls=SLICE)
    assert figures.captured
    assert figures.faults > figures.calls * RATE / 2


@EACH
def test_a_gateway_that_tells_wrong_sums_never_makes_them_credit(name, lead):
    assert "wrong-amount" in lead(name, seed=1, calls=SLICE, lies=True).kinds


@pytest.mark.full
@EACH
@pytest.mark.parametrize("lies", [False, True], ids=["honest", "lying"])
def test_the_whole_count_leaves_nothing_wrong(name, lies, lead):
    figures = lead(name, seed=20261129, calls=WHOLE, lies=lies)
    print(name, figures)
    assert figures.calls >= WHOLE
    assert figures.faults > figures.calls * RATE * 0.8


# A campaign is worth something if it finds what it looks for.


def test_it_finds_that_each_attempt_has_a_key_of_its_own(lead):
    attempts = itertools.count()

    @attrs.frozen(kw_only=True)
    class NewKeys(StripeGateway):
        def create_checkout(self, request):
            return super().create_checkout(attrs.evolve(request, key=f"{request.key}:{next(attempts)}"))

    def gateway(provider):
        return NewKeys(secret_key=KEY, webhook_secrets=(WHSEC,), api_base=provider.simulator.url, timeout_s=1)

    with pytest.raises(AssertionError, match="more than one checkout"):
        lead("stripe", seed=1, calls=SLICE, gateway=gateway)


def test_it_finds_that_a_payment_is_settled_without_looking_it_up(lead, monkeypatch):
    asked = settling._ask

    def believing(context, gateway, stored, *, close):
        try:
            return asked(context, gateway, stored, close=close)
        except GatewayError:
            return PaymentSnapshot(
                checkout_id=stored.checkout_id,
                topup_id=stored.topup.id,
                payment_id=f"pay_{stored.topup.id}",
                state="captured",
                captured=stored.topup.total,
            )

    monkeypatch.setattr(settling, "_ask", believing)
    monkeypatch.setattr("tests.gateways.campaign.MOST_LOOKS", 9)  # nobody ever finds what never was
    with pytest.raises(AssertionError, match="not what was settled"):
        lead("simulated", seed=1, calls=SLICE)


def test_it_finds_that_a_refund_of_unknown_outcome_is_taken_for_failed(lead, monkeypatch):
    sent = repayment._send

    def hasty(context, gateway, stored, payment):
        try:
            return sent(context, gateway, stored, payment)
        except GatewayError:
            repayment._lose(context, stored.refund, "failed", failure="no-answer")

    monkeypatch.setattr(repayment, "_send", hasty)
    with pytest.raises(AssertionError, match="went back although it had failed"):
        lead("simulated", seed=8, calls=2 * SLICE)
