"""Proving levels: what a wallet was told is what its balance and the book's levels make of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ..core.money import MINOR_DIGITS
from ..core.thresholds import BITS, SETTING, alert_below, counts_hours, judge, levels_of
from ..store import Tx, operations
from ..store.proofs import holds as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal


def levels(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove what every wallet was told, as far as its levels were worked out."""
    record = operations.read_setting(tx, SETTING) or {}
    for row in stored.wallet_levels(tx, scope):
        yield from _wallet(row, record)


def _wallet(row: Any, record: dict[str, Any]) -> Iterator[Finding]:
    keys = ("account", row.id)
    if not 0 <= row.told < 2 * max(BITS.values()) or (row.suspend_at is not None and not row.told & BITS["suspend"]):
        yield contradiction("B9", keys, "levels that there are; a suspension only below its level", row.told)
    if row.alert_at is None:  # to be worked out at the next posting
        return
    if row.balance < row.alert_at:
        yield contradiction("B9", keys, f"told below {row.alert_at}", f"not told at {row.balance}")
    hours = counts_hours(record)
    if hours or row.currency not in MINOR_DIGITS:
        return  # hours move with the rates that run
    known = levels_of(record, row.currency, per_hour=Decimal(0))
    verdict = judge(row.balance, told=row.told, levels=known)
    yield from unless_equal("B9", keys, f"told {verdict.told}", f"told {row.told}")
    alert_at = alert_below(known, told=row.told)
    yield from unless_equal("B9", keys, f"next told below {alert_at}", f"next told below {row.alert_at}")
