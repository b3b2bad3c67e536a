"""Every figure, by day, by gateway and rolled forward, is what SQL of the tests' own sums over the transfers.

A year of movements in zones with and without changes of the clocks; the sums by day
are made on the way, and some movements are written late.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from prepaid.core.figures import FIGURES, GATEWAY_FIGURES
from tests.use_cases.movements import RULES as SQL
from tests.use_cases.movements import Facts, Movements, asked, cases, day_of, micros, start_of, unproved
from tests.use_cases.steps import SQLITE, database, operator, rows, seller, value

YEAR = (date(2026, 1, 1), date(2027, 1, 1))
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Chatham", "Asia/Kolkata")
FULL = pytest.mark.full


class Year:
    """A book with a year of movements, of which the sums by day are made month by month."""

    def __init__(self, billing, clock, zone, *, seed):
        self.billing, self.zone, self._clock = billing, zone, clock
        self.moves = Movements(billing, zone, seed)
        self.reports = operator(billing).reports

    def months(self):
        borders = [start_of(date(2026, month, 1), self.zone) for month in range(1, 13)]
        return pairwise([*borders, start_of(YEAR[1], self.zone)])

    def live(self, count, *, jobs=True):
        """Let a year pass: most movements are written in time, and each month some of any day before."""
        began = start_of(YEAR[0], self.zone)
        for since, until in self.months():
            self._clock.set(until + timedelta(hours=5))
            self.moves.write(count // 13, since, until)
            self.moves.write(count // 13 // 12, began, until, in_order=False)
            if jobs:
                self.billing.run_due("rollups")
        return self


@pytest.fixture
def year(open_billing, clock):
    """Give a function that makes a year in a zone."""

    def make(zone, count, *, seed=1, **options):
        billing = open_billing(seller=seller(timezone=zone))
        return Year(billing, clock, zone, seed=seed).live(count, **options)

    return make


def kept_days(billing):
    return int(value(billing, "SELECT count(DISTINCT day) FROM prepaid_rollup_day WHERE book_id = :book"))


def assert_days_are_right(year, currency="EUR"):
    """Compare every day of the year, with what all wallets came to at its end."""
    facts = Facts(year.billing, currency).days(year.zone)
    days = year.reports.daily(*YEAR, currency=currency)
    closing = 0

    assert [each.day for each in days] == [YEAR[0] + DAY * n for n in range(365)]
    for day in days:
        expected = facts.get(day.day, dict.fromkeys(SQL, 0))
        closing += expected["wallets"]
        assert {name: getattr(day, name).units for name in FIGURES} == {name: expected[name] for name in FIGURES}
        assert day.closing.units == closing, day.day
        assert day.in_review.units == expected["suspense_in"] - expected["suspense_out"]
    assert closing == balances(year.billing, currency)


def balances(billing, currency="EUR"):
    wanted = "SELECT sum(balance) FROM prepaid_account WHERE book_id = :book AND currency = :currency"
    return int(value(billing, wanted, currency=currency))


def spans(year, count):
    """Draw spans: from day to day, from any instant to any, within one day, and over it all."""
    began, ended = (start_of(day, year.zone) for day in YEAR)
    yield began, ended
    yield ended - timedelta(hours=3), ended - timedelta(hours=1)
    for number in range(count):
        since, until = sorted(year.moves.instant(began, ended) for _ in range(2))
        if since == until:
            continue
        if number % 3 == 0:
            since, until = (start_of(day_of(instant, year.zone), year.zone) for instant in (since, until + DAY))
        yield since, until


def assert_spans_are_right(year, count):
    facts = Facts(year.billing)
    for since, until in spans(year, count):
        summary = year.reports.summary(since, until)
        expected = facts.figures(since, until)
        assert {name: getattr(summary, name).units for name in FIGURES} == {name: expected[name] for name in FIGURES}
        assert_rolls_forward(year, facts, since, until)


def assert_rolls_forward(year, facts, since, until):
    forward = year.reports.roll_forward(since, until)
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    before, after = facts.figures(beginning, since), facts.figures(beginning, until)

    assert {name: money.units for name, money in forward.lines.items()} == {
        **facts.lines(since, until),
        "adjustments": 0,
    }
    assert (forward.opening.units, forward.closing.units) == (before["wallets"], after["wallets"])
    assert sum((money.units for money in forward.lines.values()), forward.opening.units) == forward.closing.units
    waiting = [figures["suspense_in"] - figures["suspense_out"] for figures in (before, after)]
    assert [forward.suspense_opening.units, forward.suspense_closing.units] == waiting
    assert forward.suspense_opening + forward.suspense_in - forward.suspense_out == forward.suspense_closing


def assert_gateways_are_right(year):
    """Compare with sums by the owner of what is a gateway's; and all of them with the summary."""
    of_gateway = "CASE WHEN d.kind IN ('clearing', 'disputes') THEN d.owner " + (
        "WHEN c.kind IN ('clearing', 'disputes') THEN c.owner ELSE '' END"
    )
    found = asked(year.billing, cases({name: SQL[name] for name in GATEWAY_FIGURES}), of_gateway)
    owner = next(iter(found[0]))
    expected = {row[owner] or None: tuple(int(row[name]) for name in GATEWAY_FIGURES) for row in found}
    told = year.reports.by_gateway(*YEAR)

    assert [each.gateway for each in told] == ["acme", "zenith", None]
    assert {each.gateway: tuple(getattr(each, name).units for name in GATEWAY_FIGURES) for each in told} == expected
    whole = year.reports.summary(*YEAR)
    for name in GATEWAY_FIGURES:
        assert sum(getattr(each, name).units for each in told) == getattr(whole, name).units


def assert_all_is_right(year, *, count):
    assert_days_are_right(year)
    assert_days_are_right(year, "JPY")
    assert_spans_are_right(year, count)
    assert_gateways_are_right(year)
    assert unproved(year.billing) == []


@SQLITE
@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_movements_is_told_as_it_was(year, zone):
    lived = year(zone, 1300)

    assert kept_days(lived.billing) > 300
    assert_all_is_right(lived, count=6)


@FULL
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("seed", [2, 3])
def test_a_year_of_ten_thousand_movements_is_told_as_it_was(year, zone, seed):
    lived = year(zone, 10_000, seed=seed)

    assert kept_days(lived.billing) == 334  # what was written since the last job is read from the transfers
    assert_all_is_right(lived, count=60)


@pytest.mark.parametrize("jobs", [True, False])
def test_a_year_is_told_alike_with_sums_and_without(year, jobs):
    lived = year("Europe/Berlin", 400, jobs=jobs)

    assert (kept_days(lived.billing) > 0) is jobs
    assert_days_are_right(lived)
    assert_spans_are_right(lived, count=3)
    assert_gateways_are_right(lived)


@SQLITE
def test_what_is_written_after_the_last_job_counts_at_once_whenever_it_was_posted(year):
    lived = year("Europe/Berlin", 700)
    began, ended = (start_of(day, lived.zone) for day in YEAR)
    sums = kept_days(lived.billing)

    lived.moves.write(150, began, ended, in_order=False)

    assert_all_is_right(lived, count=6)
    assert kept_days(lived.billing) == sums


@SQLITE
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_movements_around_a_change_of_clocks_count_on_their_day(open_billing, clock, zone):
    year = Year(open_billing(seller=seller(timezone=zone)), clock, zone, seed=5)
    days = (YEAR[0] + DAY * n for n in range(365))
    changes = [day for day in days if start_of(day + DAY, zone) - start_of(day, zone) != DAY]
    assert len(changes) == 2
    for day in changes:
        start, end = start_of(day, zone), start_of(day + DAY, zone)
        year.moves.write_at([start - MOMENT, start, end - MOMENT, end])
        year.moves.write(40, start - DAY, end + DAY)
    clock.set(start_of(YEAR[1], zone))
    year.billing.run_due("rollups")

    sums = "SELECT day, sum(transfers) FROM prepaid_rollup_day WHERE book_id = :book GROUP BY day"
    counted = {day: int(transfers) for day, transfers in rows(year.billing, sums)}
    posted = "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book AND posted_at >= :start AND posted_at < :end"
    for day in changes:
        start, end = (micros(start_of(each, zone)) for each in (day, day + DAY))
        assert counted[day.isoformat()] == value(year.billing, posted, start=start, end=end) > 2
    assert_days_are_right(year)


@SQLITE
def test_two_books_in_one_database_do_not_share_a_figure(open_billing, clock):
    years = [
        Year(open_billing(book=f"book-{zone}", seller=seller(timezone=zone)), clock, zone, seed=7) for zone in ZONES[:2]
    ]
    for year in years:
        year.live(260)
    clock.advance(hours=5)
    years[0].moves.write(20, start_of(YEAR[0], ZONES[0]), start_of(YEAR[1], ZONES[0]), in_order=False)
    for year in years:
        year.billing.run_due("rollups")

    for year in years:
        assert database(year.billing).book_id
        assert_days_are_right(year)
        assert unproved(year.billing) == []
