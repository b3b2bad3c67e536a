"""Audit rows: written with the act itself, never changed, found by what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import ColumnElement, insert, select

from ..core.hashing import canonical_json
from . import schema
from .database import Tx
from .matching import containing

_audit = schema.audit


@frozen(kw_only=True)
class AuditEntry:
    """One act of an operator, a gateway or the system.

    Attributes:
        id: Number of the row; later acts have higher ones, not without gaps.
        at: When.
        actor: Who: an operator's name, ``gateway:<name>`` or ``system``.
        action: What, in a machine word.
        target: The object it was done to.
        customer: The customer it was about, or None.
        reason: Why, in the actor's words.
        before: The values before.
        after: The values after.
    """

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    customer: str | None = None
    reason: str = ""
    before: dict[str, Any] = field(factory=dict)
    after: dict[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class AuditFilter:
    """Which rows are wanted; what is None does not matter.

    Attributes:
        actor: Exactly this actor.
        action: Exactly this action.
        target: Exactly this object.
        customer: Exactly this customer.
        since: At this instant or later.
        until: Before this instant.
        words: Part of the reason.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    customer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str | None = None

    def conditions(self, tx: Tx) -> list[ColumnElement[bool]]:
        """Give what a row has to meet."""
        exact = ((name, getattr(self, name)) for name in ("actor", "action", "target", "customer"))
        wanted = [_audit.c[name] == value for name, value in exact if value is not None]
        if self.since is not None:
            wanted.append(_audit.c.at >= self.since)
        if self.until is not None:
            wanted.append(_audit.c.at < self.until)
        if self.words is not None:
            wanted.append(containing(tx, _audit.c.reason, self.words))
        return wanted


def add(
    tx: Tx,
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    customer: str | None = None,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write a row in the transaction of the act."""
    row = {
        "book_id": tx.book_id,
        "at": at,
        "actor": actor,
        "action": action,
        "target": target[:191],
        "customer": customer,
        "reason": reason,
        "state_before": canonical_json(before or {}),
        "state_after": canonical_json(after or {}),
    }
    tx.execute(insert(_audit).values(row))


def page(tx: Tx, wanted: AuditFilter, *, before_id: int | None, limit: int) -> list[AuditEntry]:
    """Read rows, newest first, below a row's number."""
    found = select(_audit).where(_audit.c.book_id == tx.book_id, *wanted.conditions(tx))
    if before_id is not None:
        found = found.where(_audit.c.id < before_id)
    return [_from_row(row) for row in tx.execute(found.order_by(_audit.c.id.desc()).limit(limit))]


def of_targets(tx: Tx, targets: Sequence[str]) -> list[AuditEntry]:
    """Read what was done to some objects, oldest first."""
    wanted = select(_audit).where(_audit.c.book_id == tx.book_id, _audit.c.target.in_(list(targets)))
    return [_from_row(row) for row in tx.execute(wanted.order_by(_audit.c.id))]


def _from_row(row: Any) -> AuditEntry:
    names = ("id", "at", "actor", "action", "target", "customer", "reason")
    states = {"before": json.loads(row.state_before), "after": json.loads(row.state_after)}
    return AuditEntry(**{name: getattr(row, name) for name in names}, **states)
