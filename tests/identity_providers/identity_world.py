"""What the tests of identity providers share: configurations, a request, and how a refusal is caught."""

from __future__ import annotations

import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.ids import make_id
from prepaid.identity_ports import IdentityRequest
from prepaid.identity_providers import StripeIdentity
from prepaid.testing.clock import START as NOW

CASE = make_id("idc", NOW, b"0123456789")
CUSTOMER = "user-42"
KEY = "sk_test_51NotARealKeyButSecret"
WHSEC = "whsec_NotARealSecretEither"
EMAIL = "ada@example.com"
BACK = f"https://panel.example/verified?case={CASE}"


def configured(**changes):
    return StripeIdentity(**{"secret_key": KEY, "webhook_secrets": (WHSEC,), **changes})


def bound(simulator, clock, **changes):
    return configured(api_base=simulator.url, **changes).bind("test", clock)


def a_request(**changes):
    return IdentityRequest(
        **{
            "case_id": CASE,
            "customer_id": CUSTOMER,
            "email": EMAIL,
            "locale": "de",
            "return_url": BACK,
            "key": f"prepaid:{CASE}:verification",
            **changes,
        }
    )


def begun(provider, **changes):
    """Begin a verification and give its reference."""
    return provider.begin(a_request(**changes)).reference


def refused(call, *args, **options):
    with pytest.raises(GatewayError) as caught:
        call(*args, **options)
    return caught.value
