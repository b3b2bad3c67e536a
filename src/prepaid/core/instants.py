"""Instants: aware, UTC, exact to the microsecond, and the days of a seller's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .errors import InvalidRequest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_ZONE: Final = 64

_OF_ONE_HOST: Final = ("Factory", "localtime", "posix", "posixrules", "right")
"""Names that a system's zone files may have beside those of IANA."""


def to_micros(instant: datetime) -> int:
    """Count whole microseconds since 1970, without passing through a float."""
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Undo `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


def check_instant(value: object, *, field: str) -> datetime:
    """Return ``value`` in UTC if it is an aware datetime.

    Raises:
        InvalidRequest: Not a datetime, naive, or outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):
        raise InvalidRequest(f"{field} is a datetime, not {type(value).__name__}.", field=field)
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidRequest(f"{field} needs a time zone; a naive datetime names no instant.", field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(f"{field} lies outside the years 1 to 9999.", field=field) from None


def is_timezone(name: str) -> bool:
    """Tell whether there is a time zone of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        return False
    return True


def local_day(instant: datetime, timezone: str) -> date:
    """Give the calendar day of ``instant`` in a time zone."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def local_month(instant: datetime, timezone: str) -> str:
    """Give the calendar month of ``instant`` in a time zone, as ``"2026-11"``."""
    local = instant.astimezone(ZoneInfo(timezone))
    return f"{local.year:04}-{local.month:02}"


def day_start(day: date, timezone: str) -> datetime:
    """Give the instant, in UTC, at which ``day`` begins in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


def instant_of(day: date, hour: int, timezone: str) -> datetime:
    """Give the instant, in UTC, of a whole hour of a day: the first of two, and the next if there is none."""
    return datetime.combine(day, time(hour), ZoneInfo(timezone)).astimezone(UTC)


def check_timezone(value: object, *, field: str = "timezone") -> str:
    """Return the name of a time zone that every host can read.

    Raises:
        InvalidRequest: Not an IANA time zone.
    """
    wrong = InvalidRequest(f"{field} is an IANA time zone such as 'Europe/Berlin'.", field=field)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ZONE:
        raise wrong
    try:
        key = ZoneInfo(value).key
    except (OSError, ValueError, KeyError):
        raise wrong from None
    # What only this host's files have, another host cannot read.
    if key.split("/")[0] in _OF_ONE_HOST:
        raise wrong
    return key
