"""Meters: rates that add up exactly, balances below zero, and what a customer sees of it."""

from __future__ import annotations

import contextlib
import itertools
import threading
from datetime import timedelta
from decimal import Decimal

from prepaid import InvalidRequest, Money, NotFound, Rate, WrongState
from prepaid.core.money import MAX_UNITS
from tests.use_cases.steps import (
    ADA,
    EVE,
    RATE,
    SQLITE,
    change,
    charge,
    eur,
    give,
    operator,
    rows,
    run,
    top_up,
)


def hours(billing, resource="vm-1"):
    """Give the period starts and amounts charged for a resource, oldest first."""
    found = rows(
        billing,
        "SELECT period_start, sum(amount) FROM prepaid_transfer"
        " WHERE book_id = :book AND resource = :resource GROUP BY period_start ORDER BY period_start",
        resource=resource,
    )
    return [(start, int(amount)) for start, amount in found]


# Rates


@SQLITE
def test_a_rate_finer_than_the_ledger_adds_up_over_a_thousand_hours(billing, ada, clock):
    give(billing, "1")
    run(billing, rate=Rate.hourly("0.0000004", "EUR"))
    for part in (1, 2, 300, 697):
        clock.advance(hours=part)
        billing.meters.bill()

    assert ada.balance().settled == eur("1") - eur("0.0004")
    # An hour that costs nothing leaves no transfer, and is counted all the same.
    assert len(hours(billing)) == 400
    assert ada.meters()[0].billed_until == clock.now()


@SQLITE
def test_hours_that_cost_nothing_are_not_looked_at_again(billing, ada, clock):
    run(billing, rate=Rate.hourly("0.000000000001", "EUR"))
    clock.advance(hours=100)

    assert [billing.meters.bill().charges for _ in range(2)] == [0, 0]
    assert ada.meters()[0].billed_until == clock.now()


@SQLITE
def test_a_rate_is_kept_exactly_however_it_was_written(billing, clock):
    run(billing, rate=Rate(Decimal("0.0100000000000000000000000000000000000000"), "EUR"))
    run(billing, "vm-2", rate=Rate(Decimal("1E+2"), "EUR"))
    clock.advance(hours=1)

    assert billing.meters.bill().total == (eur("100.01"),)


def test_a_rate_of_many_zeros_fits_its_column(billing, ada):
    run(billing, rate=Rate(Decimal("0.0100000000000000000000000000000000000000"), "EUR"))

    assert ada.meters()[0].rate == RATE


def test_meters_in_two_currencies_are_summed_apart(billing, clock):
    run(billing)
    run(billing, "vm-2", rate=Rate.hourly("2", "JPY"))
    clock.advance(hours=3)

    done = billing.meters.bill()

    assert done.total == (eur("0.03"), Money.of("6", "JPY"))
    assert done.customers == 1


# Balances below zero


def test_performed_usage_is_posted_below_zero(billing, ada, simulated, clock):
    give(billing, "0.025")
    run(billing)
    clock.advance(hours=4)

    assert billing.meters.bill().charges == 4
    assert ada.balance().settled == eur("-0.015")
    top_up(billing, simulated, "1.00")
    assert ada.balance().paid == eur("0.985")
    assert billing.check().ok


@SQLITE
def test_a_meter_that_no_ledger_could_hold_is_reported_and_the_others_go_on(billing, ada, clock):
    """Nothing is passed over in silence: the hours stay due until a person has looked."""
    began = clock.now()
    charge(billing, str(Money(MAX_UNITS, "EUR").amount), allow_negative=True)
    run(billing)
    billing.meters.start(EVE, resource="vm-2", rate=RATE)
    clock.advance(hours=2)

    for charges in (2, 0):
        done = billing.meters.bill()
        assert (done.charges, done.refused) == (charges, (("vm-1", "amount-out-of-range"),))

    assert hours(billing) == []
    assert ada.meters()[0].billed_until == began
    assert len(hours(billing, "vm-2")) == 2


@SQLITE
def test_of_a_meter_that_reaches_what_the_ledger_can_hold_every_hour_that_fits_is_charged(billing, ada, clock):
    began = clock.now()
    charge(billing, str(Money(MAX_UNITS - 25_000, "EUR").amount), allow_negative=True)
    run(billing)
    billing.meters.start(EVE, resource="vm-2", rate=RATE)
    clock.advance(hours=4)

    done = billing.meters.bill()

    assert (done.charges, done.refused) == (2 + 4, (("vm-1", "amount-out-of-range"),))
    assert [amount for _, amount in hours(billing)] == [10_000] * 2
    assert ada.meters()[0].billed_until == began + timedelta(hours=2)
    assert billing.meters.bill().charges == 0
    give(billing, "1")
    done = billing.meters.bill()
    assert (done.charges, done.refused) == (2, ())
    assert billing.check().ok


@SQLITE
def test_a_meter_whose_rate_cannot_be_read_is_reported_and_the_others_go_on(billing, clock):
    run(billing)
    billing.meters.start(EVE, resource="vm-2", rate=RATE)
    change(
        billing,
        "UPDATE prepaid_meter_segment SET rate = 'much'"
        " WHERE meter_id = (SELECT id FROM prepaid_meter WHERE resource = 'vm-1')",
    )
    clock.advance(hours=2)

    for charges in (2, 0):
        done = billing.meters.bill()
        assert (done.charges, done.refused) == (charges, (("vm-1", "rate-unreadable"),))


# Looking on


def test_the_runway_is_the_whole_hours_that_the_credit_lasts(billing, ada, clock):
    assert ada.runway() is None
    give(billing, "1")
    run(billing, rate=Rate.hourly("0.3", "EUR"))
    assert ada.runway() == 3
    run(billing, "vm-2", rate=Rate.hourly("0.2", "EUR"))
    assert ada.runway() == 2
    operator(billing).customers.overdraft(ADA, eur("1"), reason="good customer")
    assert ada.runway() == 4
    assert ada.runway("USD") is None
    charge(billing, "5", allow_negative=True)
    assert ada.runway() == 0
    for resource in ("vm-1", "vm-2"):
        billing.meters.stop(resource)
    assert ada.runway() is None


def test_a_customer_sees_their_running_meters_only(billing, ada, clock):
    run(billing, "vm-2", project="web", kind="instance")
    run(billing, "vm-1", rate=Rate.hourly("1", "JPY"))
    run(billing, "vm-3")
    billing.meters.stop("vm-3")
    billing.meters.start(EVE, resource="vm-4", rate=RATE)

    found = ada.meters()

    assert [meter.resource for meter in found] == ["vm-1", "vm-2"]
    assert (found[1].project, found[1].kind, found[1].customer) == ("web", "instance", ADA)
    assert (found[1].rate, found[1].started_at, found[1].billed_until) == (RATE, clock.now(), clock.now())


def test_starts_and_stops_in_a_storm_leave_one_meter_that_can_be_stopped(billing, clock):
    """Workers that wait for one meter's row must notice that another was begun and ended meanwhile."""
    began, lock, failures = clock.now(), threading.Lock(), []
    clock.advance(hours=40)
    instants = iter([began + timedelta(minutes=5 * number) for number in range(400)])

    def churn():
        for _ in range(25):
            with lock:
                at = next(instants)
            for act in (lambda at=at: run(billing, at=at), lambda at=at: billing.meters.stop("vm-1", at=at)):
                try:
                    act()
                except (WrongState, NotFound, InvalidRequest):
                    pass
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with contextlib.suppress(NotFound):
        billing.meters.stop("vm-1")
    billing.meters.bill()
    charged = len(hours(billing))
    clock.advance(hours=24)

    assert failures == []
    assert billing.meters.bill().charges == 0
    assert len(hours(billing)) == charged
    spans = sorted(rows(billing, "SELECT period_start, period_end FROM prepaid_transfer WHERE book_id = :book"))
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
    assert billing.check().ok
