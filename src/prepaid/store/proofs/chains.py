"""What `check` reads of numbers, accounts and transfers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
)

from .. import schema
from ..columns import PREFIX
from ..database import Tx
from .reading import named, stream, wide
from .scope import Scope, new_transfers, touched_wallets

_account = schema.account
_transfer = schema.transfer
_debit, _credit = _account.alias("debit"), _account.alias("credit")


def oddly_stored(tx: Tx, scope: Scope) -> Iterator[tuple[str, str, int]]:
    """Give columns that hold values of another type than theirs, and how many; only SQLite lets that happen."""
    if tx.dialect != "sqlite":
        return
    for table in schema.metadata.sorted_tables:
        if "book_id" in table.c:
            limits = new_transfers(tx, scope) if table is _transfer else ()
            [found] = tx.execute(_count_odd(table).where(*limits), {"in_book": tx.book_id})
            for column, rows in zip(table.c, found, strict=True):
                if rows:
                    yield table.name.removeprefix(PREFIX), column.name, int(rows)


@cache
def _count_odd(table: Table) -> Select[Any]:
    odd: list[ColumnElement[Any]] = [func.sum(_is_odd(column)) for column in table.c]
    return select(*odd).where(table.c.book_id == bindparam("in_book"))


def _is_odd(column: Any) -> ColumnElement[int]:
    kind = column.type
    stored = "blob" if isinstance(kind, LargeBinary) else "text" if isinstance(kind, String) else "integer"
    # Written out: a value that is bound would be bound for every column of every table.
    odd: ColumnElement[bool] = func.typeof(column) != literal_column(f"'{stored}'")
    return type_coerce(and_(odd, column.is_not(None)) if column.nullable else odd, BigInteger)


def currencies(tx: Tx) -> list[Any]:
    """Give the book's currencies with the scale they are kept at."""
    table = schema.currency
    wanted = select(table.c.code, table.c.scale, table.c.minor_digits)
    return list(tx.execute(wanted.where(table.c.book_id == tx.book_id)))


def impossible_accounts(tx: Tx, kinds: Iterable[str]) -> Iterator[Any]:
    """Give accounts of no known kind, with held credit or a floor above zero, and system accounts with figures."""
    figures = (_account.c.balance, _account.c.seq, _account.c.held, _account.c.floor)
    wrong = or_(
        _account.c.kind.not_in(tuple(kinds)),
        _account.c.held < 0,
        _account.c.floor > 0,
        and_(_account.c.kind != "wallet", or_(*(figure != 0 for figure in figures))),
    )
    wanted = select(_account.c.id, _account.c.kind, *figures)
    return stream(tx, wanted.where(_account.c.book_id == tx.book_id, wrong))


def impossible_transfers(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transfers whose accounts, amount or wallet contradict each other."""
    wallet_of = case((_debit.c.kind == "wallet", _debit.c.id), (_credit.c.kind == "wallet", _credit.c.id))
    chained, place = _transfer.c.wallet_id.is_not(None), (_transfer.c.wallet_seq, _transfer.c.wallet_after)
    wrong = or_(
        _transfer.c.amount <= 0,
        _transfer.c.debit_id == _transfer.c.credit_id,
        _debit.c.id.is_(None),
        _credit.c.id.is_(None),
        _debit.c.book_id != _transfer.c.book_id,
        _credit.c.book_id != _transfer.c.book_id,
        _debit.c.currency != _transfer.c.currency,
        _credit.c.currency != _transfer.c.currency,
        and_(_debit.c.kind == "wallet", _credit.c.kind == "wallet"),
        func.coalesce(wallet_of, -1) != func.coalesce(_transfer.c.wallet_id, -1),
        or_(*(column.is_not(None) != chained for column in place)),
    )
    joined = _transfer.outerjoin(_debit, _debit.c.id == _transfer.c.debit_id).outerjoin(
        _credit, _credit.c.id == _transfer.c.credit_id
    )
    wanted = select(_transfer.c.id).select_from(joined).where(*new_transfers(tx, scope), wrong)
    return stream(tx, wanted)


def unlisted_postings(tx: Tx, scope: Scope, listed: Iterable[tuple[str, str, str, str]]) -> Iterator[Any]:
    """Give transfers whose kind, cause and kinds of debit and credit account stand in no list of what is posted."""
    posted = (_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind.label("debit"), _credit.c.kind.label("credit"))
    joined = _transfer.join(_debit, _debit.c.id == _transfer.c.debit_id).join(
        _credit, _credit.c.id == _transfer.c.credit_id
    )
    wanted = select(_transfer.c.id, *posted).select_from(joined)
    kinds = tuple_(_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind, _credit.c.kind)
    return stream(tx, wanted.where(*new_transfers(tx, scope), kinds.not_in(list(listed))))


def broken_links(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give wallet transfers that do not follow the one before them, with that one's place and balance.

    With a place, from each wallet's first new transfer on; the one before that is taken as it is.
    """
    is_credit = _transfer.c.credit_id == _transfer.c.wallet_id
    amount = wide(_transfer.c.amount)
    first = _first_new(tx, scope)
    conditions = [_transfer.c.book_id == tx.book_id, _transfer.c.wallet_id.is_not(None)]
    rows: FromClause = _transfer
    if first is not None:
        rows = _transfer.join(first, first.c.wallet_id == _transfer.c.wallet_id)
        conditions.append(_transfer.c.wallet_seq >= first.c.wallet_seq - 1)
    links = (
        select(
            *named(_transfer, "id wallet_id wallet_seq wallet_after"),
            case((is_credit, amount), else_=-amount).label("moved"),
            _before(_transfer.c.wallet_seq).label("seq_before"),
            _before(_transfer.c.wallet_after).label("balance_before"),
            (literal(1) if first is None else first.c.wallet_seq).label("proved_from"),
        )
        .select_from(rows)
        .where(*conditions)
        .subquery()
    )
    after = wide(func.coalesce(links.c.balance_before, 0)) + links.c.moved
    wrong = or_(links.c.wallet_seq != func.coalesce(links.c.seq_before, 0) + 1, wide(links.c.wallet_after) != after)
    return stream(tx, select(links).where(links.c.wallet_seq >= links.c.proved_from, wrong))


def _before(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.lag(column).over(partition_by=_transfer.c.wallet_id, order_by=_transfer.c.wallet_seq)


def _first_new(tx: Tx, scope: Scope) -> FromClause | None:
    if scope.is_whole:
        return None
    wanted = select(_transfer.c.wallet_id, func.min(_transfer.c.wallet_seq).label("wallet_seq"))
    new = (*new_transfers(tx, scope), _transfer.c.wallet_id.is_not(None))
    return wanted.where(*new).group_by(_transfer.c.wallet_id).subquery()


def broken_ends(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give wallets whose number of transfers and balance are not those of their last transfer, with the latter."""
    last, later = _transfer.alias("last"), _transfer.alias("later")
    beyond = select(literal(1)).where(later.c.wallet_id == _account.c.id, later.c.wallet_seq > _account.c.seq).exists()
    wrong = or_(
        func.coalesce(last.c.wallet_after, 0) != _account.c.balance,
        and_(_account.c.seq != 0, last.c.id.is_(None)),
        beyond,
    )
    joined = _account.outerjoin(last, and_(last.c.wallet_id == _account.c.id, last.c.wallet_seq == _account.c.seq))
    wanted = select(_account.c.id, _account.c.balance, _account.c.seq, last.c.wallet_after).select_from(joined)
    of_book = (_account.c.book_id == tx.book_id, _account.c.kind == "wallet")
    return stream(tx, wanted.where(*of_book, *touched_wallets(tx, scope, _account.c.id), wrong))


# Transactions


def heads(tx: Tx, scope: Scope, causes: Iterable[str]) -> Iterator[Any]:
    """Give the first transfer of every transaction of some causes, with what all of its transfers move.

    In the order of their rows, which is the fastest to read; in the columns `HEAD`.
    """
    further = (
        select(_transfer.c.key_hash, func.sum(wide(_transfer.c.amount)).label("amount"))
        .where(*new_transfers(tx, scope), _transfer.c.part > 0)
        .group_by(_transfer.c.key_hash)
        .subquery()
    )
    joined = _transfer.outerjoin(_account, _account.c.id == _transfer.c.wallet_id).outerjoin(
        further, further.c.key_hash == _transfer.c.key_hash
    )
    wanted = (
        select(*named(_transfer, HEAD), further.c.amount.label("further"), _account.c.owner)
        .select_from(joined)
        .where(*new_transfers(tx, scope), _transfer.c.part == 0, _transfer.c.cause_type.in_(list(causes)))
    )
    return stream(tx, wanted)


HEAD: Final = (
    "id key_hash fingerprint kind cause_type cause_id actor currency amount effective_at posted_at "
    "resource resource_kind period_start period_end charge_period_key wallet_seq reverses"
)
"""What a transaction's first transfer says of all of them."""

_SHARED: Final = (
    "transaction_id fingerprint kind cause_type cause_id currency actor effective_at posted_at reverses".split()
)
_LABEL: Final = "description resource resource_kind project period_start period_end charge_period_key".split()


def impossible_parts(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give further transfers of transactions without the part before them, or at odds with the first part."""
    head, before = _transfer.alias("head"), _transfer.alias("before")

    def same_key(other: FromClause) -> ColumnElement[bool]:
        return and_(other.c.book_id == _transfer.c.book_id, other.c.key_hash == _transfer.c.key_hash)

    joined = _transfer.outerjoin(head, and_(same_key(head), head.c.part == 0)).outerjoin(
        before, and_(same_key(before), before.c.part == _transfer.c.part - 1)
    )
    wrong = or_(
        before.c.id.is_(None),
        *(_transfer.c[name].is_distinct_from(head.c[name]) for name in _SHARED),
        *(_transfer.c[name].is_not(None) for name in _LABEL),
    )
    wanted = select(_transfer.c.key_hash, _transfer.c.part).select_from(joined)
    return stream(tx, wanted.where(*new_transfers(tx, scope), _transfer.c.part != 0, wrong))


def shared_transactions(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transactions that more than one key claims."""
    wanted = select(_transfer.c.transaction_id)
    two_keys = func.min(_transfer.c.key_hash) != func.max(_transfer.c.key_hash)
    if not scope.is_whole:
        new = select(_transfer.c.transaction_id).where(*new_transfers(tx, scope))
        wanted = wanted.where(_transfer.c.transaction_id.in_(new))
    grouped = wanted.where(_transfer.c.book_id == tx.book_id).group_by(_transfer.c.transaction_id)
    return stream(tx, grouped.having(two_keys))
