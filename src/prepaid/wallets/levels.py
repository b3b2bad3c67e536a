"""Telling that a balance crossed a level: once, in the transaction that moved it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from attrs import evolve

from .. import outbox
from ..config import Context
from ..core.instants import to_micros
from ..core.money import EXACT, Money
from ..core.thresholds import BITS, EVENTS, SETTING, Verdict, alert_below, counts_hours, judge, levels_of
from ..store import Tx, accounts, bulk, meters, operations
from ..store.accounts import Wallet


class Moved(NamedTuple):
    """A debit of a batch: row id of its wallet, the balance after it in ledger units, and its transaction."""

    wallet: int
    balance: int
    about: str


def after_debit(tx: Tx, context: Context, wallet: Wallet, *, about: str) -> None:
    """Tell what a debit brought a held wallet below; a debit never makes it recover."""
    if may_tell(wallet.alert_at, wallet.balance):
        tell(tx, context, wallet, about=about)


def may_tell(alert_at: int | None, balance: int) -> bool:
    """Tell whether there may be something new to tell of a balance that a debit left."""
    return alert_at is None or balance < alert_at


def after_credit(tx: Tx, context: Context, wallet: Wallet, *, about: str) -> None:
    """Tell what a credit raised a held wallet above, or left it below."""
    if wallet.told or may_tell(wallet.alert_at, wallet.balance):
        tell(tx, context, wallet, about=about)


def after_debits(tx: Tx, context: Context, moved: Sequence[Moved]) -> None:
    """Tell what a batch brought held wallets below, debit by debit, as `after_debit` does for each."""
    record = operations.read_setting(tx, SETTING) or {}
    before = {wallet.id: wallet for wallet in bulk.whole_wallets(tx, {each.wallet for each in moved})}
    wallets = before.copy()
    for each in moved:
        wallet = wallets[each.wallet]
        if may_tell(wallet.alert_at, each.balance):
            wallets[each.wallet] = _tell(tx, context, evolve(wallet, balance=each.balance), record, about=each.about)
    accounts.set_told(tx, [now for id, now in wallets.items() if _levels(now) != _levels(before[id])])


def tell(tx: Tx, context: Context, wallet: Wallet, *, about: str) -> None:
    """Compare a held wallet, as it is now, with the levels, tell what is new and record it.

    Args:
        tx: The transaction that holds the wallet.
        context: The billing system.
        wallet: The wallet after what moved it.
        about: Makes the events unique: the transaction, or the act.
    """
    now = _tell(tx, context, wallet, operations.read_setting(tx, SETTING) or {}, about=about)
    if _levels(now) != _levels(wallet):
        accounts.set_told(tx, [now])


def _levels(wallet: Wallet) -> tuple[int, int | None, datetime | None]:
    return wallet.told, wallet.alert_at, wallet.suspend_at


def _tell(tx: Tx, context: Context, wallet: Wallet, record: dict[str, Any], *, about: str) -> Wallet:
    """Tell what is new and give the wallet with what is to be recorded."""
    levels = _levels_now(tx, wallet, record)
    verdict = judge(wallet.balance, told=wallet.told, levels=levels)
    suspend_at = _suspend_at(context, wallet, verdict, timedelta(seconds=record.get("grace_s", 0)))
    balance = Money(wallet.balance, wallet.currency)
    for name in verdict.crossed:
        if name != "suspend" or suspend_at is None:
            outbox.emit(tx, context, EVENTS[name], about=about, customer=wallet.owner, amount=balance)
    # A suspension that still waited for its grace was told to nobody.
    recovered = [name for name in verdict.recovered if name != "suspend" or wallet.suspend_at is None]
    if recovered:
        names = ",".join(recovered)
        outbox.emit(tx, context, "credit-recovered", about=about, customer=wallet.owner, amount=balance, levels=names)
    alert_at = alert_below(levels, told=verdict.told)
    return evolve(wallet, told=verdict.told, alert_at=alert_at, suspend_at=suspend_at)


def _levels_now(tx: Tx, wallet: Wallet, record: dict[str, Any]) -> dict[str, int]:
    per_hour = hourly_cost(tx, wallet.owner, wallet.currency) if counts_hours(record) else Decimal(0)
    return levels_of(record, wallet.currency, per_hour=per_hour)


def is_suspended(tx: Tx, wallet: Wallet, balance: int) -> bool:
    """Tell whether a balance, in ledger units, is below the level of suspension as it is set now."""
    levels = _levels_now(tx, wallet, operations.read_setting(tx, SETTING) or {})
    return bool(judge(balance, told=wallet.told, levels=levels).told & BITS["suspend"])


def hourly_cost(tx: Tx, customer: str, currency: str) -> Decimal:
    """Sum the hourly rates of a customer's running resources, in major units, exact."""
    total = Decimal(0)
    for meter in meters.running_of(tx, customer, currency):
        total = EXACT.add(total, meter.rate.amount)
    return total


def _suspend_at(context: Context, wallet: Wallet, verdict: Verdict, grace: timedelta) -> datetime | None:
    """Give when a suspension is due: after the grace, counted from the crossing; None if it is told at once."""
    if "suspend" in verdict.crossed:
        return context.now() + grace if grace else None
    return wallet.suspend_at if verdict.told & BITS["suspend"] else None


def refresh(tx: Tx, context: Context, customer: str, *, currency: str, about: str) -> None:
    """Work out anew what must be told of a wallet, after the rates that run have changed."""
    if counts_hours(operations.read_setting(tx, SETTING) or {}):
        wallet = accounts.hold_wallet(tx, customer, currency)
        if wallet is not None:
            tell(tx, context, wallet, about=about)


def suspend(tx: Tx, context: Context, wallet: Wallet) -> bool:
    """Tell that a suspension is due whose grace has passed, if the balance is still below the level.

    If not, it is as if it had never been: who falls below again gets the whole
    grace. False if somebody else looked meanwhile.
    """
    held = accounts.hold_wallet_by_id(tx, wallet.id)
    if held is None or held.suspend_at is None or held.suspend_at > context.now():
        return False
    levels = _levels_now(tx, held, operations.read_setting(tx, SETTING) or {})
    if held.balance >= levels.get("suspend", held.balance):
        told = held.told & ~BITS["suspend"]
        accounts.set_told(tx, [evolve(held, told=told, alert_at=alert_below(levels, told=told), suspend_at=None)])
        return True
    accounts.set_told(tx, [evolve(held, suspend_at=None)])
    balance, about = Money(held.balance, held.currency), f"{held.id}/{to_micros(held.suspend_at)}"
    outbox.emit(tx, context, EVENTS["suspend"], about=about, customer=held.owner, amount=balance)
    return True
