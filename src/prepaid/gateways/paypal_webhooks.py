"""Webhooks of PayPal: what their headers must look like, how they are sent back to be verified, what they are about.

PayPal verifies a webhook that is posted back to it, byte for byte: the body is
therefore put into the request as it arrived, never parsed and written anew. The
signature covers no more than a checksum of 32 bits of the body, so that nothing
in it is believed either way.

Sources: https://developer.paypal.com/api/rest/webhooks/rest/ (headers, post-back,
retries over three days); https://developer.paypal.com/docs/api/webhooks/v1/
(lengths); https://developer.paypal.com/api/rest/webhooks/event-names/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from ..core.errors import WebhookRejected
from ..ports import GatewayEvent, Mode
from .credentials import is_loopback
from .paypal_payments import OBJECT_ID, linked_capture, parse_time
from .signed import required_text, strict_json_object

MAX_BODY: Final = 262_144
"""Longest body that is sent back, in bytes."""
OLDEST: Final = timedelta(days=4)
"""Age up to which a webhook is accepted: PayPal tries for three days, and may keep the first time."""
FUTURE: Final = timedelta(minutes=5)

CERT_HOSTS: Final[Mapping[Mode, frozenset[str]]] = {
    "live": frozenset({"api.paypal.com", "api-m.paypal.com"}),
    "test": frozenset({"api.sandbox.paypal.com", "api-m.sandbox.paypal.com"}),
}

_HEADERS: Final = {
    "auth_algo": ("paypal-auth-algo", re.compile("SHA256withRSA", re.ASCII)),
    "cert_url": ("paypal-cert-url", re.compile("[!-~]{1,500}", re.ASCII)),
    "transmission_id": ("paypal-transmission-id", re.compile("[A-Za-z0-9-]{1,50}", re.ASCII)),
    "transmission_sig": ("paypal-transmission-sig", re.compile("[A-Za-z0-9+/]{1,498}={0,2}", re.ASCII)),
    "transmission_time": ("paypal-transmission-time", re.compile("[!-~]{20,40}", re.ASCII)),
}
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)

Kind = Literal["payment", "refund", "dispute", "ignored"]

_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("CHECKOUT.ORDER.", "payment"),
    ("CHECKOUT.PAYMENT-APPROVAL.", "payment"),
    ("PAYMENT.CAPTURE.REFUNDED", "refund"),
    ("PAYMENT.CAPTURE.REVERSED", "dispute"),
    ("PAYMENT.CAPTURE.", "payment"),
    ("PAYMENT.REFUND.", "refund"),
    ("CUSTOMER.DISPUTE.", "dispute"),
)
"""By the begin of an event's type; the first that fits."""


def check_headers(headers: Mapping[str, str], *, mode: Mode, api_base: str | None, now: datetime) -> dict[str, str]:
    """Give the fields of a verification that stand in a webhook's headers.

    Args:
        headers: Names in lower case.
        mode: Whose hosts the certificate may lie on.
        api_base: A simulator's, whose host is then allowed too, or None.
        now: Our time.

    Raises:
        WebhookRejected: One is missing or malformed, the certificate is not
            PayPal's, or the time is too old or in the future.
    """
    fields = {name: _header(headers, *rule) for name, rule in _HEADERS.items()}
    if not _is_host_of_certificates(fields["cert_url"], mode=mode, api_base=api_base):
        # Nothing is believed of it; but whoever set the other mode's webhook up for this address is to be told.
        other: Mode = "test" if mode == "live" else "live"
        strayed = _is_host_of_certificates(fields["cert_url"], mode=other, api_base=None)
        raise WebhookRejected(
            f"The certificate of the webhook is not on a host of PayPal's in {mode} mode.",
            reason="wrong-mode" if strayed else "not-genuine",
        )
    try:
        sent_at = parse_time(fields["transmission_time"])
    except ValueError:
        raise WebhookRejected("The transmission time is no date and time.") from None
    if not now - OLDEST <= sent_at <= now + FUTURE:
        raise WebhookRejected("The transmission time is too old, or lies in the future.")
    return fields


def check_body(body: bytes) -> dict[str, Any]:
    """Read a webhook's body, proving that it is one JSON object and nothing else.

    Raises:
        WebhookRejected: It is not, or is too long.
    """
    if not isinstance(body, bytes) or len(body) > MAX_BODY:
        raise WebhookRejected(f"The body is no bytes, or longer than {MAX_BODY}.")
    return strict_json_object(body)


def verification(fields: Mapping[str, str], webhook_id: str, body: bytes) -> bytes:
    """Build the request that asks PayPal whether it sent ``body``, which goes in as it is.

    >>> verification({"auth_algo": "x"}, "W1", b'{"a":1.0}')
    b'{"auth_algo":"x","webhook_id":"W1","webhook_event":{"a":1.0}}'
    """
    head = json.dumps({**fields, "webhook_id": webhook_id}, separators=(",", ":")).encode()
    return head[:-1] + b',"webhook_event":' + body + b"}"


def read_events(event: dict[str, Any]) -> Sequence[GatewayEvent]:
    """Read what a verified event is about; its amounts and states are not looked at.

    Raises:
        WebhookRejected: Not an event.
    """
    event_id, event_type = required_text(event, "id"), required_text(event, "event_type")
    resource = event.get("resource")
    if not isinstance(resource, dict):
        raise WebhookRejected("The event is about nothing.")
    kind = _kind_of(event_type)
    if kind == "dispute" and "disputed_transactions" in resource:
        return _disputes(event_id, event_type, resource["disputed_transactions"])
    order_id, payment_id, topup_id = _ids(event_type, resource, kind)
    known = bool(order_id or payment_id or topup_id)
    return (
        GatewayEvent(
            event_id=event_id,
            kind=kind if known else "ignored",
            type=event_type,
            checkout_id=order_id,
            payment_id=payment_id,
            topup_id=topup_id,
        ),
    )


def _kind_of(event_type: str) -> Kind:
    return next((kind for begin, kind in _KINDS if event_type.startswith(begin)), "ignored")


def _header(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise WebhookRejected(f"The header {name} is missing or malformed.")
    return value


def _is_host_of_certificates(url: str, *, mode: Mode, api_base: str | None) -> bool:
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        return False
    if api_base is not None and is_loopback(api_base) and origin == api_base:
        return True
    # The whole network location, so that neither a user nor a port hides in it.
    return parts.scheme == "https" and parts.netloc in CERT_HOSTS[mode]


def _ids(event_type: str, resource: dict[str, Any], kind: Kind) -> tuple[str | None, str | None, str | None]:
    """Give the ids of order and capture and our reference, as far as an event names them."""
    if kind == "ignored":
        return None, None, None
    if event_type.startswith("CHECKOUT.ORDER."):
        return _object_id(resource.get("id")), None, _reference(_first(resource.get("purchase_units")))
    if event_type.startswith("CHECKOUT."):
        return _object_id(resource.get("order_id")), None, _reference(_first(resource.get("purchase_units")))
    order_id = _object_id(_dict(_dict(resource.get("supplementary_data")).get("related_ids")).get("order_id"))
    # The resource of a refund is itself no payment: its link leads to the one it is of. That of a reversal may be.
    payment_id = linked_capture(resource) if kind != "payment" else None
    if payment_id is None and kind != "refund":
        payment_id = _object_id(resource.get("id"))
    return order_id, payment_id, _reference(resource)


def _disputes(event_id: str, event_type: str, disputed: object) -> tuple[GatewayEvent, ...]:
    items = [_dict(item) for item in disputed] if isinstance(disputed, list) else []
    found = [(_object_id(item.get("seller_transaction_id")), _matching(item.get("custom"))) for item in items]
    return tuple(
        GatewayEvent(
            event_id=event_id if number == 0 else f"{event_id}/{number}",
            kind="dispute" if payment_id or topup_id else "ignored",
            type=event_type,
            payment_id=payment_id,
            topup_id=topup_id,
        )
        for number, (payment_id, topup_id) in enumerate(found or [(None, None)])
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: object) -> dict[str, Any]:
    return _dict(value[0]) if isinstance(value, list) and value else {}


def _object_id(value: object) -> str | None:
    return value if isinstance(value, str) and OBJECT_ID.fullmatch(value) else None


def _reference(resource: dict[str, Any]) -> str | None:
    return _matching(resource.get("custom_id"))


def _matching(value: object) -> str | None:
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None
