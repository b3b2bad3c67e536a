"""Meters: every started hour is charged once, whatever stops, restarts, fails or jumps."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from prepaid import KeyConflict, Money, Rate, WrongState
from tests.engines import SERVERS
from tests.use_cases.steps import (
    ADA,
    EVE,
    RATE,
    SQLITE,
    charge,
    counts,
    eur,
    give,
    rows,
    run,
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


# Started hours


def test_an_hour_is_charged_once_it_has_ended(billing, ada, clock):
    give(billing, "10")
    began = clock.now()
    run(billing, kind="instance", project="web")
    clock.set(began + timedelta(minutes=59, seconds=59))
    assert billing.meters.bill().charges == 0

    clock.set(began + timedelta(hours=1))
    done = billing.meters.bill()

    assert (done.charges, done.customers, done.total, done.refused) == (1, 1, (eur("0.01"),), ())
    [line] = ada.transactions(kind="charge").items
    assert (line.amount, line.resource, line.description) == (eur("-0.01"), "vm-1", "vm-1, 1 h")
    assert line.period == (began, began + timedelta(hours=1))


@pytest.mark.parametrize(
    ("minutes", "charged"), [(0, 1), (1, 1), (59, 1), (60, 1), (61, 2), (119, 2), (120, 2), (150, 3)]
)
def test_a_stop_ends_the_count_with_the_hour_it_falls_in(billing, clock, minutes, charged):
    began = clock.now()
    run(billing)
    clock.set(began + timedelta(minutes=minutes))
    billing.meters.stop("vm-1")
    billing.meters.bill()
    assert len(hours(billing)) == minutes // 60  # the last hour is charged when it has ended, not before

    clock.set(began + timedelta(hours=10))
    billing.meters.bill()

    assert len(hours(billing)) == charged
    assert billing.check().ok


def test_a_restart_within_the_begun_hour_goes_on_in_it(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(minutes=10)
    stopped = billing.meters.stop("vm-1")
    clock.advance(minutes=20)

    resumed = run(billing)

    assert stopped.stopped_at == began + timedelta(minutes=10)
    assert (resumed.started_at, resumed.stopped_at) == (began, None)
    clock.set(began + timedelta(hours=2))
    billing.meters.bill()
    assert len(hours(billing)) == 2


def test_a_restart_in_an_hour_that_was_already_charged_does_not_charge_it_again(billing, clock):
    """Stopped and charged up to the full hour; then it starts again at that very moment."""
    began = clock.now()
    run(billing)
    clock.advance(minutes=30)
    billing.meters.stop("vm-1")
    clock.set(began + timedelta(hours=1))
    billing.meters.bill()

    again = run(billing)

    assert again.started_at == began + timedelta(hours=1)
    clock.advance(hours=1)
    billing.meters.bill()
    assert [start for start, _ in hours(billing)] == [
        int((began + timedelta(hours=n)).timestamp()) * 1_000_000 for n in range(2)
    ]


def test_a_later_restart_begins_a_new_count(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(minutes=10)
    billing.meters.stop("vm-1")
    clock.advance(minutes=75)

    assert run(billing).started_at == began + timedelta(minutes=85)
    clock.advance(hours=1)
    billing.meters.bill()
    assert [start // 60_000_000 - int(began.timestamp()) // 60 for start, _ in hours(billing)] == [0, 85]


def test_stopping_and_starting_all_day_costs_no_more_than_running(billing, clock):
    began = clock.now()
    run(billing)
    for _ in range(30):
        clock.advance(minutes=5)
        billing.meters.stop("vm-1")
        clock.advance(minutes=5)
        run(billing)
    clock.set(began + timedelta(hours=6))
    billing.meters.bill()

    assert len(hours(billing)) == 6


def test_the_begun_hour_cannot_be_resumed_by_somebody_or_something_else(billing, clock):
    run(billing)
    clock.advance(minutes=10)
    billing.meters.stop("vm-1")

    by_second = Rate.hourly("0.01", "EUR", increment="second")
    others = (
        {"customer_id": EVE},
        {"kind": "volume"},
        {"project": "web"},
        {"rate": Rate.hourly("1", "JPY")},
        {"rate": by_second},
    )
    for other in others:
        with pytest.raises(WrongState) as refused:
            billing.meters.start(**{"customer_id": ADA, "resource": "vm-1", "rate": RATE, **other})
        assert refused.value.field == "at"
    clock.advance(minutes=50)
    for number, other in enumerate(others):
        billing.meters.start(**{"customer_id": ADA, "resource": "vm-1", "rate": RATE, **other})
        billing.meters.stop("vm-1", at=clock.advance(minutes=1))
        clock.advance(hours=1)
        assert counts(billing)["meter"] == 2 + number


def test_a_restart_at_another_rate_in_the_begun_hour_is_a_change_of_the_rate(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(minutes=10)
    billing.meters.stop("vm-1")
    clock.advance(minutes=20)

    dearer = run(billing, rate=Rate.hourly("0.04", "EUR"))

    assert (dearer.started_at, dearer.rate) == (began, Rate.hourly("0.04", "EUR"))
    clock.set(began + timedelta(hours=2))
    billing.meters.bill()
    assert [amount for _, amount in hours(billing)] == [40_000, 40_000]
    assert billing.check().ok


@SQLITE
def test_a_resource_is_metered_once(billing, clock):
    began = clock.now()
    first = run(billing)
    clock.advance(seconds=1)

    for other in ({}, {"at": clock.now()}, {"at": began, "project": "other"}):
        with pytest.raises(WrongState) as refused:
            run(billing, **other)
        assert refused.value.field == "resource"
    assert run(billing, at=began) == first
    assert counts(billing)["meter"] == 1


@SQLITE
def test_the_same_stop_again_changes_nothing(billing, clock):
    run(billing)
    stopped = billing.meters.stop("vm-1", at=clock.advance(minutes=5))
    clock.advance(hours=3)
    billing.meters.bill()

    again = billing.meters.stop("vm-1", at=stopped.stopped_at)

    assert (again.stopped_at, again.resource) == (stopped.stopped_at, "vm-1")
    assert len(hours(billing)) == 1


def test_two_starts_at_the_same_moment_make_one_meter(billing):
    barrier, results = threading.Barrier(4), []

    def begin():
        barrier.wait()
        try:
            results.append(run(billing).resource)
        except WrongState as refused:
            results.append(refused.field)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == ["vm-1"] * 4  # the same start, told four times
    assert counts(billing)["meter"] == 1


@SQLITE
def test_a_stop_told_late_is_taken_and_what_was_charged_beyond_it_stays(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(hours=3)
    billing.meters.bill()

    stopped = billing.meters.stop("vm-1", at=began + timedelta(minutes=30))

    assert stopped.billed_until == began + timedelta(hours=3)
    clock.advance(hours=100)
    assert billing.meters.bill().charges == 0
    assert len(hours(billing)) == 3
    # A start within the hours already charged goes on in them.
    run(billing, at=began + timedelta(hours=2))
    billing.meters.stop("vm-1", at=began + timedelta(hours=2, minutes=59))
    assert billing.meters.bill().charges == 0


@SQLITE
def test_a_past_that_was_counted_cannot_be_counted_again(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(hours=3)
    billing.meters.bill()
    billing.meters.stop("vm-1", at=began + timedelta(hours=2, minutes=30))

    with pytest.raises(WrongState) as refused:
        run(billing, at=began + timedelta(hours=1))

    assert refused.value.field == "at"


@SQLITE
def test_a_stop_can_be_told_late(billing, clock):
    began = clock.now()
    run(billing, at=began - timedelta(hours=5))
    clock.advance(hours=1)

    meter = billing.meters.stop("vm-1", at=began - timedelta(hours=3, minutes=30))
    billing.meters.bill()

    assert meter.started_at == began - timedelta(hours=5)
    assert len(hours(billing)) == 2


# Outages and clocks


@pytest.mark.parametrize(
    ("place", "outage"),
    [("sqlite", 500), *(pytest.param(*server.values, 210, marks=server.marks) for server in SERVERS)],
    indirect=["place"],
)
def test_after_an_outage_every_hour_is_charged_once(billing, ada, clock, outage):
    """Longer than one transaction takes."""
    give(billing, "10")
    run(billing)
    clock.advance(hours=outage)

    first, second = billing.meters.bill(), billing.meters.bill()

    cost = Money.from_minor(outage, "EUR")
    assert (first.charges, first.total) == (outage, (cost,))
    assert (second.charges, second.total) == (0, ())
    assert len(hours(billing)) == outage
    assert ada.balance().settled == eur("10") - cost
    assert billing.check().ok


@SQLITE
def test_a_clock_that_jumps_back_charges_nothing_twice_and_undoes_nothing(billing, clock):
    began = clock.now()
    run(billing)
    clock.set(began + timedelta(hours=5))
    billing.meters.bill()

    for back in (4, 2, 0, -3):
        clock.set(began + timedelta(hours=back))
        assert billing.meters.bill().charges == 0
    clock.set(began + timedelta(hours=6))

    assert billing.meters.bill().charges == 1
    assert len(hours(billing)) == 6


@SQLITE
def test_a_stop_by_a_clock_that_jumped_back_ends_the_costs(billing, clock):
    began = clock.now()
    run(billing)
    clock.set(began + timedelta(hours=5))
    billing.meters.bill()
    clock.set(began + timedelta(hours=2))

    billing.meters.stop("vm-1")

    clock.set(began + timedelta(hours=50))
    assert billing.meters.bill().charges == 0
    assert len(hours(billing)) == 5


@SQLITE
def test_billing_until_an_earlier_instant_leaves_the_rest_for_later(billing, clock):
    began = clock.now()
    run(billing)
    clock.advance(hours=10)

    assert billing.meters.bill(until=began + timedelta(hours=4, minutes=30)).charges == 4
    assert billing.meters.bill(until=began + timedelta(days=400)).charges == 6  # never ahead of the clock


def test_two_workers_billing_at_once_charge_each_hour_once(open_billing, billing, clock):
    for number in range(4):
        run(billing, f"vm-{number}")
    clock.advance(hours=30)
    workers, barrier, runs = [open_billing(), open_billing()], threading.Barrier(2), []

    def work(worker):
        barrier.wait()
        runs.append(worker.meters.bill())

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(done.charges for done in runs) == 4 * 30
    assert all(done.refused == () for done in runs)
    assert all(len(hours(billing, f"vm-{number}")) == 30 for number in range(4))
    assert billing.customer(ADA).balance().settled == eur("-1.20")
    assert billing.check().ok


@SQLITE
def test_more_meters_than_one_page_are_all_billed(billing, clock, monkeypatch):
    monkeypatch.setattr("prepaid.usage.billing.CHARGES_A_TRANSACTION", 3)
    for number in range(10):
        run(billing, f"vm-{number}")
    clock.advance(hours=2)

    assert billing.meters.bill().charges == 20


# What the host charged itself


def test_an_hour_that_a_meter_charged_is_not_charged_by_the_host(billing, clock):
    give(billing, "10")
    began = clock.now()
    run(billing)
    clock.advance(hours=1)
    billing.meters.bill()

    with pytest.raises(KeyConflict) as refused:
        charge(billing, "0.01", resource="vm-1", period=(began, began + timedelta(hours=1)))

    assert refused.value.field == "period"


def test_an_hour_that_the_host_charged_is_passed_over_and_reported_and_the_rest_goes_on(billing, clock):
    give(billing, "10")
    began = clock.now()
    run(billing)
    run(billing, "vm-2")
    third = began + timedelta(hours=2)
    charge(billing, "0.5", resource="vm-1", period=(third, third + timedelta(hours=1)))
    clock.advance(hours=5)

    done = billing.meters.bill()

    assert done.refused == (("vm-1", "period-charged"),)
    assert (done.charges, done.total) == (4 + 5, (eur("0.09"),))
    assert [amount for _, amount in hours(billing)] == [10_000, 10_000, 500_000, 10_000, 10_000]
    assert billing.meters.bill().refused == ()  # said once
    assert billing.check().ok
