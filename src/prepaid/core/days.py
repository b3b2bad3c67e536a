"""Days of a time zone that follow each other, and the instants between which each of them lies.

>>> days = Days.of(date(2026, 3, 28), date(2026, 3, 30), "Europe/Berlin")
>>> [str(start) for start in days.starts]
['2026-03-27 23:00:00+00:00', '2026-03-28 23:00:00+00:00', '2026-03-29 22:00:00+00:00']
>>> days.place_of(days.starts[1])
1
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta
from math import gcd

from attrs import frozen

from .instants import day_start, to_micros

_DAY = timedelta(days=1)


@frozen
class Days:
    """One day or more.

    Attributes:
        first: The first of them.
        starts: When each of them begins, and when the last one ends.
    """

    first: date
    starts: tuple[datetime, ...]

    @classmethod
    def of(cls, first: date, after: date, timezone: str) -> Days:
        """Take the days from ``first`` to before ``after``, of which there must be one, in a time zone."""
        return cls(first, tuple(day_start(first + _DAY * n, timezone) for n in range((after - first).days + 1)))

    @classmethod
    def of_one(cls, day: date, timezone: str) -> Days:
        """Take one day."""
        return cls.of(day, day + _DAY, timezone)

    @property
    def start(self) -> datetime:
        """When the first of them begins."""
        return self.starts[0]

    @property
    def end(self) -> datetime:
        """When the last of them ends."""
        return self.starts[-1]

    @property
    def dates(self) -> tuple[date, ...]:
        """The days themselves."""
        return tuple(self.first + _DAY * n for n in range(len(self.starts) - 1))

    @property
    def step(self) -> int:
        """A length of time, in microseconds, of which every one of ``starts`` is a multiple, counted from 1970."""
        return gcd(*map(to_micros, self.starts))

    def place_of(self, instant: datetime) -> int:
        """Give which of the days, from 0, an instant before their end lies in; -1 if it lies before them all."""
        return bisect_right(self.starts, instant) - 1
