"""Proving the sums by day: each is what the transfers of its day come to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from ..core.days import Days
from ..core.instants import is_timezone
from ..store import Tx
from ..store.proofs import rollups as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal


def rollups(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove the sums of every day, or of those on which something new was posted."""
    state = stored.state(tx)
    if state is None:
        for day in stored.kept_days(tx):
            yield contradiction("B11", ("rollup_day", day), "no sums, for none are kept", "sums")
        return
    last = stored.last_number(tx)
    if not (is_timezone(state.zone) and 0 <= state.through <= state.mark <= last):
        expected = f"a time zone, and row numbers in order up to {last}"
        yield contradiction("B11", ("rollup",), expected, tuple(state))
    elif scope.is_whole:
        days = {day.isoformat() for day in stored.days_of_all(tx, state.zone, through=state.through)}
        yield from _days(tx, state, days.union(stored.kept_days(tx)))
    else:
        new = stored.days_of_new(tx, scope, state.zone, through=state.through)
        yield from _days(tx, state, {day.isoformat() for day in new})


def _days(tx: Tx, state: Any, days: set[str]) -> Iterator[Finding]:
    for day in sorted(days):
        time = _time_of(day, state.zone)
        summed = stored.summed(tx, time, through=state.through) if time is not None else {}
        kept = stored.kept(tx, day)
        for sort in sorted({*summed, *kept}, key=str):
            expected, found = (_written(sums.get(sort)) for sums in (summed, kept))
            yield from unless_equal("B11", ("rollup_day", day, *sort), expected, found)


def _time_of(day: str, zone: str) -> Days | None:
    try:
        return Days.of_one(date.fromisoformat(day), zone)
    except (ValueError, OverflowError):
        return None


def _written(sums: tuple[int, int] | None) -> str:
    return "nothing" if sums is None else f"{sums[0]} units in {sums[1]} transfers"
