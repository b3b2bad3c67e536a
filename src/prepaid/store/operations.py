"""Audit rows, settings, webhook events and job leases: the small tables of running a book."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import func, insert, or_, select, update

from ..core.hashing import canonical_json
from . import schema
from .database import Tx

_audit = schema.audit
_setting = schema.setting
_event = schema.webhook_event
_lease = schema.job_lease


@frozen(kw_only=True)
class AuditEntry:
    """One act of an operator, a gateway or the system.

    Attributes:
        at: When.
        actor: Who: an operator's name, ``gateway:<name>`` or ``system``.
        action: What, in a machine word.
        target: The object it was done to.
        reason: Why, in the actor's words.
        before: The values before.
        after: The values after.
    """

    at: datetime
    actor: str
    action: str
    target: str
    reason: str = ""
    before: dict[str, Any] = field(factory=dict)
    after: dict[str, Any] = field(factory=dict)


def add_audit(tx: Tx, entry: AuditEntry) -> None:
    """Write an audit row in the transaction of the act."""
    row = {
        "book_id": tx.book_id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target[:191],
        "reason": entry.reason,
        "state_before": canonical_json(entry.before),
        "state_after": canonical_json(entry.after),
    }
    tx.execute(insert(_audit).values(row))


def audit_page(tx: Tx, *, before_id: int | None, limit: int) -> list[tuple[int, AuditEntry]]:
    """Read audit rows, newest first, below a row id."""
    wanted = select(_audit).where(_audit.c.book_id == tx.book_id)
    if before_id is not None:
        wanted = wanted.where(_audit.c.id < before_id)
    return [
        (
            int(row.id),
            AuditEntry(
                at=row.at,
                actor=row.actor,
                action=row.action,
                target=row.target,
                reason=row.reason,
                before=json.loads(row.state_before),
                after=json.loads(row.state_after),
            ),
        )
        for row in tx.execute(wanted.order_by(_audit.c.id.desc()).limit(limit))
    ]


def read_setting(tx: Tx, name: str) -> dict[str, Any] | None:
    """Read a setting of the book."""
    wanted = select(_setting.c.value).where(_setting.c.book_id == tx.book_id, _setting.c.name == name)
    value = tx.execute(tx.current(wanted)).scalar()
    return None if value is None else dict(json.loads(value))


def write_setting(tx: Tx, name: str, value: dict[str, Any], now: datetime) -> None:
    """Set a setting of the book."""
    scope = (_setting.c.book_id == tx.book_id, _setting.c.name == name)
    text = canonical_json(value)
    if not tx.execute(update(_setting).where(*scope).values(value=text, updated_at=now)).rowcount:
        row = {"book_id": tx.book_id, "name": name, "value": text, "updated_at": now}
        tx.execute(insert(_setting).values(row))


def event_outcome(tx: Tx, gateway: str, event_id: str) -> str | None:
    """Give what became of a gateway's event, or None if it is new."""
    value = tx.execute(
        select(_event.c.outcome).where(
            _event.c.book_id == tx.book_id, _event.c.gateway == gateway, _event.c.event_id == event_id
        )
    ).scalar()
    return None if value is None else str(value)


def add_event(tx: Tx, *, gateway: str, event_id: str, type: str, body_sha256: str, now: datetime) -> None:
    """Record a verified event before acting on it.

    Raises:
        sqlalchemy.exc.IntegrityError: It is recorded already.
    """
    row = {
        "book_id": tx.book_id,
        "gateway": gateway,
        "event_id": event_id,
        "type": type[:191],
        "body_sha256": body_sha256,
        "outcome": "received",
        "received_at": now,
    }
    tx.execute(insert(_event).values(row))


def finish_event(tx: Tx, *, gateway: str, event_id: str, outcome: str, topup_id: str | None, now: datetime) -> None:
    """Record what became of an event; the first delivery that credited keeps its word."""
    statement = update(_event).where(
        _event.c.book_id == tx.book_id,
        _event.c.gateway == gateway,
        _event.c.event_id == event_id,
        _event.c.outcome != "credited",
    )
    tx.execute(statement.values(outcome=outcome, topup_id=topup_id, processed_at=now))


def last_event_at(tx: Tx, gateway: str) -> datetime | None:
    """Give when a gateway's last verified event came in."""
    wanted = select(func.max(_event.c.received_at)).where(_event.c.book_id == tx.book_id, _event.c.gateway == gateway)
    found: datetime | None = tx.execute(wanted).scalar()
    return found


def take_lease(tx: Tx, name: str, holder: str, *, until: datetime, now: datetime) -> int | None:
    """Take a job's lease if it is free or lapsed, and give its fencing token; None if it is held.

    A lease that ends later than twice the time of ours was written by a clock
    that ran ahead; it counts as lapsed, or the job would stand still until then.
    """
    scope = (_lease.c.book_id == tx.book_id, _lease.c.name == name)
    free = or_(_lease.c.expires_at <= now, _lease.c.expires_at > until + (until - now), _lease.c.holder == holder)
    statement = update(_lease).where(*scope, free)
    if tx.execute(statement.values(holder=holder, expires_at=until, token=_lease.c.token + 1)).rowcount:
        return int(tx.execute(select(_lease.c.token).where(*scope)).scalar_one())
    if tx.execute(select(_lease.c.token).where(*scope)).first() is not None:
        return None
    row = {"book_id": tx.book_id, "name": name, "holder": holder, "expires_at": until, "token": 1}
    tx.execute(insert(_lease).values(row))
    return 1


def return_lease(tx: Tx, name: str, token: int, now: datetime) -> bool:
    """Give a lease back; False if somebody else took it over meanwhile."""
    statement = update(_lease).where(_lease.c.book_id == tx.book_id, _lease.c.name == name, _lease.c.token == token)
    return bool(tx.execute(statement.values(expires_at=now, finished_at=now)).rowcount)
