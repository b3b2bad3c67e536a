"""What `check` reads of holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select

from .. import schema
from ..database import Tx
from .reading import stream

_account = schema.account
_hold = schema.hold


def held_otherwise(tx: Tx) -> Iterator[Any]:
    """Give accounts that hold another amount than their open holds reserve."""
    reserved = (
        select(_hold.c.wallet_id, func.sum(_hold.c.amount).label("amount"))
        .where(_hold.c.book_id == tx.book_id, _hold.c.state == "open")
        .group_by(_hold.c.wallet_id)
        .subquery()
    )
    amount = func.coalesce(reserved.c.amount, 0)
    wanted = select(_account.c.id, _account.c.held, amount.label("reserved")).select_from(
        _account.outerjoin(reserved, reserved.c.wallet_id == _account.c.id)
    )
    return stream(tx, wanted.where(_account.c.book_id == tx.book_id, _account.c.held != amount))
