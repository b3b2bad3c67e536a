"""Balances: now, without writing, and as of any time."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from attrs import evolve

from ..core.grants import PAID_KINDS, CreditGrant, OpenGrant, lapsing, pay_debt
from ..core.money import Money
from ..core.usage import Balance
from ..store import Tx, accounts, grants, history, holds
from ..store.accounts import Wallet
from ..store.grants import StoredGrant


def balance(tx: Tx, customer: str, currency: str, *, now: datetime) -> Balance:
    """Read a balance as it is at ``now``, with what is due by then; a wallet that was never used is zero."""
    wallet = accounts.find_wallet(tx, customer, currency)
    return zero(currency) if wallet is None else _now(tx, wallet, now)


def balances(tx: Tx, customer: str, *, now: datetime) -> tuple[Balance, ...]:
    """Read all wallets of a customer."""
    return tuple(_now(tx, wallet, now) for wallet in accounts.wallets_of(tx, customer))


def zero(currency: str) -> Balance:
    """Give the balance of a wallet that was never used."""
    nothing = Money.zero(currency)
    return Balance(
        available=nothing, settled=nothing, held=nothing, paid=nothing, promotional=nothing, currency=currency
    )


def _now(tx: Tx, wallet: Wallet, now: datetime) -> Balance:
    if wallet.next_due_at <= now:
        return _balance(wallet, *_with_due(tx, wallet, now))
    return _balance(wallet, wallet.balance, wallet.held, grants.sums(tx, wallet.id))


def _balance(wallet: Wallet, settled: int, held: int, sums: dict[str, int]) -> Balance:
    paid = sum(amount for kind, amount in sums.items() if kind in PAID_KINDS)
    return Balance(
        available=Money(settled - held - wallet.floor, wallet.currency),
        settled=Money(settled, wallet.currency),
        held=Money(held, wallet.currency),
        paid=Money(paid, wallet.currency),
        promotional=Money(sum(sums.values()) - paid, wallet.currency),
        currency=wallet.currency,
    )


def _with_due(tx: Tx, wallet: Wallet, now: datetime) -> tuple[int, int, dict[str, int]]:
    held, settled, left = _after_due(tx, wallet, now)
    sums = Counter[str]()
    for grant, units in left:
        sums[grant.kind] += units
    return settled, held, sums


def _after_due(tx: Tx, wallet: Wallet, now: datetime) -> tuple[int, int, list[tuple[StoredGrant, int]]]:
    """Work out what the next posting would find: the same steps as the sweep, without writing."""
    held = wallet.held - holds.lapsed_amount(tx, wallet.id, now)
    settled, found = wallet.balance, grants.open_or_begun(tx, wallet.id, now)
    left = {grant.id: grant.remaining for grant in found}
    for grant in sorted(found, key=lambda grant: (grant.effective_at, grant.id)):
        if grant.open == grants.WAITING:
            left[grant.id] -= pay_debt(settled, grant.size)[0]
            settled += grant.size
    lapsed = [OpenGrant(grant.id, left[grant.id]) for grant in found if grant.expires_at <= now]
    for part in lapsing(settled - held, lapsed):
        left[part.grant or ""] -= part.amount
        settled -= part.amount
    return held, settled, [(grant, left[grant.id]) for grant in found]


def grants_of(tx: Tx, customer: str, *, all: bool, now: datetime) -> tuple[CreditGrant, ...]:
    """Read a customer's credit in burn order, with what is due by ``now``; used up credit only if ``all`` is wanted."""
    left: dict[str, int] = {}
    for wallet in accounts.wallets_of(tx, customer):
        if wallet.next_due_at <= now:
            left |= {grant.id: units for grant, units in _after_due(tx, wallet, now)[2]}
    shown = (_with_left(grant, left) for grant in grants.of_customer(tx, customer, all=all))
    return tuple(grant for grant in shown if all or grant.remaining)


def _with_left(grant: CreditGrant, left: dict[str, int]) -> CreditGrant:
    units = left.get(grant.id)
    return grant if units is None else evolve(grant, remaining=Money(units, grant.remaining.currency))


def balance_at(tx: Tx, customer: str, currency: str, *, at: datetime) -> Balance:
    """Read a balance as the transfers posted until ``at`` left it.

    The overdraft counts as it is now. Paid and promotional credit are told apart
    by what each grant has paid of debts until now.
    """
    wallet = accounts.find_wallet(tx, customer, currency)
    if wallet is None:
        return zero(currency)
    seq, settled = history.place_at(tx, wallet.id, wallet.seq, at)
    left = history.left_by_kind(tx, wallet.id, seq)
    promotional = sum(amount for kind, amount in left.items() if kind not in PAID_KINDS)
    promotional = min(max(0, promotional), max(0, settled))
    sums = {"promotional": promotional, "paid": max(0, settled) - promotional}
    return _balance(wallet, settled, holds.held_at(tx, wallet.id, at), sums)
