"""Repayment: money that goes back at a gateway; intended, sent, looked up, settled.

The intent is committed with its key before the gateway is called; a call whose
outcome is unknown leaves the refund where it was, and only a look-up, or the
same request under the same key while the gateway remembers it, resolves it.
A refund of a payment in suspense moves between the book's own accounts: out of
suspense when it is intended, to the gateway's clearing when the gateway says that
it succeeded, and back when it failed, also if that is told later. A refund of
credit moves as `prepaid.returning` has it.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from attrs import frozen

from . import audit, documents, outbox, returning, wallets
from .config import Context
from .core import keys
from .core.errors import GatewayError, NotFound
from .core.money import Money
from .core.refunds import OPEN_REFUNDS, Refund, RefundStep
from .core.schedule import next_look
from .core.topups import Topup
from .core.transfers import IN_TRANSIT, SUSPENSE, AccountRef, clearing, refund_lines
from .documents import Changes
from .ports import Gateway, PaymentRef, RefundRef, RefundRequest, RefundSnapshot
from .store import Tx, accounts, refunds, topups
from .store.ledger import Header
from .store.refunds import StoredRefund

log = logging.getLogger("prepaid.repayment")

REFUNDS_AT_ONCE: Final = 50

_FIRST_TRY: Final = timedelta(minutes=1)


def open_accounts(context: Context, gateway: str, currency: str) -> wallets.Accounts:
    """Open the accounts that a refund moves between, before the transaction that intends it."""
    refs = (SUSPENSE, IN_TRANSIT, clearing(gateway))
    return accounts.system_accounts(context.database, refs, currency, context.now())


def intend(
    tx: Tx,
    context: Context,
    topup: Topup,
    *,
    payment_id: str,
    amount: Money,
    actor: str,
    reason: str,
    system: wallets.Accounts,
) -> Refund:
    """Keep the intent to give back money that stands in suspense, and take it out of there."""
    refund_id = context.ids.new("ref")
    refund = Refund(
        id=refund_id,
        topup_id=topup.id,
        gateway=topup.gateway,
        payment_id=payment_id,
        amount=amount,
        origin="review",
        state="starting",
        actor=actor,
        reason=reason,
        created_at=context.now(),
    )
    key = f"prepaid:{context.mode}:{refund_id}:refund"
    refunds.add(tx, refund, gateway_key=key, next_look_at=context.now())
    _move(tx, context, refund, "intended", way=(SUSPENSE, IN_TRANSIT), system=system)
    return refund


def keep(tx: Tx, context: Context, refund: Refund) -> None:
    """Keep the intent of a refund of credit, under the key that its gateway gets; a job looks should we not come to it.

    Not at once: of two requests with one key a gateway may answer that the other is under way.
    """
    key = f"prepaid:{context.mode}:{refund.id}:refund"
    refunds.add(tx, refund, gateway_key=key, next_look_at=context.now() + _FIRST_TRY)


def pursue(context: Context, refund_id: str) -> Refund:
    """Bring a refund to where the gateway has it; safe to call at any time, any number of times.

    Raises:
        NotFound: The book has no such refund.
        GatewayError: The gateway cannot be asked; the refund is as it was.
    """
    stored = _load(context, refund_id)
    if stored.refund.state not in OPEN_REFUNDS:
        return stored.refund
    gateway = context.gateways.get(stored.refund.gateway)
    if gateway is None:
        raise GatewayError(f"The gateway {stored.refund.gateway!r} is not configured any more.", code="not-configured")
    snapshot = _find_or_send(context, gateway, stored)
    return stored.refund if snapshot is None else apply(context, stored.refund, snapshot)


def try_pursue(context: Context, refund_id: str) -> Refund:
    """Pursue a refund if the gateway can be asked; if it cannot, a job goes on.

    Raises:
        NotFound: The book has no such refund.
    """
    try:
        return pursue(context, refund_id)
    except GatewayError as error:
        log.warning("refund %s waits for its gateway: %s", refund_id, error)
        return _load(context, refund_id).refund


def due(context: Context) -> list[StoredRefund]:
    """Give refunds whose next look has come, longest waiting first."""
    return context.database.read(lambda tx: refunds.due(tx, context.now(), limit=REFUNDS_AT_ONCE))


def pursue_again(context: Context, stored: StoredRefund) -> bool:
    """Pursue a refund whose next look has come; False if its gateway did not answer."""
    _schedule(context, stored, next_look(stored.polls), polls=stored.polls + 1)
    try:
        pursue(context, stored.refund.id)
    except GatewayError as error:
        log.warning("refund %s waits for its gateway: %s", stored.refund.id, error)
        return not error.retryable
    return True


def put_off(context: Context, stored: StoredRefund) -> None:
    """Leave a refund for the next run, without having looked."""
    _schedule(context, stored, next_look(0), polls=stored.polls)


def _load(context: Context, refund_id: str) -> StoredRefund:
    stored = context.database.read(lambda tx: refunds.find(tx, refund_id))
    if stored is None:
        raise NotFound("There is no such refund.", field="refund")
    return stored


def _schedule(context: Context, stored: StoredRefund, wait: timedelta, *, polls: int) -> None:
    at = context.now() + wait
    context.database.write(lambda tx: refunds.schedule_look(tx, stored.refund.id, at, polls))


def _ref(context: Context, refund: Refund) -> PaymentRef:
    ref = context.database.read(lambda tx: topups.payment_ref(tx, refund.topup_id))
    assert ref is not None  # noqa: S101 - a refund is intended for a payment
    return ref


def _find_or_send(context: Context, gateway: Gateway, stored: StoredRefund) -> RefundSnapshot | None:
    """Look a refund up if it may have been made; send it if it was not, and may still be."""
    refund, payment = stored.refund, _ref(context, stored.refund)
    kept_for = timedelta(seconds=gateway.capabilities().refund_key_valid_s)
    is_forgotten = context.now() - refund.created_at > max(kept_for, _FIRST_TRY)
    if refund.state != "starting" or stored.polls or is_forgotten:
        found = _look_up(gateway, refund, payment)
        if found is not None or refund.state == "pending":
            return found
    if is_forgotten:
        # The gateway has none of ours and would take the key for a new request.
        _lose(context, refund, "failed", failure="never-made")
        return None
    return _send(context, gateway, stored, payment)


def _send(context: Context, gateway: Gateway, stored: StoredRefund, payment: PaymentRef) -> RefundSnapshot | None:
    refund = stored.refund
    request = RefundRequest(
        refund_id=refund.id, payment=payment, amount=refund.amount, key=stored.gateway_key, reason=refund.reason
    )
    try:
        return gateway.refund(request)
    except GatewayError as error:
        if error.outcome_unknown:
            context.database.write(lambda tx: refunds.step(tx, refund.id, "unknown"))
            raise
        if error.retryable or error.is_of_credentials:
            raise
        log.warning("refund %s was refused: %s", refund.id, error)
        # An earlier request, of which nothing was heard, may have been carried out all the same.
        found = _look_up(gateway, refund, payment)
        if found is None:
            _lose(context, refund, "failed", failure=error.code or "refused-by-gateway")
        return found


def _look_up(gateway: Gateway, refund: Refund, payment: PaymentRef) -> RefundSnapshot | None:
    ref = RefundRef(payment=payment, refund_id=refund.id, gateway_refund_id=refund.gateway_refund_id)
    return gateway.fetch_refund(ref)


def apply(context: Context, refund: Refund, snapshot: RefundSnapshot) -> Refund:
    """Record what the gateway says of a refund of ours.

    Raises:
        GatewayError: It is another one than was asked for.
    """
    _check(refund, snapshot)
    match snapshot.state:
        case "pending":
            known = snapshot.gateway_refund_id
            context.database.write(lambda tx: refunds.step(tx, refund.id, "pending", gateway_refund_id=known))
        case "succeeded":
            _succeed(context, refund, snapshot.gateway_refund_id)
        case lost:
            _lose(
                context,
                refund,
                lost,
                failure=snapshot.failure or lost,
                gateway_refund_id=snapshot.gateway_refund_id,
            )
    return _load(context, refund.id).refund


def _check(refund: Refund, snapshot: RefundSnapshot) -> None:
    same = (
        snapshot.payment_id == refund.payment_id
        and snapshot.amount == refund.amount
        and (refund.is_made_at_gateway or snapshot.refund_id in (None, refund.id))
        and refund.gateway_refund_id in (None, snapshot.gateway_refund_id)
    )
    if not same:
        raise GatewayError("The gateway tells of another refund than was asked for.", code="refund-differs")


def _succeed(context: Context, refund: Refund, gateway_refund_id: str) -> None:
    books, now = _books_of(context, refund), context.now()

    def work(tx: Tx) -> None:
        topups.hold(tx, refund.topup_id)
        if not refunds.step(
            tx, refund.id, "succeeded", gateway_refund_id=gateway_refund_id, settled_at=now, next_poll_at=None
        ):
            return
        settled = _as_held(tx, refund)
        changes = books.settle(tx, context, settled)
        tell(tx, context, settled, "refund-settled")
        documents.issue_changes(tx, context, changes, series=books.series)

    context.database.write(work)


def _as_held(tx: Tx, refund: Refund) -> Refund:
    """Read a refund whose row is held: another worker may just have settled it, or posted it anew."""
    held = refunds.find(tx, refund.id)
    assert held is not None  # noqa: S101 - a step of it was just written
    return held.refund


@frozen
class _OfSuspense:
    """What a refund out of suspense posts after it was intended."""

    system: wallets.Accounts

    def settle(self, tx: Tx, context: Context, refund: Refund) -> Changes:
        """Let the money leave, and end the review if that was all."""
        _move(tx, context, refund, "settled", way=(IN_TRANSIT, clearing(refund.gateway)), system=self.system)
        end_review(tx, refund.topup_id)
        return ()

    def lose(self, tx: Tx, context: Context, refund: Refund) -> Changes:
        """Take the money back into suspense, and ask for an operator."""
        if refund.settled_at is not None:
            _move(tx, context, refund, "returned", way=(clearing(refund.gateway), IN_TRANSIT), system=self.system)
        _move(tx, context, refund, "lost", way=(IN_TRANSIT, SUSPENSE), system=self.system)
        topups.mark_paid(tx, refund.topup_id, "refund-failed")
        return ()

    @property
    def series(self) -> documents.SeriesByKind:
        """Nowhere: what is in suspense was not sold, and no document is about it."""
        return {}


@frozen
class _OfCredit:
    """What a refund of credit posts after it was intended."""

    customer: str
    prepared: returning.Prepared

    def settle(self, tx: Tx, context: Context, refund: Refund) -> Changes:
        """Book what went back."""
        returning.follow(tx, refund, "refunded")
        return returning.settle_refund(tx, context, refund, customer=self.customer, prepared=self.prepared)

    def lose(self, tx: Tx, context: Context, refund: Refund) -> Changes:
        """Give the credit back, but for what found too little of the payment meanwhile."""
        changes = returning.give_back_refund(tx, context, refund, customer=self.customer, prepared=self.prepared)
        topup = topups.find(tx, refund.topup_id)
        assert topup is not None  # noqa: S101 - a refund is of a top-up
        returning.follow(tx, refund, "failed")
        return changes + returning.rebalance(tx, context, topup, prepared=self.prepared)

    @property
    def series(self) -> documents.SeriesByKind:
        """Where the documents go of what it posts."""
        return self.prepared.series


def _books_of(context: Context, refund: Refund) -> _OfSuspense | _OfCredit:
    if refund.is_of_credit:
        stored = context.database.read(lambda tx: topups.find(tx, refund.topup_id))
        assert stored is not None  # noqa: S101 - a refund is of a top-up
        prepared = returning.prepare(context, refund.gateway, refund.amount.currency)
        return _OfCredit(stored.topup.customer, prepared)
    return _OfSuspense(open_accounts(context, refund.gateway, refund.amount.currency))


def adopt(tx: Tx, context: Context, refund: Refund, *, system: wallets.Accounts) -> bool:
    """Take a refund that was made at the gateway out of suspense; False if it is not as it was any more."""
    if not refunds.adopt(tx, refund):
        return False
    _move(tx, context, refund, "intended", way=(SUSPENSE, IN_TRANSIT), system=system)
    if refund.settled_at is not None:
        _move(tx, context, refund, "settled", way=(IN_TRANSIT, clearing(refund.gateway)), system=system)
        tell(tx, context, refund, "refund-settled")
    return True


def end_review(tx: Tx, topup_id: str) -> None:
    """End the review of a payment that went back whole; what is still out, or came back to us, keeps it as it is.

    A top-up that was credited keeps its state: only what was too much went back.
    """
    topups.hold(tx, topup_id)
    stored = topups.find(tx, topup_id)
    assert stored is not None and stored.captured is not None  # noqa: S101, PT018 - something of it went back
    if stored.topup.state != "credited" and refunds.back_from_suspense(tx, topup_id) < stored.captured.units:
        return
    if stored.topup.state != "review" or not topups.step(tx, topup_id, "refunded", failure=""):
        topups.mark_paid(tx, topup_id, "")


def _lose(
    context: Context, refund: Refund, state: RefundStep, *, failure: str, gateway_refund_id: str | None = None
) -> None:
    """Take money back that did not reach the customer: into suspense, or as credit onto the balance."""
    books, known = _books_of(context, refund), gateway_refund_id or refund.gateway_refund_id

    def work(tx: Tx) -> None:
        topups.hold(tx, refund.topup_id)
        values = {"failure": failure[:32], "gateway_refund_id": known, "next_poll_at": None}
        if not refunds.step(tx, refund.id, state, **values):
            return
        changes = books.lose(tx, context, _as_held(tx, refund))
        audit.record(
            tx,
            context,
            actor=f"gateway:{refund.gateway}",
            action="refund-failed",
            target=refund.id,
            customer=_customer_of(tx, refund),
            reason=failure,
        )
        tell(tx, context, refund, "refund-failed", failure=failure[:32])
        documents.issue_changes(tx, context, changes, series=books.series)

    context.database.write(work)


def _move(
    tx: Tx, context: Context, refund: Refund, step: str, *, way: tuple[AccountRef, AccountRef], system: wallets.Accounts
) -> None:
    debit, credit = way
    identity, now = keys.refunded(context.database.book_id, step, refund.id), context.now()
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="suspense-refund",
        cause_type="refund",
        cause_id=refund.id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=refund.actor if step == "intended" else f"gateway:{refund.gateway}",
        effective_at=now,
        posted_at=now,
    )
    lines = refund_lines(debit, credit, refund.amount.units)
    wallets.post_system(tx, header, lines, currency=refund.amount.currency, system=system)


def tell(tx: Tx, context: Context, refund: Refund, event: str, **details: str) -> None:
    """Tell what became of a refund, after commit."""
    outbox.emit(
        tx,
        context,
        event,
        about=refund.id,
        customer=_customer_of(tx, refund),
        amount=refund.amount,
        refund=refund.id,
        topup=refund.topup_id,
        **details,
    )


def _customer_of(tx: Tx, refund: Refund) -> str | None:
    stored = topups.find(tx, refund.topup_id)
    return None if stored is None else stored.topup.customer
