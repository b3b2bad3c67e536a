"""What `check` reads of identity: cases, verifications, and top-ups that waited for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, select

from .. import schema
from ..database import Tx
from .reading import named, stream

_case = schema.identity_case
_identity = schema.identity
_topup = schema.topup


def case_rows(tx: Tx) -> Iterator[Any]:
    """Give every case."""
    names = "id customer open_for state level actor submitted_at decided_at"
    return stream(tx, select(*named(_case, names)).where(_case.c.book_id == tx.book_id).order_by(_case.c.id))


def verification_rows(tx: Tx) -> Iterator[Any]:
    """Give every verification with the case that it rests on."""
    rests = and_(_case.c.book_id == _identity.c.book_id, _case.c.id == _identity.c.case_id)
    columns = named(_identity, "customer level case_id verified_at revoked_at")
    cases = named(_case, "customer state level decided_at", prefix="case_")
    wanted = select(*columns, *cases).select_from(_identity.outerjoin(_case, rests))
    return stream(tx, wanted.where(_identity.c.book_id == tx.book_id))


def resolved_rows(tx: Tx) -> Iterator[Any]:
    """Give every top-up whose review ended in credit."""
    wanted = select(*named(_topup, "id customer resolved"))
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.resolved.is_not(None)))
