"""Refunds as customers ask for them, and what operators decided."""

from __future__ import annotations

from typing import Any, cast

from attrs import frozen
from sqlalchemy import and_, insert, select, update

from ..core.money import Money
from ..core.refund_requests import OPEN_REQUESTS, RequestedRefund, RequestState, Subject, request_sources
from . import schema
from .database import Tx

_request = schema.refund_request
_refund = schema.refund

_PLAIN = "id customer subject_id reason note refund_id transaction_id decided_by created_at decided_at".split()


@frozen(kw_only=True)
class StoredRequest:
    """A request with what only the library needs.

    Attributes:
        request: What may be seen.
        confirmed_by: Of two operators the one who approved first, or empty.
        fingerprint: What its key stands for.
    """

    request: RequestedRefund
    confirmed_by: str
    fingerprint: str


def add(tx: Tx, request: RequestedRefund, *, key_hash: str, fingerprint: str) -> None:
    """Keep a request.

    Raises:
        sqlalchemy.exc.IntegrityError: Its key exists, or its subject has an open one.
    """
    row = {name: getattr(request, name) for name in (*_PLAIN, "kind", "state")}
    row |= {"currency": request.amount.currency, "amount": request.amount.units, "open_subject": request.subject_id}
    row |= {"confirmed_by": "", "key_hash": key_hash, "fingerprint": fingerprint}
    tx.execute(insert(_request).values(book_id=tx.book_id, **row))


def _select() -> Any:
    answered = and_(_refund.c.book_id == _request.c.book_id, _refund.c.id == _request.c.refund_id)
    money = (_refund.c.net.label("refund_net"), _refund.c.tax.label("refund_tax"))
    return select(_request, *money).select_from(_request.outerjoin(_refund, answered))


def find(tx: Tx, request_id: str, *, customer: str | None = None) -> RequestedRefund | None:
    """Read a request of the book, of one customer if one is given."""
    wanted = _select().where(_request.c.book_id == tx.book_id, _request.c.id == request_id)
    if customer is not None:
        wanted = wanted.where(_request.c.customer == customer)
    row = tx.execute(wanted).first()
    return None if row is None else _from_row(row).request


def find_by_key(tx: Tx, key_hash: str) -> StoredRequest | None:
    """Read the request that a caller's key made."""
    row = tx.execute(_select().where(_request.c.book_id == tx.book_id, _request.c.key_hash == key_hash)).first()
    return None if row is None else _from_row(row)


def hold(tx: Tx, request_id: str) -> StoredRequest | None:
    """Read a request as it is now and keep its row from others until the commit."""
    row = (_request.c.book_id == tx.book_id, _request.c.id == request_id)
    if tx.execute(select(_request.c.id).where(*row).with_for_update()).first() is None:
        return None
    return _from_row(tx.execute(tx.current(_select().where(*row))).one())


def open_of(tx: Tx, subject_ids: list[str]) -> set[str]:
    """Name those of some top-ups and charges of which a refund is requested."""
    wanted = select(_request.c.open_subject).where(
        _request.c.book_id == tx.book_id, _request.c.open_subject.in_(subject_ids)
    )
    return set(tx.execute(wanted).scalars())


def approved_of(tx: Tx, subject_id: str) -> list[Money]:
    """Read what was approved of the refunds of a charge, or of a top-up, that were not lost."""
    wanted = select(_request.c.approved, _request.c.currency).where(
        _request.c.book_id == tx.book_id,
        _request.c.subject_id == subject_id,
        _request.c.state.in_(("approved", "refunded")),
    )
    return [Money(units, currency) for units, currency in tx.execute(tx.current(wanted))]


def of_customer(tx: Tx, customer: str, *, before: str | None, limit: int) -> list[RequestedRefund]:
    """Read a customer's requests, newest first, below an id."""
    wanted = _select().where(_request.c.book_id == tx.book_id, _request.c.customer == customer)
    if before is not None:
        wanted = wanted.where(_request.c.id < before)
    return [_from_row(row).request for row in tx.execute(wanted.order_by(_request.c.id.desc()).limit(limit))]


def of_states(tx: Tx, states: tuple[RequestState, ...], *, after: str | None, limit: int) -> list[RequestedRefund]:
    """Read requests of some states, oldest first, after an id."""
    wanted = _select().where(_request.c.book_id == tx.book_id, _request.c.state.in_(states))
    if after is not None:
        wanted = wanted.where(_request.c.id > after)
    return [_from_row(row).request for row in tx.execute(wanted.order_by(_request.c.id).limit(limit))]


def step(tx: Tx, request_id: str, target: RequestState, **values: Any) -> bool:
    """Move a request to ``target`` if its state still allows it, and lock its row; False otherwise."""
    if target not in OPEN_REQUESTS:
        values["open_subject"] = None
    statement = update(_request).where(
        _request.c.book_id == tx.book_id, _request.c.id == request_id, _request.c.state.in_(request_sources(target))
    )
    return bool(tx.execute(statement.values(state=target, **values)).rowcount)


def follow(tx: Tx, refund_id: str, target: RequestState) -> None:
    """Move the request that a refund answers to where the refund is."""
    statement = update(_request).where(
        _request.c.book_id == tx.book_id,
        _request.c.refund_id == refund_id,
        _request.c.state.in_(request_sources(target)),
    )
    tx.execute(statement.values(state=target))


def _from_row(row: Any) -> StoredRequest:
    def money(units: int | None) -> Money | None:
        return None if units is None else Money(units, row.currency)

    known = row.refund_net is not None
    request = RequestedRefund(
        kind=cast(Subject, row.kind),
        state=cast(RequestState, row.state),
        amount=Money(row.amount, row.currency),
        approved=money(row.approved),
        cash=money(row.refund_net + row.refund_tax) if known else None,
        tax=money(row.refund_tax),
        **{name: getattr(row, name) for name in _PLAIN},
    )
    return StoredRequest(request=request, confirmed_by=row.confirmed_by, fingerprint=row.fingerprint)
