"""What `check` reads: rows in the order in which they prove each other, and rows that cannot be.

Nothing here holds a table in memory: rows are streamed, sorted and joined by the
database. Instants are given as the microseconds they are stored as, so that a
row changed by hand never fails to be read.
"""

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
    null,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.sql.expression import CompoundSelect

from . import schema
from .columns import PREFIX, Instant
from .database import Tx

_account = schema.account
_transfer = schema.transfer
_grant = schema.grant
_topup = schema.topup
_payment = schema.payment
_invoice = schema.invoice
_outbox = schema.outbox
_meter = schema.meter
_segment = schema.meter_segment
_debit, _credit = _account.alias("debit"), _account.alias("credit")

AT_ONCE = 2000

CHARGED, METER, BY_HOST = 0, 1, 2
"""What a row of `metered_hours` is, in the order of rows of one instant: an hour ends before the next one begins."""


def _stream(tx: Tx, wanted: Select[Any] | CompoundSelect[Any]) -> Iterator[Any]:
    result = tx.connection.execution_options(yield_per=AT_ONCE).execute(wanted)
    yield from result


def _named(table: FromClause, names: str, *, prefix: str = "") -> tuple[ColumnElement[Any], ...]:
    """Give columns by their names; instants as the microseconds that are stored."""
    return tuple(_micros(table.c[name]).label(prefix + name) for name in names.split())


def _micros(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return type_coerce(column, BigInteger) if isinstance(column.type, Instant) else column


def _of(row: FromClause, parent: FromClause, column: str) -> ColumnElement[bool]:
    return and_(parent.c.book_id == row.c.book_id, parent.c.id == row.c[column])


def count(tx: Tx, table: str) -> int:
    """Count the book's rows of a table."""
    rows = schema.metadata.tables[PREFIX + table]
    return int(tx.execute(select(func.count()).select_from(rows).where(rows.c.book_id == tx.book_id)).scalar_one())


# Numbers


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


# Accounts and transfers


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
    return _stream(tx, wanted.where(_account.c.book_id == tx.book_id, wrong))


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
    return _stream(tx, wanted)


def unlisted_postings(tx: Tx, listed: Iterable[tuple[str, str, str, str]]) -> Iterator[Any]:
    """Give transfers whose kind, cause and kinds of debit and credit account stand in no list of what is posted."""
    posted = (_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind.label("debit"), _credit.c.kind.label("credit"))
    joined = _transfer.join(_debit, _debit.c.id == _transfer.c.debit_id).join(
        _credit, _credit.c.id == _transfer.c.credit_id
    )
    wanted = select(_transfer.c.id, *posted).select_from(joined)
    kinds = tuple_(_transfer.c.kind, _transfer.c.cause_type, _debit.c.kind, _credit.c.kind)
    return _stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, kinds.not_in(list(listed))))


def wallet_rows(tx: Tx) -> Iterator[Any]:
    """Give every wallet transfer in the order of its wallet's sequence."""
    wanted = (
        select(
            *_named(_transfer, "id wallet_id wallet_seq wallet_after amount"),
            case((_transfer.c.credit_id == _transfer.c.wallet_id, 1), else_=-1).label("sign"),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.wallet_id.is_not(None))
        .order_by(_transfer.c.wallet_id, _transfer.c.wallet_seq)
    )
    return _stream(tx, wanted)


def rows_by_key(tx: Tx) -> Iterator[Any]:
    """Give every transfer with the owner of its wallet, key by key and part by part."""
    wanted = (
        select(
            *_named(
                _transfer, "key_hash part transaction_id fingerprint kind cause_type cause_id actor currency amount"
            ),
            *_named(_transfer, "effective_at posted_at resource resource_kind period_start period_end"),
            _transfer.c.charge_period_key,
            _account.c.owner,
        )
        .select_from(_transfer.outerjoin(_account, _account.c.id == _transfer.c.wallet_id))
        .where(_transfer.c.book_id == tx.book_id)
        .order_by(_transfer.c.key_hash, _transfer.c.part)
    )
    return _stream(tx, wanted)


def shared_transactions(tx: Tx) -> Iterator[Any]:
    """Give transactions that more than one key claims."""
    wanted = select(_transfer.c.transaction_id).where(_transfer.c.book_id == tx.book_id)
    two_keys = func.min(_transfer.c.key_hash) != func.max(_transfer.c.key_hash)
    return _stream(tx, wanted.group_by(_transfer.c.transaction_id).having(two_keys))


# Grants


def grant_rows(tx: Tx) -> Iterator[Any]:
    """Give every grant with what its transfers put in and took out, each in two halves of 32 bits.

    One amount changed by hand may be so large that SQLite refuses to sum it.
    """
    amount, is_put = _transfer.c.amount, _transfer.c.credit_id == _transfer.c.wallet_id
    halves = {"high": amount.bitwise_rshift(literal(32)), "low": amount.bitwise_and(literal(0xFFFFFFFF))}
    sums = (
        select(
            _transfer.c.grant_id,
            *(func.sum(case((is_put, half), else_=0)).label(f"put_{name}") for name, half in halves.items()),
            *(func.sum(case((is_put, 0), else_=half)).label(f"took_{name}") for name, half in halves.items()),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None))
        .group_by(_transfer.c.grant_id)
        .subquery()
    )
    joined = _grant.outerjoin(sums, sums.c.grant_id == _grant.c.id).outerjoin(
        _account, _of(_grant, _account, "wallet_id")
    )
    wanted = select(
        *_named(_grant, "id wallet_id size remaining debt_paid open"),
        _account.c.kind.label("wallet_kind"),
        *(func.coalesce(total, 0).label(name) for name, total in sums.c.items() if name != "grant_id"),
    ).select_from(joined)
    return _stream(tx, wanted.where(_grant.c.book_id == tx.book_id))


def misplaced_grants(tx: Tx, listed: Iterable[tuple[str, str]]) -> Iterator[Any]:
    """Give wallet transfers whose grant is none of their wallet's, or not of the kind and source they give."""
    is_credit = _transfer.c.credit_id == _transfer.c.wallet_id
    source = case((_transfer.c.cause_type == "topup", _transfer.c.cause_id), else_="")
    wrong = or_(
        _grant.c.id.is_(None),
        func.coalesce(_transfer.c.wallet_id, -1) != _grant.c.wallet_id,
        and_(is_credit, tuple_(_transfer.c.kind, _grant.c.kind).not_in(list(listed))),
        and_(is_credit, _transfer.c.kind != "reversal", func.coalesce(_grant.c.source_topup, "") != source),
    )
    joined = _transfer.outerjoin(_grant, _of(_transfer, _grant, "grant_id"))
    wanted = select(_transfer.c.id, _transfer.c.grant_id).select_from(joined)
    return _stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None), wrong))


def costly_gifts(tx: Tx) -> Iterator[Any]:
    """Give grants that nobody paid for, with a price."""
    priced = or_(_grant.c.cost_net_minor != 0, _grant.c.cost_tax_minor != 0)
    wanted = select(_grant.c.id, _grant.c.cost_net_minor, _grant.c.cost_tax_minor)
    return _stream(tx, wanted.where(_grant.c.book_id == tx.book_id, _grant.c.kind != "paid", priced))


# Top-ups

_FIGURES: Final = _named(_topup, "id customer state gateway currency credit bonus discount net tax total")
_PAYMENT: Final = _named(_payment, "gateway payment_id currency captured posted_as", prefix="payment_")


def _and_payment(topups: FromClause) -> FromClause:
    return topups.outerjoin(_payment, and_(_payment.c.book_id == _topup.c.book_id, _payment.c.topup_id == _topup.c.id))


def topup_rows(tx: Tx) -> Iterator[Any]:
    """Give every top-up with its payment and how many invoices it has."""
    invoices = (
        select(_invoice.c.topup_id, func.count().label("invoices"))
        .where(_invoice.c.book_id == tx.book_id)
        .group_by(_invoice.c.topup_id)
        .subquery()
    )
    wanted = (
        select(
            *_FIGURES,
            *_PAYMENT,
            *_named(_topup, "decision fingerprint invoice_id settled_at"),
            func.coalesce(invoices.c.invoices, 0).label("invoices"),
        )
        .select_from(_and_payment(_topup).outerjoin(invoices, invoices.c.topup_id == _topup.c.id))
        .where(_topup.c.book_id == tx.book_id)
    )
    return _stream(tx, wanted)


def topup_postings(tx: Tx) -> Iterator[Any]:
    """Give every top-up with each transfer it caused and the grant that this filled, top-up by top-up."""
    caused = and_(
        _transfer.c.book_id == _topup.c.book_id,
        _transfer.c.cause_type == "topup",
        _transfer.c.cause_id == _topup.c.id,
    )
    joined = (
        _and_payment(_topup)
        .outerjoin(_transfer, caused)
        .outerjoin(_debit, _debit.c.id == _transfer.c.debit_id)
        .outerjoin(_credit, _credit.c.id == _transfer.c.credit_id)
        .outerjoin(_grant, _of(_transfer, _grant, "grant_id"))
    )
    wanted = (
        select(
            *_FIGURES,
            *_PAYMENT,
            _transfer.c.id.label("transfer_id"),
            _transfer.c.currency.label("posted_currency"),
            *_named(_transfer, "kind actor amount grant_id"),
            *_named(_debit, "kind owner", prefix="debit_"),
            *_named(_credit, "kind owner", prefix="credit_"),
            *_named(_grant, "size cost_net_minor cost_tax_minor"),
        )
        .select_from(joined)
        .where(_topup.c.book_id == tx.book_id)
        .order_by(_topup.c.id, _transfer.c.id)
    )
    return _stream(tx, wanted)


def unknown_states(tx: Tx, known: Iterable[str]) -> Iterator[Any]:
    """Give top-ups whose state is none of those known."""
    wanted = select(_topup.c.id, _topup.c.state)
    return _stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.state.not_in(tuple(known))))


# Outbox and orphans


def untold_topups(tx: Tx) -> Iterator[Any]:
    """Give top-ups whose state was never told by an event in the outbox, with the event's key."""
    failed = literal("topup-failed/").concat(_topup.c.id).concat("/").concat(_topup.c.state)
    key = case(
        (_topup.c.state == "credited", literal("topup-credited/").concat(_topup.c.id)),
        (_topup.c.state == "review", literal("topup-review/").concat(_topup.c.id)),
        (_topup.c.state.in_(("failed", "expired", "canceled")), failed),
    )
    wanted = select(_topup.c.id, key.label("key")).where(_topup.c.book_id == tx.book_id, key.is_not(None))
    return _stream(tx, wanted.where(~_is_told(_topup, key)))


def untold_invoices(tx: Tx) -> Iterator[Any]:
    """Give invoices whose event was never written to the outbox."""
    key = literal("invoice-issued/").concat(_invoice.c.id)
    wanted = select(_invoice.c.number, key.label("key")).where(_invoice.c.book_id == tx.book_id)
    return _stream(tx, wanted.where(~_is_told(_invoice, key)))


def _is_told(about: FromClause, key: ColumnElement[Any]) -> ColumnElement[bool]:
    told = select(literal(1)).where(
        _outbox.c.book_id == about.c.book_id, _outbox.c.topic == "event", _outbox.c.dedupe_key == key
    )
    return told.exists()


def orphans(tx: Tx, table: str, column: str) -> Iterator[str]:
    """Give ids that a column such as ``topup_id`` names although there is no such row."""
    rows = schema.metadata.tables[PREFIX + table]
    parents = schema.metadata.tables[PREFIX + column.removesuffix("_id")]
    wanted = select(rows.c[column]).select_from(rows.outerjoin(parents, _of(rows, parents, column)))
    for row in _stream(tx, wanted.where(rows.c.book_id == tx.book_id, parents.c.id.is_(None))):
        yield row[0]


def causeless_transfers(tx: Tx) -> Iterator[Any]:
    """Give transfers of a top-up that is not there."""
    joined = _transfer.outerjoin(_topup, _of(_transfer, _topup, "cause_id"))
    wanted = select(_transfer.c.id, _transfer.c.cause_id).select_from(joined)
    is_topup = _transfer.c.cause_type == "topup"
    return _stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, is_topup, _topup.c.id.is_(None)))


# Documents


def invoice_rows(tx: Tx) -> Iterator[Any]:
    """Give every invoice with its top-up and payment, in the order of its series."""
    wanted = select(
        *_named(_invoice, " ".join(_invoice.c.keys())),
        *_named(_topup, "customer currency net tax total invoice_id decision", prefix="topup_"),
        _payment.c.payment_id,
    ).select_from(_and_payment(_invoice.outerjoin(_topup, _of(_invoice, _topup, "topup_id"))))
    wanted = wanted.where(_invoice.c.book_id == tx.book_id)
    return _stream(tx, wanted.order_by(_invoice.c.kind, _invoice.c.year, _invoice.c.sequence))


def series_rows(tx: Tx) -> list[Any]:
    """Give the counters of the book's series."""
    table = schema.invoice_series
    return list(tx.execute(select(table).where(table.c.book_id == tx.book_id)))


def file_rows(tx: Tx) -> Iterator[Any]:
    """Give every rendered file with its hash."""
    table = schema.document_file
    wanted = select(table.c.invoice_id, table.c.content, table.c.sha256)
    return _stream(tx, wanted.where(table.c.book_id == tx.book_id))


# Meters


def metered_hours(tx: Tx) -> Iterator[Any]:
    """Give meters, the hours charged by them, and periods of their resources that the host charged.

    Resource by resource in the order of time: a meter stands at its start, an
    hour at its end, a host's period at its start.
    """
    ordered = union_all(_meters(tx), _charged_by_meter(tx), _charged_by_host(tx)).order_by("resource", "at", "what")
    return _stream(tx, ordered)


def _meters(tx: Tx) -> Select[Any]:
    segment = and_(_segment.c.book_id == _meter.c.book_id, _segment.c.meter_id == _meter.c.id)
    return (
        select(
            _meter.c.resource.label("resource"),
            _micros(_meter.c.started_at).label("at"),
            literal(METER).label("what"),
            *_named(_meter, "id customer currency"),
            _meter.c.billed_hours.label("number"),
            *_named(_meter, "running stopped_at due_at"),
            _segment.c.rate,
            _micros(_segment.c.starts_at).label("rated_from"),
        )
        .select_from(_meter.outerjoin(_segment, segment))
        .where(_meter.c.book_id == tx.book_id)
    )


_OF_METERS_ONLY: Final = (null(),) * 5


def _charged_by_meter(tx: Tx) -> Select[Any]:
    return (
        select(
            _transfer.c.cause_id,
            _micros(_transfer.c.effective_at),
            literal(CHARGED),
            _transfer.c.transaction_id,
            func.coalesce(_account.c.owner, ""),
            _transfer.c.currency,
            _transfer.c.amount,
            *_OF_METERS_ONLY,
        )
        .select_from(_transfer.outerjoin(_account, _account.c.id == _transfer.c.wallet_id))
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.cause_type == "meter")
    )


def _charged_by_host(tx: Tx) -> Select[Any]:
    metered = select(_meter.c.resource).where(_meter.c.book_id == tx.book_id)
    return select(
        _transfer.c.resource,
        _micros(_transfer.c.period_start),
        literal(BY_HOST),
        _transfer.c.transaction_id,
        literal(""),
        _transfer.c.currency,
        _transfer.c.amount,
        *_OF_METERS_ONLY,
    ).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.cause_type == "usage",
        _transfer.c.charge_period_key.is_not(None),
        _transfer.c.period_start.is_not(None),
        _transfer.c.resource.in_(metered),
    )
