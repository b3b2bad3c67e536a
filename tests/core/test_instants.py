"""Instants and days: exact, aware, and right through every change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.instants import EPOCH, check_instant, day_start, from_micros, local_day, to_micros

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # until 2019 the clocks went forward at midnight: those days had no 00:00
    "America/Havana",  # clocks go back from 01:00 to 00:00: 00:00 comes twice
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]
INSTANTS = st.datetimes(timezones=st.just(UTC))
LOCAL = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from(ZONES).map(ZoneInfo),
)
DAYS = st.dates(date(2000, 1, 1), date(2036, 12, 31))


class TestMicros:
    @given(INSTANTS)
    @example(datetime.max.replace(tzinfo=UTC))
    @example(datetime.min.replace(tzinfo=UTC))
    def test_every_microsecond_round_trips(self, instant: datetime) -> None:
        assert from_micros(to_micros(instant)) == instant

    @given(LOCAL)
    def test_the_zone_does_not_change_the_count(self, local: datetime) -> None:
        assert to_micros(local) == to_micros(local.astimezone(UTC))

    def test_microseconds_are_counted_from_1970(self) -> None:
        assert (to_micros(EPOCH), to_micros(EPOCH + timedelta(microseconds=1))) == (0, 1)
        assert to_micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1

    def test_both_readings_of_an_hour_that_comes_twice_are_kept_apart(self) -> None:
        first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

        assert to_micros(first.replace(fold=1)) - to_micros(first) == 3_600_000_000

    def test_a_naive_datetime_is_never_counted(self) -> None:
        with pytest.raises(TypeError):
            to_micros(datetime(2026, 11, 23))  # noqa: DTZ001


class _NoOffset(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None

    def dst(self, when: datetime | None) -> timedelta | None:
        return None

    def tzname(self, when: datetime | None) -> str | None:
        return None


class TestCheckInstant:
    @given(LOCAL)
    def test_an_aware_datetime_is_given_in_utc(self, local: datetime) -> None:
        checked = check_instant(local, field="at")

        assert checked.tzinfo is UTC
        assert checked == local.astimezone(UTC)

    @pytest.mark.parametrize(
        "value",
        [
            datetime(2026, 11, 23),  # noqa: DTZ001
            datetime(2026, 11, 23, tzinfo=_NoOffset()),
        ],
        ids=["naive", "zone without an offset"],
    )
    def test_a_datetime_that_names_no_instant_is_refused(self, value: datetime) -> None:
        with pytest.raises(InvalidRequest, match="needs a time zone") as refusal:
            check_instant(value, field="since")

        assert refusal.value.field == "since"

    @pytest.mark.parametrize(
        "value", [None, 0, 1.5, True, "2026-11-23T00:00:00Z", date(2026, 11, 23), b"", ()], ids=ascii
    )
    def test_other_types_are_refused(self, value: Any) -> None:
        with pytest.raises(InvalidRequest, match="is a datetime"):
            check_instant(value, field="at")

    @pytest.mark.parametrize(
        "value",
        [
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        ],
        ids=["before year 1", "after year 9999"],
    )
    def test_an_instant_that_utc_cannot_write_is_refused(self, value: datetime) -> None:
        with pytest.raises(InvalidRequest, match="years 1 to 9999"):
            check_instant(value, field="at")


class TestDays:
    @given(DAYS, st.sampled_from(ZONES))
    @example(date(2018, 11, 4), "America/Sao_Paulo")
    @example(date(2018, 2, 18), "America/Sao_Paulo")
    @example(date(2026, 11, 1), "America/Havana")
    @example(date(2026, 3, 29), "Asia/Beirut")
    @example(date(2026, 4, 24), "Africa/Cairo")
    def test_a_day_begins_with_its_first_microsecond(self, day: date, zone: str) -> None:
        start = day_start(day, zone)

        assert start.tzinfo is UTC
        assert local_day(start, zone) == day
        assert local_day(start - timedelta(microseconds=1), zone) == day - timedelta(days=1)

    @given(DAYS, st.sampled_from(ZONES))
    def test_days_follow_each_other_without_gap_or_overlap(self, day: date, zone: str) -> None:
        length = day_start(day + timedelta(days=1), zone) - day_start(day, zone)

        assert timedelta(hours=23) <= length <= timedelta(hours=25)

    @pytest.mark.parametrize(
        ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 11, 23), 24)]
    )
    def test_the_days_of_a_change_of_clocks_are_shorter_or_longer(self, day: date, hours: int) -> None:
        length = day_start(day + timedelta(days=1), "Europe/Berlin") - day_start(day, "Europe/Berlin")

        assert length == timedelta(hours=hours)

    def test_a_day_that_a_place_skipped_is_empty(self) -> None:
        skipped = date(2011, 12, 30)  # Samoa moved across the date line

        assert day_start(skipped, "Pacific/Apia") == day_start(skipped + timedelta(days=1), "Pacific/Apia")

    def test_an_instant_belongs_to_different_days_in_different_zones(self) -> None:
        instant = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)

        assert local_day(instant, "Pacific/Kiritimati") == date(2026, 11, 24)
        assert local_day(instant, "Pacific/Pago_Pago") == date(2026, 11, 22)
