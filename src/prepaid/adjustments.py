"""What an operator does by hand: give credit, allow an overdraft, ask a gateway again."""

from __future__ import annotations

from typing import Final

from . import audit, customers, settlement, wallets
from .config import Context, object_id
from .core.errors import AmountOutOfRange, InvalidAmount, InvalidRequest, KeyConflict
from .core.grants import GrantKind
from .core.hashing import fingerprint, key_hash
from .core.ids import check_key
from .core.money import MAX_UNITS, Money, require_positive
from .core.topups import Topup
from .core.transfers import GOODWILL, PROMOTION, AccountRef, Line, bonus_lines, goodwill_lines
from .store import Duplicate, Tx, accounts
from .store.ledger import Header, Label

MAX_OVERDRAFT: Final = MAX_UNITS // 4

_SOURCES: dict[str, tuple[GrantKind, AccountRef]] = {
    "goodwill": ("goodwill", GOODWILL),
    "promotional": ("promotional", PROMOTION),
}


def grant(context: Context, customer_id: str, amount: Money, *, kind: str, reason: str, key: str, actor: str) -> str:
    """Give credit and name the transaction; the same key again gives the same one.

    Args:
        context: The billing system.
        customer_id: Who gets it.
        amount: How much, above zero.
        kind: ``"goodwill"`` or ``"promotional"``.
        reason: Why; the customer reads it.
        key: The caller's key.
        actor: The operator.

    Raises:
        InvalidRequest: Another kind, no reason, a key of the wrong form.
        InvalidAmount: Not money above zero.
        KeyConflict: The key gave something else.
        NotFound: The customer is not registered.
    """
    if not isinstance(kind, str) or kind not in _SOURCES:
        raise InvalidRequest(f"kind is one of {', '.join(_SOURCES)}.", field="kind")
    customer = customers.require(context, customer_id)
    units, currency = require_positive(amount).units, context.currency_or_default(amount.currency)
    header = _header(context, customer.id, amount, kind=kind, key=check_key(key), actor=actor)
    grant_kind, source = _SOURCES[kind]
    credit = wallets.Credit(
        currency=currency,
        header=header,
        label=Label(description=audit.check_reason(reason)[:200]),
        lines=_lines(kind, units),
        grant=wallets.GrantSpec(kind=grant_kind, size=units),
    )
    accounts.ensure_wallet(context.database, customer.id, currency, context.now())
    system = accounts.system_accounts(context.database, (source,), currency, context.now())

    def work(tx: Tx) -> str:
        wallets.post_credits(tx, context, customer.id, credits=[credit], system=system)
        after = {"amount": str(amount), "kind": kind, "transaction": header.transaction_id}
        audit.record(tx, context, actor=actor, action="grant", target=customer.id, reason=reason, after=after)
        return header.transaction_id

    try:
        return context.database.write(work)
    except Duplicate:
        replayed = context.database.write(lambda tx: wallets.replay(tx, context, header))
        if not isinstance(replayed, wallets.Replayed):
            raise KeyConflict("This key gave other credit.", field="key") from None
        return replayed.transaction_id


def _lines(kind: str, units: int) -> tuple[Line, ...]:
    return goodwill_lines(units) if kind == "goodwill" else bonus_lines(units)


def _header(context: Context, customer: str, amount: Money, *, kind: str, key: str, actor: str) -> Header:
    now = context.now()
    return Header(
        transaction_id=context.ids.new("txn"),
        kind="goodwill" if kind == "goodwill" else "bonus",
        cause_type="operator",
        cause_id=key,
        key_hash=key_hash(context.database.book_id, "grant", customer, key),
        fingerprint=fingerprint("grant", str(amount), kind),
        actor=actor,
        effective_at=now,
        posted_at=now,
    )


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
        wallet = accounts.find_wallet(tx, customer.id, currency)
        if wallet is None or wallet.floor == -amount.units:
            return
        accounts.set_floor(tx, wallet.id, -amount.units)
        before, after = {"overdraft": str(Money(-wallet.floor, currency))}, {"overdraft": str(amount)}
        audit.record(
            tx, context, actor=actor, action="overdraft", target=customer.id, reason=why, before=before, after=after
        )

    context.database.write(work)


def recheck(context: Context, topup_id: str, *, actor: str) -> Topup:
    """Ask the gateway about a top-up again and settle it.

    Raises:
        NotFound: There is none of that id.
        GatewayError: The gateway cannot be asked.
    """
    wanted = settlement.load(context, object_id(topup_id, field="topup")).topup.id
    context.database.write(lambda tx: audit.record(tx, context, actor=actor, action="recheck", target=wanted))
    return settlement.settle(context, wanted).topup
