"""Overlapping batches, single charges and holds at once: every key exactly once, and nobody waits for ever."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from prepaid import Charge, RequestRefused

from .processes import barrier, in_processes
from .test_charge_race import PRICE, rich
from .world import Host, World, eur

SENDERS = 4
CUSTOMERS = tuple(f"ada-{number}" for number in range(5))


def _send(world: World, size: int, batches: int, *, gate: Any, number: int) -> Counter[str]:
    """Send every batch once, in an order of one's own, and its items too."""
    host, order = Host(world), random.Random(number)
    numbers = list(range(batches))
    order.shuffle(numbers)
    answers = Counter[str]()
    gate.wait()
    for batch in numbers:
        # Half of a batch is in the next one as well.
        keys = [batch * size // 2 + place for place in range(size)]
        order.shuffle(keys)
        charges = [Charge(CUSTOMERS[key % len(CUSTOMERS)], PRICE, f"key-{key}") for key in keys]
        answers.update(outcome.status for outcome in host.billing.usage.charge_many(charges))
    return answers


@pytest.mark.parametrize(("size", "batches"), [(40, 3), pytest.param(1000, 5, marks=pytest.mark.full)])
def test_overlapping_batches_of_four_processes_post_each_key_once(world, size, batches):
    count = size * (batches + 1) // 2
    for customer in CUSTOMERS:
        rich(world, customer, credit=eur(f"{count // len(CUSTOMERS)}.00"), kinds=("goodwill", "promotional"))
    gate = barrier(SENDERS)
    world.close()

    answers = in_processes(
        [lambda number=number: _send(world, size, batches, gate=gate, number=number) for number in range(SENDERS)]
    )

    assert sum(answers, Counter()) == {"posted": count, "duplicate": SENDERS * size * batches - count}
    charged = world.rows("SELECT COUNT(*), SUM(amount) FROM prepaid_transfer WHERE kind = 'charge'")
    # A charge that two grants pay for is two transfers.
    assert int(charged[0][1]) == count * PRICE.units
    keys = world.rows("SELECT COUNT(DISTINCT key_hash) FROM prepaid_transfer WHERE kind = 'charge'")
    assert int(keys[0][0]) == count
    assert Host(world).billing.check().findings == ()


def _mixed(world: World, rounds: int, *, gate: Any, number: int) -> Counter[str]:
    """Send batches, or charge, hold and release one by one, over the same wallets."""
    from datetime import timedelta

    host, order = Host(world), random.Random(number)
    answers = Counter[str]()
    gate.wait()
    for turn in range(rounds):
        customers = list(CUSTOMERS)
        order.shuffle(customers)
        if number % 2:
            charges = [Charge(customer, PRICE, f"b-{number}-{turn}-{customer}") for customer in customers]
            answers.update(outcome.status for outcome in host.billing.usage.charge_many(charges))
            continue
        for customer in customers:
            key = f"s-{number}-{turn}-{customer}"
            try:
                hold = host.billing.usage.hold(customer, PRICE, key=f"h-{key}", expires_in=timedelta(hours=1))
                answers[host.billing.usage.charge(customer, PRICE, key=key).status] += 1
                host.billing.usage.release(hold.id)
            except RequestRefused:
                answers["insufficient"] += 1
    return answers


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=pytest.mark.full)])
def test_batches_charges_and_holds_do_not_lock_each_other_out(world, rounds):
    """A deadlock would show as an error, or as a wait until the engine gives up."""
    for customer in CUSTOMERS:
        rich(world, customer, credit=eur(f"{3 * rounds}.00"))
    gate = barrier(SENDERS)
    world.close()

    answers = sum(
        in_processes(
            [lambda number=number: _mixed(world, rounds, gate=gate, number=number) for number in range(SENDERS)]
        ),
        Counter(),
    )

    charged = world.rows("SELECT SUM(amount) FROM prepaid_transfer WHERE kind = 'charge'")
    assert int(charged[0][0]) == answers["posted"] * PRICE.units
    assert answers["posted"] + answers["insufficient"] == SENDERS * rounds * len(CUSTOMERS)
    lowest = world.rows("SELECT MIN(balance) FROM prepaid_account WHERE kind = 'wallet'")
    assert int(lowest[0][0]) >= 0
    assert Host(world).billing.check().findings == ()
