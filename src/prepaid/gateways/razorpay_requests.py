"""What is asked of Razorpay, and whether the answer is about that: dicts in and out, no network.

A request's content follows from the top-up or the refund alone, so that the same
request is the same bytes whenever it is sent again.

Sources: https://razorpay.com/docs/api/orders/create/ (receipt of at most 40
characters, notes of at most 256); https://razorpay.com/docs/api/refunds/normal-refunds-idempotent/
(form of the key, same content under one key);
https://razorpay.com/docs/payments/payment-gateway/web-integration/standard/integration-steps/
(options of Checkout).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from ..core.errors import GatewayError
from ..ports import CheckoutRequest, Mode, RefundRequest, RefundSnapshot
from .razorpay_currencies import to_wire
from .razorpay_payments import OUR_ID, Order, read_order, read_refund
from .replies import Reply, demand

SCRIPT_URL: Final = "https://checkout.razorpay.com/v1/checkout.js"

_MAX_NOTE = 256

T = TypeVar("T")


def order_params(request: CheckoutRequest, *, mode: Mode) -> dict[str, Any]:
    """Build the parameters of an order, from the request alone.

    Raises:
        GatewayError: Razorpay does not take the currency, so fine an amount, or
            our reference.
    """
    if not OUR_ID.fullmatch(request.topup_id):
        raise GatewayError("The top-up's id does not fit into a receipt of Razorpay.", code="invalid-request")
    return {
        "amount": to_wire(request.amount),
        "currency": request.amount.currency,
        "receipt": request.topup_id,
        "notes": {"topup_id": request.topup_id, "customer_id": request.customer_id[:_MAX_NOTE], "env": mode},
    }


def checkout_options(request: CheckoutRequest, *, key_id: str, brand: str) -> dict[str, Any]:
    """Build the options of Checkout that follow from the request: all of them public, for the customer's browser."""
    return {
        "script_url": SCRIPT_URL,
        "key": key_id,
        "name": brand,
        "description": request.description,
        "prefill": {"email": request.customer_email} if request.customer_email else {},
        "notes": {"topup_id": request.topup_id},
        "callback_url": request.return_url,
        "redirect": True,
    }


def refund_params(request: RefundRequest) -> dict[str, Any]:
    """Build the parameters of a refund, from the request alone: one key, one content.

    Raises:
        GatewayError: As `order_params`.
    """
    if not OUR_ID.fullmatch(request.refund_id):
        raise GatewayError("The refund's id does not fit into a receipt of Razorpay.", code="invalid-request")
    notes = {"refund_id": request.refund_id, "topup_id": request.payment.topup_id}
    if request.reason:
        notes["reason"] = request.reason[:_MAX_NOTE]
    return {
        "amount": to_wire(request.amount),
        "speed": "normal",
        "receipt": request.refund_id,
        "notes": notes,
    }


def refund_key(key: str) -> str:
    """Give the idempotency key of a refund in Razorpay's form: letters, digits, dashes, at least ten.

    >>> refund_key("prepaid:ref_1:refund")
    'prepaid-0d29693008bdcaee2befd43c13f414d4b259f2f1'
    """
    return f"prepaid-{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def is_wanted(order: Order, wanted: Mapping[str, Any]) -> bool:
    """Tell whether an order that was found is exactly the one that would be created."""
    same = (order.amount, order.currency, order.topup_id) == (wanted["amount"], wanted["currency"], wanted["receipt"])
    return same and order.notes == wanted["notes"]


def created_order(reply: Reply, wanted: Mapping[str, Any]) -> Order:
    """Read the order that was just created, and check that it is the one asked for.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    order = read_order(reply)
    demand(order.topup_id == wanted["receipt"], "it is about another top-up")
    demand(
        (order.amount, order.currency) == (wanted["amount"], wanted["currency"]), "the total is not what was asked for"
    )
    return order


def made_refund(reply: Reply, request: RefundRequest, payment_id: str) -> RefundSnapshot:
    """Read the refund that was just made, and check that it is the one asked for.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    refund = read_refund(reply)
    demand(refund.payment_id == payment_id, "it is about another payment")
    demand(refund.refund_id == request.refund_id, "it is another refund")
    demand(refund.amount == request.amount, "the amount is not what was asked for")
    return refund


def after_writing(read: Callable[[], T]) -> T:
    """Read what a request has changed; if that cannot be read, only a look-up can tell what it is.

    Raises:
        GatewayError: It cannot be read; the outcome is unknown.
    """
    try:
        return read()
    except GatewayError as problem:
        code, message, wait_s = problem.code, str(problem), problem.retry_after_s
    raise GatewayError(message, retryable=True, outcome_unknown=True, code=code, retry_after_s=wait_s)
