"""Two workers at once, with clocks that jump: each day has one digest and one mail, and there is no hole."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

import pytest

from prepaid import outbox, permissions
from prepaid.jobs import HANDLERS
from prepaid.reporting import digest
from prepaid.testing.clock import START

from .processes import barrier, in_processes
from .world import Diary, Host, World, eur

DAYS = 40
TAKES_S = 0.03
FIRST = date(2026, 11, 22)
JUMPS = {5: timedelta(days=2), 6: timedelta(days=-3), 13: timedelta(hours=30), 21: timedelta(days=-10)}
"""By how much the clock of one worker is wrong, on some days."""


def switched_on(world: World) -> None:
    host = Host(world)
    host.register("ada")
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    operator.customers.grant("ada", eur("100"), kind="goodwill", reason="welcome", key="welcome")
    operator.digest.settings(email="cfo@nimbus.example")


def by_jobs(host: Host) -> None:
    host.billing.run_due("digest")
    host.billing.run_due("outbox")


def without_leases(host: Host) -> None:
    """Do what the jobs do although another worker is at it: as if their leases had lapsed."""
    context = host.billing._context
    digest.write_due(context)
    outbox.drain(context, HANDLERS)


def tell_slowly() -> None:
    """Let what this process tells take its time, so that the other one comes upon it."""
    tell = Diary._tell

    def slowly(self: Diary, *words: str) -> None:
        time.sleep(TAKES_S)
        tell(self, *words)

    Diary._tell = slowly  # type: ignore[method-assign]


def worker(world: World, gate: Any, number: int, work: Any) -> int:
    tell_slowly()
    host = Host(world)
    host.billing.health()
    for day in range(DAYS):
        at = START + timedelta(days=day)
        host.clock.set(at + JUMPS.get(day + 3 * number, timedelta(0)))
        gate.wait()
        work(host)
        gate.wait()
        if number == 0:
            host.clock.set(at)
            host.billing.usage.charge("ada", eur("1"), key=f"day-{day}")
    return number


@pytest.mark.parametrize("work", [by_jobs, without_leases], ids=["jobs", "without leases"])
def test_forty_days_with_two_workers_have_one_mail_each(world, work):
    switched_on(world)
    gate = barrier(2)
    world.close()

    in_processes([lambda number=number: worker(world, gate, number, work) for number in range(2)])
    last = Host(world, at=START + timedelta(days=DAYS))  # what a clock that ran ahead left for later
    by_jobs(last)

    days = [date.fromisoformat(day) for (day,) in world.rows("SELECT day FROM prepaid_digest ORDER BY day")]
    assert days == [FIRST + timedelta(days=count) for count in range(DAYS + 1)]
    keys = [f"digest/{found}" for (found,) in world.rows("SELECT id FROM prepaid_digest")]
    told = world.diary.told()
    mails = {words[1]: count for words, count in told.items() if words[0] == "mail"}
    events = [count for words, count in told.items() if words[:2] == ("event", "digest-sent")]
    assert (sorted(mails), len(events)) == (sorted(keys), DAYS + 1)
    assert (set(mails.values()), set(events)) == ({1}, {1})
    figures_and_late(last, days)
    assert last.billing.check().findings == ()


def figures_and_late(host: Host, days: list[date]) -> None:
    """What was consumed is in the digests or among their late entries, each euro once."""
    found = host.billing._context.database.read(lambda tx: digest.digests.from_day(tx, days[0]))
    told = sum(facts.currencies[0].figures["credit_consumed"] for facts in found)
    late = sum(entry.amount for facts in found for entry in facts.late if entry.figure == "credit_consumed")
    assert told + late == eur("1").units * DAYS
