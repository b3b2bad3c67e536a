"""Meters: which resources run, at what rate, and how many of their hours are charged."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import frozen
from sqlalchemy import and_, insert, select, update

from ..core.money import EXACT
from ..core.rates import Rate
from ..core.usage import Meter
from . import schema
from .database import Tx

_meter = schema.meter
_segment = schema.meter_segment

HOUR = timedelta(hours=1)


@frozen(kw_only=True)
class StoredMeter:
    """A meter with its row id and the number of hours charged."""

    id: str
    meter: Meter
    billed_hours: int


def _select() -> Any:
    join = and_(_segment.c.book_id == _meter.c.book_id, _segment.c.meter_id == _meter.c.id)
    return select(_meter, _segment.c.rate).select_from(_meter.join(_segment, join))


def _from_row(row: Any) -> StoredMeter:
    meter = Meter(
        resource=row.resource,
        customer=row.customer,
        kind=row.kind,
        project=row.project,
        rate=Rate(Decimal(row.rate), row.currency),
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        billed_until=row.started_at + HOUR * row.billed_hours,
    )
    return StoredMeter(id=row.id, meter=meter, billed_hours=row.billed_hours)


def latest(tx: Tx, resource: str) -> StoredMeter | None:
    """Read the newest meter of a resource."""
    wanted = _select().where(_meter.c.book_id == tx.book_id, _meter.c.resource == resource)
    row = tx.execute(wanted.order_by(_meter.c.started_at.desc()).limit(1)).first()
    return None if row is None else _from_row(row)


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
        "billed_hours": 0,
        "due_at": meter.started_at + HOUR,
    }
    tx.execute(insert(_meter).values(row))
    # Without trailing zeros it always fits its column.
    rate = format(meter.rate.amount.normalize(EXACT), "f")
    segment = {"meter_id": meter_id, "starts_at": meter.started_at, "rate": rate}
    tx.execute(insert(_segment).values(book_id=tx.book_id, **segment))


def resume(tx: Tx, meter_id: str, resource: str, *, due_at: datetime) -> bool:
    """Let a stopped meter run on in the hour it had begun; False if it runs already."""
    statement = update(_meter).where(
        _meter.c.book_id == tx.book_id, _meter.c.id == meter_id, _meter.c.running.is_(None)
    )
    return bool(tx.execute(statement.values(running=resource, stopped_at=None, due_at=due_at)).rowcount)


def stop(tx: Tx, meter_id: str, at: datetime, *, due_at: datetime | None) -> bool:
    """Stop a running meter; False if it does not run."""
    statement = update(_meter).where(
        _meter.c.book_id == tx.book_id, _meter.c.id == meter_id, _meter.c.running.is_not(None)
    )
    return bool(tx.execute(statement.values(running=None, stopped_at=at, due_at=due_at)).rowcount)


def due(
    tx: Tx, until: datetime, *, after: tuple[datetime, str] | None, limit: int
) -> list[tuple[datetime, StoredMeter]]:
    """Read meters with an hour that ended by ``until``, in order of that hour, below a place."""
    wanted = _select().where(_meter.c.book_id == tx.book_id, _meter.c.due_at <= until)
    if after is not None:
        due_at, meter_id = after
        wanted = wanted.where((_meter.c.due_at > due_at) | and_(_meter.c.due_at == due_at, _meter.c.id > meter_id))
    rows = tx.execute(wanted.order_by(_meter.c.due_at, _meter.c.id).limit(limit))
    return [(row.due_at, _from_row(row)) for row in rows]


def lock(tx: Tx, stored: StoredMeter) -> StoredMeter | None:
    """Hold a meter's row for this transaction and read it anew; None if its hours moved meanwhile."""
    statement = update(_meter).where(
        _meter.c.book_id == tx.book_id, _meter.c.id == stored.id, _meter.c.billed_hours == stored.billed_hours
    )
    if not tx.execute(statement.values(billed_hours=stored.billed_hours)).rowcount:
        return None
    return _from_row(tx.execute(_select().where(_meter.c.book_id == tx.book_id, _meter.c.id == stored.id)).one())


def advance(tx: Tx, meter_id: str, *, billed_hours: int, due_at: datetime | None) -> None:
    """Record that a held meter's hours are charged up to a number."""
    statement = update(_meter).where(_meter.c.book_id == tx.book_id, _meter.c.id == meter_id)
    tx.execute(statement.values(billed_hours=billed_hours, due_at=due_at))


def running_of(tx: Tx, customer: str, currency: str | None = None) -> list[Meter]:
    """Read the running meters that a customer pays, in one currency or in all, by resource."""
    wanted = _select().where(
        _meter.c.book_id == tx.book_id, _meter.c.customer == customer, _meter.c.running.is_not(None)
    )
    if currency is not None:
        wanted = wanted.where(_meter.c.currency == currency)
    return [_from_row(row).meter for row in tx.execute(wanted.order_by(_meter.c.resource))]
