"""Settling one top-up: ask its gateway, judge the answer, do what it says."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from attrs import evolve

from .. import gateway_facts
from ..config import Context
from ..core.errors import GatewayError, IntegrityFault
from ..core.instants import from_micros
from ..core.money import Money
from ..core.schedule import HOURLY_LOOKS, LOOKS
from ..core.settlement import Expected, Verdict, judge
from ..core.states import PAID_STATES, TopupState
from ..core.topups import NO_GATEWAY, Topup
from ..ports import ConfirmedByOperator, Gateway, PaymentRef, PaymentSnapshot
from ..store import payments, topups
from ..store.topups import StoredTopup
from . import free
from .checkouts import gateway_of, is_forgotten, load, open_checkout
from .crediting import credit, keep_further, review
from .endings import end_unpaid, refuse
from .fees import post_late_fee
from .values import Close, Settled, UnpaidState

log = logging.getLogger("prepaid.settlement")

MANY_LOOKS: Final = len(LOOKS) + HOURLY_LOOKS + 7
"""How often a job looks at what stands beside a payment, and for a fee that follows: for about a week."""

ODD_FOR: Final = timedelta(days=4)
"""How long after its time a top-up stays open whose payment a check refused, for an operator to look at."""


def settle(
    context: Context, topup_id: str, *, close: Close | None = None, payment_id: str | None = None, due: bool = False
) -> Settled:
    """Bring a top-up to where its payment is; safe to call at any time, any number of times.

    Args:
        context: The billing system.
        topup_id: The top-up.
        close: Make an unpaid checkout unpayable first.
        payment_id: A payment that was told of; if the top-up is settled by
            another one, it is looked for, because a checkout may be paid twice.
        due: The look at what stands beside a payment is due, though the next one is scheduled already.

    Raises:
        NotFound: The book has no such top-up.
        GatewayError: The gateway cannot be asked; the top-up is as it was.
    """
    stored = load(context, topup_id)
    topup = stored.topup
    if topup.gateway == NO_GATEWAY:
        return free.complete(context, stored, close=close)
    if topup.state in PAID_STATES:
        return _look_again(context, stored, payment_id, due=due)
    gateway = gateway_of(context, topup)
    if stored.checkout_id is None and topup.state != "starting":
        # It ended before a checkout was known; asking now would open one that nobody sees.
        return end_unpaid(context, topup, _ended(topup.state))
    if stored.checkout_id is None and is_forgotten(context, gateway, topup) and context.now() >= topup.expires_at:
        return end_unpaid(context, topup, "expired", failure="never-opened")
    stored = open_checkout(context, gateway, stored)
    payment = _ask(context, gateway, stored, close=close)
    expected = _expected(context, gateway, stored, close=close)
    verdict = judge(payment, expected)
    if verdict.kind == "capture":
        key = f"prepaid:{context.mode}:{topup.id}:capture"
        payment = gateway.capture(_ref(stored), expected.total, key=key)
        verdict = judge(payment, evolve(expected, captures=False))
    settled = _apply(context, stored.topup, payment, _closed(verdict, payment, close), close=close)
    if settled.outcome == "duplicate":  # posted by another worker, who may not have been told the fee
        _post_late_fees(context, topup.gateway, payment)
    _look_beside(context, gateway, settled.topup, payment, expected=expected)
    return settled


def try_settle(context: Context, topup_id: str, *, payment_id: str | None = None) -> Settled:
    """Settle if the gateway can be asked; if it cannot, leave the top-up and have a job look soon.

    A gateway that sent a webhook may not send it again: also a top-up that had
    ended is looked at until the gateway was asked.

    Raises:
        NotFound: The book has no such top-up.
    """
    try:
        return settle(context, topup_id, payment_id=payment_id)
    except GatewayError as error:
        log.warning("top-up %s waits for its gateway: %s", topup_id, error)
        soon = context.now() + LOOKS[0]
        context.database.write(lambda tx: topups.schedule_look(tx, topup_id, soon, 0))
        return Settled(load(context, topup_id).topup, "unreachable")


def _look_again(context: Context, stored: StoredTopup, payment_id: str | None, *, due: bool) -> Settled:
    """Look at what may have happened beside the payment that settled a top-up: a second one, a refund, a dispute."""
    topup = stored.topup
    told = payment_id is not None and payment_id != stored.payment_id
    if told and not context.database.read(lambda tx: payments.owner(tx, topup.gateway, payment_id or "")):
        _look_for_others(context, stored)
    elif stored.next_look_at is not None and (due or stored.next_look_at <= context.now()):
        _end_looks(context, stored, follows=_look_around(context, gateway_of(context, topup), stored))
    return Settled(topup, "duplicate")


def _end_looks(context: Context, stored: StoredTopup, *, follows: bool) -> None:
    """Look no more at a paid top-up, but for a fee that follows, or if another worker asked for a look meanwhile."""
    topup_id, seen = stored.topup.id, stored.next_look_at
    if not follows or stored.polls >= MANY_LOOKS:
        context.database.write(lambda tx: topups.end_looks(tx, topup_id, seen))
    elif seen is None:
        soon = context.now() + LOOKS[0]
        context.database.write(lambda tx: topups.schedule_facts(tx, topup_id, soon, 0))


def _look_around(context: Context, gateway: Gateway, stored: StoredTopup) -> bool:
    """Look for everything beside the payment that settled a top-up, told of or not; tell whether a fee follows."""
    refunded, follows = None, False
    if stored.checkout_id is not None:  # a second payment has the checkout of the first, and is found there
        payment = _ask(context, gateway, stored, close=None)
        _keep_others(context, stored.topup, payment, expected=_expected(context, gateway, stored, close=None))
        _post_late_fees(context, stored.topup.gateway, payment)
        refunded, follows = _refunded_of(stored, payment), payment.fees_follow
    gateway_facts.record(context, gateway, stored.topup, refunded=refunded)
    return follows


def _look_for_others(context: Context, stored: StoredTopup) -> None:
    gateway = gateway_of(context, stored.topup)
    payment = _ask(context, gateway, stored, close=None)
    _post_late_fees(context, stored.topup.gateway, payment)
    _look_beside(context, gateway, stored.topup, payment, expected=_expected(context, gateway, stored, close=None))


def _post_late_fees(context: Context, gateway: str, payment: PaymentSnapshot) -> None:
    for each in (payment, *payment.further):
        post_late_fee(context, gateway, each)


def _look_beside(
    context: Context, gateway: Gateway, topup: Topup, payment: PaymentSnapshot, *, expected: Expected
) -> None:
    """Keep further payments of a settled top-up's checkout, and record what was given back of it or is disputed."""
    if topup.state not in PAID_STATES:
        return
    _keep_others(context, topup, payment, expected=expected)
    if payment.is_alone:
        return
    stored = load(context, topup.id)
    if payment.disputed or payment.refunded:
        try:
            gateway_facts.record(context, gateway, topup, refunded=_refunded_of(stored, payment))
        except GatewayError as error:
            log.warning("refunds and disputes of top-up %s wait for its gateway: %s", topup.id, error)
            soon = context.now() + LOOKS[0]
            context.database.write(lambda tx: topups.schedule_facts(tx, topup.id, soon, 0))
            return
    _end_looks(context, stored, follows=payment.fees_follow)


def _refunded_of(stored: StoredTopup, payment: PaymentSnapshot) -> Money | None:
    """Give what a checkout's answer says was given back of the payment that settled a top-up."""
    found = (each for each in (payment, *payment.further) if each.payment_id == stored.payment_id)
    return next((each.refunded for each in found), None)


def _keep_others(context: Context, topup: Topup, payment: PaymentSnapshot, *, expected: Expected) -> None:
    for other in (payment, *payment.further):
        if judge(other, expected).kind in ("credit", "review"):
            keep_further(context, topup, other)


def _ended(state: TopupState) -> UnpaidState:
    match state:
        case "failed" | "expired" | "canceled":
            return state
        case _:
            raise IntegrityFault("An open top-up has no checkout.")


def _ref(stored: StoredTopup) -> PaymentRef:
    return PaymentRef(topup_id=stored.topup.id, checkout_id=stored.checkout_id or "", payment_id=stored.payment_id)


def _ask(context: Context, gateway: Gateway, stored: StoredTopup, *, close: Close | None) -> PaymentSnapshot:
    ref, confirmation = _ref(stored), stored.confirmation
    if confirmation is not None and isinstance(gateway, ConfirmedByOperator):
        received = Money(int(confirmation["units"]), confirmation["currency"])
        at = from_micros(confirmation["at"])
        return gateway.confirmed(ref, received=received, evidence=confirmation["evidence"], at=at)
    payment = gateway.fetch_payment(ref)
    # Whoever pays an authorised checkout in time gets the credit; whoever cancels it does not want it.
    closing = ("open",) if close == "lapse" else ("open", "authorised") if close == "cancel" else ()
    return gateway.cancel(ref) if payment.state in closing else payment


def _expected(context: Context, gateway: Gateway, stored: StoredTopup, *, close: Close | None) -> Expected:
    canceled = close == "cancel" or stored.topup.state == "canceled"
    return Expected(
        topup_id=stored.topup.id,
        checkout_id=stored.checkout_id or "",
        mode=context.mode,
        account=gateway.account,
        total=stored.topup.total,
        captures=gateway.capabilities().needs_capture and not canceled,
    )


def _closed(verdict: Verdict, payment: PaymentSnapshot, close: Close | None) -> Verdict:
    """Take a checkout that its gateway cannot close for closed: nothing of it is captured by us any more."""
    if close == "cancel" and verdict.kind in ("wait", "processing") and payment.state in ("open", "authorised"):
        return Verdict("canceled", "canceled")
    lapsed = close == "lapse" and verdict.kind in ("wait", "canceled")
    return Verdict("expired", "expired") if lapsed else verdict


def _end_odd(context: Context, refused: Settled, reason: str, close: Close | None) -> Settled:
    """End a top-up whose payment is not its own: when its customer gives it up, or nobody has mended it for days.

    Reconciliation goes on to show what its gateway captured.
    """
    if close == "cancel":
        return end_unpaid(context, refused.topup, "canceled", failure=reason[:32])
    if close == "lapse" and context.now() >= refused.topup.expires_at + ODD_FOR:
        return end_unpaid(context, refused.topup, "failed", failure=reason[:32])
    return refused


def _apply(
    context: Context, topup: Topup, payment: PaymentSnapshot, verdict: Verdict, *, close: Close | None
) -> Settled:
    match verdict.kind:
        case "credit":
            return credit(context, topup, payment)
        case "review":
            return review(context, topup, payment, verdict.reason)
        case "mismatch":
            return _end_odd(context, refuse(context, topup, verdict.reason), verdict.reason, close)
        case "wait":
            return end_unpaid(context, topup, "pending")
        case "processing" | "capture":
            return end_unpaid(context, topup, "processing")
        case ended:
            return end_unpaid(context, topup, ended, failure=verdict.reason[:32])
