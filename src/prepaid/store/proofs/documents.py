"""What `check` reads of documents and rendered files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import FromClause, and_, case, func, literal, or_, select

from ...core.refunds import LOST_REFUNDS
from .. import schema
from ..database import Tx
from .reading import belongs, named, stream
from .scope import Scope, new_objects
from .topups import and_payment, is_told

_topup = schema.topup
_payment = schema.payment
_invoice = schema.invoice
_refund = schema.refund
_dispute = schema.dispute
_sale, _note = schema.invoice.alias("sale"), schema.invoice.alias("note")


def invoice_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every invoice with its top-up and payment, in the order of its series.

    With a place, from the last one before the first new one of each series on.
    """
    wanted = select(
        *named(_invoice, " ".join(_invoice.c.keys())),
        *named(_topup, "customer currency net tax total invoice_id decision", prefix="topup_"),
        _payment.c.payment_id,
        *named(_refund, "net tax is_of_credit settled_at turn", prefix="refund_"),
        *named(_dispute, "net tax booked lost_turn turn", prefix="dispute_"),
        *named(_sale, "number", prefix="sale_"),
        *named(_note, "number net tax", prefix="note_"),
    ).select_from(_with_causes(and_payment(_invoice.outerjoin(_topup, belongs(_invoice, _topup, "topup_id")))))
    wanted = wanted.where(_invoice.c.book_id == tx.book_id)
    if not scope.is_whole:
        new, series = _invoice.alias("new"), (_invoice.c.kind, _invoice.c.year)
        first = select(func.min(new.c.sequence)).where(
            new.c.book_id == tx.book_id, new.c.kind == series[0], new.c.year == series[1]
        )
        first = first.where(*new_objects(scope, new.c.id, "inv"))
        wanted = wanted.where(_invoice.c.sequence >= first.scalar_subquery() - 1)
    return stream(tx, wanted.order_by(_invoice.c.kind, _invoice.c.year, _invoice.c.sequence))


def _with_causes(documents: FromClause) -> FromClause:
    """Join documents with the refund or dispute that they are about, and with the documents that they may correct."""
    sale = and_(_sale.c.book_id == _invoice.c.book_id, _sale.c.id == _topup.c.invoice_id)
    note = and_(
        _note.c.book_id == _invoice.c.book_id,
        _note.c.kind == "credit-note",
        _note.c.cause_id == _invoice.c.cause_id,
        _note.c.turn == _invoice.c.turn,
    )
    return (
        documents.outerjoin(_refund, belongs(_invoice, _refund, "cause_id"))
        .outerjoin(_dispute, belongs(_invoice, _dispute, "cause_id"))
        .outerjoin(_sale, sale)
        .outerjoin(_note, note)
    )


def uncredited(tx: Tx) -> Iterator[Any]:
    """Give refunds that were settled, and disputes that are lost, of money that no credit note is about."""
    note = _invoice.alias("credit_note")
    for table, due, turn in (
        (_refund, and_(_refund.c.is_of_credit == 1, _refund.c.settled_at.is_not(None)), _refund.c.turn),
        (_dispute, _dispute.c.booked == "lost", _dispute.c.lost_turn),
    ):
        about = and_(
            note.c.book_id == table.c.book_id,
            note.c.kind == "credit-note",
            note.c.cause_id == table.c.id,
            note.c.turn == turn,
        )
        wanted = select(table.c.id).select_from(table.outerjoin(note, about))
        bears = table.c.net + table.c.tax > 0
        yield from stream(tx, wanted.where(table.c.book_id == tx.book_id, due, bears, note.c.id.is_(None)))


def unbilled_again(tx: Tx) -> Iterator[Any]:
    """Give credit notes about what did not go back after all, or not as they say, without an invoice over it."""
    again = _invoice.alias("again")
    corrected = and_(
        again.c.book_id == _invoice.c.book_id,
        again.c.kind == "invoice",
        again.c.cause_id == _invoice.c.cause_id,
        again.c.turn == _invoice.c.turn,
    )
    does_stand = or_(
        and_(_refund.c.state.not_in(LOST_REFUNDS), _refund.c.turn == _invoice.c.turn),
        and_(_dispute.c.booked == "lost", _dispute.c.lost_turn == _invoice.c.turn),
    )
    about = (
        _invoice.outerjoin(again, corrected)
        .outerjoin(_refund, belongs(_invoice, _refund, "cause_id"))
        .outerjoin(_dispute, belongs(_invoice, _dispute, "cause_id"))
    )
    odd = (_invoice.c.kind == "credit-note", case((does_stand, 1), else_=0) == 0, again.c.id.is_(None))
    return stream(tx, select(_invoice.c.number).select_from(about).where(_invoice.c.book_id == tx.book_id, *odd))


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
