"""What `check` reads: rows in the order in which they prove each other, and rows that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, and_, case, func, literal, or_, select, text

from ..core.states import TOPUP_STEPS
from . import schema
from .database import Tx

_account = schema.account
_transfer = schema.transfer
_grant = schema.grant
_topup = schema.topup
_payment = schema.payment
_invoice = schema.invoice
_series = schema.invoice_series

AT_ONCE = 2000


def _stream(tx: Tx, wanted: Select[Any]) -> Iterator[Any]:
    result = tx.connection.execution_options(yield_per=AT_ONCE).execute(wanted)
    yield from result


def count(tx: Tx, table: str) -> int:
    """Count the book's rows of a table."""
    rows = schema.metadata.tables[schema.PREFIX + table]
    return int(tx.execute(select(func.count()).select_from(rows).where(rows.c.book_id == tx.book_id)).scalar_one())


def wallets(tx: Tx) -> dict[int, tuple[int, int, int]]:
    """Give balance, seq and held of every wallet by id."""
    wanted = select(_account.c.id, _account.c.balance, _account.c.seq, _account.c.held).where(
        _account.c.book_id == tx.book_id, _account.c.kind == "wallet"
    )
    return {row.id: (row.balance, row.seq, row.held) for row in tx.execute(wanted)}


def wallet_rows(tx: Tx) -> Iterator[Any]:
    """Give every wallet transfer in the order of its wallet's sequence."""
    wanted = (
        select(
            _transfer.c.id,
            _transfer.c.wallet_id,
            _transfer.c.wallet_seq,
            _transfer.c.wallet_after,
            _transfer.c.amount,
            case((_transfer.c.credit_id == _transfer.c.wallet_id, 1), else_=-1).label("sign"),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.wallet_id.is_not(None))
        .order_by(_transfer.c.wallet_id, _transfer.c.wallet_seq)
    )
    return _stream(tx, wanted)


def impossible_transfers(tx: Tx) -> Iterator[Any]:
    """Give transfers whose accounts, amount or wallet contradict each other."""
    debit, credit = _account.alias("debit"), _account.alias("credit")
    wallet_of = case((debit.c.kind == "wallet", debit.c.id), (credit.c.kind == "wallet", credit.c.id))
    wrong = or_(
        _transfer.c.amount <= 0,
        _transfer.c.debit_id == _transfer.c.credit_id,
        debit.c.id.is_(None),
        credit.c.id.is_(None),
        debit.c.book_id != _transfer.c.book_id,
        credit.c.book_id != _transfer.c.book_id,
        debit.c.currency != _transfer.c.currency,
        credit.c.currency != _transfer.c.currency,
        and_(debit.c.kind == "wallet", credit.c.kind == "wallet"),
        func.coalesce(wallet_of, -1) != func.coalesce(_transfer.c.wallet_id, -1),
    )
    joined = _transfer.outerjoin(debit, debit.c.id == _transfer.c.debit_id).outerjoin(
        credit, credit.c.id == _transfer.c.credit_id
    )
    wanted = select(_transfer.c.id).select_from(joined).where(_transfer.c.book_id == tx.book_id, wrong)
    return _stream(tx, wanted)


def grant_rows(tx: Tx) -> Iterator[Any]:
    """Give every grant with what its transfers put in and took out."""
    sums = (
        select(
            _transfer.c.grant_id,
            func.sum(case((_transfer.c.credit_id == _transfer.c.wallet_id, _transfer.c.amount), else_=0)).label("put"),
            func.sum(case((_transfer.c.debit_id == _transfer.c.wallet_id, _transfer.c.amount), else_=0)).label("took"),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None))
        .group_by(_transfer.c.grant_id)
        .subquery()
    )
    wanted = (
        select(
            _grant.c.id,
            _grant.c.wallet_id,
            _grant.c.size,
            _grant.c.remaining,
            _grant.c.debt_paid,
            _grant.c.open,
            func.coalesce(sums.c.put, 0).label("put"),
            func.coalesce(sums.c.took, 0).label("took"),
        )
        .select_from(_grant.outerjoin(sums, sums.c.grant_id == _grant.c.id))
        .where(_grant.c.book_id == tx.book_id)
    )
    return _stream(tx, wanted)


def broken_keys(tx: Tx) -> Iterator[Any]:
    """Give keys whose transfers disagree on transaction, fingerprint or parts."""
    wanted = (
        select(_transfer.c.key_hash)
        .where(_transfer.c.book_id == tx.book_id)
        .group_by(_transfer.c.key_hash)
        .having(
            or_(
                func.count(_transfer.c.transaction_id.distinct()) != 1,
                func.count(_transfer.c.fingerprint.distinct()) != 1,
                func.min(_transfer.c.part) != 0,
                func.max(_transfer.c.part) != func.count() - 1,
            )
        )
    )
    return _stream(tx, wanted)


def not_integers(tx: Tx) -> list[tuple[str, str, int]]:
    """Give money columns that hold something else than an integer; only SQLite lets that happen."""
    if tx.dialect != "sqlite":
        return []
    found = []
    for name, columns in schema.MONEY_COLUMNS.items():
        table = schema.metadata.tables[schema.PREFIX + name]
        for column in columns:
            odd = func.typeof(table.c[column]) != "integer"
            rows = tx.execute(select(func.count()).select_from(table).where(table.c.book_id == tx.book_id, odd))
            if number := int(rows.scalar_one()):
                found.append((name, column, number))
    return found


def currencies(tx: Tx) -> list[Any]:
    """Give the book's currencies with the scale they are kept at."""
    table = schema.currency
    return list(tx.execute(select(table.c.code, table.c.scale).where(table.c.book_id == tx.book_id)))


def paid_topups(tx: Tx) -> Iterator[Any]:
    """Give top-ups with their payment, their postings and their invoices, where they should have any."""
    posted = (
        select(
            _transfer.c.cause_id,
            func.sum(case((_account.c.kind == "clearing", _transfer.c.amount), else_=0)).label("cleared"),
        )
        .select_from(_transfer.join(_account, _account.c.id == _transfer.c.debit_id))
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.cause_type == "topup")
        .group_by(_transfer.c.cause_id)
        .subquery()
    )
    invoices = (
        select(_invoice.c.topup_id, func.count().label("invoices"))
        .where(_invoice.c.book_id == tx.book_id)
        .group_by(_invoice.c.topup_id)
        .subquery()
    )
    joined = (
        _topup.outerjoin(_payment, and_(_payment.c.book_id == _topup.c.book_id, _payment.c.topup_id == _topup.c.id))
        .outerjoin(posted, posted.c.cause_id == _topup.c.id)
        .outerjoin(invoices, invoices.c.topup_id == _topup.c.id)
    )
    wanted = (
        select(
            _topup.c.id,
            _topup.c.state,
            _topup.c.total,
            _topup.c.currency,
            _payment.c.captured,
            _payment.c.currency.label("paid_currency"),
            _payment.c.posted_as,
            func.coalesce(posted.c.cleared, 0).label("cleared"),
            func.coalesce(invoices.c.invoices, 0).label("invoices"),
        )
        .select_from(joined)
        .where(_topup.c.book_id == tx.book_id)
    )
    return _stream(tx, wanted)


def unknown_states(tx: Tx) -> list[Any]:
    """Give top-ups whose state is none of the table's."""
    wanted = select(_topup.c.id, _topup.c.state).where(
        _topup.c.book_id == tx.book_id, _topup.c.state.not_in(tuple(TOPUP_STEPS))
    )
    return list(tx.execute(wanted))


def invoice_rows(tx: Tx) -> Iterator[Any]:
    """Give every invoice in the order of its series."""
    wanted = select(_invoice).where(_invoice.c.book_id == tx.book_id)
    return _stream(tx, wanted.order_by(_invoice.c.kind, _invoice.c.year, _invoice.c.sequence))


def series_rows(tx: Tx) -> list[Any]:
    """Give the counters of the book's series."""
    return list(tx.execute(select(_series).where(_series.c.book_id == tx.book_id)))


def file_rows(tx: Tx) -> Iterator[Any]:
    """Give every rendered file with its hash."""
    table = schema.document_file
    return _stream(tx, select(table.c.invoice_id, table.c.content, table.c.sha256).where(table.c.book_id == tx.book_id))


def untold_topups(tx: Tx) -> Iterator[Any]:
    """Give credited top-ups whose event was never written to the outbox."""
    told = select(literal(1)).where(
        schema.outbox.c.book_id == _topup.c.book_id,
        schema.outbox.c.topic == "event",
        schema.outbox.c.dedupe_key == literal("topup-credited/").concat(_topup.c.id),
    )
    wanted = select(_topup.c.id).where(_topup.c.book_id == tx.book_id, _topup.c.state == "credited", ~told.exists())
    return _stream(tx, wanted)


def answers(tx: Tx) -> bool:
    """Tell whether the database answers."""
    return bool(tx.execute(text("SELECT 1")).scalar())
