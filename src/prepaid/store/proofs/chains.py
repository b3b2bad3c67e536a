"""What `check` reads of numbers, accounts and transfers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from .. import schema
from ..columns import PREFIX
from ..database import Tx
from .reading import named, stream

_account = schema.account
_transfer = schema.transfer
_debit, _credit = _account.alias("debit"), _account.alias("credit")


def oddly_stored(tx: Tx) -> Iterator[tuple[str, str, int]]:
    """Give columns that hold values of another type than theirs, and how many; only SQLite lets that happen."""
    if tx.dialect != "sqlite":
        return
    for table in schema.metadata.sorted_tables:
        if "book_id" in table.c:
            [found] = tx.execute(_count_odd(table), {"in_book": tx.book_id})
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
    odd = func.typeof(column).not_in((stored, "null") if column.nullable else (stored,))
    return type_coerce(odd, BigInteger)


def currencies(tx: Tx) -> list[Any]:
    """Give the book's currencies with the scale they are kept at."""
    table = schema.currency
    return list(tx.execute(select(table.c.code, table.c.scale).where(table.c.book_id == tx.book_id)))


def wallets(tx: Tx) -> dict[int, tuple[int, int]]:
    """Give balance and seq of every wallet by id."""
    wanted = select(_account.c.id, _account.c.balance, _account.c.seq).where(
        _account.c.book_id == tx.book_id, _account.c.kind == "wallet"
    )
    return {row.id: (row.balance, row.seq) for row in tx.execute(wanted)}


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


def impossible_transfers(tx: Tx) -> Iterator[Any]:
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
    wanted = select(_transfer.c.id).select_from(joined).where(_transfer.c.book_id == tx.book_id, wrong)
    return stream(tx, wanted)


def unlisted_postings(tx: Tx, listed: Iterable[tuple[str, str, str, str]]) -> Iterator[Any]:
    """Give transfers whose kind, cause and kinds of debit and credit account stand in no list of what is posted."""
    posted = (_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind.label("debit"), _credit.c.kind.label("credit"))
    joined = _transfer.join(_debit, _debit.c.id == _transfer.c.debit_id).join(
        _credit, _credit.c.id == _transfer.c.credit_id
    )
    wanted = select(_transfer.c.id, *posted).select_from(joined)
    kinds = tuple_(_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind, _credit.c.kind)
    return stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, kinds.not_in(list(listed))))


def wallet_rows(tx: Tx) -> Iterator[Any]:
    """Give every wallet transfer in the order of its wallet's sequence."""
    wanted = (
        select(
            *named(_transfer, "id wallet_id wallet_seq wallet_after amount"),
            case((_transfer.c.credit_id == _transfer.c.wallet_id, 1), else_=-1).label("sign"),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.wallet_id.is_not(None))
        .order_by(_transfer.c.wallet_id, _transfer.c.wallet_seq)
    )
    return stream(tx, wanted)


def rows_by_key(tx: Tx) -> Iterator[Any]:
    """Give every transfer with the owner of its wallet, key by key and part by part."""
    wanted = (
        select(
            *named(
                _transfer, "key_hash part transaction_id fingerprint kind cause_type cause_id actor currency amount"
            ),
            *named(_transfer, "effective_at posted_at resource resource_kind period_start period_end"),
            _transfer.c.charge_period_key,
            _account.c.owner,
        )
        .select_from(_transfer.outerjoin(_account, _account.c.id == _transfer.c.wallet_id))
        .where(_transfer.c.book_id == tx.book_id)
        .order_by(_transfer.c.key_hash, _transfer.c.part)
    )
    return stream(tx, wanted)


def shared_transactions(tx: Tx) -> Iterator[Any]:
    """Give transactions that more than one key claims."""
    wanted = select(_transfer.c.transaction_id).where(_transfer.c.book_id == tx.book_id)
    two_keys = func.min(_transfer.c.key_hash) != func.max(_transfer.c.key_hash)
    return stream(tx, wanted.group_by(_transfer.c.transaction_id).having(two_keys))
