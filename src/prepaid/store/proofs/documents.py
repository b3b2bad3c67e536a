"""What `check` reads of documents and rendered files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, literal, select

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream
from .scope import Scope, new_objects
from .topups import and_payment, is_told

_topup = schema.topup
_payment = schema.payment
_invoice = schema.invoice


def invoice_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every invoice with its top-up and payment, in the order of its series.

    With a place, from the last one before the first new one of each series on.
    """
    wanted = select(
        *named(_invoice, " ".join(_invoice.c.keys())),
        *named(_topup, "customer currency net tax total invoice_id decision", prefix="topup_"),
        _payment.c.payment_id,
    ).select_from(and_payment(_invoice.outerjoin(_topup, belongs(_invoice, _topup, "topup_id"))))
    wanted = wanted.where(_invoice.c.book_id == tx.book_id)
    if not scope.is_whole:
        new, series = _invoice.alias("new"), (_invoice.c.kind, _invoice.c.year)
        first = select(func.min(new.c.sequence)).where(
            new.c.book_id == tx.book_id, new.c.kind == series[0], new.c.year == series[1]
        )
        first = first.where(*new_objects(scope, new.c.id, "inv"))
        wanted = wanted.where(_invoice.c.sequence >= first.scalar_subquery() - 1)
    return stream(tx, wanted.order_by(_invoice.c.kind, _invoice.c.year, _invoice.c.sequence))


def series_rows(tx: Tx) -> list[Any]:
    """Give the counters of the book's series."""
    table = schema.invoice_series
    return list(tx.execute(select(table).where(table.c.book_id == tx.book_id)))


def file_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every rendered file with its hash."""
    table = schema.document_file
    wanted = select(table.c.invoice_id, table.c.content, table.c.sha256)
    return stream(tx, wanted.where(table.c.book_id == tx.book_id, *new_objects(scope, table.c.invoice_id, "inv")))


def untold_invoices(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give invoices whose event was never written to the outbox."""
    key = literal("invoice-issued/").concat(_invoice.c.id)
    wanted = select(_invoice.c.number, key.label("key")).where(_invoice.c.book_id == tx.book_id)
    return stream(tx, wanted.where(*new_objects(scope, _invoice.c.id, "inv"), ~is_told(_invoice, key)))
