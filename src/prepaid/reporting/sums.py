"""What moved over some time: whole days from the sums that are kept, everything else from the transfers.

All of it in the caller's snapshot: a transfer counts in one of the two, never in
both and never in none.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from attrs import frozen

from ..core.days import Days
from ..core.instants import day_start, local_day
from ..store import Tx, flows, rollups
from ..store.flows import Flow

_DAY = timedelta(days=1)


@frozen(kw_only=True)
class MovedByDay:
    """What moved before some days, and on each of them."""

    before: list[Flow]
    on: list[list[Flow]]


def moved(tx: Tx, timezone: str, currency: str, *, since: datetime | None, until: datetime) -> list[Flow]:
    """Sum what moved in ``[since, until)``, from the beginning on if ``since`` is None."""
    kept = rollups.read(tx)
    first, after = None if since is None else _first_whole(since, timezone), local_day(until, timezone)
    if kept is None or not kept.serves(timezone) or (first is not None and first >= after):
        return flows.flows(tx, currency, since, until)
    start, end = None if first is None else day_start(first, timezone), day_start(after, timezone)
    return [
        *rollups.flows(tx, currency, first, after),
        *flows.flows(tx, currency, start, end, after=kept.through),
        *(flows.flows(tx, currency, since, start) if since != start else ()),
        *(flows.flows(tx, currency, end, until) if end != until else ()),
    ]


def _first_whole(since: datetime, timezone: str) -> date:
    day = local_day(since, timezone)
    return day if day_start(day, timezone) == since else day + _DAY


def moved_by_day(tx: Tx, timezone: str, currency: str, *, days: Days) -> MovedByDay:
    """Sum what moved before some days, and on each of them."""
    kept = rollups.read(tx)
    on: list[list[Flow]] = [[] for _ in days.dates]
    if kept is None or not kept.serves(timezone):
        before = flows.flows(tx, currency, None, days.start)
        beside = flows.flows_by_step(tx, currency, days.start, days.end, step=days.step)
    else:
        after = days.first + _DAY * len(on)
        before = rollups.flows(tx, currency, None, days.first)
        beside = flows.flows_by_step(tx, currency, None, days.end, step=days.step, after=kept.through)
        for day, flow in rollups.flows_by_day(tx, currency, days.first, after):
            on[(day - days.first).days].append(flow)
    for begun, flow in beside:
        place = days.place_of(begun)
        (before if place < 0 else on[place]).append(flow)
    return MovedByDay(before=before, on=on)
