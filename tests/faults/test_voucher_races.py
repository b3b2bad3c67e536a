"""Processes that redeem, end and guess codes at the same instant: each code is credit once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from prepaid import PromotionRefused, TooManyAttempts, permissions
from prepaid.attempts import MOST_MISSES

from .test_credit_races import Racer, proved, together
from .world import Host, World, eur

AMOUNT = eur("10.00")


def operator(host: Host) -> Any:
    return host.billing.operator("alice", permissions=permissions.ALL)


def redeeming(code: str, customers: list[str]) -> Racer:
    """Redeem a code as the customer of the process's number, and give who heard what."""

    def race(host: Host, number: int) -> list[Any]:
        customer = customers[number % len(customers)]
        try:
            redeemed = host.billing.customer(customer).vouchers.redeem(code)
        except PromotionRefused as refused:
            return [(customer, refused.reason, None)]
        return [(customer, "credit", redeemed.transaction_id)]

    return race


def credited(world: World) -> list[tuple[Any, ...]]:
    """Give transaction, amount and owner of every credit of a voucher, by the database itself."""
    return world.rows(
        "SELECT t.transaction_id, t.amount, a.owner FROM prepaid_transfer t"
        " JOIN prepaid_account a ON a.id = t.wallet_id WHERE t.kind = 'voucher'"
    )


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
def test_of_thirty_two_customers_one_has_the_credit(world, rounds):
    customers, had = [f"c-{number}" for number in range(32)], set()
    host = Host(world)
    for customer in customers:
        host.register(customer)
    for _ in range(rounds):
        [voucher] = operator(Host(world)).vouchers.create(AMOUNT)

        answers = together(world, [redeeming(voucher.code, customers)] * 32)

        heard = Counter(outcome for _, outcome, _ in answers)
        assert heard == {"credit": 1, "already-used": 31}
        [(winner, _, transaction)] = [each for each in answers if each[1] == "credit"]
        [new] = [each for each in credited(world) if each[0] not in had]
        assert new == (transaction, AMOUNT.units, winner)
        had.add(transaction)
    proved(world)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
def test_sixteen_times_the_same_customer_has_the_credit_once_and_one_answer(world, rounds):
    Host(world).register("ada")
    for number in range(rounds):
        [voucher] = operator(Host(world)).vouchers.create(AMOUNT)

        answers = together(world, [redeeming(voucher.code, ["ada"])] * 16)

        assert Counter(outcome for _, outcome, _ in answers) == {"credit": 16}
        assert len({transaction for _, _, transaction in answers}) == 1
        assert len(credited(world)) == number + 1
    assert world.rows("SELECT count(*) FROM prepaid_code_attempt") == [(0,)]
    proved(world)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
def test_a_batch_that_is_ended_while_it_is_redeemed_is_one_or_the_other(world, rounds):
    customers = [f"c-{number}" for number in range(8)]
    for customer in customers:
        Host(world).register(customer)
    for _ in range(rounds):
        made = operator(Host(world)).vouchers.create(AMOUNT, count=8)
        before = len(credited(world))

        def ending(host: Host, number: int, batch: str = made[0].batch) -> list[Any]:
            return [("operator", "ended", operator(host).vouchers.end(batch, reason="the fair is over"))]

        racers = [redeeming(voucher.code, [customers[at]]) for at, voucher in enumerate(made)]
        answers = together(world, [*racers[:4], ending, *racers[4:], ending])

        heard = Counter(outcome for _, outcome, _ in answers)
        ended = sum(count for _, outcome, count in answers if outcome == "ended")
        assert heard["credit"] + heard["unknown"] == 8
        assert heard["unknown"] == ended
        assert len(credited(world)) - before == heard["credit"]
    proved(world)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
def test_guesses_of_sixteen_processes_are_counted_each_and_no_more_is_told(world, rounds):
    for number in range(rounds):
        customer = f"c-{number}"
        Host(world).register(customer)

        def guessing(host: Host, number: int, customer: str = customer) -> list[Any]:
            answers = []
            for count in range(2):
                try:
                    host.billing.customer(customer).vouchers.redeem(f"GUESS-{number}-{count}")
                except (PromotionRefused, TooManyAttempts) as refused:
                    answers.append(refused.code)
            return answers

        answers = Counter(together(world, [guessing] * 16))

        assert answers == {"promotion-refused": MOST_MISSES, "too-many-attempts": 32 - MOST_MISSES}
        statement = "SELECT misses FROM prepaid_code_attempt WHERE customer = :customer"
        assert world.rows(statement, customer=customer) == [(MOST_MISSES,)]
    proved(world)


def test_a_batch_whose_commit_was_not_heard_of_is_kept_once(world, monkeypatch):
    """The engine asks for the whole transaction again, although it was kept."""
    host = Host(world)
    database = host.billing._context.database
    once, lost = database._once, []

    def losing(work: Any, book_id: int) -> Any:
        result = once(work, book_id)
        if not lost:
            lost.append(result)
            return once(work, book_id)
        return result

    monkeypatch.setattr(database, "_once", losing)
    made = operator(host).vouchers.create(AMOUNT, count=3)

    assert lost == [None]
    assert world.rows("SELECT count(*) FROM prepaid_voucher") == [(3,)]
    assert world.rows("SELECT count(*) FROM prepaid_audit WHERE action = 'create-vouchers'") == [(1,)]
    host.register("ada")
    assert host.billing.customer("ada").vouchers.redeem(made[2].code).amount == AMOUNT
    proved(world, at=timedelta(0))
