"""Proving meters: one resource in the order of time, every hour counted, priced and charged once.

The hours are counted again, from the segments alone, and compared with what was
posted for each and with what the meter's row says. Only the segments and
periods around the present hour are kept, however long a meter ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import Factory, define

from .errors import RequestRefused
from .metering import HOUR, Count, Meterage, Segment, Terms, count_hour, due_at, end_of_count, terms_of
from .rates import read_rate

CHARGED, METER, SEGMENT, BY_HOST = range(4)
"""What a row is about, in the order of rows of one instant: an hour ends before the next one begins."""

LONGEST_HOURS: Final = 100 * 366 * 24
"""More hours than a meter can have run; a row changed by hand must not be counted for ever."""

Contradiction = tuple[tuple[str, str], object, object]
"""The row it is about, what should stand there, what stands there."""

UNCOUNTED: Final = "an hour that a meter counted"


def contradictions(rows: Iterable[Any], timezone: str) -> Iterator[Contradiction]:
    """Prove the meters of one resource.

    Args:
        rows: Ordered by instant (``at``, in microseconds) and ``what``: a
            charged hour stands at its end, a meter, a segment and a period
            that the host charged at their start.
        timezone: The seller's.
    """
    walk: _Walk | None = None
    counts: dict[tuple[str, str], Count] = {}
    for row in rows:
        if row.what == METER:
            if walk is not None:
                yield from walk.end(following=row)
            walk = _Walk.begin(row, counts, timezone)
        elif walk is not None:
            yield from walk.take(row)
        elif row.what == CHARGED:
            yield ("transaction", row.id), UNCOUNTED, row.at
    if walk is not None:
        yield from walk.end(following=None)


@define
class _Walk:
    """A meter, and how far its hours were counted again.

    Attributes:
        row: What its row says.
        counts: The last count of each customer and currency of the resource.
        meterage: What its hours share.
        count: How far it is counted here.
        segments: Those that last beyond it.
        newest: The newest segment met.
        by_host: Hours that the host charged itself, to come.
        charged: Ledger units posted for the hour to count next.
        sound: Its hours can be counted.
        wrong: The first hour that was charged otherwise than it costs.
    """

    row: Any
    counts: dict[tuple[str, str], Count]
    meterage: Meterage
    count: Count
    segments: list[Segment] = Factory(list)
    newest: Segment | None = None
    by_host: set[int] = Factory(set)
    charged: int = 0
    sound: bool = True
    wrong: Contradiction | None = None

    @classmethod
    def begin(cls, row: Any, counts: dict[tuple[str, str], Count], timezone: str) -> _Walk:
        before = counts.get((row.customer, row.currency), Count(0))
        count = Count(row.at, 0, before.month, before.month_cost)
        hours, rest = divmod(row.until - row.at, HOUR)
        sound = rest == 0 and 0 <= hours <= LONGEST_HOURS
        return cls(row, counts, Meterage(row.at, row.currency, timezone), count, sound=sound)

    @property
    def keys(self) -> tuple[str, str]:
        return "meter", self.row.id

    def take(self, row: Any) -> Iterator[Contradiction]:
        """Go on to what follows."""
        # A charge stands where its hour ends: that hour is counted when all of its charges are met.
        self._count_to(row.at - (row.what == CHARGED))
        if row.what == CHARGED:
            yield from self._take_charge(row)
        elif row.what == SEGMENT:
            yield from self._take_segment(row)
        elif self._has_hour(row.at):
            self.by_host.add(row.at)

    def _has_hour(self, start: int) -> bool:
        return bool(self.row.at <= start < self.row.until and (start - self.row.at) % HOUR == 0)

    def _take_charge(self, row: Any) -> Iterator[Contradiction]:
        keys, whose = ("transaction", row.id), (self.row.customer, self.row.currency)
        if not self._has_hour(row.at - HOUR):
            yield keys, UNCOUNTED, row.at
            return
        if (row.customer, row.currency) != whose:
            yield keys, whose, (row.customer, row.currency)
        self.charged += row.figure

    def _take_segment(self, row: Any) -> Iterator[Contradiction]:
        terms = self._terms(row)
        if row.id != self.row.id or terms is None or not self._goes_on(row.at, terms):
            self.sound = False
            yield self.keys, "segments in order on terms that go together", (row.at, row.until, row.rate)
            return
        self.newest = Segment(row.at, row.until, terms)
        self.segments.append(self.newest)

    def _goes_on(self, at: int, terms: Terms) -> bool:
        before = self.newest
        if before is None:
            return bool(at == self.row.at)
        return before.ends is not None and before.ends <= at and before.terms.by_second == terms.by_second

    def _terms(self, row: Any) -> Terms | None:
        try:
            stored = (row.rate, row.increment, row.cap, row.minimum_s)
            return terms_of(read_rate(self.row.currency, stored))
        except (RequestRefused, ArithmeticError):
            return None

    def _count_to(self, instant: int) -> None:
        while self.sound and self.count.until + HOUR <= min(instant, self.row.until):
            try:
                self._count_hour()
            except (OverflowError, ValueError):  # no such year
                self.sound = False

    def _count_hour(self) -> None:
        hour, self.count = count_hour(self.segments, self.count, self.meterage)
        due = 0 if hour.start in self.by_host else hour.units
        if self.charged != due and self.wrong is None:
            self.wrong = (self.keys, f"{due} for the hour from {hour.start}", self.charged)
        self.charged = 0
        self.by_host.discard(hour.start)
        self.segments = [part for part in self.segments if part.ends is None or part.ends >= self.count.until]

    def end(self, *, following: Any) -> Iterator[Contradiction]:
        """Prove what is left to prove of the meter when the next one begins."""
        row = self.row
        self._count_to(row.until)
        # What was counted before in the month is read with the first hour.
        count = Count(row.at) if self.count.until == row.at else self.count
        self.counts[row.customer, row.currency] = self.count
        if self.wrong is not None:
            yield self.wrong
        counted = (count.until, count.residue, count.month, str(count.month_cost))
        found = (row.until, row.figure, row.month, row.month_cost)
        if not self.sound or counted != found:
            yield self.keys, f"counted to {counted}", f"counted to {found}"
        yield from self._end_of_hours(following)

    def _end_of_hours(self, following: Any) -> Iterator[Contradiction]:
        row, ended = self.row, None if self.newest is None else self.newest.ends
        running = row.resource if row.stopped_at is None else None
        due = due_at(row.at, ended, row.until)
        goes_on = int(due is not None)
        if (row.running, row.due_at, row.open) != (running, due, goes_on) or not self._ends(ended):
            expected = f"running {running}, due at {due}, open {goes_on}, ended with its last segment"
            found = f"running {row.running}, due at {row.due_at}, open {row.open}"
            yield self.keys, expected, f"{found}, stopped at {row.stopped_at}, ended at {ended}"
        if following is not None and (ended is None or following.at < end_of_count(row.at, ended)):
            yield ("meter", following.id), f"a start after the hours of {row.id}, which ended at {ended}", following.at

    def _ends(self, ended: int | None) -> bool:
        """Tell whether the hours end with the stop or, if that was told late, where they were counted to by then."""
        row = self.row
        if row.stopped_at is None or ended is None:
            return self.newest is not None and row.stopped_at is ended
        late = row.stopped_at < ended <= row.until and (ended - row.at) % HOUR == 0
        return bool((ended == row.stopped_at or late) and row.until <= end_of_count(row.at, ended))
