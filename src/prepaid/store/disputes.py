"""Disputes that gateways tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import insert, select, update

from ..core.money import Money
from ..core.payments import DisputeState
from ..core.refunds import Dispute
from . import schema
from .database import Tx

_dispute = schema.dispute

_NAMES = "id topup_id gateway dispute_id payment_id reason opened_at created_at changed_at".split()


def add(tx: Tx, dispute: Dispute) -> None:
    """Keep a dispute.

    Raises:
        sqlalchemy.exc.IntegrityError: The gateway's id of it is known already.
    """
    row = {name: getattr(dispute, name) for name in _NAMES}
    row |= {"state": dispute.state, "currency": dispute.amount.currency, "amount": dispute.amount.units}
    tx.execute(insert(_dispute).values(book_id=tx.book_id, **row))


def find_at_gateway(tx: Tx, gateway: str, dispute_id: str) -> Dispute | None:
    """Read a dispute by the gateway's id of it."""
    wanted = select(_dispute).where(
        _dispute.c.book_id == tx.book_id, _dispute.c.gateway == gateway, _dispute.c.dispute_id == dispute_id
    )
    row = tx.execute(wanted).first()
    return None if row is None else _from_row(row)


def of_topup(tx: Tx, topup_id: str) -> list[Dispute]:
    """Read the disputes of a top-up, oldest first."""
    wanted = select(_dispute).where(_dispute.c.book_id == tx.book_id, _dispute.c.topup_id == topup_id)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_dispute.c.id))]


def change(tx: Tx, dispute: Dispute, *, state: DisputeState, amount: Money, now: datetime) -> bool:
    """Record that a dispute is in another state, or about another amount, now; False if somebody else did so."""
    statement = update(_dispute).where(
        _dispute.c.book_id == tx.book_id,
        _dispute.c.id == dispute.id,
        _dispute.c.state == dispute.state,
        _dispute.c.amount == dispute.amount.units,
    )
    values = {"state": state, "amount": amount.units, "currency": amount.currency, "changed_at": now}
    return bool(tx.execute(statement.values(values)).rowcount)


def _from_row(row: Any) -> Dispute:
    values = {name: getattr(row, name) for name in _NAMES}
    return Dispute(amount=Money(row.amount, row.currency), state=cast(DisputeState, row.state), **values)
