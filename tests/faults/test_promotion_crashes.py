"""A process that dies while a promotion is reserved, redeemed, moved or released: no use is lost, none is double."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from prepaid import Bonus, Discount, Percent, Promotion, permissions

from .harness import CUT, KILL, LOST_COMMIT, Operation, enumerate_faults, server_worlds, sqlite_worlds
from .world import Host, eur

CUSTOMER, OTHER = "ada", "eve"
MOST = eur("20.00")


def _prepare(host: Host) -> None:
    host.register(CUSTOMER)
    host.register(OTHER)
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    both = (Bonus(Percent("10")), Discount(Percent("25")))
    operator.promotions.create(Promotion("SAVE", both, uses_total=1, uses_per_customer=1, budget=eur("7.00")))
    operator.promotions.create(Promotion("FREE", Discount(Percent("100")), uses_per_customer=1))


def _start(host: Host, key: str = "order-1", code: str = "SAVE", customer: str = CUSTOMER) -> Any:
    return host.start(customer, MOST, key=key, code=code)


def _counted(host: Host) -> object:
    """What is used of both promotions, and what the customer has."""
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    used = [(each.promotion.code, each.reserved, each.redeemed) for each in operator.promotions.list().items]
    return used, str(host.billing.customer(CUSTOMER).balance().settled)


def _reserve(host: Host) -> object:
    _start(host)
    return _counted(host)


def _prepare_paid(host: Host) -> None:
    _prepare(host)
    host.pay(_start(host))


def _redeem(host: Host) -> object:
    host.deliver()
    host.billing.run_due()
    return _counted(host)


def _prepare_reserved(host: Host) -> None:
    _prepare(host)
    _start(host)


def _move(host: Host) -> object:
    _start(host, "order-2")
    return _counted(host)


def _take_over(host: Host) -> object:
    """Another customer starts with the code when its reservation has lapsed."""
    _start(host, "order-2", customer=OTHER)
    return _counted(host)


def _lapse(host: Host) -> object:
    host.billing.run_due("promotions")
    return _counted(host)


def _free(host: Host) -> object:
    _start(host, "order-1", "FREE")
    host.billing.run_due()
    return _counted(host)


def _late(host: Host) -> object:
    """The reservation lapses, and then its payment is told of."""
    host.billing.run_due("promotions")
    return _redeem(host)


def _and_all_that_is_due(act: Callable[[Host], object]) -> Callable[[Host], object]:
    def run(host: Host) -> object:
        act(host)
        return host.billing.run_due()

    return run


HOUR = timedelta(minutes=60)
OPERATIONS = [
    Operation(name="reserve", prepare=_prepare, run=_and_all_that_is_due(_reserve), again=_reserve),
    Operation(name="redeem", prepare=_prepare_paid, run=_redeem, again=_redeem),
    Operation(name="move", prepare=_prepare_reserved, run=_and_all_that_is_due(_move), again=_move),
    Operation(
        name="take over", prepare=_prepare_reserved, run=_and_all_that_is_due(_take_over), again=_take_over, after=HOUR
    ),
    Operation(name="lapse", prepare=_prepare_reserved, run=_and_all_that_is_due(_lapse), again=_lapse, after=HOUR),
    Operation(name="late", prepare=_prepare_paid, run=_late, again=_late, after=HOUR),
    Operation(name="free", prepare=_prepare, run=_free, again=_free),
]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@every_operation
@pytest.mark.parametrize("stride", [37, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps


@every_operation
@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_commit_whose_answer_is_lost_happens_once(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), LOST_COMMIT, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps


@pytest.mark.full
@every_operation
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT, CUT], ids=lambda fault: fault.name)
def test_on_servers_too(operation, fault, tmp_path, server):
    found = enumerate_faults(operation, server_worlds(server, tmp_path), fault)

    print(f"{server.NAME} {found}")
    assert found.contradictions == {}
    assert found.steps
