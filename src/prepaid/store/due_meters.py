"""Meters whose hours are due: held, read with their segments, and moved on when their hours are charged.

Made for thousands at once. What somebody else holds is passed over, so that
workers share the hours instead of waiting for each other.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from ..core.errors import RequestRefused
from ..core.instants import from_micros, to_micros
from ..core.metering import HOUR, Count, Segment, Terms, terms_of
from ..core.rates import StoredRate, read_rate
from . import bulk, schema
from .bulk import MeterChange
from .database import Tx
from .meters import COUNTING
from .servers import is_mariadb

_meter = schema.meter
_segment = schema.meter_segment
_transfer = schema.transfer

AT_ONCE: Final = 900
"""Values in one list: MariaDB makes longer ones a table of their own."""


class DueMeter(NamedTuple):
    """A meter with hours to count, held for this transaction; instants in microseconds.

    Attributes:
        id: Row id.
        resource: What it measures.
        customer: Who pays.
        kind: What sort of resource.
        project: The host's project.
        currency: Of its rates.
        started: The instant from which its hours count.
        due_at: End of the next hour.
        counted: How far it is counted.
        segments: Those that last beyond what is counted; none if they, or the count, cannot be read.
        waits: Its predecessor is not counted to its end, and what that cost
            counts towards the cap of the month.
    """

    id: str
    resource: str
    customer: str
    kind: str
    project: str
    currency: str
    started: int
    due_at: int
    counted: Count
    segments: tuple[Segment, ...]
    waits: bool


def _micros(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return type_coerce(column, BigInteger)


def _due_by(tx: Tx, until: datetime) -> ColumnElement[bool]:
    return and_(_meter.c.book_id == tx.book_id, _meter.c.open == COUNTING, _meter.c.due_at <= until)


def currencies_due(tx: Tx, until: datetime) -> list[str]:
    """Give the currencies of meters with an hour that ended by ``until``."""
    return sorted(tx.execute(select(_meter.c.currency).where(_due_by(tx, until)).distinct()).scalars())


def hours_due(tx: Tx, until: datetime) -> int:
    """Count the hours of all meters that ended by ``until`` and are not counted yet."""
    due, stopped = _micros(_meter.c.due_at), _micros(_meter.c.stopped_at)
    ended = (literal(to_micros(until), BigInteger) - due) // HOUR
    # The last hour of a meter that stopped is the one in which it did.
    begun = case((stopped > due, (stopped - due + (HOUR - 1)) // HOUR), else_=0)
    further = case((_meter.c.stopped_at.is_(None), ended), (begun < ended, begun), else_=ended)
    wanted = select(func.coalesce(func.sum(further + 1), 0)).where(_due_by(tx, until))
    return int(tx.execute(wanted).scalar_one())


_DUE: Final = (
    *(_meter.c[name] for name in "id resource customer kind project currency residue month month_cost".split()),
    *(_micros(_meter.c[name]).label(name) for name in ("started_at", "billed_until", "due_at")),
)


class Place(NamedTuple):
    """Where a meter stands among those that are due: by the end of its next hour, in microseconds."""

    due_at: int
    id: str
    customer: str


def due(tx: Tx, until: datetime, *, after: Place | None, limit: int) -> list[Place]:
    """Find meters with an hour that ended by ``until``, in order of that hour, below a place; nothing is held."""
    wanted = select(_micros(_meter.c.due_at), _meter.c.id, _meter.c.customer).where(_due_by(tx, until))
    if after is not None:
        at = from_micros(after.due_at)
        wanted = wanted.where(_meter.c.due_at >= at, or_(_meter.c.due_at > at, _meter.c.id > after.id))
    return list(map(Place._make, _rows(tx, wanted.order_by(_meter.c.due_at, _meter.c.id).limit(limit))))


def hold(tx: Tx, until: datetime, *, ids: Sequence[str]) -> list[DueMeter]:
    """Hold those of some meters that have an hour which ended by ``until``, but for those that somebody else holds."""
    wanted = select(*_DUE).where(_meter.c.book_id == tx.book_id).with_for_update(skip_locked=True)
    # What is due is told below, and the index named: MariaDB would look at all that is due for each few hundred.
    if is_mariadb(tx.dialect):
        wanted = wanted.with_hint(_meter, "FORCE INDEX (PRIMARY)", tx.dialect)
    by = to_micros(until)
    held = _each(tx, wanted, _meter.c.id, ids)
    return _with_segments(tx, [row for row in held if row.due_at is not None and row.due_at <= by])


def _with_segments(tx: Tx, rows: Sequence[Any]) -> list[DueMeter]:
    # By new statements: only now is nobody else changing what they read.
    segments = _lasting_segments(tx, rows)
    first_hour = [row for row in rows if row.billed_until == row.started_at]
    before = _predecessors(tx, first_hour)
    return [_due_meter(row, before.get(row.id, []), segments.get(row.id, ())) for row in rows]


def _lasting_segments(tx: Tx, rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Read the segments of held meters that last beyond what is counted, meter by meter."""
    if not rows:
        return {}
    names = "meter_id rate increment monthly_cap minimum_s".split()
    columns = (*(_segment.c[name] for name in names), _micros(_segment.c.starts_at), _micros(_segment.c.ends_at))
    counted = from_micros(min(row.billed_until for row in rows))
    lasting = or_(_segment.c.ends_at.is_(None), _segment.c.ends_at >= counted)
    wanted = (
        select(*columns)
        .where(_segment.c.book_id == tx.book_id, lasting)
        .order_by(_segment.c.meter_id, _segment.c.starts_at)
    )
    found = _each(tx, wanted, _segment.c.meter_id, [row.id for row in rows])
    return {meter_id: list(group) for meter_id, group in groupby(found, key=lambda row: row.meter_id)}


def _predecessors(tx: Tx, rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Read the meters before these of the same resource, customer and currency, by id, the oldest first."""
    # Matched here, not by a join: MariaDB would go through all meters of the customer for each.
    names = "resource customer currency month month_cost".split()
    columns = (*(_meter.c[name] for name in names), *(_micros(_meter.c[name]) for name in ("started_at", "due_at")))
    wanted = select(*columns).where(_meter.c.book_id == tx.book_id).order_by(_meter.c.resource, _meter.c.started_at)
    found = list(_each(tx, wanted, _meter.c.resource, sorted({row.resource for row in rows})))
    lives = {resource: list(group) for resource, group in groupby(found, key=lambda row: row.resource)}
    return {
        row.id: [
            each
            for each in lives.get(row.resource, ())
            if (each.customer, each.currency) == (row.customer, row.currency) and each.started_at < row.started_at
        ]
        for row in rows
    }


def _each(tx: Tx, wanted: Any, column: ColumnElement[str], values: Sequence[str]) -> Iterator[Any]:
    """Read the rows in which a column has one of many values."""
    at_once = AT_ONCE if is_mariadb(tx.dialect) else len(values)
    for begin in range(0, len(values), at_once or 1):
        yield from _rows(tx, wanted.where(bulk.among(tx, column, values[begin : begin + at_once])))


def _rows(tx: Tx, wanted: Any) -> Iterable[Any]:
    """Read rows of texts and whole numbers, all at once: one by one the driver is asked for each."""
    if not is_mariadb(tx.dialect):
        return tx.execute(wanted).all()
    # A row as one text: the driver reads values one by one, in Python.
    columns = wanted.selected_columns
    texts = tx.execute(wanted.with_only_columns(func.json_array(*columns, type_=String))).scalars().all()
    return map(_row_type(tuple(columns.keys()))._make, json.loads(f"[{','.join(texts)}]"))


@lru_cache(maxsize=16)
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("_Row", names)


def _due_meter(row: Any, before: Sequence[Any], segments: Iterable[Any]) -> DueMeter:
    id, resource, customer, kind, project, currency, residue, month, month_cost, started, counted, due_at = row
    if before:
        month, month_cost = before[-1].month, before[-1].month_cost
    try:
        count = Count(counted, residue, month, int(month_cost))
        read = tuple([_read_segment(segment, currency) for segment in segments])
    except (RequestRefused, ArithmeticError, ValueError):
        count, read = Count(counted), ()
    waits = any(each.due_at is not None for each in before)
    return DueMeter(id, resource, customer, kind, project, currency, started, due_at, count, read, waits)


def _read_segment(row: Any, currency: str) -> Segment:
    _, *stored, starts, ends = row
    return Segment(starts, ends, _terms(currency, tuple(stored)))


@lru_cache(maxsize=1024)
def _terms(currency: str, stored: StoredRate) -> Terms:
    return terms_of(read_rate(currency, stored))


def move(tx: Tx, changes: Sequence[MeterChange]) -> bool:
    """Record how far held meters are counted; False if one of them was moved by somebody else."""
    return not changes or bulk.ways_of(tx).move_meters(tx, changes) == len(changes)


def charged_periods(tx: Tx, keys: Sequence[str]) -> set[str]:
    """Find those of many periods that were charged, by whomever."""
    wanted = select(_transfer.c.charge_period_key).where(_transfer.c.book_id == tx.book_id)
    return {key for (key,) in _each(tx, wanted, _transfer.c.charge_period_key, keys)}
