"""Processes that charge, approve, record, and are told the same money at once: it goes back once, and is taken once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from prepaid import RequestedRefund, Topup
from prepaid.gateways.simulated import SimulatedGateway

from .processes import barrier
from .test_credit_races import Racer, answer, proved, together
from .world import Host, World, checkout_of, eur

ALL = eur("100.00")
MINUTES = timedelta(minutes=2)
"""After which a job looks at what was approved."""

OPERATORS = 8

several_rounds = pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])


def sold(host: Host, customer: str, *, key: str = "order") -> Topup:
    """Sell 100."""
    host.register(customer)
    topup = host.paid_topup(customer, ALL, key=key)
    assert host.billing.customer(customer).topups.confirm(topup.id).state == "credited"
    return topup


def ask(
    host: Host, subject: str, amount: str = "100.00", *, customer: str = "ada", key: str = "ask"
) -> RequestedRefund:
    return host.billing.customer(customer).refunds.request(subject, eur(amount), reason="unused", key=key)


def approving(*requests: str, shuffled: bool = False) -> Racer:
    """Approve requests as the operator of the process's number, and give what became of each."""

    def race(host: Host, number: int) -> list[Any]:
        order = random.Random(number).sample(requests, len(requests)) if shuffled else requests
        operator = host.operator(f"operator-{number}")
        return [
            (request, answer(lambda request=request: operator.refunds.approve(request, reason="fair").state)[0])
            for request in order
        ]

    return race


def hearing(*numbers: int, after: Callable[[Host], object] = lambda host: None) -> Racer:
    """Deliver some of the gateway's webhooks, by their places, once something was done there."""

    def race(host: Host, number: int) -> list[Any]:
        after(host)
        deliveries = host.provider.events()
        results = []
        for place in numbers:
            headers, body = deliveries[place].request(at=host.clock.now())
            results.append(host.billing.webhooks.receive("simulated", body=body, headers=headers))
        return [("heard", result.status) for result in results]

    return race


def _pause(number: int) -> float:
    """Say for how long something at the gateway waits, so that it comes before, amid and after the rest."""
    return (0, 0.03, 0.3)[number] if number < 3 else random.Random(number).random() * 0.3


def pursuing(host: Host, number: int) -> list[Any]:
    return [("job", host.billing.run_due(only="refunds")[0].status)]


def refunds_of(world: World, topup: Topup) -> Any:
    return Host(world).operator().topups.facts(topup.id).refunds


def disputes_of(world: World, topup: Topup) -> Any:
    return Host(world).operator().topups.facts(topup.id).disputes


def documents(world: World, customer: str) -> Counter[str]:
    invoices = Host(world).billing.customer(customer).invoices.list(limit=100).items
    return Counter(invoice.kind for invoice in invoices)


def balance(world: World, customer: str) -> Any:
    return Host(world).billing.customer(customer).balance().settled


def moved(world: World, debit: str, credit: str) -> int:
    """Sum what moved from one sort of account to another, by the database itself."""
    [(units,)] = world.rows(
        "SELECT coalesce(sum(t.amount), 0) FROM prepaid_transfer t JOIN prepaid_account d ON d.id = t.debit_id"
        " JOIN prepaid_account c ON c.id = t.credit_id WHERE d.kind = :debit AND c.kind = :credit",
        debit=debit,
        credit=credit,
    )
    return int(units)


# A charge against a refund


@pytest.mark.parametrize("rounds", [20, pytest.param(500, marks=pytest.mark.full)])
def test_of_a_charge_and_a_refund_of_the_same_credit_exactly_one_happens(world, rounds):
    customers, requests = [f"ada-{number}" for number in range(rounds)], []
    host = Host(world)
    for customer in customers:
        requests.append(ask(host, sold(host, customer).id, customer=customer).id)
    gate = barrier(2)

    def charging(host: Host, number: int) -> list[Any]:
        chance, answers = random.Random(rounds), []
        for customer in customers:
            gate.wait()
            time.sleep(chance.choice((0, 0.01, 0.1)))  # an approval looks up more before it begins
            answers.append(answer(lambda customer=customer: host.billing.usage.charge(customer, ALL, key="all"))[0])
        return [("charge", answers)]

    def refunding(host: Host, number: int) -> list[Any]:
        answers = []
        for request in requests:
            gate.wait()
            answers.append(answer(lambda request=request: host.operator().refunds.approve(request, reason="fair"))[0])
        return [("refund", answers)]

    answers = dict(together(world, [charging, refunding]))

    pairs = Counter(zip(answers["charge"], answers["refund"], strict=True))
    print(
        f"{world.engine.dialect.name}: the refund came first {pairs['insufficient-credit', 'done']} of {rounds} times"
    )
    assert set(pairs) <= {("done", "refund-refused"), ("insufficient-credit", "done")}
    approved = pairs["insufficient-credit", "done"]
    assert world.given_back() == [("succeeded", 10_000, True)] * approved
    assert moved(world, "wallet", "revenue") == ALL.units * (rounds - approved)
    assert moved(world, "refunds_in_transit", "clearing") == ALL.units * approved
    assert world.rows("SELECT DISTINCT balance FROM prepaid_account WHERE kind = 'wallet'") == [(0,)]
    proved(world)


# Many who approve


@several_rounds
def test_eight_operators_who_approve_one_request_give_it_back_once(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)
        request = ask(host, topup.id, customer=customer)
        told = len(world.given_back())

        def counting(host: Host, number: int, request: str = request.id) -> list[Any]:
            """Approve, and give the keys that the gateway was called with."""
            refund, keys = SimulatedGateway.refund, []
            SimulatedGateway.refund = lambda self, wanted: keys.append(wanted.key) or refund(self, wanted)
            return [*approving(request)(host, number), ("keys", keys)]

        answers = together(world, [counting] * OPERATORS)

        assert [each for each in answers if each[0] == request.id] == [(request.id, "done")] * OPERATORS
        keys = [key for what, found in answers if what == "keys" for key in found]
        assert len(keys) == 1
        assert len(world.given_back()) == told + 1
        [refund] = refunds_of(world, topup)
        assert (refund.state, refund.credit) == ("succeeded", ALL)
        assert balance(world, customer) == eur("0.00")
        assert documents(world, customer) == {"invoice": 1, "credit-note": 1}
        decided = "SELECT count(*) FROM prepaid_audit WHERE action = 'refund-approve' AND target = :id"
        assert world.rows(decided, id=request.id) == [(1,)]
        proved(world)


@several_rounds
def test_requests_of_two_charges_and_a_top_up_of_one_wallet_are_approved_each_once(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)
        used = [host.billing.usage.charge(customer, eur("20.00"), key=f"used-{each}") for each in range(2)]
        subjects = ((used[0].transaction_id, "20.00"), (used[1].transaction_id, "15.00"), (topup.id, "60.00"))
        requests = [ask(host, subject, amount, customer=customer, key=subject).id for subject, amount in subjects]

        answers = Counter(together(world, [approving(*requests, shuffled=True)] * OPERATORS))

        assert answers == {(request, "done"): OPERATORS for request in requests}
        Host(world, at=host.clock.now() + MINUTES).billing.run_due()
        door = Host(world).billing.customer(customer)
        assert {each.state for each in door.refunds.list().items} == {"refunded"}
        assert balance(world, customer) == eur("35.00")
        kinds = Counter(line.kind for line in door.transactions().items)
        assert (kinds["refund"], kinds["reversal"]) == (1, 2)
        proved(world)


# Asking


@several_rounds
def test_a_key_that_four_processes_send_asks_once(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)

        def asking(host: Host, number: int, customer: str = customer, topup: str = topup.id) -> list[Any]:
            return [ask(host, topup, customer=customer).id]

        answers = together(world, [asking] * 4)

        assert len(answers) == 4
        [request] = Host(world).billing.customer(customer).refunds.list().items
        assert set(answers) == {request.id}
        proved(world)


@several_rounds
def test_of_two_keys_for_one_top_up_one_has_an_open_request(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)

        def asking(host: Host, number: int, customer: str = customer, topup: str = topup.id) -> list[Any]:
            key = f"key-{number % 2}"
            return [(key, answer(lambda: ask(host, topup, "50.00", customer=customer, key=key).id))]

        answers = together(world, [asking] * 4)

        [request] = Host(world).billing.customer(customer).refunds.list().items
        assert Counter(outcome for _, outcome in answers) == {("done", request.id): 2, ("refund-refused", None): 2}
        assert len({key for key, outcome in answers if outcome[0] == "done"}) == 1
        proved(world)


# What a gateway tells


def on_its_way(host: Host, customer: str) -> tuple[Topup, str]:
    """Approve a refund that the gateway takes its time for, and give its id there."""
    topup = sold(host, customer)
    host.provider.script_refund("pending")
    host.operator().refunds.approve(ask(host, topup.id, customer=customer).id, reason="fair")
    [refund] = host.operator().topups.facts(topup.id).refunds
    return topup, str(refund.gateway_refund_id)


@several_rounds
def test_a_webhook_and_the_job_settle_one_refund_once(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup, at_gateway = on_its_way(host, customer)
        host.provider.finish_refund(at_gateway)

        answers = Counter(together(world, [hearing(-1), pursuing] * 3, clocks=(MINUTES,)))

        assert answers["heard", 200] == 3
        assert answers["job", "done"] >= 1
        [refund] = refunds_of(world, topup)
        assert refund.state == "succeeded"
        assert balance(world, customer) == eur("0.00")
        assert documents(world, customer) == {"invoice": 1, "credit-note": 1}
        told = world.rows("SELECT dedupe_key FROM prepaid_outbox WHERE dedupe_key LIKE 'refund-settled/%'")
        assert len(told) == number + 1
        proved(world, at=MINUTES)


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.full)])
def test_success_and_failure_told_at_once_end_in_failure(world, rounds):
    seen: Counter[Any] = Counter()
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup, at_gateway = on_its_way(host, customer)
        host.provider.finish_refund(at_gateway)
        pause = _pause(number)

        def failing(host: Host, at_gateway: str = at_gateway, pause: float = pause) -> None:
            time.sleep(pause)
            host.provider.finish_refund(at_gateway, succeed=False)

        answers = together(world, [hearing(-1), hearing(-1), hearing(-1, after=failing), pursuing], clocks=(MINUTES,))

        assert ("heard", 200) in answers
        [refund] = refunds_of(world, topup)
        assert refund.state == "failed"
        assert balance(world, customer) == ALL
        found = documents(world, customer)
        was_settled = refund.settled_at is not None
        assert found == ({"invoice": 2, "credit-note": 1} if was_settled else {"invoice": 1})
        assert [each.state for each in Host(world).billing.customer(customer).refunds.list().items] == ["failed"]
        seen[was_settled] += 1
        proved(world, at=MINUTES)
    print(f"{world.engine.dialect.name}: settled before it failed {seen[True]} of {rounds} times")


@several_rounds
def test_a_refund_made_at_the_gateway_that_four_webhooks_tell_of_is_booked_once(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)
        host.provider.refund_at_provider(checkout_of(topup), eur("30.00"))

        answers = Counter(together(world, [hearing(-1)] * 4))

        assert answers == {("heard", 200): 4}
        [refund] = refunds_of(world, topup)
        assert (refund.origin, refund.state, refund.credit) == ("gateway", "succeeded", eur("30.00"))
        assert balance(world, customer) == eur("70.00")
        assert documents(world, customer) == {"invoice": 1, "credit-note": 1}
        proved(world)


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.full)])
def test_a_dispute_told_open_and_lost_at_once_is_booked_once_and_is_lost(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)
        dispute_id = host.provider.dispute(checkout_of(topup))
        pause = _pause(number)

        def losing(host: Host, dispute_id: str = dispute_id, pause: float = pause) -> None:
            time.sleep(pause)
            host.provider.lose(dispute_id)

        answers = Counter(together(world, [hearing(-1), hearing(-1), hearing(-1, after=losing)]))

        assert answers == {("heard", 200): 3}
        [dispute] = disputes_of(world, topup)
        assert (dispute.state, dispute.booked, dispute.credit) == ("lost", "lost", ALL)
        assert balance(world, customer) == eur("0.00")
        assert documents(world, customer) == {"invoice": 1, "credit-note": 1}
        assert moved(world, "wallet", "disputes") == ALL.units * (number + 1)
        assert Host(world).billing.customer(customer).holds() == ()
        proved(world)


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.full)])
def test_an_approval_and_a_dispute_at_once_never_both_take_the_same_credit(world, rounds):
    seen: Counter[Any] = Counter()
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)
        request = ask(host, topup.id, customer=customer)
        checkout, pause = checkout_of(topup), _pause(number)

        def disputing(host: Host, checkout: str = checkout, pause: float = pause) -> None:
            time.sleep(pause)
            host.provider.dispute(checkout)

        answers = dict(together(world, [approving(request.id), hearing(-1, after=disputing)]))

        assert answers["heard"] == 200
        assert answers[request.id] in ("done", "refund-refused")
        [dispute] = disputes_of(world, topup)
        assert dispute.booked == "withdrawn"
        refunds = refunds_of(world, topup)
        seen[answers[request.id], *(refund.state for refund in refunds)] += 1
        # Either the money went back, or the credit is still there, for the dispute to take.
        has_gone = [refund.state for refund in refunds] == ["succeeded"]
        assert balance(world, customer) == (eur("0.00") if has_gone else ALL)
        proved(world)

        host.provider.lose(dispute.dispute_id)
        hearing(-1)(Host(world), 0)
        [dispute] = disputes_of(world, topup)
        assert dispute.credit == (eur("0.00") if has_gone else ALL)
        assert balance(world, customer) == eur("0.00")
        proved(world)
    print(f"{world.engine.dialect.name}: {dict(seen)}")


# By other means


@several_rounds
def test_two_operators_who_record_one_reference_record_one_refund(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topup = sold(host, customer)

        def recording(host: Host, number: int, topup: str = topup.id, reference: str = f"SEPA {number}") -> list[Any]:
            operator = host.operator(f"operator-{number}")
            return [operator.refunds.record(topup, eur("40.00"), reference=reference, reason="by transfer").id]

        answers = together(world, [recording] * 2)

        [refund] = refunds_of(world, topup)
        assert answers == [refund.id] * 2
        assert balance(world, customer) == eur("60.00")
        assert documents(world, customer) == {"invoice": 1, "credit-note": 1}
        proved(world)


@several_rounds
def test_one_reference_that_two_operators_record_for_two_top_ups_is_of_one_of_them(world, rounds):
    for number in range(rounds):
        host, customer = Host(world), f"ada-{number}"
        topups = [sold(host, customer, key=f"order-{each}").id for each in range(2)]

        def recording(
            host: Host, number: int, topups: list[str] = topups, reference: str = f"SEPA {number}"
        ) -> list[Any]:
            record = host.operator(f"operator-{number}").refunds.record
            return [answer(lambda: record(topups[number], eur("40.00"), reference=reference, reason="by transfer"))[0]]

        answers = together(world, [recording] * 2)

        assert sorted(answers) == ["done", "key-conflict"]
        assert balance(world, customer) == eur("160.00")
        proved(world)


@several_rounds
def test_one_reference_that_two_operators_record_for_two_gateways_and_customers_is_of_one_of_them(world, rounds):
    gateways = ("simulated", "other")
    for number in range(rounds):
        customers = [f"{gateway}-{number}" for gateway in gateways]
        topups = [
            sold(Host(world, gateway_name=gateway), customer).id
            for gateway, customer in zip(gateways, customers, strict=True)
        ]

        def recording(
            host: Host, number: int, topups: list[str] = topups, reference: str = f"SEPA {number}"
        ) -> list[Any]:
            record = host.operator(f"operator-{number}").refunds.record
            return [answer(lambda: record(topups[number], eur("40.00"), reference=reference, reason="by transfer"))[0]]

        answers = together(world, [recording] * 2)

        assert sorted(answers) == ["done", "key-conflict"]
        assert sorted(str(balance(world, customer).amount) for customer in customers) == ["100.00", "60.00"]
        proved(world)
