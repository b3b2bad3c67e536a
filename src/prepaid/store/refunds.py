"""Refunds at gateways: intents of ours, and those that gateways tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import insert, select, update

from ..core.money import Money
from ..core.refunds import OPEN_REFUNDS, Refund, RefundOrigin, RefundStep, refund_sources
from . import schema
from .database import Tx

_refund = schema.refund

_PLAIN = (
    *("id", "topup_id", "gateway", "payment_id", "request_id", "gateway_refund_id"),
    *("actor", "reason", "failure", "created_at", "settled_at", "turn"),
)
_FIGURES = ("amount", "credit", "clawback", "net", "tax")


@frozen(kw_only=True)
class StoredRefund:
    """A refund with what only the library needs.

    Attributes:
        refund: What may be seen.
        gateway_key: The key it is sent with.
        polls: How often a job looked at it.
    """

    refund: Refund
    gateway_key: str
    polls: int


def add(
    tx: Tx, refund: Refund, *, gateway_key: str, next_look_at: datetime | None, reference_hash: str | None = None
) -> None:
    """Keep a refund.

    Raises:
        sqlalchemy.exc.IntegrityError: The gateway's id of it is known already, or what proves it.
    """
    row = {name: getattr(refund, name) for name in (*_PLAIN, "origin", "state")}
    row |= {"currency": refund.amount.currency} | {name: getattr(refund, name).units for name in _FIGURES}
    row |= {"is_of_credit": int(refund.is_of_credit)}
    row |= {"gateway_key": gateway_key, "polls": 0, "next_poll_at": next_look_at, "reference_hash": reference_hash}
    tx.execute(insert(_refund).values(book_id=tx.book_id, **row))


def find(tx: Tx, refund_id: str) -> StoredRefund | None:
    """Read a refund of the book by its id."""
    return _one(tx, _refund.c.id == refund_id)


def find_at_gateway(tx: Tx, gateway: str, gateway_refund_id: str) -> StoredRefund | None:
    """Read a refund by the gateway's id of it."""
    return _one(tx, (_refund.c.gateway == gateway) & (_refund.c.gateway_refund_id == gateway_refund_id))


def find_outside(tx: Tx, reference_hash: str) -> StoredRefund | None:
    """Read a refund that was made outside any gateway by what proves it, whatever its top-up was paid by."""
    return _one(tx, _refund.c.reference_hash == reference_hash)


def of_topup(tx: Tx, topup_id: str) -> list[Refund]:
    """Read the refunds of a top-up, oldest first."""
    wanted = select(_refund).where(_refund.c.book_id == tx.book_id, _refund.c.topup_id == topup_id)
    return [_from_row(row).refund for row in tx.execute(tx.current(wanted.order_by(_refund.c.id)))]


def known_between(tx: Tx, gateway: str, since: datetime, until: datetime, *, after: str, limit: int) -> list[Refund]:
    """Read the refunds that were made in ``[since, until)`` and are known at their gateway, after an id."""
    wanted = select(_refund).where(
        _refund.c.book_id == tx.book_id,
        _refund.c.gateway == gateway,
        _refund.c.created_at >= since,
        _refund.c.created_at < until,
        _refund.c.gateway_refund_id.is_not(None),
        _refund.c.origin != "outside",
        _refund.c.id > after,
    )
    return [_from_row(row).refund for row in tx.execute(wanted.order_by(_refund.c.id).limit(limit))]


def due(tx: Tx, now: datetime, *, limit: int) -> list[StoredRefund]:
    """Read the refunds that a job should look at, longest waiting first."""
    wanted = select(_refund).where(_refund.c.book_id == tx.book_id, _refund.c.next_poll_at <= now)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_refund.c.next_poll_at, _refund.c.id).limit(limit))]


def step(tx: Tx, refund_id: str, target: RefundStep, **values: Any) -> bool:
    """Move a refund to ``target`` if its state still allows it, and lock its row; False otherwise."""
    statement = update(_refund).where(
        _refund.c.book_id == tx.book_id, _refund.c.id == refund_id, _refund.c.state.in_(refund_sources(target))
    )
    return bool(tx.execute(statement.values(state=target, **values)).rowcount)


def schedule_look(tx: Tx, refund_id: str, at: datetime, polls: int) -> None:
    """Say when a job should look at an open refund again."""
    statement = update(_refund).where(
        _refund.c.book_id == tx.book_id, _refund.c.id == refund_id, _refund.c.state.in_(OPEN_REFUNDS)
    )
    tx.execute(statement.values(next_poll_at=at, polls=polls))


def adopt(tx: Tx, refund: Refund) -> bool:
    """Take a refund that the gateway told of as one out of suspense; False if it is not as it was any more."""
    statement = update(_refund).where(
        _refund.c.book_id == tx.book_id,
        _refund.c.id == refund.id,
        _refund.c.origin == "gateway",
        _refund.c.state == refund.state,
    )
    return bool(tx.execute(statement.values(origin="review")).rowcount)


def rebook(tx: Tx, refund: Refund) -> bool:
    """Keep what a refund takes in its new turn; False if it is not as it was any more."""
    statement = update(_refund).where(
        _refund.c.book_id == tx.book_id,
        _refund.c.id == refund.id,
        _refund.c.state == refund.state,
        _refund.c.turn == refund.turn - 1,
    )
    values = {name: getattr(refund, name).units for name in _FIGURES}
    return bool(tx.execute(statement.values(turn=refund.turn, **values)).rowcount)


def back_from_suspense(tx: Tx, topup_id: str) -> int:
    """Sum what of a payment in suspense reached the customer and stayed there, in ledger units, as it is now."""
    wanted = select(_refund.c.amount).where(
        _refund.c.book_id == tx.book_id,
        _refund.c.topup_id == topup_id,
        _refund.c.origin == "review",
        _refund.c.state == "succeeded",
    )
    return sum(int(amount) for amount in tx.execute(tx.current(wanted)).scalars())


def _one(tx: Tx, which: Any) -> StoredRefund | None:
    row = tx.execute(select(_refund).where(_refund.c.book_id == tx.book_id, which)).first()
    return None if row is None else _from_row(row)


def _from_row(row: Any) -> StoredRefund:
    values: dict[str, Any] = {name: Money(getattr(row, name), row.currency) for name in _FIGURES}
    values |= {name: getattr(row, name) for name in _PLAIN} | {"is_of_credit": bool(row.is_of_credit)}
    refund = Refund(origin=cast(RefundOrigin, row.origin), state=cast(RefundStep, row.state), **values)
    return StoredRefund(refund=refund, gateway_key=row.gateway_key, polls=row.polls)
