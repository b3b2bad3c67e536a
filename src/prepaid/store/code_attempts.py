"""How often customers tried codes in vain lately: one row for each, counted by conditional updates."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, insert, not_, select, update

from . import schema
from .database import Tx

_attempt = schema.code_attempt


def find(tx: Tx, customer: str) -> tuple[datetime, int] | None:
    """Give since when a customer's codes in vain are counted, and how many there were; None without any."""
    wanted = select(_attempt.c.since, _attempt.c.misses)
    row = tx.execute(wanted.where(_attempt.c.book_id == tx.book_id, _attempt.c.customer == customer)).first()
    return None if row is None else (row.since, int(row.misses))


def count(tx: Tx, customer: str, *, most: int, window: timedelta, now: datetime) -> bool:
    """Count a code in vain; False if the count of the window is full.

    A window that begins later than now was written by a clock that runs ahead, of
    this host or another; one from farther ahead than it lasts counts as past.

    Raises:
        sqlalchemy.exc.IntegrityError: The customer's first one is counted by somebody else at this moment.
    """
    scope = (_attempt.c.book_id == tx.book_id, _attempt.c.customer == customer)
    lasts = and_(_attempt.c.since > now - window, _attempt.c.since < now + window)
    more = update(_attempt).where(*scope, lasts, _attempt.c.misses < most).values(misses=_attempt.c.misses + 1)
    if tx.execute(more).rowcount:
        return True
    if tx.execute(update(_attempt).where(*scope, not_(lasts)).values(since=now, misses=1)).rowcount:
        return True
    if find(tx, customer) is not None:
        return False
    tx.execute(insert(_attempt).values(book_id=tx.book_id, customer=customer, since=now, misses=1))
    return True
