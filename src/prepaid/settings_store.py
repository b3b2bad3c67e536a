"""Settings of a book that operators change while it runs."""

from __future__ import annotations

from typing import Final

from . import audit
from .config import Context
from .core.errors import InvalidRequest
from .core.money import Money
from .core.thresholds import Thresholds
from .store import Tx, operations

THRESHOLDS: Final = "thresholds"


def set_thresholds(context: Context, thresholds: object, *, actor: str) -> None:
    """Set the levels of balances that emit events.

    Raises:
        InvalidRequest: Not `Thresholds`, levels that cannot be, or a currency not in use.
    """
    if not isinstance(thresholds, Thresholds):
        raise InvalidRequest("thresholds is a Thresholds.", field="thresholds")
    value = {"low": thresholds.low_by_currency()}
    for currency in value["low"]:
        context.currency_or_default(currency)

    def work(tx: Tx) -> None:
        before = operations.read_setting(tx, THRESHOLDS) or {}
        operations.write_setting(tx, THRESHOLDS, value, context.now())
        audit.record(tx, context, actor=actor, action="settings", target=THRESHOLDS, before=before, after=value)

    context.database.write(work)


def thresholds(context: Context) -> Thresholds:
    """Read the levels in force."""
    value = context.database.read(lambda tx: operations.read_setting(tx, THRESHOLDS)) or {}
    levels = tuple(Money(units, currency) for currency, units in sorted(value.get("low", {}).items()))
    return Thresholds(low=levels or None)
