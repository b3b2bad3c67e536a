"""Metering: what hours cost exactly, and that charges add up to it, whatever is stopped, changed and capped."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve, frozen
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.instants import to_micros
from prepaid.core.metering import (
    HOUR,
    SECOND,
    Count,
    Hour,
    Meterage,
    Segment,
    count_hours,
    due_at,
    end_of_count,
    hours_owed,
    terms_of,
)
from prepaid.core.money import scale_of
from prepaid.core.rates import Rate

START = to_micros(datetime(2026, 11, 23, tzinfo=UTC))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")


@frozen(kw_only=True)
class Story:
    """A meter's life: when it began to run at which rate, and when it ended."""

    started: int
    segments: tuple[tuple[int, int | None, Rate], ...]
    zone: str = "UTC"

    @property
    def ended(self) -> int | None:
        return self.segments[-1][1]

    @property
    def currency(self) -> str:
        return self.segments[0][2].currency

    def count(self, hours: int, *, splits: Sequence[int] = ()) -> tuple[list[Hour], Count]:
        """Count so many hours, in runs that end after so many of them."""
        segments = [Segment(starts, ends, terms_of(rate)) for starts, ends, rate in self.segments]
        meterage, count, counted = Meterage(self.started, self.currency, self.zone), Count(self.started), list[Hour]()
        for begin, end in itertools.pairwise(sorted({0, hours, *(split for split in splits if split < hours)})):
            some, count = count_hours(segments, count, meterage, most=end - begin)
            counted += some
        return counted, count

    def units(self, hours: int) -> int:
        return sum(hour.units for hour in self.count(hours)[0])

    def exact(self, hours: int) -> Fraction:
        """Compute in another way, in ledger units, what so many hours cost."""
        spent: dict[str, Fraction] = {}
        for number in range(hours):
            start = self.started + number * HOUR
            local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)).astimezone(ZoneInfo(self.zone))
            month = local.strftime("%Y-%m")
            for price, rate in self._prices(start):
                room = None if rate.monthly_cap is None else Fraction(rate.monthly_cap) - spent.get(month, Fraction(0))
                spent[month] = spent.get(month, Fraction(0)) + (price if room is None else min(price, max(room, 0)))
        return sum(spent.values(), Fraction(0)) * 10 ** scale_of(self.currency)

    def _prices(self, start: int) -> list[tuple[Fraction, Rate]]:
        if self.segments[0][2].increment == "second":
            seconds = (self._rate_at(start + second * SECOND) for second in range(3600))
            return [(Fraction(rate.amount) / 3600, rate) for rate in seconds if rate is not None]
        met = [
            rate
            for starts, ends, rate in self.segments
            if starts < start + HOUR and (ends is None or max(starts, start) < ends)
        ]
        rate = max(reversed(met or [self.segments[0][2]]), key=lambda rate: rate.amount)
        return [(Fraction(rate.amount), rate)]

    def _rate_at(self, instant: int) -> Rate | None:
        """Give the rate of a second: what was in force in its first instant, or is charged at least."""
        begun = [(starts, ends, rate) for starts, ends, rate in self.segments if starts <= instant]
        running = [rate for starts, ends, rate in begun if ends is None or instant < ends]
        at_least = self.segments[0][2].minimum_s * SECOND
        return running[0] if running else begun[-1][2] if instant - self.started < at_least else None


def rate(amount: str = "0.01", **terms: object) -> Rate:
    return Rate.hourly(amount, "EUR", **terms)  # type: ignore[arg-type]


def running(*rates: Rate, at: Sequence[timedelta] = (), stop: timedelta | None = None, zone: str = "UTC") -> Story:
    """Tell of a meter that changes its rate at some offsets and stops."""
    offsets = [timedelta(0), *at]
    starts = [START + offset // timedelta(microseconds=1) for offset in offsets]
    ends = [*starts[1:], None if stop is None else START + stop // timedelta(microseconds=1)]
    return Story(started=START, segments=tuple(zip(starts, ends, rates, strict=True)), zone=zone)


@st.composite
def stories(draw: st.DrawFn, *, caps: Sequence[str | None] = (None, "0.0001", "0.01", "3", "500")) -> Story:
    """Make meters that are stopped, restarted and changed, within what a host can do."""
    increment, currency = draw(st.sampled_from(("hour", "second"))), draw(st.sampled_from(("EUR", "JPY", "KWD")))
    minimum = draw(st.sampled_from((0, 1, 90, 3600))) if increment == "second" else 0
    started = draw(
        st.integers(to_micros(datetime(2026, 3, 28, tzinfo=UTC)), to_micros(datetime(2026, 11, 30, tzinfo=UTC)))
    )
    amounts = st.integers(1, 10**13).map(lambda digits: Decimal(digits).scaleb(-12))
    rates = draw(st.lists(st.tuples(amounts, st.sampled_from(caps)), min_size=1, max_size=3))
    segments, instant = [], started
    for number, (amount, monthly_cap) in enumerate(rates):
        minutes, micros = draw(st.integers(0, 80)), draw(st.integers(0 if number == 0 else 1, 2 * SECOND))
        length = minutes * 60 * SECOND + micros
        terms = Rate.hourly(amount, currency, monthly_cap=monthly_cap, increment=increment, minimum_s=minimum)  # type: ignore[arg-type]
        segments.append((instant, instant + length, terms))
        instant += length
        if draw(st.booleans()):  # stopped, and started again in the hour that had begun
            instant = draw(st.integers(instant, max(instant, end_of_count(started, instant) - 1)))
    if draw(st.booleans()):
        starts, _, terms = segments.pop()
        segments.append((starts, None, terms))
    return Story(started=started, segments=tuple(segments), zone=draw(st.sampled_from(ZONES)))


def hours_of(story: Story, at_least: int = 1) -> int:
    end = story.segments[-1][0] if story.ended is None else story.ended
    begun = (end_of_count(story.started, end) - story.started) // HOUR
    return begun if story.ended is not None else begun + at_least


class TestExactness:
    @given(stories())
    def test_what_is_charged_is_within_half_a_unit_of_what_it_costs_and_the_residue_is_the_rest(
        self, story: Story
    ) -> None:
        hours = hours_of(story)
        counted, count = story.count(hours)
        charged, exact = sum(hour.units for hour in counted), story.exact(hours)
        parts = 3600 * 10 ** (12 - scale_of(story.currency))

        assert abs(charged - exact) <= Fraction(1, 2)
        assert charged + Fraction(count.residue, parts) == exact

    @given(stories(), st.lists(st.integers(1, 12), max_size=5))
    def test_it_does_not_matter_how_the_hours_are_spread_over_runs(self, story: Story, splits: list[int]) -> None:
        assert story.count(hours_of(story), splits=splits) == story.count(hours_of(story))

    @given(stories())
    def test_no_charge_is_below_zero_and_hours_follow_each_other(self, story: Story) -> None:
        counted, count = story.count(hours_of(story))

        assert all(hour.units >= 0 for hour in counted)
        assert [hour.start for hour in counted] == [story.started + number * HOUR for number in range(len(counted))]
        assert count.until == story.started + len(counted) * HOUR

    @given(st.integers(1, 10**8), st.sampled_from(("EUR", "JPY")), st.integers(0, 300))
    @example(400_000, "EUR", 300)
    @example(500_000, "EUR", 7)
    def test_hours_charged_one_by_one_cost_what_they_cost_together(
        self, digits: int, currency: str, hours: int
    ) -> None:
        fine = Rate.hourly(Decimal(digits).scaleb(-12), currency)
        story = Story(started=START, segments=((START, None, fine),))

        assert abs(story.units(hours) - Fraction(fine.amount) * hours * 10 ** scale_of(currency)) <= Fraction(1, 2)

    def test_a_rate_finer_than_a_ledger_unit_is_charged_when_it_adds_up(self) -> None:
        counted, count = running(rate("0.0000004")).count(5)

        assert [hour.units for hour in counted] == [0, 1, 0, 1, 0]
        assert count.residue == 0

    def test_halves_go_to_the_even_unit(self) -> None:
        assert [hour.units for hour in running(rate("0.0000005")).count(4)[0]] == [0, 1, 0, 1]
        assert [hour.units for hour in running(rate("0.0000015")).count(4)[0]] == [2, 1, 2, 1]

    def test_the_dearest_rate_for_a_year_is_still_exact(self) -> None:
        dear = running(rate("999999999.999999999999", monthly_cap="9223372036854"))

        assert abs(dear.units(8760) - dear.exact(8760)) <= Fraction(1, 2)


class TestMonotonicity:
    @given(stories(caps=(None,)), st.integers(1, 10**6))
    def test_a_higher_rate_never_costs_less(self, story: Story, more: int) -> None:
        dearer = evolve(
            story,
            segments=tuple(
                (starts, ends, evolve(rate, amount=rate.amount + Decimal(more).scaleb(-12)))
                for starts, ends, rate in story.segments
            ),
        )

        assert dearer.units(hours_of(story)) >= story.units(hours_of(story))

    @given(stories(), st.integers(1, 2 * HOUR))
    def test_a_later_stop_never_costs_less(self, story: Story, longer: int) -> None:
        starts, ends, terms = story.segments[-1]
        if ends is None:
            ends = starts + HOUR // 2
            story = evolve(story, segments=(*story.segments[:-1], (starts, ends, terms)))
        later = evolve(story, segments=(*story.segments[:-1], (starts, ends + longer, terms)))

        assert later.units(hours_of(later)) >= story.units(hours_of(story))


class TestChangeInsideAnHour:
    def test_the_hour_costs_the_highest_rate_in_force_in_it(self) -> None:
        up = running(rate("0.01"), rate("0.04"), at=[timedelta(minutes=90)])
        down = running(rate("0.04"), rate("0.01"), at=[timedelta(minutes=90)])
        there_and_back = running(
            rate("0.01"), rate("0.04"), rate("0.01"), at=[timedelta(minutes=61), timedelta(minutes=62)]
        )

        assert [hour.units for hour in up.count(3)[0]] == [10_000, 40_000, 40_000]
        assert [hour.units for hour in down.count(3)[0]] == [40_000, 40_000, 10_000]
        assert [hour.units for hour in there_and_back.count(3)[0]] == [10_000, 40_000, 10_000]

    def test_a_change_at_the_full_hour_belongs_to_the_next(self) -> None:
        story = running(rate("0.01"), rate("0.04"), at=[timedelta(hours=1)])

        assert [hour.units for hour in story.count(2)[0]] == [10_000, 40_000]

    def test_by_the_second_each_rate_costs_its_time(self) -> None:
        story = running(rate("3.60", increment="second"), rate("7.20", increment="second"), at=[timedelta(minutes=90)])

        assert [hour.units for hour in story.count(3)[0]] == [3_600_000, 5_400_000, 7_200_000]

    @pytest.mark.parametrize(("micros", "earlier"), [(0, 10), (1, 11), (500_000, 11), (999_999, 11), (1_000_000, 11)])
    def test_a_begun_second_belongs_to_the_earlier_rate(self, micros: int, earlier: int) -> None:
        at = timedelta(seconds=10, microseconds=micros)
        story = running(rate("3.60", increment="second"), rate("7.20", increment="second"), at=[at])

        assert story.units(1) == (earlier + 2 * (3600 - earlier)) * 1000

    def test_a_gap_within_an_hour_is_free_by_the_second_only(self) -> None:
        def stopped_between(increment: str) -> Story:
            terms = rate("3.60", increment=increment)
            first, second = (START, START + 600 * SECOND, terms), (START + 1800 * SECOND, None, terms)
            return Story(started=START, segments=(first, second))

        assert stopped_between("second").units(1) == 2_400_000
        assert stopped_between("hour").units(1) == 3_600_000


class TestMinimum:
    @pytest.mark.parametrize(("stopped_s", "charged_s"), [(0, 60), (1, 60), (59.5, 60), (60, 60), (60.1, 61), (90, 90)])
    def test_a_meter_is_charged_so_many_seconds_from_its_start(self, stopped_s: float, charged_s: int) -> None:
        story = running(rate("3.60", increment="second", minimum_s=60), stop=timedelta(seconds=stopped_s))
        [hour] = story.count(1)[0]

        assert (hour.seconds, hour.units) == (charged_s, charged_s * 1000)

    def test_the_minimum_counts_from_the_start_only(self) -> None:
        terms = rate("3.60", increment="second", minimum_s=60)
        again = Story(
            started=START,
            segments=(
                (START, START + 10 * SECOND, terms),
                (START + 30 * SECOND, START + 40 * SECOND, terms),
                (START + 100 * SECOND, START + 101 * SECOND, terms),
            ),
        )

        assert again.units(1) == 61_000

    def test_a_later_hour_has_no_minimum(self) -> None:
        story = running(rate("3.60", increment="second", minimum_s=60), stop=timedelta(hours=1, seconds=10))

        assert [hour.seconds for hour in story.count(2)[0]] == [3600, 10]

    def test_what_is_charged_at_least_costs_the_rate_it_stopped_at(self) -> None:
        terms = [rate(amount, increment="second", minimum_s=60) for amount in ("3.60", "7.20")]
        story = running(*terms, at=[timedelta(seconds=20)], stop=timedelta(seconds=30))

        assert story.units(1) == 20_000 + 40 * 2000

    def test_without_a_minimum_a_stop_in_the_instant_of_the_start_is_free_by_the_second_only(self) -> None:
        for increment, units in (("second", 0), ("hour", 3_600_000)):
            assert running(rate("3.60", increment=increment), stop=timedelta(0)).units(1) == units


class TestCap:
    @given(stories(caps=("0.0001", "0.01", "3")))
    def test_no_month_costs_more_than_the_highest_cap_in_it(self, story: Story) -> None:
        highest = max(Fraction(rate.monthly_cap) for _, _, rate in story.segments if rate.monthly_cap is not None)
        months: dict[str, Fraction] = {}
        count = Count(story.started)
        segments = [Segment(starts, ends, terms_of(rate)) for starts, ends, rate in story.segments]
        for _ in range(hours_of(story)):
            _, count = count_hours(segments, count, Meterage(story.started, story.currency, story.zone), most=1)
            months[count.month] = Fraction(count.month_cost, 3600 * 10**12)

        assert all(cost <= highest for cost in months.values())

    @pytest.mark.parametrize(
        ("zone", "since", "hours"),
        [
            ("Europe/Berlin", datetime(2026, 10, 1, tzinfo=UTC), 745),
            ("Europe/Berlin", datetime(2026, 3, 1, tzinfo=UTC), 743),
            ("Europe/Berlin", datetime(2026, 11, 1, tzinfo=UTC), 720),
            ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC), 721),
            ("UTC", datetime(2026, 10, 1, tzinfo=UTC), 744),
        ],
    )
    def test_a_month_is_capped_once_and_as_long_as_it_is_in_the_sellers_zone(
        self, zone: str, since: datetime, hours: int
    ) -> None:
        start = to_micros(since.replace(tzinfo=ZoneInfo(zone)))  # midnight there
        story = Story(started=start, segments=((start, None, rate("0.01", monthly_cap="5.00")),), zone=zone)
        counted, count = story.count(hours + 2)

        assert [hour.units for hour in counted[:502]] == [10_000] * 500 + [0] * 2
        assert [hour.units for hour in counted[hours - 1 :]] == [0, 10_000, 10_000]
        assert count.month_cost == 2 * 36 * 10**12

    def test_an_hour_belongs_to_the_month_in_which_it_starts(self) -> None:
        start = to_micros(datetime(2026, 10, 31, 22, 30, tzinfo=UTC))  # half past eleven in the evening in Berlin
        story = Story(started=start, segments=((start, None, rate(monthly_cap="0.01")),), zone="Europe/Berlin")

        assert [hour.units for hour in story.count(3)[0]] == [10_000, 10_000, 0]
        assert story.count(1)[1].month == "2026-10"

    def test_the_last_hour_before_the_cap_costs_what_is_left_of_it(self) -> None:
        story = running(rate("0.04", monthly_cap="0.10"))

        assert [hour.units for hour in story.count(4)[0]] == [40_000, 40_000, 20_000, 0]

    def test_a_cap_below_what_the_month_has_cost_charges_no_more_and_gives_nothing_back(self) -> None:
        story = running(rate("0.04"), rate("0.02", monthly_cap="0.05"), at=[timedelta(hours=2)])

        assert [hour.units for hour in story.count(4)[0]] == [40_000, 40_000, 0, 0]

    def test_of_equal_rates_in_an_hour_the_latest_cap_holds(self) -> None:
        story = running(rate("0.04", monthly_cap="1"), rate("0.04", monthly_cap="0.03"), at=[timedelta(minutes=5)])

        assert story.units(2) == 30_000

    def test_what_was_counted_before_in_the_month_counts_towards_the_cap(self) -> None:
        segment = Segment(START, None, terms_of(rate("0.04", monthly_cap="0.10")))
        before = Count(START, 0, "2026-11", 9 * 36 * 10**12)  # nine cents

        hours, _ = count_hours([segment], before, Meterage(START, "EUR", "UTC"), most=2)

        assert [hour.units for hour in hours] == [10_000, 0]


class TestWhatIsDue:
    @pytest.mark.parametrize(
        ("minutes", "begun"), [(0, 1), (1, 1), (59, 1), (60, 1), (61, 2), (119, 2), (120, 2), (150, 3)]
    )
    def test_an_hour_that_was_begun_is_the_last(self, minutes: int, begun: int) -> None:
        assert end_of_count(START, START + minutes * 60 * SECOND) == START + begun * HOUR

    def test_hours_are_owed_when_they_have_ended(self) -> None:
        meterage, count = Meterage(START, "EUR", "UTC"), Count(START + HOUR)

        owed = [hours_owed(meterage, None, count, START + offset) for offset in (0, 2 * HOUR - 1, 2 * HOUR, 5 * HOUR)]
        assert owed == [0, 0, 1, 4]
        assert hours_owed(meterage, START + 2 * HOUR + 1, count, START + 9 * HOUR) == 2

    def test_a_meter_is_due_at_the_end_of_its_next_hour_until_its_last(self) -> None:
        ended = START + HOUR + 1

        assert [due_at(START, ended, START + n * HOUR) for n in range(3)] == [START + HOUR, START + 2 * HOUR, None]
        assert due_at(START, None, START + 7 * HOUR) == START + 8 * HOUR

    def test_time_in_which_nothing_ran_costs_nothing(self) -> None:
        ended = Segment(START, START + 1, terms_of(rate()))

        hours, _ = count_hours([ended], Count(START + HOUR), Meterage(START, "EUR", "UTC"), most=1)

        assert [(hour.seconds, hour.units) for hour in hours] == [(0, 0)]
