"""What a customer's open top-ups, and those of a day, come to: counted by guarded updates of one row."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, case, func, insert, select, update

from ..core.limits import CurrencyTopupLimits
from ..core.money import MAX_UNITS, Money
from . import schema
from .database import Tx

_allowance = schema.topup_allowance
_account = schema.account


@frozen
class Allowance:
    """What of a customer's limits is taken, in ledger units.

    Attributes:
        pending: What is open.
        of_day: What was started on ``day`` and has not ended unpaid.
        day: Day of the seller's zone.
    """

    pending: int
    of_day: int
    day: str

    def on(self, day: str) -> int:
        """Give what was started on a day."""
        return self.of_day if self.day == day else 0


def find(tx: Tx, customer: str, currency: str) -> Allowance:
    """Read what of a customer's limits is taken."""
    columns = (_allowance.c.pending, _allowance.c.of_day, _allowance.c.day)
    row = tx.execute(select(*columns).where(*_one(tx, customer, currency))).first()
    return Allowance(0, 0, "") if row is None else Allowance(row.pending, row.of_day, row.day)


def reserve(tx: Tx, customer: str, credit: Money, *, day: str, limits: CurrencyTopupLimits) -> bool:
    """Count a top-up that begins; False if a limit is met.

    The row is held before the guard is looked at by a statement of its own: one
    that had waited for the row would see the count as it is, beside a balance
    as it was when it began to wait.

    Raises:
        sqlalchemy.exc.IntegrityError: The customer's first top-ups begin at the same moment.
    """
    currency, units = credit.currency, credit.units
    held = select(_allowance.c.day).where(*_one(tx, customer, currency)).with_for_update()
    if tx.execute(held).first() is None:
        row = {"customer": customer, "currency": currency, "pending": 0, "day": day, "of_day": 0}
        tx.execute(insert(_allowance).values(book_id=tx.book_id, **row))
    of_day = case((_allowance.c.day == day, _allowance.c.of_day), else_=0)
    guards = [
        _allowance.c.pending <= _room(limits.pending, units),
        of_day <= _room(limits.daily, units),
        _balance(tx, customer, currency) <= _room(limits.maximum_balance, units) - _allowance.c.pending,
    ]
    counted = update(_allowance).where(*_one(tx, customer, currency), *guards)
    # In this order: MariaDB computes each value with those before it already changed.
    values = (
        (_allowance.c.of_day, of_day + units),
        (_allowance.c.day, day),
        (_allowance.c.pending, _allowance.c.pending + units),
    )
    return bool(tx.execute(counted.ordered_values(*values)).rowcount)


def release(tx: Tx, customer: str, credit: Money, *, day: str, paid: bool) -> None:
    """Count a top-up no more: as open, and if it ended unpaid, of its day.

    A count that is too low ends at zero: neither a clock that went back nor a
    row that was changed keeps money from being settled.
    """
    unpaid = 0 if paid else credit.units
    of_day = case((_allowance.c.day == day, _less(_allowance.c.of_day, unpaid)), else_=_allowance.c.of_day)
    values = {"of_day": of_day, "pending": _less(_allowance.c.pending, credit.units)}
    tx.execute(update(_allowance).where(*_one(tx, customer, credit.currency)).values(values))


def _less(count: ColumnElement[int], units: int) -> ColumnElement[int]:
    return case((count > units, count - units), else_=0)


def _room(limit: Money | None, units: int) -> int:
    # Written so that no side of a comparison can leave 64 bits.
    return (MAX_UNITS if limit is None else limit.units) - units


def _one(tx: Tx, customer: str, currency: str) -> tuple[ColumnElement[bool], ...]:
    return (
        _allowance.c.book_id == tx.book_id,
        _allowance.c.customer == customer,
        _allowance.c.currency == currency,
    )


def _balance(tx: Tx, customer: str, currency: str) -> Any:
    wallet = select(_account.c.balance).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        _account.c.owner == customer,
        _account.c.currency == currency,
    )
    return func.coalesce(wallet.scalar_subquery(), 0)
