"""Jobs: safe anywhere and any number of times, and none of them keeps another from running."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise

import pytest

from prepaid import ConfigurationError, Rate, jobs, outbox
from prepaid.gateways import SimulatedGateway
from prepaid.jobs import JOBS, LEASE_FOR
from prepaid.testing.clock import MovableClock
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    change,
    checkout_of,
    deliver,
    eur,
    give,
    operator,
    rows,
    start,
    told,
    top_up,
    value,
)

RATE = Rate.hourly("0.01", "EUR")


def statuses(runs):
    return {run.name: run.status for run in runs}


def test_everything_that_is_due_is_done_and_counted(billing, ada, simulated, clock, mailer):
    give(billing, "1")
    billing.meters.start(ADA, resource="vm-1", rate=RATE)
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    clock.advance(hours=2)

    runs = billing.run_due()

    # The webhook was lost; the look at open top-ups credits, and the outbox then tells and mails.
    assert {run.name: (run.status, run.count) for run in runs} == {
        "meters": ("done", 2),
        "credit": ("done", 0),
        "webhooks": ("done", 0),
        "topups": ("done", 1),
        "identity": ("done", 0),
        "promotions": ("done", 0),
        "refunds": ("done", 0),
        "tax-ids": ("done", 0),
        "rollups": ("done", 0),
        "digest": ("done", 0),
        "outbox": ("done", 3),
    }
    assert ada.balance().settled == eur("50.98")
    assert len(mailer.sent) == 1


def test_a_second_run_has_nothing_to_do(billing, simulated, clock):
    top_up(billing, simulated)
    billing.run_due()

    assert [run.count for run in billing.run_due()] == [0] * len(JOBS)
    assert [run.count for run in billing.run_due(only="outbox")] == [0]


def test_only_one_job_can_be_asked_for(billing, simulated):
    top_up(billing, simulated)

    assert [run.name for run in billing.run_due(only="meters")] == ["meters"]
    assert billing.health()["outbox_pending"] == 3


# Leases


def test_a_job_that_is_running_elsewhere_is_left_to_it(open_billing, billing, simulated):
    top_up(billing, simulated)
    other, seen = open_billing(), []
    billing.on("topup-credited", lambda event: seen.append(statuses(other.run_due(only="outbox"))))

    billing.run_due()

    assert seen == [{"outbox": "busy"}]
    assert statuses(other.run_due(only="outbox")) == {"outbox": "done"}  # given back at the end


def leave_leases(billing, lasting):
    """Leave the leases of a process that died, by the real time that the database has."""
    until = time.time_ns() // 1000 + lasting // timedelta(microseconds=1)
    change(billing, f"UPDATE prepaid_job_lease SET holder = 'a dead process', expires_at = {until}")


@pytest.mark.parametrize("jump", [timedelta(0), timedelta(days=2), timedelta(days=-3)])
def test_a_lease_whose_holder_died_lapses_by_the_time_of_the_database(billing, clock, jump):
    billing.run_due()
    clock.set(clock.now() + jump)

    leave_leases(billing, LEASE_FOR - timedelta(seconds=1))
    assert set(statuses(billing.run_due()).values()) == {"busy"}
    leave_leases(billing, -timedelta(seconds=1))
    assert set(statuses(billing.run_due()).values()) == {"done"}


def test_a_lease_is_taken_for_its_time(billing, simulated):
    top_up(billing, simulated)
    held = "SELECT expires_at FROM prepaid_job_lease WHERE book_id = :book AND name = 'outbox'"
    seen = []
    billing.on("topup-credited", lambda event: seen.append(value(billing, held) - time.time_ns() // 1000))

    billing.run_due(only="outbox")

    [lasts_us] = seen
    assert abs(timedelta(microseconds=lasts_us) - LEASE_FOR) < timedelta(seconds=30)
    assert value(billing, held) == 0


@pytest.mark.parametrize("work", ["jobs", "without leases"])
def test_a_worker_whose_clock_is_ahead_leaves_alone_what_another_is_at(open_billing, billing, simulated, clock, work):
    top_up(billing, simulated)
    ahead = MovableClock(clock.now() + timedelta(days=2))
    other, heard = open_billing(clock=ahead), []
    for each in (billing, other):
        each.on("topup-credited", lambda event: heard.append(event.id))

    def interfere(event):
        if work == "jobs":
            other.run_due("outbox")
        else:
            outbox.drain(other._context, jobs.HANDLERS)

    billing.on("topup-credited", interfere)
    billing.run_due("outbox")

    assert len(heard) == 1


@SQLITE
def test_a_lease_that_was_taken_over_is_not_given_back_by_the_first_holder(open_billing, billing, simulated):
    """The first worker hangs beyond its lease; the second has taken over and still works."""
    top_up(billing, simulated)
    other = open_billing()

    def hang(event):
        change(other, "UPDATE prepaid_outbox SET state = 'done'")
        change(other, "UPDATE prepaid_job_lease SET token = token + 1")

    billing.on("topup-credited", hang)
    billing.run_due(only="outbox")

    assert statuses(other.run_due(only="outbox")) == {"outbox": "busy"}


# Failures


@SQLITE
@pytest.mark.parametrize("name", list(JOBS))
def test_a_job_that_fails_does_not_keep_the_others_from_running(billing, simulated, monkeypatch, caplog, name):
    def broken(context, until):
        raise RuntimeError("out of paper")

    monkeypatch.setitem(JOBS, name, broken)

    assert statuses(billing.run_due()) == {other: "failed" if other == name else "done" for other in JOBS}
    assert f"job {name} failed" in caplog.text
    monkeypatch.undo()
    assert set(statuses(billing.run_due()).values()) == {"done"}  # its lease was given back


@SQLITE
def test_a_meter_that_the_host_charged_itself_is_logged(billing, clock, caplog):
    began = clock.now()
    billing.meters.start(ADA, resource="vm-1", rate=RATE)
    billing.usage.charge(
        ADA, eur("1"), key="k", resource="vm-1", period=(began, began + timedelta(hours=1)), allow_negative=True
    )
    clock.advance(hours=1)

    billing.run_due()

    assert "resource vm-1 could not be charged: period-charged" in caplog.text


def test_no_job_hides_that_the_database_was_never_made(open_billing, tmp_path):
    empty = open_billing(database=f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(ConfigurationError, match="upgrade_database"):
        empty.run_due()


# Budgets


@SQLITE
def test_nothing_new_is_begun_after_the_budget(billing, simulated, clock):
    heard = []

    def slow(event):
        heard.append(event)
        clock.advance(seconds=2)

    billing.on("topup-credited", slow)
    for _ in range(5):
        top_up(billing, simulated, "1.00")

    billing.run_due(only="outbox", budget_s=3)
    assert 1 <= len(heard) <= 2
    billing.run_due(only="outbox")
    assert len(heard) == 5


@SQLITE
def test_a_budget_that_is_used_up_leaves_meters_and_top_ups_for_the_next_run(billing, simulated, clock, monkeypatch):
    start(billing)
    billing.meters.start(ADA, resource="vm-1", rate=RATE)
    clock.advance(hours=1)
    real = type(clock).now
    monkeypatch.setattr(type(clock), "now", lambda self: self.advance(seconds=1) and real(self))

    assert [run.count for run in billing.run_due(budget_s=1)][:4] == [0, 0, 0, 0]
    monkeypatch.undo()
    assert [run.count for run in billing.run_due()][:4] == [1, 0, 0, 1]


# Looking at open top-ups


def test_a_lapsed_checkout_is_closed_and_told(billing, ada, simulated, clock):
    topup = start(billing)
    clock.set(topup.expires_at)

    billing.run_due()

    assert ada.topups.get(topup.id).state == "expired"
    assert simulated.page(checkout_of(topup)).state == "expired"
    assert told(billing, "topup-failed") == [{"topup": topup.id, "reason": "expired"}]


def test_a_top_up_paid_in_the_last_second_is_credited_not_closed(billing, ada, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    clock.set(topup.expires_at + timedelta(days=3))

    billing.run_due(only="topups")

    assert ada.topups.get(topup.id).state == "credited"


@SQLITE
def test_open_top_ups_are_looked_at_soon_at_first_then_more_and_more_seldom(billing, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup), later=True)
    looks = []
    for _ in range(40):
        due = value(billing, "SELECT next_poll_at FROM prepaid_topup WHERE book_id = :book")
        looks.append(due)
        clock.set(clock.now() + timedelta(microseconds=due - int(clock.now().timestamp() * 1_000_000)))
        assert billing.run_due(only="topups")[0].count == 1

    waits = [(later - earlier) // 60_000_000 for earlier, later in pairwise(looks)]
    assert waits[:5] == [1, 5, 15, 60, 60]
    assert set(waits[4:28]) == {60}
    assert set(waits[28:]) == {60 * 24}


@SQLITE
def test_a_gateway_that_is_down_is_asked_again_at_the_next_look(billing, ada, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", "unavailable")
    billing.run_due(only="topups")
    assert ada.topups.get(topup.id).state == "pending"

    clock.advance(minutes=1)
    billing.run_due(only="topups")

    assert ada.topups.get(topup.id).state == "credited"


@SQLITE
def test_a_gateway_that_answers_nonsense_marks_the_top_up_for_a_person(billing, ada, simulated):
    topup = start(billing)
    simulated.fault_next("fetch_payment", "garbage")

    billing.run_due(only="topups")

    assert (ada.topups.get(topup.id).state, ada.topups.get(topup.id).failure) == ("pending", "garbage")


@SQLITE
def test_a_budget_ends_between_two_looks(billing, simulated, clock, monkeypatch):
    for _ in range(3):
        start(billing, "1.00")
    real = SimulatedGateway.fetch_payment

    def slow(self, ref):
        clock.advance(seconds=2)
        return real(self, ref)

    monkeypatch.setattr(SimulatedGateway, "fetch_payment", slow)

    assert billing.run_due(only="topups", budget_s=3)[0].count == 2


@SQLITE
def test_more_open_top_ups_than_one_look_takes_are_all_looked_at(billing, simulated, monkeypatch):
    monkeypatch.setattr("prepaid.jobs.LOOKS_AT_ONCE", 2)
    for _ in range(5):
        simulated.pay(checkout_of(start(billing, "1.00")))

    assert billing.run_due(only="topups")[0].count == 5
    assert billing.customer(ADA).balance().settled == eur("5")


@SQLITE
def test_a_settled_top_up_is_never_looked_at_again(billing, simulated, clock):
    paid, failed = start(billing), start(billing)
    simulated.pay(checkout_of(paid))
    simulated.fail(checkout_of(failed))
    for delivery in simulated.events():
        deliver(billing, delivery)
    clock.advance(days=30)

    assert billing.run_due(only="topups")[0].count == 0
    assert rows(billing, "SELECT DISTINCT next_poll_at FROM prepaid_topup WHERE book_id = :book") == [(None,)]


# A gateway that does not answer


@SQLITE
def test_a_gateway_that_does_not_answer_keeps_no_other_waiting(open_billing, simulated, tmp_path, clock):
    down = SimulatedGateway(state=tmp_path / "down.db", clock=clock, name="down")
    billing = open_billing(gateways=[down, simulated])
    billing.customers.register(ADA, currency="EUR")
    held_up = [start(billing, gateway="down") for _ in range(5)]
    paid = start(billing, gateway="simulated")
    simulated.pay(checkout_of(paid))
    down.fault_next("fetch_payment", "unavailable", times=100)
    clock.advance(minutes=2)

    [run] = billing.run_due(only="topups")

    assert (run.status, run.count) == ("done", 1 + jobs.PATIENCE)
    assert billing.customer(ADA).topups.get(paid.id).state == "credited"
    polls = rows(billing, "SELECT polls FROM prepaid_topup WHERE gateway = 'down' ORDER BY id")
    assert sorted(count for (count,) in polls) == [0] * (len(held_up) - jobs.PATIENCE) + [1] * jobs.PATIENCE
    clock.advance(minutes=2)
    assert billing.run_due(only="topups")[0].count == jobs.PATIENCE


@SQLITE
def test_events_of_such_a_gateway_wait_without_an_attempt_counted(open_billing, simulated, tmp_path, clock):
    down = SimulatedGateway(state=tmp_path / "down.db", clock=clock, name="down")
    billing = open_billing(gateways=[down, simulated])
    billing.customers.register(ADA, currency="EUR")
    for _ in range(4):
        down.pay(checkout_of(start(billing, gateway="down")))
    down.fault_next("fetch_payment", "unavailable", times=100)
    for delivery in down.events():
        assert deliver(billing, delivery, to="down").outcome == "recorded"
    clock.advance(minutes=2)

    assert billing.run_due(only="webhooks")[0].count == jobs.PATIENCE

    attempts = rows(billing, "SELECT attempts FROM prepaid_webhook_event WHERE book_id = :book")
    assert sorted(count for (count,) in attempts) == [1] * (4 - jobs.PATIENCE) + [2] * jobs.PATIENCE


@SQLITE
def test_refunds_of_such_a_gateway_wait_too(open_billing, tmp_path, clock):
    down = SimulatedGateway(state=tmp_path / "down.db", clock=clock, name="down")
    billing = open_billing(gateways=[down])
    billing.customers.register(ADA, currency="EUR")
    down.fault_next("refund", "unavailable", times=100)
    for number in range(4):
        topup = start(billing)
        down.pay(checkout_of(topup), amount=eur("1"))
        billing.customer(ADA).topups.confirm(topup.id)
        operator(billing).topups.resolve(topup.id, action="refund", reason="short", key=f"act-{number}")
    clock.advance(minutes=2)

    assert billing.run_due(only="refunds")[0].count == jobs.PATIENCE
