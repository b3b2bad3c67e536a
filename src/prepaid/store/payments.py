"""Payments that settled top-ups: one row each, written once; but for a fee that is told later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import insert, select, update

from ..core.money import Money
from ..core.payments import PaymentSnapshot
from ..core.topups import Topup
from . import schema
from .database import Tx

_payment = schema.payment


@frozen(kw_only=True)
class StoredPayment:
    """A payment row.

    Attributes:
        topup_id: The top-up that it settled.
        payment_id: The gateway's id of it.
        captured: What it took.
    """

    topup_id: str
    payment_id: str
    captured: Money


def add(tx: Tx, topup: Topup, payment: PaymentSnapshot, *, posted_as: str, now: datetime) -> None:
    """Keep the one payment of a top-up.

    Raises:
        sqlalchemy.exc.IntegrityError: The payment settled a top-up before.
    """
    captured, fee = cast(Money, payment.captured), payment.fee
    row: Mapping[str, Any] = {
        "book_id": tx.book_id,
        "topup_id": topup.id,
        "gateway": topup.gateway,
        "payment_id": payment.payment_id,
        "currency": captured.currency,
        "captured": captured.units,
        "method": payment.method[:32],
        "fee": None if fee is None else fee.units,
        "fee_currency": None if fee is None else fee.currency,
        "posted_as": posted_as,
        "created_at": now,
    }
    tx.execute(insert(_payment).values(row))


def owner(tx: Tx, gateway: str, payment_id: str) -> str | None:
    """Name the top-up that a gateway's payment settled."""
    found = find(tx, gateway, payment_id)
    return None if found is None else found.topup_id


def find(tx: Tx, gateway: str, payment_id: str) -> StoredPayment | None:
    """Read a payment by the gateway's id of it."""
    row = tx.execute(_select(tx, gateway).where(_payment.c.payment_id == payment_id)).first()
    return None if row is None else _from_row(row)


def without_fee(tx: Tx, gateway: str, payment_id: str) -> str | None:
    """Name the top-up that a payment settled whose fee is not known."""
    row = tx.execute(_select(tx, gateway).where(_payment.c.payment_id == payment_id, _payment.c.fee.is_(None))).first()
    return None if row is None else str(row.topup_id)


def add_fee(tx: Tx, topup_id: str, fee: Money) -> bool:
    """Add the fee to the payment of a top-up; False if it has one."""
    statement = update(_payment).where(
        _payment.c.book_id == tx.book_id, _payment.c.topup_id == topup_id, _payment.c.fee.is_(None)
    )
    return bool(tx.execute(statement.values(fee=fee.units, fee_currency=fee.currency)).rowcount)


def settled_between(
    tx: Tx, gateway: str, since: datetime, until: datetime, *, after: str = "", limit: int
) -> list[StoredPayment]:
    """Read a gateway's payments that were posted in ``[since, until)``, by their id, after one."""
    wanted = _select(tx, gateway).where(
        _payment.c.created_at >= since, _payment.c.created_at < until, _payment.c.payment_id > after
    )
    return [_from_row(row) for row in tx.execute(wanted.order_by(_payment.c.payment_id).limit(limit))]


def _select(tx: Tx, gateway: str) -> Any:
    columns = (_payment.c.topup_id, _payment.c.payment_id, _payment.c.captured, _payment.c.currency)
    return select(*columns).where(_payment.c.book_id == tx.book_id, _payment.c.gateway == gateway)


def _from_row(row: Any) -> StoredPayment:
    return StoredPayment(topup_id=row.topup_id, payment_id=row.payment_id, captured=Money(row.captured, row.currency))
