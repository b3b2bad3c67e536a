"""Facts told after commit: to plugins, and to functions given to ``billing.on``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen

from .money import Money

EVENT_NAMES: Final = (
    "credit-exhausted",
    "credit-low",
    "credit-negative",
    "credit-recovered",
    "digest-sent",
    "dispute-closed",
    "dispute-opened",
    "grant-expiring",
    "identity-checked",
    "invoice-issued",
    "refund-decided",
    "refund-failed",
    "refund-requested",
    "refund-settled",
    "security",
    "suspension-due",
    "tax-correction",
    "tax-id-checked",
    "topup-credited",
    "topup-failed",
    "topup-review",
)


def _read_only(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


@frozen(kw_only=True)
class Event:
    """One fact, delivered at least once and with the same id each time.

    Attributes:
        id: ``evt_…``; drop what was seen before by it.
        name: One of `EVENT_NAMES`.
        at: When it happened.
        book: Name of the book.
        mode: ``"test"`` or ``"live"``.
        customer: The host's customer id, or None.
        amount: The money it is about, or None.
        details: Further ids and words, by name.
    """

    id: str
    name: str
    at: datetime
    book: str
    mode: str
    customer: str | None = None
    amount: Money | None = None
    details: Mapping[str, Any] = field(factory=dict, converter=_read_only)
