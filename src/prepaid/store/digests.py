"""Digests as they were written: one of a day, never changed."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, Final

from attrs import frozen
from sqlalchemy import func, insert, select

from ..core.digest import DigestFacts, facts_from_record
from ..core.hashing import canonical_json, sha256
from . import schema
from .database import Tx

_digest = schema.digest

FORM: Final = "1"
"""The form of the facts that are written now."""


@frozen(kw_only=True)
class StoredDigest:
    """A digest as it was written.

    Attributes:
        id: ``dig_…``.
        facts: What it says.
        created_at: When it was written.
    """

    id: str
    facts: DigestFacts
    created_at: datetime


def add(tx: Tx, digest: StoredDigest) -> str:
    """Keep a digest, and give the hash of its facts.

    Raises:
        sqlalchemy.exc.IntegrityError: The day has one.
    """
    facts = canonical_json(digest.facts.record())
    row = {
        "id": digest.id,
        "book_id": tx.book_id,
        "day": digest.facts.day.isoformat(),
        "form": FORM,
        "facts": facts,
        "created_at": digest.created_at,
    }
    tx.execute(insert(_digest).values(row))
    return sha256(facts)


def find(tx: Tx, day: date) -> StoredDigest | None:
    """Read the digest of a day."""
    row = tx.execute(_select(tx).where(_digest.c.day == day.isoformat())).first()
    return None if row is None else _from_row(row)


def days(tx: Tx, since: date) -> frozenset[date]:
    """Give the days from one on that have a digest."""
    wanted = select(_digest.c.day).where(_digest.c.book_id == tx.book_id, _digest.c.day >= since.isoformat())
    return frozenset(date.fromisoformat(day) for day in tx.execute(wanted).scalars())


def count(tx: Tx) -> int:
    """Count the book's digests."""
    wanted = select(func.count()).select_from(_digest).where(_digest.c.book_id == tx.book_id)
    return int(tx.execute(wanted).scalar_one())


def written_since(tx: Tx, instant: datetime, *, before: date) -> list[DigestFacts]:
    """Read what digests say that were written at an instant or later, of days before one."""
    wanted = _select(tx).where(_digest.c.created_at >= instant, _digest.c.day < before.isoformat())
    return [_from_row(row).facts for row in tx.execute(wanted.order_by(_digest.c.day))]


def from_day(tx: Tx, day: date) -> list[DigestFacts]:
    """Read what the digests of a day and of later ones say."""
    wanted = _select(tx).where(_digest.c.day >= day.isoformat())
    return [_from_row(row).facts for row in tx.execute(wanted.order_by(_digest.c.day))]


def _select(tx: Tx) -> Any:
    return select(_digest).where(_digest.c.book_id == tx.book_id)


def _from_row(row: Any) -> StoredDigest:
    return StoredDigest(id=row.id, facts=facts_from_record(json.loads(row.facts)), created_at=row.created_at)
