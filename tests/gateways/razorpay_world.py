"""What the tests of the Razorpay adapter share: a configuration, requests, and the simulator they are sent to."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.ids import make_id
from prepaid.core.money import Money
from prepaid.gateways import RazorpayGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRequest
from prepaid.testing.clock import START as NOW
from prepaid.testing.simulators.razorpay import RazorpaySimulator

TOPUP = make_id("top", NOW, b"0123456789")
KEY_ID = "rzp_test_NotARealKeyId"
KEY_SECRET = "NotARealKeySecret"
WEBHOOK_SECRET = "NotARealWebhookSecret"
EMAIL = "ada@example.com"


def configured(**changes):
    settings = {"key_id": KEY_ID, "key_secret": KEY_SECRET, "webhook_secrets": (WEBHOOK_SECRET,), "brand": "Nimbus"}
    return RazorpayGateway(**{**settings, **changes})


def simulated(clock, **changes):
    return RazorpaySimulator(key_id=KEY_ID, key_secret=KEY_SECRET, clock=clock, **changes)


def bound(simulator, clock, **changes):
    return configured(api_base=simulator.url, **changes).bind("test", clock)


def a_request(**changes):
    return CheckoutRequest(
        **{
            "topup_id": TOPUP,
            "amount": Money.of("500.00", "INR"),
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
    ref = created(gateway, **changes)
    return attrs.evolve(ref, payment_id=simulator.pay(ref.checkout_id))


def a_refund(ref, amount="100.00", **changes):
    return RefundRequest(
        **{
            "refund_id": "ref_1",
            "payment": ref,
            "amount": Money.of(amount, "INR"),
            "key": "prepaid:ref_1:refund",
            "reason": "as agreed",
            **changes,
        }
    )


def refused(call, *args, **options):
    with pytest.raises(GatewayError) as caught:
        call(*args, **options)
    return caught.value


def sent(simulator, method):
    return [request for request in simulator.requests if request.method == method]


def posted(simulator):
    return sent(simulator, "POST")
