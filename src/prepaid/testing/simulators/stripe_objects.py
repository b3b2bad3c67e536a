"""The objects of Stripe's API that `StripeSimulator` answers with, in the shape of version 2026-10-28.

Plain dicts with the fields a payment, its refunds and its disputes pass
through; ids stand where Stripe puts ids, and are expanded on request.

Sources: https://docs.stripe.com/api (Checkout Session, PaymentIntent, Charge,
Refund, Dispute, Balance Transaction, Balance, Event).
"""

from __future__ import annotations

from typing import Any, Final

API_VERSION: Final = "2026-10-28.endive"

Object = dict[str, Any]


def new_session(params: Object, *, session_id: str, url: str, livemode: bool, created: int) -> Object:
    """Make an open session of checked parameters."""
    price = params["line_items"][0]["price_data"]
    total = int(price["unit_amount"]) * int(params["line_items"][0]["quantity"])
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": params.get("adaptive_pricing", {}).get("enabled", "true") == "true"},
        "allow_promotion_codes": None,
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "created": created,
        "currency": price["currency"],
        "customer": None,
        "customer_creation": "if_required",
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "expires_at": int(params.get("expires_at", created + 86_400)),
        "livemode": livemode,
        "locale": params.get("locale"),
        "metadata": params.get("metadata", {}),
        "mode": "payment",
        "payment_intent": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "status": "open",
        "submit_type": params.get("submit_type"),
        "success_url": params["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": url,
    }


def new_intent(
    *, intent_id: str, amount: int, currency: str, livemode: bool, metadata: Object, created: int, **shown: Any
) -> Object:
    """Make a PaymentIntent nobody has tried to pay; ``shown`` are further fields with their values."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_simulated",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": livemode,
        "metadata": metadata,
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "status": "requires_payment_method",
        **shown,
    }


def new_charge(intent: Object, *, charge_id: str, method: str, created: int) -> Object:
    """Make the charge that reserves the whole amount of a PaymentIntent."""
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": None,
        "description": None,
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": intent["livemode"],
        "metadata": intent["metadata"],
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method_details": {"type": method},
        "refunded": False,
        "status": "succeeded",
    }


def new_refund(
    charge: Object, *, refund_id: str, number: int, status: str, metadata: Object, reason: str | None, created: int
) -> Object:
    """Make a refund of ``number`` units of a charge."""
    method = charge["payment_method_details"]["type"]
    return {
        "id": refund_id,
        "object": "refund",
        "amount": number,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"type": method, "card": {"type": "refund"}} if method == "card" else {"type": method},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def new_dispute(charge: Object, *, dispute_id: str, number: int, status: str, reason: str, created: int) -> Object:
    """Make a dispute of ``number`` units of a charge."""
    inquiry = status.startswith("warning_")
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": number,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(("customer_email_address", "product_description", "uncategorized_text")),
        "evidence_details": {
            "due_by": created + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if inquiry else "chargeback",
                "network_reason_code": "10.4",
            },
        },
        "reason": reason,
        "status": status,
    }


def new_balance_transaction(source: Object, *, transaction_id: str, number: int, fee: int, created: int) -> Object:
    """Make the entry of ``number`` units, less ``fee``, in our balance for a charge, refund or dispute.

    A fee below zero is given back.
    """
    kinds = {"charge": ("charge", "charge"), "refund": ("refund", "refund"), "dispute": ("adjustment", "dispute")}
    kind, category = kinds[source["object"]]
    details = {
        "amount": fee,
        "application": None,
        "currency": source["currency"],
        "description": "Dispute fee" if source["object"] == "dispute" else "Stripe processing fees",
        "type": "stripe_fee",
    }
    return {
        "id": transaction_id,
        "object": "balance_transaction",
        "amount": number,
        "available_on": created + 2 * 86_400,
        "balance_type": "payments",
        "created": created,
        "currency": source["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [details] if fee else [],
        "net": number - fee,
        "reporting_category": category,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }


def new_balance(*, livemode: bool) -> Object:
    """Make an empty balance."""
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    return {"object": "balance", "available": nothing, "livemode": livemode, "pending": nothing}


def new_event(subject: Object, *, event_id: str, event_type: str, livemode: bool, created: int) -> Object:
    """Make the event that tells of an object as it is now."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": subject},
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event_type,
    }


def refusal(message: str, *, kind: str = "invalid_request_error", code: str = "", param: str = "") -> Object:
    """Make the body of an error."""
    named = {name: value for name, value in (("code", code), ("param", param)) if value}
    return {"error": {"message": message, "type": kind, **named}}
