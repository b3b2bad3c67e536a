"""Disputes as operators look at them; what they post is in `prepaid.returning`."""

from __future__ import annotations

from typing import Final

from .config import Context, page_limit
from .core.errors import InvalidRequest
from .core.pages import Page, make_cursor, read_cursor
from .core.refunds import Dispute
from .store import disputes

STATES: Final[dict[str, tuple[str, ...]]] = {
    "open": ("inquiry", "open"),
    "won": ("won",),
    "lost": ("lost",),
    "all": ("inquiry", "lost", "open", "won"),
}
"""What is listed, by its name."""


def list_of(context: Context, *, state: object, cursor: str | None, limit: int) -> Page[Dispute]:
    """List disputes, newest first.

    Raises:
        InvalidRequest: Not a name of `STATES`, a foreign cursor, or a limit out of range.
    """
    if not isinstance(state, str) or state not in STATES:
        raise InvalidRequest(f"state is one of {', '.join(STATES)}.", field="state")
    size, before = page_limit(limit), read_cursor("d", cursor)
    rows = context.database.read(lambda tx: disputes.listed(tx, states=STATES[state], before=before, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("d", rows[size - 1].id) if len(rows) > size else None)
