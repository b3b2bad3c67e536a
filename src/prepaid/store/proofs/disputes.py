"""What `check` reads of disputes, what they posted and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import and_, case, func, literal, null, or_, select, union_all

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream
from .scope import Scope, all_of_caused, new_or_caused

_dispute = schema.dispute
_topup = schema.topup
_hold = schema.hold
_transfer = schema.transfer
_debit, _credit = schema.account.alias("debit"), schema.account.alias("credit")

DISPUTE, TRANSFER = 0, 1
"""What a row of `dispute_postings` is, in their order."""

_FIGURES: Final = (
    *named(_dispute, "topup_id gateway currency amount state booked turn lost_turn withdrawn credit clawback net tax"),
    *named(_dispute, "fee fee_currency booked_fee hold_id"),
    *named(_topup, "customer"),
    *named(_topup, "state currency", prefix="topup_"),
)
_POSTED: Final = (
    *named(_transfer, "currency actor amount", prefix="posted_"),
    *named(_transfer, "kind key_hash fingerprint"),
    *named(_debit, "kind owner", prefix="debit_"),
    *named(_credit, "kind owner", prefix="credit_"),
)


def dispute_postings(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every dispute, and after it each transfer that names it as its cause.

    Of one that something new touches all transfers, for it is proved by their sums.
    """
    nothing = null()
    limits = new_or_caused(tx, scope, _dispute.c.id, kind="dis", cause="dispute")
    heads = (
        select(
            _dispute.c.id.label("dispute"),
            literal(DISPUTE).label("what"),
            nothing.label("transfer_id"),
            *_FIGURES,
            *(nothing.label(column.key) for column in _POSTED),
        )
        .select_from(_dispute.outerjoin(_topup, belongs(_dispute, _topup, "topup_id")))
        .where(_dispute.c.book_id == tx.book_id, *limits)
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
        .where(*all_of_caused(tx, scope, "dispute"))
    )
    return stream(tx, union_all(heads, caused).order_by("dispute", "what", "transfer_id"))


def stray_holds(tx: Tx) -> Iterator[Any]:
    """Give holds of disputes that are open although theirs is not, or not the one that it names; and the other way."""
    of_dispute = and_(_dispute.c.book_id == _hold.c.book_id, _dispute.c.id == _hold.c.dispute_id)
    is_its = and_(_dispute.c.booked == "withdrawn", _dispute.c.hold_id == _hold.c.id)
    wrong = func.coalesce(case((is_its, 1), else_=0), 0) != case((_hold.c.state == "open", 1), else_=0)
    wanted = select(_hold.c.id, _hold.c.state, _dispute.c.booked).select_from(_hold.outerjoin(_dispute, of_dispute))
    yield from stream(tx, wanted.where(_hold.c.book_id == tx.book_id, _hold.c.dispute_id.is_not(None), wrong))
    named_hold = and_(_hold.c.book_id == _dispute.c.book_id, _hold.c.id == _dispute.c.hold_id)
    lacking = or_(_hold.c.id.is_(None), func.coalesce(_hold.c.dispute_id, "") != _dispute.c.id)
    missing = select(_dispute.c.hold_id.label("id"), literal("none").label("state"), _dispute.c.booked)
    missing = missing.select_from(_dispute.outerjoin(_hold, named_hold))
    yield from stream(tx, missing.where(_dispute.c.book_id == tx.book_id, _dispute.c.hold_id.is_not(None), lacking))
