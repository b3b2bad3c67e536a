"""What a recorded event wakes: a settlement, a look at refunds and disputes; now, or again later.

An event that cannot be handled now, because its gateway cannot be asked or its
top-up is not known yet, keeps what it tells to look up and is handled again by
a job, on the schedule of `prepaid.core.schedule`.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final, Literal

from . import gateway_facts, settlement
from .config import Context
from .core.errors import GatewayError
from .core.ids import looks_like_id
from .core.schedule import next_look
from .core.states import PAID_STATES
from .core.topups import Topup
from .ports import Gateway
from .store import Tx, topups, webhook_events
from .store.topups import StoredTopup
from .store.webhook_events import StoredEvent

log = logging.getLogger("prepaid.webhooks")

EventOutcome = Literal["credited", "pending", "review", "duplicate", "ignored", "mismatch", "parked", "recorded"]

FINAL: Final = ("credited", "review", "duplicate", "ignored", "mismatch")
"""Outcomes after which the same event need not be looked at again."""

MOST_ATTEMPTS: Final = 32
"""How often an event is handled before an operator has to look: about four days."""

EVENTS_AT_ONCE: Final = 50


def handle(context: Context, gateway: Gateway, event: StoredEvent) -> tuple[EventOutcome, str | None]:
    """Do what an event tells, and record what became of it and whether it is handled again."""
    outcome, topup_id = _wake(context, gateway, event)
    now, next_at = context.now(), None
    if outcome in ("parked", "recorded"):
        next_at = _next_at(context, event)
        if next_at is None:
            _give_up(event)
    context.database.write(
        lambda tx: webhook_events.finish(tx, event, outcome=outcome, topup_id=topup_id, next_at=next_at, now=now)
    )
    return outcome, topup_id


def due(context: Context) -> list[StoredEvent]:
    """Give events whose time to be handled again has come, longest waiting first."""
    return context.database.read(lambda tx: webhook_events.due(tx, context.now(), limit=EVENTS_AT_ONCE))


def put_off(context: Context, event: StoredEvent) -> None:
    """Leave an event for the next run, without having handled it."""
    later = context.now() + next_look(0)
    context.database.write(lambda tx: webhook_events.postpone(tx, event, later))


def _next_at(context: Context, event: StoredEvent) -> datetime | None:
    """Say when an event is handled again; never, if that was in vain too often."""
    return context.now() + next_look(event.attempts) if event.attempts + 1 < MOST_ATTEMPTS else None


def _give_up(event: StoredEvent) -> None:
    log.error("event %s of %s was handled %d times in vain", event.event_id, event.gateway, MOST_ATTEMPTS)


def handle_again(context: Context, event: StoredEvent) -> bool:
    """Handle an event whose time has come; False if its gateway did not answer."""
    gateway, later = context.gateways.get(event.gateway), _next_at(context, event)
    # Counted and put off first: an event that makes its handling fail must not be first, nor tried, for ever.
    ours = context.database.write(lambda tx: webhook_events.begin(tx, event, later))
    if ours and gateway is not None:
        return handle(context, gateway, event)[0] != "recorded"
    if ours and later is None:
        _give_up(event)
    return True


def _wake(context: Context, gateway: Gateway, event: StoredEvent) -> tuple[EventOutcome, str | None]:
    if event.kind == "ignored":
        return "ignored", None
    topup = _topup_of(context, event)
    if topup is None:
        # Ours, as far as it says, but not known here: it came before our row, or belongs to another book.
        ours = event.reference is not None and looks_like_id(event.reference)
        return ("parked" if ours else "ignored"), None
    if topup.gateway != gateway.name:
        return "ignored", None
    topup_id = topup.id
    settled = settlement.try_settle(context, topup_id, payment_id=event.payment_id)
    match settled.outcome:
        case "unreachable":
            return "recorded", topup_id  # a job looks again
        case "credited" | "duplicate" | "review" | "mismatch":
            return _beside(context, gateway, event, settled), topup_id
        case _:
            return "pending", topup_id


def _beside(
    context: Context, gateway: Gateway, event: StoredEvent, settled: settlement.Settled
) -> Literal["credited", "duplicate", "review", "mismatch", "recorded"]:
    """Record refunds and disputes that an event tells of, once its top-up is settled."""
    outcome = settled.outcome
    if event.kind in ("refund", "dispute") and settled.topup.state in PAID_STATES:
        try:
            gateway_facts.record(context, gateway, settled.topup)
        except GatewayError as error:
            log.warning("event %s of %s waits for its gateway: %s", event.event_id, gateway.name, error)
            return "recorded"
    assert outcome in ("credited", "duplicate", "review", "mismatch")  # noqa: S101 - the caller has looked
    return outcome


def _topup_of(context: Context, event: StoredEvent) -> Topup | None:
    """Find which top-up an event is about: by payment, by checkout, else by the echoed reference."""

    def find(tx: Tx) -> StoredTopup | None:
        found = None
        if event.payment_id is not None:
            found = topups.find_by_payment(tx, event.gateway, event.payment_id)
        if found is None and event.checkout_id is not None:
            found = topups.find_by_checkout(tx, event.gateway, event.checkout_id)
        if found is None and event.reference is not None and looks_like_id(event.reference):
            found = topups.find(tx, event.reference)
        return found

    stored = context.database.read(find)
    return None if stored is None else stored.topup
