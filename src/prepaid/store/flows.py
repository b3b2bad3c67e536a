"""Sums over transfers: what reports are made of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    String,
    case,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.sql.elements import KeyedColumnElement

from ..core.instants import from_micros
from ..core.transfers import AccountRef
from . import schema
from .database import Tx
from .grants import OPEN

_transfer = schema.transfer
_account = schema.account
_grant = schema.grant
_debit, _credit = _account.alias("debit"), _account.alias("credit")


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


FLOW: Final = ("debit_kind", "debit_owner", "credit_kind", "credit_owner", "kind", "amount", "transfers")
"""Columns that a flow is read from."""


def flow_of(row: Any) -> Flow:
    """Make a flow of a row with the columns `FLOW`."""
    return Flow(
        debit=AccountRef(row.debit_kind, row.debit_owner),
        credit=AccountRef(row.credit_kind, row.credit_owner),
        kind=row.kind,
        amount=int(row.amount),
        count=int(row.transfers),
    )


def flows(
    tx: Tx, currency: str, since: datetime | None, until: datetime | None, *, after: int | None = None
) -> list[Flow]:
    """Sum the transfers of one currency posted in ``[since, until)`` by account sorts and kind.

    Args:
        tx: The transaction.
        currency: Which.
        since: From the first one on if None.
        until: To the last one if None.
        after: Only those with a higher row number; they are then read in the order of their rows.
    """
    wanted = (_transfer.c.currency == currency, *posted_in(since, until), *_of_book(tx, after))
    return [flow_of(row) for row in tx.execute(sums(wanted))]


def flows_by_step(
    tx: Tx, currency: str, since: datetime | None, until: datetime, *, step: int, after: int | None = None
) -> list[tuple[datetime, Flow]]:
    """Sum as `flows` does, each ``step`` microseconds, counted from 1970, by themselves."""
    wanted = (_transfer.c.currency == currency, *posted_in(since, until), *_of_book(tx, after))
    posted = type_coerce(_transfer.c.posted_at, BigInteger)
    # Written out: PostgreSQL does not see that two parameters are one and the same.
    begun = (posted - posted % literal_column(str(step), BigInteger)).label("step")
    return [(from_micros(int(row.step)), flow_of(row)) for row in tx.execute(sums(wanted, begun))]


def posted_in(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Limit transfers to those posted in ``[since, until)``."""
    wanted = [] if since is None else [_transfer.c.posted_at >= since]
    return wanted if until is None else [*wanted, _transfer.c.posted_at < until]


def _of_book(tx: Tx, after: int | None) -> tuple[ColumnElement[bool], ...]:
    return (_transfer.c.book_id == tx.book_id,) if after is None else beyond(tx, after)


def beyond(tx: Tx, after: int) -> tuple[ColumnElement[bool], ...]:
    """Limit transfers to those of the book with a row number above ``after``, found by that number.

    The sum hides the book's column, by whose indexes an engine would else read the whole history.
    """
    return _transfer.c.id > after, _transfer.c.book_id + 0 == tx.book_id


def sums(wanted: Iterable[ColumnElement[bool]], *by: KeyedColumnElement[Any]) -> Select[Any]:
    """Give the statement that sums transfers by account sorts and kind, in the columns `FLOW`, and by others."""
    # By account id first: the engine sums whole accounts, and puts wallets together after.
    accounts = (_transfer.c.debit_id, _transfer.c.credit_id, _transfer.c.kind, *by)
    each = (
        select(*accounts, func.sum(_transfer.c.amount).label("amount"), func.count().label("transfers"))
        .where(*wanted)
        .group_by(*accounts)
        .subquery("each_account")
    )
    sorts = (*sort_of(_debit, "debit"), *sort_of(_credit, "credit"), each.c.kind, *(each.c[other.key] for other in by))
    joined = each.join(_debit, _debit.c.id == each.c.debit_id).join(_credit, _credit.c.id == each.c.credit_id)
    amount, count = func.sum(each.c.amount).label("amount"), func.sum(each.c.transfers).label("transfers")
    return select(*sorts, amount, count).select_from(joined).group_by(*sorts)


def sort_of(account: FromClause, side: str) -> tuple[ColumnElement[str], ColumnElement[str]]:
    """Name an account by kind and owner, as ``debit_kind`` and ``debit_owner``; a wallet without its owner."""
    # Written out, as the step: they stand in GROUP BY too.
    is_wallet = account.c.kind == literal_column("'wallet'", String)
    owner = case((is_wallet, literal_column("''", String)), else_=account.c.owner)
    return account.c.kind.label(f"{side}_kind"), owner.label(f"{side}_owner")


def liability(tx: Tx, currency: str) -> tuple[int, int]:
    """Sum the wallet balances above zero, and those below, in ledger units."""
    balance = _account.c.balance
    wanted = select(*(func.sum(case((side, balance), else_=0)) for side in (balance > 0, balance < 0))).where(
        _account.c.book_id == tx.book_id, _account.c.kind == "wallet", _account.c.currency == currency
    )
    above, below = tx.execute(wanted).one()
    return int(above or 0), int(below or 0)


def unspent(tx: Tx, currency: str) -> dict[str, int]:
    """Sum what remains of open grants by their kind, in ledger units."""
    wanted = (
        select(_grant.c.kind, func.sum(_grant.c.remaining))
        .join_from(_grant, _account, _account.c.id == _grant.c.wallet_id)
        .where(_grant.c.book_id == tx.book_id, _grant.c.open == OPEN, _account.c.currency == currency)
        .group_by(_grant.c.kind)
    )
    return {kind: int(remaining) for kind, remaining in tx.execute(wanted)}
