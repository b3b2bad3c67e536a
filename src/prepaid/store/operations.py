"""Audit rows, settings and job leases: the small tables of running a book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import insert, or_, select, update

from ..core.hashing import canonical_json
from . import schema
from .database import Tx

_audit = schema.audit
_setting = schema.setting
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


def audit_of(tx: Tx, targets: Sequence[str]) -> list[AuditEntry]:
    """Read what was done to some objects, oldest first."""
    wanted = select(_audit).where(_audit.c.book_id == tx.book_id, _audit.c.target.in_(list(targets)))
    return [_entry(row) for row in tx.execute(wanted.order_by(_audit.c.id))]


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        at=row.at,
        actor=row.actor,
        action=row.action,
        target=row.target,
        reason=row.reason,
        before=json.loads(row.state_before),
        after=json.loads(row.state_after),
    )


def audit_page(tx: Tx, *, before_id: int | None, limit: int) -> list[tuple[int, AuditEntry]]:
    """Read audit rows, newest first, below a row id."""
    wanted = select(_audit).where(_audit.c.book_id == tx.book_id)
    if before_id is not None:
        wanted = wanted.where(_audit.c.id < before_id)
    return [(int(row.id), _entry(row)) for row in tx.execute(wanted.order_by(_audit.c.id.desc()).limit(limit))]


def read_setting(tx: Tx, name: str, *, hold: bool = False) -> dict[str, Any] | None:
    """Read a setting of the book; ``hold`` keeps others from changing it until the commit."""
    wanted = select(_setting.c.value).where(_setting.c.book_id == tx.book_id, _setting.c.name == name)
    value = tx.execute(wanted.with_for_update() if hold else tx.current(wanted)).scalar()
    return None if value is None else dict(json.loads(value))


def write_setting(tx: Tx, name: str, value: dict[str, Any], now: datetime) -> None:
    """Set a setting of the book."""
    scope = (_setting.c.book_id == tx.book_id, _setting.c.name == name)
    text = canonical_json(value)
    if not tx.execute(update(_setting).where(*scope).values(value=text, updated_at=now)).rowcount:
        row = {"book_id": tx.book_id, "name": name, "value": text, "updated_at": now}
        tx.execute(insert(_setting).values(row))


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
