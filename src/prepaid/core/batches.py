"""Many debits at once: what each takes from its wallet and grants, item by item, as if posted one after the other.

A refused item takes nothing and leaves its neighbours alone. Two items with one
key are one debit; a period is charged once. Values here are named tuples, not
attrs classes: a batch makes ten thousand of each.

>>> allotter = Allotter({1: Purse(balance=50, held=0, floor=0, seq=7, grants=(OpenGrant("a", 30), OpenGrant("b", 20)))})
>>> allotter.decide(Item(1, 40, False, "key-1", "f", None))
Taken(parts=(Part(grant='a', amount=30, seq=8, after=20), Part(grant='b', amount=10, seq=9, after=10)))
>>> allotter.decide(Item(1, 40, False, "key-2", "f", None))
Uncovered(available=10, balance=10)
>>> allotter.changes()
([WalletChange(id=1, taken=40, rows=2, seq=7)], \
[GrantChange(id='a', taken=30, before=30), GrantChange(id='b', taken=10, before=20)])
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from attrs import field, frozen

from .grants import OpenGrant
from .money import MAX_UNITS
from .records import record


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


class WalletChange(NamedTuple):
    """What a batch takes from a wallet: ledger units, how many parts that are, and the last number before them."""

    id: int
    taken: int
    rows: int
    seq: int


class GrantChange(NamedTuple):
    """What a batch takes from a grant, and what was left before: ledger units."""

    id: str
    taken: int
    before: int


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


NOTHING_KNOWN: Final = Known()


class Allotter:
    """Decides items one after the other, and keeps what their wallets and grants come to."""

    def __init__(self, purses: Mapping[int, Purse], known: Known = NOTHING_KNOWN) -> None:
        """Begin before the first item.

        Args:
            purses: The wallets, by row id.
            known: Keys and periods that were posted before.
        """
        self._purses = purses
        self._runs: dict[int | None, _Run] = {wallet: _Run(purse) for wallet, purse in purses.items()}
        self._posted: dict[str, tuple[str, int | None]] = {key: (content, None) for key, content in known.keys.items()}
        self._periods = set(known.periods)
        self._next = 0

    def decide(self, item: tuple[int | None, int, bool, str, str, str | None]) -> Verdict:
        """Decide the next item: an `Item`, or its values in their order."""
        wallet, amount, performed, key, content, period = item
        number, self._next = self._next, self._next + 1
        run = self._runs.get(wallet, _NO_WALLET)
        if (first := self._posted.get(key)) is not None:
            return Repeated(first[1]) if first[0] == content else Clash(run.balance, "key")
        if not run.covers(amount, performed):
            return Uncovered(run.balance - run.held - run.floor, run.balance)
        if period is not None:
            if period in self._periods:
                return Clash(run.balance, "period")
            self._periods.add(period)
        self._posted[key] = content, number
        return record(Taken, (run.take(amount),))

    def changes(self) -> tuple[list[WalletChange], list[GrantChange]]:
        """Give what the items took from wallets and from grants."""
        wallets, grants = list[WalletChange](), list[GrantChange]()
        for wallet, (balance, _, _, seq, _) in self._purses.items():
            run = self._runs[wallet]
            if run.seq != seq:
                wallets.append(record(WalletChange, (wallet, balance - run.balance, run.seq - seq, seq)))
                grants += run.taken()
        return wallets, grants


_NO_GRANT: Final[tuple[None, int]] = None, 0


class _Run:
    """A wallet while the batch goes over it."""

    __slots__ = ("_grant", "_grants", "_place", "_remaining", "balance", "floor", "held", "seq")

    def __init__(self, purse: Purse) -> None:
        self.balance, self.held, self.floor, self.seq, grants = purse
        self._grants, self._place = grants, 0
        self._grant: str | None
        self._grant, self._remaining = grants[0] if grants else _NO_GRANT

    def covers(self, amount: int, performed: bool) -> bool:
        if performed:
            return self.balance >= amount - MAX_UNITS
        return self.balance - self.held >= self.floor + amount

    def take(self, amount: int) -> tuple[Part, ...]:
        if amount <= self._remaining:  # nearly always: no loop for it
            self._remaining -= amount
            self.seq, self.balance = seq, after = self.seq + 1, self.balance - amount
            return (record(Part, (self._grant, amount, seq, after)),)
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

    def taken(self) -> list[GrantChange]:
        """Give what was taken from each grant that was touched; what was opened last is the only one with a rest."""
        touched, rest = self._grants[: self._place + 1], self._remaining
        if len(touched) == 1:  # nearly always
            [(grant, before)] = touched
            return [record(GrantChange, (grant, before - rest, before))]
        return [
            GrantChange(each.id, each.remaining - (rest if each.id == self._grant else 0), each.remaining)
            for each in touched
        ]

    def _open_next(self) -> None:
        self._place += 1
        self._grant, self._remaining = self._grants[self._place] if self._place < len(self._grants) else _NO_GRANT

    def _part(self, amount: int) -> Part:
        self.balance -= amount
        self.seq += 1
        return Part(self._grant, amount, self.seq, self.balance)


class _Absent(_Run):
    """In place of a wallet that does not exist: covers nothing."""

    __slots__ = ()

    def covers(self, amount: int, performed: bool) -> bool:
        return False


_NO_WALLET: Final = _Absent(Purse(balance=0, held=0, floor=0, seq=0, grants=()))
