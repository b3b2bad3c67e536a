"""Webhooks: what arrived, whether it is genuine, which top-up it wakes.

A webhook is a hint to look; nothing in it is believed. It is verified over its
raw bytes, recorded by the gateway's event id, and then settlement re-reads the
payment. The answer is a value with the HTTP status to give; nothing is raised,
whatever was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Literal

from attrs import frozen

from . import audit, settlement
from .config import MAX_WEBHOOK_BYTES, Context
from .core.errors import TransactionAborted, WebhookRejected
from .core.hashing import sha256
from .core.ids import looks_like_id
from .ports import Gateway, GatewayEvent
from .store import Duplicate, Tx, operations, topups

log = logging.getLogger("prepaid.webhooks")

WebhookOutcome = Literal[
    "credited", "pending", "review", "duplicate", "ignored", "mismatch", "rejected", "parked", "recorded", "unavailable"
]

_FINAL: Final = ("credited", "review", "duplicate", "ignored", "mismatch")
"""Outcomes after which the same event need not be looked at again."""


@frozen(kw_only=True)
class WebhookResult:
    """What became of a webhook.

    Attributes:
        status: HTTP status to answer with.
        outcome: What was done, in one word.
        event_id: The gateway's id of the event, once verified.
        topup_id: The top-up it was about, if one was found.
    """

    status: int
    outcome: WebhookOutcome
    event_id: str | None = None
    topup_id: str | None = None


def receive(
    context: Context, gateway_name: str, *, body: bytes, headers: Mapping[str, str] | Iterable[tuple[str, str]]
) -> WebhookResult:
    """Take one webhook as it arrived; never raises.

    Args:
        context: The billing system.
        gateway_name: Name of the gateway the URL belongs to.
        body: The bytes as received, before any parser saw them.
        headers: As received, in any case.
    """
    try:
        return _receive(context, gateway_name, body, headers)
    except Exception as error:
        # The gateway tries again; whatever is committed stays and is found by its keys.
        log.exception("webhook for gateway %r could not be handled", str(gateway_name)[:32])
        busy = isinstance(error, TransactionAborted)
        return WebhookResult(status=503 if busy else 500, outcome="unavailable")


def _receive(context: Context, gateway_name: object, body: object, headers: object) -> WebhookResult:
    gateway = context.gateways.get(gateway_name) if isinstance(gateway_name, str) else None
    if gateway is None:
        return WebhookResult(status=404, outcome="rejected")
    if not isinstance(body, bytes) or not body:
        return _reject(context, gateway, "no-body")
    if len(body) > MAX_WEBHOOK_BYTES:
        return _reject(context, gateway, "too-large", status=413)
    try:
        events = gateway.parse_webhook(_lower(headers), body)
    except WebhookRejected as refused:
        log.warning("webhook of %s rejected: %s", gateway.name, refused)
        # An event of the other mode came to the wrong address.
        status = 404 if refused.reason == "wrong-mode" else 400
        return _reject(context, gateway, refused.reason, status=status)
    results = [_handle(context, gateway, event, body) for event in events]
    return results[0] if results else WebhookResult(status=200, outcome="ignored")


def _lower(headers: object) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        return {str(name).lower(): str(value) for name, value in pairs}  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return {}


def _reject(context: Context, gateway: Gateway, reason: str, *, status: int = 400) -> WebhookResult:
    # Told once an hour, so that a flood of rubbish does not become a flood of rows.
    hour = context.now().strftime("%Y-%m-%dT%H")
    about = f"{gateway.name}/{reason}/{hour}"
    if context.database.read(lambda tx: audit.is_told(tx, about)):
        return WebhookResult(status=status, outcome="rejected")
    with suppress(Duplicate):
        context.database.write(
            lambda tx: audit.security(
                tx, context, gateway=gateway.name, reason=f"webhook-{reason}", target="", about=about
            )
        )
    return WebhookResult(status=status, outcome="rejected")


def _handle(context: Context, gateway: Gateway, event: GatewayEvent, body: bytes) -> WebhookResult:
    if not _record(context, gateway, event, body):
        return WebhookResult(status=200, outcome="duplicate", event_id=event.event_id)
    outcome, topup_id = _wake(context, gateway, event)
    now = context.now()
    context.database.write(
        lambda tx: operations.finish_event(
            tx, gateway=gateway.name, event_id=event.event_id, outcome=outcome, topup_id=topup_id, now=now
        )
    )
    return WebhookResult(status=200, outcome=outcome, event_id=event.event_id, topup_id=topup_id)


def _record(context: Context, gateway: Gateway, event: GatewayEvent, body: bytes) -> bool:
    """Record the event before acting on it; False if it was dealt with before."""

    def work(tx: Tx) -> bool:
        outcome = operations.event_outcome(tx, gateway.name, event.event_id)
        if outcome is None:
            operations.add_event(
                tx,
                gateway=gateway.name,
                event_id=event.event_id,
                type=event.type,
                body_sha256=sha256(body),
                now=context.now(),
            )
        return outcome not in _FINAL

    try:
        return context.database.write(work)
    except Duplicate:  # the same event at the same moment: settlement sorts the two out
        return context.database.write(work)


def _wake(context: Context, gateway: Gateway, event: GatewayEvent) -> tuple[WebhookOutcome, str | None]:
    topup_id = _topup_of(context, gateway, event) if event.kind == "payment" else None
    if topup_id is None:
        return "ignored", None
    settled = settlement.try_settle(context, topup_id)
    match settled.outcome:
        case "unreachable":
            return "recorded", topup_id  # a job looks again
        case "credited" | "duplicate" | "review" | "mismatch":
            return settled.outcome, topup_id
        case _:
            return "pending", topup_id


def _topup_of(context: Context, gateway: Gateway, event: GatewayEvent) -> str | None:
    """Find which top-up of this gateway an event is about: by checkout, else by the echoed reference."""

    def find(tx: Tx) -> str | None:
        found = None
        if event.checkout_id is not None:
            found = topups.find_by_checkout(tx, gateway.name, event.checkout_id)
        if found is None and event.topup_id is not None and looks_like_id(event.topup_id):
            found = topups.find(tx, event.topup_id)
        return found.topup.id if found is not None and found.topup.gateway == gateway.name else None

    return context.database.read(find)
