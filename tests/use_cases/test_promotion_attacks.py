"""Attacks on promotions and vouchers: what once went through, or would go through a little less care."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from prepaid import (
    Bonus,
    Discount,
    Fixed,
    GatewayError,
    Money,
    Percent,
    Promotion,
    RequestRefused,
    Tiers,
)
from prepaid import promotions as shared
from prepaid.store import redemptions as redemption_rows
from tests.use_cases.promotion_steps import TEN, discounting, promote, quote, redemptions, refused, status
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    EVE,
    SQLITE_FIRST,
    add_rule,
    change,
    checkout_of,
    database,
    eur,
    give,
    live_in,
    operator,
    seller,
    start,
    told,
    top_up,
    value,
)

pytestmark = SQLITE_FIRST


def usd(amount):
    return Money.of(amount, "USD")


# events and documents of reviews


@pytest.mark.parametrize("action", ["credit_quoted", "credit_received"])
def test_the_event_of_a_resolved_review_says_what_became_of_the_promotion(billing, simulated, ada, action):
    promote(billing)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup), amount=eur("49.00"))
    assert ada.topups.confirm(topup.id).state == "review"
    operator(billing).topups.resolve(topup.id, action=action, reason="agreed", key="k")
    now = ada.topups.get(topup.id).promotion
    [event] = told(billing, "topup-credited")
    assert event["promotion"] == now


# idempotency

SAME_AGAIN = {
    "fixed": lambda: Promotion("AGAIN", Bonus(Fixed(usd("5.00"), eur("5.00")))),
    "minimum": lambda: Promotion("AGAIN", Bonus(TEN), minimum=(usd("5.00"), eur("5.00"))),
    "cap": lambda: Promotion("AGAIN", Bonus(TEN, cap=(usd("5.00"), eur("5.00")))),
    "tiers": lambda: Promotion("AGAIN", Bonus(Tiers(((usd("5.00"), eur("5.00")), TEN)))),
    "age": lambda: Promotion("AGAIN", Bonus(TEN), customer_age=timedelta(days=1, microseconds=1)),
    "expiry": lambda: Promotion("AGAIN", Bonus(TEN), bonus_expires_after=timedelta(days=1, seconds=0.5)),
    "zoned": lambda: Promotion("AGAIN", Bonus(TEN), valid_from=datetime.fromisoformat("2026-01-01T00:00:00+02:00")),
    "effects": lambda: Promotion("AGAIN", (Bonus(TEN), Discount(TEN))),
}


@pytest.mark.parametrize("name", SAME_AGAIN)
def test_the_same_promotion_again_is_made_once(billing, name):
    ops = operator(billing)
    try:
        first = ops.promotions.create(SAME_AGAIN[name]())
    except RequestRefused:
        return
    assert first.promotion == SAME_AGAIN[name]()
    assert ops.promotions.create(SAME_AGAIN[name]()) == first


# extremes that are accepted and crash later

EXTREMES = {
    "from-9999": {"valid_from": datetime(9999, 12, 31, 23, tzinfo=UTC), "timezone": "Pacific/Kiritimati"},
    "until-0001": {"valid_until": datetime(1, 1, 1, 1, tzinfo=UTC), "timezone": "America/New_York"},
    "from-0001": {"valid_from": datetime(1, 1, 1, 1, tzinfo=UTC), "timezone": "America/New_York"},
    "until-9999": {"valid_until": datetime(9999, 12, 31, 23, tzinfo=UTC), "timezone": "Pacific/Kiritimati"},
    "until-1960": {"valid_until": datetime(1960, 1, 1, 1, tzinfo=UTC)},
    "max-bonus": {"effect": Bonus(Fixed(Money(2**63 - 1 - (2**63 - 1) % 10000, "EUR")))},
    "thousand": {"customers": (*tuple(f"{'c' * 180}{n}" for n in range(999)), ADA)},
    "surrogate-group": {"groups": ("\ud800",)},
    "surrogate-customer": {"customers": ("\ud800",)},
    "nul-group": {"groups": ("\x00",)},
    "localtime": {"timezone": "localtime"},
    "tiers": {
        "effect": Bonus(
            Tiers(((eur("5.00"), usd("5.00")), Percent("10")), ((eur("50.00"), usd("60.00")), Fixed(eur("7.00"))))
        )
    },
    "1000 percent": {"effect": Bonus(Percent("1000"))},
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("amount", ["50.00", "9000000000000.00"])
def test_what_is_accepted_does_not_crash_later(billing, ada, name, amount):
    try:
        promote(billing, "ODD", **EXTREMES[name])
    except RequestRefused:
        return
    try:
        offered = quote(billing, amount, "ODD")
        ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="k")
    except RequestRefused:
        pass
    operator(billing).promotions.list()
    operator(billing).audit.list()
    assert billing.check().ok


# limiter


def test_a_code_typed_again_with_other_amounts_is_one_guess(billing):
    for amount in range(10, 22):
        assert refused(quote, billing, f"{amount}.00", code="MISTYPED") == "unknown"


# reservations that lapsed


def gone(*_):
    raise GatewayError("away", retryable=True)


def test_a_reservation_that_lapsed_is_no_hindrance_though_its_gateway_is_down(
    billing, simulated, ada, clock, monkeypatch
):
    promote(billing)
    start(billing, code="SAVE10")
    clock.advance(minutes=61)
    offered = quote(billing, "80.00")
    monkeypatch.setattr(type(simulated), "fetch_payment", gone)
    assert ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="k").promotion == "reserved"


def processing(billing, simulated):
    """Start a top-up whose payment is under way: its gateway answers, and does not know the end yet."""
    promote(billing, uses_per_customer=1)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup), later=True)
    assert billing.customer(ADA).topups.confirm(topup.id).state == "processing"


def test_a_quote_tells_of_a_checkout_that_is_being_paid(billing, simulated):
    processing(billing, simulated)
    assert refused(start, billing, code="SAVE10") == "in-use"
    assert refused(quote, billing) == "in-use"  # checked live, before anything is started


def test_a_reservation_that_lapsed_is_no_hindrance_though_its_payment_is_under_way(billing, simulated, clock):
    processing(billing, simulated)
    clock.advance(minutes=61)
    assert start(billing, code="SAVE10").promotion == "reserved"


CALIFORNIA = tuple((f"D{number}", percent) for number, percent in enumerate("6 0.25 0.5 0.5 0.5 0.5 0.25".split()))


def test_nobody_pays_more_with_a_discount_than_without(open_billing):
    billing = open_billing(seller=seller(prices="inclusive"))
    billing.customers.register(ADA, currency="EUR")
    add_rule(billing, components=CALIFORNIA)
    live_in(billing, "FR")
    promote(billing, effect=Discount(Fixed(eur("0.01"))))
    assert quote(billing, "3.36", code=None).total == eur("3.36")
    assert quote(billing, "3.36").total < eur("3.36")


# a rule that was accepted here and is read elsewhere


@pytest.fixture
def elsewhere():
    """Give a function that takes the system's time zones away: those of the package are left, as on another host."""

    def go():
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()

    yield go
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize("zone", ["localtime", "posix/Europe/Berlin", "right/Europe/Berlin"])
def test_captured_money_is_credited_on_every_host_whatever_the_zone_of_its_promotion(
    billing, simulated, ada, elsewhere, zone
):
    try:
        promote(billing, timezone=zone)
    except RequestRefused:
        return
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup))
    elsewhere()
    assert ada.topups.confirm(topup.id).state == "credited"


def test_a_redemption_does_not_copy_the_ids_of_all_others(billing):
    promote(billing, customers=(ADA, *(f"customer-{number}-{'x' * 150}" for number in range(999))))
    start(billing, code="SAVE10")
    assert value(billing, "SELECT length(terms) FROM prepaid_redemption WHERE book_id = :book") < 10_000


def test_a_start_sweeps_only_what_stands_in_its_way(billing, clock):
    promote(billing, uses_per_customer=1)
    for number in range(3):
        billing.customers.register(f"other-{number}", currency="EUR")
        start(billing, code="SAVE10", customer=f"other-{number}")
    clock.advance(minutes=61)
    start(billing, code="SAVE10")  # no total, no budget: nobody else's reservation hinders it
    assert redemptions(billing) == ["reserved"] * 4


@pytest.mark.parametrize(
    ("table", "column", "this", "that"),
    [
        ("promotion", "content", '"percent":"10"', '"percent":"90"'),
        ("redemption", "terms", '"percent":"10"', '"percent":"90"'),
        ("promotion", "content", '"uses_per_customer":1', '"uses_per_customer":null'),
    ],
    ids=["rule", "terms", "per-customer"],
)
def test_check_finds_a_rule_that_no_operator_wrote(billing, simulated, table, column, this, that):
    promote(billing, uses_per_customer=1)
    top_up(billing, simulated, code="SAVE10")
    change(billing, f"UPDATE prepaid_{table} SET {column} = replace({column}, :this, :that)", this=this, that=that)
    assert not billing.check().ok


def test_a_payment_in_review_keeps_its_reservation_though_a_job_was_about_to_release_it(
    billing, simulated, ada, clock, monkeypatch
):
    promote(billing, uses_total=1)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup), amount=eur("49.00"))
    clock.advance(minutes=60)
    [due] = database(billing).read(lambda tx: redemption_rows.lapsed(tx, clock.now(), limit=9))
    assert ada.topups.confirm(topup.id).state == "review"
    database(billing).write(lambda tx: shared._lapse(due, clock.now(), tx))
    assert ada.topups.get(topup.id).promotion == "reserved"


# free


def test_a_free_topup_that_cannot_be_credited_does_not_stop_the_others(billing, simulated, ada, clock, monkeypatch):
    promote(billing, effect=discounting("100"))
    offered = quote(billing, "20.00")
    with monkeypatch.context() as patched:
        patched.setattr("prepaid.settlement.free._credit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="free")
    give(billing, "9223372036854.00")
    other = start(billing, customer=EVE)
    simulated.pay(checkout_of(other))
    for _ in range(3):
        runs = {run.name: run.status for run in billing.run_due()}
        clock.advance(minutes=30)
    assert runs["topups"] == "done"
    assert billing.customer(EVE).topups.get(other.id).state == "credited"


def test_a_free_topup_is_not_looked_at_for_ever(billing, ada, clock):
    promote(billing, effect=discounting("100"))
    topup = start(billing, "20.00", code="SAVE10")
    assert topup.state == "credited"
    operator(billing).topups.recheck(topup.id)
    billing.run_due("topups")
    assert (
        value(billing, "SELECT next_poll_at FROM prepaid_topup WHERE id = :id AND book_id = :book", id=topup.id) is None
    )


def test_a_transfer_cannot_be_confirmed_for_what_has_no_gateway(billing, ada):
    promote(billing, effect=discounting("100"))
    topup = start(billing, "20.00", code="SAVE10")
    with pytest.raises(RequestRefused):
        operator(billing).topups.confirm_bank_transfer(topup.id, received=eur("20.00"), reference="x")


# start


def test_a_start_that_is_refused_leaves_the_earlier_checkout(billing, simulated, ada):
    promote(billing)
    first = start(billing, code="SAVE10")
    offered = quote(billing, "80.00")
    operator(billing).customers.freeze(ADA, reason="fraud?")
    with pytest.raises(RequestRefused):
        ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="k")
    assert ada.topups.get(first.id).state == "pending"


def test_a_move_is_not_hindered_by_the_checkout_that_it_gives_up(billing, ada):
    operator(billing).settings.topup_limits(pending=eur("100.00"))
    promote(billing)
    start(billing, "80.00", code="SAVE10")
    assert start(billing, "50.00", code="SAVE10").promotion == "reserved"


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("minimum", lambda: Promotion("A", Bonus(TEN), minimum=Money.of("5", "GBP"))),
        ("code", lambda: Promotion("A\x1f", Bonus(TEN))),
        ("code", lambda: Promotion("A\n", Bonus(TEN))),
    ],
)
def test_bad_fields_are_refused_and_named(billing, field, make):
    with pytest.raises(RequestRefused) as wrong:
        operator(billing).promotions.create(make())
    assert wrong.value.field == field


def test_budget_changes_with_open_reservations(billing, simulated, ada, clock):
    ops = operator(billing)
    promote(billing, effect=Bonus(TEN), budget=eur("20.00"))
    one = start(billing, code="SAVE10")
    two = start(billing, code="SAVE10", customer=EVE)
    ops.promotions.change(Promotion("SAVE10", Bonus(TEN), budget=usd("20.00")))
    ada.topups.cancel(one.id)
    assert billing.check().ok
    third = start(billing, code="SAVE10", currency="USD")
    ops.promotions.change(Promotion("SAVE10", Bonus(TEN), budget=eur("5.00")))
    ada.topups.cancel(third.id)
    assert billing.check().ok
    ops.promotions.change(Promotion("SAVE10", Bonus(TEN)))
    simulated.pay(checkout_of(two))
    billing.customer(EVE).topups.confirm(two.id)
    assert billing.check().ok
    ops.promotions.change(Promotion("SAVE10", Bonus(TEN), budget=eur("5.00")))
    assert status(billing).budget_left == eur("0")
    ops.promotions.end("SAVE10")
    assert billing.check().ok


def test_who_reads_the_database_has_64_bits_of_a_voucher_left_to_guess(place):
    """Its ending stands beside the unsalted hash, and the prefix in the codes of others."""
    import math

    from prepaid.core.vouchers import ALPHABET, SYMBOLS, ending_of, make_code

    shown = len(ending_of(make_code(tuple(range(SYMBOLS)))))
    assert (SYMBOLS - shown) * math.log2(len(ALPHABET)) >= 64
