"""Sums over transfers: what reports are made of."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen
from sqlalchemy import func, select

from ..core.transfers import AccountRef
from . import schema
from .database import Tx

_transfer = schema.transfer
_account = schema.account


@frozen(kw_only=True)
class Flow:
    """What moved from one sort of account to another, in ledger units.

    Attributes:
        debit: Account that gave; a wallet without its owner.
        credit: Account that received.
        kind: Kind of the transactions.
        amount: Sum of the transfers.
        count: How many they were.
    """

    debit: AccountRef
    credit: AccountRef
    kind: str
    amount: int
    count: int


def flows(tx: Tx, currency: str, since: datetime | None, until: datetime | None) -> list[Flow]:
    """Sum the transfers of one currency posted in ``[since, until)`` by account sorts and kind."""
    debit, credit = _account.alias("debit"), _account.alias("credit")
    wanted = [_transfer.c.book_id == tx.book_id, _transfer.c.currency == currency]
    if since is not None:
        wanted.append(_transfer.c.posted_at >= since)
    if until is not None:
        wanted.append(_transfer.c.posted_at < until)
    # By account id first: the engine sums whole accounts, and wallets are put together here.
    sums = (
        select(
            _transfer.c.debit_id,
            _transfer.c.credit_id,
            _transfer.c.kind,
            func.sum(_transfer.c.amount).label("amount"),
            func.count().label("rows"),
        )
        .where(*wanted)
        .group_by(_transfer.c.debit_id, _transfer.c.credit_id, _transfer.c.kind)
        .subquery()
    )
    named = select(
        debit.c.kind, debit.c.owner, credit.c.kind, credit.c.owner, sums.c.kind, sums.c.amount, sums.c.rows
    ).select_from(sums.join(debit, debit.c.id == sums.c.debit_id).join(credit, credit.c.id == sums.c.credit_id))
    found: dict[tuple[AccountRef, AccountRef, str], tuple[int, int]] = {}
    for debit_kind, debit_owner, credit_kind, credit_owner, kind, amount, rows in tx.execute(named):
        key = (_sort(debit_kind, debit_owner), _sort(credit_kind, credit_owner), kind)
        before = found.get(key, (0, 0))
        found[key] = (before[0] + int(amount), before[1] + int(rows))
    return [
        Flow(debit=debited, credit=credited, kind=kind, amount=amount, count=count)
        for (debited, credited, kind), (amount, count) in found.items()
    ]


def _sort(kind: str, owner: str) -> AccountRef:
    return AccountRef(kind, "" if kind == "wallet" else owner)  # type: ignore[arg-type]


def liability(tx: Tx, currency: str) -> tuple[int, int]:
    """Sum the wallet balances above zero, and those below, in ledger units."""
    wanted = select(_account.c.balance).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        _account.c.currency == currency,
        _account.c.balance != 0,
    )
    balances = [int(balance) for balance in tx.execute(wanted).scalars()]
    return sum(b for b in balances if b > 0), sum(b for b in balances if b < 0)
