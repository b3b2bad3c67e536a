"""When a balance that moves deserves a message.

>>> crossings(before=600, after=400, low=500)
('credit-low',)
>>> crossings(before=400, after=300, low=500)
()
>>> crossings(before=400, after=600, low=500)
('credit-recovered',)
"""

from __future__ import annotations

from attrs import frozen

from .errors import InvalidRequest
from .money import Money

SETTING = "thresholds"
"""Name of the setting that keeps them."""


@frozen
class Thresholds:
    """Levels of a balance that emit an event when they are crossed.

    Attributes:
        low: ``credit-low`` below it and ``credit-recovered`` at or above it again;
            one Money, or a tuple with one per currency, or None.
    """

    low: Money | tuple[Money, ...] | None = None

    def low_by_currency(self) -> dict[str, int]:
        """Give the low level in ledger units by currency.

        Raises:
            InvalidRequest: Not Money, negative, or two for one currency.
        """
        levels = self.low if isinstance(self.low, tuple) else () if self.low is None else (self.low,)
        if any(not isinstance(level, Money) or level.units < 0 for level in levels):
            raise InvalidRequest("low is Money of zero or more, at most one per currency.", field="low")
        found = {level.currency: level.units for level in levels}
        if len(found) != len(levels):
            raise InvalidRequest("low names one Money per currency.", field="low")
        return found


def crossings(*, before: int, after: int, low: int | None) -> tuple[str, ...]:
    """Name the events of a balance going from ``before`` to ``after`` ledger units."""
    if low is None:
        return ()
    if after < low <= before:
        return ("credit-low",)
    if before < low <= after:
        return ("credit-recovered",)
    return ()
