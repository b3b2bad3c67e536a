"""Giving a charge back: to the grants it came from, the last burned first.

What was charged below zero came from no grant: it first lowers the debt that is
left, then goes to the grants that paid it meanwhile, the latest first. Credit
that returns to a wallet in debt pays the debt like any other credit.

>>> parts = (ChargedPart("bonus", 20, priority=10), ChargedPart("paid", 30, priority=50))
>>> give_back(take_back(parts, 40), balance=5, debtors=())
(Returned(grant='bonus', amount=10, changes=(Change(grant='bonus', remaining=10, debt_paid=0),)), \
Returned(grant='paid', amount=30, changes=(Change(grant='paid', remaining=30, debt_paid=0),)))
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, field, frozen

from .errors import IntegrityFault


@frozen
class ChargedPart:
    """What a charge took from one grant, or from none: ledger units less those given back before."""

    grant: str | None
    amount: int
    priority: int = field(default=0, kw_only=True)


@frozen
class Debtor:
    """A grant that paid a debt of its wallet: id and ledger units."""

    grant: str
    debt_paid: int


@frozen
class Change:
    """How far a grant's remaining and paid debt rise or fall, in ledger units."""

    grant: str
    remaining: int
    debt_paid: int


@frozen
class Returned:
    """One transfer back to the wallet, with what it changes on grants."""

    grant: str | None
    amount: int
    changes: tuple[Change, ...]


def take_back(parts: Sequence[ChargedPart], amount: int) -> tuple[ChargedPart, ...]:
    """Choose what of the parts, given in burn order, is given back: the last burned first.

    Raises:
        IntegrityFault: The parts hold less than ``amount``.
    """
    chosen: list[ChargedPart] = []
    for part in reversed(parts):
        taken = min(amount, part.amount)
        if taken:
            chosen.append(evolve(part, amount=taken))
            amount -= taken
    if amount:
        raise IntegrityFault("More would be given back than was charged.")
    return tuple(reversed(chosen))


def give_back(parts: Sequence[ChargedPart], *, balance: int, debtors: Sequence[Debtor]) -> tuple[Returned, ...]:
    """Plan the transfers that give parts back, in the order in which they are posted.

    Args:
        parts: What is given back, as `take_back` chose it.
        balance: The wallet's before, in ledger units.
        debtors: Grants that paid debts, the latest first.

    Raises:
        IntegrityFault: The part without a grant is more than debt and paid debts.
    """
    returned: list[Returned] = []
    ordered = sorted(parts, key=lambda part: (part.grant is not None, part.priority))
    for part in ordered:
        if part.grant is None:
            changes = _unpay(part.amount - min(part.amount, max(0, -balance)), debtors)
        else:
            paid = min(part.amount, max(0, -balance))
            changes = (Change(part.grant, part.amount - paid, paid),)
        returned.append(Returned(part.grant, part.amount, changes))
        balance += part.amount
    return tuple(returned)


def _unpay(amount: int, debtors: Sequence[Debtor]) -> tuple[Change, ...]:
    changes: list[Change] = []
    for debtor in debtors:
        taken = min(amount, debtor.debt_paid)
        if taken:
            changes.append(Change(debtor.grant, taken, -taken))
            amount -= taken
    if amount:
        raise IntegrityFault("A debt is given back that no grant paid.")
    return tuple(changes)
