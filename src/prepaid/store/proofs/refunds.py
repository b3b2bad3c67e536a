"""What `check` reads of refunds, what they posted, and what of their customers' limits is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import and_, func, literal, null, select, union_all

from .. import schema
from ..database import Tx
from .reading import named, stream
from .scope import Scope, new_or_caused, new_transfers

_refund = schema.refund
_transfer = schema.transfer
_topup = schema.topup
_payment = schema.payment
_allowance = schema.topup_allowance
_debit, _credit = schema.account.alias("debit"), schema.account.alias("credit")

REFUND, TRANSFER = 0, 1
"""What a row of `refund_postings` is, in their order."""

_FIGURES: Final = named(_refund, "topup_id gateway payment_id currency amount origin state actor settled_at")
_POSTED: Final = (
    *named(_transfer, "currency actor", prefix="posted_"),
    *named(_transfer, "kind key_hash fingerprint wallet_id"),
    _transfer.c.amount.label("moved"),
    *named(_debit, "kind owner", prefix="debit_"),
    *named(_credit, "kind owner", prefix="credit_"),
)


def refund_postings(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every refund, and after it each transfer that names it as its cause."""
    nothing = null()
    heads = select(
        _refund.c.id.label("refund"),
        literal(REFUND).label("what"),
        nothing.label("transfer_id"),
        *_FIGURES,
        *(nothing.label(column.key) for column in _POSTED),
    ).where(_refund.c.book_id == tx.book_id, *new_or_caused(tx, scope, _refund.c.id, kind="ref", cause="refund"))
    joined = _transfer.outerjoin(_debit, _debit.c.id == _transfer.c.debit_id).outerjoin(
        _credit, _credit.c.id == _transfer.c.credit_id
    )
    caused = (
        select(
            _transfer.c.cause_id,
            literal(TRANSFER),
            _transfer.c.id,
            *(nothing.label(column.key) for column in _FIGURES),
            *_POSTED,
        )
        .select_from(joined)
        .where(*new_transfers(tx, scope), _transfer.c.cause_type == "refund")
    )
    return stream(tx, union_all(heads, caused).order_by("refund", "what", "transfer_id"))


def given_back(tx: Tx) -> Iterator[Any]:
    """Give every payment of which something went back, with what it took and how its top-up stands."""
    back = (
        select(_refund.c.topup_id, func.sum(_refund.c.amount).label("amount"))
        .where(_refund.c.book_id == tx.book_id, _refund.c.state.not_in(("failed", "canceled")))
        .group_by(_refund.c.topup_id)
        .subquery()
    )
    paid = and_(_payment.c.book_id == tx.book_id, _payment.c.topup_id == back.c.topup_id)
    wanted = select(back.c.topup_id, back.c.amount, _payment.c.captured)
    return stream(tx, wanted.select_from(back.outerjoin(_payment, paid)))


def refunded_topups(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every top-up that says it was given back, with what of it really was, by review.

    Each such refund is of all of it; one that came back is followed by another.
    """
    back = (
        select(_refund.c.topup_id, func.max(_refund.c.amount).label("amount"))
        .where(_refund.c.book_id == tx.book_id, _refund.c.origin == "review", _refund.c.settled_at.is_not(None))
        .group_by(_refund.c.topup_id)
        .subquery()
    )
    paid = and_(_payment.c.book_id == tx.book_id, _payment.c.topup_id == _topup.c.id)
    wanted = select(_topup.c.id, back.c.amount, _payment.c.captured).select_from(
        _topup.outerjoin(back, back.c.topup_id == _topup.c.id).outerjoin(_payment, paid)
    )
    limits = new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup")
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.state == "refunded", *limits))


def allowances(tx: Tx) -> Iterator[Any]:
    """Give what of each customer's limits is taken, by its row and by their top-ups."""
    reserved = (
        select(_topup.c.customer, _topup.c.currency, func.sum(_topup.c.credit).label("credit"))
        .where(_topup.c.book_id == tx.book_id, _topup.c.reserved == 1)
        .group_by(_topup.c.customer, _topup.c.currency)
        .subquery()
    )
    same = and_(reserved.c.customer == _allowance.c.customer, reserved.c.currency == _allowance.c.currency)
    wanted = select(
        *named(_allowance, "customer currency pending"), func.coalesce(reserved.c.credit, 0).label("credit")
    ).select_from(_allowance.outerjoin(reserved, same))
    return stream(tx, wanted.where(_allowance.c.book_id == tx.book_id))


def wrongly_reserved(tx: Tx, open_states: tuple[str, ...]) -> Iterator[Any]:
    """Give top-ups that count against limits although they are not open, or do not although they are."""
    is_open = _topup.c.state.in_(open_states)
    odd = (is_open & (_topup.c.reserved == 0)) | (~is_open & (_topup.c.reserved != 0))
    return stream(tx, select(_topup.c.id, _topup.c.state).where(_topup.c.book_id == tx.book_id, odd))
