"""Which codes customers tried in vain lately: one row for each customer, held while it is counted."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from . import schema
from .database import Tx

_attempt = schema.code_attempt


def find(tx: Tx, customer: str) -> tuple[datetime, int] | None:
    """Give since when a customer's codes in vain are counted, and how many there were; None without any."""
    wanted = select(_attempt.c.since, _attempt.c.misses)
    row = tx.execute(wanted.where(_attempt.c.book_id == tx.book_id, _attempt.c.customer == customer)).first()
    return None if row is None else (row.since, int(row.misses))


def count(tx: Tx, customer: str, code: str, *, most: int, window: timedelta, now: datetime) -> bool:
    """Count a code in vain, by its hash, once in a window; False if the count of the window is full.

    A window that begins later than now was written by a clock that runs ahead, of
    this host or another; one from farther ahead than it lasts counts as past.

    Raises:
        sqlalchemy.exc.IntegrityError: The customer's first one is counted by somebody else at this moment.
    """
    scope = (_attempt.c.book_id == tx.book_id, _attempt.c.customer == customer)
    row = tx.execute(select(_attempt).where(*scope).with_for_update()).first()
    if row is None:
        values = {"since": now, "misses": 1, "tried": code}
        tx.execute(insert(_attempt).values(book_id=tx.book_id, customer=customer, **values))
        return True
    tried = row.tried.split()
    if not now - window < row.since < now + window:
        tx.execute(update(_attempt).where(*scope).values(since=now, misses=1, tried=code))
    elif code not in tried:
        if row.misses >= most:
            return False
        more = update(_attempt).where(*scope, _attempt.c.misses < most)
        tx.execute(more.values(misses=_attempt.c.misses + 1, tried=" ".join((*tried, code))))
    return True
