"""Which requests `StripeSimulator` refuses, as Stripe would: unknown parameters, impossible sums, refunds of too much.

Sources: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes
(what a refusal says); https://docs.stripe.com/currencies (which amounts are
refused); https://docs.stripe.com/api/checkout/sessions/create (limits of an
expiry); https://docs.stripe.com/refunds (never more than was charged).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from .loopback import Answer
from .stripe_objects import Object, refusal

KEY_KEPT_S: Final = 86_400
MAX_NUMBER: Final = 99_999_999

SESSION_PARAMETERS: Final = frozenset(
    "adaptive_pricing.enabled cancel_url client_reference_id customer_email expand expires_at line_items.quantity "
    "line_items.price_data.currency line_items.price_data.unit_amount line_items.price_data.product_data.name locale "
    "metadata.* mode payment_intent_data.metadata.* submit_type success_url".split()
)
INTENT_PARAMETERS: Final = frozenset(
    "amount automatic_payment_methods.enabled currency description expand metadata.*".split()
)
REFUND_PARAMETERS: Final = frozenset("amount charge expand metadata.* payment_intent reason".split())
LIST_PARAMETERS: Final = frozenset(
    "created created.gt created.gte created.lt created.lte expand limit payment_intent starting_after".split()
)

_SPECIAL_STEPS: Final = {"isk": 100, "ugx": 100} | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10)
_LEAST: Final = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "huf": 17_500}
_REASONS: Final = frozenset({None, "duplicate", "fraudulent", "requested_by_customer"})


class Refused(Exception):
    """A request that Stripe refuses, with the answer it gives."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(status)
        self.answer = Answer.of_json(body, status=status)


def check_known(params: Object, known: frozenset[str]) -> None:
    """Refuse a parameter that is not known, as Stripe does.

    Raises:
        Refused: There is one.
    """
    for path in _paths(params):
        if path not in known and f"{path.rpartition('.')[0]}.*" not in known:
            message = f"Received unknown parameter: {path}"
            raise Refused(400, refusal(message, code="parameter_unknown", param=path))


def _paths(node: Any, above: str = "") -> Iterable[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _paths(child, f"{above}.{name}" if above else name)
    elif isinstance(node, list):
        for child in node:
            yield from _paths(child, above)
    else:
        yield above


def check_session(params: Object, *, now: int) -> None:
    """Refuse a Checkout Session that could not be paid.

    Raises:
        Refused: A parameter is missing or wrong.
    """
    if params.get("mode") != "payment" or not params.get("success_url") or not params.get("line_items"):
        raise Refused(400, refusal("Missing required param.", code="parameter_missing"))
    price = params["line_items"][0].get("price_data", {})
    where = "line_items[0][price_data]"
    _check_price(price.get("unit_amount", ""), price.get("currency", ""), param=f"{where}[unit_amount]")
    expires_at = int(params.get("expires_at", now + KEY_KEPT_S))
    if not now + 1800 <= expires_at <= now + KEY_KEPT_S:
        message = "The `expires_at` timestamp must lie between 30 minutes and 24 hours from Checkout Session creation."
        raise Refused(400, refusal(message, param="expires_at"))


def check_intent(params: Object) -> None:
    """Refuse a PaymentIntent that could not be paid.

    Raises:
        Refused: A parameter is missing or wrong.
    """
    for name in ("amount", "currency"):
        if not params.get(name):
            raise Refused(400, refusal(f"Missing required param: {name}.", code="parameter_missing", param=name))
    _check_price(params["amount"], params["currency"], param="amount")


def refund_number(params: Object, charge: Object, *, refundable: bool) -> int:
    """Give how many units a refund takes, by default all that are left.

    Raises:
        Refused: More than is left, nothing is left, or the charge is disputed.
    """
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not refundable:
        raise Refused(400, refusal("The charge has been charged back.", code="charge_disputed"))
    if left == 0:
        raise Refused(400, refusal("The charge has already been refunded.", code="charge_already_refunded"))
    number = whole_number(params.get("amount", str(left)), param="amount")
    if number > left:
        raise Refused(400, refusal("The refund is greater than the unrefunded amount.", param="amount"))
    if params.get("reason") not in _REASONS:
        raise Refused(400, refusal("Invalid reason.", param="reason"))
    return number


def whole_number(written: str, *, param: str, step: int = 1) -> int:
    """Read a number above zero.

    Raises:
        Refused: It is none, or no multiple of ``step``.
    """
    if not re.fullmatch("[0-9]{1,15}", written) or int(written) % step or int(written) == 0:
        message = f"Invalid integer: {written}"
        raise Refused(400, refusal(message, code="parameter_invalid_integer", param=param))
    return int(written)


def _check_price(number: str, currency: str, *, param: str) -> None:
    if not re.fullmatch("[a-z]{3}", currency):
        raise Refused(400, refusal(f"Invalid currency: {currency}", param="currency"))
    units = whole_number(number, param=param, step=_SPECIAL_STEPS.get(currency, 1))
    if units < _LEAST.get(currency, 1):
        raise Refused(400, refusal("The amount is too small.", code="amount_too_small", param=param))
    if units > MAX_NUMBER:
        raise Refused(400, refusal("The amount is too large.", code="amount_too_large", param=param))
