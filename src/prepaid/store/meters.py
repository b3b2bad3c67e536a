"""Meters: which resources run, on what terms, and how far their hours are counted.

A meter has one segment for each stretch of time on the same terms. Its last
segment ends where its hours end: at the stop or, if that was told late, where
the hours were counted to by then.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from attrs import frozen
from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from ..core.instants import from_micros, to_micros
from ..core.metering import due_at
from ..core.rates import Rate, read_rate, stored_rate
from ..core.usage import Meter
from . import schema
from .database import Tx

_meter = schema.meter
_segment = schema.meter_segment

COUNTED, COUNTING = 0, 1
"""What the column ``open`` says."""

_TERMS: Final = ("rate", "increment", "monthly_cap", "minimum_s")


@frozen(kw_only=True)
class StoredMeter:
    """A meter with its row id and its newest segment.

    Attributes:
        id: Row id.
        meter: The meter; its rate is that of the newest segment.
        since: When the newest segment began.
        ended_at: When its hours ended, or None while it runs.
    """

    id: str
    meter: Meter
    since: datetime
    ended_at: datetime | None


def _in_book(tx: Tx, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(_meter.c.book_id == tx.book_id, *where)


def _of_meter(tx: Tx, meter_id: str, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(_segment.c.book_id == tx.book_id, _segment.c.meter_id == meter_id, *where)


def _select() -> Any:
    join = and_(_segment.c.book_id == _meter.c.book_id, _segment.c.meter_id == _meter.c.id)
    terms = (_segment.c[name] for name in _TERMS)
    return select(_meter, *terms, _segment.c.starts_at, _segment.c.ends_at).select_from(_meter.join(_segment, join))


def _from_row(row: Any) -> StoredMeter:
    meter = Meter(
        resource=row.resource,
        customer=row.customer,
        kind=row.kind,
        project=row.project,
        rate=read_rate(row.currency, (row.rate, row.increment, row.monthly_cap, row.minimum_s)),
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        billed_until=row.billed_until,
    )
    return StoredMeter(id=row.id, meter=meter, since=row.starts_at, ended_at=row.ends_at)


def latest(tx: Tx, resource: str) -> StoredMeter | None:
    """Read the newest meter of a resource."""
    wanted = _select().where(_in_book(tx, _meter.c.resource == resource))
    row = tx.execute(wanted.order_by(_meter.c.started_at.desc(), _segment.c.starts_at.desc()).limit(1)).first()
    return None if row is None else _from_row(row)


def lock(tx: Tx, stored: StoredMeter) -> bool:
    """Keep a meter's row from others until the commit; False if its hours were counted meanwhile.

    By a write, so that a reader at any isolation level notices it.
    """
    counted = stored.meter.billed_until
    statement = update(_meter).where(_in_book(tx, _meter.c.id == stored.id, _meter.c.billed_until == counted))
    return bool(tx.execute(statement.values(billed_until=counted)).rowcount)


def rate_from(tx: Tx, stored: StoredMeter, at: datetime) -> Rate | None:
    """Give the rate of the segment that began at an instant, or None if none did."""
    row = tx.execute(_select().where(_in_book(tx, _meter.c.id == stored.id), _segment.c.starts_at == at)).first()
    return None if row is None else _from_row(row).meter.rate


def ran_since(tx: Tx, meter_id: str, at: datetime) -> bool:
    """Tell whether a running meter has run from an instant on, without a stop in between."""
    later = or_(_segment.c.ends_at.is_(None), _segment.c.ends_at > at)
    wanted = select(_segment.c.starts_at, _segment.c.ends_at).where(_of_meter(tx, meter_id, later))
    segments = tx.execute(wanted.order_by(_segment.c.starts_at)).all()
    goes_on = all(one.ends_at == following.starts_at for one, following in pairwise(segments))
    return bool(segments) and segments[0].starts_at <= at and goes_on


def add(tx: Tx, meter_id: str, meter: Meter) -> None:
    """Start a meter.

    Raises:
        sqlalchemy.exc.IntegrityError: The resource has a running meter.
    """
    row = {
        "book_id": tx.book_id,
        "id": meter_id,
        "resource": meter.resource,
        "running": meter.resource,
        "customer": meter.customer,
        "kind": meter.kind,
        "project": meter.project,
        "currency": meter.rate.currency,
        "started_at": meter.started_at,
        "billed_until": meter.started_at,
        "residue": 0,
        "month": "",
        "month_cost": "0",
        **_due(meter.started_at, None, meter.started_at),
    }
    tx.execute(insert(_meter).values(row))
    _add_segment(tx, meter_id, meter.rate, meter.started_at)


def _add_segment(tx: Tx, meter_id: str, rate: Rate, starts_at: datetime) -> None:
    terms = dict(zip(_TERMS, stored_rate(rate), strict=True))
    tx.execute(insert(_segment).values(book_id=tx.book_id, meter_id=meter_id, starts_at=starts_at, **terms))


def _due(started_at: datetime, ended_at: datetime | None, billed_until: datetime) -> dict[str, Any]:
    """Give the columns that say when a meter's next hour ends, and that there is one."""
    ended = None if ended_at is None else to_micros(ended_at)
    due = due_at(to_micros(started_at), ended, to_micros(billed_until))
    return {"due_at": None if due is None else from_micros(due), "open": COUNTED if due is None else COUNTING}


def change(tx: Tx, stored: StoredMeter, rate: Rate, at: datetime) -> None:
    """Let a held, running meter run at another rate from an instant after its newest segment began."""
    _end_newest(tx, stored, at)
    _add_segment(tx, stored.id, rate, at)


def resume(tx: Tx, stored: StoredMeter, rate: Rate, at: datetime) -> None:
    """Let a held, stopped meter run on from an instant at which its newest segment had begun."""
    if at == stored.since:
        _end_newest(tx, stored, None)
    else:
        _end_newest(tx, stored, at if stored.ended_at is None else min(at, stored.ended_at))
        _add_segment(tx, stored.id, rate, at)
    due = _due(stored.meter.started_at, None, stored.meter.billed_until)
    statement = update(_meter).where(_in_book(tx, _meter.c.id == stored.id))
    tx.execute(statement.values(running=stored.meter.resource, stopped_at=None, **due))


def _end_newest(tx: Tx, stored: StoredMeter, at: datetime | None) -> None:
    newest = _of_meter(tx, stored.id, _segment.c.starts_at == stored.since)
    tx.execute(update(_segment).where(newest).values(ends_at=at))


def stop(tx: Tx, stored: StoredMeter, at: datetime) -> None:
    """Stop a held, running meter; changes of its rate that were told for later are void.

    Hours that were counted beyond a stop that is told late stay counted.
    """
    meter = stored.meter
    ended_at = max(at, meter.billed_until)
    tx.execute(delete(_segment).where(_of_meter(tx, stored.id, _segment.c.starts_at > ended_at)))
    lasting = or_(_segment.c.ends_at.is_(None), _segment.c.ends_at > ended_at)
    tx.execute(update(_segment).where(_of_meter(tx, stored.id, lasting)).values(ends_at=ended_at))
    due = _due(meter.started_at, ended_at, meter.billed_until)
    statement = update(_meter).where(_in_book(tx, _meter.c.id == stored.id))
    tx.execute(statement.values(running=None, stopped_at=at, **due))


def running_of(tx: Tx, customer: str, currency: str | None = None) -> list[Meter]:
    """Read the running meters that a customer pays, in one currency or in all, by resource."""
    # Only the newest segment of a running meter has no end.
    wanted = _select().where(
        _in_book(tx, _meter.c.customer == customer, _meter.c.running.is_not(None)), _segment.c.ends_at.is_(None)
    )
    if currency is not None:
        wanted = wanted.where(_meter.c.currency == currency)
    return [_from_row(row).meter for row in tx.execute(wanted.order_by(_meter.c.resource))]
