"""What a verified event of Stripe's is about: a reason to look, and ids that say where.

An event carries the object as it was, in the version of the endpoint; only ids
and our references are read from it, never an amount or a state. An object of
another application on the same account names no top-up of ours; its payment is
given all the same, for us to find that we know no such payment.

Sources: https://docs.stripe.com/api/events/types (which object a type carries),
https://docs.stripe.com/api/events/object (``livemode``, ``data.object``).
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from ..core.errors import WebhookRejected
from ..ports import GatewayEvent, Mode
from .signed import required_text
from .stripe_payments import INTENT_ID, SESSION_ID

Kind = Literal["payment", "refund", "dispute", "ignored"]

_KINDS: Final[dict[str, Kind]] = {
    "checkout.session": "payment",
    "payment_intent": "payment",
    "charge": "payment",
    "refund": "refund",
    "dispute": "dispute",
}
"""By the object that an event carries; no other object is about money of ours."""

_TOPUP_ID = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)


def read_event(event: dict[str, Any], *, mode: Mode) -> GatewayEvent:
    """Read what a verified event is about; its amounts and states are not looked at.

    Raises:
        WebhookRejected: Not an event, or of the other mode.
    """
    subject = subject_of(event, mode=mode)
    word = required_text(event, "type")
    kind = _kind_of(subject, word)
    hints = _hints(subject) if kind != "ignored" else {}
    return GatewayEvent(
        event_id=required_text(event, "id"), kind=kind if hints else "ignored", type=word, mode=mode, **hints
    )


def subject_of(event: dict[str, Any], *, mode: Mode) -> dict[str, Any]:
    """Give the object that a verified event of a mode is about.

    Raises:
        WebhookRejected: Not an event, of the other mode, or about nothing.
    """
    if event.get("object") != "event" or not isinstance(event.get("livemode"), bool):
        raise WebhookRejected("The body is no event of Stripe.")
    if event["livemode"] != (mode == "live"):
        raise WebhookRejected(f"The event is not of {mode} mode.", reason="wrong-mode")
    envelope = event.get("data")
    subject = envelope.get("object") if isinstance(envelope, dict) else None
    if not isinstance(subject, dict):
        raise WebhookRejected("The event is about nothing.")
    return subject


def _kind_of(subject: dict[str, Any], word: str) -> Kind:
    named = subject.get("object")
    if word == "charge.refunded" and named == "charge":
        return "refund"
    return _KINDS.get(named, "ignored") if isinstance(named, str) else "ignored"


def _hints(subject: dict[str, Any]) -> dict[str, str]:
    payment_id = _payment_in(subject)
    found = {"checkout_id": _checkout_in(subject), "payment_id": payment_id, "topup_id": _topup_in(subject)}
    return {name: hint for name, hint in found.items() if hint is not None}


def _checkout_in(subject: dict[str, Any]) -> str | None:
    # A PaymentIntent of an embedded form is its own checkout; one of a session is found nowhere by this id.
    patterns = {"checkout.session": SESSION_ID, "payment_intent": INTENT_ID}
    return _matching(patterns.get(subject["object"]), subject.get("id"))


def _payment_in(subject: dict[str, Any]) -> str | None:
    given = subject.get("id" if subject["object"] == "payment_intent" else "payment_intent")
    return _matching(INTENT_ID, given.get("id") if isinstance(given, dict) else given)


def _topup_in(subject: dict[str, Any]) -> str | None:
    metadata = subject.get("metadata")
    topup_id = metadata.get("topup_id") if isinstance(metadata, dict) else None
    echoed = subject.get("client_reference_id", topup_id)  # a session says it twice
    return _matching(_TOPUP_ID, topup_id) if echoed == topup_id else None


def _matching(pattern: re.Pattern[str] | None, value: object) -> str | None:
    return value if pattern is not None and isinstance(value, str) and pattern.fullmatch(value) else None
