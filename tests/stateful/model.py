"""What a book of prepaid credit must say, worked out in plain Python from its design and nothing else.

No database, no library: one list of lots per purse, whole numbers, loops. Slow and
plain on purpose, so that it can be believed without a test of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from attrs import define, field

FOREVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

SOURCES: Final = {
    "promotional": "promotion",
    "goodwill": "goodwill",
    "external": "external",
    "migrated": "migration",
    "paid": "clearing",
}
"""The account that pays for credit of a kind."""

PRIORITIES: Final = {"promotional": 20, "goodwill": 20, "external": 30, "migrated": 40, "paid": 50}
EXPIRING_PROMOTIONAL: Final = 10


class Refused(Exception):
    """The act is refused; the first argument is the code that the library must give."""


@define(eq=False)
class Lot:
    """Credit that came at once: how much, how much is left, when it begins and lapses."""

    made: int
    kind: str
    size: int
    begins: datetime
    lapses: datetime
    priority: int
    discount: int = 0
    left: int = field(init=False)
    debt_paid: int = 0
    waiting: bool = False
    voided: bool = False
    gone: int = 0  # what lapsed or was voided

    def __attrs_post_init__(self) -> None:
        """Nothing of it is used."""
        self.left = self.size

    @property
    def turn(self) -> tuple[int, datetime, int]:
        """When it burns: by priority, then what lapses first, then what is older."""
        return self.priority, self.lapses, self.made


def usual_priority(kind: str, lapses: datetime) -> int:
    """Give the priority that credit of a kind has unless its giver wishes another."""
    return EXPIRING_PROMOTIONAL if kind == "promotional" and lapses < FOREVER else PRIORITIES[kind]


@define(eq=False)
class Campaign:
    """A promotion: what it gives of a hundred cents, for how many hours, and how often."""

    bonus: int = 0
    discount: int = 0
    hours: int = 0
    total: int = 999
    each: int = 999
    used: Counter[str] = field(factory=Counter)

    def refuse_if_used_up(self, who: str) -> None:
        """Give nobody more than the limits allow."""
        if self.used[who] >= self.each or self.used.total() >= self.total:
            raise Refused("promotion-refused")


@define(eq=False)
class Reserve:
    """Credit set aside: open, captured, released or expired."""

    amount: int
    lapses: datetime
    state: str = "open"
    captured: int = 0


@define(eq=False)
class Part:
    """What a charge took from one lot, or from none, and has not given back."""

    lot: Lot | None
    amount: int


@define(eq=False)
class Spent:
    """A charge: its parts in the order in which they burned, and what it was for."""

    parts: list[Part]
    resource: str
    returned: int = 0

    @property
    def left(self) -> int:
        """What can still be given back."""
        return sum(part.amount for part in self.parts)


@define(eq=False)
class Purse:
    """One customer's wallet, and what moved between it and the book's own accounts."""

    balance: int = 0
    floor: int = 0
    frozen: bool = False
    due: datetime = FOREVER
    lots: list[Lot] = field(factory=list)
    reserves: list[Reserve] = field(factory=list)
    charges: list[Spent] = field(factory=list)
    accounts: Counter[str] = field(factory=Counter)
    used: Counter[str] = field(factory=Counter)

    @property
    def held(self) -> int:
        """What open holds reserve."""
        return sum(reserve.amount for reserve in self.reserves if reserve.state == "open")

    @property
    def available(self) -> int:
        """What a charge may use."""
        return self.balance - self.held - self.floor

    @property
    def debt(self) -> int:
        """How far the balance is below zero."""
        return max(0, -self.balance)

    def in_turn(self, lots: Iterable[Lot] | None = None) -> list[Lot]:
        """Give lots in the order in which they burn."""
        return sorted(self.lots if lots is None else lots, key=lambda lot: lot.turn)

    def left_of(self, *kinds: str) -> int:
        """Sum what is left of lots of some kinds."""
        return sum(lot.left for lot in self.lots if lot.kind in kinds and not lot.waiting)

    def refuse_if_frozen(self) -> None:
        """Begin nothing new for a customer who is frozen."""
        if self.frozen:
            raise Refused("customer-frozen")

    def _move(self, amount: int, account: str) -> None:
        self.balance += amount
        self.accounts[account] -= amount

    # What the calendar does

    def look(self, now: datetime) -> None:
        """Deal with what is due, if anything is."""
        if self.due <= now:
            self.sweep(now)

    def sweep(self, now: datetime) -> None:
        """Let holds lapse, then lots begin, then lots lapse down to what is held."""
        for reserve in self.reserves:
            if reserve.state == "open" and reserve.lapses <= now:
                reserve.state = "expired"
        for lot in sorted(self.lots, key=lambda lot: (lot.begins, lot.made)):
            if lot.waiting and lot.begins <= now:
                lot.waiting = False
                self._arrive(lot)
        for lot in self.in_turn():
            if lot.lapses <= now and not lot.waiting:
                gone = min(lot.left, max(0, self.balance - self.held))
                lot.left -= gone
                lot.gone += gone
                self._move(-gone, "breakage")
        self.due = min(
            [reserve.lapses for reserve in self.reserves if reserve.state == "open"]
            + [lot.begins for lot in self.lots if lot.waiting]
            + [lot.lapses for lot in self.lots if lot.left and not lot.waiting and lot.lapses > now]
            + [FOREVER]
        )

    # Credit

    def give(self, lot: Lot, now: datetime) -> None:
        """Add a lot: at once, or to wait for its beginning."""
        self.look(now)
        self.lots.append(lot)
        if lot.begins > now:
            lot.waiting = True
            self.due = min(self.due, lot.begins)
        else:
            self._arrive(lot)
            self.due = min(self.due, lot.lapses)

    def _arrive(self, lot: Lot) -> None:
        lot.debt_paid = min(lot.size, self.debt)
        lot.left = lot.size - lot.debt_paid
        self._move(lot.size - lot.discount, SOURCES[lot.kind])
        self._move(lot.discount, "promotion")

    def void(self, lot: Lot, now: datetime) -> bool:
        """Take back what is left of a lot, or came back to it since; tell whether anything moved."""
        if lot.kind == "paid":
            raise Refused("wrong-state")
        self.look(now)
        if lot.waiting:
            lot.waiting, lot.left, lot.voided = False, 0, True
            return False
        if not lot.left and lot.voided:
            return False
        if not lot.left:
            raise Refused("wrong-state")
        if self.available < lot.left:
            raise Refused("insufficient-credit")
        self._move(-lot.left, SOURCES[lot.kind])
        lot.gone += lot.left
        lot.left, lot.voided = 0, True
        return True

    # Usage

    def charge(self, amount: int, now: datetime, *, performed: bool, resource: str) -> Spent:
        """Take usage, lot by lot, and what they lack as a debt."""
        self.look(now)
        if not performed and self.available < amount:
            raise Refused("insufficient-credit")
        return self._take(amount, resource)

    def _take(self, amount: int, resource: str) -> Spent:
        parts, missing = [], amount
        for lot in self.in_turn():
            burned = 0 if lot.waiting else min(missing, lot.left)
            if burned:
                lot.left -= burned
                missing -= burned
                parts.append(Part(lot, burned))
        if missing:
            parts.append(Part(None, missing))
        self._move(-amount, "revenue")
        self.used[resource] += amount
        self.charges.append(Spent(parts, resource))
        return self.charges[-1]

    def reverse(self, spent: Spent, amount: int | None, now: datetime, *, lapses: datetime | None = None) -> int:
        """Give usage back: the last burned first, debts before credit. Give the balance right after it."""
        self.look(now)
        if not spent.left:
            raise Refused("wrong-state")
        total = spent.left if amount is None else amount
        if total > spent.left:
            raise Refused("amount-out-of-range")
        back, after = _end_of(spent.parts, total), self.balance + total
        touched: list[Lot] = []
        for part in [p for p in back if p.lot is None] + [p for p in back if p.lot is not None]:
            touched += self._unpay(part.amount) if part.lot is None else self._return(part.lot, part.amount)
            self._move(part.amount, "revenue")
        for lot in touched:
            if lapses is not None and lot.lapses <= now:
                lot.lapses = lapses
        self.used[spent.resource] -= total
        spent.returned += total
        self.sweep(now)
        return after

    def _unpay(self, amount: int) -> list[Lot]:
        """Lower the debt, then what lots paid of debts, the latest first."""
        touched, amount = [], amount - min(amount, self.debt)
        for lot in sorted(self.lots, key=lambda lot: -lot.made):
            freed = min(amount, lot.debt_paid)
            if freed:
                lot.debt_paid -= freed
                lot.left += freed
                amount -= freed
                touched.append(lot)
        assert amount == 0, "a debt was given back that no lot paid"
        return touched

    def _return(self, lot: Lot, amount: int) -> list[Lot]:
        paid = min(amount, self.debt)
        lot.debt_paid += paid
        lot.left += amount - paid
        return [lot]

    # Holds

    def hold(self, amount: int, lapses: datetime, now: datetime) -> Reserve:
        """Set credit aside."""
        self.look(now)
        self.refuse_if_frozen()
        if self.available < amount:
            raise Refused("insufficient-credit")
        self.reserves.append(Reserve(amount, lapses))
        self.due = min(self.due, lapses)
        return self.reserves[-1]

    def capture(self, reserve: Reserve, amount: int, now: datetime, *, resource: str) -> int:
        """Charge a hold and free its rest; give the balance right after the charge."""
        if amount > reserve.amount:
            raise Refused("amount-out-of-range")
        self.look(now)
        if reserve.state == "captured":
            raise Refused("key-conflict" if amount != reserve.captured else "duplicate")
        if reserve.state != "open":
            raise Refused("wrong-state")
        reserve.state, reserve.captured = "captured", amount
        self._take(amount, resource)
        after = self.balance
        self.sweep(now)
        return after

    def release(self, reserve: Reserve, now: datetime) -> None:
        """Free what a hold reserves."""
        self.look(now)
        if reserve.state == "captured":
            raise Refused("wrong-state")
        if reserve.state == "open":
            reserve.state = "released"
            self.sweep(now)


def _end_of(parts: list[Part], amount: int) -> list[Part]:
    """Cut an amount from the end of a charge, and give what was cut in its order."""
    cut: list[Part] = []
    for part in reversed(parts):
        taken = min(amount, part.amount)
        if taken:
            part.amount -= taken
            amount -= taken
            cut.insert(0, Part(part.lot, taken))
    return cut
