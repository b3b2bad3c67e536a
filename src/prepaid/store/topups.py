"""Top-ups and the payments that settled them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import and_, func, insert, or_, select, update

from ..core.hashing import canonical_json
from ..core.instants import from_micros, to_micros
from ..core.money import Money
from ..core.payments import Checkout, CheckoutRequest, PaymentSnapshot
from ..core.states import OPEN_STATES, PAID_STATES, TopupState, sources_of
from ..core.taxation import decision_from_record, decision_record
from ..core.topups import CheckoutLink, Topup
from . import schema
from .database import Tx

_topup = schema.topup
_payment = schema.payment


@frozen(kw_only=True)
class StoredTopup:
    """A top-up with what only the library needs.

    Attributes:
        topup: What the customer may see.
        request: The request that went, or will go, to the gateway.
        checkout_id: The gateway's id, once known.
        fingerprint: What its key stands for.
        polls: How often a job looked at it.
        profile_version: The tax profile that decided its tax, or None.
    """

    topup: Topup
    request: CheckoutRequest
    checkout_id: str | None
    fingerprint: str
    polls: int
    profile_version: int | None


def _select() -> Any:
    invoice = schema.invoice
    number = and_(invoice.c.book_id == _topup.c.book_id, invoice.c.id == _topup.c.invoice_id)
    return select(_topup, invoice.c.number).select_from(_topup.outerjoin(invoice, number))


def _from_row(row: Any) -> StoredTopup:
    currency = row.currency
    link = json.loads(row.checkout) if row.checkout else {}
    topup = Topup(
        id=row.id,
        customer=row.customer,
        state=cast(TopupState, row.state),
        gateway=row.gateway,
        credit=Money(row.credit, currency),
        bonus=Money(row.bonus, currency),
        discount=Money(row.discount, currency),
        net=Money(row.net, currency),
        total=Money(row.total, currency),
        tax=decision_from_record(json.loads(row.decision)),
        checkout=CheckoutLink(**link) if row.state in OPEN_STATES else CheckoutLink(),
        created_at=row.created_at,
        expires_at=row.expires_at,
        failure=row.failure,
        invoice_number=row.number,
    )
    request = _request_from(json.loads(row.request), topup, row.gateway_key)
    return StoredTopup(
        topup=topup,
        request=request,
        checkout_id=row.checkout_id,
        fingerprint=row.fingerprint,
        polls=row.polls,
        profile_version=row.profile_version,
    )


def _request_from(record: dict[str, Any], topup: Topup, key: str) -> CheckoutRequest:
    # Exactly what was sent the first time: a gateway refuses other parameters under the same key.
    return CheckoutRequest(
        topup_id=topup.id,
        amount=topup.total,
        customer_id=topup.customer,
        expires_at=from_micros(record.pop("expires_at")),
        key=key,
        **record,
    )


def _request_record(request: CheckoutRequest) -> dict[str, Any]:
    names = ("description", "return_url", "cancel_url", "customer_email", "locale")
    return {name: getattr(request, name) for name in names} | {"expires_at": to_micros(request.expires_at)}


def add(
    tx: Tx,
    topup: Topup,
    request: CheckoutRequest,
    *,
    profile_version: int | None,
    key_hash: str,
    fingerprint: str,
) -> None:
    """Keep a top-up before its gateway is called."""
    row = {
        "book_id": tx.book_id,
        "id": topup.id,
        "customer": topup.customer,
        "state": topup.state,
        "gateway": topup.gateway,
        "currency": topup.credit.currency,
        "credit": topup.credit.units,
        "bonus": topup.bonus.units,
        "discount": topup.discount.units,
        "net": topup.net.units,
        "tax": topup.tax.total.units,
        "total": topup.total.units,
        "profile_version": profile_version,
        "decision": canonical_json(decision_record(topup.tax)),
        "key_hash": key_hash,
        "fingerprint": fingerprint,
        "gateway_key": request.key,
        "request": canonical_json(_request_record(request)),
        "failure": "",
        "polls": 0,
        "next_poll_at": topup.created_at,
        "created_at": topup.created_at,
        "expires_at": topup.expires_at,
    }
    tx.execute(insert(_topup).values(row))


def find(tx: Tx, topup_id: str) -> StoredTopup | None:
    """Read a top-up of the book by its id."""
    row = tx.execute(_select().where(_topup.c.book_id == tx.book_id, _topup.c.id == topup_id)).first()
    return None if row is None else _from_row(row)


def find_by_key(tx: Tx, key_hash: str) -> StoredTopup | None:
    """Read the top-up that a caller's key started."""
    row = tx.execute(_select().where(_topup.c.book_id == tx.book_id, _topup.c.key_hash == key_hash)).first()
    return None if row is None else _from_row(row)


def find_by_checkout(tx: Tx, gateway: str, checkout_id: str) -> StoredTopup | None:
    """Read the top-up that a gateway's checkout belongs to."""
    row = tx.execute(
        _select().where(
            _topup.c.book_id == tx.book_id, _topup.c.gateway == gateway, _topup.c.checkout_id == checkout_id
        )
    ).first()
    return None if row is None else _from_row(row)


def of_customer(tx: Tx, customer: str, *, before: str | None, limit: int) -> list[Topup]:
    """Read a customer's top-ups, newest first, below an id."""
    wanted = _select().where(_topup.c.book_id == tx.book_id, _topup.c.customer == customer)
    if before is not None:
        wanted = wanted.where(_topup.c.id < before)
    return [_from_row(row).topup for row in tx.execute(wanted.order_by(_topup.c.id.desc()).limit(limit))]


def for_review(tx: Tx, *, limit: int) -> list[Topup]:
    """Read the top-ups that wait in review, and the open ones with something wrong, oldest first."""
    odd = and_(_topup.c.state.in_(OPEN_STATES), _topup.c.failure != "")
    wanted = _select().where(_topup.c.book_id == tx.book_id, or_(_topup.c.state == "review", odd))
    return [_from_row(row).topup for row in tx.execute(wanted.order_by(_topup.c.id).limit(limit))]


def due_for_look(tx: Tx, now: datetime, *, limit: int) -> list[StoredTopup]:
    """Read the top-ups that a job should look at, longest waiting first."""
    wanted = _select().where(_topup.c.book_id == tx.book_id, _topup.c.next_poll_at <= now)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_topup.c.next_poll_at, _topup.c.id).limit(limit))]


def step(tx: Tx, topup_id: str, target: TopupState, **values: Any) -> bool:
    """Move a top-up to ``target`` if its state still allows it, and lock its row; False otherwise."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.in_(sources_of(target))
    )
    return bool(tx.execute(statement.values(state=target, **values)).rowcount)


def keep_checkout(tx: Tx, topup_id: str, checkout: Checkout) -> bool:
    """Record the checkout a gateway made; False if another one is recorded already."""
    link = {
        "redirect_url": checkout.redirect_url,
        "widget": dict(checkout.widget) if checkout.widget else None,
        "instructions": dict(checkout.instructions) if checkout.instructions else None,
    }
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id == topup_id,
        (_topup.c.checkout_id.is_(None)) | (_topup.c.checkout_id == checkout.checkout_id),
    )
    changed = tx.execute(statement.values(checkout_id=checkout.checkout_id, checkout=canonical_json(link)))
    return bool(changed.rowcount)


def schedule_look(tx: Tx, topup_id: str, at: datetime, polls: int) -> None:
    """Say when a job should look at a top-up again; one that is paid is left alone."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.not_in(PAID_STATES)
    )
    tx.execute(statement.values(next_poll_at=at, polls=polls))


def stop_looking(tx: Tx, topup_id: str) -> None:
    """Let no job look at a top-up that ended unpaid."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.in_(("failed", "expired", "canceled"))
    )
    tx.execute(statement.values(next_poll_at=None))


def mark(tx: Tx, topup_id: str, failure: str) -> None:
    """Say of an unpaid top-up why an operator should look at it."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.not_in(PAID_STATES)
    )
    tx.execute(statement.values(failure=failure))


def add_payment(tx: Tx, topup: Topup, payment: PaymentSnapshot, *, posted_as: str, now: datetime) -> None:
    """Keep the one payment of a top-up.

    Raises:
        sqlalchemy.exc.IntegrityError: The payment settled a top-up before.
    """
    captured, fee = cast(Money, payment.captured), payment.fee
    row: Mapping[str, Any] = {
        "book_id": tx.book_id,
        "topup_id": topup.id,
        "gateway": topup.gateway,
        "payment_id": payment.payment_id,
        "currency": captured.currency,
        "captured": captured.units,
        "method": payment.method[:32],
        "fee": None if fee is None else fee.units,
        "fee_currency": None if fee is None else fee.currency,
        "posted_as": posted_as,
        "created_at": now,
    }
    tx.execute(insert(_payment).values(row))


def payment_owner(tx: Tx, gateway: str, payment_id: str) -> str | None:
    """Name the top-up that a gateway's payment settled."""
    wanted = select(_payment.c.topup_id).where(
        _payment.c.book_id == tx.book_id, _payment.c.gateway == gateway, _payment.c.payment_id == payment_id
    )
    found = tx.execute(wanted).scalar()
    return None if found is None else str(found)


def count_open(tx: Tx, gateway: str) -> int:
    """Count the top-ups of a gateway that may still be paid."""
    wanted = select(func.count(_topup.c.id)).where(
        _topup.c.book_id == tx.book_id, _topup.c.gateway == gateway, _topup.c.state.in_(OPEN_STATES)
    )
    return int(tx.execute(wanted).scalar_one())
