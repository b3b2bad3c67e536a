"""What exports read: rows of a span of time, a thousand at a time, each found by the place of the one before.

All of it runs in the one transaction of its caller, so that every page shows the
same moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

from attrs import frozen
from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal_column, or_, select

from . import schema
from .database import Tx

AT_ONCE: Final = 1000
_DAY: Final = timedelta(days=1)

_transfer = schema.transfer
_account = schema.account
_grant = schema.grant
_topup = schema.topup
_refund = schema.refund
_dispute = schema.dispute
_invoice = schema.invoice
_series = schema.invoice_series
_entry = schema.tax_entry


@frozen(kw_only=True)
class Span:
    """A span of time, from its first instant to before its last.

    Attributes:
        since: First instant.
        until: First instant after.
        first_day: The day that ``since`` was given as, or None if it was given as an instant.
        day_after: The same of ``until``.
    """

    since: datetime
    until: datetime
    first_day: date | None = None
    day_after: date | None = None


def currencies(tx: Tx) -> list[str]:
    """Name every currency that the book has kept accounts in."""
    table = schema.currency
    return list(tx.execute(select(table.c.code).where(table.c.book_id == tx.book_id).order_by(table.c.code)).scalars())


def gateways(tx: Tx, currency: str) -> list[str]:
    """Name every gateway that the book has accounts of in a currency."""
    wanted = select(_account.c.owner).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind.in_(("clearing", "disputes")),
        _account.c.currency == currency,
    )
    return list(tx.execute(wanted.distinct().order_by(_account.c.owner)).scalars())


# Transfers


def count_transfers(tx: Tx, span: Span, currency: str | None, *, of_wallets: bool) -> int:
    """Count the transfers that `wallet_transfers` or `journal` would give."""
    wanted = select(func.count()).where(*_posted(tx, currency, of_wallets=of_wallets))
    return int(tx.execute(wanted, {"at": span.since, "before": span.until}).scalar_one())


def _posted(tx: Tx, currency: str | None, *, of_wallets: bool) -> list[ColumnElement[bool]]:
    conditions = [
        _transfer.c.book_id == tx.book_id,
        _transfer.c.posted_at >= bindparam("at"),
        _transfer.c.posted_at < bindparam("before"),
    ]
    if currency is not None:
        conditions.append(_transfer.c.currency == currency)
    if of_wallets:
        conditions.append(_transfer.c.wallet_id.is_not(None))
    return conditions


_MOVED: Final = (
    "id book_id transaction_id part posted_at currency amount kind debit_id credit_id wallet_id wallet_after grant_id "
    "cause_type cause_id reverses key_hash actor"
).split()


def _page(tx: Tx, currency: str | None, *, of_wallets: bool) -> Any:
    """Choose the next transfers after a place by themselves, so that nothing joined to them changes their order."""
    # The index finds what was posted from then on; of what was posted at that very instant, some was there before.
    beyond = or_(_transfer.c.posted_at > bindparam("at"), _transfer.c.id > bindparam("after"))
    return (
        select(*(_transfer.c[name] for name in _MOVED))
        .where(*_posted(tx, currency, of_wallets=of_wallets), beyond)
        .order_by(_transfer.c.posted_at, _transfer.c.id)
        .limit(AT_ONCE)
        .subquery("page")
    )


def _all_pages(tx: Tx, wanted: Select[Any], span: Span) -> Iterator[Any]:
    """Give the rows of page after page, each from a day, or of more days where there are few.

    Of a long span without an end nearby, MariaDB would read all that was before the page as well.
    """
    at, after, width = span.since, 0, _DAY
    while at < span.until:
        before = span.until if span.until - at <= width else at + width
        rows = tx.execute(wanted, {"at": at, "after": after, "before": before}).all()
        yield from rows
        if len(rows) == AT_ONCE:
            at, after, width = rows[-1].posted_at, rows[-1].id, _DAY
        else:
            at, after, width = before, 0, 2 * width
        del rows  # or two pages would be held at once


def wallet_transfers(tx: Tx, span: Span, currency: str | None) -> Iterator[Any]:
    """Give every transfer that a wallet takes part in, by the time of posting, with its label, grant and gateway."""
    page = _page(tx, currency, of_wallets=True)
    head, wallet = _transfer.alias("head"), _account.alias("wallet")
    topup_id = case(
        (page.c.cause_type == "topup", page.c.cause_id), else_=func.coalesce(_refund.c.topup_id, _dispute.c.topup_id)
    )
    joined = (
        page.join(wallet, wallet.c.id == page.c.wallet_id)
        .join(head, and_(head.c.book_id == page.c.book_id, head.c.key_hash == page.c.key_hash, head.c.part == 0))
        .outerjoin(_grant, and_(_grant.c.book_id == page.c.book_id, _grant.c.id == page.c.grant_id))
        .outerjoin(_refund, _is_cause(page, _refund, "refund"))
        .outerjoin(_dispute, _is_cause(page, _dispute, "dispute"))
        .outerjoin(_topup, and_(_topup.c.book_id == page.c.book_id, _topup.c.id == topup_id))
    )
    # The label stands on the first transfer of a transaction only.
    label = "description resource resource_kind project period_start period_end".split()
    wanted = select(
        page,
        wallet.c.owner.label("customer"),
        *(head.c[name] for name in label),
        _grant.c.kind.label("grant_kind"),
        _topup.c.id.label("topup_id"),
        _topup.c.gateway,
    ).select_from(joined)
    return _all_pages(tx, wanted.order_by(page.c.posted_at, page.c.id), span)


def _is_cause(page: Any, table: Any, cause: str) -> ColumnElement[bool]:
    return and_(page.c.cause_type == cause, table.c.book_id == page.c.book_id, table.c.id == page.c.cause_id)


def journal(tx: Tx, span: Span, currency: str | None) -> Iterator[Any]:
    """Give every transfer by the time of posting, with its two accounts."""
    page = _page(tx, currency, of_wallets=False)
    head, debit, credit = _transfer.alias("head"), _account.alias("debit"), _account.alias("credit")
    joined = (
        page.join(debit, debit.c.id == page.c.debit_id)
        .join(credit, credit.c.id == page.c.credit_id)
        .join(head, and_(head.c.book_id == page.c.book_id, head.c.key_hash == page.c.key_hash, head.c.part == 0))
    )
    wanted = select(
        page,
        head.c.description,
        debit.c.kind.label("debit_kind"),
        debit.c.owner.label("debit_owner"),
        credit.c.kind.label("credit_kind"),
        credit.c.owner.label("credit_owner"),
    ).select_from(joined)
    return _all_pages(tx, wanted.order_by(page.c.posted_at, page.c.id), span)


# Documents


def count_documents(tx: Tx, span: Span, currency: str | None) -> int:
    """Count the documents that `documents` would give."""
    return int(tx.execute(select(func.count()).where(*_issued(tx, span, currency))).scalar_one())


def _issued(
    tx: Tx, span: Span, currency: str | None, *, printed: ColumnElement[str] = _invoice.c.issued_on
) -> list[ColumnElement[bool]]:
    """Choose documents by the day that they bear if the span has days, and by the instant of issue if not."""
    issued = _invoice.c.issued_at
    conditions = [
        _invoice.c.book_id == tx.book_id,
        issued >= span.since if span.first_day is None else printed >= span.first_day.isoformat(),
        issued < span.until if span.day_after is None else printed < span.day_after.isoformat(),
    ]
    if currency is not None:
        conditions.append(_invoice.c.currency == currency)
    return conditions


def documents(tx: Tx, span: Span, currency: str | None) -> Iterator[Any]:
    """Give documents series by series in the order of their numbers, invoices first, with their gateway."""
    topup = and_(_topup.c.book_id == _invoice.c.book_id, _topup.c.id == _invoice.c.topup_id)
    in_series = and_(_invoice.c.kind == bindparam("of_kind"), _invoice.c.year == bindparam("of_year"))
    wanted = (
        select(_invoice.c.kind, _invoice.c.sequence, _invoice.c.snapshot, _invoice.c.sha256, _topup.c.gateway)
        .join(_topup, topup)
        .where(*_issued(tx, span, currency), in_series, _invoice.c.sequence > bindparam("after"))
        .order_by(_invoice.c.sequence)
        .limit(AT_ONCE)
    )
    for kind, year in _all_series(tx):
        after = 0
        while rows := tx.execute(wanted, {"of_kind": kind, "of_year": year, "after": after}).all():
            yield from rows
            after = rows[-1].sequence


def _all_series(tx: Tx) -> list[tuple[str, int]]:
    found = tx.execute(select(_series.c.kind, _series.c.year).where(_series.c.book_id == tx.book_id))
    return sorted(((kind, year) for kind, year in found), key=lambda series: (series[0] != "invoice", series))


def taxes(tx: Tx, span: Span, currency: str | None) -> list[Any]:
    """Sum the taxes of documents by the month that these bear, jurisdiction, treatment, tax, rate and currency."""
    # Written out, not bound: PostgreSQL groups only by what it sees is the same.
    month = func.substr(_entry.c.issued_on, literal_column("1"), literal_column("7"))
    by = (
        month,
        *(_entry.c[name] for name in "jurisdiction treatment category name percent currency".split()),
    )
    wanted = (
        select(
            month.label("period"),
            *by[1:],
            func.count().label("documents"),
            func.sum(_entry.c.base).label("base"),
            func.sum(_entry.c.amount).label("amount"),
        )
        .join(_invoice, and_(_invoice.c.book_id == _entry.c.book_id, _invoice.c.id == _entry.c.invoice_id))
        .where(*_issued(tx, span, currency, printed=_entry.c.issued_on))
    )
    return list(tx.execute(wanted.group_by(*by).order_by(*by)))
