"""What `check` reads of the sums by day: what is kept, and what the transfers say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from sqlalchemy import String, case, func, literal, select

from ...core.days import Days
from ...core.instants import local_day
from .. import schema
from ..database import Tx
from ..flows import posted_in
from .reading import halves, joined_halves, stream
from .scope import Scope, new_transfers

_rollup = schema.rollup
_day = schema.rollup_day
_transfer = schema.transfer
_account = schema.account
_debit, _credit = _account.alias("debit"), _account.alias("credit")

Sums = dict[tuple[str, ...], tuple[int, int]]
"""By currency, debit account, credit account and kind: ledger units and transfers."""


def state(tx: Tx) -> Any:
    """Give how far the book's sums by day reach; None if there are none."""
    wanted = select(_rollup.c.zone, _rollup.c.through, _rollup.c.mark).where(_rollup.c.book_id == tx.book_id)
    return tx.execute(wanted).first()


def last_number(tx: Tx) -> int:
    """Give the highest row number of all transfers."""
    return int(tx.execute(select(func.max(_transfer.c.id))).scalar() or 0)


def kept_days(tx: Tx) -> list[str]:
    """Give the days of which sums are kept, as they are written."""
    return list(tx.execute(select(_day.c.day).where(_day.c.book_id == tx.book_id).distinct()).scalars())


def days_of_new(tx: Tx, scope: Scope, zone: str, *, through: int) -> set[date]:
    """Give the days on which new transfers were posted that the sums hold."""
    wanted = select(_transfer.c.posted_at).where(*new_transfers(tx, scope), _transfer.c.id <= through)
    return {local_day(row.posted_at, zone) for row in stream(tx, wanted.distinct())}


def days_of_all(tx: Tx, zone: str, *, through: int) -> Iterator[date]:
    """Give the days on which the transfers that the sums hold were posted, each found by where the one before ended."""
    wanted = select(func.min(_transfer.c.posted_at)).where(_transfer.c.book_id == tx.book_id, _transfer.c.id <= through)
    posted: datetime | None = tx.execute(wanted).scalar()
    while posted is not None:
        day = local_day(posted, zone)
        yield day
        end = Days.of_one(day, zone).end
        posted = tx.execute(wanted.where(_transfer.c.posted_at >= end)).scalar()


def kept(tx: Tx, day: str) -> Sums:
    """Give what is kept of a day."""
    sorts = ("currency", "debit_kind", "debit_owner", "credit_kind", "credit_owner", "kind")
    wanted = select(*(_day.c[name] for name in sorts), _day.c.amount, _day.c.transfers)
    rows = tx.execute(wanted.where(_day.c.book_id == tx.book_id, _day.c.day == day))
    return {tuple(row[:-2]): (int(row.amount), int(row.transfers)) for row in rows}


def summed(tx: Tx, day: Days, *, through: int) -> Sums:
    """Sum the transfers of a day with a row number up to ``through``."""
    sides = [column for account in (_debit, _credit) for column in _side(account)]
    rows = (
        select(_transfer.c.currency, *sides, _transfer.c.kind, _transfer.c.amount)
        .select_from(
            _transfer.outerjoin(_debit, _debit.c.id == _transfer.c.debit_id).outerjoin(
                _credit, _credit.c.id == _transfer.c.credit_id
            )
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.id <= through, *posted_in(day.start, day.end))
        .subquery()
    )
    sorts = [column for column in rows.c if column.key != "amount"]
    wanted = select(*sorts, *halves(rows.c.amount, "amount"), func.count().label("transfers")).group_by(*sorts)
    found = tx.execute(wanted)
    return {tuple(row[: len(sorts)]): (joined_halves(row, "amount"), int(row.transfers)) for row in found}


def _side(account: Any) -> tuple[Any, Any]:
    owner = case((account.c.kind == "wallet", literal("", String)), else_=account.c.owner)
    return account.c.kind.label(f"{account.name}_kind"), owner.label(f"{account.name}_owner")
