"""What comparisons with gateways found, kept as it was."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import insert, select

from ..core.hashing import canonical_json
from . import schema
from .database import Tx

_kept = schema.reconciliation


@frozen(kw_only=True)
class StoredReconciliation:
    """A comparison as it was kept.

    Attributes:
        id: ``rec_…``.
        gateway: Name of the gateway.
        since: First instant of the period.
        until: First instant after it.
        actor: Who had it made.
        report: What it found, as plain values.
        created_at: When.
    """

    id: str
    gateway: str
    since: datetime
    until: datetime
    actor: str
    report: dict[str, Any]
    created_at: datetime


def add(tx: Tx, kept: StoredReconciliation) -> None:
    """Keep a comparison."""
    names = ("id", "gateway", "since", "until", "actor", "created_at")
    row = {name: getattr(kept, name) for name in names} | {"report": canonical_json(kept.report)}
    tx.execute(insert(_kept).values(book_id=tx.book_id, **row))


def page(tx: Tx, *, gateway: str | None, before: str | None, limit: int) -> list[StoredReconciliation]:
    """Read comparisons, newest first, below an id; those with one gateway if it is named."""
    wanted = select(_kept).where(_kept.c.book_id == tx.book_id)
    if gateway is not None:
        wanted = wanted.where(_kept.c.gateway == gateway)
    if before is not None:
        wanted = wanted.where(_kept.c.id < before)
    names = ("id", "gateway", "since", "until", "actor", "created_at")
    return [
        StoredReconciliation(report=json.loads(row.report), **{name: getattr(row, name) for name in names})
        for row in tx.execute(wanted.order_by(_kept.c.id.desc()).limit(limit))
    ]
