"""Settlement: the only way a payment becomes credit.

Return page, webhook, job and operator all end here. The payment is read anew
from the gateway, outside any transaction; then one transaction, guarded by the
top-up's state and by the uniqueness of the payment, posts the credit, opens the
grants, issues the invoice and writes what is to be told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal

from attrs import frozen

from . import audit, customers, documents, outbox, wallets
from .config import Context
from .core import keys
from .core.errors import AmountOutOfRange, GatewayError, IntegrityFault, NotFound
from .core.money import Money
from .core.settlement import Expected, Verdict, judge
from .core.states import PAID_STATES, TopupState
from .core.topups import Topup
from .core.transfers import (
    PROMOTION,
    SUSPENSE,
    TAX_PAYABLE,
    AccountRef,
    bonus_lines,
    clearing,
    suspense_lines,
    topup_lines,
)
from .ports import Gateway, PaymentRef, PaymentSnapshot
from .store import Duplicate, Tx, accounts, topups
from .store import customers as customer_rows
from .store.ledger import Header, Label
from .store.topups import StoredTopup

log = logging.getLogger("prepaid.settlement")

SettlementOutcome = Literal[
    "credited", "duplicate", "review", "pending", "failed", "expired", "canceled", "mismatch", "unreachable"
]

UnpaidState = Literal["pending", "processing", "failed", "expired", "canceled"]

_LOOKS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
_HOURLY_LOOKS: Final = 24

_FIRST_TRY: Final = timedelta(minutes=1)
"""Even a gateway without keys is asked once; this is how long the first try may take."""


@frozen
class Settled:
    """A top-up after settlement, and what this call did."""

    topup: Topup
    outcome: SettlementOutcome


def settle(context: Context, topup_id: str, *, close: bool = False) -> Settled:
    """Bring a top-up to where its payment is; safe to call at any time, any number of times.

    Args:
        context: The billing system.
        topup_id: The top-up.
        close: Make an unpaid checkout unpayable first.

    Raises:
        NotFound: The book has no such top-up.
        GatewayError: The gateway cannot be asked; the top-up is as it was.
    """
    stored = load(context, topup_id)
    topup = stored.topup
    if topup.state in PAID_STATES:
        return Settled(topup, "duplicate")
    gateway = _gateway_of(context, topup)
    if stored.checkout_id is None and topup.state != "starting":
        # It ended before a checkout was known; asking now would open one that nobody sees.
        return _unpaid(context, topup, _ended(topup.state))
    if stored.checkout_id is None and _is_forgotten(context, gateway, topup) and context.now() >= topup.expires_at:
        return _unpaid(context, topup, "expired", failure="never-opened")
    stored = open_checkout(context, gateway, stored)
    payment = _ask(gateway, stored, close=close)
    verdict = judge(payment, _expected(context, gateway, stored))
    return _apply(context, stored.topup, payment, verdict)


def try_settle(context: Context, topup_id: str) -> Settled:
    """Settle if the gateway can be asked; if it cannot, leave the top-up and have a job look soon.

    A gateway that sent a webhook may not send it again: also a top-up that had
    ended is looked at until the gateway was asked.

    Raises:
        NotFound: The book has no such top-up.
    """
    try:
        return settle(context, topup_id)
    except GatewayError as error:
        log.warning("top-up %s waits for its gateway: %s", topup_id, error)
        soon = context.now() + _LOOKS[0]
        context.database.write(lambda tx: topups.schedule_look(tx, topup_id, soon, 0))
        return Settled(load(context, topup_id).topup, "unreachable")


def load(context: Context, topup_id: str) -> StoredTopup:
    """Read a top-up as it is, without asking anybody.

    Raises:
        NotFound: The book has no such top-up.
    """
    stored = context.database.read(lambda tx: topups.find(tx, topup_id))
    if stored is None:
        raise NotFound("There is no such top-up.", field="topup")
    return stored


def _gateway_of(context: Context, topup: Topup) -> Gateway:
    gateway = context.gateways.get(topup.gateway)
    if gateway is None:
        raise GatewayError(f"The gateway {topup.gateway!r} is not configured any more.", code="not-configured")
    return gateway


def open_checkout(context: Context, gateway: Gateway, stored: StoredTopup) -> StoredTopup:
    """Give the top-up with its checkout, asking the gateway for it if we do not know it.

    The request is sent with the key and the parameters of the first time, so
    that a checkout whose answer was lost is found, not made again.

    Raises:
        GatewayError: Refused, failed, or past the time for which the gateway
            remembers keys. A refusal for good ends the top-up.
    """
    if stored.checkout_id is not None:
        return stored
    if _is_forgotten(context, gateway, stored.topup):
        raise GatewayError(
            "The gateway does not remember the request any more.", outcome_unknown=True, code="key-too-old"
        )
    try:
        checkout = gateway.create_checkout(stored.request)
    except GatewayError as error:
        if not (error.retryable or error.outcome_unknown):
            _unpaid(context, stored.topup, "failed", failure="refused-by-gateway")
        raise

    def work(tx: Tx) -> StoredTopup | None:
        if topups.keep_checkout(tx, stored.topup.id, checkout):
            topups.step(tx, stored.topup.id, "pending")
        return topups.find(tx, stored.topup.id)

    kept = context.database.write(work)
    if kept is None or kept.checkout_id != checkout.checkout_id:
        raise GatewayError("The gateway made a second checkout for one key.", code="checkout-differs")
    return kept


def _is_forgotten(context: Context, gateway: Gateway, topup: Topup) -> bool:
    """Tell whether the gateway may take the same key for a new request by now."""
    kept_for = timedelta(seconds=gateway.capabilities().create_key_valid_s)
    return context.now() - topup.created_at > max(kept_for, _FIRST_TRY)


def _ended(state: TopupState) -> UnpaidState:
    match state:
        case "failed" | "expired" | "canceled":
            return state
        case _:
            raise IntegrityFault("An open top-up has no checkout.")


def _ask(gateway: Gateway, stored: StoredTopup, *, close: bool) -> PaymentSnapshot:
    ref = PaymentRef(topup_id=stored.topup.id, checkout_id=stored.checkout_id or "")
    payment = gateway.fetch_payment(ref)
    if close and payment.state == "open":
        return gateway.cancel(ref)
    return payment


def _expected(context: Context, gateway: Gateway, stored: StoredTopup) -> Expected:
    return Expected(
        topup_id=stored.topup.id,
        checkout_id=stored.checkout_id or "",
        mode=context.mode,
        account=gateway.account,
        total=stored.topup.total,
    )


def _apply(context: Context, topup: Topup, payment: PaymentSnapshot, verdict: Verdict) -> Settled:
    match verdict.kind:
        case "credit":
            return _credit_or_park(context, topup, payment)
        case "review":
            return _review(context, topup, payment, verdict.reason)
        case "mismatch":
            return _refuse(context, topup, verdict.reason)
        case "wait":
            return _unpaid(context, topup, "pending")
        case "processing":
            return _unpaid(context, topup, "processing")
        case ended:
            return _unpaid(context, topup, ended, failure=verdict.reason[:32])


def _credit_or_park(context: Context, topup: Topup, payment: PaymentSnapshot) -> Settled:
    try:
        return _once(context, topup, payment, post=lambda: _credit(context, topup, payment), outcome="credited")
    except AmountOutOfRange:
        # Captured money is never refused: what a wallet cannot hold waits for an operator.
        return _review(context, topup, payment, "balance-full")


def _review(context: Context, topup: Topup, payment: PaymentSnapshot, reason: str) -> Settled:
    return _once(context, topup, payment, post=lambda: _park(context, topup, payment, reason), outcome="review")


def _once(
    context: Context,
    topup: Topup,
    payment: PaymentSnapshot,
    *,
    post: Callable[[], bool],
    outcome: SettlementOutcome,
) -> Settled:
    """Post a payment unless it was posted, by this top-up or, which is an attack, by another."""
    try:
        posted = post()
    except Duplicate:
        owner = _owner(context, topup.gateway, payment)
        if owner is None:
            raise IntegrityFault("Settling met a key that only a settled top-up can have.") from None
        if owner != topup.id:
            return _refuse(context, topup, "payment-of-another-topup")
        posted = False
    after = load(context, topup.id).topup
    return Settled(after, outcome if posted else "duplicate")


def _owner(context: Context, gateway: str, payment: PaymentSnapshot) -> str | None:
    payment_id = payment.payment_id or ""
    return context.database.read(lambda tx: topups.payment_owner(tx, gateway, payment_id))


def _credit(context: Context, topup: Topup, payment: PaymentSnapshot) -> bool:
    currency, now = topup.total.currency, context.now()
    accounts.ensure_wallet(context.database, topup.customer, currency, now)
    system = _accounts(context, topup, currency)
    series, stored = documents.open_series(context), load(context, topup.id)
    invoice_id = context.ids.new("inv")

    def work(tx: Tx) -> bool:
        if not topups.step(
            tx, topup.id, "credited", failure="", settled_at=now, next_poll_at=None, invoice_id=invoice_id
        ):
            return False
        topups.add_payment(tx, topup, payment, posted_as="credited", now=now)
        credits = _credits(context, topup, payment)
        balance = wallets.post_credits(tx, context, topup.customer, credits=credits, system=system)
        _tell_credited(tx, context, topup, Money(balance, currency))
        customer = customers.get(tx, topup.customer)
        profile = customer_rows.profile_version(tx, topup.customer, stored.profile_version)
        # The number last: its counter row is locked until the commit.
        documents.issue(
            tx,
            context,
            topup,
            customer=customer,
            profile=profile,
            series=series,
            invoice_id=invoice_id,
            payment_id=payment.payment_id or "",
        )
        return True

    return context.database.write(work)


def _accounts(context: Context, topup: Topup, currency: str) -> wallets.Accounts:
    refs: Sequence[AccountRef] = (clearing(topup.gateway), PROMOTION, TAX_PAYABLE)
    return wallets.credit_accounts(context, refs, currency, expires=False)


def _credits(context: Context, topup: Topup, payment: PaymentSnapshot) -> list[wallets.Credit]:
    bought = topup_lines(topup.gateway, net=topup.net.units, discount=topup.discount.units, tax=topup.tax.total.units)
    credits = [
        wallets.Credit(
            currency=topup.credit.currency,
            header=_header(context, topup, "topup"),
            label=Label(description=f"Top-up, {context.gateway(topup.gateway).label}"),
            lines=bought,
            grant=wallets.GrantSpec(
                kind="paid",
                size=topup.credit.units,
                source_topup=topup.id,
                cost_net_minor=topup.net.minor,
                cost_tax_minor=topup.tax.total.minor,
            ),
        )
    ]
    if topup.bonus:
        grant = wallets.GrantSpec(kind="promotional", size=topup.bonus.units, source_topup=topup.id)
        credits.append(
            wallets.Credit(
                currency=topup.credit.currency,
                header=_header(context, topup, "bonus"),
                label=Label(description="Bonus credit"),
                lines=bonus_lines(topup.bonus.units),
                grant=grant,
            )
        )
    return credits


def _header(context: Context, topup: Topup, kind: Literal["topup", "bonus"], *, parked: bool = False) -> Header:
    now = context.now()
    operation = keys.suspended(kind) if parked else kind
    identity = keys.settlement(context.database.book_id, operation, customer=topup.customer, topup_id=topup.id)
    return Header(
        transaction_id=context.ids.new("txn"),
        kind=kind,
        cause_type="topup",
        cause_id=topup.id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=f"gateway:{topup.gateway}",
        effective_at=now,
        posted_at=now,
    )


def _tell_credited(tx: Tx, context: Context, topup: Topup, balance: Money) -> None:
    outbox.emit(
        tx,
        context,
        "topup-credited",
        about=topup.id,
        customer=topup.customer,
        amount=topup.credit + topup.bonus,
        topup=topup.id,
        gateway=topup.gateway,
        balance_after=str(balance),
    )


def _park(context: Context, topup: Topup, payment: PaymentSnapshot, reason: str) -> bool:
    captured, now = payment.captured or topup.total, context.now()
    refs = (clearing(topup.gateway), SUSPENSE)
    system = accounts.system_accounts(context.database, refs, captured.currency, now)

    def work(tx: Tx) -> bool:
        if not topups.step(tx, topup.id, "review", failure=reason, settled_at=now, next_poll_at=None):
            return False
        topups.add_payment(tx, topup, payment, posted_as="suspense", now=now)
        lines = suspense_lines(topup.gateway, captured.units)
        header = _header(context, topup, "topup", parked=True)
        wallets.post_system(tx, header, lines, currency=captured.currency, system=system)
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
        audit.security(tx, context, gateway=topup.gateway, reason=reason, target=topup.id, about=f"{topup.id}/{reason}")
        return True

    return context.database.write(work)


def _refuse(context: Context, topup: Topup, reason: str) -> Settled:
    log.warning("top-up %s: payment refused, %s", topup.id, reason)
    about = f"{topup.id}/{reason}"

    def work(tx: Tx) -> None:
        topups.mark(tx, topup.id, reason)
        audit.security(tx, context, gateway=topup.gateway, reason=reason, target=topup.id, about=about)

    with suppress(Duplicate):  # told before
        context.database.write(work)
    return Settled(load(context, topup.id).topup, "mismatch")


def _unpaid(context: Context, topup: Topup, state: UnpaidState, *, failure: str = "") -> Settled:
    final = state in ("failed", "expired", "canceled")
    outcome: SettlementOutcome = "pending" if state == "processing" else state

    def work(tx: Tx) -> None:
        stepped = topup.state != state and topups.step(tx, topup.id, state, failure=failure)
        if final:
            topups.stop_looking(tx, topup.id)
        if stepped and final:
            outbox.emit(
                tx,
                context,
                "topup-failed",
                about=f"{topup.id}/{state}",
                customer=topup.customer,
                amount=topup.total,
                topup=topup.id,
                reason=failure,
            )

    with suppress(Duplicate):  # told by another worker at the same moment
        context.database.write(work)
    return Settled(load(context, topup.id).topup, outcome)


def next_look(stored: StoredTopup) -> timedelta:
    """Give the wait until a job looks at an open top-up again: soon at first, then hourly, then daily."""
    if stored.polls < len(_LOOKS):
        return _LOOKS[stored.polls]
    return timedelta(hours=1) if stored.polls < len(_LOOKS) + _HOURLY_LOOKS else timedelta(days=1)
