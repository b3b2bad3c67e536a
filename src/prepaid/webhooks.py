"""Webhooks: what arrived, whether it is genuine, which top-up or identity case it wakes.

A webhook is a hint to look; nothing in it is believed. It is verified over its
raw bytes, recorded by the gateway's event id with what it tells to look up, and
then settlement re-reads the payment (`prepaid.waking`). The answer is a value
with the HTTP status to give; nothing is raised, whatever was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal, cast

from attrs import field, frozen

from . import audit, verification, waking
from .config import MAX_WEBHOOK_BYTES, Context
from .core.errors import GatewayError, TransactionAborted, WebhookRejected
from .core.hashing import sha256
from .core.schedule import next_look
from .identity_ports import IdentityEvent, IdentityProvider
from .ports import Gateway, GatewayEvent
from .store import Duplicate, Tx, webhook_events
from .store.webhook_events import StoredEvent
from .system import in_time, threads_in_time

log = logging.getLogger("prepaid.webhooks")

MOST_AT_ONCE: Final = 200
"""Webhooks that a process handles at once: one whose answer did not wait for its work still counts."""

WebhookOutcome = Literal[waking.EventOutcome, "identity", "rejected", "unavailable"]


@frozen(kw_only=True)
class WebhookResult:
    """What became of a webhook.

    Attributes:
        status: HTTP status to answer with.
        outcome: What was done, in one word; ``"parked"`` if its top-up is not
            known yet, ``"recorded"`` if its gateway could not be asked in time:
            a job goes on with both. ``"identity"`` if an identity case was looked at.
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
    """Take one webhook as it arrived; never raises, and answers within the context's budget.

    Args:
        context: The billing system.
        gateway_name: Name of the gateway, or identity provider, the URL belongs to.
        body: The bytes as received, before any parser saw them.
        headers: As received, in any case.
    """
    if threads_in_time() >= MOST_AT_ONCE:  # a flood, or a gateway that hangs: it is sent again
        log.error("webhook for gateway %r refused: %d are being handled", str(gateway_name)[:32], MOST_AT_ONCE)
        return WebhookResult(status=503, outcome="unavailable")
    known, sent = _Known(), _Sent(body, headers)
    del body, headers  # a tracker of errors shows the variables of this frame
    try:
        finished = in_time(lambda: _receive(context, gateway_name, sent, known=known), context.webhook_budget_s)
    except Exception as error:
        # The gateway tries again; whatever is committed stays and is found by its keys.
        log.exception("webhook for gateway %r could not be handled", str(gateway_name)[:32])
        busy = isinstance(error, TransactionAborted)
        return WebhookResult(status=503 if busy else 500, outcome="unavailable")
    if finished is not None:
        return finished
    if known.event_id is None:
        return WebhookResult(status=503, outcome="unavailable")
    return WebhookResult(status=200, outcome="recorded", event_id=known.event_id)


@frozen
class _Sent:
    """What arrived: it may hold what a payer typed, and what signs it, and is shown nowhere.

    Attributes:
        body: The bytes, or whatever a host takes for them.
        headers: With names in any case.
    """

    body: object = field(repr=False)
    headers: object = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The body, once it was seen to be bytes."""
        return cast(bytes, self.body)


class _Known:
    """What a webhook that is still being handled is known to be: its event, once a job goes on with it."""

    event_id: str | None = None


def _receive(context: Context, gateway_name: object, sent: _Sent, *, known: _Known) -> WebhookResult:
    name = gateway_name if isinstance(gateway_name, str) else ""
    sender = context.gateways.get(name) or context.identity_providers.get(name)
    if sender is None:
        return WebhookResult(status=404, outcome="rejected")
    if not isinstance(sent.body, bytes) or not sent.body:
        return _reject(context, sender, "no-body")
    if len(sent.body) > MAX_WEBHOOK_BYTES:
        return _reject(context, sender, "too-large", status=413)
    try:
        return _handle(context, sender, sent, known=known)
    except WebhookRejected as refused:
        log.warning("webhook of %s rejected: %s", sender.name, refused)
        # An event of the other mode came to the wrong address.
        status = 404 if refused.reason == "wrong-mode" else 400
        return _reject(context, sender, refused.reason, status=status)
    except GatewayError as error:
        log.warning("webhook of %s cannot be verified now: %s", sender.name, error)
        return WebhookResult(status=503, outcome="unavailable")


def _handle(context: Context, sender: Gateway | IdentityProvider, sent: _Sent, *, known: _Known) -> WebhookResult:
    # What was sent is named nowhere else: a tracker of errors shows the variables of this frame, too.
    if isinstance(sender, IdentityProvider):
        return _look(context, sender, sender.parse_webhook(_lower(sent.headers), sent.raw), known=known)
    events = sender.parse_webhook(_lower(sent.headers), sent.raw)
    return _settle(context, sender, events, sha256(sent.raw), known=known)


def _settle(
    context: Context, gateway: Gateway, events: Sequence[GatewayEvent], digest: str, *, known: _Known
) -> WebhookResult:
    # All are recorded before the first is handled: whatever that takes, a job comes to each.
    recorded = [(event, _record(context, gateway, event, digest)) for event in events]
    known.event_id = next((stored.event_id for _, stored in recorded if stored is not None), None)
    results = [_take(context, gateway, event, stored) for event, stored in recorded]
    return results[0] if results else WebhookResult(status=200, outcome="ignored")


def _look(
    context: Context, provider: IdentityProvider, events: Sequence[IdentityEvent], *, known: _Known
) -> WebhookResult:
    """Look at the identity cases that a webhook tells of; a job looks at each should we not come to it."""
    noted = [(event, verification.note(context, provider, event)) for event in events]
    known.event_id = next((event.event_id for event, case in noted if case is not None), None)
    results = [
        WebhookResult(status=200, outcome=verification.heard(context, case), event_id=event.event_id)
        for event, case in noted
    ]
    return results[0] if results else WebhookResult(status=200, outcome="ignored")


def _lower(headers: object) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        return {str(name).lower(): str(value) for name, value in pairs}  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return {}


def _reject(context: Context, gateway: Gateway | IdentityProvider, reason: str, *, status: int = 400) -> WebhookResult:
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


def _take(context: Context, gateway: Gateway, event: GatewayEvent, recorded: StoredEvent | None) -> WebhookResult:
    if recorded is None:
        return WebhookResult(status=200, outcome="duplicate", event_id=event.event_id)
    outcome, topup_id = waking.handle(context, gateway, recorded)
    return WebhookResult(status=200, outcome=outcome, event_id=event.event_id, topup_id=topup_id)


def _record(context: Context, gateway: Gateway, event: GatewayEvent, digest: str) -> StoredEvent | None:
    """Record the event before acting on it; None if it was dealt with before."""
    now = context.now()
    fresh = StoredEvent(
        gateway=gateway.name,
        event_id=event.event_id,
        kind=event.kind,
        checkout_id=event.checkout_id,
        payment_id=event.payment_id,
        reference=event.topup_id,
        outcome="received",
        attempts=0,
        received_at=now,
    )

    def work(tx: Tx) -> StoredEvent | None:
        stored = webhook_events.find(tx, gateway.name, event.event_id)
        if stored is not None:
            return None if stored.outcome in waking.FINAL else stored
        # Due again soon: whoever handles it now may not come to its end.
        webhook_events.add(tx, fresh, type=event.type, body_sha256=digest, next_at=now + next_look(0))
        return fresh

    try:
        return context.database.write(work)
    except Duplicate:  # the same event at the same moment: settlement sorts the two out
        return context.database.write(work)
