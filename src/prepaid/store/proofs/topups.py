"""What `check` reads of top-ups, their payments, postings and events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, and_, case, func, literal, select

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream

_transfer = schema.transfer
_grant = schema.grant
_topup = schema.topup
_payment = schema.payment
_invoice = schema.invoice
_outbox = schema.outbox
_debit, _credit = schema.account.alias("debit"), schema.account.alias("credit")


_FIGURES: Final = named(_topup, "id customer state gateway currency credit bonus discount net tax total")


_PAYMENT: Final = named(_payment, "gateway payment_id currency captured posted_as", prefix="payment_")


def and_payment(topups: FromClause) -> FromClause:
    """Join top-ups with their payments."""
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
            *named(_topup, "decision fingerprint invoice_id settled_at"),
            func.coalesce(invoices.c.invoices, 0).label("invoices"),
        )
        .select_from(and_payment(_topup).outerjoin(invoices, invoices.c.topup_id == _topup.c.id))
        .where(_topup.c.book_id == tx.book_id)
    )
    return stream(tx, wanted)


def topup_postings(tx: Tx) -> Iterator[Any]:
    """Give every top-up with each transfer it caused and the grant that this filled, top-up by top-up."""
    caused = and_(
        _transfer.c.book_id == _topup.c.book_id,
        _transfer.c.cause_type == "topup",
        _transfer.c.cause_id == _topup.c.id,
    )
    joined = (
        and_payment(_topup)
        .outerjoin(_transfer, caused)
        .outerjoin(_debit, _debit.c.id == _transfer.c.debit_id)
        .outerjoin(_credit, _credit.c.id == _transfer.c.credit_id)
        .outerjoin(_grant, belongs(_transfer, _grant, "grant_id"))
    )
    wanted = (
        select(
            *_FIGURES,
            *_PAYMENT,
            _transfer.c.id.label("transfer_id"),
            _transfer.c.currency.label("posted_currency"),
            *named(_transfer, "kind actor amount grant_id"),
            *named(_debit, "kind owner", prefix="debit_"),
            *named(_credit, "kind owner", prefix="credit_"),
            *named(_grant, "size cost_net_minor cost_tax_minor"),
        )
        .select_from(joined)
        .where(_topup.c.book_id == tx.book_id)
        .order_by(_topup.c.id, _transfer.c.id)
    )
    return stream(tx, wanted)


def unknown_states(tx: Tx, known: Iterable[str]) -> Iterator[Any]:
    """Give top-ups whose state is none of those known."""
    wanted = select(_topup.c.id, _topup.c.state)
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.state.not_in(tuple(known))))


def untold_topups(tx: Tx) -> Iterator[Any]:
    """Give top-ups whose state was never told by an event in the outbox, with the event's key."""
    failed = literal("topup-failed/").concat(_topup.c.id).concat("/").concat(_topup.c.state)
    key = case(
        (_topup.c.state == "credited", literal("topup-credited/").concat(_topup.c.id)),
        (_topup.c.state == "review", literal("topup-review/").concat(_topup.c.id)),
        (_topup.c.state.in_(("failed", "expired", "canceled")), failed),
    )
    wanted = select(_topup.c.id, key.label("key")).where(_topup.c.book_id == tx.book_id, key.is_not(None))
    return stream(tx, wanted.where(~is_told(_topup, key)))


def is_told(about: FromClause, key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether the outbox has the event of a key."""
    told = select(literal(1)).where(
        _outbox.c.book_id == about.c.book_id, _outbox.c.topic == "event", _outbox.c.dedupe_key == key
    )
    return told.exists()


def causeless_transfers(tx: Tx) -> Iterator[Any]:
    """Give transfers of a top-up that is not there."""
    joined = _transfer.outerjoin(_topup, belongs(_transfer, _topup, "cause_id"))
    wanted = select(_transfer.c.id, _transfer.c.cause_id).select_from(joined)
    is_topup = _transfer.c.cause_type == "topup"
    return stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, is_topup, _topup.c.id.is_(None)))
