"""What PayPal takes in a request: the published limits of the fields that a payment needs, as tables of facts.

A field that is not in a table is refused, so that an adapter cannot send what
nobody has looked up.

Sources: https://github.com/paypal/paypal-rest-api-specifications,
``openapi/checkout_orders_v2.json`` (schemas ``order_request``,
``purchase_unit_request``, ``paypal_wallet_experience_context``, ``language``)
and ``openapi/payments_payment_v2.json`` (``refund_request``), as of February
2024; https://developer.paypal.com/api/rest/reference/currency-codes/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .paypal_objects import CURRENCIES, NO_DECIMALS, Object, refusal

ORDER_FIELDS: Final[Mapping[str, str]] = {
    "intent": "CAPTURE|AUTHORIZE",
    "purchase_units.reference_id": ".{1,256}",
    "purchase_units.description": ".{1,127}",
    "purchase_units.custom_id": ".{1,127}",
    "purchase_units.invoice_id": ".{1,127}",
    "purchase_units.soft_descriptor": ".{1,22}",
    "purchase_units.amount.currency_code": ".{3}",
    "purchase_units.amount.value": r"(?=.{1,32}$)((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))",
    "payment_source.paypal.experience_context.brand_name": ".{1,127}",
    "payment_source.paypal.experience_context.locale": (
        "(?=.{2,10}$)[a-z]{2}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?"
    ),
    "payment_source.paypal.experience_context.shipping_preference": "GET_FROM_FILE|NO_SHIPPING|SET_PROVIDED_ADDRESS",
    "payment_source.paypal.experience_context.landing_page": "LOGIN|GUEST_CHECKOUT|NO_PREFERENCE",
    "payment_source.paypal.experience_context.user_action": "CONTINUE|PAY_NOW",
    "payment_source.paypal.experience_context.payment_method_preference": "UNRESTRICTED|IMMEDIATE_PAYMENT_REQUIRED",
    "payment_source.paypal.experience_context.return_url": "https?://.+",
    "payment_source.paypal.experience_context.cancel_url": "https?://.+",
}
"""Form of each field of an order, by its path."""

REFUND_FIELDS: Final[Mapping[str, str]] = {
    "amount.currency_code": ".{3}",
    "amount.value": ORDER_FIELDS["purchase_units.amount.value"],
    "custom_id": ".{1,127}",
    "invoice_id": ".{1,127}",
    "note_to_payer": ".{1,255}",
}
"""Form of each field of a refund, by its path."""


class Refused(Exception):
    """A request that PayPal refuses, with status and body of its answer."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def refused(status: int, name: str, *issues: str) -> Refused:
    """Make the exception for an answer in PayPal's form of errors."""
    return Refused(status, refusal(name, *issues))


def check_order(body: Object) -> None:
    """Refuse the body of an order that PayPal would refuse.

    Raises:
        Refused: A field is unknown, missing, or not as PayPal takes it.
    """
    _check_fields(body, ORDER_FIELDS)
    units = body.get("purchase_units")
    if body.get("intent") is None or not units:
        raise refused(400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER")
    if len(units) != 1 or "amount" not in units[0]:
        raise refused(400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER")
    check_amount(units[0]["amount"])


def check_refund(body: Object) -> None:
    """Refuse the body of a refund that PayPal would refuse.

    Raises:
        Refused: As `check_order`.
    """
    _check_fields(body, REFUND_FIELDS)
    if "amount" in body:
        check_amount(body["amount"])


def check_amount(amount: Object) -> None:
    """Refuse an amount that PayPal cannot take.

    Raises:
        Refused: Of another currency, not positive, or too fine.
    """
    currency, value = amount["currency_code"], amount["value"]
    if currency not in CURRENCIES:
        raise refused(422, "UNPROCESSABLE_ENTITY", "CURRENCY_NOT_SUPPORTED")
    decimals = value.partition(".")[2]
    if decimals and currency in NO_DECIMALS:
        raise refused(422, "UNPROCESSABLE_ENTITY", "DECIMALS_NOT_SUPPORTED")
    if len(decimals) > 2:
        raise refused(422, "UNPROCESSABLE_ENTITY", "DECIMAL_PRECISION")
    if value.startswith("-") or not value.strip("0."):
        raise refused(422, "UNPROCESSABLE_ENTITY", "CANNOT_BE_ZERO_OR_NEGATIVE")


def raw_member(text: str, name: str) -> str:
    """Cut the value of a member of a JSON object out as it is written.

    >>> raw_member('{"a": 1, "event": {"x": 10.0}}', "event")
    '{"x": 10.0}'

    Raises:
        KeyError: There is no such member.
    """
    decoder, at = json.JSONDecoder(), text.index("{") + 1
    while True:
        at = _past_blanks(text, at, ",")
        if text[at] == "}":
            raise KeyError(name)
        key, at = decoder.raw_decode(text, at)
        start = _past_blanks(text, at, ":")
        _, at = decoder.raw_decode(text, start)
        if key == name:
            return text[start:at]


def _past_blanks(text: str, at: int, separator: str) -> int:
    while text[at] in f" \t\r\n{separator}":
        at += 1
    return at


def _check_fields(body: Object, fields: Mapping[str, str]) -> None:
    for path, value in _leaves(body):
        form = fields.get(path)
        if form is None:
            raise refused(400, "INVALID_REQUEST", "NOT_SUPPORTED")
        if not isinstance(value, str) or not re.fullmatch(form, value, re.DOTALL):
            raise refused(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE")


def _leaves(node: Any, above: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(child, f"{above}.{name}" if above else name)
    elif isinstance(node, list):
        for child in node:
            yield from _leaves(child, above)
    else:
        yield above, node
