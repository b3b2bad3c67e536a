"""Verified webhooks: what each tells to look up, what became of it, and when it is handled again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import func, insert, select, update

from ..core.payments import EventKind
from . import schema
from .database import Tx

_event = schema.webhook_event


@frozen(kw_only=True)
class StoredEvent:
    """A verified event, as it is kept.

    Attributes:
        gateway: Name of the gateway that sent it.
        event_id: The gateway's id of it.
        kind: What it wakes.
        checkout_id: Checkout it is about, or None.
        payment_id: Payment it is about, or None.
        reference: Our reference as echoed, or None.
        outcome: What became of it so far.
        attempts: How often it was handled.
        received_at: When it first came.
    """

    gateway: str
    event_id: str
    kind: EventKind
    checkout_id: str | None
    payment_id: str | None
    reference: str | None
    outcome: str
    attempts: int
    received_at: datetime


def find(tx: Tx, gateway: str, event_id: str) -> StoredEvent | None:
    """Read an event by the gateway's id of it."""
    row = tx.execute(_select(tx).where(_event.c.gateway == gateway, _event.c.event_id == event_id)).first()
    return None if row is None else _from_row(row)


def due(tx: Tx, now: datetime, *, limit: int) -> list[StoredEvent]:
    """Read the events that are to be handled again, longest waiting first."""
    wanted = _select(tx).where(_event.c.next_at <= now).order_by(_event.c.next_at, _event.c.id).limit(limit)
    return [_from_row(row) for row in tx.execute(wanted)]


def add(tx: Tx, event: StoredEvent, *, type: str, body_sha256: str, next_at: datetime) -> None:
    """Record a verified event before acting on it; it is due again at ``next_at`` unless it is finished before.

    Raises:
        sqlalchemy.exc.IntegrityError: It is recorded already.
    """
    row = {
        "book_id": tx.book_id,
        "gateway": event.gateway,
        "event_id": event.event_id,
        "kind": event.kind,
        "type": type[:191],
        "checkout_id": event.checkout_id,
        "payment_id": event.payment_id,
        "reference": event.reference,
        "body_sha256": body_sha256,
        "outcome": event.outcome,
        "attempts": event.attempts,
        "next_at": next_at,
        "received_at": event.received_at,
    }
    tx.execute(insert(_event).values(row))


def finish(
    tx: Tx, event: StoredEvent, *, outcome: str, topup_id: str | None, next_at: datetime | None, now: datetime
) -> None:
    """Record what became of an event, and when it is handled again, if ever; one that credited keeps its word."""
    statement = update(_event).where(
        _event.c.book_id == tx.book_id,
        _event.c.gateway == event.gateway,
        _event.c.event_id == event.event_id,
        _event.c.outcome != "credited",
    )
    values = {"outcome": outcome, "topup_id": topup_id, "next_at": next_at, "processed_at": now}
    tx.execute(statement.values(attempts=event.attempts + 1, **values))


def begin(tx: Tx, event: StoredEvent, next_at: datetime | None) -> bool:
    """Count an attempt at a due event and put the next one off; False if another worker did so, or finished it."""
    statement = update(_event).where(
        _event.c.book_id == tx.book_id,
        _event.c.gateway == event.gateway,
        _event.c.event_id == event.event_id,
        _event.c.attempts == event.attempts,
        _event.c.next_at.is_not(None),
    )
    return bool(tx.execute(statement.values(next_at=next_at, attempts=event.attempts + 1)).rowcount)


def postpone(tx: Tx, event: StoredEvent, next_at: datetime) -> None:
    """Put an event that is due off, without counting an attempt."""
    statement = update(_event).where(
        _event.c.book_id == tx.book_id,
        _event.c.gateway == event.gateway,
        _event.c.event_id == event.event_id,
        _event.c.next_at.is_not(None),
    )
    tx.execute(statement.values(next_at=next_at))


def last_at(tx: Tx, gateway: str) -> datetime | None:
    """Give when a gateway's last verified event came in."""
    wanted = select(func.max(_event.c.received_at)).where(_event.c.book_id == tx.book_id, _event.c.gateway == gateway)
    found: datetime | None = tx.execute(wanted).scalar()
    return found


def _select(tx: Tx) -> Any:
    return select(_event).where(_event.c.book_id == tx.book_id)


def _from_row(row: Any) -> StoredEvent:
    names = "gateway event_id checkout_id payment_id reference outcome attempts received_at".split()
    return StoredEvent(kind=cast(EventKind, row.kind), **{name: getattr(row, name) for name in names})
