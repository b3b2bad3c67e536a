"""Settings of a book that operators change while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import audit
from .config import Context
from .core.errors import InvalidRequest
from .core.grants import BURN_ORDER_SETTING, BurnOrder
from .core.thresholds import SETTING, Thresholds, currencies_of
from .store import Duplicate, Tx, accounts, operations


def set_thresholds(context: Context, thresholds: object, *, actor: str) -> None:
    """Set the levels of balances that emit events; a balance that is below one is told at its next posting.

    Raises:
        InvalidRequest: Not `Thresholds`, levels that cannot be, or a currency not in use.
    """
    if not isinstance(thresholds, Thresholds):
        raise InvalidRequest("thresholds is a Thresholds.", field="thresholds")
    value = thresholds.record()
    for currency in currencies_of(value):
        context.currency_or_default(currency)
    _set(context, SETTING, value, actor=actor, then=accounts.forget_alerts)


def set_burn_order(context: Context, order: object, *, actor: str) -> None:
    """Set the priorities that new grants get by their kind; grants that were given keep theirs.

    Raises:
        InvalidRequest: Not a `BurnOrder`.
    """
    if not isinstance(order, BurnOrder):
        raise InvalidRequest("order is a BurnOrder.", field="order")
    _set(context, BURN_ORDER_SETTING, order.record(), actor=actor, then=lambda tx: None)


def _set(context: Context, name: str, value: dict[str, Any], *, actor: str, then: Callable[[Tx], None]) -> None:
    def work(tx: Tx) -> None:
        before = operations.read_setting(tx, name) or {}
        operations.write_setting(tx, name, value, context.now())
        then(tx)
        audit.record(tx, context, actor=actor, action="settings", target=name, before=before, after=value)

    try:
        context.database.write(work)
    except Duplicate:  # set for the first time by two operators at once
        context.database.write(work)
