"""Many debits at once: what each takes from its wallet and grants, item by item, as if posted one after the other.

A refused item takes nothing and leaves its neighbours alone. Two items with one
key are one debit; a period is charged once. Values here are named tuples, not
attrs classes: a batch makes ten thousand of each.

>>> purse = Purse(balance=50, held=0, floor=0, seq=7, grants=(OpenGrant("a", 30), OpenGrant("b", 20)))
>>> taken = allocate([Item(1, 40, False, "key-1", "f", None), Item(1, 40, False, "key-2", "f", None)], {1: purse})
>>> taken.verdicts
[Taken(parts=(Part(grant='a', amount=30, seq=8, after=20), Part(grant='b', amount=10, seq=9, after=10))), \
Uncovered(available=10, balance=10)]
>>> taken.wallets, taken.grants
({1: (10, 9)}, {'a': 0, 'b': 10})
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from attrs import frozen

from .grants import OpenGrant
from .money import MAX_UNITS


class Item(NamedTuple):
    """A debit of a batch.

    Attributes:
        wallet: Row id of the wallet, or None if there is none.
        amount: Ledger units, above zero.
        performed: Take it whatever the balance.
        key: What makes it unique.
        content: What the key stands for; another content under the key is a conflict.
        period: What is charged at most once, or None.
    """

    wallet: int | None
    amount: int
    performed: bool
    key: str
    content: str
    period: str | None


@frozen(kw_only=True)
class Purse:
    """A wallet before the batch: ledger units.

    Attributes:
        balance: What it holds.
        held: Of that, what holds reserve.
        floor: How far down it may go.
        seq: Number of its last transfer.
        grants: Open grants in burn order, as many as the batch can need.
    """

    balance: int
    held: int
    floor: int
    seq: int
    grants: Sequence[OpenGrant]


class Part(NamedTuple):
    """What a debit takes from one grant, or below zero from none: ledger units, the wallet's number and balance."""

    grant: str | None
    amount: int
    seq: int
    after: int


class Taken(NamedTuple):
    """The item is posted, in one part or several."""

    parts: tuple[Part, ...]


class Repeated(NamedTuple):
    """An earlier item of the batch was posted under the same key with the same content."""

    first: int


class Clash(NamedTuple):
    """An earlier item has its key with other content, or its period is charged; the balance as it is."""

    balance: int


class Uncovered(NamedTuple):
    """The wallet does not cover the item: what is available, and the balance as it is."""

    available: int
    balance: int


Verdict = Taken | Repeated | Clash | Uncovered


@frozen
class Allocation:
    """What a batch does.

    Attributes:
        verdicts: One per item, in order.
        wallets: Balance and last number of each wallet that changes.
        grants: What is left of each grant that changes.
    """

    verdicts: list[Verdict]
    wallets: dict[int, tuple[int, int]]
    grants: dict[str, int]


def allocate(items: Sequence[Item], purses: Mapping[int, Purse], charged: Collection[str] = ()) -> Allocation:
    """Decide a batch item by item, in its order.

    Args:
        items: What to debit.
        purses: The wallets, by row id.
        charged: Periods that were charged before.
    """
    runs = {wallet: _Run(purse) for wallet, purse in purses.items()}
    posted: dict[str, int] = {}
    periods = set(charged)
    verdicts: list[Verdict] = []
    for number, item in enumerate(items):
        run = runs.get(item.wallet) if item.wallet is not None else None
        verdict = _verdict(item, run, first=posted.get(item.key), items=items, periods=periods)
        if type(verdict) is Taken:
            posted[item.key] = number
            if item.period is not None:
                periods.add(item.period)
        verdicts.append(verdict)
    return Allocation(
        verdicts,
        {wallet: (run.balance, run.seq) for wallet, run in runs.items() if run.seq != purses[wallet].seq},
        {grant: left for run in runs.values() for grant, left in run.left.items()},
    )


class _Run:
    """A wallet while the batch goes over it."""

    __slots__ = ("_grant", "_remaining", "_rest", "balance", "floor", "held", "left", "seq")

    def __init__(self, purse: Purse) -> None:
        self.balance, self.held, self.floor, self.seq = purse.balance, purse.held, purse.floor, purse.seq
        self._rest = iter(purse.grants)
        self._grant: str | None = None
        self._remaining = 0
        self.left: dict[str, int] = {}

    def covers(self, item: Item) -> bool:
        if item.performed:
            return self.balance >= item.amount - MAX_UNITS
        return self.balance - self.held >= self.floor + item.amount

    def take(self, amount: int) -> Taken:
        if amount < self._remaining:  # nearly always: one grant, and something left of it
            self._remaining -= amount
            self.left[self._grant] = self._remaining  # type: ignore[index] # what remains is of a grant
            return Taken((self._part(self._grant, amount),))
        parts = []
        while amount:
            if not self._remaining and not self._next():
                parts.append(self._part(None, amount))
                break
            taken = min(amount, self._remaining)
            amount -= taken
            self._remaining -= taken
            self.left[self._grant] = self._remaining  # type: ignore[index]
            parts.append(self._part(self._grant, taken))
        return Taken(tuple(parts))

    def _next(self) -> bool:
        ...

    def _part(self, grant: str | None, amount: int) -> Part:
        self.balance -= amount
        self.seq += 1
        return Part(grant, amount, self.seq, self.balance)
