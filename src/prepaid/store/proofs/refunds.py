"""What `check` reads of refunds, what they posted, and what of their customers' limits is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args

from sqlalchemy import FromClause, Select, Subquery, and_, case, func, literal, not_, null, or_, select, union_all

from ...core.payments import DisputeState
from ...core.refunds import LOST_REFUNDS
from .. import schema
from ..database import Tx
from .reading import belongs, named, stream
from .scope import Scope, all_of_caused, new_or_caused
from .topups import is_told

_refund = schema.refund
_transfer = schema.transfer
_dispute = schema.dispute
_outbox = schema.outbox
_topup = schema.topup
_payment = schema.payment
_allowance = schema.topup_allowance
_debit, _credit = schema.account.alias("debit"), schema.account.alias("credit")

DISPUTE_STATES: Final = get_args(DisputeState)

REFUND, TRANSFER = 0, 1
"""What a row of `refund_postings` is, in their order."""

_FIGURES: Final = (
    *named(_refund, "topup_id gateway payment_id gateway_refund_id currency amount origin state actor settled_at"),
    *named(_refund, "credit clawback net tax is_of_credit turn reference_hash"),
    *named(_topup, "customer"),
)
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
    ).select_from(_refund.outerjoin(_topup, belongs(_refund, _topup, "topup_id")))
    heads = heads.where(
        _refund.c.book_id == tx.book_id, *new_or_caused(tx, scope, _refund.c.id, kind="ref", cause="refund")
    )
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
        .where(*all_of_caused(tx, scope, "refund"))
    )
    return stream(tx, union_all(heads, caused).order_by("refund", "what", "transfer_id"))


def foreign(tx: Tx) -> Iterator[Any]:
    """Give refunds and disputes that are of another payment than their top-up was settled by."""
    return stream(tx, union_all(_foreign(tx, _refund, "refund"), _foreign(tx, _dispute, "dispute")))


def _foreign(tx: Tx, table: FromClause, name: str) -> Select[Any]:
    paid = and_(_payment.c.book_id == table.c.book_id, _payment.c.topup_id == table.c.topup_id)
    same = and_(_payment.c.gateway == table.c.gateway, _payment.c.payment_id == table.c.payment_id)
    wanted = select(literal(name).label("what"), table.c.id, table.c.payment_id, _payment.c.payment_id.label("paid"))
    odd = or_(_payment.c.payment_id.is_(None), not_(same))
    return wanted.select_from(table.outerjoin(_payment, paid)).where(table.c.book_id == tx.book_id, odd)


def untold(tx: Tx) -> Iterator[Any]:
    """Give refunds that are posted, and disputes, that were never told by an event, with the event's key."""
    lost = _refund.c.state.in_(LOST_REFUNDS)
    is_posted = or_(_refund.c.origin == "review", _refund.c.is_of_credit == 1)
    ours = (_refund.c.book_id == tx.book_id, is_posted)
    settled_key, lost_key = (literal(f"{name}/").concat(_refund.c.id) for name in ("refund-settled", "refund-failed"))
    opened_keys = (literal("dispute-opened/").concat(_dispute.c.id).concat(f"/{state}") for state in DISPUTE_STATES)
    opened = _outbox.c.dedupe_key.in_(tuple(opened_keys))
    told = select(literal(1)).where(_outbox.c.book_id == tx.book_id, _outbox.c.topic == "event", opened).exists()
    yield from stream(
        tx,
        union_all(
            select(_refund.c.id, settled_key.label("key")).where(
                *ours, _refund.c.settled_at.is_not(None), ~is_told(_refund, settled_key)
            ),
            select(_refund.c.id, lost_key).where(*ours, lost, ~is_told(_refund, lost_key)),
            select(_dispute.c.id, literal("dispute-opened")).where(_dispute.c.book_id == tx.book_id, ~told),
        ),
    )


def unknown_disputes(tx: Tx) -> Iterator[Any]:
    """Give disputes whose state is none of those known."""
    wanted = select(_dispute.c.id, _dispute.c.state)
    return stream(tx, wanted.where(_dispute.c.book_id == tx.book_id, _dispute.c.state.not_in(DISPUTE_STATES)))


def given_back(tx: Tx) -> Iterator[Any]:
    """Give every payment of which something went back, with what it took and how its top-up stands."""
    # Money above what was left of a payment, which a dispute had taken before, was nobody's credit any more.
    counted = case((_refund.c.is_of_credit == 1, _refund.c.net + _refund.c.tax), else_=_refund.c.amount)
    parts = union_all(
        select(_refund.c.topup_id, counted.label("amount")).where(
            _refund.c.book_id == tx.book_id, _refund.c.state.not_in(LOST_REFUNDS)
        ),
        select(_dispute.c.topup_id, (_dispute.c.net + _dispute.c.tax).label("amount")).where(
            _dispute.c.book_id == tx.book_id, _dispute.c.booked == "lost"
        ),
    ).subquery()
    back = select(parts.c.topup_id, func.sum(parts.c.amount).label("amount")).group_by(parts.c.topup_id).subquery()
    paid = and_(_payment.c.book_id == tx.book_id, _payment.c.topup_id == back.c.topup_id)
    wanted = select(back.c.topup_id, back.c.amount, _payment.c.captured)
    return stream(tx, wanted.select_from(back.outerjoin(_payment, paid)))


def returned(tx: Tx) -> Iterator[Any]:
    """Give every top-up of which credit went back, with what it was and what went back, part by part."""
    names = ("credit", "clawback", "net", "tax")
    kept = [
        select(table.c.topup_id, *(table.c[name] for name in names)).where(table.c.book_id == tx.book_id, counts)
        for table, counts in (
            (_refund, and_(_refund.c.is_of_credit == 1, _refund.c.state.not_in(LOST_REFUNDS))),
            (_dispute, _dispute.c.booked == "lost"),
        )
    ]
    parts = union_all(*kept).subquery()
    sums = (
        select(parts.c.topup_id, *(func.sum(parts.c[name]).label(name) for name in names))
        .group_by(parts.c.topup_id)
        .subquery()
    )
    of_topup = and_(_topup.c.book_id == tx.book_id, _topup.c.id == sums.c.topup_id)
    wanted = select(sums, *named(_topup, "credit bonus net tax currency state", prefix="topup_"))
    return stream(tx, wanted.select_from(sums.outerjoin(_topup, of_topup)))


def refunded_topups(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every top-up that says it was given back, with what of it really was, by review.

    It need not be all only where a part came back later, and operators see that it did.
    """
    back = _back_from_suspense(tx)
    paid = and_(_payment.c.book_id == tx.book_id, _payment.c.topup_id == _topup.c.id)
    came_back = (_refund.c.settled_at.is_not(None), _refund.c.state.in_(LOST_REFUNDS), _refund.c.origin == "review")
    of_topup = (_refund.c.book_id == tx.book_id, _refund.c.topup_id == _topup.c.id)
    is_known = and_(_topup.c.failure != "", select(literal(1)).where(*of_topup, *came_back).exists())
    amount = func.coalesce(back.c.amount, 0).label("amount")
    is_whole = case((is_known, 0), else_=1).label("is_whole")
    wanted = select(_topup.c.id, amount, _payment.c.captured, is_whole).select_from(
        _topup.outerjoin(back, back.c.topup_id == _topup.c.id).outerjoin(_payment, paid)
    )
    limits = new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup")
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.state == "refunded", *limits))


def _back_from_suspense(tx: Tx) -> Subquery:
    stayed = (_refund.c.origin == "review", _refund.c.state == "succeeded")
    return (
        select(_refund.c.topup_id, func.sum(_refund.c.amount).label("amount"))
        .where(_refund.c.book_id == tx.book_id, *stayed)
        .group_by(_refund.c.topup_id)
        .subquery()
    )


def unended_reviews(tx: Tx) -> Iterator[Any]:
    """Give top-ups in review although all that they were paid went back."""
    back = _back_from_suspense(tx)
    paid = and_(_payment.c.book_id == tx.book_id, _payment.c.topup_id == _topup.c.id)
    wanted = select(_topup.c.id, back.c.amount).select_from(
        _topup.join(back, back.c.topup_id == _topup.c.id).join(_payment, paid)
    )
    of_book = (_topup.c.book_id == tx.book_id, _topup.c.state == "review")
    return stream(tx, wanted.where(*of_book, back.c.amount >= _payment.c.captured))


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


def uncounted(tx: Tx) -> Iterator[Any]:
    """Give top-ups that count against limits where no row counts them."""
    counted = and_(
        _allowance.c.book_id == _topup.c.book_id,
        _allowance.c.customer == _topup.c.customer,
        _allowance.c.currency == _topup.c.currency,
    )
    wanted = select(_topup.c.id).select_from(_topup.outerjoin(_allowance, counted))
    return stream(
        tx, wanted.where(_topup.c.book_id == tx.book_id, _topup.c.reserved != 0, _allowance.c.customer.is_(None))
    )


def wrongly_reserved(tx: Tx, open_states: tuple[str, ...]) -> Iterator[Any]:
    """Give top-ups that count against limits although they are not open, or do not although they are."""
    is_open = _topup.c.state.in_(open_states)
    odd = (is_open & (_topup.c.reserved == 0)) | (~is_open & (_topup.c.reserved != 0))
    return stream(tx, select(_topup.c.id, _topup.c.state).where(_topup.c.book_id == tx.book_id, odd))
