"""What is due on a wallet: lapsed holds, grants that begin, grants that lapse; in this order, before anything else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from attrs import evolve

from ..config import Context
from ..core.errors import AmountOutOfRange, IntegrityFault, RequestRefused, TransactionAborted
from ..core.grants import Burn, lapsing, pay_debt
from ..core.keys import expiry
from ..core.transfers import BREAKAGE, AccountRef, expiry_lines, given_lines
from ..store import Tx, accounts, grants, holds, ledger
from ..store.accounts import Wallet
from ..store.grants import StoredGrant
from ..store.ledger import Header, Label
from . import freed, levels
from .chain import Chain

T = TypeVar("T")


def hold_swept(tx: Tx, context: Context, customer: str, *, currency: str, now: datetime | None = None) -> Wallet | None:
    """Hold a customer's wallet with nothing due on it; None if there is none."""
    wallet = accounts.hold_wallet(tx, customer, currency)
    return None if wallet is None else swept(tx, context, wallet, now=now)


def write(context: Context, customer: str, currency: str, work: Callable[[Tx], T]) -> T:
    """Run ``work`` in a transaction; if it refuses, what is due on the wallet is dealt with all the same.

    The refusal rolled it back, and everybody who asks next would do it again.
    """
    try:
        return context.database.write(work)
    except RequestRefused:
        with suppress(RequestRefused, TransactionAborted):  # who asked hears why it was refused, and nothing else
            context.database.write(lambda tx: hold_swept(tx, context, customer, currency=currency))
        raise


def swept(tx: Tx, context: Context, wallet: Wallet, *, now: datetime | None = None) -> Wallet:
    """Deal with what is due on a held wallet, if anything is, and give the wallet after it."""
    by = context.now() if now is None else now
    return sweep(tx, context, wallet, now=by) if wallet.next_due_at <= by else wallet


def sweep(tx: Tx, context: Context, wallet: Wallet, *, now: datetime | None = None) -> Wallet:
    """Release lapsed holds, post grants that have become effective, expire grants down to what holds keep.

    Args:
        tx: The transaction that holds the wallet.
        context: The billing system.
        wallet: The wallet as it is.
        now: What is due by then; by now if None.
    """
    now, before = context.now() if now is None else now, wallet
    lapsed = [each for each in holds.lapsed(tx, wallet.id, now) if holds.close(tx, each[0], state="expired", now=now)]
    for _, amount in lapsed:
        wallet = _after(wallet, 0, unhold=amount)
        _must(ledger.take(tx, wallet.id, 0, rows=0, unhold=amount))
    if lapsed:
        freed.tell(tx, context, wallet.owner, about=lapsed[0][0])
    for grant in grants.begun(tx, wallet.id, now):
        wallet = _begin(tx, context, wallet, grant)
    for part, open_grant in _lapsing(tx, wallet, now):
        wallet = _expire(tx, context, wallet, part=part, remaining=open_grant)
    due_at = min(grants.next_instant(tx, wallet.id, now), holds.next_expiry(tx, wallet.id))
    ledger.set_due(tx, wallet.id, due_at)
    if wallet.balance != before.balance:
        levels.after_credit(tx, context, wallet, about=f"due/{wallet.id}/{wallet.seq}")
        wallet = accounts.hold_wallet_by_id(tx, wallet.id) or wallet
    return evolve(wallet, next_due_at=due_at)


def _must(done: bool) -> None:
    if not done:
        raise IntegrityFault("A wallet holds less than its holds reserve.")


def _after(wallet: Wallet, amount: int, *, rows: int = 0, unhold: int = 0) -> Wallet:
    return evolve(wallet, balance=wallet.balance + amount, seq=wallet.seq + rows, held=wallet.held - unhold)


def _begin(tx: Tx, context: Context, wallet: Wallet, grant: StoredGrant) -> Wallet:
    """Post a grant whose time has come, with the key and words it was made with."""
    posting = grant.posting or {}
    source = AccountRef(posting["source"], posting["source_owner"])
    if not ledger.credit(tx, wallet.id, grant.size, rows=1):
        raise AmountOutOfRange("The balance would be larger than the ledger can hold.", field="amount")
    [paid] = pay_debt(wallet.balance, grant.size)
    grants.begin(tx, grant, debt_paid=paid)
    after = _after(wallet, grant.size, rows=1)
    header = Header(
        transaction_id=posting["transaction_id"],
        kind=posting["kind"],
        cause_type=posting["cause_type"],
        cause_id=posting["cause_id"],
        key_hash=grant.key_hash or "",
        fingerprint=posting["fingerprint"],
        actor=posting["actor"],
        effective_at=grant.effective_at,
        posted_at=context.now(),
    )
    system = {source: _account(tx, source, wallet.currency)}
    rows = Chain(after, system, before=wallet.balance, rows=1).rows(given_lines(source, grant.size), [grant.id])
    ledger.add_transfers(tx, header, Label(description=posting["description"]), currency=wallet.currency, rows=rows)
    return after


def _lapsing(tx: Tx, wallet: Wallet, now: datetime) -> list[tuple[Burn, int]]:
    lapsed = grants.lapsed(tx, wallet.id, now)
    remaining = {grant.id: grant.remaining for grant in lapsed}
    return [(part, remaining[part.grant or ""]) for part in lapsing(wallet.balance - wallet.held, lapsed)]


def _expire(tx: Tx, context: Context, wallet: Wallet, *, part: Burn, remaining: int) -> Wallet:
    """Post what of a grant lapses; a grant may lapse again after credit came back to it."""
    grant_id, now = part.grant or "", context.now()
    _must(ledger.take(tx, wallet.id, part.amount))
    after = _after(wallet, -part.amount, rows=1)
    grants.lower(tx, grant_id, remaining - part.amount, gone=part.amount)
    identity = expiry(tx.book_id, customer=wallet.owner, grant_id=grant_id, seq=after.seq, units=part.amount)
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="expiry",
        cause_type="grant",
        cause_id=grant_id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor="system",
        effective_at=now,
        posted_at=now,
    )
    system = {BREAKAGE: _account(tx, BREAKAGE, wallet.currency)}
    rows = Chain(after, system, before=wallet.balance, rows=1).rows(expiry_lines(part.amount), [grant_id])
    ledger.add_transfers(tx, header, Label(description="Expired credit"), currency=wallet.currency, rows=rows)
    return after


def _account(tx: Tx, ref: AccountRef, currency: str) -> int:
    """Give an account that was opened when the grant was made; nothing may be opened inside a transaction."""
    found = accounts.account_id(tx, ref, currency)
    if found is None:
        raise IntegrityFault(f"A grant was made without the account {ref}.")
    return found
