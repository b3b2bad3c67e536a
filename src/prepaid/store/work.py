"""Counts of what waits for a person, because nothing goes on with it by itself."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, FromClause, func, select

from ..core.refund_requests import OPEN_REQUESTS
from . import schema, topups
from .database import Tx

_refund = schema.refund
_request = schema.refund_request
_dispute = schema.dispute
_outbox = schema.outbox
_event = schema.webhook_event

_UNHANDLED: Final = ("received", "parked", "recorded")
"""Outcomes of events that are to be handled again; one that has no time for it was tried too often."""


def counts(tx: Tx) -> dict[str, int]:
    """Count what waits, by what it is.

    ``reviews``: top-ups that need a look. ``refund_requests``: refunds that customers
    ask for. ``open_disputes``: payments that are disputed. ``unknown_refunds``: refunds whose
    outcome nobody knows. ``parked_events``: webhooks that were handled in vain
    too often. ``parked_effects``: mail and events that were tried too often.
    """
    return {
        "reviews": topups.count_for_review(tx),
        "refund_requests": _count(tx, _request, _request.c.state.in_(OPEN_REQUESTS)),
        "open_disputes": _count(tx, _dispute, _dispute.c.state.in_(("inquiry", "open"))),
        "unknown_refunds": _count(tx, _refund, _refund.c.state == "unknown"),
        "parked_events": _count(tx, _event, _event.c.next_at.is_(None), _event.c.outcome.in_(_UNHANDLED)),
        "parked_effects": _count(tx, _outbox, _outbox.c.state == "dead"),
    }


def _count(tx: Tx, table: FromClause, *wanted: ColumnElement[bool]) -> int:
    found = select(func.count()).select_from(table).where(table.c.book_id == tx.book_id, *wanted)
    return int(tx.execute(found).scalar_one())
