"""Audit rows: who did what and why, written with the act itself."""

from __future__ import annotations

from typing import Any

from . import outbox
from .config import Context, page_limit
from .core.errors import InvalidRequest
from .core.ids import check_text
from .core.pages import Page, make_cursor, read_number_cursor
from .store import Tx, operations

MAX_REASON = 500


def record(
    tx: Tx,
    context: Context,
    *,
    actor: str,
    action: str,
    target: str,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one audit row in the transaction of the act."""
    entry = operations.AuditEntry(
        at=context.now(),
        actor=actor,
        action=action,
        target=target,
        reason=reason,
        before=before or {},
        after=after or {},
    )
    operations.add_audit(tx, entry)


def security(tx: Tx, context: Context, *, gateway: str, reason: str, target: str, about: str) -> None:
    """Record something that looks like an attack or a grave mix-up: an audit row and an event.

    Args:
        tx: The transaction to write in.
        context: The billing system.
        gateway: Gateway it came from; the actor is ``gateway:<name>``.
        reason: Machine word for what was wrong.
        target: Object it was about, or empty.
        about: Makes the event unique, so that a repeat is told once.
    """
    record(tx, context, actor=f"gateway:{gateway}", action="security", target=target, reason=reason)
    outbox.emit(tx, context, "security", about=about, gateway=gateway, reason=reason, target=target)


def is_told(tx: Tx, about: str) -> bool:
    """Tell whether a security event of that name is written, without waiting for any lock."""
    return outbox.exists(tx, "security", about)


def entries(context: Context, *, cursor: str | None, limit: int) -> Page[operations.AuditEntry]:
    """List audit rows, newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
    """
    size, before = page_limit(limit), read_number_cursor("a", cursor)
    rows = context.database.read(lambda tx: operations.audit_page(tx, before_id=before, limit=size + 1))
    following = make_cursor("a", rows[size - 1][0]) if len(rows) > size else None
    return Page(tuple(entry for _, entry in rows[:size]), following)


def check_reason(reason: object) -> str:
    """Return an operator's reason.

    Raises:
        InvalidRequest: Missing or too long.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidRequest("Say why: reason must not be empty.", field="reason")
    return check_text(reason, field="reason", longest=MAX_REASON)
