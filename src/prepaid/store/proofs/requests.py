"""What `check` reads of requests for refunds, and of what answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, func, literal, select, union_all

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream, wide
from .topups import is_told

_request = schema.refund_request
_refund = schema.refund
_topup = schema.topup
_transfer = schema.transfer
_account = schema.account


def request_rows(tx: Tx) -> Iterator[Any]:
    """Give every request with its subject's owner, the refund that answers it, and the reversal that does."""
    head, wallet = _transfer.alias("head"), _account.alias("wallet")
    back, part = _transfer.alias("back"), _transfer.alias("part")
    charge = and_(
        head.c.book_id == _request.c.book_id, head.c.transaction_id == _request.c.subject_id, head.c.part == 0
    )
    answer = and_(
        back.c.book_id == _request.c.book_id, back.c.transaction_id == _request.c.transaction_id, back.c.part == 0
    )
    given = select(func.sum(wide(part.c.amount))).where(
        part.c.book_id == _request.c.book_id, part.c.transaction_id == _request.c.transaction_id
    )
    joined = (
        _request.outerjoin(_refund, belongs(_request, _refund, "refund_id"))
        .outerjoin(_topup, belongs(_request, _topup, "subject_id"))
        .outerjoin(head, charge)
        .outerjoin(wallet, wallet.c.id == head.c.wallet_id)
        .outerjoin(back, answer)
    )
    wanted = select(
        *named(_request, " ".join(_request.c.keys())),
        *named(_refund, "topup_id state credit request_id actor", prefix="refund_"),
        *named(_topup, "customer", prefix="topup_"),
        *named(wallet, "owner", prefix="charge_"),
        *named(back, "kind reverses actor", prefix="answer_"),
        given.scalar_subquery().label("given"),
    ).select_from(joined)
    return stream(tx, wanted.where(_request.c.book_id == tx.book_id))


def unrequested(tx: Tx) -> Iterator[Any]:
    """Give refunds that name a request which does not name them."""
    same = and_(belongs(_refund, _request, "request_id"), _request.c.refund_id == _refund.c.id)
    wanted = select(_refund.c.id, _refund.c.request_id).select_from(_refund.outerjoin(_request, same))
    limits = (_refund.c.book_id == tx.book_id, _refund.c.request_id.is_not(None), _request.c.id.is_(None))
    yield from stream(tx, wanted.where(*limits))
    bare = select(_refund.c.id, literal("none").label("request_id"))
    yield from stream(
        tx, bare.where(_refund.c.book_id == tx.book_id, _refund.c.origin == "request", _refund.c.request_id.is_(None))
    )


def untold(tx: Tx) -> Iterator[Any]:
    """Give requests that were never told of, with the event's key."""
    asked, decided = (literal(f"{name}/").concat(_request.c.id) for name in ("refund-requested", "refund-decided"))
    of_book = _request.c.book_id == tx.book_id
    answered = _request.c.state.in_(("approved", "refunded", "failed", "rejected"))
    return stream(
        tx,
        union_all(
            select(_request.c.id, asked.label("key")).where(of_book, ~is_told(_request, asked)),
            select(_request.c.id, decided.label("key")).where(of_book, answered, ~is_told(_request, decided)),
        ),
    )
