"""The bodies and headers of requests to PayPal, built from a request of the core alone: one key, one content.

Sources: https://developer.paypal.com/docs/api/orders/v2/ and
https://developer.paypal.com/docs/api/payments/v2/ (fields, their lengths and words).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from ..ports import CheckoutRequest, RefundRequest
from .limits import check_amount
from .paypal_currencies import LIMITS, money_on_wire

MAX_LINE: Final = 127
MAX_NOTE: Final = 255

_KEY = re.compile(r"[!-~]{1,108}", re.ASCII)
_LANGUAGE = re.compile(r"([a-z]{2})(?:[-_]([A-Z][a-z]{3}))?(?:[-_]([A-Z]{2}))?", re.ASCII)


def under_key(key: str) -> dict[str, str]:
    """Give the headers of a request that changes something: the whole object is wanted back, once per key."""
    return {"PayPal-Request-Id": request_id(key), "Prefer": "return=representation"}


def request_id(key: str) -> str:
    """Give the key as PayPal takes it: as it is, or its hash if that is too long or not ASCII.

    >>> request_id("prepaid:top_1:checkout")
    'prepaid:top_1:checkout'
    """
    return key if _KEY.fullmatch(key) else sha256(key.encode()).hexdigest()


def order_body(request: CheckoutRequest, *, brand_name: str) -> dict[str, Any]:
    """Build the body of an order.

    The invoice id is ours too: an account that refuses to take one twice is a
    second guard against paying one top-up twice.

    Raises:
        GatewayError: PayPal does not take the currency, or the amount.
    """
    check_amount(request.amount, LIMITS)
    unit: dict[str, Any] = {
        "reference_id": "default",
        "custom_id": request.topup_id,
        "invoice_id": request.topup_id,
        "amount": money_on_wire(request.amount),
    }
    if request.description:
        unit["description"] = request.description[:MAX_LINE]
    context = {
        "return_url": request.return_url,
        "cancel_url": request.cancel_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
    }
    locale = locale_of(request.locale)
    context |= {name: value for name, value in (("brand_name", brand_name), ("locale", locale)) if value}
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }


def refund_body(request: RefundRequest) -> dict[str, Any]:
    """Build the body of a refund.

    Raises:
        GatewayError: PayPal does not take the currency, or not so fine an amount.
    """
    body: dict[str, Any] = {
        "amount": money_on_wire(request.amount),
        "custom_id": request.refund_id,
        "invoice_id": request.refund_id,
    }
    if request.reason:
        body["note_to_payer"] = request.reason[:MAX_NOTE]
    return body


def locale_of(locale: str) -> str:
    """Give a language as PayPal writes it, or an empty string, which leaves it to PayPal.

    >>> locale_of("pt_BR"), locale_of("de"), locale_of("zh_Hant_TW"), locale_of("tlh")
    ('pt-BR', 'de', 'zh-Hant-TW', '')
    """
    tag = _LANGUAGE.fullmatch(locale)
    return "-".join(part for part in tag.groups() if part) if tag else ""
