"""When a balance that moves deserves a message: levels, told once per crossing.

A level is told when the balance goes below it and not again until the balance
has risen a tenth of the level above it, so that a balance that hovers around a
level tells nothing twice. Which levels a wallet was told is a set of bits.

>>> levels = {"low": 500, "exhausted": 1}
>>> judge(400, told=0, levels=levels)
Verdict(told=1, crossed=('low',), recovered=())
>>> judge(520, told=1, levels=levels).recovered
()
>>> judge(550, told=1, levels=levels).recovered
('low',)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from attrs import frozen

from .errors import InvalidRequest
from .money import EXACT, MAX_UNITS, Money, scale_of

SETTING: Final = "thresholds"
"""Name of the setting that keeps them."""

BITS: Final = {"low": 1, "exhausted": 2, "negative": 4, "suspend": 8}
"""Every level, with its bit in what a wallet was told."""

EVENTS: Final = {
    "low": "credit-low",
    "exhausted": "credit-exhausted",
    "negative": "credit-negative",
    "suspend": "suspension-due",
}
"""The event of each level."""

MAX_HOURS: Final = 100_000
MAX_GRACE: Final = timedelta(days=366)
NOTHING_LEFT: Final = 1
"""The level *exhausted*: below one ledger unit."""
NO_ALERT: Final = -MAX_UNITS

Level = Money | tuple[Money, ...] | int | None


@frozen
class Thresholds:
    """Levels of a balance that are told when they are crossed.

    Each level is one Money, a tuple with one Money per currency, whole hours of
    runway at the rates that run (an int), or None for none.

    Attributes:
        low: ``credit-low`` below it.
        negative: ``credit-negative`` below it; zero or below.
        suspend: ``suspension-due`` below it, once ``grace`` has passed.
        grace: How long a wallet may stay below ``suspend`` before its event.
        start_when_negative: `may_start` allows new resources on a balance below zero.
    """

    low: Level = None
    negative: Level = None
    suspend: Level = None
    grace: timedelta = timedelta(0)
    start_when_negative: bool = False

    def record(self) -> dict[str, Any]:
        """Give what the setting keeps: ledger units by currency, or hours.

        Raises:
            InvalidRequest: A level or the grace is not what it may be; ``field`` names it.
        """
        if not isinstance(self.grace, timedelta) or not timedelta(0) <= self.grace <= MAX_GRACE:
            raise InvalidRequest(f"grace is a timedelta from zero to {MAX_GRACE.days} days.", field="grace")
        if not isinstance(self.start_when_negative, bool):
            raise InvalidRequest("start_when_negative is True or False.", field="start_when_negative")
        record: dict[str, Any] = {name: _level(name, getattr(self, name)) for name in ("low", "negative", "suspend")}
        if any(units < 0 for units in record["low"].values()):
            raise InvalidRequest("low is zero or more.", field="low")
        if any(units > 0 for units in record["negative"].values()):
            raise InvalidRequest("negative is zero or below; name money, not hours.", field="negative")
        record["grace_s"] = self.grace // timedelta(seconds=1)
        record["start_when_negative"] = self.start_when_negative
        return record


def _level(name: str, level: Level) -> dict[str, int]:
    if level is None:
        return {}
    if type(level) is int:
        if not 0 < level <= MAX_HOURS:
            raise InvalidRequest(f"{name} is 1 to {MAX_HOURS} hours of runway.", field=name)
        return {"hours": level}
    each = level if isinstance(level, tuple) else (level,)
    if not all(isinstance(money, Money) for money in each):
        raise InvalidRequest(f"{name} is Money, one Money per currency, or whole hours of runway.", field=name)
    by_currency = {money.currency: money.units for money in each if isinstance(money, Money)}
    if len(by_currency) != len(each):
        raise InvalidRequest(f"{name} names one Money per currency.", field=name)
    return by_currency


def currencies_of(record: Mapping[str, Any]) -> set[str]:
    """Name the currencies that kept levels are about."""
    return {code for name in ("low", "negative", "suspend") for code in record.get(name, {}) if code != "hours"}


def counts_hours(record: Mapping[str, Any]) -> bool:
    """Tell whether any kept level is hours of runway, and so moves with the rates that run."""
    return any("hours" in record.get(name, {}) for name in ("low", "negative", "suspend"))


def levels_of(record: Mapping[str, Any], currency: str, *, per_hour: Decimal) -> dict[str, int]:
    """Give the levels of a wallet in ledger units; hours count only while something runs.

    Args:
        record: What `Thresholds.record` gave, or empty.
        currency: The wallet's.
        per_hour: Cost of an hour at the rates that run, in major units, exact.
    """
    levels = {"exhausted": NOTHING_LEFT}
    for name in ("low", "negative", "suspend"):
        kept = record.get(name, {})
        if currency in kept:
            levels[name] = kept[currency]
        elif "hours" in kept and per_hour > 0:
            exact = EXACT.multiply(per_hour, kept["hours"]).scaleb(scale_of(currency), EXACT)
            levels[name] = int(min(exact, Decimal(MAX_UNITS)).to_integral_value(ROUND_CEILING))
    return levels


@frozen
class Verdict:
    """What a wallet is now told to be below, and which levels that changed."""

    told: int
    crossed: tuple[str, ...]
    recovered: tuple[str, ...]


def judge(balance: int, *, told: int, levels: Mapping[str, int]) -> Verdict:
    """Compare a balance, in ledger units, with levels and with what was told before.

    A level that is gone counts as recovered.
    """
    crossed, recovered = [], []
    for name, bit in BITS.items():
        level = levels.get(name)
        if not told & bit:
            if level is not None and balance < level:
                crossed.append(name)
        elif level is None or balance >= level + abs(level) // 10:
            recovered.append(name)
    now = told | sum(BITS[name] for name in crossed)
    return Verdict(now & ~sum(BITS[name] for name in recovered), tuple(crossed), tuple(recovered))


def alert_below(levels: Mapping[str, int], *, told: int) -> int:
    """Give the ledger units below which something new must be told."""
    return max((units for name, units in levels.items() if not told & BITS[name]), default=NO_ALERT)
