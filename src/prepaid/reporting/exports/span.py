"""From when to when an export goes: days of the seller's zone or instants, the last of them left out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from ...config import Context
from ...core.errors import InvalidRequest
from ...core.instants import check_instant, day_start
from ...store.exports import Span

_FIRST: Final = date(1970, 1, 1)
_LAST: Final = date(9000, 1, 1)


def read_span(context: Context, since: object, until: object) -> Span:
    """Read a span of time.

    Raises:
        InvalidRequest: Not days or aware instants, or in the wrong order.
    """
    first, first_day = _bound(context, since, "since")
    after, day_after = _bound(context, until, "until")
    if after <= first:
        raise InvalidRequest("until is after since.", field="until")
    return Span(since=first, until=after, first_day=first_day, day_after=day_after)


def _bound(context: Context, value: object, field: str) -> tuple[datetime, date | None]:
    if isinstance(value, datetime):
        instant, day = check_instant(value, field=field), None
        if not _FIRST <= instant.date() <= _LAST:
            raise InvalidRequest(f"{field} is not before 1970.", field=field)
        return instant, day
    if isinstance(value, date):
        if not _FIRST <= value <= _LAST:
            raise InvalidRequest(f"{field} is a day from 1970 on.", field=field)
        return day_start(value, context.seller.timezone), value
    raise InvalidRequest(f"{field} is a date of the seller's zone or an aware datetime.", field=field)
