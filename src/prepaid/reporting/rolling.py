"""Keeping sums over transfers by day, so that figures of months are read at once.

A row number that was seen hours ago is settled: whoever wrote a row below it has
committed, or never will. The sums are moved on to it day by day, each day that
something new belongs to written whole. What is beyond is read from the transfers.

A transaction that stays open for longer brings a row below the number: the days
of the last week are counted again each time, and written again if there are more.
Older ones are found by `check`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from .. import audit
from ..config import Context
from ..core.days import Days
from ..core.instants import local_day
from ..store import Duplicate, Tx, rollups
from ..store.rollups import DayFlow, Rollups

log = logging.getLogger("prepaid.reporting")

SETTLED_AFTER: Final = timedelta(hours=2)
"""Longer than any transaction lasts; as often the sums are moved on."""

COUNTED_AGAIN: Final = 7
"""Of how many days the transfers are counted again each time."""

_DAY: Final = timedelta(days=1)


@frozen
class _Step:
    """One step: how far the sums reach after it, the days that it writes, and whether it is the last one for now."""

    after: Rollups
    days: dict[date, list[DayFlow]]
    is_last: bool = False


def roll_up(context: Context, *, stop_at: datetime | None = None) -> int:
    """Move the sums by day on to what is settled, if that is due, and give how many days were written.

    Each step is one transaction: whoever is cut off leaves sums that are right as
    far as they reach. Of two workers one makes a step and the other stops.

    Args:
        context: The billing system.
        stop_at: Begin no further step after this instant.
    """
    kept, written = _due(context), 0
    while kept is not None and (stop_at is None or context.now() < stop_at):
        step = _next(context, kept)
        if not _write(context, kept, step):
            break
        written += len(step.days)
        kept = None if step.is_last else step.after
    return written


def _due(context: Context) -> Rollups | None:
    kept, zone = context.database.read(rollups.read), context.seller.timezone
    if kept is None or (_is_due(context, kept) and kept.zone != zone):
        return _begin(context, kept)
    return kept if _is_due(context, kept) else None


def _is_due(context: Context, kept: Rollups) -> bool:
    # Clocks are also set back.
    return kept.made_at is None or abs(context.now() - kept.made_at) >= SETTLED_AFTER


def _begin(context: Context, before: Rollups | None) -> Rollups | None:
    """Begin anew in the seller's zone; None if somebody else did."""
    # No number was marked hours ago; that of a transfer posted then does as well, if clocks agree so far.
    mark = context.database.read(lambda tx: rollups.last_number_posted(tx, context.now() - SETTLED_AFTER))
    begun = Rollups(zone=context.seller.timezone, through=0, mark=mark, made_at=None)
    with suppress(Duplicate):
        if context.database.write(lambda tx: rollups.begin(tx, before, begun)):
            return begun
    return None


def _next(context: Context, kept: Rollups) -> _Step:
    now = context.now()
    return context.database.read(lambda tx: _to_mark(tx, kept) or _onward(tx, kept, now))


def _to_mark(tx: Tx, kept: Rollups) -> _Step | None:
    """Take in what was posted on the day of the first transfer up to the mark, and whatever is numbered among it."""
    posted = rollups.first_posted(tx, kept.through, kept.mark)
    if posted is None:
        return None
    day = Days.of_one(local_day(posted, kept.zone), kept.zone)
    through = rollups.last_number_of_day(tx, day.start, day.end, through=kept.mark)
    others = rollups.other_days(tx, kept.through, through, start=day.start, end=day.end)
    touched = {day.first, *(local_day(other, kept.zone) for other in others)}
    return _Step(evolve(kept, through=through), _summed(tx, kept.zone, touched, through=through))


def _onward(tx: Tx, kept: Rollups, now: datetime) -> _Step:
    """Set a new mark, and write again what of the last days was committed too late to be seen."""
    today = local_day(now, kept.zone)
    wrong = {day for day in (today - _DAY * n for n in range(COUNTED_AGAIN + 1)) if _is_wrong(tx, kept, day)}
    for day in sorted(wrong):
        log.warning("the sums of %s hold another number of transfers than there are; they are made again", day)
    after = evolve(kept, through=kept.mark, mark=max(kept.mark, rollups.last_number(tx)), made_at=now)
    return _Step(after, _summed(tx, kept.zone, wrong, through=kept.mark), is_last=True)


def _is_wrong(tx: Tx, kept: Rollups, day: date) -> bool:
    times = Days.of_one(day, kept.zone)
    return rollups.count_posted(tx, times.start, times.end, through=kept.mark) != rollups.count_kept(tx, day)


def _summed(tx: Tx, zone: str, days: Iterable[date], *, through: int) -> dict[date, list[DayFlow]]:
    times = {day: Days.of_one(day, zone) for day in days}
    return {day: rollups.sums_of_day(tx, time.start, time.end, through=through) for day, time in times.items()}


def _write(context: Context, kept: Rollups, step: _Step) -> bool:
    return context.database.write(lambda tx: rollups.advance(tx, kept, step.after, step.days))


def rebuild(context: Context, *, reason: object, actor: str) -> None:
    """Forget all sums by day, so that the job makes them anew; figures are those of the transfers all the while.

    Raises:
        InvalidRequest: No reason.
    """
    why = audit.check_reason(reason)

    def work(tx: Tx) -> None:
        rollups.forget(tx)
        audit.record(tx, context, actor=actor, action="rebuild-rollups", target="rollups", reason=why)

    context.database.write(work)
