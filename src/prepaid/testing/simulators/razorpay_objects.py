"""The objects of Razorpay's API that `RazorpaySimulator` answers with.

Plain dicts with the fields a payment by Checkout passes through, in the types in
which Razorpay writes them: amounts are whole numbers of the smallest unit, notes
are an empty list if there are none.

Sources: https://razorpay.com/docs/api/orders/entity/,
https://razorpay.com/docs/api/payments/entity/,
https://razorpay.com/docs/api/refunds/entity/,
https://razorpay.com/docs/api/disputes/entity/,
https://razorpay.com/docs/webhooks/payments/ (envelope of an event).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

ACCOUNT_ID: Final = "acc_Simulated00001"
RESPOND_WITHIN_S: Final = 7 * 86_400

Object = dict[str, Any]


def new_order(params: Object, *, order_id: str, created: int) -> Object:
    """Make an order of checked parameters."""
    return {
        "id": order_id,
        "entity": "order",
        "amount": params["amount"],
        "amount_paid": 0,
        "amount_due": params["amount"],
        "currency": params["currency"],
        "receipt": params.get("receipt"),
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": params.get("notes") or [],
        "created_at": created,
    }


def new_payment(order: Object, *, payment_id: str, method: str, created: int) -> Object:
    """Make a payment that was just tried for an order, with the notes that Checkout was given."""
    topup_id = dict(order["notes"]).get("topup_id")
    return {
        "id": payment_id,
        "entity": "payment",
        "amount": order["amount"],
        "currency": order["currency"],
        "status": "created",
        "order_id": order["id"],
        "invoice_id": None,
        "international": False,
        "method": method,
        "amount_refunded": 0,
        "refund_status": None,
        "captured": False,
        "description": None,
        "card_id": None,
        "bank": None,
        "wallet": None,
        "vpa": None,
        "email": "payer@example.com",
        "contact": "+919000090000",
        "notes": {"topup_id": topup_id} if topup_id else [],
        "fee": None,
        "tax": None,
        "error_code": None,
        "error_description": None,
        "error_source": None,
        "error_step": None,
        "error_reason": None,
        "acquirer_data": {},
        "created_at": created,
    }


def charge(payment: Object) -> None:
    """Keep a fee of 2 % of a payment, and 18 % of tax on it."""
    fee = payment["amount"] * 2 // 100
    payment["tax"] = fee * 18 // 100
    payment["fee"] = fee + payment["tax"]


def new_refund(payment: Object, params: Object, *, refund_id: str, created: int) -> Object:
    """Make a refund of checked parameters."""
    return {
        "id": refund_id,
        "entity": "refund",
        "amount": params["amount"],
        "currency": payment["currency"],
        "payment_id": payment["id"],
        "notes": params.get("notes") or [],
        "receipt": params.get("receipt"),
        "acquirer_data": {"arn": None},
        "created_at": created,
        "batch_id": None,
        "status": "pending",
        "speed_processed": "normal",
        "speed_requested": params.get("speed", "normal"),
    }


def new_dispute(payment: Object, *, dispute_id: str, amount: int, phase: str, created: int) -> Object:
    """Make a dispute that was just opened."""
    return {
        "id": dispute_id,
        "entity": "dispute",
        "payment_id": payment["id"],
        "amount": amount,
        "currency": payment["currency"],
        "amount_deducted": 0,
        "reason_code": "goods_or_services_not_received_or_partially_received",
        "respond_by": created + RESPOND_WITHIN_S,
        "status": "open",
        "phase": phase,
        "created_at": created,
        "evidence": {"amount": amount, "summary": None, "submitted_at": None},
    }


def collection(items: Sequence[Object]) -> Object:
    """Make a list."""
    return {"entity": "collection", "count": len(items), "items": list(items)}


def new_event(entities: Object, *, event: str, created: int) -> Object:
    """Make the event that tells of objects as they are now."""
    return {
        "entity": "event",
        "account_id": ACCOUNT_ID,
        "event": event,
        "contains": list(entities),
        "payload": {name: {"entity": entity} for name, entity in entities.items()},
        "created_at": created,
    }


def problem(description: str, *, code: str = "BAD_REQUEST_ERROR", field: str = "") -> Object:
    """Make the body of an error."""
    named = {"field": field} if field else {}
    return {
        "error": {
            "code": code,
            "description": description,
            "source": "business" if field else "NA",
            "step": "payment_initiation" if field else "NA",
            "reason": "input_validation_failed" if field else "NA",
            "metadata": {},
            **named,
        }
    }
