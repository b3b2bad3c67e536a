"""What an operator does by hand: give credit, void it, allow an overdraft, freeze, ask a gateway again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import frozen

from . import audit, customers, wallets
from .config import Context, object_id
from .core import keys
from .core.errors import (
    AmountOutOfRange,
    InsufficientCredit,
    IntegrityFault,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    NotFound,
    WrongState,
)
from .core.grants import NEVER, CreditGrant, GrantKind, check_priority
from .core.ids import check_key, check_text
from .core.instants import check_instant, to_micros
from .core.money import MAX_UNITS, Money, require_positive
from .core.transfers import (
    GOODWILL,
    MIGRATION,
    PROMOTION,
    AccountRef,
    TransactionKind,
    external,
    given_lines,
    void_lines,
)
from .store import Duplicate, Tx, accounts, grants, ledger
from .store import customers as customer_rows
from .store.grants import StoredGrant
from .store.ledger import Header, Label
from .wallets import due, levels
from .wallets.chain import Chain

MAX_OVERDRAFT: Final = MAX_UNITS // 4


@frozen
class _Source:
    """Where credit that nobody bought comes from, and what its transaction is called."""

    kind: GrantKind
    transaction: TransactionKind
    account: AccountRef


_SOURCES: Final = {
    "goodwill": _Source("goodwill", "goodwill", GOODWILL),
    "promotional": _Source("promotional", "bonus", PROMOTION),
    "migrated": _Source("migrated", "migration", MIGRATION),
}


def _source(kind: object, system: str) -> _Source:
    if kind == "external":
        return _Source("external", "external", external(check_text(system, field="system", longest=32, empty=False)))
    if not isinstance(kind, str) or kind not in _SOURCES:
        raise InvalidRequest(f"kind is one of {', '.join(_SOURCES)}, external.", field="kind")
    if system:
        raise InvalidRequest("Only external credit names a system.", field="system")
    return _SOURCES[kind]


def grant(
    context: Context,
    customer_id: str,
    amount: Money,
    *,
    kind: str,
    reason: str,
    key: str,
    actor: str,
    system: str = "",
    priority: int | None = None,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Give credit and name the transaction; the same key again gives the same one.

    Args:
        context: The billing system.
        customer_id: Who gets it.
        amount: How much, above zero.
        kind: ``"goodwill"``, ``"promotional"``, ``"migrated"`` or ``"external"``.
        reason: Why; the customer reads it.
        key: The caller's key.
        actor: The operator.
        system: The outside system that funds external credit.
        priority: Burn priority; that of its kind if None.
        effective_at: From when it can be spent; now if None. Nothing is posted before.
        expires_at: When the rest of it lapses; never if None.

    Raises:
        InvalidRequest: Another kind, no reason, a key of the wrong form, dates
            in the past or in the wrong order.
        InvalidAmount: Not money above zero.
        KeyConflict: The key gave something else.
        NotFound: The customer is not registered.
    """
    source = _source(kind, system)
    customer = customers.require(context, customer_id)
    units, currency = require_positive(amount).units, context.currency_or_default(amount.currency)
    now = context.now()
    begins = now if effective_at is None else check_instant(effective_at, field="effective_at")
    lapses = NEVER if expires_at is None else check_instant(expires_at, field="expires_at")
    given = _terms(
        kind,
        source.account,
        effective_at="" if effective_at is None else str(to_micros(begins)),
        expires_at="" if expires_at is None else str(to_micros(lapses)),
        priority="" if priority is None else str(check_priority(priority)),
    )
    book, checked = context.database.book_id, check_key(key)
    identity = keys.given(book, customer=customer.id, key=checked, amount=str(amount), terms=given)
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind=source.transaction,
        cause_type="operator",
        cause_id=checked,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=actor,
        effective_at=begins,
        posted_at=now,
    )
    refusal = _refused_dates(now, begins, lapses)
    if refusal is not None:
        return _first_answer(context, header, unknown=refusal)
    credit = wallets.Credit(
        currency=currency,
        header=header,
        label=Label(description=audit.check_reason(reason)[:200]),
        lines=given_lines(source.account, units),
        grant=wallets.GrantSpec(
            kind=source.kind,
            size=units,
            expires_at=lapses,
            priority=priority,
            key_hash=header.key_hash,
            given=given,
        ),
    )
    accounts.ensure_wallet(context.database, customer.id, currency, context.now())
    opened = wallets.credit_accounts(context, (source.account,), currency, expires=expires_at is not None)

    def work(tx: Tx) -> str:
        if begins > context.now():
            wallets.post_later(tx, context, customer.id, credit=credit)
        else:
            wallets.post_credits(tx, context, customer.id, credits=[credit], system=opened)
        after = {"amount": str(amount), "kind": kind, "transaction": header.transaction_id}
        audit.of_customer(tx, context, customer.id, actor=actor, action="grant", reason=reason, after=after)
        return header.transaction_id

    return _once(context, header, work)


def _terms(kind: str, source: AccountRef, **given: str) -> dict[str, str]:
    """Give the terms of credit as its key stands for them; what was not named is empty."""
    return {"kind_given": kind, "source": source.kind, "source_owner": source.owner, **given}


def _refused_dates(now: datetime, begins: datetime, lapses: datetime) -> InvalidRequest | None:
    if begins < now:
        return InvalidRequest("effective_at lies in the past.", field="effective_at")
    if lapses <= begins:
        return InvalidRequest("expires_at is in the future, and after effective_at.", field="expires_at")
    return None


def _once(context: Context, header: Header, work: Callable[[Tx], str]) -> str:
    """Run ``work`` unless its key was used; then give the first answer."""
    try:
        return context.database.write(work)
    except Duplicate:
        return _first_answer(context, header, unknown=IntegrityFault("A key that exists gave no credit."))


def _first_answer(context: Context, header: Header, *, unknown: Exception) -> str:
    """Give the first answer of a key, also after the dates that it gave have passed; raise ``unknown`` without one."""

    def work(tx: Tx) -> str:
        replayed = wallets.replay(tx, context, header)
        if isinstance(replayed, wallets.Replayed):
            return replayed.transaction_id
        waiting = grants.find_by_key(tx, header.key_hash)
        if replayed is None and waiting is None:
            raise unknown
        posting = {} if waiting is None or waiting.posting is None else waiting.posting
        if replayed is not None or waiting is None or posting.get("fingerprint") != header.fingerprint:
            raise KeyConflict("This key gave other credit.", field="key")
        ledger.mark_replayed(tx, waiting.wallet_id, context.now())
        return str(posting["transaction_id"])

    return context.database.write(work)


def void_grant(context: Context, grant_id: str, *, reason: str, actor: str) -> str | None:
    """Take back what is left of credit that was given, and name the transaction; again changes nothing.

    Again takes back what a reversal brought back to it meanwhile. None if the credit
    had not begun, so that nothing was posted.

    Raises:
        InvalidRequest: No reason.
        NotFound: There is no such grant.
        WrongState: The credit was paid for (refund it), or nothing of it is left.
        InsufficientCredit: Holds reserve it.
    """
    wanted, why = object_id(grant_id, field="grant"), audit.check_reason(reason)
    identity = keys.void(context.database.book_id, wanted)
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="adjustment",
        cause_type="grant",
        cause_id=wanted,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=actor,
        effective_at=context.now(),
        posted_at=context.now(),
    )

    def work(tx: Tx) -> str | None:
        found = grants.find(tx, wanted)
        if found is None:
            raise NotFound("There is no such grant.", field="grant")
        if found.kind == "paid":
            raise WrongState("Credit that was paid for is refunded, not voided.", field="grant")
        return _void(tx, context, header, found, reason=why)

    return context.database.write(work)


def _void(tx: Tx, context: Context, header: Header, found: StoredGrant, *, reason: str) -> str | None:
    held = accounts.hold_wallet_by_id(tx, found.wallet_id)
    wallet = None if held is None else due.swept(tx, context, held)
    left = grants.hold(tx, found.id)
    if wallet is None or left is None:
        raise IntegrityFault("A grant lost its wallet.")
    # Only now: whoever takes it back at the same moment has finished.
    replayed = wallets.replay(tx, context, header)
    if isinstance(replayed, wallets.Replayed):
        if left.open != grants.OPEN:
            return replayed.transaction_id
        again = keys.void(tx.book_id, found.id, seq=wallet.seq + 1)
        header = header._replace(key_hash=again.key_hash)
    before = {"left": str(Money(left.remaining, wallet.currency)), "kind": left.kind}
    if left.open == grants.WAITING:
        grants.lower(tx, left.id, 0)
    elif left.open == grants.OPEN:
        _take_back(tx, context, header, left, wallet=wallet, reason=reason)
    elif left.posting is not None and ledger.find_posted(tx, left.key_hash or "") is None:
        return None  # voided before it began
    else:
        raise WrongState("Nothing is left of this credit.", field="grant")
    audit.record(
        tx,
        context,
        actor=header.actor,
        action="void-grant",
        target=found.id,
        customer=wallet.owner,
        reason=reason,
        before=before,
    )
    return header.transaction_id if left.open == grants.OPEN else None


def _take_back(
    tx: Tx, context: Context, header: Header, left: StoredGrant, *, wallet: accounts.Wallet, reason: str
) -> None:
    if wallet.available < left.remaining:
        raise InsufficientCredit("Holds reserve this credit.", available=Money(wallet.available, wallet.currency))
    # A grant that no key gave came with a top-up, as its bonus.
    source = PROMOTION if left.key_hash is None else grants.origin(tx, left.key_hash)
    ledger.take(tx, wallet.id, left.remaining)
    grants.lower(tx, left.id, 0, gone=left.remaining)
    after = accounts.hold_wallet_by_id(tx, wallet.id) or wallet
    system = {source: accounts.account_id(tx, source, wallet.currency) or 0}
    rows = Chain(after, system, before=wallet.balance, rows=1).rows(void_lines(source, left.remaining), [left.id])
    ledger.add_transfers(tx, header, Label(description=reason[:200]), currency=wallet.currency, rows=rows)
    levels.after_debit(tx, context, after, about=header.transaction_id)


def grants_of(context: Context, customer_id: str, *, all: bool = False) -> tuple[CreditGrant, ...]:
    """List a customer's credit in the order in which it burns; what is used up only if ``all`` is wanted.

    Raises:
        NotFound: The customer is not registered.
    """
    customer = customers.require(context, customer_id)
    now = context.now()
    return context.database.read(lambda tx: wallets.grants_of(tx, customer.id, all=all, now=now))


def overdraft(context: Context, customer_id: str, amount: Money, *, reason: str, actor: str) -> None:
    """Let a customer's wallet go below zero by ``amount``; zero takes it back.

    Raises:
        InvalidAmount: Not money of zero or more.
        AmountOutOfRange: More than a quarter of what 64 bits hold.
        InvalidRequest: No reason, or a currency not in use.
        NotFound: The customer is not registered.
    """
    if not isinstance(amount, Money) or amount.units < 0:
        raise InvalidAmount("amount is Money of zero or more.", field="amount")
    if amount.units > MAX_OVERDRAFT:
        raise AmountOutOfRange("The overdraft is larger than the ledger can add to a balance.", field="amount")
    customer = customers.require(context, customer_id)
    currency, why = context.currency_or_default(amount.currency), audit.check_reason(reason)
    accounts.ensure_wallet(context.database, customer.id, currency, context.now())

    def work(tx: Tx) -> None:
        wallet = accounts.hold_wallet(tx, customer.id, currency)
        if wallet is None or wallet.floor == -amount.units:
            return
        accounts.set_floor(tx, wallet.id, -amount.units)
        before, after = {"overdraft": str(Money(-wallet.floor, currency))}, {"overdraft": str(amount)}
        audit.of_customer(
            tx, context, customer.id, actor=actor, action="overdraft", reason=why, before=before, after=after
        )

    context.database.write(work)


def freeze(context: Context, customer_id: str, *, frozen: bool, reason: str, actor: str) -> None:
    """Freeze a customer, or end it; a second time changes nothing.

    A freeze refuses the start of a top-up, a hold and `may_start`; settlement,
    charges, meters and expiry go on.

    Raises:
        InvalidRequest: No reason.
        NotFound: The customer is not registered.
    """
    customer, why = customers.require(context, customer_id), audit.check_reason(reason)

    def work(tx: Tx) -> None:
        if customer_rows.set_frozen(tx, customer.id, context.now() if frozen else None):
            action = "freeze" if frozen else "unfreeze"
            audit.of_customer(tx, context, customer.id, actor=actor, action=action, reason=why)

    context.database.write(work)
