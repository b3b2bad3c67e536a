"""Metering: what each hour of a meter costs exactly, and what of that is charged.

Hours count from a meter's start. Everything is whole numbers: instants are
microseconds, and costs are *parts*. A part is what one second costs at the
finest rate, so that every rate, second, cap and ledger unit is a whole number
of them, and nothing is rounded but what is charged. A charge is what was
counted and not charged so far, to the nearest ledger unit; the rest of less
than a unit is the *residue* and goes into the next hour. So the charges of a
meter differ from its exact cost by half a unit at most, however its hours are
spread over runs.

>>> from prepaid.core.rates import Rate
>>> fine = Segment(0, None, terms_of(Rate.hourly("0.0000004", "EUR")))
>>> hours, count = count_hours([fine], Count(0), Meterage(0, "EUR", "UTC"), most=5)
>>> [hour.units for hour in hours], count.residue
([0, 1, 0, 1, 0], 0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .instants import from_micros, local_month
from .money import EXACT, scale_of
from .rates import RATE_DIGITS, Rate

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
HOUR_S: Final = 3600


class Terms(NamedTuple):
    """A rate in whole numbers.

    Attributes:
        per_second: Parts that a second costs.
        cap: Parts that a month costs at most, or None.
        by_second: Seconds are charged, not whole hours.
        minimum_s: Seconds charged at least from a meter's start.
    """

    per_second: int
    cap: int | None
    by_second: bool
    minimum_s: int


class Segment(NamedTuple):
    """A stretch of time in which a meter runs on the same terms.

    Attributes:
        starts: Its first instant.
        ends: The first instant after it, or None while it lasts.
        terms: What an hour of it costs.
    """

    starts: int
    ends: int | None
    terms: Terms


class Meterage(NamedTuple):
    """What all hours of a meter share.

    Attributes:
        started: The instant from which its hours count.
        currency: Of its rates.
        timezone: The seller's, in which months begin.
    """

    started: int
    currency: str
    timezone: str


class Count(NamedTuple):
    """How far a meter is counted.

    Attributes:
        until: End of the last hour counted.
        residue: Parts counted and not charged; below zero if more was charged.
        month: Month in which the last hour began, or empty.
        month_cost: Parts counted in that month.
    """

    until: int
    residue: int = 0
    month: str = ""
    month_cost: int = 0


class Hour(NamedTuple):
    """An hour that was counted.

    Attributes:
        start: When it began.
        seconds: How much of it is paid for.
        units: Ledger units to charge for it; may be none.
    """

    start: int
    seconds: int
    units: int


def terms_of(rate: Rate) -> Terms:
    """Write a rate in whole numbers."""
    cap = rate.monthly_cap
    return Terms(
        per_second=int(rate.amount.scaleb(RATE_DIGITS, EXACT)),
        cap=None if cap is None else int(cap.scaleb(RATE_DIGITS, EXACT)) * HOUR_S,
        by_second=rate.increment == "second",
        minimum_s=rate.minimum_s,
    )


def parts_of_unit(currency: str) -> int:
    """Give the parts of one ledger unit.

    >>> parts_of_unit("EUR"), parts_of_unit("JPY")
    (3600000000, 360000000000)
    """
    return HOUR_S * int(10 ** (RATE_DIGITS - scale_of(currency)))


def end_of_count(started: int, ended: int) -> int:
    """Give the end of the last hour that a meter which ended had begun.

    A meter that ended in the instant it started has begun one.
    """
    return started + HOUR * max(1, -((started - ended) // HOUR))


def due_at(started: int, ended: int | None, counted: int) -> int | None:
    """Give when the next hour to count ends; None if there is none."""
    if ended is not None and counted >= end_of_count(started, ended):
        return None
    return counted + HOUR


def hours_owed(meterage: Meterage, ended: int | None, count: Count, until: int) -> int:
    """Count the hours that ended by ``until`` and are not counted; a stop in an hour changes nothing in it."""
    last = until if ended is None else min(until, end_of_count(meterage.started, ended))
    return max(0, (last - count.until) // HOUR)


def count_hours(
    segments: Sequence[Segment], count: Count, meterage: Meterage, *, most: int
) -> tuple[list[Hour], Count]:
    """Count the next ``most`` hours of a meter and give them, with the count after them.

    Args:
        segments: In order, all that last beyond ``count.until``; those that
            ended before do no harm.
        count: How far it is counted.
        meterage: What its hours share.
        most: Hours to count; each must have begun before the meter ended.
    """
    hours = []
    for _ in range(most):
        hour, count = count_hour(segments, count, meterage)
        hours.append(hour)
    return hours, count


def count_hour(segments: Sequence[Segment], count: Count, meterage: Meterage) -> tuple[Hour, Count]:
    """Count the next hour of a meter; see `count_hours`."""
    month = local_month(from_micros(count.until), meterage.timezone)
    month_cost = count.month_cost if month == count.month else 0
    seconds, cost = 0, 0
    for terms, length in _stretches(segments, count.until, meterage.started):
        price = terms.per_second * length
        if terms.cap is not None:
            price = min(price, max(0, terms.cap - month_cost - cost))
        seconds, cost = seconds + length, cost + price
    unit = parts_of_unit(meterage.currency)
    units = _nearest(count.residue + cost, unit)
    hour = Hour(count.until, seconds, units)
    return hour, Count(count.until + HOUR, count.residue + cost - units * unit, month, month_cost + cost)


def _stretches(segments: Sequence[Segment], start: int, started: int) -> Iterator[tuple[Terms, int]]:
    """Give the terms on which an hour is charged, each with the seconds charged on them."""
    within = [part for part in segments if part.starts < start + HOUR and (part.ends is None or part.ends >= start)]
    if within and within[0].terms.by_second:
        yield from _by_second(within, start, within[0].terms.minimum_s if start == started else 0)
    elif within:
        yield _dearest(within, start), HOUR_S


def _dearest(within: Sequence[Segment], start: int) -> Terms:
    """Give the terms of the highest rate in force in an hour, of equal ones the latest."""
    # One that ended as it began, or before the hour did, was in force for no instant, unless it is all there is.
    lasting = [part for part in within if part.ends is None or part.ends > max(start, part.starts)]
    return max(reversed(lasting or within), key=lambda part: part.terms.per_second).terms


def _by_second(within: Sequence[Segment], start: int, minimum_s: int) -> Iterator[tuple[Terms, int]]:
    """Cut an hour at whole seconds: a begun second belongs to what was in force first."""
    begins = [_second_of(part.starts, start) for part in within] + [HOUR_S]
    for part, begin, following in zip(within, begins, begins[1:], strict=False):
        end = HOUR_S if part.ends is None else _second_of(part.ends, start)
        # The minimum is charged from the start on, also where nothing ran any more.
        length = max(end, min(minimum_s, following)) - begin
        if length > 0:
            yield part.terms, length


def _second_of(instant: int, start: int) -> int:
    """Give the second of an hour, from 0 to 3600, at which an instant cuts it: the next whole one."""
    return min(HOUR_S, max(0, -((start - instant) // SECOND)))


def _nearest(parts: int, unit: int) -> int:
    """Round parts to whole units, half to even."""
    whole, rest = divmod(parts, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2 == 1))
