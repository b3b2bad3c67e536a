"""What Razorpay says about an order, its payments, refunds and disputes: dicts in, snapshots out, no network.

An order is paid by payments, of which all but one may have failed. Order and
payments must tell one story; any other combination than those listed, known to
us or not, is an unusable reply: it credits nothing and is asked again.

An order with failed payments only reads as ``open``, not as ``failed``: another
payment may be tried as long as the order is there, which is for ever, and a
failed payment may still be authorised for three days. A payment that was
refunded without having been captured, which Razorpay does by itself after three
days, counts like a failed one. How much a payment is, is reported as it is: if
it differs from the order's amount, as with merchants whose customers bear the
fee, it is for the core to judge.

Sources: https://razorpay.com/docs/api/orders/entity/,
https://razorpay.com/docs/api/payments/entity/,
https://razorpay.com/docs/api/refunds/entity/,
https://razorpay.com/docs/api/disputes/entity/ (fields, words and meaning of the
states); https://razorpay.com/docs/payments/payments/late-authorisation/ (a
failed payment may come back).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import evolve, frozen

from ..core.instants import from_micros
from ..core.money import Money
from ..ports import (
    DisputeSnapshot,
    DisputeState,
    PaymentSnapshot,
    PaymentState,
    RefundSnapshot,
    RefundState,
)
from .razorpay_currencies import from_wire
from .replies import Reply, demand, optional_str, require_bool, require_int, require_str, require_word, unusable

ORDER_ID: Final = re.compile(r"order_[A-Za-z0-9]{1,64}", re.ASCII)
PAYMENT_ID: Final = re.compile(r"pay_[A-Za-z0-9]{1,64}", re.ASCII)
REFUND_ID: Final = re.compile(r"rfnd_[A-Za-z0-9]{1,64}", re.ASCII)
DISPUTE_ID: Final = re.compile(r"disp_[A-Za-z0-9]{1,64}", re.ASCII)
OUR_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
"""A reference of ours: fits into a receipt."""

LATEST: Final = 4_765_046_400
"""Latest Unix time that Razorpay takes for one, in seconds."""

_ATTEMPTS: Final[dict[tuple[str, bool], PaymentState]] = {
    ("created", False): "processing",
    ("authorized", False): "authorised",
    ("captured", True): "captured",
    ("refunded", True): "captured",
    ("refunded", False): "canceled",  # given back by Razorpay, because nobody captured it
    ("failed", False): "failed",
}
"""State of one payment, by its status and whether it was captured."""

_TELLING: Final[tuple[PaymentState, ...]] = ("captured", "authorised", "processing")
"""States of a payment that make the state of its order, the strongest first."""

_REFUNDS: Final[dict[str, RefundState]] = {"pending": "pending", "processed": "succeeded", "failed": "failed"}

_BEFORE_MONEY: Final = frozenset({"fraud", "retrieval"})
_PHASES: Final = _BEFORE_MONEY | {"chargeback", "pre_arbitration", "arbitration"}
_CLOSED: Final[dict[str, DisputeState]] = {"won": "won", "lost": "lost", "closed": "won"}
_PENDING: Final = frozenset({"open", "under_review"})


@frozen(kw_only=True)
class Order:
    """What an order says.

    Attributes:
        id: Razorpay's id.
        amount: Total, in Razorpay's units.
        currency: Currency code.
        amount_paid: What was captured of it.
        is_paid: Razorpay takes no further payment.
        topup_id: Our reference, which an order echoes twice, or None unless both agree.
        notes: All notes.
        created_at: When it was made.
    """

    id: str
    amount: int
    currency: str
    amount_paid: int
    is_paid: bool
    topup_id: str | None
    notes: Mapping[str, Any]
    created_at: datetime


@frozen(kw_only=True)
class Attempt:
    """What one payment says; an order may have many.

    Attributes:
        id: Razorpay's id.
        order_id: The order it pays, or None.
        state: How far it is.
        amount: What it is about.
        refunded: What was given back.
        fee: What Razorpay keeps, tax included, or None before it is captured.
        method: Razorpay's word for how it is paid.
        failure: Razorpay's word for why it failed, or empty.
        topup_id: Our reference in its notes, which the payer's browser wrote.
        created_at: When it was tried.
    """

    id: str
    order_id: str | None
    state: PaymentState
    amount: Money
    refunded: Money
    fee: Money | None
    method: str
    failure: str
    topup_id: str | None
    created_at: datetime


def items_of(reply: Reply) -> list[dict[str, Any]]:
    """Read the objects of a collection.

    Raises:
        GatewayError: It is none, or names an object twice.
    """
    items = reply.get("items")
    demand(reply.get("entity") == "collection" and isinstance(items, list), "it is no collection")
    assert isinstance(items, list)  # noqa: S101 - demanded above
    demand(all(isinstance(item, dict) for item in items), "an item is no object")
    demand(require_int(reply, "count") == len(items), "the collection is not complete")
    demand(len({require_str(item, "id") for item in items}) == len(items), "an object is listed twice")
    return items


def read_order(order: Reply) -> Order:
    """Read an order.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    notes = notes_of(order)
    receipt = optional_str(order, "receipt")
    amount, paid = require_int(order, "amount"), require_int(order, "amount_paid")
    demand(amount > 0, "amount is zero")
    return Order(
        id=_id_of(order, "order", ORDER_ID),
        amount=amount,
        currency=require_str(order, "currency"),
        amount_paid=paid,
        is_paid=require_word(order, "status", {"created", "attempted", "paid"}) == "paid",
        topup_id=receipt if receipt == optional_str(notes, "topup_id") else None,
        notes=notes,
        created_at=_created_at(order),
    )


def read_attempt(payment: Reply) -> Attempt:
    """Read one payment.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    state = _ATTEMPTS.get((require_str(payment, "status"), require_bool(payment, "captured")))
    if state is None:
        raise unusable("status and captured contradict each other, or are not known")
    order_id = optional_str(payment, "order_id")
    demand(order_id is None or ORDER_ID.fullmatch(order_id) is not None, "order_id is not that of an order")
    amount, refunded = _amounts(payment)
    currency = require_str(payment, "currency")
    return Attempt(
        id=_id_of(payment, "payment", PAYMENT_ID),
        order_id=order_id,
        state=state,
        amount=from_wire(amount, currency),
        refunded=from_wire(refunded, currency),
        fee=_fee(payment, currency) if state == "captured" else None,
        method=optional_str(payment, "method") or "",
        failure=_failure(payment) if state in {"failed", "canceled"} else "",
        topup_id=our_id(notes_of(payment), "topup_id"),
        created_at=_created_at(payment),
    )


def disagree(order: Order, attempts: Sequence[Attempt]) -> bool:
    """Tell whether an order that was read first did not know yet of a payment that was captured since."""
    return not order.is_paid and any(attempt.state == "captured" for attempt in attempts)


def read_payment(
    order: Order, attempts: Sequence[Attempt], *, payment_id: str | None = None, disputed: Collection[str] = ()
) -> PaymentSnapshot:
    """Read how far the payment of an order is.

    Args:
        order: The order.
        attempts: All its payments.
        payment_id: The payment that is asked for, if one is known.
        disputed: Ids of payments that are or were disputed.

    Raises:
        GatewayError: Order and payments contradict each other.
    """
    demand(all(attempt.order_id == order.id for attempt in attempts), "a payment is of another order")
    demand(payment_id is None or payment_id in {attempt.id for attempt in attempts}, "the payment is not among them")
    taken = [attempt for attempt in attempts if attempt.state == "captured"]
    _check_paid(order, taken)
    for state in _TELLING:
        found = [attempt for attempt in attempts if attempt.state == state]
        if found:
            break
    else:
        return _unpaid(order, attempts)
    found.sort(key=lambda one: (one.id != payment_id, one.created_at, one.id))
    first, *further = [
        _snapshot(one, checkout_id=order.id, topup_id=order.topup_id, disputed=one.id in disputed) for one in found
    ]
    return evolve(first, further=tuple(further)) if state == "captured" else first


def listed_payment(attempt: Attempt, *, disputed: bool) -> PaymentSnapshot:
    """Give a payment as a list tells it: one that pays no order is a checkout of its own."""
    checkout_id = attempt.order_id or attempt.id
    return _snapshot(attempt, checkout_id=checkout_id, topup_id=attempt.topup_id, disputed=disputed)


def read_refund(refund: Reply) -> RefundSnapshot:
    """Read a refund.

    Raises:
        GatewayError: A field is missing or mistyped.
    """
    payment_id = require_str(refund, "payment_id")
    demand(PAYMENT_ID.fullmatch(payment_id) is not None, "payment_id is not that of a payment")
    amount = require_int(refund, "amount")
    demand(amount > 0, "amount is zero")
    return RefundSnapshot(
        gateway_refund_id=_id_of(refund, "refund", REFUND_ID),
        payment_id=payment_id,
        refund_id=our_id(notes_of(refund), "refund_id"),
        amount=from_wire(amount, require_str(refund, "currency")),
        state=_REFUNDS[require_word(refund, "status", _REFUNDS)],
        created_at=_created_at(refund),
    )


def read_dispute(dispute: Reply) -> DisputeSnapshot:
    """Read a dispute; one that only asks, for fraud or information, has taken no money.

    Raises:
        GatewayError: A field is missing or mistyped.
    """
    payment_id = require_str(dispute, "payment_id")
    demand(PAYMENT_ID.fullmatch(payment_id) is not None, "payment_id is not that of a payment")
    status = require_word(dispute, "status", _PENDING | set(_CLOSED))
    phase = require_word(dispute, "phase", _PHASES)
    return DisputeSnapshot(
        dispute_id=_id_of(dispute, "dispute", DISPUTE_ID),
        payment_id=payment_id,
        amount=from_wire(require_int(dispute, "amount"), require_str(dispute, "currency")),
        state=_CLOSED.get(status) or ("inquiry" if phase in _BEFORE_MONEY else "open"),
        reason=optional_str(dispute, "reason_code") or "",
        created_at=_created_at(dispute),
    )


def notes_of(entity: Reply) -> dict[str, Any]:
    """Read the notes of an object, which are an empty list if there are none.

    Raises:
        GatewayError: They are anything else than an object, an empty list or nothing.
    """
    notes = entity.get("notes")
    if notes is None or notes == []:
        return {}
    if not isinstance(notes, dict):
        raise unusable("notes is not an object")
    return notes


def our_id(notes: Reply, name: str) -> str | None:
    """Give a reference of ours in notes that anybody may have written, or None."""
    value = notes.get(name)
    return value if isinstance(value, str) and OUR_ID.fullmatch(value) else None


def _check_paid(order: Order, taken: Sequence[Attempt]) -> None:
    demand(order.is_paid == bool(taken), "order and payments differ on whether it is paid")
    if not order.is_paid:
        demand(order.amount_paid == 0, "an order that is not paid has an amount paid")
    elif not any(attempt.refunded for attempt in taken):
        demand(order.amount_paid >= order.amount, "a paid order is not paid whole")


def _snapshot(attempt: Attempt, *, checkout_id: str, topup_id: str | None, disputed: bool) -> PaymentSnapshot:
    captured = attempt.state == "captured"
    return PaymentSnapshot(
        checkout_id=checkout_id,
        payment_id=attempt.id,
        topup_id=topup_id,
        state=attempt.state,
        authorised=attempt.amount if attempt.state == "authorised" else None,
        captured=attempt.amount if captured else None,
        method=attempt.method,
        failure=attempt.failure,
        fee=attempt.fee,
        fee_follows=captured and attempt.fee is None,
        refunded=attempt.refunded if captured else None,
        disputed=disputed,
        created_at=attempt.created_at,
    )


def _unpaid(order: Order, attempts: Sequence[Attempt]) -> PaymentSnapshot:
    last = max(attempts, key=lambda one: (one.created_at, one.id), default=None)
    return PaymentSnapshot(
        checkout_id=order.id,
        topup_id=order.topup_id,
        state="open",
        failure=last.failure if last else "",
        created_at=order.created_at,
    )


def _id_of(entity: Reply, kind: str, form: re.Pattern[str]) -> str:
    demand(entity.get("entity") == kind, f"it is no {kind}")
    found = require_str(entity, "id")
    demand(form.fullmatch(found) is not None, f"id is not that of a {kind}")
    return found


def _amounts(payment: Reply) -> tuple[int, int]:
    amount, refunded = require_int(payment, "amount"), require_int(payment, "amount_refunded")
    demand(amount > 0 and refunded <= amount, "amount is zero, or more refunded than paid")
    status = optional_str(payment, "refund_status")
    expected = None if refunded == 0 else "full" if refunded == amount else "partial"
    demand(status == expected, "refund_status and amount_refunded contradict each other")
    demand(refunded == amount or payment.get("status") != "refunded", "a refunded payment is not refunded whole")
    return amount, refunded


def _fee(payment: Reply, currency: str) -> Money | None:
    if payment.get("fee") is None:
        return None
    # A payment in another currency is settled, and charged for, in the merchant's own.
    return from_wire(require_int(payment, "fee"), optional_str(payment, "base_currency") or currency)


def _failure(payment: Reply) -> str:
    return optional_str(payment, "error_reason") or optional_str(payment, "error_code") or ""


def _created_at(entity: Reply) -> datetime:
    return from_micros(require_int(entity, "created_at", largest=LATEST) * 1_000_000)
