"""Days of a zone that follow each other: no instant is in two of them, or in none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.days import Days
from prepaid.core.instants import from_micros, is_timezone, local_day, to_micros
from tests.core.test_instants import ZONES

DAY = timedelta(days=1)
BLOCKS = st.tuples(st.dates(date(2000, 1, 1), date(2036, 1, 1)), st.integers(1, 400), st.sampled_from(ZONES))


@given(BLOCKS, st.floats(0, 1, exclude_max=True))
@example((date(2026, 10, 20), 10, "Europe/Berlin"), 0.5)
@example((date(2011, 12, 28), 5, "Pacific/Apia"), 0.4)
def test_every_instant_of_the_days_lies_in_the_one_that_the_calendar_says(
    block: tuple[date, int, str], share: float
) -> None:
    first, number, zone = block
    days = Days.of(first, first + DAY * number, zone)
    instant = days.start + (days.end - days.start) * share

    assert days.dates == tuple(first + DAY * n for n in range(number))
    assert days.dates[days.place_of(instant)] == local_day(instant, zone)


@given(BLOCKS)
def test_a_day_begins_at_its_start_and_not_before(block: tuple[date, int, str]) -> None:
    first, number, zone = block
    days = Days.of(first, first + DAY * number, zone)

    for place, start in enumerate(days.starts):
        assert days.place_of(start) == place
        assert days.place_of(start - timedelta(microseconds=1)) == place - 1


@given(BLOCKS, st.integers(0, 2**53))
def test_steps_never_cross_the_border_of_two_days(block: tuple[date, int, str], micros: int) -> None:
    first, number, zone = block
    days = Days.of(first, first + DAY * number, zone)
    begun = micros - micros % days.step

    assert days.step >= 1_000_000 * 60
    assert days.place_of(from_micros(begun)) == days.place_of(from_micros(micros))
    assert [to_micros(start) % days.step for start in days.starts] == [0] * len(days.starts)


def test_the_step_is_as_long_as_the_days_allow() -> None:
    hours = {
        zone: Days.of(date(2026, 10, 20), date(2026, 10, 30), zone).step // 3_600_000_000
        for zone in ("UTC", "Europe/Berlin")
    }
    assert hours == {"UTC": 24, "Europe/Berlin": 1}
    chatham = Days.of(date(2026, 9, 20), date(2026, 9, 30), "Pacific/Chatham")
    assert chatham.step == 15 * 60 * 1_000_000


def test_one_day_is_a_block_too() -> None:
    day = Days.of_one(date(2026, 3, 29), "Europe/Berlin")

    assert day.dates == (date(2026, 3, 29),)
    assert (day.start, day.end) == (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "../../etc/passwd", "/etc", "a\x00b", "x" * 300])
def test_what_is_no_time_zone_is_none(name: str) -> None:
    assert not is_timezone(name)
    assert is_timezone("Pacific/Chatham")
