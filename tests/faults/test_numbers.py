"""Invoice numbers have no gap and no twin, however many settle at once and however many fail."""

from __future__ import annotations

import random
from typing import Any

import pytest

from prepaid.store import documents

from .processes import barrier, in_processes
from .world import Host, World, checkout_of, eur

PROCESSES = 4
FAILING = 0.2


class PulledPlug(Exception):
    """A transaction is given up after its number was taken."""


def settle_many(world: World, gate: Any, *, process: int, count: int) -> tuple[int, list[str]]:
    """Settle top-ups of as many customers, failing now and then; give how often, and the invoice numbers."""
    chance, add_invoice = random.Random(process), documents.add_invoice
    failures = 0

    def add_or_fail(*arguments: Any, **named: Any) -> Any:
        nonlocal failures
        if chance.random() < FAILING:
            failures += 1
            raise PulledPlug
        return add_invoice(*arguments, **named)

    documents.add_invoice = add_or_fail
    host = Host(world)
    topups = []
    for number in range(count):
        customer = f"customer-{process}-{number}"
        host.register(customer)
        topups.append(host.paid_topup(customer, eur("10.00"), key="order"))
    told = {delivery.checkout_id: delivery.request(at=host.clock.now()) for delivery in host.provider.events()}
    gate.wait()
    numbers = []
    for topup in topups:
        headers, body = told[checkout_of(topup)]
        while (result := host.billing.webhooks.receive("simulated", body=body, headers=headers)).outcome != "credited":
            assert result.status >= 500, "the gateway must try again"
        numbers.append(host.billing.customer(topup.customer).topups.get(topup.id).invoice_number)
    return failures, numbers


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.full)])
def test_numbers_are_dense_and_unique_over_processes_and_rollbacks(world, count, caplog):
    gate = barrier(PROCESSES)
    world.close()

    done = in_processes(
        [lambda process=process: settle_many(world, gate, process=process, count=count) for process in range(PROCESSES)]
    )

    total = PROCESSES * count
    assert sum(failures for failures, _ in done) > total * FAILING / 2
    told = [number for _, numbers in done for number in numbers]
    assert sorted(told) == [f"TINV26-{number:06}" for number in range(1, total + 1)]
    stored = world.rows("SELECT sequence, number FROM prepaid_invoice ORDER BY sequence")
    assert [sequence for sequence, _ in stored] == list(range(1, total + 1))
    assert world.rows("SELECT last FROM prepaid_invoice_series") == [(total,)]
    # Taken in the order in which they were committed, also within one process.
    for _, numbers in done:
        assert numbers == sorted(numbers)
    assert Host(world).billing.check().findings == ()
