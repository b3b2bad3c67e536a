"""Sums over transfers by day of the seller's zone, and how far they reach.

They hold every transfer of the book up to one row number, and no other, whatever
its day. So a row that is written later counts in what is summed from the
transfers beyond, whenever it says that it was posted, until it is taken in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from attrs import frozen
from sqlalchemy import delete, func, insert, or_, select, update

from . import schema
from .database import Tx
from .flows import FLOW, Flow, beyond, flow_of, posted_in, sums

_rollup = schema.rollup
_day = schema.rollup_day
_transfer = schema.transfer
_book = schema.book


@frozen(kw_only=True)
class Rollups:
    """How far the sums by day reach.

    Attributes:
        zone: Time zone of their days.
        through: They hold the transfers up to this row number.
        mark: Up to which they are to be made.
        made_at: When that was reached last; None while they are made for the first time.
    """

    zone: str
    through: int
    mark: int
    made_at: datetime | None

    def serves(self, zone: str) -> bool:
        """Tell whether figures by the days of a zone may be read from them."""
        return self.made_at is not None and self.through > 0 and self.zone == zone


DayFlow = tuple[str, Flow]
"""What moved on a day, by currency."""


def read(tx: Tx) -> Rollups | None:
    """Read how far the book's sums reach; None if there are none."""
    wanted = select(_rollup.c.zone, _rollup.c.through, _rollup.c.mark, _rollup.c.made_at)
    row = tx.execute(wanted.where(_rollup.c.book_id == tx.book_id)).first()
    return None if row is None else Rollups(zone=row.zone, through=row.through, mark=row.mark, made_at=row.made_at)


def begin(tx: Tx, before: Rollups | None, after: Rollups) -> bool:
    """Make the sums anew, with none yet; False if somebody else did so.

    Raises:
        sqlalchemy.exc.IntegrityError: Somebody else did so for the first time.
    """
    if before is None:
        tx.execute(insert(_rollup).values(book_id=tx.book_id, **_values(after)))
    elif not _move(tx, before, after):
        return False
    tx.execute(delete(_day).where(_day.c.book_id == tx.book_id))
    return True


def advance(tx: Tx, before: Rollups, after: Rollups, days: Mapping[date, Sequence[DayFlow]]) -> bool:
    """Put whole days in the place of what was kept of them; False, and nothing done, if somebody else moved on."""
    if not _move(tx, before, after):
        return False
    for day, flows in days.items():
        tx.execute(delete(_day).where(_day.c.book_id == tx.book_id, _day.c.day == day.isoformat()))
        rows = [_row(tx, day, currency, flow) for currency, flow in flows]
        if rows:
            tx.execute(insert(_day), rows)
    return True


def forget(tx: Tx) -> None:
    """Keep no sums; the job makes them anew."""
    tx.execute(delete(_rollup).where(_rollup.c.book_id == tx.book_id))
    tx.execute(delete(_day).where(_day.c.book_id == tx.book_id))


def _move(tx: Tx, before: Rollups, after: Rollups) -> bool:
    unmoved = (_rollup.c.zone == before.zone, _rollup.c.through == before.through, _rollup.c.mark == before.mark)
    statement = update(_rollup).where(_rollup.c.book_id == tx.book_id, *unmoved)
    return bool(tx.execute(statement.values(_values(after))).rowcount)


def _values(rollups: Rollups) -> dict[str, object]:
    return {name: getattr(rollups, name) for name in ("zone", "through", "mark", "made_at")}


def _row(tx: Tx, day: date, currency: str, flow: Flow) -> dict[str, object]:
    sides = (flow.debit.kind, flow.debit.owner, flow.credit.kind, flow.credit.owner)
    values = dict(zip(FLOW, (*sides, flow.kind, flow.amount, flow.count), strict=True))
    return {"book_id": tx.book_id, "currency": currency, "day": day.isoformat(), **values}


# Reading what is kept


def flows(tx: Tx, currency: str, first: date | None, after: date) -> list[Flow]:
    """Sum what is kept of the days from ``first``, or all before, to before ``after``."""
    sorts, sizes = [_day.c[name] for name in FLOW[:-2]], [func.sum(_day.c[name]).label(name) for name in FLOW[-2:]]
    wanted = select(*sorts, *sizes).where(_day.c.book_id == tx.book_id, _day.c.currency == currency)
    if first is not None:
        wanted = wanted.where(_day.c.day >= first.isoformat())
    return [flow_of(row) for row in tx.execute(wanted.where(_day.c.day < after.isoformat()).group_by(*sorts))]


def flows_by_day(tx: Tx, currency: str, first: date, after: date) -> Iterator[tuple[date, Flow]]:
    """Give what is kept of each of the days from ``first`` to before ``after``."""
    wanted = select(_day.c.day, *(_day.c[name] for name in FLOW)).where(
        _day.c.book_id == tx.book_id,
        _day.c.currency == currency,
        _day.c.day >= first.isoformat(),
        _day.c.day < after.isoformat(),
    )
    for row in tx.execute(wanted):
        yield date.fromisoformat(row.day), flow_of(row)


def count_kept(tx: Tx, day: date) -> int:
    """Count the transfers that are kept of a day."""
    wanted = select(func.sum(_day.c.transfers)).where(_day.c.book_id == tx.book_id, _day.c.day == day.isoformat())
    return int(tx.execute(wanted).scalar() or 0)


# Reading the transfers


def last_number(tx: Tx) -> int:
    """Give the highest row number of all transfers, whosever."""
    return int(tx.execute(select(func.max(_transfer.c.id))).scalar() or 0)


def last_number_posted(tx: Tx, until: datetime) -> int:
    """Give the highest of the row numbers that each book's last transfer before an instant has; 0 if there is none."""
    latest = select(_transfer.c.id).where(_transfer.c.book_id == _book.c.id, *posted_in(None, until))
    latest = latest.order_by(_transfer.c.posted_at.desc(), _transfer.c.id.desc()).limit(1)
    each = select(latest.correlate(_book).scalar_subquery().label("number")).select_from(_book).subquery()
    return int(tx.execute(select(func.max(each.c.number))).scalar() or 0)


def first_posted(tx: Tx, after: int, through: int) -> datetime | None:
    """Give when the first transfer of the book with a row number in ``(after, through]`` was posted."""
    wanted = select(_transfer.c.posted_at).where(*beyond(tx, after), _transfer.c.id <= through)
    found: datetime | None = tx.execute(wanted.order_by(_transfer.c.id).limit(1)).scalar()
    return found


def last_number_of_day(tx: Tx, start: datetime, end: datetime, *, through: int) -> int:
    """Give the highest row number up to ``through`` of what was posted in ``[start, end)``; 0 if there is none."""
    posted = (_transfer.c.book_id == tx.book_id, *posted_in(start, end), _transfer.c.id <= through)
    # Not the column itself: PostgreSQL would look for it from the highest number of all down.
    return int(tx.execute(select(func.max(_transfer.c.id + 0)).where(*posted)).scalar() or 0)


def other_days(tx: Tx, after: int, through: int, *, start: datetime, end: datetime) -> Iterator[datetime]:
    """Give when transfers with a row number in ``(after, through]`` were posted, if not in ``[start, end)``."""
    outside = or_(_transfer.c.posted_at < start, _transfer.c.posted_at >= end)
    wanted = select(_transfer.c.posted_at).where(*beyond(tx, after), _transfer.c.id <= through, outside)
    yield from tx.execute(wanted.distinct()).scalars()


def count_posted(tx: Tx, start: datetime, end: datetime, *, through: int) -> int:
    """Count the transfers posted in ``[start, end)`` with a row number up to ``through``."""
    posted = (_transfer.c.book_id == tx.book_id, *posted_in(start, end), _transfer.c.id <= through)
    return int(tx.execute(select(func.count()).where(*posted)).scalar_one())


def sums_of_day(tx: Tx, start: datetime, end: datetime, *, through: int) -> list[DayFlow]:
    """Sum what was posted in ``[start, end)`` with a row number up to ``through``."""
    posted = (_transfer.c.book_id == tx.book_id, *posted_in(start, end), _transfer.c.id <= through)
    return [(row.currency, flow_of(row)) for row in tx.execute(sums(posted, _transfer.c.currency))]
