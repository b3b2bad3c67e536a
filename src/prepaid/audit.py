"""Audit rows: who did what and why, written with the act itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from . import outbox
from .config import Context, page_limit
from .core.errors import InvalidRequest
from .core.ids import check_key, check_text
from .core.instants import check_instant
from .core.pages import Page, make_cursor, read_number_cursor
from .store import Tx, audits
from .store.audits import AuditEntry, AuditFilter

MAX_REASON: Final = 500
MAX_WORDS: Final = 100


def record(
    tx: Tx,
    context: Context,
    *,
    actor: str,
    action: str,
    target: str,
    customer: str | None = None,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one audit row in the transaction of the act; ``customer`` is whom it is about, if anybody."""
    audits.add(
        tx,
        at=context.now(),
        actor=actor,
        action=action,
        target=target,
        customer=customer,
        reason=reason,
        before=before,
        after=after,
    )


def of_customer(tx: Tx, context: Context, customer: str, **row: Any) -> None:
    """Write one audit row of what was done to a customer; see `record`."""
    record(tx, context, target=customer, customer=customer, **row)


def security(
    tx: Tx, context: Context, *, gateway: str, reason: str, target: str, about: str, customer: str | None = None
) -> None:
    """Record something that looks like an attack or a grave mix-up: an audit row and an event.

    Args:
        tx: The transaction to write in.
        context: The billing system.
        gateway: Gateway it came from; the actor is ``gateway:<name>``.
        reason: Machine word for what was wrong.
        target: Object it was about, or empty.
        about: Makes the event unique, so that a repeat is told once.
        customer: Whom it was about, if anybody.
    """
    actor = f"gateway:{gateway}"
    record(tx, context, actor=actor, action="security", target=target, customer=customer, reason=reason)
    outbox.emit(tx, context, "security", about=about, gateway=gateway, reason=reason, target=target)


def is_told(tx: Tx, about: str) -> bool:
    """Tell whether a security event of that name is written, without waiting for any lock."""
    return outbox.exists(tx, "security", about)


def entries(
    context: Context,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    customer: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    words: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[AuditEntry]:
    """List audit rows, newest first: all, or those that meet everything that is given.

    Pages stay put while new rows come.

    Args:
        context: The billing system.
        actor: Exactly this operator, ``gateway:<name>`` or ``system``.
        action: Exactly this action.
        target: Exactly this object.
        customer: What is about this customer, whatever it was done to.
        since: First instant.
        until: First instant after.
        words: Part of the reason, in whatever case; nothing in it is a wildcard.
        cursor: Where an earlier page ended.
        limit: Rows on a page, from 1 to 200.

    Raises:
        InvalidRequest: A filter of the wrong form, a cursor of another list, or a limit out of range.
    """
    size, before = page_limit(limit), read_number_cursor("a", cursor)
    wanted = AuditFilter(
        actor=None if actor is None else check_key(actor, field="actor"),
        action=None if action is None else check_key(action, field="action"),
        target=None if target is None else check_key(target, field="target"),
        customer=None if customer is None else check_key(customer, field="customer"),
        since=None if since is None else check_instant(since, field="since"),
        until=None if until is None else check_instant(until, field="until"),
        words=None if words is None else check_text(words, field="words", longest=MAX_WORDS, empty=False),
    )
    rows = context.database.read(lambda tx: audits.page(tx, wanted, before_id=before, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("a", rows[size - 1].id) if len(rows) > size else None)


def check_reason(reason: object) -> str:
    """Return an operator's reason.

    Raises:
        InvalidRequest: Missing or too long.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidRequest("Say why: reason must not be empty.", field="reason")
    return check_text(reason, field="reason", longest=MAX_REASON)


def optional_reason(reason: object) -> str:
    """Return a reason that an operator may leave out.

    Raises:
        InvalidRequest: Not a text, or too long.
    """
    return check_text(reason, field="reason", longest=MAX_REASON)
