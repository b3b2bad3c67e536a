"""Settings of a book that operators change while it runs."""

from __future__ import annotations

from . import audit
from .config import Context
from .core.errors import InvalidRequest
from .core.thresholds import SETTING, Thresholds
from .store import Duplicate, Tx, operations


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
        before = operations.read_setting(tx, SETTING) or {}
        operations.write_setting(tx, SETTING, value, context.now())
        audit.record(tx, context, actor=actor, action="settings", target=SETTING, before=before, after=value)

    try:
        context.database.write(work)
    except Duplicate:  # set for the first time by two operators at once
        context.database.write(work)
