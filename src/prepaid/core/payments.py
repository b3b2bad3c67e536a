"""A payment, as it is asked of a gateway and as the gateway reports it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .money import Money

Mode = Literal["test", "live"]

PaymentState = Literal["open", "processing", "authorised", "captured", "failed", "expired", "canceled"]
"""How far a payment is at the gateway; only ``captured`` is money."""


@frozen(kw_only=True)
class CheckoutRequest:
    """A payment to prepare at a gateway.

    Attributes:
        topup_id: Our reference, to be echoed by the gateway (at most 40 characters).
        amount: What to collect, in whole minor units.
        description: What the customer reads on the payment page.
        return_url: Where the browser goes after paying.
        cancel_url: Where the browser goes when the customer gives up.
        customer_id: The host's customer id.
        customer_email: To prefill, or empty.
        locale: Language of the page.
        expires_at: When the checkout should lapse.
        key: Idempotency key: the same request may be sent again with it.
    """

    topup_id: str
    amount: Money
    description: str
    return_url: str
    cancel_url: str
    customer_id: str
    customer_email: str = field(default="", repr=False)
    locale: str = "en"
    expires_at: datetime
    key: str


@frozen(kw_only=True)
class Checkout:
    """A prepared payment.

    Attributes:
        checkout_id: The gateway's id of it; stored, and compared ever after.
        redirect_url: Where to send the browser, or None.
        widget: Public parameters of an embedded form, or None.
    """

    checkout_id: str
    redirect_url: str | None = None
    widget: Mapping[str, Any] | None = None


@frozen(kw_only=True)
class PaymentRef:
    """Which payment to look up: what we stored when the checkout was made."""

    topup_id: str
    checkout_id: str


@frozen(kw_only=True)
class PaymentSnapshot:
    """A payment as the gateway itself reports it now: the only source of facts.

    Attributes:
        checkout_id: The gateway's id of the checkout.
        payment_id: The gateway's id of the money, once there is one.
        topup_id: Our reference as the gateway echoes it, or None.
        state: How far it is.
        captured: What was captured, or None before.
        mode: The mode the gateway reports, or None if it does not.
        account: Merchant account the money went to, or None if not shown.
        method: Payment method in the gateway's word, or empty.
        failure: Why it failed, in the gateway's word, or empty.
        fee: What the gateway keeps, in its own currency, or None.
        refunded: What was already refunded, or None.
        disputed: A dispute is open.
    """

    checkout_id: str
    payment_id: str | None = None
    topup_id: str | None = None
    state: PaymentState
    captured: Money | None = None
    mode: Mode | None = None
    account: str | None = None
    method: str = ""
    failure: str = ""
    fee: Money | None = None
    refunded: Money | None = None
    disputed: bool = False
