"""Many meters are billed by several processes at once, and again: every hour is charged once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from prepaid import BillingRun, Money, Rate
from prepaid.store import schema
from prepaid.testing.clock import START

from .processes import barrier, in_processes
from .world import Host, World

WORKERS = 2
CUSTOMERS = 10
RATE = Rate.hourly("0.01", "EUR")
LATER = START + timedelta(hours=1, minutes=1)


def run_meters(world: World, count: int) -> None:
    """Start meters, the first by the library and the others as copies of its rows: that many starts take long."""
    host = Host(world)
    for number in range(CUSTOMERS):
        host.register(f"ada-{number}")
        host.billing.meters.start(f"ada-{number}", resource=f"vm-{number}", rate=RATE)
    for table, key in ((schema.meter, "id"), (schema.meter_segment, "meter_id")):
        with world.engine.begin() as connection:
            first = connection.execute(table.select().order_by(table.c[key]).limit(1)).mappings().one()
            rows = [dict(first) | copy for copy in map(_copy_of(table, key), range(CUSTOMERS, count))]
            for begin in range(0, len(rows), 5000):
                connection.execute(insert(table), rows[begin : begin + 5000])
            if connection.dialect.name == "postgresql":  # or each foreign key goes through all that it may refer to
                connection.exec_driver_sql(f"ANALYZE {table.name}")


def _copy_of(table: Any, key: str) -> Any:
    def copy(number: int) -> dict[str, Any]:
        own = {key: f"mtr_copy{number:07}"}
        if table is schema.meter:
            own |= {"resource": f"vm-{number}", "running": f"vm-{number}", "customer": f"ada-{number % CUSTOMERS}"}
        return own

    return copy


def bill_at_once(world: World, defect: Any = None) -> list[tuple[BillingRun, list[tuple[int, int | None]]]]:
    """Let workers bill twice each, all at the same time, and give what each run said."""
    gate = barrier(WORKERS)

    def work() -> list[tuple[BillingRun, list[tuple[int, int | None]]]]:
        if defect is not None:
            defect()
        host, said = Host(world, at=LATER), []
        gate.wait()
        for _ in range(2):
            told: list[tuple[int, int | None]] = []
            said.append((host.billing.meters.bill(on_progress=lambda *numbers, told=told: told.append(numbers)), told))
        return said

    world.close()
    return [run for runs in in_processes([work] * WORKERS) for run in runs]


@pytest.mark.parametrize("count", [400, pytest.param(100_000, marks=pytest.mark.full)])
def test_meters_billed_by_two_workers_twice_are_each_charged_once(world, count, monkeypatch):
    if count < 10_000:  # several transactions here too
        monkeypatch.setattr("prepaid.usage.billing.CHARGES_A_TRANSACTION", 50)
    run_meters(world, count)

    runs = bill_at_once(world)

    assert sum(run.charges for run, _ in runs) == count
    assert all(run.refused == () for run, _ in runs)
    assert sum(told[-1][0] for _, told in runs if told) == count
    assert max(due for _, told in runs for _, due in told) == count
    for _, told in runs:
        assert told == sorted(told)
    charged = world.rows("SELECT COUNT(*), COUNT(DISTINCT resource), SUM(amount) FROM prepaid_transfer")
    assert [tuple(map(int, row)) for row in charged] == [(count, count, count * 10_000)]
    host = Host(world, at=LATER)
    assert host.billing.meters.bill().charges == 0
    debts = {host.billing.customer(f"ada-{number}").balance().settled for number in range(CUSTOMERS)}
    assert debts == {Money(-10_000 * (count // CUSTOMERS), "EUR")}
    assert host.billing.check().findings == ()
