"""The objects of PayPal's API that `PayPalSimulator` answers with, in the shape of Orders and Payments version 2.

Plain dicts with the fields a payment passes through. Amounts are decimal
strings, as on the wire.

Sources: https://developer.paypal.com/docs/api/orders/v2/,
https://developer.paypal.com/docs/api/payments/v2/,
https://developer.paypal.com/docs/api/customer-disputes/v1/,
https://developer.paypal.com/docs/api/transaction-search/v1/,
https://developer.paypal.com/api/rest/responses/ (errors).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

Object = dict[str, Any]

CURRENCIES: Final = frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD".split()
)
NO_DECIMALS: Final = frozenset({"HUF", "JPY", "TWD"})

_TURNS: Final = {
    "WAITING_FOR_SELLER_RESPONSE": "REQUIRED_ACTION",
    "UNDER_REVIEW": "UNDER_PAYPAL_REVIEW",
    "RESOLVED": "RESOLVED",
}

SCOPE: Final = " ".join(
    f"https://uri.paypal.com/services/{service}"
    for service in (
        "applications/webhooks",
        "disputes/read-seller",
        "payments/payment/authcapture",
        "payments/refund",
        "reporting/search/read",
    )
)


def money(value: Decimal, currency: str) -> Object:
    """Make an amount as PayPal writes it."""
    return {"currency_code": currency, "value": str(value.quantize(Decimal(1 if currency in NO_DECIMALS else "0.01")))}


def new_token(token: str, *, expires_in: int) -> Object:
    """Make the answer to a request for a token."""
    return {
        "scope": SCOPE,
        "access_token": token,
        "token_type": "Bearer",
        "app_id": "APP-SIMULATED",
        "expires_in": expires_in,
        "nonce": "simulated",
    }


def new_order(body: Object, *, order_id: str, base: str, merchant_id: str, at: str) -> Object:
    """Make an order that waits for its payer, of a checked body."""
    [unit] = body["purchase_units"]
    return {
        "id": order_id,
        "intent": body["intent"],
        "status": "PAYER_ACTION_REQUIRED",
        "payment_source": {"paypal": {}},
        "purchase_units": [
            {
                **unit,
                "payee": {"email_address": "seller@example.com", "merchant_id": merchant_id},
            }
        ],
        "create_time": at,
        "links": [
            {"href": f"{base}/v2/checkout/orders/{order_id}", "rel": "self", "method": "GET"},
            {"href": f"{base}/checkoutnow?token={order_id}", "rel": "payer-action", "method": "GET"},
        ],
    }


def new_capture(unit: Object, *, capture_id: str, base: str, order_id: str, at: str) -> Object:
    """Make the capture of a purchase unit's whole amount, whose money is there."""
    currency, total = unit["amount"]["currency_code"], Decimal(unit["amount"]["value"])
    fee = min(total, total * 349 / 10_000 + Decimal(0 if currency in NO_DECIMALS else "0.49"))
    fee = Decimal(money(fee, currency)["value"])
    return {
        "id": capture_id,
        "status": "COMPLETED",
        "amount": money(total, currency),
        "final_capture": True,
        "seller_protection": {"status": "NOT_ELIGIBLE"},
        "seller_receivable_breakdown": {
            "gross_amount": money(total, currency),
            "paypal_fee": money(fee, currency),
            "net_amount": money(total - fee, currency),
        },
        "custom_id": unit["custom_id"],
        "invoice_id": unit["invoice_id"],
        "create_time": at,
        "update_time": at,
        "links": [
            {"href": f"{base}/v2/payments/captures/{capture_id}", "rel": "self", "method": "GET"},
            {"href": f"{base}/v2/payments/captures/{capture_id}/refund", "rel": "refund", "method": "POST"},
            {"href": f"{base}/v2/checkout/orders/{order_id}", "rel": "up", "method": "GET"},
        ],
    }


def shown_capture(capture: Object, order: Object) -> Object:
    """Give a capture as it is read by itself, with its account and its order."""
    return {
        **capture,
        "payee": order["purchase_units"][0]["payee"],
        "supplementary_data": {"related_ids": {"order_id": order["id"]}},
    }


def new_refund(body: Object, capture: Object, *, refund_id: str, base: str, at: str) -> Object:
    """Make a refund that is done, of a checked body."""
    named: Object = {name: body[name] for name in ("custom_id", "invoice_id", "note_to_payer") if name in body}
    return {
        "id": refund_id,
        "status": "COMPLETED",
        "amount": body["amount"],
        **named,
        "seller_payable_breakdown": {"gross_amount": body["amount"], "net_amount": body["amount"]},
        "create_time": at,
        "update_time": at,
        "links": [
            {"href": f"{base}/v2/payments/refunds/{refund_id}", "rel": "self", "method": "GET"},
            {"href": f"{base}/v2/payments/captures/{capture['id']}", "rel": "up", "method": "GET"},
        ],
    }


def new_dispute(capture: Object, *, dispute_id: str, amount: Object, reason: str, at: str) -> Object:
    """Make a dispute that payer and seller talk about."""
    return {
        "dispute_id": dispute_id,
        "create_time": at,
        "update_time": at,
        "disputed_transactions": [
            {
                "seller_transaction_id": capture["id"],
                "buyer_transaction_id": capture["id"][::-1],
                "gross_amount": capture["amount"],
                "custom": capture["custom_id"],
            }
        ],
        "reason": reason,
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": amount,
        "dispute_life_cycle_stage": "INQUIRY",
        "dispute_channel": "INTERNAL",
    }


def shown_in_list(dispute: Object) -> Object:
    """Give a dispute as a list shows it: without payment and outcome, but with whose turn it is."""
    left_out = {"disputed_transactions", "dispute_outcome", "money_movements"}
    shown = {name: value for name, value in dispute.items() if name not in left_out}
    return {**shown, "dispute_state": _TURNS[dispute["status"]]}


def payment_row(capture: Object) -> Object:
    """Give a capture as the transaction search lists it."""
    breakdown = capture["seller_receivable_breakdown"]
    fee = breakdown["paypal_fee"]
    return _row(
        capture,
        code="T0006",
        amount=capture["amount"],
        fee_amount={**fee, "value": f"-{fee['value']}"},
        transaction_status="V" if capture["status"] == "REFUNDED" else "S",
    )


def refund_row(refund: Object, capture_id: str) -> Object:
    """Give a refund as the transaction search lists it."""
    amount = {**refund["amount"], "value": f"-{refund['amount']['value']}"}
    status = {"COMPLETED": "S", "PENDING": "P"}.get(refund["status"], "D")
    return _row(
        refund,
        code="T1107",
        amount=amount,
        paypal_reference_id=capture_id,
        paypal_reference_id_type="TXN",
        transaction_status=status,
    )


def _row(source: Object, *, code: str, amount: Object, **further: Any) -> Object:
    at = source["create_time"]
    named = {"custom_field": source.get("custom_id"), "invoice_id": source.get("invoice_id")}
    return {
        "transaction_info": {
            "transaction_id": source["id"],
            "transaction_event_code": code,
            "transaction_initiation_date": at,
            "transaction_updated_date": at,
            "transaction_amount": amount,
            **{name: value for name, value in named.items() if value is not None},
            **further,
        }
    }


def new_event(resource: Object, *, event_id: str, event_type: str, at: str) -> Object:
    """Make the event that tells of an object as it is now."""
    return {
        "id": event_id,
        "event_version": "1.0",
        "create_time": at,
        "resource_type": event_type.split(".")[1].lower(),
        "event_type": event_type,
        "summary": "Simulated",
        "resource": resource,
        "links": [],
    }


def refusal(name: str, *issues: str, debug_id: str = "f5a1c0de") -> Object:
    """Make the body of an error."""
    details = [{"issue": issue, "description": "Simulated."} for issue in issues]
    return {"name": name, "message": "Simulated.", "debug_id": debug_id, "details": details, "links": []}
