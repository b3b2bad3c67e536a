"""What the engine can do at all: hand-written SQL through the raw driver.

Each limit does what a careful program without this library would do for a
charge: a guarded update of one balance, one transfer row of nine columns under a
unique key, and a commit that reaches the disk. It has no grants, no texts and no
answers to tell a repeated key by.

Some also know a faster way that only a program for one engine and one purpose
takes; what is said of those is noted, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

Item = tuple[int, int, UUID]
"""Wallet (from 1), ledger units, key."""

START: int = 10**15
"""What every wallet holds to begin with, in ledger units."""

REVENUE: int = 0
"""The account that charges credit; its balance is nobody's business, as in the library."""


class Limit(Protocol):
    """Charges at the limit, on one connection."""

    def prepare(self, wallets: int) -> None:
        """Make the tables, and wallets with money in them."""

    def charge(self, wallet: int, amount: int, key: UUID) -> None:
        """Charge one wallet."""

    def charge_many(self, items: Sequence[Item]) -> None:
        """Charge many in one transaction, in their order; as if there was enough for all of them."""

    def engine(self) -> str:
        """Name the engine with its version and its durability, as it answers itself."""

    def close(self) -> None:
        """Disconnect."""


def other_ways(limit: Limit, act: str) -> dict[str, Callable[..., None]]:
    """Give the further ways of a limit to ``charge`` or to ``charge_many``, by name."""
    prefix = f"{act}_by_"
    return {name.removeprefix(prefix): getattr(limit, name) for name in dir(limit) if name.startswith(prefix)}


class Refused(Exception):
    """A guard refused a charge: the benchmark is set up wrongly."""


def balances_after(items: Sequence[Item], balances: dict[int, tuple[int, int]]) -> list[int]:
    """Carry balances (balance and floor by wallet) from item to item, and change them.

    Raises:
        Refused: One would fall below its floor.
    """
    after = []
    for wallet, amount, _ in items:
        balance, floor = balances[wallet]
        left = balance - amount
        if left < floor:
            raise Refused(wallet)
        balances[wallet] = left, floor
        after.append(left)
    return after
