"""A promotion as a rule: what may stand in one, what it gives, and whom it refuses with which reason."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid import Bonus, Discount, Fixed, InvalidAmount, InvalidRequest, Money, Percent, Promotion, Tiers
from prepaid.core.errors import PromotionRefused
from prepaid.core.hashing import canonical_json
from prepaid.core.promotion_records import promotion_from_record, promotion_record
from prepaid.core.redemption import UNKNOWN, Applicant, Taken, adjust, apply

TEN = Bonus(Percent("10"))
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
FRESH = Taken(uses=0, spent=0, by_customer=0, first=False, ended=False)


def eur(amount):
    return Money.of(amount, "EUR")


def usd(amount):
    return Money.of(amount, "USD")


def rule(effect=TEN, code="SAVE10", **limits):
    return Promotion(code, effect, **limits)


def ada(amount="50.00", currency="EUR", **changes):
    money = Money.of(amount, currency)
    values = {"customer": "ada", "groups": (), "since": NOW - timedelta(days=3), "country": "FR", "gateway": "stripe"}
    return Applicant(**{**values, "typed": money, "credit": money, **changes})


def reason(promotion, applicant=None, taken=FRESH, now=NOW):
    """Give why a promotion does not apply, or None."""
    try:
        apply(promotion, applicant or ada(), taken, now=now)
    except PromotionRefused as refused:
        return refused.reason
    return None


BAD = [
    ("percent", lambda: Discount(Percent("100.01"))),
    ("percent", lambda: Discount(Tiers((eur("10"), Percent("101"))))),
    ("percent", lambda: Percent("-1")),
    ("percent", lambda: Percent("0")),
    ("percent", lambda: Percent("1000.0001")),
    ("percent", lambda: Percent("1.00001")),
    ("percent", lambda: Percent(10)),
    ("percent", lambda: Percent(10.0)),
    ("percent", lambda: Percent("ten")),
    ("fixed", Fixed),
    ("fixed", lambda: Fixed(eur("-1"))),
    ("fixed", lambda: Fixed(eur("0"))),
    ("fixed", lambda: Fixed(eur("0.001"))),
    ("fixed", lambda: Fixed(eur("1"), eur("2"))),
    ("fixed", lambda: Fixed("5.00")),
    ("tiers", Tiers),
    ("tiers", lambda: Tiers((eur("10"), TEN))),
    ("tiers", lambda: Tiers((eur("10"), Percent("1")), (eur("10"), Percent("2")))),
    ("tiers", lambda: Tiers((eur("10"), Percent("1")), (usd("20"), Percent("2")))),
    ("tiers", lambda: Tiers(((), Percent("1")))),
    ("tiers", lambda: Tiers(*[(eur(str(n)), Percent("1")) for n in range(1, 30)])),
    ("effect", lambda: Bonus("10")),
    ("cap", lambda: Bonus(Percent("10"), cap=eur("-1"))),
    ("cap", lambda: Bonus(Percent("10"), cap=(eur("1"), eur("2")))),
    ("cap", lambda: Bonus(Fixed(eur("1")), cap=eur("1"))),
    ("effect", lambda: rule((TEN, TEN))),
    ("effect", lambda: rule(())),
    ("effect", lambda: rule("10%")),
    ("code", lambda: rule(code="x" * 65)),
    ("code", lambda: rule(code="SAVE\x0010")),
    ("code", lambda: rule(code="SAVE\n10")),
    ("code", lambda: rule(code="")),
    ("code", lambda: rule(code=10)),
    ("timezone", lambda: rule(timezone="Mars/Olympus")),
    ("timezone", lambda: rule(timezone="../../etc/passwd")),
    ("timezone", lambda: rule(timezone=None)),
    ("valid_from", lambda: rule(valid_from=datetime(2026, 1, 1))),  # noqa: DTZ001
    ("valid_until", lambda: rule(valid_until="2026-01-01")),
    ("valid_until", lambda: rule(valid_from=NOW, valid_until=NOW)),
    ("valid_until", lambda: rule(valid_from=date(2026, 1, 2), valid_until=date(2026, 1, 1))),
    ("valid_until", lambda: rule(valid_until=date(9999, 1, 1))),
    ("uses_total", lambda: rule(uses_total=0)),
    ("uses_total", lambda: rule(uses_total=-1)),
    ("uses_total", lambda: rule(uses_total=True)),
    ("uses_total", lambda: rule(uses_total=10**10)),
    ("uses_per_customer", lambda: rule(uses_per_customer=0)),
    ("uses_per_customer", lambda: rule(uses_per_customer="1")),
    ("first_topup_only", lambda: rule(first_topup_only=1)),
    ("minimum", lambda: rule(minimum=eur("-5"))),
    ("minimum", lambda: rule(minimum="5.00")),
    ("maximum", lambda: rule(minimum=eur("10"), maximum=eur("9.99"))),
    ("maximum", lambda: rule(minimum=eur("10"), maximum=usd("20"))),
    ("currencies", lambda: rule(currencies="EUR")),
    ("currencies", lambda: rule(currencies=("XXZ",))),
    ("effect", lambda: rule(Bonus(Fixed(eur("5"))), currencies=("USD",))),
    ("countries", lambda: rule(countries=("ZZ",))),
    ("countries", lambda: rule(countries="FR")),
    ("gateways", lambda: rule(gateways=("",))),
    ("customers", lambda: rule(customers=(42,))),
    ("customers", lambda: rule(customers=tuple(f"c{n}" for n in range(1001)))),
    ("groups", lambda: rule(groups=("a\x00",))),
    ("customer_age", lambda: rule(customer_age=30)),
    ("customer_age", lambda: rule(customer_age=timedelta(0))),
    ("budget", lambda: rule(budget=eur("0"))),
    ("budget", lambda: rule(budget=eur("-1"))),
    ("budget", lambda: rule(budget=usd("10"), currencies=("EUR",))),
    ("budget", lambda: rule(Bonus(Percent("10"), cap=eur("5")), budget=usd("10"))),
    ("budget", lambda: rule(budget="10")),
    ("bonus_expires_after", lambda: rule(Discount(Percent("10")), bonus_expires_after=timedelta(days=1))),
    ("bonus_expires_after", lambda: rule(bonus_expires_after=timedelta(seconds=1))),
    ("bonus_priority", lambda: rule(Discount(Percent("10")), bonus_priority=1)),
    ("bonus_priority", lambda: rule(bonus_priority=-1)),
]


@pytest.mark.parametrize(("field", "make"), BAD)
def test_what_cannot_be_a_promotion_is_refused_by_its_field(field, make):
    with pytest.raises((InvalidRequest, InvalidAmount)) as refused:
        make()
    assert refused.value.field == field


WHOLE = rule(
    (Discount(Tiers((eur("10"), Percent("5")), (eur("100"), Fixed(eur("7"))))), Bonus(Percent("12.5"), cap=eur("3"))),
    timezone="Pacific/Kiritimati",
    valid_from=date(2026, 1, 1),
    valid_until=datetime(2026, 12, 31, 1, 2, 3, 4, tzinfo=UTC),
    uses_total=5,
    uses_per_customer=2,
    first_topup_only=True,
    minimum=eur("10"),
    maximum=eur("1000"),
    currencies=("EUR",),
    countries=("FR", "EL"),
    gateways=("stripe",),
    customers=("ada",),
    groups=("beta",),
    customer_age=timedelta(days=30),
    budget=eur("100"),
    bonus_expires_after=timedelta(days=90),
    bonus_priority=7,
)


@pytest.mark.parametrize("promotion", [rule(), WHOLE, rule(Bonus(Fixed(eur("1"), usd("2"))))])
def test_a_record_gives_the_promotion_back(promotion):
    assert promotion_from_record(json.loads(canonical_json(promotion_record(promotion)))) == promotion


def test_who_is_among_many_is_not_shown():
    assert "ada" not in repr(WHOLE)


EDGES = [
    ("minimum", rule(minimum=eur("50")), ada("50.00"), ada("49.99"), "below-minimum"),
    ("maximum", rule(maximum=eur("50")), ada("50.00"), ada("50.01"), "above-maximum"),
    ("first tier", rule(Bonus(Tiers((eur("50"), Percent("1"))))), ada("50.00"), ada("49.99"), "below-minimum"),
    ("currency", rule(currencies=("EUR",)), ada(), ada(currency="USD"), "currency"),
    ("fixed currency", rule(Bonus(Fixed(eur("5")))), ada(), ada(currency="USD"), "currency"),
    ("capped currency", rule(Bonus(Percent("5"), cap=eur("5"))), ada(), ada(currency="USD"), "currency"),
    ("budget currency", rule(budget=eur("5")), ada(), ada(currency="USD"), "currency"),
    ("country", rule(countries=("FR",)), ada(), ada(country="DE"), "country"),
    ("no country", rule(countries=("FR",)), ada(), ada(country=None), "country"),
    ("gateway", rule(gateways=("stripe",)), ada(), ada(gateway="paypal"), "gateway"),
    ("no gateway yet", rule(gateways=("stripe",)), ada(gateway=None), ada(gateway="paypal"), "gateway"),
    ("customer", rule(customers=("ada",)), ada(), ada(customer="eve"), "unknown"),
    ("group", rule(groups=("beta",)), ada(groups=("beta",)), ada(groups=("alpha",)), "unknown"),
    ("either", rule(groups=("beta",), customers=("eve",)), ada(customer="eve"), ada(), "unknown"),
    (
        "age",
        rule(customer_age=timedelta(days=3)),
        ada(since=NOW - timedelta(days=3) + timedelta(microseconds=1)),
        ada(since=NOW - timedelta(days=3)),
        "new-customers-only",
    ),
    ("nothing to give", rule(Bonus(Percent("1"))), ada("1.00"), ada("0.99"), "amount-too-small"),
]


@pytest.mark.parametrize(
    ("promotion", "inside", "outside", "why"), [edge[1:] for edge in EDGES], ids=[e[0] for e in EDGES]
)
def test_every_limit_is_exact(promotion, inside, outside, why):
    assert reason(promotion, inside) is None
    assert reason(promotion, outside) == why


COUNTS = [
    ("total", rule(uses_total=10), {"uses": 9}, {"uses": 10}, "used-up"),
    ("per customer", rule(uses_per_customer=2), {"by_customer": 1}, {"by_customer": 2}, "already-used"),
    ("budget", rule(budget=eur("20")), {"spent": eur("15").units}, {"spent": eur("15").units + 1}, "used-up"),
    ("first", rule(first_topup_only=True), {"first": False}, {"first": True}, "first-topup-only"),
    ("ended", rule(), {"ended": False}, {"ended": True}, "ended"),
]


@pytest.mark.parametrize(
    ("promotion", "left", "gone", "why"), [each[1:] for each in COUNTS], ids=[e[0] for e in COUNTS]
)
def test_every_count_is_exact(promotion, left, gone, why):
    assert reason(promotion, taken=attrs.evolve(FRESH, **left)) is None
    assert reason(promotion, taken=attrs.evolve(FRESH, **gone)) == why


ZONES = {
    "UTC": (date(2026, 12, 31), datetime(2026, 12, 31, tzinfo=UTC)),
    "Pacific/Kiritimati": (date(2026, 12, 31), datetime(2026, 12, 30, 10, tzinfo=UTC)),
    "America/New_York": (date(2026, 12, 31), datetime(2026, 12, 31, 5, tzinfo=UTC)),
    # The clocks go back at 06:00 UTC that day, and forth at 07:00 UTC on the other: a day of 25 hours, one of 23.
    "America/New_York, into winter": (date(2026, 11, 2), datetime(2026, 11, 2, 5, tzinfo=UTC)),
    "America/New_York, into summer": (date(2027, 3, 15), datetime(2027, 3, 15, 4, tzinfo=UTC)),
    "America/New_York, on that day": (date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)),
}


@pytest.mark.parametrize(("zone", "day", "instant"), [(name, *edge) for name, edge in ZONES.items()], ids=ZONES)
def test_a_day_ends_a_window_to_the_second_in_its_zone(zone, day, instant):
    second, timezone = timedelta(seconds=1), zone.split(",")[0]
    until, since = rule(valid_until=day, timezone=timezone), rule(valid_from=day, timezone=timezone)
    around = (instant - second, instant, instant + second)
    assert [reason(until, now=now) for now in around] == [None, "expired", "expired"]
    assert [reason(since, now=now) for now in around] == ["not-yet-valid", None, None]


def test_the_customer_reads_when_it_expired_in_the_zone_of_the_promotion():
    promotion = rule(valid_until=date(2026, 11, 30), timezone="Europe/Berlin")
    with pytest.raises(PromotionRefused, match=r"expired on 2026-11-30 00:00 \(Europe/Berlin\)") as refused:
        apply(promotion, ada(), FRESH, now=NOW)
    assert refused.value.params["valid_until"] == "2026-11-30 00:00 (Europe/Berlin)"


def test_who_may_not_know_of_a_promotion_learns_nothing_of_its_limits():
    secret = rule(customers=("eve",), valid_until=NOW, minimum=eur("1000"), uses_total=1)
    for taken in (FRESH, attrs.evolve(FRESH, ended=True, uses=1)):
        with pytest.raises(PromotionRefused) as refused:
            apply(secret, ada(), taken, now=NOW)
        assert (refused.value.reason, refused.value.message) == ("unknown", UNKNOWN)


GIVEN = [
    (Bonus(Percent("10")), "99.99", "EUR", "9.99", "0"),
    (Bonus(Percent("33.3333")), "0.03", "EUR", "0", "0"),
    (Bonus(Percent("1000")), "10.00", "EUR", "100", "0"),
    (Bonus(Percent("10"), cap=eur("5.00")), "50.00", "EUR", "5", "0"),
    (Bonus(Percent("10"), cap=eur("5.00")), "50.10", "EUR", "5", "0"),
    (Bonus(Percent("10")), "155", "JPY", "15", "0"),
    (Bonus(Percent("10")), "1.555", "KWD", "0.155", "0"),
    (Discount(Percent("100")), "12.34", "EUR", "0", "12.34"),
    (Discount(Percent("10")), "199", "JPY", "0", "19"),
    (Discount(Fixed(eur("30"))), "20.00", "EUR", "0", "20"),
    (Discount(Fixed(eur("30"))), "30.01", "EUR", "0", "30"),
    (Bonus(Tiers((eur("10"), Percent("5")), (eur("100"), Percent("10")))), "99.99", "EUR", "4.99", "0"),
    (Bonus(Tiers((eur("10"), Percent("5")), (eur("100"), Percent("10")))), "100.00", "EUR", "10", "0"),
    (Bonus(Tiers((eur("10"), Percent("5")), (eur("100"), Fixed(eur("30"))))), "100.00", "EUR", "30", "0"),
    ((Discount(Fixed(eur("5"))), Bonus(Percent("20"))), "50.00", "EUR", "10", "5"),
]


@pytest.mark.parametrize(("effect", "amount", "currency", "bonus", "discount"), GIVEN)
def test_amounts_floor_to_minor_units_and_caps_are_exact(effect, amount, currency, bonus, discount):
    money = Money.of(amount, currency)
    found = adjust(rule(effect), money, typed=money)
    assert (found.bonus, found.discount) == (Money.of(bonus, currency), Money.of(discount, currency))


@given(st.integers(1, 10**12), st.integers(1, 10_000_000), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_a_percentage_is_the_largest_amount_of_minor_units_that_is_not_more(minor, parts, currency):
    credit = Money.from_minor(minor, currency)
    percent = Percent(f"{parts // 10_000}.{parts % 10_000:04}")
    found = percent.of(credit).minor
    assert found * 1_000_000 <= minor * parts < (found + 1) * 1_000_000


def test_a_smallest_amount_is_the_larger_of_minimum_and_first_tier():
    tiered = Bonus(Tiers(((eur("20"), usd("25")), Percent("1"))))
    assert rule(tiered, minimum=(eur("30"), usd("10"))).smallest("EUR") == eur("30")
    assert rule(tiered, minimum=(eur("30"), usd("10"))).smallest("USD") == usd("25")
    assert rule().smallest("EUR") is None
