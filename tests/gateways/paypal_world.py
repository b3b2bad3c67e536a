"""What the tests of the PayPal adapter share: a configuration, a request, and the simulator it is sent to."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.ids import make_id
from prepaid.core.money import Money
from prepaid.gateways import PayPalGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRequest
from prepaid.testing.clock import START as NOW
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.paypal import MERCHANT_ID, PayPalSimulator

TOPUP = make_id("top", NOW, b"0123456789")
REFUND = make_id("ref", NOW, b"0123456789")
CLIENT_ID = "AClientIdButSecretEnough"
CLIENT_SECRET = "EClientSecretNotARealOne"
WEBHOOK_ID = "8PT597110X687430LKGECATA"
EMAIL = "ada@example.com"
TEN = Money.of("10.00", "EUR")

__all__ = ["MERCHANT_ID", "NOW"]


def simulated(clock):
    return PayPalSimulator(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, webhook_id=WEBHOOK_ID, clock=clock)


def configured(**changes):
    return PayPalGateway(
        **{
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "webhook_id": WEBHOOK_ID,
            "merchant_id": MERCHANT_ID,
            **changes,
        }
    )


def bound(simulator, clock, **changes):
    return configured(api_base=simulator.url, **changes).bind("test", clock)


def a_request(**changes):
    return CheckoutRequest(
        **{
            "topup_id": TOPUP,
            "amount": TEN,
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
    """Give the reference of an order that was approved and captured, with the id of its money."""
    ref = created(gateway, **changes)
    simulator.approve(ref.checkout_id)
    amount = changes.get("amount", TEN)
    snapshot = gateway.capture(ref, amount, key=f"capture:{ref.topup_id}")
    return attrs.evolve(ref, payment_id=snapshot.payment_id)


def a_refund(ref, amount="4.00", **changes):
    return RefundRequest(
        **{
            "refund_id": REFUND,
            "payment": ref,
            "amount": Money.of(amount, "EUR"),
            "key": f"prepaid:{REFUND}:refund",
            "reason": "As agreed",
            **changes,
        }
    )


def refused(call, *args, **kwargs):
    with pytest.raises(GatewayError) as caught:
        call(*args, **kwargs)
    return caught.value


def answering(status, body, **headers):
    """Make a fault that answers with something else, and carries nothing out."""
    return Fault(spoil=lambda answer: attrs.evolve(answer, status=status, body=body, headers=headers), executed=False)


def sent(simulator, path=None):
    """Give the requests but those for tokens."""
    requests = [request for request in simulator.requests if request.path != "/v1/oauth2/token"]
    return [request for request in requests if path is None or request.path == path]


def tokens_asked(simulator):
    return sum(request.path == "/v1/oauth2/token" for request in simulator.requests)
