"""What Razorpay signs: what the browser brings back, and webhooks.

Both signatures are HMACs in hexadecimal, by two secrets that are not the same:
the key secret signs ``order|payment`` for the browser, the webhook's own secret
signs the raw body of an event. Neither covers a time of sending; an event holds
the time at which it happened, and is tried again for a day.

Sources: https://razorpay.com/docs/payments/payment-gateway/web-integration/standard/integration-steps/
(which order id to verify with: the one stored on our server);
https://razorpay.com/docs/webhooks/validate-test/ (signature, old secrets,
``x-razorpay-event-id``); https://razorpay.com/docs/webhooks/best-practices/
(repeated for 24 hours, in any order); https://razorpay.com/docs/webhooks/payments/,
https://razorpay.com/docs/webhooks/refunds/, https://razorpay.com/docs/webhooks/disputes/.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from ..core.errors import WebhookRejected
from ..core.instants import to_micros
from ..ports import GatewayEvent, ReturnHint
from .razorpay_payments import LATEST, ORDER_ID, PAYMENT_ID, our_id
from .signed import required_text, strict_json_object

OLDEST_S: Final = 4 * 86_400
"""Age at which an event is too old: it is sent again for one day, and its payment may be late by three."""
EARLIEST_S: Final = 300
"""How far an event's time may lie ahead of ours."""

_SECOND: Final = 1_000_000
_CLAIMS: Final = ("razorpay_payment_id", "razorpay_order_id", "razorpay_signature")
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EVENT_ID = re.compile(r"[!-~]{1,128}", re.ASCII)

_Kind = Literal["payment", "refund", "dispute", "ignored"]

_KINDS: Final[Mapping[str, _Kind]] = {
    "payment.authorized": "payment",
    "payment.captured": "payment",
    "payment.failed": "payment",
    "order.paid": "payment",
    "refund.created": "refund",
    "refund.processed": "refund",
    "refund.failed": "refund",
    "refund.speed_changed": "refund",
    "payment.dispute.created": "dispute",
    "payment.dispute.under_review": "dispute",
    "payment.dispute.action_required": "dispute",
    "payment.dispute.won": "dispute",
    "payment.dispute.lost": "dispute",
    "payment.dispute.closed": "dispute",
}


def read_return(params: object, *, order_id: str, secret: str) -> ReturnHint:
    """Verify what the browser brought back, over the order that we stored.

    Args:
        params: Parameters of the URL and of a posted form, however odd.
        order_id: Order of the top-up, as stored.
        secret: Our key secret.
    """
    if not isinstance(params, Mapping) or not any(name in params for name in _CLAIMS):
        return ReturnHint()
    payment_id, signature = params.get("razorpay_payment_id"), params.get("razorpay_signature")
    if params.get("razorpay_order_id", order_id) != order_id or not _is_form(PAYMENT_ID, payment_id):
        return ReturnHint(genuine=False)
    if not _is_signed(f"{order_id}|{payment_id}".encode(), signature, [secret]):
        return ReturnHint(genuine=False)
    return ReturnHint(genuine=True, payment_id=payment_id)


def read_webhook(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime) -> GatewayEvent:
    """Verify an event over its raw bytes and say what to look up.

    Args:
        headers: Names in lower case.
        body: The bytes as received, before anything parsed them.
        secrets: Several while one replaces another.
        now: Our time.

    Raises:
        WebhookRejected: Not signed by us, too old, from the future, or not readable.
    """
    if not isinstance(body, bytes):
        raise WebhookRejected("The body is not the bytes as received.")
    if not _is_signed(body, headers.get("x-razorpay-signature"), secrets):
        raise WebhookRejected("The body is not signed with one of our webhook secrets.")
    event = strict_json_object(body)
    if event.get("entity") != "event":
        raise WebhookRejected("The body is no event of Razorpay.")
    _check_age(event.get("created_at"), now)
    return _read_event(event, event_id=_event_id(headers, body))


def _is_signed(content: bytes, signature: object, secrets: Sequence[str]) -> bool:
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return False
    ours = [hmac.new(secret.encode(), content, hashlib.sha256).hexdigest() for secret in secrets if secret.strip()]
    return any(hmac.compare_digest(digest.encode(), signature.encode()) for digest in ours)


def _check_age(created_at: object, now: datetime) -> None:
    if type(created_at) is not int or not 0 <= created_at <= LATEST:
        raise WebhookRejected("The event's created_at is not a Unix time.")
    age = to_micros(now) - created_at * _SECOND
    if age > OLDEST_S * _SECOND:
        raise WebhookRejected(f"The event is older than {OLDEST_S} s.")
    if age < -EARLIEST_S * _SECOND:
        raise WebhookRejected(f"The event is more than {EARLIEST_S} s in the future.")


def _event_id(headers: Mapping[str, str], body: bytes) -> str:
    told = headers.get("x-razorpay-event-id")
    if told is None:
        return f"sha256:{hashlib.sha256(body).hexdigest()}"
    if not _is_form(_EVENT_ID, told):
        raise WebhookRejected("The event's id is not a word of at most 128 characters.")
    return told


def _read_event(event: dict[str, Any], *, event_id: str) -> GatewayEvent:
    name = required_text(event, "event")
    order, payment = _entity(event, "order"), _entity(event, "payment")
    refund, dispute = _entity(event, "refund"), _entity(event, "dispute")
    kind = _KINDS.get(name, "ignored")
    checkout_id = _first(ORDER_ID, order.get("id"), payment.get("order_id"))
    payment_id = _first(PAYMENT_ID, payment.get("id"), refund.get("payment_id"), dispute.get("payment_id"))
    topup_id = _topup_in(order) or _topup_in(payment)
    if kind == "payment" and not (checkout_id or topup_id):
        kind = "ignored"
    if kind in {"refund", "dispute"} and not payment_id:
        kind = "ignored"
    return GatewayEvent(
        event_id=event_id,
        kind=kind,
        type=name,
        checkout_id=checkout_id,
        payment_id=payment_id,
        topup_id=topup_id,
    )


def _entity(event: dict[str, Any], name: str) -> dict[str, Any]:
    payload = event.get("payload")
    envelope = payload.get(name) if isinstance(payload, dict) else None
    entity = envelope.get("entity") if isinstance(envelope, dict) else None
    return entity if isinstance(entity, dict) else {}


def _first(form: re.Pattern[str], *values: object) -> str | None:
    return next((value for value in values if isinstance(value, str) and form.fullmatch(value)), None)


def _topup_in(entity: dict[str, Any]) -> str | None:
    notes = entity.get("notes")
    topup_id = our_id(notes, "topup_id") if isinstance(notes, dict) else None
    return topup_id if entity.get("receipt", topup_id) == topup_id else None  # an order says it twice


def _is_form(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
