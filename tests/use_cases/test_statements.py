"""What a customer reads of the past: balances of any time, statements, a history in filters and pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import Money
from tests.use_cases.steps import (
    ADA,
    EVE,
    at,
    charge,
    eur,
    give,
    hold,
    kept,
    operator,
    parts,
    reverse,
    run,
    top_up,
    walk,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def spent(door, since, until, by="resource", **options):
    """Give the lines of a statement: name, amount, number of charges."""
    statement = door.usage(since=since, until=until, by=by, **options)
    assert (statement.since, statement.until, statement.by) == (since, until, by)
    assert statement.total == Money(sum(line.amount.units for line in statement.lines), statement.total.currency)
    return [(line.name, str(line.amount.amount), line.charges) for line in statement.lines]


# Balances of any time


def test_a_balance_of_any_time_is_what_was_posted_until_then(billing, ada, simulated, clock):
    seen = [(clock.now() - HOUR, ("0.00", "0.00", "0.00"), "0.00")]

    def look(held="0.00"):
        seen.append((clock.now(), parts(ada.balance()), held))
        clock.advance(hours=1)

    top_up(billing, simulated, "10.00")
    look()
    give(billing, "3", expires_at=clock.now() + 9 * HOUR)
    look()
    used = charge(billing, "5")
    look()
    reserved = hold(billing, "2", hours=9)
    look("2.00")
    billing.usage.capture(reserved.id, eur("1"))
    look()
    reverse(billing, used)
    look()
    clock.advance(hours=9)
    billing.run_due(only="credit")
    look()

    for instant, then, held in seen:
        for moment in (instant, instant + HOUR / 2):
            assert (parts(ada.balance(at=moment)), str(ada.balance(at=moment).held.amount)) == (then, held), moment
    assert ada.balance(at=clock.now()) == ada.balance()
    assert parts(ada.balance("USD", at=clock.now())) == ("0.00", "0.00", "0.00")


def test_a_hold_counts_from_when_it_was_made_until_it_ended(billing, ada, clock):
    give(billing, "10")
    clock.advance(hours=1)
    made = clock.now()
    lapses, released = hold(billing, "2", hours=3), hold(billing, "4", hours=9)
    clock.advance(hours=2)
    billing.usage.release(released.id)
    clock.advance(days=9)

    held = [str(ada.balance(at=made + number * HOUR).held.amount) for number in range(-1, 5)]

    assert held == ["0.00", "6.00", "6.00", "2.00", "0.00", "0.00"]
    assert lapses.expires_at == made + 3 * HOUR  # by itself, whenever a job came to post it


def test_a_debt_of_the_past_stays_one_after_it_was_paid(billing, ada, simulated, clock):
    give(billing, "3")
    charge(billing, "8", allow_negative=True)
    before = clock.now()
    clock.advance(hours=1)
    top_up(billing, simulated, "50.00")

    assert parts(ada.balance(at=before)) == ("-5.00", "0.00", "0.00")
    assert kept(ada.balance(at=before)) == ("-5.00", "0.00", "-5.00")
    assert parts(ada.balance(at=clock.now())) == ("45.00", "45.00", "0.00")


def test_a_long_history_is_searched_to_the_instant(billing, ada, clock):
    give(billing, "100")
    began = clock.now()
    for number in range(37):
        clock.advance(minutes=1)
        charge(billing, "1", key=f"k{number}")

    for number in range(38):
        instant = began + timedelta(minutes=number)
        assert ada.balance(at=instant).settled == eur(str(100 - number))
        assert ada.balance(at=instant + timedelta(seconds=59)).settled == eur(str(100 - number))
    assert ada.balance(at=began - timedelta(microseconds=1)).settled == eur("0")
    assert ada.balance(at=began + 9 * DAY).settled == eur("63")


# Statements


def usage_of_two_days(billing, clock):
    """Charge two resources of two projects around a midnight in Berlin, which is 23:00 UTC."""
    give(billing, "100")
    clock.set(at(2026, 11, 24, 12))
    for start, resource, kind, project, amount in (
        (at(2026, 11, 23, 21), "vm-1", "instance", "web", "1"),
        (at(2026, 11, 23, 22), "vm-1", "instance", "web", "2"),  # ends at midnight: of the day before
        (at(2026, 11, 23, 23), "vm-1", "instance", "web", "4"),
        (at(2026, 11, 23, 23), "disk-1", "volume", "web", "8"),
        (at(2026, 11, 24, 1), "vm-2", "instance", "shop", "16"),
    ):
        charge(billing, amount, resource=resource, kind=kind, project=project, period=(start, start + HOUR))
    charge(billing, "32")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("resource", [("", "32.00", 1), ("disk-1", "8.00", 1), ("vm-1", "7.00", 3), ("vm-2", "16.00", 1)]),
        ("project", [("", "32.00", 1), ("shop", "16.00", 1), ("web", "15.00", 4)]),
        ("kind", [("", "32.00", 1), ("instance", "23.00", 4), ("volume", "8.00", 1)]),
        ("day", [("2026-11-23", "3.00", 2), ("2026-11-24", "60.00", 4)]),
    ],
)
def test_a_statement_says_where_it_went(billing, ada, clock, by, expected):
    usage_of_two_days(billing, clock)

    assert spent(ada, at(2026, 11, 1), at(2026, 12, 1), by) == expected
    assert spent(billing.customer(EVE), at(2026, 11, 1), at(2026, 12, 1), by) == []


def test_a_period_counts_where_it_ends(billing, ada, clock):
    usage_of_two_days(billing, clock)

    assert spent(ada, at(2026, 11, 23, 22), at(2026, 11, 24, 0)) == [("disk-1", "8.00", 1), ("vm-1", "6.00", 2)]
    assert spent(ada, at(2026, 11, 24, 0), at(2026, 11, 24, 2)) == [("vm-2", "16.00", 1)]
    cut = at(2026, 11, 23, 23)
    halves = spent(ada, at(2026, 11, 1), cut) + spent(ada, cut, at(2026, 12, 1))
    assert sum(Money.of(amount, "EUR").units for _, amount, _ in halves) == eur("63").units


def test_what_was_given_back_lowers_the_period_it_was_charged_for(billing, ada, clock):
    give(billing, "10")
    october = (at(2026, 9, 30, 22), at(2026, 10, 31, 23))  # as it is in Berlin
    used = charge(billing, "5", resource="vm-1", kind="instance", project="web", period=(october[1] - HOUR, october[1]))
    clock.advance(days=20)
    reverse(billing, used, "2")
    billing.usage.adjust(ADA, eur("0.5"), key="late", resource="vm-1", project="web", period=october)

    for by, name in (("resource", "vm-1"), ("project", "web"), ("day", "2026-10-31")):
        assert spent(ada, *october, by) == [(name, "3.50", 2)]
    assert spent(ada, october[1], clock.now()) == []


def test_captures_and_meters_are_usage_and_credit_is_not(billing, ada, simulated, clock):
    top_up(billing, simulated, "10.00")
    give(billing, "3", expires_at=clock.now() + 2 * HOUR)
    began = clock.now()
    run(billing, kind="instance", project="web")
    billing.usage.capture(hold(billing, "2", resource="ci", kind="build", project="web").id, eur("1.5"))
    clock.advance(hours=1)
    billing.meters.bill()
    give(billing, "1", kind="goodwill")
    operator(billing).customers.void_grant(ada.grants()[-2].id, reason="oops")
    clock.advance(hours=5)
    billing.run_due(only="credit")

    assert spent(ada, began - HOUR, began + HOUR, "project") == [("web", "1.51", 2)]
    assert spent(ada, began - HOUR, clock.now(), "kind")[0] == ("build", "1.50", 1)


def test_statements_of_a_currency_are_of_its_wallet(billing, ada, clock):
    billing.usage.charge(ADA, Money.of("3", "USD"), key="k", resource="vm-1", allow_negative=True)

    since, until = clock.now() - HOUR, clock.now()
    assert spent(ada, since, until) == []
    assert spent(ada, since, until, currency="USD") == [("vm-1", "3.00", 1)]


# History


def use_of_two(billing):
    give(billing, "50", kind="goodwill")
    for number in range(3):
        for resource, project in (("vm-1", "web"), ("vm-2", "shop"), ("", "")):
            charge(billing, "1", key=f"{resource}-{number}", resource=resource, project=project)


def test_a_history_is_filtered_by_resource_and_project(billing, ada):
    use_of_two(billing)
    whole = ada.transactions(limit=200).items

    for filters in ({"resource": "vm-1"}, {"project": "web"}, {"resource": "vm-1", "project": "web", "kind": "charge"}):
        found = walk(ada.transactions, limit=2, **filters)
        assert found == [line for line in whole if line.resource == "vm-1"]
        assert len(found) == 3
    assert ada.transactions(resource="vm-1", project="shop").items == ()
    assert ada.transactions(resource="vm-1", kind="reversal").items == ()
    assert ada.transactions(resource="VM-1").items == ()  # names are compared to the byte


def test_filtered_pages_stay_put_while_new_lines_come_in(billing, ada, clock):
    use_of_two(billing)
    whole = ada.transactions(resource="vm-1", limit=200).items

    seen, page = [], ada.transactions(resource="vm-1", limit=1)
    for number in range(9):
        seen.extend(page.items)
        if page.next is None:
            break
        charge(billing, "1", key=f"new-{number}", resource="vm-1")
        clock.advance(minutes=1)
        page = ada.transactions(resource="vm-1", limit=1, cursor=page.next)

    assert tuple(seen) == whole


def test_lines_of_several_parts_are_never_cut_by_a_page(billing, ada, simulated, clock):
    top_up(billing, simulated, "10.00")
    for number in range(4):
        give(billing, "1")
        used = charge(billing, "1.5", key=f"k{number}")
        reverse(billing, used)
        clock.advance(minutes=1)
    whole = ada.transactions(limit=200).items

    for size in (1, 2, 3, 5):
        assert tuple(walk(ada.transactions, limit=size)) == whole
    assert sum(line.amount.units for line in whole) == ada.balance().settled.units
    reversals = ada.transactions(kind="reversal", limit=200).items
    assert [str(line.amount.amount) for line in reversals] == ["1.50"] * 4
    for line in whole:
        assert line.credit.paid + line.credit.promotional == line.amount
