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

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from attrs import field, frozen

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


class Purse(NamedTuple):
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
    """The item's key was posted with the same content: by an earlier item of the batch, or before it (None)."""

    first: int | None


class Clash(NamedTuple):
    """The item's key was posted with other content, or its period is charged; the balance as it is."""

    balance: int
    field: Literal["key", "period"]


class Uncovered(NamedTuple):
    """The wallet does not cover the item: what is available, and the balance as it is."""

    available: int
    balance: int


Verdict = Taken | Repeated | Clash | Uncovered


@frozen
class Known:
    """What was posted before the batch, as far as it was looked up.

    Attributes:
        keys: Content by key.
        periods: Those that are charged.
    """

    keys: Mapping[str, str] = field(factory=dict)
    periods: Collection[str] = ()


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


NOTHING_KNOWN: Final = Known()


def allocate(items: Iterable[Item], purses: Mapping[int, Purse], known: Known = NOTHING_KNOWN) -> Allocation:
    """Decide a batch item by item, in its order.

    Args:
        items: What to debit.
        purses: The wallets, by row id.
        known: Keys and periods that were posted before.
    """
    runs: dict[int | None, _Run] = {wallet: _Run(purse) for wallet, purse in purses.items()}
    posted: dict[str, tuple[str, int | None]] = {key: (content, None) for key, content in known.keys.items()}
    periods = set(known.periods)
    verdicts: list[Verdict] = []
    verdict: Verdict
    for number, (wallet, amount, performed, key, content, period) in enumerate(items):
        run = runs.get(wallet, _NO_WALLET)
        if (first := posted.get(key)) is not None:
            verdict = Repeated(first[1]) if first[0] == content else Clash(run.balance, "key")
        elif not run.covers(amount, performed=performed):
            verdict = Uncovered(run.balance - run.held - run.floor, run.balance)
        elif period is not None and period in periods:
            verdict = Clash(run.balance, "period")
        else:
            verdict = Taken(run.take(amount))
            posted[key] = content, number
            if period is not None:
                periods.add(period)
        verdicts.append(verdict)
    moved = {wallet: run for wallet, purse in purses.items() if (run := runs[wallet]).seq != purse.seq}
    return Allocation(
        verdicts,
        {wallet: (run.balance, run.seq) for wallet, run in moved.items()},
        {grant: left for run in moved.values() for grant, left in run.left()},
    )


class _Run:
    """A wallet while the batch goes over it."""

    __slots__ = ("_grant", "_grants", "_place", "_remaining", "balance", "floor", "held", "seq")

    def __init__(self, purse: Purse) -> None:
        self.balance, self.held, self.floor, self.seq, self._grants = purse
        self._place = -1
        self._open_next()

    def covers(self, amount: int, *, performed: bool) -> bool:
        if performed:
            return self.balance >= amount - MAX_UNITS
        return self.balance - self.held >= self.floor + amount

    def take(self, amount: int) -> tuple[Part, ...]:
        if amount <= self._remaining:  # nearly always: no loop for it
            self._remaining -= amount
            self.seq, self.balance = seq, after = self.seq + 1, self.balance - amount
            return (Part(self._grant, amount, seq, after),)
        parts = []
        while amount:
            if not self._remaining:
                self._open_next()
            # Without a grant the rest is debt.
            taken = amount if self._grant is None else min(amount, self._remaining)
            if self._grant is not None:
                self._remaining -= taken
            parts.append(self._part(taken))
            amount -= taken
        return tuple(parts)

    def left(self) -> Iterable[tuple[str, int]]:
        """Give what is left of each grant that was touched."""
        touched = self._grants[: self._place + 1]
        return [(each.id, self._remaining if each.id == self._grant else 0) for each in touched]

    def _open_next(self) -> None:
        self._place += 1
        self._grant: str | None
        if self._place < len(self._grants):
            self._grant, self._remaining = self._grants[self._place]
        else:
            self._grant, self._remaining = None, 0

    def _part(self, amount: int) -> Part:
        self.balance -= amount
        self.seq += 1
        return Part(self._grant, amount, self.seq, self.balance)


class _Absent(_Run):
    """In place of a wallet that does not exist: covers nothing."""

    __slots__ = ()

    def covers(self, amount: int, *, performed: bool) -> bool:
        return False


_NO_WALLET: Final = _Absent(Purse(balance=0, held=0, floor=0, seq=0, grants=()))
