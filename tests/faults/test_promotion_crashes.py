"""A process that dies while a promotion is reserved, redeemed, moved or released: no use is lost, none is double."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from prepaid import Bonus, Discount, Percent, Promotion

from . import planted
from .crashes import Crashes
from .harness import Operation
from .world import Host, eur

CUSTOMER, OTHER = "ada", "eve"
MOST = eur("20.00")


def _prepare(host: Host) -> None:
    host.register(CUSTOMER)
    host.register(OTHER)
    operator = host.operator()
    both = (Bonus(Percent("10")), Discount(Percent("25")))
    operator.promotions.create(Promotion("SAVE", both, uses_total=1, uses_per_customer=1, budget=eur("7.00")))
    operator.promotions.create(Promotion("FREE", Discount(Percent("100")), uses_per_customer=1))


def _start(host: Host, key: str = "order-1", code: str = "SAVE", customer: str = CUSTOMER) -> Any:
    return host.start(customer, MOST, key=key, code=code)


def _counted(host: Host) -> object:
    """What is used of both promotions, and what the customer has."""
    operator = host.operator()
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
REDEEM = Operation(name="redeem", prepare=_prepare_paid, run=_redeem, again=_redeem)
OPERATIONS = (
    Operation(name="reserve", prepare=_prepare, run=_and_all_that_is_due(_reserve), again=_reserve),
    REDEEM,
    Operation(name="move", prepare=_prepare_reserved, run=_and_all_that_is_due(_move), again=_move),
    Operation(
        name="take over", prepare=_prepare_reserved, run=_and_all_that_is_due(_take_over), again=_take_over, after=HOUR
    ),
    Operation(name="lapse", prepare=_prepare_reserved, run=_and_all_that_is_due(_lapse), again=_lapse, after=HOUR),
    Operation(name="late", prepare=_prepare_paid, run=_late, again=_late, after=HOUR),
    Operation(name="free", prepare=_prepare, run=_free, again=_free),
)


class TestPromotions(Crashes):
    operations = OPERATIONS
    kill_at_every, lose_every = 37, 9
    defects = ((REDEEM, planted.every_statement_commits_by_itself),)
