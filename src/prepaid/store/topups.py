"""Top-ups and the payments that settled them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, cast

from attrs import frozen
from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update

from ..core.hashing import canonical_json
from ..core.instants import from_micros, to_micros
from ..core.money import Money
from ..core.payments import Checkout, CheckoutRequest, PaymentRef
from ..core.states import OPEN_STATES, PAID_STATES, TopupState, sources_of
from ..core.taxation import decision_from_record, decision_record
from ..core.topups import CheckoutLink, Topup
from . import schema
from .database import Tx

_topup = schema.topup
_payment = schema.payment
_redemption = schema.redemption


@frozen(kw_only=True)
class StoredTopup:
    """A top-up with what only the library needs.

    Attributes:
        topup: What the customer may see.
        request: The request that went, or will go, to the gateway.
        checkout_id: The gateway's id, once known.
        fingerprint: What its key stands for.
        polls: How often a job looked at it.
        next_look_at: When a job looks at it again, or None.
        profile_version: The tax profile that decided its tax, or None.
        payment_id: The gateway's id of the payment that settled it, or None.
        captured: What that payment took, or None.
        confirmation: What an operator confirmed to have received, or None.
        resolved: How an operator ended its review, or None.
    """

    topup: Topup
    request: CheckoutRequest
    checkout_id: str | None
    fingerprint: str
    polls: int
    next_look_at: datetime | None
    profile_version: int | None
    payment_id: str | None = None
    captured: Money | None = None
    confirmation: Mapping[str, Any] | None = None
    resolved: Mapping[str, Any] | None = None


def _select() -> Any:
    invoice = schema.invoice
    number = and_(invoice.c.book_id == _topup.c.book_id, invoice.c.id == _topup.c.invoice_id)
    paid = and_(_payment.c.book_id == _topup.c.book_id, _payment.c.topup_id == _topup.c.id)
    found = (_payment.c.payment_id, _payment.c.captured, _payment.c.currency.label("captured_currency"))
    redeemed = and_(_redemption.c.book_id == _topup.c.book_id, _redemption.c.topup_id == _topup.c.id)
    promotion = (_redemption.c.code, _redemption.c.state.label("promotion"))
    return select(_topup, invoice.c.number, *found, *promotion).select_from(
        _topup.outerjoin(invoice, number).outerjoin(_payment, paid).outerjoin(_redemption, redeemed)
    )


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
        code=row.code or "",
        promotion=row.promotion,
        further_of=row.further_of,
    )
    request = _request_from(json.loads(row.request), topup, row.gateway_key)
    return StoredTopup(
        topup=topup,
        request=request,
        checkout_id=row.checkout_id,
        fingerprint=row.fingerprint,
        polls=row.polls,
        next_look_at=row.next_poll_at,
        profile_version=row.profile_version,
        payment_id=row.payment_id,
        captured=None if row.captured is None else Money(row.captured, row.captured_currency),
        confirmation=_record(row.confirmation),
        resolved=_record(row.resolved),
    )


def _record(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else dict(json.loads(text))


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
    """Keep a top-up: a new one, before its gateway is called, or one for a payment that came unasked."""
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
        "failure": topup.failure,
        "reserved": int(topup.state == "starting"),
        "further_of": topup.further_of,
        "polls": 0,
        "next_poll_at": topup.created_at if topup.state == "starting" else None,
        "created_at": topup.created_at,
        "expires_at": topup.expires_at,
    }
    tx.execute(insert(_topup).values(row))


def find(tx: Tx, topup_id: str) -> StoredTopup | None:
    """Read a top-up of the book by its id."""
    row = tx.execute(_select().where(_topup.c.book_id == tx.book_id, _topup.c.id == topup_id)).first()
    return None if row is None else _from_row(row)


def hold(tx: Tx, topup_id: str) -> None:
    """Lock a top-up's row, so that of two who change what stands beside it one comes after the other."""
    tx.execute(select(_topup.c.id).where(_topup.c.book_id == tx.book_id, _topup.c.id == topup_id).with_for_update())


def find_by_payment(tx: Tx, gateway: str, payment_id: str) -> StoredTopup | None:
    """Read the top-up that a gateway's payment settled."""
    row = tx.execute(
        _select().where(
            _topup.c.book_id == tx.book_id, _payment.c.gateway == gateway, _payment.c.payment_id == payment_id
        )
    ).first()
    return None if row is None else _from_row(row)


def payment_ref(tx: Tx, topup_id: str) -> PaymentRef | None:
    """Give what names a paid top-up's payment at its gateway, where a second payment has the checkout of the first."""
    stored = find(tx, topup_id)
    first = stored if stored is None or stored.topup.further_of is None else find(tx, stored.topup.further_of)
    if stored is None or first is None or stored.payment_id is None:
        return None
    return PaymentRef(topup_id=first.topup.id, checkout_id=first.checkout_id or "", payment_id=stored.payment_id)


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


def credited_ids(tx: Tx, customer: str, *, before: str | None, limit: int) -> list[str]:
    """Name a customer's credited top-ups, newest first, below an id."""
    wanted = select(_topup.c.id).where(
        _topup.c.book_id == tx.book_id, _topup.c.customer == customer, _topup.c.state == "credited"
    )
    if before is not None:
        wanted = wanted.where(_topup.c.id < before)
    return list(tx.execute(wanted.order_by(_topup.c.id.desc()).limit(limit)).scalars())


def for_review(tx: Tx, *, after: str | None, limit: int) -> list[Topup]:
    """Read what an operator should look at, oldest first, after an id.

    Paid top-ups that wait in review, open ones with something wrong, and settled
    ones of which a part could not be given back.
    """
    wanted = _select().where(*_needs_a_look(tx))
    if after is not None:
        wanted = wanted.where(_topup.c.id > after)
    return [_from_row(row).topup for row in tx.execute(wanted.order_by(_topup.c.id).limit(limit))]


def count_for_review(tx: Tx) -> int:
    """Count what an operator should look at."""
    return int(tx.execute(select(func.count()).select_from(_topup).where(*_needs_a_look(tx))).scalar_one())


def _needs_a_look(tx: Tx) -> tuple[ColumnElement[bool], ...]:
    odd = and_(_topup.c.state.in_((*OPEN_STATES, "credited", "refunded")), _topup.c.failure != "")
    return _topup.c.book_id == tx.book_id, or_(_topup.c.state == "review", odd)


def unpaid_between(
    tx: Tx, gateway: str, since: datetime, until: datetime, *, after: str, limit: int
) -> list[PaymentRef]:
    """Name the checkouts of a gateway that were started in ``[since, until)`` and have no payment, after an id."""
    wanted = select(_topup.c.id, _topup.c.checkout_id).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.gateway == gateway,
        _topup.c.created_at >= since,
        _topup.c.created_at < until,
        _topup.c.id > after,
        _topup.c.checkout_id.is_not(None),
        _topup.c.state.not_in(PAID_STATES),
    )
    rows = tx.execute(wanted.order_by(_topup.c.id).limit(limit))
    return [PaymentRef(topup_id=row.id, checkout_id=row.checkout_id) for row in rows]


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


def step_settled(tx: Tx, topup_id: str, at: datetime, *, look_at: datetime | None) -> None:
    """Say since when a top-up that was kept as paid is so, and when a job looks at what stands beside its payment."""
    statement = update(_topup).where(_topup.c.book_id == tx.book_id, _topup.c.id == topup_id)
    tx.execute(statement.values(settled_at=at, next_poll_at=look_at))


def resolve(
    tx: Tx, topup: Topup, *, resolved: Mapping[str, Any], before: Mapping[str, Any] | None, invoice_id: str
) -> bool:
    """Credit what was in review: the figures become those that are really sold, the ones of the order are kept beside.

    False if somebody else ended the review, or began to send the payment back.
    """
    figures = {
        "credit": topup.credit.units,
        "bonus": topup.bonus.units,
        "discount": topup.discount.units,
        "net": topup.net.units,
        "tax": topup.tax.total.units,
        "total": topup.total.units,
        "decision": canonical_json(decision_record(topup.tax)),
    }
    values = {"state": "credited", "failure": "", "invoice_id": invoice_id, **figures}
    return _resolve(tx, topup.id, "review", resolved=resolved, before=before, **values)


def intend_refund(tx: Tx, topup: Topup, *, resolved: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Say that a payment in suspense goes back; False if somebody else decided on it."""
    return _resolve(tx, topup.id, topup.state, resolved=resolved, before=before, failure="refund-pending")


def _resolve(
    tx: Tx,
    topup_id: str,
    source: TopupState,
    *,
    resolved: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    **values: Any,
) -> bool:
    # A review that sends its payment back stays one until the gateway did so: its state alone does not tell.
    same = _topup.c.resolved.is_(None) if before is None else _topup.c.resolved == canonical_json(dict(before))
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state == source, same
    )
    return bool(tx.execute(statement.values(resolved=canonical_json(dict(resolved)), **values)).rowcount)


def sell_without_promotion(tx: Tx, topup: Topup) -> None:
    """Let the figures of a top-up be those without its promotion, which came too late."""
    statement = update(_topup).where(_topup.c.book_id == tx.book_id, _topup.c.id == topup.id)
    figures = {name: getattr(topup, name).units for name in ("credit", "bonus", "discount")}
    tx.execute(statement.values(**figures))


def schedule_look(tx: Tx, topup_id: str, at: datetime | None, polls: int) -> None:
    """Say when a job should look at an unpaid top-up again, if ever."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.not_in(PAID_STATES)
    )
    tx.execute(statement.values(next_poll_at=at, polls=polls))


def schedule_facts(tx: Tx, topup_id: str, at: datetime | None, polls: int) -> None:
    """Say when a job should ask what was given back of a paid top-up or is disputed, if ever."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.in_(PAID_STATES)
    )
    tx.execute(statement.values(next_poll_at=at, polls=polls))


def end_looks(tx: Tx, topup_id: str, seen: datetime | None) -> None:
    """Let no job look at a paid top-up any more, unless a look was scheduled since ``seen`` was the next one."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id == topup_id,
        _topup.c.state.in_(PAID_STATES),
        _topup.c.next_poll_at == seen,
    )
    tx.execute(statement.values(next_poll_at=None, polls=0))


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
    tx.execute(statement.values(failure=failure[:32]))


def mark_paid(tx: Tx, topup_id: str, failure: str) -> None:
    """Say of a paid top-up why an operator should look at it, or that nobody need."""
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.state.in_(PAID_STATES)
    )
    tx.execute(statement.values(failure=failure[:32]))


def confirm(tx: Tx, topup_id: str, confirmation: Mapping[str, Any], *, before: Mapping[str, Any] | None) -> bool:
    """Keep what an operator confirmed to have received for an unpaid top-up.

    False if it was paid, or something else confirmed, since ``before``.
    """
    told = _topup.c.confirmation
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id == topup_id,
        _topup.c.state.not_in(PAID_STATES),
        told.is_(None) if before is None else told == canonical_json(dict(before)),
    )
    return bool(tx.execute(statement.values(confirmation=canonical_json(dict(confirmation)))).rowcount)


def pending_credit(tx: Tx, topup_ids: Collection[str], currency: str) -> Money:
    """Sum what some top-ups count against their customer's limits in a currency."""
    wanted = select(func.coalesce(func.sum(_topup.c.credit), 0)).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id.in_(list(topup_ids)),
        _topup.c.currency == currency,
        _topup.c.reserved == 1,
    )
    return Money(int(tx.execute(wanted).scalar_one()), currency)


def release(tx: Tx, topup_id: str) -> bool:
    """Let a top-up count against its customer's limits no more; False if it does not already."""
    statement = update(_topup).where(_topup.c.book_id == tx.book_id, _topup.c.id == topup_id, _topup.c.reserved == 1)
    return bool(tx.execute(statement.values(reserved=0)).rowcount)


def count_open(tx: Tx, gateway: str) -> int:
    """Count the top-ups of a gateway that may still be paid."""
    wanted = select(func.count(_topup.c.id)).where(
        _topup.c.book_id == tx.book_id, _topup.c.gateway == gateway, _topup.c.state.in_(OPEN_STATES)
    )
    return int(tx.execute(wanted).scalar_one())
