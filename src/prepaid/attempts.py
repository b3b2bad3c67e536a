"""A limit to codes that are tried in vain: what is guessed is not even looked at for a while.

What begins at the same moment is looked at together: a guesser has ten codes, and as many
more as a host serves at once. A quote is not worth two writes to close that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from .config import Context
from .core.errors import TooManyAttempts
from .core.hashing import sha256
from .store import Duplicate, Tx, code_attempts

MOST_MISSES: Final = 10
"""Different codes that a customer may try in vain within the window."""

_HASH: Final = 16
"""Digits kept of the hash of a code in vain: enough to know it again, too few to tell it."""

WINDOW: Final = timedelta(minutes=15)
"""Counted from the first of them; then it begins anew."""


def require_room(context: Context, customer_id: str) -> None:
    """Make sure that a customer may try another code.

    Raises:
        TooManyAttempts: They tried too many in vain; ``params["retry_at"]`` is when they may again.
    """
    now = context.now()
    full_until = context.database.read(lambda tx: _full_until(tx, customer_id, now))
    if full_until is not None:
        raise _too_many(full_until)


def missed(context: Context, customer_id: str, code: str) -> None:
    """Count a code that a customer tried in vain, once in a window, in a transaction of its own.

    Raises:
        TooManyAttempts: Others filled the count meanwhile; what this one found out is not to be told.
    """
    # Whatever it is: half a surrogate pair has no bytes.
    written = code.strip().casefold().encode("utf-8", "backslashreplace")
    now, hashed = context.now(), sha256(written)[:_HASH]

    def work(tx: Tx) -> datetime | None:
        if code_attempts.count(tx, customer_id, hashed, most=MOST_MISSES, window=WINDOW, now=now):
            return None
        return _full_until(tx, customer_id, now) or now

    try:
        full_until = context.database.write(work)
    except Duplicate:  # the first one was counted by somebody else meanwhile, or by us, and we did not hear of it
        full_until = context.database.write(work)
    if full_until is not None:
        raise _too_many(full_until)


def _full_until(tx: Tx, customer_id: str, now: datetime) -> datetime | None:
    """Give when a window ends whose count is full; None if there is room."""
    found = code_attempts.find(tx, customer_id)
    if found is None:
        return None
    since, misses = found
    lasts = now - WINDOW < since < now + WINDOW
    return since + WINDOW if lasts and misses >= MOST_MISSES else None


def _too_many(retry_at: datetime) -> TooManyAttempts:
    return TooManyAttempts("Too many codes were tried; wait a while.", field="code", retry_at=retry_at)
