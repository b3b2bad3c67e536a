"""The daily digest: what settings may be, which days are due, and what is late once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.digest import (
    CATCH_UP_DAYS,
    MOST_ADDRESSES,
    CurrencyFacts,
    DigestFacts,
    DigestSettings,
    LateEntry,
    due_at,
    facts_from_record,
    late_entries,
    missing_days,
    settings_from_record,
    told_figures,
)
from prepaid.core.errors import InvalidRequest
from prepaid.core.instants import day_start, local_day

DAY = timedelta(days=1)
ZONES = st.sampled_from(
    "UTC Europe/Berlin America/New_York America/Havana Australia/Lord_Howe Asia/Kolkata Pacific/Kiritimati "
    "Pacific/Pago_Pago Africa/Cairo Asia/Beirut America/Santiago".split()
)
DAYS = st.dates(date(2000, 1, 1), date(2036, 12, 31))
HOURS = st.integers(0, 23)


# Settings


def on(**changes: object) -> DigestSettings:
    return DigestSettings(**{"enabled": True, "email": "cfo@nimbus.example", **changes})  # type: ignore[arg-type]


def test_one_address_is_as_good_as_a_list_of_one() -> None:
    assert on().email == on(email=["cfo@nimbus.example"]).email == ("cfo@nimbus.example",)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "cfo",
        "@nimbus.example",
        "cfo@",
        "CFO <cfo@nimbus.example>",
        '"C. F. O." <cfo@nimbus.example>',
        "cfo@nimbus.example (the boss)",
        "cfo@nimbus.example, ceo@nimbus.example",
        "cfo@nimbus.example;ceo@nimbus.example",
        "cfo@nimbus.example ",
        " cfo@nimbus.example",
        "cfo@nimbus.example\n",
        "cfo@nimbus.example\r\nBcc: eve@evil.example",
        "cfo\r\nBcc: eve@evil.example",
        "cfo\x00@nimbus.example",
        "cfo@nimbus.example\u2028",
        "cfo@@nimbus.example",
        "c..fo@nimbus.example",
        ".cfo@nimbus.example",
        "cfo.@nimbus.example",
        "cfo@nimbus..example",
        "cfo@.nimbus.example",
        "cfo@nimbus.example.",
        "cfo@-nimbus.example",
        "cfo@nimbus-.example",
        "c\u00e4fo@nimbus.example",
        "cfo@n\u0456mbus.example",
        '"cfo"@nimbus.example',
        "<cfo@nimbus.example>",
        "cfo@[192.0.2.1]",
        "x" * 65 + "@nimbus.example",
        "cfo@" + "x" * 254,
        None,
        5,
        b"cfo@nimbus.example",
    ],
)
def test_an_address_is_one_plain_address_or_refused(address: object) -> None:
    for email in ([address], [address, "ceo@nimbus.example"], ("ceo@nimbus.example", address)):
        with pytest.raises(InvalidRequest) as refused:
            on(email=email)
        assert refused.value.field == "email"


@pytest.mark.parametrize(
    "email",
    [
        "",
        (),
        [],
        None,
        5,
        b"cfo@nimbus.example",
        {"cfo@nimbus.example"},
        ["cfo@nimbus.example", "cfo@nimbus.example"],
        ["cfo@nimbus.example", "CFO@Nimbus.example"],
        [f"cfo-{number}@nimbus.example" for number in range(MOST_ADDRESSES + 1)],
    ],
)
def test_addresses_are_at_least_one_at_most_twenty_and_each_once(email: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        on(email=email)
    assert refused.value.field == "email"


def test_twenty_addresses_are_taken_and_none_while_it_is_off() -> None:
    twenty = [f"cfo-{number}@nimbus.example" for number in range(MOST_ADDRESSES)]

    assert on(email=twenty).email == tuple(twenty)
    assert DigestSettings(enabled=False).email == ()


def test_addresses_do_not_show() -> None:
    assert "nimbus" not in repr(on())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("enabled", value) for value in (None, 1, 0, "yes", [])),
        *(("hour", value) for value in (-1, 24, 7.0, "7", None, True, [])),
        *(("timezone", value) for value in ("Mars/Olympus", "", "../../etc/passwd", "localtime", 5, b"UTC", "x" * 65)),
        *(("locale", value) for value in ("", "e", "english", "en_", "en DE", "en\n", "../de", None, 5, b"en")),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        on(**{field: value})
    assert refused.value.field == field


@given(hour=HOURS, zone=st.none() | ZONES, locale=st.sampled_from(["en", "de_DE", "zh-Hans-CN"]), enabled=st.booleans())
def test_settings_come_back_from_their_record(hour: int, zone: str | None, locale: str, enabled: bool) -> None:
    settings = on(hour=hour, timezone=zone, locale=locale, enabled=enabled).after(
        DigestSettings(), yesterday=date(2026, 11, 22)
    )

    assert settings_from_record(settings.record()) == settings
    assert settings.zone("Europe/Berlin") == (zone or "Europe/Berlin")
    assert settings_from_record(None) == settings_from_record({}) == DigestSettings()


def test_what_is_switched_on_begins_with_yesterday_and_what_goes_on_keeps_its_beginning() -> None:
    off, first, later = DigestSettings(), date(2026, 11, 22), date(2026, 12, 22)

    begun = on().after(off, yesterday=first)
    changed = on(hour=9).after(begun, yesterday=later)
    ended = DigestSettings(email="cfo@nimbus.example").after(changed, yesterday=later)
    again = on().after(ended, yesterday=later)

    assert [each.first_day for each in (begun, changed, ended, again)] == [first, first, None, later]


# When a digest is due


@pytest.mark.parametrize(
    ("day", "hour", "zone", "expected"),
    [
        (date(2026, 11, 23), 7, "Europe/Berlin", "2026-11-24T06:00:00+00:00"),
        (date(2026, 11, 23), 0, "Europe/Berlin", "2026-11-23T23:00:00+00:00"),  # as soon as the day has ended
        (date(2026, 11, 23), 23, "Europe/Berlin", "2026-11-24T22:00:00+00:00"),
        (date(2026, 11, 23), 7, "America/New_York", "2026-11-24T12:00:00+00:00"),
        (date(2026, 11, 23), 20, "America/New_York", "2026-11-24T01:00:00+00:00"),  # still the same day there
        (date(2026, 11, 23), 7, "Asia/Tokyo", "2026-11-24T22:00:00+00:00"),  # at 08:00 there the day ends: the next 7
        (date(2026, 11, 23), 8, "Asia/Tokyo", "2026-11-23T23:00:00+00:00"),
        (date(2026, 3, 28), 2, "Europe/Berlin", "2026-03-29T01:00:00+00:00"),  # there is no 02:00: 03:00 it is
        (date(2026, 10, 24), 2, "Europe/Berlin", "2026-10-25T00:00:00+00:00"),  # 02:00 comes twice: the first
        (date(2026, 10, 25), 7, "Europe/Berlin", "2026-10-26T06:00:00+00:00"),  # a day of 25 hours
    ],
)
def test_a_digest_is_due_at_the_first_such_hour_after_its_day(day: date, hour: int, zone: str, expected: str) -> None:
    assert due_at(day, hour, zone=zone, seller_zone="Europe/Berlin").isoformat() == expected


@given(day=DAYS, hour=HOURS, zone=ZONES, seller=ZONES)
@example(day=date(2026, 3, 28), hour=2, zone="Europe/Berlin", seller="Europe/Berlin")
@example(day=date(2011, 12, 29), hour=7, zone="Pacific/Apia", seller="Pacific/Apia")
def test_it_is_due_after_the_day_at_that_hour_and_within_a_day(day: date, hour: int, zone: str, seller: str) -> None:
    at, ended = due_at(day, hour, zone=zone, seller_zone=seller), day_start(day + DAY, seller)

    assert ended <= at < ended + timedelta(hours=26)
    local = at.astimezone(ZoneInfo(zone))
    there_is_no_such_hour = local.astimezone(UTC) - local.utcoffset() != local  # type: ignore[operator]
    assert local.hour == hour or there_is_no_such_hour or local.hour == hour + 1


@given(day=DAYS, hour=HOURS, zone=ZONES, seller=ZONES)
def test_an_earlier_day_is_never_due_later(day: date, hour: int, zone: str, seller: str) -> None:
    assert due_at(day, hour, zone=zone, seller_zone=seller) <= due_at(day + DAY, hour, zone=zone, seller_zone=seller)


# Which days are missing


def missing(
    now: datetime, *, written: tuple[date, ...] = (), first: date = date(2026, 11, 1), hour: int = 7
) -> list[str]:
    settings = on(hour=hour, first_day=first)
    return [str(day) for day in missing_days(settings, now=now, seller_zone="Europe/Berlin", written=written)]


def test_days_are_missing_from_the_first_one_on_whose_hour_has_come() -> None:
    at_six = datetime(2026, 11, 4, 5, 59, tzinfo=UTC)

    assert missing(at_six) == ["2026-11-01", "2026-11-02"]
    assert missing(at_six + timedelta(minutes=1)) == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert missing(at_six, written=(date(2026, 11, 1),)) == ["2026-11-02"]
    assert missing(at_six, written=(date(2026, 11, 2), date(2026, 12, 24))) == ["2026-11-01"]


def test_nothing_is_missing_while_it_is_off() -> None:
    now = datetime(2026, 11, 4, 12, tzinfo=UTC)
    assert missing_days(DigestSettings(), now=now, seller_zone="UTC", written=()) == ()


def test_what_was_missed_longer_ago_than_a_month_is_left() -> None:
    found = missing(datetime(2027, 6, 1, 12, tzinfo=UTC))

    assert (found[0], found[-1], len(found)) == ("2027-05-01", "2027-05-31", CATCH_UP_DAYS)


def test_a_clock_that_goes_back_before_the_beginning_finds_nothing_missing() -> None:
    assert missing(datetime(2026, 10, 4, 12, tzinfo=UTC)) == []


@given(
    hour=HOURS,
    zone=ZONES,
    seller=ZONES,
    looks=st.lists(st.integers(-600, 600), min_size=1, max_size=30),
)
def test_whatever_the_clock_does_each_day_is_written_once_and_none_is_left_out(
    hour: int, zone: str, seller: str, looks: list[int]
) -> None:
    """A clock that jumps by up to 25 days, forward and back, and in the end goes right for forty days."""
    start = datetime(2026, 10, 20, 12, tzinfo=UTC)
    first = local_day(start, seller) - DAY
    settings = on(hour=hour, timezone=zone, first_day=first)
    hours = [*looks, *range(0, 24 * 40, 12)]
    written: list[date] = []
    for passed in hours:
        now = start + timedelta(hours=passed)
        written += missing_days(settings, now=now, seller_zone=seller, written=set(written))

    assert len(set(written)) == len(written)
    until = max(written)
    assert sorted(written) == [first + count * DAY for count in range((until - first).days + 1)]
    assert until >= first + 38 * DAY


# Facts


FIGURES = st.dictionaries(st.sampled_from(["funds_in", "fees", "goodwill"]), st.integers(-(10**18), 10**18))
FACTS = st.builds(
    DigestFacts,
    day=DAYS,
    seller=st.text(max_size=20),
    locale=st.just("en"),
    timezone=ZONES,
    seller_zone=ZONES,
    currencies=st.lists(
        st.builds(
            CurrencyFacts,
            currency=st.sampled_from(["EUR", "JPY"]),
            figures=FIGURES,
            day_before=FIGURES,
            week_before=FIGURES,
            liability=st.integers(0, 2**63),
            debts=st.integers(-(2**63), 0),
        ),
        max_size=2,
    ).map(tuple),
    work=st.dictionaries(st.sampled_from(["reviews", "parked_effects"]), st.integers(0, 9)),
    late=st.lists(st.builds(LateEntry, DAYS, st.just("EUR"), st.just("fees"), st.integers())).map(tuple),
)


@given(facts=FACTS)
def test_facts_come_back_from_their_record(facts: DigestFacts) -> None:
    assert facts_from_record(facts.record()) == facts


# Late entries


def digest(day: date, late: tuple[LateEntry, ...] = (), **figures: int) -> DigestFacts:
    currency = CurrencyFacts(currency="EUR", figures=figures, day_before={}, week_before={}, liability=0, debts=0)
    return DigestFacts(
        day=day, seller="N", locale="en", timezone="UTC", seller_zone="UTC", currencies=(currency,), work={}, late=late
    )


MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def test_what_differs_from_what_was_told_is_late_by_the_difference() -> None:
    told = told_figures([digest(MONDAY, funds_in=100, fees=7), digest(TUESDAY, funds_in=50, fees=0)])
    found = {(MONDAY, "EUR"): {"funds_in": 130, "fees": 7}, (TUESDAY, "EUR"): {"funds_in": 50, "fees": -2}}

    assert late_entries(told, found) == (
        LateEntry(MONDAY, "EUR", "funds_in", 30),
        LateEntry(TUESDAY, "EUR", "fees", -2),
    )


def test_what_a_later_digest_told_is_not_told_again() -> None:
    late = (LateEntry(MONDAY, "EUR", "funds_in", 30),)
    told = told_figures([digest(MONDAY, funds_in=100), digest(TUESDAY, late, funds_in=0)])

    assert late_entries(told, {(MONDAY, "EUR"): {"funds_in": 130}}) == ()
    assert late_entries(told, {(MONDAY, "EUR"): {"funds_in": 131}}) == (LateEntry(MONDAY, "EUR", "funds_in", 1),)


def test_a_figure_or_a_day_that_was_not_told_of_is_no_difference() -> None:
    told = told_figures(
        [digest(MONDAY, (LateEntry(TUESDAY, "EUR", "fees", 1), LateEntry(MONDAY, "EUR", "new", 1)), fees=1)]
    )

    assert late_entries(told, {(MONDAY, "EUR"): {"fees": 1, "new": 9}, (TUESDAY, "EUR"): {"fees": 9}}) == ()
    assert late_entries(told, {}) == ()
