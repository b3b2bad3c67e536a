"""Payments, refunds and disputes, as they are asked of a gateway and as the gateway reports them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .money import Money

Mode = Literal["test", "live"]

PaymentState = Literal["open", "processing", "authorised", "captured", "failed", "expired", "canceled"]
"""How far a payment is at the gateway; only ``captured`` is money."""

EventKind = Literal["payment", "refund", "dispute", "ignored"]
"""What a webhook wakes: a settlement, a look at refunds, a look at disputes, nothing."""

RefundState = Literal["pending", "succeeded", "failed", "canceled"]
"""How far a refund is at the gateway; one that succeeded may still fail later."""

DisputeState = Literal["inquiry", "open", "won", "lost"]
"""How far a dispute is at the gateway; an ``inquiry`` has taken no money."""


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
        instructions: What the customer has to do elsewhere, as label and
            text, or None.
    """

    checkout_id: str
    redirect_url: str | None = None
    widget: Mapping[str, Any] | None = field(default=None, repr=False)  # may hold what only the customer may see
    instructions: Mapping[str, str] | None = None


@frozen(kw_only=True)
class PaymentRef:
    """Which payment to look up: what we stored of it.

    Attributes:
        topup_id: Our reference.
        checkout_id: The gateway's id of the checkout.
        payment_id: The gateway's id of the money, once it is known here.
    """

    topup_id: str
    checkout_id: str
    payment_id: str | None = None


@frozen(kw_only=True)
class ReturnHint:
    """What the parameters of a return page say; nothing in it is trusted as a fact.

    Attributes:
        genuine: True if the gateway signed them, False if they claim so and it
            did not, None if there is nothing to verify.
        payment_id: The gateway's id of the money, if it is told.
    """

    genuine: bool | None = None
    payment_id: str | None = None


@frozen(kw_only=True)
class PaymentSnapshot:
    """A payment as the gateway itself reports it now: the only source of facts.

    Attributes:
        checkout_id: The gateway's id of the checkout.
        payment_id: The gateway's id of the money, once there is one.
        topup_id: Our reference as the gateway echoes it, or None.
        state: How far it is.
        authorised: What waits to be captured by us, while it is ``authorised``.
        captured: What was captured, or None before.
        mode: The mode the gateway reports, or None if it does not.
        account: Merchant account the money went to, or None if not shown.
        method: Payment method in the gateway's word, or empty.
        failure: Why it failed, in the gateway's word, or empty.
        fee: What the gateway keeps, in its own currency, or None.
        fee_follows: It keeps something and will say how much later: a job looks again, for about a week.
        refunded: What was already refunded, or None.
        disputed: There is, or was, a dispute; False too where a payment does
            not tell, and only webhooks and the disputes themselves do.
        created_at: When the gateway made it, or None if it does not say.
        further: Other captured payments of the same checkout, if the gateway
            lets one be paid twice; they have none in turn.
    """

    checkout_id: str
    payment_id: str | None = None
    topup_id: str | None = None
    state: PaymentState
    authorised: Money | None = None
    captured: Money | None = None
    mode: Mode | None = None
    account: str | None = None
    method: str = ""
    failure: str = ""
    fee: Money | None = None
    fee_follows: bool = False
    refunded: Money | None = None
    disputed: bool = False
    created_at: datetime | None = None
    further: tuple[PaymentSnapshot, ...] = ()

    @property
    def is_alone(self) -> bool:
        """Nothing stands beside it: no other payment, nothing refunded, no dispute."""
        return not (self.further or self.refunded or self.disputed)

    @property
    def is_final(self) -> bool:
        """There is nothing more to come: nothing stands beside it, and no fee follows."""
        return self.is_alone and not self.fees_follow

    @property
    def fees_follow(self) -> bool:
        """The fee of it, or of another payment of its checkout, follows."""
        return any(payment.fee_follows for payment in (self, *self.further))


@frozen(kw_only=True)
class RefundRequest:
    """Money to give back at a gateway.

    Attributes:
        refund_id: Our reference, to be echoed by the gateway (at most 40 characters).
        payment: The payment that it comes from, with its ``payment_id``.
        amount: What to give back, in whole minor units of the payment's currency.
        key: Idempotency key: the same request may be sent again with it.
        reason: A line for the customer, or empty.
    """

    refund_id: str
    payment: PaymentRef
    amount: Money
    key: str
    reason: str = field(default="", repr=False)  # an operator's words, which may be about the customer


@frozen(kw_only=True)
class RefundRef:
    """Which refund to look up.

    Attributes:
        payment: The payment that it comes from, with its ``payment_id``.
        refund_id: Our reference.
        gateway_refund_id: The gateway's id of it, once known here.
    """

    payment: PaymentRef
    refund_id: str
    gateway_refund_id: str | None = None


@frozen(kw_only=True)
class RefundSnapshot:
    """A refund as the gateway itself reports it now.

    Attributes:
        gateway_refund_id: The gateway's id of it.
        payment_id: The gateway's id of the payment that it comes from.
        refund_id: Our reference as echoed; None if it was not made by us.
        amount: What is given back.
        state: How far it is.
        failure: Why it failed, in the gateway's word, or empty.
        mode: The mode the gateway reports, or None if it does not.
        created_at: When the gateway made it, or None if it does not say.
    """

    gateway_refund_id: str
    payment_id: str
    refund_id: str | None = None
    amount: Money
    state: RefundState
    failure: str = ""
    mode: Mode | None = None
    created_at: datetime | None = None


@frozen(kw_only=True)
class DisputeSnapshot:
    """A dispute as the gateway itself reports it now.

    Attributes:
        dispute_id: The gateway's id of it.
        payment_id: The gateway's id of the payment that is disputed.
        amount: What is disputed.
        state: How far it is.
        reason: Why, in the gateway's word, or empty.
        fee: What the gateway keeps for it so far, in its own currency; None if it
            does not say.
        mode: The mode the gateway reports, or None if it does not.
        created_at: When it was opened, or None if the gateway does not say.
    """

    dispute_id: str
    payment_id: str
    amount: Money
    state: DisputeState
    reason: str = ""
    fee: Money | None = None
    mode: Mode | None = None
    created_at: datetime | None = None
