"""What the tests of the Stripe adapter share: a configuration, a request, and the simulator it is sent to."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
import stripe

from prepaid.core.errors import GatewayError
from prepaid.core.ids import make_id
from prepaid.core.money import Money
from prepaid.gateways import StripeGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRequest
from prepaid.testing.clock import START as NOW

TOPUP = make_id("top", NOW, b"0123456789")
KEY = "sk_test_51NotARealKeyButSecret"
WHSEC = "whsec_NotARealSecretEither"
EMAIL = "ada@example.com"
PK = "pk_test_51NotASecretAtAll"
FORM = {"flow": "payment_intent", "publishable_key": PK}
FLOWS = pytest.mark.parametrize("flow", [{}, FORM], ids=["page", "form"])
"""Runs a test with Stripe's page, and with a form on ours."""


def configured(**changes):
    return StripeGateway(**{"secret_key": KEY, "webhook_secrets": (WHSEC,), **changes})


def bound(simulator, clock, **changes):
    return configured(api_base=simulator.url, **changes).bind("test", clock)


def a_request(**changes):
    return CheckoutRequest(
        **{
            "topup_id": TOPUP,
            "amount": Money.of("50.00", "EUR"),
            "description": "Credit for Nimbus",
            "return_url": f"https://panel.example/back?topup={TOPUP}",
            "cancel_url": f"https://panel.example/billing?topup={TOPUP}",
            "customer_id": "user-42",
            "customer_email": EMAIL,
            "expires_at": NOW + timedelta(hours=1),
            "key": f"prepaid:{TOPUP}:checkout",
            **changes,
        }
    )


def created(gateway, **changes):
    request = a_request(**changes)
    checkout = gateway.create_checkout(request)
    return PaymentRef(topup_id=request.topup_id, checkout_id=checkout.checkout_id)


def paid(gateway, simulator, **changes):
    """Create a checkout and pay it; its reference knows the payment."""
    ref = created(gateway, **changes)
    return attrs.evolve(ref, payment_id=simulator.pay(ref.checkout_id))


def a_refund(ref, **changes):
    return RefundRequest(
        **{"refund_id": "ref_1", "payment": ref, "amount": Money.of("20.00", "EUR"), "key": "refund-key-1", **changes}
    )


def refused(call, *args, **options):
    with pytest.raises(GatewayError) as caught:
        call(*args, **options)
    return caught.value


def shorten_waits(monkeypatch):
    """Let the SDK's waits between attempts be short; that it retries is untouched."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.01)
