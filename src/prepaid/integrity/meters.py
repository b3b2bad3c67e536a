"""Proving meters: the hours of a resource add up to its price."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from ..core.errors import PrepaidError
from ..core.rates import Rate
from ..store import Tx
from ..store.proofs import meters as stored
from .findings import Finding, contradiction, unless_equal

HOUR: Final = 3_600_000_000
"""Microseconds, as instants are stored."""


def meters(tx: Tx) -> Iterator[Finding]:
    """Prove the meters of each resource in the order of time."""
    for _, rows in groupby(stored.metered_hours(tx), key=attrgetter("resource")):
        yield from _resource(rows)


def _resource(rows: Iterator[Any]) -> Iterator[Finding]:
    """Walk through the hours of one resource: each belongs to one meter, and they add up to its price."""
    meter: Any = None
    charged = 0
    for row in rows:
        if row.what == stored.METER:
            if meter is not None:
                yield from _meter(meter, charged, following=row)
            meter, charged = row, 0
            continue
        number = None if meter is None else _hour_of(meter, row)
        if row.what == stored.CHARGED:
            charged += row.number
            whose = "an hour that no meter counted" if number is None else (meter.customer, meter.currency)
            yield from unless_equal("B3", ("transaction", row.id), whose, (row.customer, row.currency))
        elif number is not None:
            charged += _price(meter, number + 1) - _price(meter, number)
    if meter is not None:
        yield from _meter(meter, charged, following=None)


def _hour_of(meter: Any, row: Any) -> int | None:
    """Give which hour of a meter a row is about, from 0; None for a time that the meter did not count."""
    began = row.at - HOUR if row.what == stored.CHARGED else row.at
    number, rest = divmod(began - meter.at, HOUR)
    return number if rest == 0 and 0 <= number < meter.number else None


def _meter(meter: Any, charged: int, *, following: Any) -> Iterator[Finding]:
    keys = ("meter", meter.id)
    price = f"{meter.number} hours for {_price(meter, meter.number)}"
    yield from unless_equal("B3", keys, price, f"{meter.number} hours for {charged}")
    running = meter.resource if meter.stopped_at is None else None
    expected = f"a rate from {meter.at}, running {running}, due at {_due_at(meter)}"
    found = f"a rate from {meter.rated_from}, running {meter.running}, due at {meter.due_at}"
    yield from unless_equal("B3", keys, expected, found)
    end = meter.at + HOUR * max(_begun(meter), meter.number)
    if following is not None and (meter.stopped_at is None or following.at < end):
        expected = f"a start after {meter.id} stopped, from {end}"
        yield contradiction("B3", ("meter", following.id), expected, following.at)


def _price(meter: Any, hours: int) -> int:
    """Give what hours of a meter cost in ledger units; -1 where its row names no price."""
    try:
        return Rate(Decimal(meter.rate), meter.currency).cost_of(hours=hours).units
    except (PrepaidError, ArithmeticError, TypeError, ValueError):
        return -1


def _due_at(meter: Any) -> int | None:
    ended = meter.stopped_at is not None and meter.number >= _begun(meter)
    return None if ended else int(meter.at + HOUR * (meter.number + 1))


def _begun(meter: Any) -> int:
    return 0 if meter.stopped_at is None else max(1, -((meter.at - meter.stopped_at) // HOUR))
