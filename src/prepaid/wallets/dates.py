"""What the calendar does to wallets when nobody posts: grants and holds that begin or lapse, notices, suspensions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from .. import outbox
from ..config import Context
from ..store import Tx, accounts, grants
from ..store.accounts import Wallet
from ..store.grants import Notice
from . import due, levels

T = TypeVar("T")

AT_ONCE: Final = 200


def run_due(context: Context, *, stop_at: datetime | None = None) -> int:
    """Deal with every wallet on which something is due, and give how many acts that were.

    Args:
        context: The billing system.
        stop_at: Begin nothing new after this instant.
    """
    swept = _each(context, _due, _sweep, stop_at=stop_at)
    told = _each(context, _notices, _tell, stop_at=stop_at)
    return swept + told + _each(context, _suspensions, levels.suspend, stop_at=stop_at)


def _each(
    context: Context,
    find: Callable[[Tx, datetime], list[T]],
    act: Callable[[Tx, Context, T], bool],
    *,
    stop_at: datetime | None,
) -> int:
    count = 0
    while True:
        now = context.now()
        found = context.database.read(lambda tx: find(tx, now))  # noqa: B023 - called at once
        acted = 0
        for each in found:
            if stop_at is not None and context.now() >= stop_at:
                return count + acted
            acted += context.database.write(lambda tx: act(tx, context, each))  # noqa: B023 - called at once
        count += acted
        if not acted:
            return count


def _due(tx: Tx, now: datetime) -> list[Wallet]:
    return accounts.due_wallets(tx, now, limit=AT_ONCE)


def _sweep(tx: Tx, context: Context, wallet: Wallet) -> bool:
    held = accounts.hold_wallet_by_id(tx, wallet.id)
    if held is None or held.next_due_at > context.now():
        return False
    due.sweep(tx, context, held)
    return True


def _notices(tx: Tx, now: datetime) -> list[Notice]:
    return grants.notices(tx, now, limit=AT_ONCE)


def _tell(tx: Tx, context: Context, notice: Notice) -> bool:
    if not grants.mark_noticed(tx, notice.grant):
        return False
    outbox.emit(
        tx,
        context,
        "grant-expiring",
        about=f"{notice.grant}/{notice.expires_at:%Y-%m-%dT%H:%M:%S}",
        customer=notice.customer,
        amount=notice.left,
        grant=notice.grant,
        expires_at=notice.expires_at.isoformat(),
    )
    return True


def _suspensions(tx: Tx, now: datetime) -> list[Wallet]:
    return accounts.suspensions_due(tx, now, limit=AT_ONCE)
