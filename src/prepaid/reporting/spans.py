"""Times that figures are asked for, checked: days of the seller's zone, or instants."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from attrs import frozen

from ..config import Context
from ..core.days import Days
from ..core.errors import InvalidRequest
from ..core.instants import check_instant, day_start, local_day

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(9000, 1, 1)

MOST_DAYS: Final = 3_660
"""Of how many days figures are given day by day: ten years."""


@frozen
class Span:
    """Some time: from one instant to before another.

    Attributes:
        since: First instant.
        until: First instant after.
        timezone: The seller's.
    """

    since: datetime
    until: datetime
    timezone: str

    def before(self) -> Span:
        """Give the time of the same length that ends where this one begins: as many days if it is made of whole days.

        Raises:
            InvalidRequest: It would begin before 1970.
        """
        if self.until - self.since > self.since - day_start(FIRST_DAY, self.timezone):
            raise InvalidRequest("compare needs as long a time before since, from 1970 on.", field="compare")
        first, after = local_day(self.since, self.timezone), local_day(self.until, self.timezone)
        if (day_start(first, self.timezone), day_start(after, self.timezone)) == (self.since, self.until):
            since = day_start(first - (after - first), self.timezone)
        else:
            since = self.since - (self.until - self.since)
        return Span(since, self.since, self.timezone)


def read_span(context: Context, since: object, until: object) -> Span:
    """Read a span of days of the seller's zone, or of instants.

    Raises:
        InvalidRequest: Neither, before 1970, or in the wrong order.
    """
    first, after = (_instant(context, value, name) for value, name in ((since, "since"), (until, "until")))
    if after <= first:
        raise InvalidRequest("until is after since.", field="until")
    return Span(first, after, context.seller.timezone)


def read_days(context: Context, since: object, until: object) -> Days:
    """Read days of the seller's zone.

    Raises:
        InvalidRequest: Not dates, before 1970, in the wrong order, or too many.
    """
    first, after = (_day(value, name) for value, name in ((since, "since"), (until, "until")))
    if after <= first:
        raise InvalidRequest("until is after since.", field="until")
    if (after - first).days > MOST_DAYS:
        raise InvalidRequest(f"until is at most {MOST_DAYS} days after since.", field="until")
    return Days.of(first, after, context.seller.timezone)


def _instant(context: Context, value: object, name: str) -> datetime:
    zone = context.seller.timezone
    if not isinstance(value, datetime):
        return day_start(_day(value, name), zone)
    instant = check_instant(value, field=name)
    if not day_start(FIRST_DAY, zone) <= instant <= day_start(LAST_DAY, zone):
        raise InvalidRequest(f"{name} is an instant from 1970 on.", field=name)
    return instant


def _day(value: object, name: str) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidRequest(f"{name} is a date of the seller's zone, not {type(value).__name__}.", field=name)
    if not FIRST_DAY <= value <= LAST_DAY:
        raise InvalidRequest(f"{name} is a day from 1970 on.", field=name)
    return value
