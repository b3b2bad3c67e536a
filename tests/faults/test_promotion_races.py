"""Processes that want the same promotion at the same moment: no more than its limits get it, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from prepaid import Bonus, Discount, Fixed, Percent, Promotion, RequestRefused, Topup, permissions
from prepaid.core.errors import PromotionRefused
from prepaid.testing.clock import START

from .test_credit_races import proved, together
from .world import Host, World, eur

PROCESSES = 32


def promote(world: World, effect: Any = None, **limits: Any) -> None:
    operator = Host(world).billing.operator("alice", permissions=permissions.ALL)
    operator.promotions.create(Promotion("RUSH", effect or Bonus(Percent("10")), **limits))


def status(world: World, at: timedelta = timedelta(0)) -> Any:
    operator = Host(world, at=START + at).billing.operator("alice", permissions=permissions.ALL)
    return operator.promotions.get("RUSH")


def start(host: Host, customer: str, *, key: str) -> Topup:
    return host.start(customer, eur("20.00"), key=key, code=" rush ")


def reason_or(act: Callable[[], Any], done: str) -> str:
    try:
        act()
    except PromotionRefused as refused:
        return refused.reason
    except RequestRefused as refused:
        return refused.code
    return done


def racing(*, shared: bool) -> Callable[[Host, int], list[str]]:
    """Start a top-up with the code: each process for a customer of its own, or all for one."""

    def race(host: Host, number: int) -> list[str]:
        customer = "ada" if shared else f"c-{number}"
        return [reason_or(lambda: start(host, customer, key=f"k-{number}"), "reserved")]

    return race


def pay_all(world: World) -> None:
    """Pay every open checkout, deliver every webhook, and do what is due."""
    host = Host(world)
    for checkout in world.checkouts():
        if checkout.state == "open":
            host.provider.pay(checkout.id)
    host.deliver()
    host.billing.run_due()


@pytest.mark.parametrize("limit", [1, 10])
def test_as_many_as_the_limit_get_a_code_and_the_others_are_refused_before_any_payment(world, limit):
    host = Host(world)
    for number in range(PROCESSES):
        host.register(f"c-{number}")
    promote(world, uses_total=limit, uses_per_customer=1)

    answers = Counter(together(world, [racing(shared=False)] * PROCESSES))

    assert answers == {"reserved": limit, "used-up": PROCESSES - limit}
    assert len(world.checkouts()) == limit
    assert world.rows("SELECT count(*) FROM prepaid_topup") == [(limit,)]
    assert (status(world).reserved, status(world).state) == (limit, "used-up")
    pay_all(world)
    assert (status(world).reserved, status(world).redeemed) == (0, limit)
    assert world.rows("SELECT count(*) FROM prepaid_transfer WHERE kind = 'bonus'") == [(limit,)]
    proved(world)


def test_a_budget_is_never_exceeded(world):
    host = Host(world)
    for number in range(PROCESSES):
        host.register(f"c-{number}")
    promote(world, (Bonus(Fixed(eur("0.70"))), Discount(Fixed(eur("0.30")))), budget=eur("7.99"))

    answers = Counter(together(world, [racing(shared=False)] * PROCESSES))

    assert answers == {"reserved": 7, "used-up": PROCESSES - 7}
    pay_all(world)
    assert (status(world).redeemed, status(world).budget_left) == (7, eur("0.99"))
    proved(world)


def test_one_customer_who_starts_many_times_has_one_reservation_and_pays_once_for_it(world):
    Host(world).register("ada")
    promote(world, uses_per_customer=1)

    answers = Counter(together(world, [racing(shared=True)] * 8))

    assert set(answers) <= {"reserved", "in-use"}
    assert answers["reserved"] >= 1
    assert world.rows("SELECT count(*) FROM prepaid_redemption WHERE state = 'reserved'") == [(1,)]
    assert sum(checkout.state == "open" for checkout in world.checkouts()) == 1
    pay_all(world)
    assert (status(world).reserved, status(world).redeemed) == (0, 1)
    assert world.rows("SELECT count(*) FROM prepaid_transfer WHERE kind = 'bonus'") == [(1,)]
    proved(world)


def test_a_late_payment_and_a_new_start_race_for_the_last_use(world):
    """The reservation lapsed; of the payment that comes after all and of another customer, one gets the promotion."""
    hour = timedelta(minutes=60)
    host = Host(world)
    for customer in ("ada", *(f"c-{number}" for number in range(9))):
        host.register(customer)
    promote(world, uses_total=1)
    topup = start(host, "ada", key="early")
    host.pay(topup)

    def settling(host: Host, _: int) -> list[str]:
        return [host.deliver(topup)[0].outcome]

    def starting(host: Host, number: int) -> list[str]:
        return [reason_or(lambda: start(host, f"c-{number}", key="k"), "reserved")]

    def lapsing(host: Host, _: int) -> list[str]:
        return [host.billing.run_due(only="promotions")[0].status]

    answers = Counter(together(world, [settling, starting, lapsing] * 3, clocks=(hour,)))

    assert answers["credited"] == 1
    [(state,)] = world.rows("SELECT state FROM prepaid_redemption WHERE topup_id = :id", id=topup.id)
    taken = world.rows("SELECT count(*) FROM prepaid_redemption WHERE state IN ('reserved', 'redeemed')")
    assert taken == [(1,)]
    assert (state == "redeemed") == (answers["reserved"] == 0)
    assert state in ("redeemed", "lost")
    proved(world, at=hour)
