"""Disputes that gateways tell of, and what is posted of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import Select, insert, select, update

from ..core.money import Money
from ..core.payments import DisputeState
from ..core.refunds import Dispute, DisputeBooked
from . import schema
from .database import Tx

_dispute = schema.dispute
_topup = schema.topup

_PLAIN = "id topup_id gateway dispute_id payment_id reason opened_at created_at changed_at".split()
_FIGURES = ("amount", "withdrawn", "credit", "clawback", "net", "tax")


@frozen(kw_only=True)
class StoredDispute:
    """A dispute with what only the library needs.

    Attributes:
        dispute: What may be seen.
        turn: How often something was posted of it.
        lost_turn: The turn in which it was lost, or None.
        hold_id: The hold that keeps what is left of its top-up, or None.
        booked_fee: What is posted of its fee, in units of the fee's currency.
    """

    dispute: Dispute
    turn: int
    lost_turn: int | None
    hold_id: str | None
    booked_fee: int

    @property
    def unbooked_fee(self) -> int:
        """What is still to be posted of its fee, or to be taken back if below zero."""
        return 0 if self.dispute.fee is None else self.dispute.fee.units - self.booked_fee


def add(tx: Tx, dispute: Dispute) -> None:
    """Keep a dispute of which nothing is posted.

    Raises:
        sqlalchemy.exc.IntegrityError: The gateway's id of it is known already.
    """
    row = {name: getattr(dispute, name) for name in (*_PLAIN, "state", "booked")}
    row |= {"currency": dispute.amount.currency} | {name: getattr(dispute, name).units for name in _FIGURES}
    tx.execute(insert(_dispute).values(book_id=tx.book_id, turn=0, booked_fee=0, **row, **_fee(dispute.fee)))


def _fee(fee: Money | None) -> dict[str, Any]:
    return {"fee": None if fee is None else fee.units, "fee_currency": None if fee is None else fee.currency}


def find_at_gateway(tx: Tx, gateway: str, dispute_id: str) -> Dispute | None:
    """Read a dispute by the gateway's id of it."""
    wanted = select(_dispute).where(
        _dispute.c.book_id == tx.book_id, _dispute.c.gateway == gateway, _dispute.c.dispute_id == dispute_id
    )
    row = tx.execute(wanted).first()
    return None if row is None else _from_row(row).dispute


def hold(tx: Tx, dispute_id: str) -> StoredDispute | None:
    """Read a dispute of the book by its id and keep its row from others until the commit."""
    wanted = select(_dispute).where(_dispute.c.book_id == tx.book_id, _dispute.c.id == dispute_id)
    row = tx.execute(wanted.with_for_update()).first()
    return None if row is None else _from_row(row)


def of_topup(tx: Tx, topup_id: str) -> list[Dispute]:
    """Read the disputes of a top-up, oldest first, as they are now."""
    wanted = select(_dispute).where(_dispute.c.book_id == tx.book_id, _dispute.c.topup_id == topup_id)
    return [_from_row(row).dispute for row in tx.execute(tx.current(wanted.order_by(_dispute.c.id)))]


def is_any_withdrawn(tx: Tx, customer: str, *, beside: str | None = None) -> bool:
    """Tell whether the money of a payment of a customer's is withdrawn for a dispute, beside that of one top-up."""
    wanted = _withdrawn(tx, customer)
    if beside is not None:
        wanted = wanted.where(_dispute.c.topup_id != beside)
    return tx.execute(wanted.limit(1)).first() is not None


def topups_withdrawn(tx: Tx, customer: str) -> list[str]:
    """Name the top-ups of a customer whose money is withdrawn for disputes, the oldest first."""
    rows = tx.execute(_withdrawn(tx, customer).distinct().order_by(_dispute.c.topup_id))
    return [row.topup_id for row in rows]


def _withdrawn(tx: Tx, customer: str) -> Select[tuple[str]]:
    # Few disputes of a book are open, however many top-ups a customer has.
    its = (_topup.c.book_id == _dispute.c.book_id) & (_topup.c.id == _dispute.c.topup_id)
    wanted: Select[tuple[str]] = select(_dispute.c.topup_id).join_from(_dispute, _topup, its)
    is_open = (_dispute.c.book_id == tx.book_id, _dispute.c.booked == "withdrawn")
    return wanted.where(*is_open, _topup.c.customer == customer)


def listed(tx: Tx, *, states: tuple[str, ...], before: str | None, limit: int) -> list[Dispute]:
    """Read disputes of some states, newest first, below an id."""
    wanted = select(_dispute).where(_dispute.c.book_id == tx.book_id, _dispute.c.state.in_(states))
    if before is not None:
        wanted = wanted.where(_dispute.c.id < before)
    return [_from_row(row).dispute for row in tx.execute(wanted.order_by(_dispute.c.id.desc()).limit(limit))]


def change(tx: Tx, dispute: Dispute, *, state: DisputeState, amount: Money, fee: Money | None, now: datetime) -> bool:
    """Record that a dispute is in another state, or about another amount, now; False if somebody else did so."""
    statement = update(_dispute).where(
        _dispute.c.book_id == tx.book_id,
        _dispute.c.id == dispute.id,
        _dispute.c.state == dispute.state,
        _dispute.c.amount == dispute.amount.units,
    )
    values = {"state": state, "amount": amount.units, "currency": amount.currency, "changed_at": now, **_fee(fee)}
    return bool(tx.execute(statement.values(values)).rowcount)


def book(
    tx: Tx,
    stored: StoredDispute,
    *,
    booked: DisputeBooked,
    hold_id: str | None,
    lost_turn: int | None,
    **figures: Money,
) -> bool:
    """Record what is posted of a dispute; False if somebody else posted something meanwhile.

    Args:
        tx: The transaction.
        stored: The dispute as it was.
        booked: What is posted of it now.
        hold_id: The hold that keeps what is left of its top-up, or None.
        lost_turn: The turn in which it was lost, or None.
        figures: ``withdrawn``, ``credit``, ``clawback``, ``net`` and ``tax``; zero where not named.
    """
    statement = update(_dispute).where(
        _dispute.c.book_id == tx.book_id, _dispute.c.id == stored.dispute.id, _dispute.c.turn == stored.turn
    )
    units = {name: figures[name].units if name in figures else 0 for name in _FIGURES[1:]}
    values = {"booked": booked, "turn": stored.turn + 1, "hold_id": hold_id, **units}
    values["lost_turn"] = lost_turn
    values["booked_fee"] = stored.booked_fee + stored.unbooked_fee
    return bool(tx.execute(statement.values(values)).rowcount)


def _from_row(row: Any) -> StoredDispute:
    values: dict[str, Any] = {name: Money(getattr(row, name), row.currency) for name in _FIGURES}
    values |= {name: getattr(row, name) for name in _PLAIN}
    dispute = Dispute(
        state=cast(DisputeState, row.state),
        booked=cast(DisputeBooked, row.booked),
        fee=None if row.fee is None else Money(row.fee, row.fee_currency),
        **values,
    )
    return StoredDispute(
        dispute=dispute, turn=row.turn, lost_turn=row.lost_turn, hold_id=row.hold_id, booked_fee=row.booked_fee
    )
