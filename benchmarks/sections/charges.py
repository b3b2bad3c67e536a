"""Charges, one by one and in batches, against the limit of each engine.

Ours is what a host writes: the whole public call, the `Money` and `Charge`
values that it is given made within the time that counts. Keys and customers are
drawn before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from statistics import median
from uuid import UUID

import prepaid
from prepaid import Charge, Money, Prepaid

from ..books import CURRENCY, PRICE, customer_name, fill, open_billing
from ..engines import Engine, NotAvailable
from ..figures import Figure
from ..limits import Item, Limit, other_ways
from ..rounds import Side, rate
from ..stage import Stage, compared

UNITS = Money.of(PRICE, CURRENCY).units
DESCRIPTION = "vm-1, 1 h"


class Draw:
    """Draws wallets and keys that were never drawn before; the same wallets in every run."""

    def __init__(self, seed: int = 0) -> None:
        """Begin with a fixed seed."""
        self._random = random.Random(seed)  # noqa: S311 - a draw, not a secret

    def any_of(self, wallets: int, count: int) -> list[tuple[int, UUID]]:
        """Draw wallets with replacement, as customers come."""
        return [(self._random.randint(1, wallets), self.key()) for _ in range(count)]

    def each_of(self, wallets: int, count: int) -> list[tuple[int, UUID]]:
        """Draw every wallet equally often, in no order."""
        numbers = [1 + place % wallets for place in range(count)]
        self._random.shuffle(numbers)
        return [(number, self.key()) for number in numbers]

    def key(self) -> UUID:
        """Draw a key."""
        return UUID(bytes=self._random.randbytes(16), version=4)


def charge_each(billing: Prepaid, drawn: list[tuple[int, UUID]]) -> float:
    """Charge one by one and give charges per second."""
    items = [(customer_name(number), f"use/{key}") for number, key in drawn]

    def work() -> None:
        for customer, key in items:
            billing.usage.charge(customer, Money.of(PRICE, CURRENCY), key=key, description=DESCRIPTION)

    return rate(len(items), work)


def limit_each(charge: Callable[[int, int, UUID], None], drawn: list[tuple[int, UUID]]) -> float:
    """Charge one by one by a way of the limit's and give charges per second."""

    def work() -> None:
        for wallet, key in drawn:
            charge(wallet, UNITS, key)

    return rate(len(drawn), work)


def single(stage: Stage, engine: Engine) -> list[Figure]:
    """Measure single charges on one connection."""
    wallets, calls = stage.size(10_000, 500), stage.size(500, 100)
    url, draw = stage.engines.new_url(engine), Draw()
    fill(url, customers=wallets, tell=stage.tell)
    with (
        closing(stage.new_limit(engine, stage.engines.new_url(engine), wallets=wallets)) as limit,
        closing(open_billing(url)) as billing,
    ):
        ways = {"limit": limit.charge, **other_ways(limit, "charge")}
        sides: dict[str, Side] = {
            way: partial(_single_rate, charge, draw, (wallets, calls)) for way, charge in ways.items()
        }
        sides["ours"] = lambda: charge_each(billing, draw.any_of(wallets, calls))
        found = stage.in_turn(sides, rounds=11)
    return _compared(f"{engine}-single", found)


def _single_rate(charge: Callable[[int, int, UUID], None], draw: Draw, size: tuple[int, int]) -> float:
    return limit_each(charge, draw.any_of(*size))


def require_batches(billing: Prepaid) -> None:
    """Stop where the version has none.

    Raises:
        NotAvailable: It has none.
    """
    if not hasattr(billing.usage, "charge_many"):
        raise NotAvailable(f"billing.usage.charge_many is not in prepaid {prepaid.__version__}")


class Batches:
    """Batches through the library, and how long making their values took."""

    def __init__(self, billing: Prepaid) -> None:
        """Begin with a filled book."""
        self._billing = billing
        self.making_s: list[float] = []

    def charge(self, drawn: list[tuple[int, UUID]]) -> float:
        """Charge a batch and give items per second.

        Raises:
            RuntimeError: Not everything was posted.
        """
        items = [(customer_name(number), f"use/{key}") for number, key in drawn]
        began = time.perf_counter()
        charges = [
            Charge(customer=customer, amount=Money.of(PRICE, CURRENCY), key=key, description=DESCRIPTION)
            for customer, key in items
        ]
        made = time.perf_counter()
        outcomes = self._billing.usage.charge_many(charges)
        ended = time.perf_counter()
        self.making_s.append(made - began)
        if {outcome.status for outcome in outcomes} != {"posted"} or len(outcomes) != len(items):
            raise RuntimeError("a batch was not posted whole")
        return len(items) / (ended - began)

    def note(self) -> str:
        """Say what making the values took."""
        return f"of a batch, making the values took {1000 * median(self.making_s):.0f} ms"


def batch(stage: Stage, engine: Engine) -> list[Figure]:
    """Measure batches, with a wallet for each item and with ten items a wallet."""
    items = stage.size(10_000, 1_000)
    url, draw = stage.engines.new_url(engine), Draw()
    with closing(open_billing(url)) as billing:
        require_batches(billing)
        fill(url, customers=items, tell=stage.tell)
        with closing(stage.new_limit(engine, stage.engines.new_url(engine), wallets=items)) as limit:
            figures = []
            for shape, wallets in {"wide": items, "deep": items // 10}.items():
                stage.tell(f"{items:,} items over {wallets:,} wallets")
                found, note = _in_turn(stage, billing, limit, partial(draw.each_of, wallets, items))
                figures += _compared(f"{engine}-batch-{shape}", found, note)
    return figures


def _in_turn(
    stage: Stage, billing: Prepaid, limit: Limit, draw: Callable[[], list[tuple[int, UUID]]]
) -> tuple[dict[str, list[float]], str]:
    batches = Batches(billing)
    ways = {"limit": limit.charge_many, **other_ways(limit, "charge_many")}
    sides: dict[str, Side] = {way: partial(_batch_rate, charge_many, draw) for way, charge_many in ways.items()}
    sides["ours"] = lambda: batches.charge(draw())
    return stage.in_turn(sides, rounds=15), batches.note()


def _batch_rate(charge_many: Callable[[list[Item]], None], draw: Callable[[], list[tuple[int, UUID]]]) -> float:
    items = [(wallet, UNITS, key) for wallet, key in draw()]
    return rate(len(items), lambda: charge_many(items))


def _compared(name: str, found: dict[str, list[float]], note: str = "") -> list[Figure]:
    """Compare ours with the limit, and with each of the limit's other ways."""
    others = [way for way in found if way not in ("limit", "ours")]
    figures = [compared(f"{name}-{way}", found["ours"], found[way]) for way in others]
    return [compared(name, found["ours"], found["limit"], note=note), *figures]
