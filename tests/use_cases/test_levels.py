"""Levels of a balance: told once per crossing, in money or hours; suspension after a grace; what may start."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import CustomerFrozen, InsufficientCredit, Money, NotAllowed, Rate, Thresholds, permissions
from tests.use_cases.steps import (
    ADA,
    EVE,
    RATE,
    SQLITE,
    charge,
    eur,
    give,
    hold,
    kept,
    operator,
    reverse,
    run,
    told,
    top_up,
)

DAY = timedelta(days=1)
LEVELS = ("credit-low", "credit-exhausted", "credit-negative", "suspension-due", "credit-recovered")


def levels(billing, **values):
    operator(billing).settings.thresholds(Thresholds(**values))


def heard(billing):
    """Count what was told of each level."""
    found = {name: len(told(billing, name)) for name in LEVELS}
    return {name: count for name, count in found.items() if count}


def recovered(billing):
    return [event["levels"] for event in told(billing, "credit-recovered")]


def job(billing):
    billing.run_due(only="credit")


def may_start(billing, rate=None, **options):
    permission = billing.may_start(ADA, rate=rate, **options)
    assert bool(permission.reason) is not permission.allowed
    return permission.code


# Once per crossing


def test_each_level_is_told_once_on_the_way_down(billing):
    levels(billing, low=eur("5"), negative=eur("-1"), suspend=eur("-5"))
    give(billing, "10")

    for amount, expected in (
        ("5", {}),
        ("1", {"credit-low": 1}),
        ("3.5", {"credit-low": 1}),
        ("0.5", {"credit-low": 1, "credit-exhausted": 1}),
        ("1", {"credit-low": 1, "credit-exhausted": 1}),
        ("0.000001", {"credit-low": 1, "credit-exhausted": 1, "credit-negative": 1}),
        ("3.999999", {"credit-low": 1, "credit-exhausted": 1, "credit-negative": 1}),
        ("0.1", {"credit-low": 1, "credit-exhausted": 1, "credit-negative": 1, "suspension-due": 1}),
        ("9", {"credit-low": 1, "credit-exhausted": 1, "credit-negative": 1, "suspension-due": 1}),
    ):
        charge(billing, amount, allow_negative=True)
        assert heard(billing) == expected


def test_one_charge_that_falls_through_all_levels_tells_each(billing):
    levels(billing, low=eur("5"), negative=eur("-1"), suspend=eur("-5"))
    give(billing, "10")

    charge(billing, "20", allow_negative=True)
    give(billing, "20")

    assert heard(billing) == dict.fromkeys(LEVELS, 1)
    assert recovered(billing) == ["low,exhausted,negative,suspend"]
    charge(billing, "10")
    assert heard(billing) == {**dict.fromkeys(LEVELS, 1), "credit-exhausted": 2, "credit-low": 2}


def test_a_balance_that_hovers_around_a_level_tells_nothing_twice(billing):
    levels(billing, low=eur("10"))
    give(billing, "10.5")

    for _ in range(5):
        charge(billing, "0.9")
        give(billing, "0.9")
    assert heard(billing) == {"credit-low": 1}
    give(billing, "0.499999")
    assert heard(billing) == {"credit-low": 1}
    give(billing, "0.000001")
    assert heard(billing) == {"credit-low": 1, "credit-recovered": 1}


def test_every_way_that_a_balance_moves_is_watched(billing, ada, simulated, clock):
    levels(billing, low=eur("5"))
    give(billing, "10", kind="goodwill", expires_at=clock.now() + DAY)
    clock.advance(days=1)
    job(billing)  # lapses
    assert heard(billing) == {"credit-low": 1, "credit-exhausted": 1}
    top_up(billing, simulated, "10.00")
    assert recovered(billing) == ["low,exhausted"]
    used = billing.usage.capture(hold(billing, "6").id, eur("6"))
    assert heard(billing)["credit-low"] == 2
    reverse(billing, used)
    assert recovered(billing) == ["low,exhausted", "low"]
    give(billing, "6", effective_at=clock.now() + DAY)
    billing.usage.adjust(ADA, eur("8"), key="late", period=(clock.now() - DAY, clock.now()))
    assert heard(billing)["credit-low"] == 3
    clock.advance(days=1)
    job(billing)  # begins
    assert recovered(billing) == ["low,exhausted", "low", "low"]
    [waiting] = [grant for grant in ada.grants() if grant.kind == "promotional"]
    operator(billing).customers.void_grant(waiting.id, reason="oops")
    assert heard(billing)["credit-low"] == 4
    assert billing.check().ok


def test_levels_of_a_currency_are_for_its_wallets(billing):
    levels(billing, low=(eur("5"), Money.of("100", "JPY")))
    billing.usage.charge(ADA, Money.of("1", "USD"), key="k", allow_negative=True)
    assert heard(billing) == {"credit-exhausted": 1}

    billing.usage.charge(ADA, Money.of("1", "JPY"), key="j", allow_negative=True)

    assert heard(billing) == {"credit-exhausted": 2, "credit-low": 1}


def test_new_levels_count_from_the_next_posting_of_a_wallet(billing):
    give(billing, "10")
    levels(billing, low=eur("20"))
    assert heard(billing) == {}
    charge(billing, "1")
    assert heard(billing) == {"credit-low": 1}
    levels(billing)
    charge(billing, "1")
    assert recovered(billing) == ["low"]


def test_a_charge_that_is_told_again_tells_no_level_again(billing):
    levels(billing, low=eur("5"))
    give(billing, "10")
    for _ in range(3):
        charge(billing, "6", key="k")

    assert heard(billing) == {"credit-low": 1}


def test_what_is_told_reaches_its_listener_with_the_balance(billing):
    levels(billing, low=eur("5"))
    got = []
    billing.on("credit-low", got.append)
    give(billing, "10")
    charge(billing, "6")

    for _ in range(2):
        billing.run_due(only="outbox")

    assert [(event.name, event.customer, event.amount) for event in got] == [("credit-low", ADA, eur("4"))]


# Hours of runway


def test_hours_are_counted_at_the_rates_that_run(billing, ada, clock):
    levels(billing, low=48)
    give(billing, "1")
    assert ada.runway() is None
    run(billing)  # a cent an hour: the level is 0.48
    assert (ada.runway(), heard(billing)) == (100, {})
    charge(billing, "0.52")
    assert (ada.runway(), heard(billing)) == (48, {})
    charge(billing, "0.000001")
    assert (ada.runway(), heard(billing)) == (47, {"credit-low": 1})


def test_a_resource_that_starts_or_stops_moves_the_level(billing, ada):
    levels(billing, low=48)
    give(billing, "1")
    run(billing)
    run(billing, "vm-2", rate=Rate.hourly("0.02", "EUR"))
    assert (ada.runway(), heard(billing)) == (33, {"credit-low": 1})

    billing.meters.stop("vm-2")

    assert recovered(billing) == ["low"]
    assert billing.check().ok


# Suspension


def test_a_suspension_is_due_when_its_grace_has_passed(billing, clock):
    levels(billing, suspend=eur("-5"), grace=DAY)
    charge(billing, "6", allow_negative=True)
    clock.advance(hours=23, minutes=59)
    charge(billing, "1", allow_negative=True)  # further down does not begin it anew
    job(billing)
    assert "suspension-due" not in heard(billing)

    clock.advance(minutes=1)
    for _ in range(3):
        job(billing)

    assert heard(billing)["suspension-due"] == 1
    clock.advance(days=30)
    charge(billing, "1", allow_negative=True)
    job(billing)
    assert heard(billing)["suspension-due"] == 1
    assert billing.check().ok


def test_who_pays_within_the_grace_is_not_suspended(billing, simulated, clock):
    levels(billing, suspend=eur("-5"), grace=DAY)
    charge(billing, "6", allow_negative=True)
    clock.advance(hours=12)
    top_up(billing, simulated, "10.00")
    clock.advance(days=2)
    job(billing)

    assert "suspension-due" not in heard(billing)
    charge(billing, "20", allow_negative=True)
    clock.advance(hours=23)
    job(billing)
    assert "suspension-due" not in heard(billing)  # the grace begins anew
    clock.advance(hours=1)
    job(billing)
    assert heard(billing)["suspension-due"] == 1


def test_nobody_recovers_from_a_suspension_that_was_not_told(billing, simulated, clock):
    levels(billing, suspend=eur("-5"), grace=DAY)
    charge(billing, "6", allow_negative=True)
    clock.advance(hours=12)
    top_up(billing, simulated, "10.00")

    assert recovered(billing) == ["exhausted"]


@pytest.mark.parametrize("grace", [timedelta(0), timedelta(hours=1), 9 * DAY])
def test_a_grace_that_is_changed_counts_for_later_crossings(billing, clock, grace):
    levels(billing, suspend=eur("-5"), grace=DAY)
    charge(billing, "6", allow_negative=True)
    levels(billing, suspend=eur("-5"), grace=grace)
    clock.advance(hours=2)
    charge(billing, "1", allow_negative=True)
    job(billing)
    assert "suspension-due" not in heard(billing)

    clock.advance(hours=22)
    job(billing)

    assert heard(billing)["suspension-due"] == 1


def test_who_pays_after_a_suspension_recovers(billing, simulated, clock):
    levels(billing, suspend=eur("-5"), grace=DAY)
    charge(billing, "6", allow_negative=True)
    clock.advance(days=1)
    job(billing)
    assert may_start(billing) == "suspended"

    top_up(billing, simulated, "10.00")

    assert recovered(billing) == ["exhausted,suspend"]
    assert may_start(billing) == "allowed"


# What may start


def test_a_resource_may_start_if_the_balance_lasts_with_all_that_runs(billing):
    give(billing, "1")
    run(billing)
    assert may_start(billing, RATE, hours=50) == "allowed"
    assert may_start(billing, RATE, hours=51) == "insufficient-credit"
    hold(billing, "0.5")
    assert may_start(billing, RATE, hours=26) == "insufficient-credit"
    operator(billing).customers.overdraft(ADA, eur("0.5"), reason="known")
    assert may_start(billing, RATE, hours=50) == "allowed"


def test_a_debt_refuses_unless_the_book_allows_it(billing):
    operator(billing).customers.overdraft(ADA, eur("9"), reason="known")
    charge(billing, "1")
    assert may_start(billing) == may_start(billing, RATE) == "negative-balance"

    levels(billing, start_when_negative=True)

    assert may_start(billing) == may_start(billing, RATE) == "allowed"


def test_a_freeze_refuses_whatever_the_balance(billing):
    give(billing, "100")
    operator(billing).customers.freeze(ADA, reason="chargeback")
    assert may_start(billing, RATE) == "customer-frozen"
    assert charge(billing, "1").status == "posted"  # what runs goes on
    operator(billing).customers.unfreeze(ADA, reason="settled")
    assert may_start(billing, RATE) == "allowed"


def test_credit_that_is_due_counts_before_it_is_posted(billing, clock):
    give(billing, "1", effective_at=clock.now() + DAY, expires_at=clock.now() + 2 * DAY)
    assert may_start(billing, RATE) == "insufficient-credit"
    clock.advance(days=1)
    assert may_start(billing, RATE) == "allowed"
    clock.advance(days=1)
    assert may_start(billing, RATE) == "insufficient-credit"


# Overdraft and freeze


@pytest.mark.parametrize("held", ["0", "2"])
def test_a_charge_stops_at_the_floor_to_the_last_unit(billing, ada, held):
    give(billing, "5")
    operator(billing).customers.overdraft(ADA, eur("3"), reason="known")
    if held != "0":
        hold(billing, held)
    room = ada.balance().available

    with pytest.raises(InsufficientCredit) as refused:
        charge(billing, str((room + eur("0.000001")).amount))
    assert refused.value.available == room
    charge(billing, str(room.amount))

    assert ada.balance().available == eur("0")
    assert ada.balance().settled - ada.balance().held == eur("-3")
    assert billing.check().ok


def test_a_smaller_overdraft_takes_nothing_back(billing, ada):
    operator(billing).customers.overdraft(ADA, eur("9"), reason="known")
    charge(billing, "9")
    operator(billing).customers.overdraft(ADA, eur("4"), reason="less known")

    assert kept(ada.balance()) == ("-9.00", "0.00", "-5.00")
    with pytest.raises(InsufficientCredit):
        charge(billing, "0.000001")
    give(billing, "5.5")
    assert charge(billing, "0.5").balance_after == eur("-4")
    assert billing.check().ok


def test_each_change_is_audited_once_with_what_was_before(billing):
    door = operator(billing).customers
    for amount in ("9", "9", "4"):
        door.overdraft(ADA, eur(amount), reason="known")
    for _ in range(2):
        door.freeze(ADA, reason="chargeback")
    for _ in range(2):
        door.unfreeze(ADA, reason="settled")

    entries = [entry for entry in operator(billing).audit.list().items if entry.target == ADA]
    assert [(entry.action, entry.reason) for entry in reversed(entries)] == [
        ("overdraft", "known"),
        ("overdraft", "known"),
        ("freeze", "chargeback"),
        ("unfreeze", "settled"),
    ]
    changes = [(e.before, e.after) for e in reversed(entries) if e.action == "overdraft"]
    assert changes == [
        ({"overdraft": "0.00 EUR"}, {"overdraft": "9.00 EUR"}),
        ({"overdraft": "9.00 EUR"}, {"overdraft": "4.00 EUR"}),
    ]


@SQLITE
def test_each_act_needs_its_permission(billing):
    door = operator(billing, granted=permissions.ALL - {permissions.CUSTOMERS_WRITE}).customers
    for act in (
        lambda: door.overdraft(ADA, eur("1"), reason="r"),
        lambda: door.freeze(ADA, reason="r"),
        lambda: door.unfreeze(ADA, reason="r"),
        lambda: door.grant(ADA, eur("1"), kind="goodwill", reason="r", key="k"),
        lambda: door.void_grant("grt_01m82v7m000000000000000000", reason="r"),
    ):
        with pytest.raises(NotAllowed):
            act()
    reader = operator(billing, granted=permissions.ALL - {permissions.CUSTOMERS_READ}).customers
    with pytest.raises(NotAllowed):
        reader.grants(ADA)


def test_a_freeze_of_one_customer_is_no_freeze_of_another(billing):
    operator(billing).customers.freeze(ADA, reason="chargeback")
    give(billing, "1", customer=EVE)

    assert billing.may_start(EVE, rate=RATE).allowed
    assert hold(billing, "1", customer=EVE).state == "open"
    with pytest.raises(CustomerFrozen):
        hold(billing, "1")


def test_a_suspension_whose_level_is_gone_is_told_to_nobody(billing, clock):
    levels(billing, suspend=eur("-5"), grace=timedelta(hours=1))
    charge(billing, "6", allow_negative=True)
    levels(billing)
    clock.advance(hours=2)

    job(billing)

    assert "suspension-due" not in heard(billing)
    assert may_start(billing) == "negative-balance"
    assert billing.check().ok


def test_who_is_above_the_level_when_the_grace_ends_is_not_suspended_and_gets_it_whole_again(billing, clock):
    levels(billing, suspend=eur("-5"), grace=timedelta(hours=1))
    charge(billing, "5.50", allow_negative=True)
    give(billing, "0.70")  # above the level, not yet recovered
    clock.advance(hours=2)

    job(billing)

    assert "suspension-due" not in heard(billing)
    charge(billing, "0.30", allow_negative=True)
    clock.advance(minutes=59)
    job(billing)
    assert "suspension-due" not in heard(billing)
    clock.advance(minutes=1)
    job(billing)
    assert heard(billing)["suspension-due"] == 1
    assert billing.check().ok


def test_a_level_that_was_taken_away_stops_nobody(billing):
    levels(billing, suspend=eur("5"))
    give(billing, "6")
    charge(billing, "5.50")
    assert may_start(billing) == "suspended"

    levels(billing)

    assert may_start(billing) == "allowed"


def test_credit_that_comes_back_and_lapses_at_once_makes_nobody_recover(billing, clock):
    levels(billing, low=eur("20"), suspend=eur("5"), grace=timedelta(hours=2))
    give(billing, "0.50", kind="migrated")
    give(billing, "29.50", expires_at=clock.now() + timedelta(hours=1))
    used = charge(billing, "26")
    clock.advance(minutes=90)
    job(billing)
    before = heard(billing)

    reverse(billing, used)

    assert heard(billing) == before
    clock.advance(minutes=30)
    job(billing)
    assert heard(billing)["suspension-due"] == 1
    assert billing.check().ok
