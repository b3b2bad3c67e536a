"""Captured money: credited, or kept in suspense; each payment once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

from .. import audit, identity, outbox, wallets
from ..config import Context
from ..core import keys
from ..core.errors import AmountOutOfRange, IntegrityFault
from ..core.schedule import LOOKS
from ..core.topups import Topup
from ..core.transfers import SUSPENSE, clearing, suspense_lines
from ..ports import PaymentSnapshot
from ..store import Duplicate, Tx, accounts, payments, topups
from ..store import customers as customer_rows
from ..store.identities import HELD
from ..store.ledger import Header
from . import selling
from .checkouts import load
from .endings import refuse, release
from .fees import Fee, fee_of
from .values import Settled

SECOND_PAYMENT: Final = "second-payment"
OTHERS_PAYMENT: Final = "payment-of-another-topup"


def credit(context: Context, topup: Topup, payment: PaymentSnapshot) -> Settled:
    """Credit what was started and paid."""
    try:
        return _once(context, topup, payment, post=lambda: _credit(context, topup, payment))
    except AmountOutOfRange:
        # Captured money is never refused: what a wallet cannot hold waits for an operator.
        return review(context, topup, payment, "balance-full")


def review(context: Context, topup: Topup, payment: PaymentSnapshot, reason: str) -> Settled:
    """Keep captured money in suspense, for an operator to look at."""
    return _once(context, topup, payment, post=lambda: _park(context, topup, payment, reason))


Posted = Literal["credited", "review"] | None
"""What became of a payment; None if it was posted before."""


def _once(context: Context, topup: Topup, payment: PaymentSnapshot, *, post: Callable[[], Posted]) -> Settled:
    """Post a payment unless it was posted, by this top-up or, which is an attack, by another."""
    try:
        posted = post()
    except Duplicate:
        owner = owner_of(context, topup.gateway, payment)
        if owner is None:
            raise IntegrityFault("Settling met a key that only a settled top-up can have.") from None
        if owner != topup.id:
            return refuse(context, topup, OTHERS_PAYMENT)
        posted = None
    after = load(context, topup.id).topup
    return Settled(after, posted or "duplicate")


def owner_of(context: Context, gateway: str, payment: PaymentSnapshot) -> str | None:
    """Name the top-up that a payment settled."""
    payment_id = payment.payment_id or ""
    return context.database.read(lambda tx: payments.owner(tx, gateway, payment_id))


def _credit(context: Context, topup: Topup, payment: PaymentSnapshot) -> Posted:
    prepared = selling.prepare(context, topup, clearing(topup.gateway), profile_version=_profile(context, topup))
    actor, now = f"gateway:{topup.gateway}", context.now()
    asked, suspense = identity.asked_of_payment(context, topup), _suspense(context, topup, payment)
    fee = fee_of(context, topup, payment)

    def work(tx: Tx) -> Posted:
        customer_rows.hold(tx, topup.customer)
        if identity.is_unmet(tx, context, topup, asked=asked):
            return _parked(tx, context, topup, fee, system=suspense, reason=HELD)
        settled = {"settled_at": now, "invoice_id": prepared.invoice_id, **_next_look(payment, now)}
        if not topups.step(tx, topup.id, "credited", failure="", **settled):
            return None
        release(tx, context, topup, paid=True)
        sold = selling.with_promotion(tx, context, topup)
        payments.add(tx, sold, payment, posted_as="credited", now=now)
        fee.post(tx, context, sold)
        selling.post(tx, context, sold, prepared, actor=actor, payment_id=payment.payment_id or "")
        return "credited"

    return context.database.write(work)


def _next_look(payment: PaymentSnapshot, now: datetime) -> dict[str, Any]:
    """Begin to count looks anew: those until now were for the payment."""
    return {"next_poll_at": _look_at(payment, now), "polls": 0}


def _look_at(payment: PaymentSnapshot, now: datetime) -> datetime | None:
    """Say when a job looks at what stands beside a payment, should we not come to it now, and at a fee that follows."""
    return None if payment.is_final else now + LOOKS[0]


def _profile(context: Context, topup: Topup) -> int | None:
    return load(context, topup.id).profile_version


def _park(context: Context, topup: Topup, payment: PaymentSnapshot, reason: str) -> Posted:
    system, fee = _suspense(context, topup, payment), fee_of(context, topup, payment)

    def work(tx: Tx) -> Posted:
        customer_rows.hold(tx, topup.customer)
        return _parked(tx, context, topup, fee, system=system, reason=reason)

    return context.database.write(work)


def _parked(tx: Tx, context: Context, topup: Topup, paid: Fee, *, system: wallets.Accounts, reason: str) -> Posted:
    now = context.now()
    settled = {"settled_at": now, **_next_look(paid.payment, now)}
    if not topups.step(tx, topup.id, "review", failure=reason, **settled):
        return None
    release(tx, context, topup, paid=True)
    suspend(tx, context, topup, paid, system=system, reason=reason)
    return "review"


def _suspense(context: Context, topup: Topup, payment: PaymentSnapshot) -> wallets.Accounts:
    captured = payment.captured or topup.total
    refs = (clearing(topup.gateway), SUSPENSE)
    return accounts.system_accounts(context.database, refs, captured.currency, context.now())


def suspend(tx: Tx, context: Context, topup: Topup, paid: Fee, *, system: wallets.Accounts, reason: str) -> None:
    """Post a payment into suspense and tell of it, in the transaction that moved its top-up to review."""
    captured = paid.payment.captured or topup.total
    payments.add(tx, topup, paid.payment, posted_as="suspense", now=context.now())
    paid.post(tx, context, topup)
    header = _suspense_header(context, topup)
    wallets.post_system(
        tx, header, suspense_lines(topup.gateway, captured.units), currency=captured.currency, system=system
    )
    outbox.emit(
        tx,
        context,
        "topup-review",
        about=topup.id,
        customer=topup.customer,
        amount=captured,
        topup=topup.id,
        reason=reason,
    )
    if reason == HELD:  # no attack, and nothing wrong with the payment
        actor = f"gateway:{topup.gateway}"
        audit.record(tx, context, actor=actor, action="identity-held", target=topup.id, customer=topup.customer)
        return
    # Under a name of its own: the same may have been told before, when nothing was captured yet and it was refused.
    about = f"{topup.id}/review/{reason}"
    audit.security(
        tx, context, gateway=topup.gateway, reason=reason, target=topup.id, about=about, customer=topup.customer
    )


def _suspense_header(context: Context, topup: Topup) -> Header:
    identity = keys.settlement(
        context.database.book_id, keys.suspended("topup"), customer=topup.customer, topup_id=topup.id
    )
    return selling.header(context, topup, "topup", identity=identity, actor=f"gateway:{topup.gateway}")


def keep_further(context: Context, first: Topup, payment: PaymentSnapshot) -> None:
    """Keep a second payment of a checkout in suspense, as a top-up of its own.

    It has no promotion and waits for an operator: the customer meant to pay once.
    """
    if owner_of(context, first.gateway, payment) is not None:
        return
    further, version = selling.further_topup(context, first, payment), _profile(context, first)
    system, now = _suspense(context, further, payment), context.now()
    fee = fee_of(context, further, payment)

    def work(tx: Tx) -> None:
        selling.add_further(tx, context, further, payment, profile_version=version)
        suspend(tx, context, further, fee, system=system, reason=SECOND_PAYMENT)
        topups.step_settled(tx, further.id, now, look_at=_look_at(payment, now))

    try:
        context.database.write(work)
    except Duplicate:  # another worker kept it at the same moment
        if owner_of(context, first.gateway, payment) is None:
            raise IntegrityFault("A second payment met a key that is not its own.") from None
