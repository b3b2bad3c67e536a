"""What Stripe says about money that went back: refunds we or others made, and disputes.

A refund shows no mode of its own; its payment, which is read along with it,
does. A refund that succeeded may still fail, after which the money is back on
our balance.

Sources: https://docs.stripe.com/api/refunds/object and
https://docs.stripe.com/refunds#failed-refunds (states, failing later);
https://docs.stripe.com/api/disputes/object (states, balance transactions);
https://docs.stripe.com/api/balance_transactions/object (a fee is above zero when it is kept);
https://docs.stripe.com/disputes/how-disputes-work (when money is taken);
https://docs.stripe.com/changelog/basil/2025-08-27/add-preventions-to-dispute
(disputes that were prevented).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ..core.money import Money
from ..ports import DisputeSnapshot, DisputeState, RefundSnapshot, RefundState
from .replies import (
    MAX_INT,
    Reply,
    demand,
    one_sum,
    optional_object,
    optional_str,
    require_int,
    require_object,
    require_str,
    require_word,
    unusable,
)
from .stripe_currencies import from_wire
from .stripe_payments import INTENT_ID, intent_id_of, mode_of, moment_of

REFUND_ID: Final = re.compile(r"(re|pyr)_[A-Za-z0-9_]{1,200}", re.ASCII)

_REFUND_STATES: Final[dict[str, RefundState]] = {
    "pending": "pending",
    "requires_action": "pending",  # the customer has to say where it should go
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}

_DISPUTE_STATES: Final[dict[str, DisputeState]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "inquiry",  # ended without ever taking money
    "needs_response": "open",
    "under_review": "open",
    "appeal_needs_response": "open",  # was lost; the money stays away until the appeal is won
    "appeal_under_review": "open",
    "won": "won",
    "lost": "lost",
}


def read_refund(refund: Reply) -> RefundSnapshot:
    """Read a refund, whose payment is expanded.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(refund.get("object") == "refund", "it is no refund")
    gateway_refund_id = require_str(refund, "id")
    demand(REFUND_ID.fullmatch(gateway_refund_id) is not None, "id is not that of a refund")
    intent = require_object(refund, "payment_intent")
    currency = require_str(refund, "currency")
    demand(require_str(intent, "currency") == currency, "refund and payment differ in currency")
    state = _REFUND_STATES[require_word(refund, "status", _REFUND_STATES)]
    return RefundSnapshot(
        gateway_refund_id=gateway_refund_id,
        payment_id=intent_id_of(intent),
        refund_id=optional_str(optional_object(refund, "metadata") or {}, "refund_id"),
        amount=_above_zero(refund, currency),
        state=state,
        failure=(optional_str(refund, "failure_reason") or "") if state == "failed" else "",
        mode=mode_of(intent),
        created_at=moment_of(refund),
    )


def read_dispute(dispute: Reply) -> DisputeSnapshot:
    """Read a dispute.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(dispute.get("object") == "dispute", "it is no dispute")
    payment_id = require_str(dispute, "payment_intent")
    demand(INTENT_ID.fullmatch(payment_id) is not None, "payment_intent is no id of a PaymentIntent")
    return DisputeSnapshot(
        dispute_id=require_str(dispute, "id"),
        payment_id=payment_id,
        amount=_above_zero(dispute, require_str(dispute, "currency")),
        state=_dispute_state(dispute),
        reason=require_str(dispute, "reason"),
        fee=_fee(dispute),
        mode=mode_of(dispute),
        created_at=moment_of(dispute),
    )


def ours_among(refunds: Sequence[RefundSnapshot], refund_id: str) -> RefundSnapshot | None:
    """Find the refund that carries our reference; one that goes through before one that did not."""
    ours = [refund for refund in refunds if refund.refund_id == refund_id]
    alive = [refund for refund in ours if refund.state in {"succeeded", "pending"}]
    return next(iter([*alive, *ours]), None)


def _above_zero(reply: Reply, currency: str) -> Money:
    number = require_int(reply, "amount")
    demand(number > 0, "amount is zero")
    return from_wire(number, currency)


def _dispute_state(dispute: Reply) -> DisputeState:
    status = require_word(dispute, "status", {*_DISPUTE_STATES, "prevented"})
    if status != "prevented":
        return _DISPUTE_STATES[status]
    # Blocked before it took anything, or settled by giving the money back: what it moved tells which.
    return "lost" if sum(_signed(entry, "amount") for entry in _entries(dispute)) < 0 else "won"


def _fee(dispute: Reply) -> Money | None:
    """Sum what is kept of what was moved, less what of that was given back; None while nothing was moved."""
    kept = [from_wire(_signed(entry, "fee"), require_str(entry, "currency")) for entry in _entries(dispute)]
    return one_sum(kept)


def _entries(dispute: Reply) -> list[dict[str, Any]]:
    entries = dispute.get("balance_transactions")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise unusable("balance_transactions is no list of objects")
    return entries


def _signed(entry: Reply, name: str) -> int:
    number = entry.get(name)
    # type() because True is an int too.
    if type(number) is not int or abs(number) > MAX_INT:
        raise unusable(f"{name} of balance_transactions is not a whole number in range")
    return number
