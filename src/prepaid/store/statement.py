"""Sums over a wallet's usage: what a statement is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal_column, select, type_coerce

from . import schema
from .database import Tx

_transfer = schema.transfer

QUARTER_HOUR: Final = 900_000_000
"""Microseconds; days of every zone begin at a whole quarter of an hour."""

_CAUSES: Final = ("usage", "meter", "hold", "reversal")
_COLUMNS: Final = {"resource": "resource", "project": "project", "kind": "resource_kind"}


class Used(NamedTuple):
    """Usage of one name: its cost in ledger units, and how many charges."""

    name: str | int | None
    amount: int
    charges: int


def used(tx: Tx, wallet_id: int, since: datetime, until: datetime, *, by: str) -> list[Used]:
    """Sum usage whose period ended in ``(since, until]`` by resource, project or kind, or by quarter hours."""
    # Names stand on the first transfer of a transaction.
    head = _transfer.alias("head")
    first = and_(head.c.book_id == _transfer.c.book_id, head.c.key_hash == _transfer.c.key_hash, head.c.part == 0)
    is_debit = _transfer.c.debit_id == _transfer.c.wallet_id
    name = _quarter() if by == "day" else head.c[_COLUMNS[by]]
    wanted = (
        select(
            name,
            func.sum(case((is_debit, _transfer.c.amount), else_=-_transfer.c.amount)),
            func.sum(case((and_(is_debit, _transfer.c.part == 0), 1), else_=0)),
        )
        .join_from(_transfer, head, first)
        .where(
            _transfer.c.wallet_id == wallet_id,
            _transfer.c.cause_type.in_(_CAUSES),
            _transfer.c.effective_at > since,
            _transfer.c.effective_at <= until,
        )
        .group_by(name)
    )
    return [Used(row[0], int(row[1]), int(row[2])) for row in tx.execute(wanted)]


def _quarter() -> ColumnElement[int]:
    # A period that ends at midnight belongs to the day before.
    # Written out, not bound: PostgreSQL groups only by what it sees is the same.
    micros = type_coerce(_transfer.c.effective_at, BigInteger) - literal_column("1")
    return micros // literal_column(str(QUARTER_HOUR))
