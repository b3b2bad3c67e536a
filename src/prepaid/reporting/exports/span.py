"""From when to when an export goes: days of the seller's zone or instants, the last of them left out."""

from __future__ import annotations

from datetime import date, datetime

from ...config import Context
from ...store.exports import Span
from .. import spans


def read_span(context: Context, since: object, until: object) -> Span:
    """Read a span of time, and which days it is given in.

    Raises:
        InvalidRequest: Not days or aware instants, or in the wrong order.
    """
    span = spans.read_span(context, since, until)
    return Span(since=span.since, until=span.until, first_day=_day(since), day_after=_day(until))


def _day(value: object) -> date | None:
    return value if isinstance(value, date) and not isinstance(value, datetime) else None
