"""Payments of one customer at the same moment, and decisions on their identity while they are settled."""

from __future__ import annotations

from typing import Any

import pytest

from prepaid import IdentityPolicy, PrepaidError, Topup, permissions, settlement

from .processes import barrier, in_processes
from .world import Host, World, eur

CUSTOMER = "ada"
TOPUPS = 10
LIMIT = 100_000_000
UNTIL_100 = IdentityPolicy(above=eur("100.00"))


def operator(host: Host) -> Any:
    return host.billing.operator("alice", permissions=permissions.ALL)


def states(world: World) -> dict[str, str]:
    return dict(world.rows("SELECT id, state FROM prepaid_topup ORDER BY 1"))


def credited(world: World) -> int:
    [(units,)] = world.rows("SELECT coalesce(sum(credit), 0) FROM prepaid_topup WHERE state = 'credited'")
    return int(units)


def assert_each_once(world: World, *, topups: int = TOPUPS) -> None:
    """Every payment stands once in the books: credited with one grant and invoice, or whole in suspense."""
    found = states(world)
    assert len(found) == topups
    ones = sorted((topup, 1) for topup, state in found.items() if state == "credited")

    def per_topup(what: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in world.rows(f"SELECT {what} GROUP BY 1"))

    assert per_topup("topup_id, COUNT(*) FROM prepaid_payment") == sorted((topup, 1) for topup in found)
    assert per_topup("topup_id, COUNT(*) FROM prepaid_invoice") == ones
    assert per_topup("source_topup, COUNT(*) FROM prepaid_grant") == ones
    host = Host(world)
    assert host.billing.customer(CUSTOMER).balance().settled.units == credited(world)
    assert host.billing.check().findings == ()


def started(world: World, *, policy: IdentityPolicy | None = UNTIL_100, paid: bool = True) -> list[Topup]:
    """Start ten top-ups of 60, none of which is above the threshold by itself."""
    host = Host(world)
    host.register(CUSTOMER)
    if policy is not None:
        operator(host).identity.policy(policy)
    topups = [host.start(CUSTOMER, eur("60.00"), key=f"order-{number}") for number in range(TOPUPS)]
    for topup in topups if paid else ():
        host.pay(topup)
    return topups


def settling(world: World, topup: Topup, gate: Any) -> Any:
    def settle() -> list[tuple[int, str]]:
        host = Host(world)
        gate.wait()
        results = [*host.deliver(topup), *host.deliver(topup)]
        return [(result.status, result.outcome) for result in results]

    return settle


def test_ten_parallel_topups_credit_no_more_than_the_threshold_before_the_customer_is_verified(world):
    host = Host(world)
    host.register(CUSTOMER)
    operator(host).identity.policy(UNTIL_100)
    gate = barrier(TOPUPS)

    def top_up(number: int) -> Any:
        def run() -> list[str]:
            mine = Host(world)
            gate.wait()
            topup = mine.start(CUSTOMER, eur("60.00"), key=f"order-{number}")
            mine.pay(topup)
            gate.wait()
            told = [result.outcome for result in mine.deliver(topup)]
            return [*told, mine.billing.customer(CUSTOMER).topups.confirm(topup.id).state]

        return run

    world.close()
    results = in_processes([top_up(number) for number in range(TOPUPS)])

    assert credited(world) == 60_000_000 <= LIMIT
    assert sorted(states(world).values()) == ["credited"] + ["review"] * 9
    assert sorted(outcome for outcome, _ in results) == ["credited"] + ["review"] * 9
    assert_each_once(world)

    operator(Host(world)).identity.approve(CUSTOMER, reason="seen")

    assert set(states(world).values()) == {"credited"}
    assert credited(world) == 600_000_000
    assert_each_once(world)


def test_every_webhook_in_two_processes_at_once_credits_no_more_either(world):
    topups, gate = started(world), barrier(2 * TOPUPS)
    world.close()

    results = in_processes([settling(world, topup, gate) for topup in [*topups, *topups]])

    assert {status for answers in results for status, _ in answers} == {200}
    assert credited(world) <= LIMIT
    assert sorted(states(world).values()) == ["credited"] + ["review"] * 9
    assert_each_once(world)
    # What is not approved goes back, whole.
    host = Host(world)
    for topup, state in states(world).items():
        if state == "review":
            operator(host).topups.resolve(topup, action="refund", reason="not verified", key=topup)
    assert sorted(states(world).values()) == ["credited"] + ["refunded"] * 9
    assert_each_once(world)


@pytest.mark.parametrize("approvals", [1, 4])
def test_an_approval_while_they_are_settled_loses_none_and_credits_each_once(world, approvals):
    topups, gate = started(world), barrier(TOPUPS + approvals)

    def approve() -> str:
        host = Host(world)
        gate.wait()
        return str(operator(host).identity.approve(CUSTOMER, reason="seen").state)

    world.close()
    results = in_processes([*(settling(world, topup, gate) for topup in topups), *[approve] * approvals])

    assert results[-approvals:] == ["verified"] * approvals
    Host(world).billing.run_due("identity")
    assert set(states(world).values()) == {"credited"}
    assert [row[0] for row in world.rows("SELECT COUNT(*) FROM prepaid_identity_case")] == [1]
    assert_each_once(world)


def test_many_who_release_at_once_credit_each_once(world):
    topups = started(world, policy=None, paid=True)
    host = Host(world)
    operator(host).identity.policy(IdentityPolicy(before_first_topup=True))
    host.deliver()
    assert set(states(world).values()) == {"review"}
    operator(host).identity.policy()
    gate = barrier(4)

    def release() -> int:
        mine = Host(world)
        gate.wait()
        return sum(settlement.release_held(mine.billing._context, topup.id) for topup in topups)

    world.close()
    results = in_processes([release] * 4)

    assert sum(results) == TOPUPS
    assert set(states(world).values()) == {"credited"}
    assert_each_once(world)


def test_who_approves_and_who_refunds_at_once_never_both_win(world):
    topups = started(world, policy=None)
    host = Host(world)
    operator(host).identity.policy(IdentityPolicy(before_first_topup=True))
    host.deliver()
    gate = barrier(3)

    def approve() -> None:
        mine = Host(world)
        gate.wait()
        operator(mine).identity.approve(CUSTOMER, reason="seen")

    def refund(order: int) -> Any:
        def run() -> int:
            mine, done = Host(world), 0
            gate.wait()
            for topup in topups[::order]:
                try:
                    operator(mine).topups.resolve(topup.id, action="refund", reason="x", key=f"{topup.id}/{order}")
                    done += 1
                except PrepaidError:
                    pass
            return done

        return run

    world.close()
    _, *refunded = in_processes([approve, refund(1), refund(-1)])

    Host(world).billing.run_due()
    found = sorted(states(world).values())
    assert found.count("refunded") == sum(refunded)
    assert found.count("credited") == TOPUPS - sum(refunded)
    print(f"{sum(refunded)} of {TOPUPS} went back")
    assert_each_once(world)


def test_the_customer_and_the_webhook_at_once_make_one_verification(world, tmp_path):
    from tests.use_cases.verifiers import Verifier, webhook

    provider = tmp_path / "verifier.json"
    topups = started(world, policy=None)
    host = Host(world, identity=Verifier(provider))
    operator(host).identity.policy(IdentityPolicy(before_first_topup=True))
    host.deliver()
    case = host.billing.customer(CUSTOMER).identity.start(return_url="https://panel.example/verified")
    Verifier(provider).set(case.reference, "verified")
    headers, body = webhook(case.reference)
    gate = barrier(6)

    def hear() -> tuple[int, str]:
        mine = Host(world, identity=Verifier(provider))
        gate.wait()
        result = mine.billing.webhooks.receive("verifier", body=body, headers=headers)
        return result.status, result.outcome

    def look() -> Any:
        mine = Host(world, identity=Verifier(provider))
        gate.wait()
        return operator(mine).identity.recheck(CUSTOMER).state

    world.close()
    results = in_processes([hear, hear, hear, hear, look, look])

    assert {status for status, _ in results[:4]} == {200}
    Host(world, identity=Verifier(provider)).billing.run_due()
    assert set(states(world).values()) == {"credited"}
    told = world.rows("SELECT COUNT(*) FROM prepaid_outbox WHERE dedupe_key LIKE 'identity-checked/%'")
    assert told == [(1,)]
    assert len(topups) == TOPUPS
    assert_each_once(world)
