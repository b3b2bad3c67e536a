"""One payment, told many times and at the same moment: one credit, one invoice, one mail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from prepaid import Topup, WebhookResult
from prepaid.testing.clock import START

from .processes import barrier, in_processes
from .world import Host, World, eur

AMOUNT = eur("20.00")
FIRST_OR_AGAIN = {"credited", "duplicate"}


def in_threads(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run functions in a thread each, at the same time, and give what they returned."""
    results: list[Any] = [None] * len(works)

    def run(number: int) -> None:
        results[number] = works[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_settled_once(world: World, topups: Sequence[Topup]) -> None:
    """Everything of each top-up exists exactly once, after all that waits was told."""
    host = Host(world, at=START + timedelta(hours=3))
    host.billing.run_due()
    ones = [(topup.id, 1) for topup in sorted(topups, key=lambda topup: topup.id)]

    def per_topup(what: str) -> list[tuple[Any, ...]]:
        return world.rows(f"SELECT {what} GROUP BY 1 ORDER BY 1")

    assert world.rows("SELECT id, state FROM prepaid_topup ORDER BY 1") == [(id, "credited") for id, _ in ones]
    assert per_topup("topup_id, COUNT(*) FROM prepaid_payment") == ones
    assert per_topup("topup_id, COUNT(*) FROM prepaid_invoice") == ones
    assert per_topup("cause_id, COUNT(*) FROM prepaid_transfer WHERE kind = 'topup'") == ones
    assert per_topup("source_topup, COUNT(*) FROM prepaid_grant") == ones
    told = world.diary.told()
    assert set(told.values()) == {1}
    assert sum(words[0] == "mail" for words in told) == len(ones)
    assert sum(words[:2] == ("event", "topup-credited") for words in told) == len(ones)
    for topup in topups:
        assert host.billing.customer(topup.customer).balance().settled == AMOUNT
    assert host.billing.check().findings == ()


def assert_answers(results: Sequence[WebhookResult]) -> None:
    """All answers make the gateway stop, and at most one of them did it."""
    assert {result.status for result in results} == {200}
    outcomes = [result.outcome for result in results]
    assert set(outcomes) <= FIRST_OR_AGAIN
    assert outcomes.count("credited") <= 1


@pytest.fixture
def paid(world: World) -> Topup:
    host = Host(world)
    host.register("ada")
    return host.paid_topup("ada", AMOUNT, key="order-1")


def test_fifty_deliveries_in_a_row_credit_once(world, paid):
    host = Host(world)

    results = [host.deliver()[0] for _ in range(50)]

    assert [result.outcome for result in results] == ["credited"] + ["duplicate"] * 49
    assert_answers(results)
    assert_settled_once(world, [paid])


def test_sixteen_threads_of_one_process_credit_once(world, paid):
    host, gate = Host(world), threading.Barrier(16, timeout=60)

    def deliver() -> WebhookResult:
        gate.wait()
        return host.deliver()[0]

    results = in_threads([deliver] * 16)

    assert_answers(results)
    assert [result.outcome for result in results].count("credited") == 1
    assert_settled_once(world, [paid])


def test_sixteen_processes_credit_once(world, paid):
    gate = barrier(16)

    def deliver() -> WebhookResult:
        host = Host(world)
        gate.wait()
        return host.deliver()[0]

    world.close()
    results = in_processes([deliver] * 16)

    assert_answers(results)
    assert [result.outcome for result in results].count("credited") == 1
    assert_settled_once(world, [paid])


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.full)])
def test_the_return_page_and_the_webhook_at_the_same_moment_credit_once(world, rounds):
    host, gate = Host(world), barrier(2)
    topups = []
    for number in range(rounds):
        host.register(f"ada-{number}")
        topups.append(host.paid_topup(f"ada-{number}", AMOUNT, key="order"))
    deliveries = [delivery.request(at=host.clock.now()) for delivery in host.provider.events()]

    def come_back() -> list[str]:
        mine, states = Host(world), []
        for topup in topups:
            gate.wait()
            states.append(mine.billing.customer(topup.customer).topups.confirm(topup.id).state)
        return states

    def deliver() -> list[WebhookResult]:
        mine, results = Host(world), []
        for headers, body in deliveries:
            gate.wait()
            results.append(mine.billing.webhooks.receive("simulated", body=body, headers=headers))
        return results

    world.close()
    states, results = in_processes([come_back, deliver])

    assert states == ["credited"] * rounds
    assert {result.status for result in results} == {200}
    assert {result.outcome for result in results} <= FIRST_OR_AGAIN
    print(f"the webhook came first {[result.outcome for result in results].count('credited')} of {rounds} times")
    assert_settled_once(world, topups)
