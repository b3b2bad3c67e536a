"""Reversals: usage given back, in whole or in part, to the credit it came from."""

from __future__ import annotations

from datetime import datetime

from .. import wallets
from ..config import Context, object_id
from ..core.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    IntegrityFault,
    InvalidRequest,
    KeyConflict,
    NotFound,
    WrongState,
)
from ..core.ids import check_key, check_text
from ..core.instants import check_instant
from ..core.keys import reversal
from ..core.money import Money, require_positive
from ..core.reversals import ChargedPart, Returned, give_back, take_back
from ..core.transfers import reversal_lines
from ..core.usage import ChargeOutcome
from ..store import Duplicate, Tx, accounts, grants, ledger
from ..store.accounts import Wallet
from ..store.ledger import Header, PostedCharge
from ..wallets import due, levels, posting
from ..wallets.chain import Chain

REVERSIBLE = ("charge", "adjustment")
USED = ("usage", "meter", "hold")
"""Causes of usage; an adjustment may also take back credit, which was never revenue."""


def reverse(
    context: Context,
    transaction_id: str,
    amount: Money | None = None,
    *,
    key: str,
    reason: str,
    expires_at: datetime | None = None,
) -> ChargeOutcome:
    """Give a charge back, all of what is left of it or an amount; the same key again changes nothing.

    Credit goes back to the grants it came from, the last burned first. What was
    charged below zero lowers the debt that is left, then goes to the credit that
    paid it meanwhile. Credit of an expired grant comes back and expires at once,
    unless it is given a new expiry. It counts in the charge's original period.

    Args:
        context: The billing system.
        transaction_id: The charge, ``txn_…``.
        amount: How much; all that was not given back before if None.
        key: The caller's key.
        reason: Why; the customer reads it.
        expires_at: New expiry for credit of grants that have expired.

    Raises:
        NotFound: There is no such charge.
        WrongState: The transaction is no charge, or all of it was given back.
        AmountOutOfRange: More than is left of it.
        CurrencyMismatch: Another currency than the charge's.
        KeyConflict: The key was used with other content.
        InvalidRequest: A key or reason of the wrong form, an expiry in the past.
    """
    wanted = object_id(transaction_id, field="transaction")
    check_key(key)
    check_text(reason, field="reason", longest=200, empty=False)
    if amount is not None:
        require_positive(amount)
    passed = expires_at is not None and check_instant(expires_at, field="expires_at") <= context.now()
    found = context.database.read(lambda tx: ledger.find_charge(tx, wanted))
    charge = _reversible(found, amount)
    header = _header(context, charge, "" if amount is None else str(amount), key=key)
    if passed:  # a key that was used gives its first answer whatever the time is now
        return context.database.write(lambda tx: _known(tx, context, charge, header))
    system = wallets.credit_accounts(
        context, tuple(line.debit for line in reversal_lines((1,))), charge.currency, expires=True
    )

    def work(tx: Tx) -> ChargeOutcome:
        return _reverse(
            tx, context, charge, header=header, amount=amount, reason=reason, expiry=expires_at, system=system
        )

    try:
        return due.write(context, charge.owner, charge.currency, work)
    except Duplicate:
        return context.database.write(lambda tx: _again(tx, context, charge, header))


def _reversible(charge: PostedCharge | None, amount: Money | None) -> PostedCharge:
    if charge is None:
        raise NotFound("There is no such charge.", field="transaction")
    if charge.kind not in REVERSIBLE or charge.cause_type not in USED:
        raise WrongState("Only charges are given back.", field="transaction")
    if amount is not None and amount.currency != charge.currency:
        raise CurrencyMismatch(f"The charge is in {charge.currency}.", field="amount")
    return charge


def _header(context: Context, charge: PostedCharge, amount: str, *, key: str) -> Header:
    identity = reversal(
        context.database.book_id,
        customer=charge.owner,
        key=key,
        transaction_id=charge.transaction_id,
        amount=amount,
    )
    return Header(
        transaction_id=context.ids.new("txn"),
        kind="reversal",
        cause_type="reversal",
        cause_id=key,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor="host",
        effective_at=charge.effective_at,
        posted_at=context.now(),
        reverses=charge.transaction_id,
    )


def _reverse(
    tx: Tx,
    context: Context,
    charge: PostedCharge,
    *,
    header: Header,
    amount: Money | None,
    reason: str,
    expiry: datetime | None,
    system: wallets.Accounts,
) -> ChargeOutcome:
    held = accounts.hold_wallet_by_id(tx, charge.wallet_id)
    if held is None:
        raise IntegrityFault("A charge was posted without a wallet.")
    if ledger.find_posted(tx, header.key_hash) is not None:
        return _again(tx, context, charge, header)
    wallet = due.swept(tx, context, held)
    parts = _left(tx, charge)
    units = sum(part.amount for part in parts) if amount is None else amount.units
    _check_left(units, parts, charge)
    plan = give_back(take_back(parts, units), balance=wallet.balance, debtors=grants.debtors(tx, wallet.id))
    after = _post(tx, wallet, charge, header=header, reason=reason, plan=plan, system=system)
    if expiry is not None:
        _extend(tx, plan, expiry, now=context.now())
    # What came back to expired grants is gone again: only what stays makes a wallet recover.
    levels.after_credit(tx, context, _lapse(tx, context, after), about=header.transaction_id)
    balance = Money(wallet.balance + units, charge.currency)
    return ChargeOutcome(
        status="posted", transaction_id=header.transaction_id, balance_after=balance, key=header.cause_id
    )


def _left(tx: Tx, charge: PostedCharge) -> tuple[ChargedPart, ...]:
    """Give what is left of a charge, in burn order, with the priorities of the grants it came from."""
    given = ledger.given_back(tx, charge.transaction_id)
    facts = grants.facts(tx, [part.grant_id for part in charge.parts if part.grant_id is not None])
    return tuple(
        ChargedPart(
            part.grant_id,
            part.amount - given.get(part.grant_id, 0),
            priority=0 if part.grant_id is None else facts[part.grant_id][0],
        )
        for part in charge.parts
    )


def _check_left(units: int, parts: tuple[ChargedPart, ...], charge: PostedCharge) -> None:
    left = sum(part.amount for part in parts)
    if not left:
        raise WrongState("All of this charge was given back.", field="transaction")
    if units > left:
        money = Money(left, charge.currency)
        raise AmountOutOfRange(f"Of this charge {money} is left.", field="amount", left=str(money))


def _post(
    tx: Tx,
    wallet: Wallet,
    charge: PostedCharge,
    *,
    header: Header,
    reason: str,
    plan: tuple[Returned, ...],
    system: wallets.Accounts,
) -> Wallet:
    total = sum(returned.amount for returned in plan)
    if not ledger.credit(tx, wallet.id, total, rows=len(plan)):
        raise AmountOutOfRange("The balance would be larger than the ledger can hold.", field="amount")
    after = accounts.hold_wallet_by_id(tx, wallet.id) or wallet
    grants.change(tx, [change for returned in plan for change in returned.changes])
    lines = reversal_lines(tuple(returned.amount for returned in plan))
    chain = Chain(after, system, before=wallet.balance, rows=len(plan))
    label = charge.label._replace(description=reason)
    rows = chain.rows(lines, [returned.grant for returned in plan])
    ledger.add_transfers(tx, header, label, currency=charge.currency, rows=rows)
    return after


def _extend(tx: Tx, plan: tuple[Returned, ...], expiry: datetime, *, now: datetime) -> None:
    """Give the grants that had expired, and have credit again, a new expiry."""
    touched = [change.grant for returned in plan for change in returned.changes]
    expired = [grant_id for grant_id, (_, at) in grants.facts(tx, touched).items() if at <= now]
    grants.set_expiry(tx, expired, expiry, notice_at=posting.notice_at(expiry))


def _lapse(tx: Tx, context: Context, wallet: Wallet) -> Wallet:
    """Expire at once what came back to grants that have expired, and know when the next one does."""
    return due.sweep(tx, context, accounts.hold_wallet_by_id(tx, wallet.id) or wallet)


def _known(tx: Tx, context: Context, charge: PostedCharge, header: Header) -> ChargeOutcome:
    if ledger.find_posted(tx, header.key_hash) is None:
        raise InvalidRequest("expires_at lies in the past.", field="expires_at")
    return _again(tx, context, charge, header)


def _again(tx: Tx, context: Context, charge: PostedCharge, header: Header) -> ChargeOutcome:
    match wallets.replay(tx, context, header):
        case wallets.Replayed(transaction_id, after):
            balance = Money(after, charge.currency)
            return ChargeOutcome(
                status="duplicate", transaction_id=transaction_id, balance_after=balance, key=header.cause_id
            )
        case _:
            raise KeyConflict("This key gave something else back.", field="key")
