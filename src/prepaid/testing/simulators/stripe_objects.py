"""The objects of Stripe's API that `StripeSimulator` answers with, in the shape of version 2026-10-28.

Plain dicts with the fields a payment by Checkout passes through; ids stand
where Stripe puts ids, and are expanded on request.

Sources: https://docs.stripe.com/api (Checkout Session, PaymentIntent, Charge,
Balance Transaction, Balance, Event).
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


def new_intent(session: Object, *, intent_id: str, metadata: Object, created: int) -> Object:
    """Make the PaymentIntent of a session, as it is when the customer first tries to pay."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_simulated",
        "confirmation_method": "automatic",
        "created": created,
        "currency": session["currency"],
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": session["livemode"],
        "metadata": metadata,
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": session["customer_email"],
        "status": "requires_payment_method",
    }


def new_charge(intent: Object, *, charge_id: str, method: str, created: int) -> Object:
    """Make the charge that took the whole amount of a PaymentIntent."""
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"],
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": True,
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


def new_balance_transaction(charge: Object, *, transaction_id: str, created: int) -> Object:
    """Make the settlement of a charge, with a fee of 2.9 % and 30 units, at most the amount."""
    fee = min(charge["amount"], charge["amount"] * 29 // 1000 + 30)
    return {
        "id": transaction_id,
        "object": "balance_transaction",
        "amount": charge["amount"],
        "available_on": created + 2 * 86_400,
        "balance_type": "payments",
        "created": created,
        "currency": charge["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [
            {
                "amount": fee,
                "application": None,
                "currency": charge["currency"],
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }
        ],
        "net": charge["amount"] - fee,
        "reporting_category": "charge",
        "source": charge["id"],
        "status": "pending",
        "type": "charge",
    }


def new_balance(*, livemode: bool) -> Object:
    """Make an empty balance."""
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    return {"object": "balance", "available": nothing, "livemode": livemode, "pending": nothing}


def new_event(subject: Object, *, event_id: str, event_type: str, created: int) -> Object:
    """Make the event that tells of an object as it is now."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": subject},
        "livemode": subject["livemode"],
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event_type,
    }


def refusal(message: str, *, kind: str = "invalid_request_error", code: str = "", param: str = "") -> Object:
    """Make the body of an error."""
    named = {name: value for name, value in (("code", code), ("param", param)) if value}
    return {"error": {"message": message, "type": kind, **named}}
