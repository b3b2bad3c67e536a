"""What an order of PayPal, its capture and its refunds say: dicts in, snapshots out, no network.

An order holds one purchase unit, that unit one amount, one pair of our
references and at most one capture that is alive. Order and capture must tell
one story; any other combination than those listed is an unusable reply: it
credits nothing and is asked again.

Sources: https://developer.paypal.com/docs/api/orders/v2/ and
https://developer.paypal.com/docs/api/payments/v2/ (words and meaning of the
states, of an order and of a capture in it; an object that is gone is answered
with 404 and ``RESOURCE_NOT_FOUND``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen

from ..core.money import Money
from ..ports import Checkout, PaymentRef, PaymentSnapshot, PaymentState, RefundSnapshot, RefundState
from .credentials import is_loopback
from .paypal_currencies import read_money
from .replies import (
    MAX_URL,
    Reply,
    demand,
    optional_object,
    optional_str,
    require_bool,
    require_object,
    require_str,
    require_word,
    unusable,
)

OBJECT_ID: Final = re.compile(r"[A-Z0-9]{1,36}", re.ASCII)
"""An id of an order, a capture or a refund."""
MAX_LISTED: Final = 1000

_STATES: Final[dict[tuple[str, str | None], PaymentState]] = {
    ("CREATED", None): "open",
    ("SAVED", None): "open",
    ("PAYER_ACTION_REQUIRED", None): "open",
    ("APPROVED", None): "authorised",
    ("VOIDED", None): "canceled",
    ("COMPLETED", "PENDING"): "processing",
    ("COMPLETED", "COMPLETED"): "captured",
    ("COMPLETED", "PARTIALLY_REFUNDED"): "captured",
    ("COMPLETED", "REFUNDED"): "captured",
    ("COMPLETED", "DECLINED"): "failed",
    ("COMPLETED", "FAILED"): "failed",
}
"""By status of the order and of its capture."""

_TO_BE_APPROVED: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})
_ORDER_WORDS: Final = frozenset(order for order, _ in _STATES)
_CAPTURE_WORDS: Final = frozenset(capture for _, capture in _STATES if capture)
_DEAD: Final = frozenset({"DECLINED", "FAILED"})
_DISPUTED_REASONS: Final = frozenset({"BUYER_COMPLAINT", "CHARGEBACK"})
_REFUND_STATES: Final[Mapping[str, RefundState]] = {
    "PENDING": "pending",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "canceled",
}
_TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:?[0-9]{2})", re.ASCII)


@frozen(kw_only=True)
class Capture:
    """What a capture says.

    Attributes:
        capture_id: PayPal's id of it, and of the money.
        status: PayPal's word.
        amount: What was, or will be, taken.
        fee: What PayPal keeps of it, or None while it does not say.
        is_broken_down: It says what of the amount is whose.
        references: What it echoes of ours.
        reason: Why it is in this status, in PayPal's word, or empty.
        created_at: When it was made, or None.
    """

    capture_id: str
    status: str
    amount: Money
    fee: Money | None
    is_broken_down: bool
    references: frozenset[str]
    reason: str
    created_at: datetime | None


def read_checkout(order: Reply, *, topup_id: str, amount: Money, account: str | None) -> Checkout:
    """Read the order that was just created, and check that it is the one asked for.

    Args:
        order: PayPal's reply.
        topup_id: Our reference.
        amount: As sent.
        account: The merchant account it must be payable to, or None if we do not know.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    order_id, unit = _object_id(order), _unit_of(order)
    status = require_word(order, "status", _ORDER_WORDS)
    demand(reference_of(unit) == topup_id, "it is about another top-up")
    demand(read_money(unit, "amount") == amount, "the amount is not what was asked for")
    demand(account is None or _payee_of(unit) == account, "it is payable to another account")
    # A key used again gives the order as it is by now, which may need no page any more.
    url = _approval_url(order) if status in _TO_BE_APPROVED else None
    return Checkout(checkout_id=order_id, redirect_url=url)


def read_payment(order: Reply, *, order_id: str) -> PaymentSnapshot:
    """Read how far the payment of an order is.

    Args:
        order: PayPal's reply.
        order_id: The id that was asked for.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(_object_id(order) == order_id, "id is not the one asked for")
    unit = _unit_of(order)
    capture = capture_in(order)
    state = _state(order, capture)
    total, topup_id = read_money(unit, "amount"), reference_of(unit)
    demand(capture is None or capture.references <= _references(unit), "order and capture differ in reference")
    taken = capture if capture and state == "captured" else None
    return PaymentSnapshot(
        checkout_id=order_id,
        payment_id=capture.capture_id if capture else None,
        topup_id=topup_id,
        state=state,
        authorised=total if state == "authorised" else None,
        captured=taken.amount if taken else None,
        account=_payee_of(unit),
        method=_method(order),
        failure=(capture.reason or capture.status) if capture and state == "failed" else "",
        fee=taken.fee if taken else None,
        fee_follows=taken is not None and not taken.is_broken_down,
        refunded=_refunded(unit, taken) if taken else None,
        disputed=capture is not None and capture.reason in _DISPUTED_REASONS,
        created_at=read_time(order, "create_time"),
    )


def vanished(ref: PaymentRef) -> PaymentSnapshot:
    """Make the snapshot of an order that PayPal does not know any more, which it was before anybody approved it."""
    return PaymentSnapshot(checkout_id=ref.checkout_id, topup_id=ref.topup_id, state="expired")


def read_listed(capture: Reply, *, capture_id: str) -> PaymentSnapshot:
    """Read a capture by itself, as one of a list of payments.

    Raises:
        GatewayError: A field is missing, mistyped or of another capture, or
            the capture took no money.
    """
    read = _capture(capture)
    demand(read.capture_id == capture_id, "id is not the one asked for")
    demand(read.status not in {*_DEAD, "PENDING"}, "the capture took no money")
    payee = optional_object(capture, "payee") or {}
    related = optional_object(optional_object(capture, "supplementary_data") or {}, "related_ids") or {}
    return PaymentSnapshot(
        checkout_id=optional_str(related, "order_id") or "",
        payment_id=capture_id,
        topup_id=either_reference(capture),
        state="captured",
        captured=read.amount,
        account=optional_str(payee, "merchant_id"),
        fee=read.fee,
        refunded=read.amount if read.status == "REFUNDED" else None,
        created_at=read.created_at,
    )


def capture_in(order: Reply) -> Capture | None:
    """Read the one capture of an order that is alive, or the last dead one of an order that is over.

    Raises:
        GatewayError: Two are alive, or a field is missing or mistyped.
    """
    captures = [_capture(item) for item in _payments(_unit_of(order), "captures")]
    alive = [capture for capture in captures if capture.status not in _DEAD]
    demand(len(alive) <= 1, "the order was captured twice")
    if alive:
        return alive[0]
    # The payer may try again after a decline, as long as the order is not over.
    return captures[-1] if captures and order.get("status") == "COMPLETED" else None


def refunds_in(order: Reply, *, payment_id: str) -> tuple[RefundSnapshot, ...]:
    """Read all refunds of the capture of an order.

    Raises:
        GatewayError: The order's money is another, or a field is missing or mistyped.
    """
    capture, unit = capture_in(order), _unit_of(order)
    demand(capture is not None and capture.capture_id == payment_id, "the order has another capture")
    reference = reference_of(unit)
    return tuple(read_refund(item, payment_id=payment_id, topup_id=reference) for item in _payments(unit, "refunds"))


def read_refund(
    refund: Reply, *, payment_id: str, topup_id: str | None, refund_id: str | None = None
) -> RefundSnapshot:
    """Read how far a refund is.

    Args:
        refund: PayPal's reply.
        payment_id: The capture it must come from.
        topup_id: Our reference of the payment, which a refund made in PayPal's
            dashboard inherits.
        refund_id: PayPal's id that was asked for, or None if it was made or listed just now.

    Raises:
        GatewayError: A field is missing, mistyped or of another capture.
    """
    gateway_refund_id, reference = _object_id(refund), either_reference(refund)
    demand(refund_id in {None, gateway_refund_id}, "id is not the one asked for")
    demand(linked_capture(refund) == payment_id, "the refund is of another capture")
    amount = read_money(refund, "amount")
    demand(amount.units > 0, "nothing is refunded")
    state = _REFUND_STATES[require_word(refund, "status", _REFUND_STATES)]
    return RefundSnapshot(
        gateway_refund_id=gateway_refund_id,
        payment_id=payment_id,
        refund_id=None if reference == topup_id else reference,
        amount=amount,
        state=state,
        failure=(_reason(refund) or state) if state in {"failed", "canceled"} else "",
        created_at=read_time(refund, "create_time"),
    )


def linked_capture(resource: Reply) -> str | None:
    """Give the id of the capture that a refund's link ``up`` leads to, or None."""
    links = resource.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "up" and isinstance(link.get("href"), str):
            above, _, capture_id = link["href"].rpartition("/")
            if above.endswith("/captures") and OBJECT_ID.fullmatch(capture_id):
                return str(capture_id)
    return None


def reference_of(resource: Reply) -> str | None:
    """Read our reference, which PayPal echoes twice, or give None unless both agree.

    Raises:
        GatewayError: A field is mistyped.
    """
    reference = optional_str(resource, "custom_id")
    return reference if reference == optional_str(resource, "invoice_id") else None


def either_reference(resource: Reply) -> str | None:
    """Read our reference of a capture or refund, where PayPal may echo only one of the two, or give None.

    Raises:
        GatewayError: A field is mistyped.
    """
    named = _references(resource)
    return next(iter(named)) if len(named) == 1 else None


def read_time(reply: Reply, name: str) -> datetime | None:
    """Read the instant called ``name``, or None if the reply has none.

    Raises:
        GatewayError: There, but no date and time with its zone.
    """
    written = optional_str(reply, name)
    if written is None:
        return None
    try:
        return parse_time(written)
    except ValueError:
        problem = unusable(f"{name} is no date and time")
    raise problem


def parse_time(written: str) -> datetime:
    """Read a date and time of this century with its zone, as PayPal writes it.

    >>> parse_time("2026-11-22T06:00:00Z")
    datetime.datetime(2026, 11, 22, 6, 0, tzinfo=datetime.timezone.utc)

    Raises:
        ValueError: It is none.
    """
    if not _TIME.fullmatch(written):
        raise ValueError("no date and time with its zone")
    return datetime.fromisoformat(written).astimezone(UTC)


def _object_id(reply: Reply) -> str:
    object_id = require_str(reply, "id")
    demand(OBJECT_ID.fullmatch(object_id) is not None, "id is none of PayPal's")
    return object_id


def _unit_of(order: Reply) -> dict[str, Any]:
    demand(require_str(order, "intent") == "CAPTURE", "intent is not CAPTURE")
    units = order.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise unusable("there is not exactly one purchase unit")
    return units[0]


def _payments(unit: Reply, name: str) -> list[dict[str, Any]]:
    items = (optional_object(unit, "payments") or {}).get(name, [])
    if not isinstance(items, list) or len(items) > MAX_LISTED or not all(isinstance(item, dict) for item in items):
        raise unusable(f"{name} is not a list of objects")
    return items


def _capture(capture: Reply) -> Capture:
    status = require_word(capture, "status", _CAPTURE_WORDS)
    amount = read_money(capture, "amount")
    if status not in _DEAD:
        demand(require_bool(capture, "final_capture"), "more would be captured")
        demand(amount.units > 0, "nothing is captured")
    breakdown = optional_object(capture, "seller_receivable_breakdown")
    if breakdown:
        demand(read_money(breakdown, "gross_amount") == amount, "gross_amount is not the amount")
    return Capture(
        capture_id=_object_id(capture),
        status=status,
        amount=amount,
        fee=read_money(breakdown, "paypal_fee") if breakdown and breakdown.get("paypal_fee") is not None else None,
        is_broken_down=bool(breakdown),
        references=_references(capture),
        reason=_reason(capture),
        created_at=read_time(capture, "create_time"),
    )


def _state(order: Reply, capture: Capture | None) -> PaymentState:
    status = require_word(order, "status", _ORDER_WORDS), capture.status if capture else None
    state = _STATES.get(status)
    if state is None:
        raise unusable("order and capture contradict each other")
    return state


def _refunded(unit: Reply, capture: Capture) -> Money:
    refunds = [read_refund(item, payment_id=capture.capture_id, topup_id=None) for item in _payments(unit, "refunds")]
    demand(all(refund.amount.currency == capture.amount.currency for refund in refunds), "a refund's currency differs")
    alive = [refund for refund in refunds if refund.state in {"pending", "succeeded"}]
    total = sum((refund.amount for refund in alive), Money.zero(capture.amount.currency))
    demand(total <= capture.amount, "more was refunded than captured")
    match capture.status:
        case "REFUNDED":  # also where PayPal reversed it, which is no refund in the list
            return capture.amount
        case "PARTIALLY_REFUNDED":
            demand(Money.zero(total.currency) < total, "the refund is missing")
        case _:
            demand(all(refund.state != "succeeded" for refund in alive), "refunds and capture contradict each other")
    return total


def _references(resource: Reply) -> frozenset[str]:
    named = optional_str(resource, "custom_id"), optional_str(resource, "invoice_id")
    return frozenset(reference for reference in named if reference is not None)


def _reason(resource: Reply) -> str:
    return optional_str(optional_object(resource, "status_details") or {}, "reason") or ""


def _payee_of(unit: Reply) -> str:
    return require_str(require_object(unit, "payee"), "merchant_id")


def _method(order: Reply) -> str:
    source = optional_object(order, "payment_source") or {}
    return optional_str({"method": next(iter(source), None)}, "method", longest=32) or ""


def _approval_url(order: Reply) -> str:
    links = order.get("links")
    found = [
        link
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, dict) and link.get("rel") in {"payer-action", "approve"}
    ]
    demand(len(found) == 1, "there is not exactly one link to approve it")
    url = require_str(found[0], "href", longest=MAX_URL)
    demand(url.startswith("https://") or is_loopback(url), "the link to approve it is not https")
    return url
