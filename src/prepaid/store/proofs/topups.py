"""What `check` reads of top-ups, their payments, postings and events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, func, literal, null, or_, select, union_all

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream
from .scope import Scope, all_of_caused, new_or_caused, new_transfers

_transfer = schema.transfer
_grant = schema.grant
_topup = schema.topup
_payment = schema.payment
_redemption = schema.redemption
_invoice = schema.invoice
_outbox = schema.outbox
_debit, _credit = schema.account.alias("debit"), schema.account.alias("credit")


_FIGURES: Final = named(
    _topup, "id customer state gateway currency credit bonus discount net tax total further_of resolved"
)


_PAYMENT: Final = named(_payment, "gateway payment_id currency captured posted_as", prefix="payment_")


def and_payment(topups: FromClause) -> FromClause:
    """Join top-ups with their payments."""
    return topups.outerjoin(_payment, and_(_payment.c.book_id == _topup.c.book_id, _payment.c.topup_id == _topup.c.id))


def topup_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every top-up with its payment and how many invoices it has."""
    invoices = (
        select(_invoice.c.topup_id, func.count().label("invoices"))
        .where(_invoice.c.book_id == tx.book_id, _invoice.c.cause_id == _invoice.c.topup_id)
        .group_by(_invoice.c.topup_id)
        .subquery()
    )
    redeemed = and_(_redemption.c.book_id == _topup.c.book_id, _redemption.c.topup_id == _topup.c.id)
    wanted = (
        select(
            *_FIGURES,
            *_PAYMENT,
            *named(_topup, "decision fingerprint invoice_id settled_at"),
            *named(_redemption, "code state bonus discount terms", prefix="redemption_"),
            func.coalesce(invoices.c.invoices, 0).label("invoices"),
        )
        .select_from(
            and_payment(_topup).outerjoin(invoices, invoices.c.topup_id == _topup.c.id).outerjoin(_redemption, redeemed)
        )
        .where(_topup.c.book_id == tx.book_id, *new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup"))
    )
    return stream(tx, wanted)


TOPUP, TRANSFER = 0, 1
"""What a row of `topup_postings` is, in their order."""


def topup_postings(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every top-up, and after it each transfer that names it as its cause, with the grant that this filled."""
    ordered = union_all(_topups(tx, scope), _caused(tx, scope)).order_by("topup", "what", "transfer_id")
    return stream(tx, ordered)


_NOTHING: Final = null()


def _topups(tx: Tx, scope: Scope) -> Select[Any]:
    wanted = select(
        _topup.c.id.label("topup"),
        literal(TOPUP).label("what"),
        _NOTHING.label("transfer_id"),
        *_FIGURES,
        *_PAYMENT,
        *(_NOTHING.label(column.key) for column in _TRANSFER),
    )
    limits = new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup")
    return wanted.select_from(and_payment(_topup)).where(_topup.c.book_id == tx.book_id, *limits)


def _caused(tx: Tx, scope: Scope) -> Select[Any]:
    joined = (
        _transfer.outerjoin(_debit, _debit.c.id == _transfer.c.debit_id)
        .outerjoin(_credit, _credit.c.id == _transfer.c.credit_id)
        .outerjoin(_grant, belongs(_transfer, _grant, "grant_id"))
    )
    nothing = (_NOTHING.label(column.key) for column in (*_FIGURES, *_PAYMENT))
    wanted = select(_transfer.c.cause_id, literal(TRANSFER), _transfer.c.id, *nothing, *_TRANSFER)
    return wanted.select_from(joined).where(*all_of_caused(tx, scope, "topup"))


_TRANSFER: Final = (
    *named(_transfer, "currency", prefix="posted_"),
    *named(_transfer, "kind actor amount grant_id wallet_id key_hash fingerprint effective_at posted_at"),
    *named(_debit, "kind owner", prefix="debit_"),
    *named(_credit, "kind owner", prefix="credit_"),
    *named(_grant, "size cost_net_minor cost_tax_minor"),
)


def fees(tx: Tx) -> Iterator[Any]:
    """Give every payment of which its gateway kept something with the transfer of that, and such transfers alone."""
    posted = and_(
        _transfer.c.book_id == _payment.c.book_id,
        _transfer.c.cause_type == "payment",
        _transfer.c.cause_id == _payment.c.topup_id,
    )
    columns = (
        *named(_payment, "topup_id gateway fee fee_currency"),
        *named(_transfer, "id amount currency kind key_hash fingerprint actor", prefix="posted_"),
        *named(_credit, "owner", prefix="credit_"),
    )
    joined = _payment.outerjoin(_transfer, posted).outerjoin(_credit, _credit.c.id == _transfer.c.credit_id)
    limits = or_(_payment.c.fee > 0, _transfer.c.id.is_not(None))
    yield from stream(tx, select(*columns).select_from(joined).where(_payment.c.book_id == tx.book_id, limits))


def stray_fees(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transfers of fees of payments that there are not."""
    paid = and_(_payment.c.book_id == _transfer.c.book_id, _payment.c.topup_id == _transfer.c.cause_id)
    wanted = select(_transfer.c.id, _transfer.c.cause_id).select_from(_transfer.outerjoin(_payment, paid))
    limits = (*new_transfers(tx, scope), _transfer.c.cause_type == "payment", _payment.c.id.is_(None))
    return stream(tx, wanted.where(*limits))


def unknown_states(tx: Tx, known: Iterable[str]) -> Iterator[Any]:
    """Give top-ups whose state is none of those known."""
    wanted = select(_topup.c.id, _topup.c.state)
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.state.not_in(tuple(known))))


def untold_topups(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give top-ups whose state was never told by an event in the outbox, with the event's key."""
    failed = literal("topup-failed/").concat(_topup.c.id).concat("/").concat(_topup.c.state)
    key = case(
        (_topup.c.state == "credited", literal("topup-credited/").concat(_topup.c.id)),
        (_topup.c.state == "review", literal("topup-review/").concat(_topup.c.id)),
        (_topup.c.state.in_(("failed", "expired", "canceled")), failed),
    )
    wanted = select(_topup.c.id, key.label("key")).where(_topup.c.book_id == tx.book_id, key.is_not(None))
    limits = new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup")
    return stream(tx, wanted.where(*limits, ~is_told(_topup, key)))


def is_told(about: FromClause, key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether the outbox has the event of a key."""
    told = select(literal(1)).where(
        _outbox.c.book_id == about.c.book_id, _outbox.c.topic == "event", _outbox.c.dedupe_key == key
    )
    return told.exists()
