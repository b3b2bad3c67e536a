"""What a refund takes back of the bonus that came with a top-up, and what it is in money.

A promotion is kept for what was used and undone for what is returned: returning
a part of the credit takes the same part of the bonus back, first from what is
unspent of it, then from unspent paid credit. Amounts are ledger units, cash is
minor units; every figure is cumulative over the refunds of a top-up, so that
parts add up to the whole to the unit.

Sources: the accounting page of the docs (*What may be refunded*).

>>> bought = Bought(credit=100_000_000, bonus=20_000_000, net_minor=10_000, tax_minor=1_900)
>>> refundable(bought, paid_left=100_000_000, bonus_left=0, unit=10_000)
83330000
>>> claw_back(bought, 83_330_000), cash_of(bought, 83_330_000)
(16666000, (8333, 1583))
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from attrs import frozen

from .errors import IntegrityFault


@frozen(kw_only=True)
class Bought:
    """What a top-up was: the terms of its refunds.

    Attributes:
        credit: Credit bought, above zero.
        bonus: Bonus it came with, less what of that expired or was voided.
        net_minor: What was paid for it without tax, in minor units.
        tax_minor: Tax on that.
    """

    credit: int
    bonus: int
    net_minor: int
    tax_minor: int

    @property
    def rate(self) -> Fraction:
        """Bonus per unit of credit."""
        return Fraction(self.bonus, self.credit)


@frozen(kw_only=True)
class Returned:
    """What the refunds of a top-up that have not failed come to."""

    credit: int = 0
    net_minor: int = 0
    tax_minor: int = 0
    clawed_back: int = 0


NOTHING = Returned()


def claw_back(bought: Bought, amount: int, before: Returned = NOTHING) -> int:
    """Give the bonus that a refund of ``amount`` credit takes back, rounded up to a ledger unit."""
    return max(0, ceil(bought.rate * (before.credit + amount)) - before.clawed_back)


def split_claw_back(clawed_back: int, *, bonus_left: int) -> tuple[int, int]:
    """Say what of it comes from the unspent bonus, and what from unspent paid credit."""
    from_bonus = min(clawed_back, bonus_left)
    return from_bonus, clawed_back - from_bonus


def refundable(bought: Bought, *, paid_left: int, bonus_left: int, unit: int) -> int:
    """Give the most credit that can be refunded, in whole minor units of ``unit`` ledger units.

    Args:
        bought: What the top-up was.
        paid_left: Unspent credit that was bought.
        bonus_left: Unspent bonus.
        unit: Ledger units of a minor unit.
    """
    # What is clawed back is rounded up; the whole of it with the credit still fits, as both are whole ledger units:
    # of earlier refunds at least as much was taken back, so that no more than this part is taken now.
    limit = min(Fraction(paid_left), Fraction(paid_left + bonus_left) / (1 + bought.rate))
    return floor(limit / unit) * unit


def cash_of(bought: Bought, amount: int, before: Returned = NOTHING) -> tuple[int, int]:
    """Give net and tax, in minor units, that a refund of ``amount`` credit is; all of the credit gives all of them.

    Raises:
        IntegrityFault: More credit than was bought.
    """
    total = before.credit + amount
    if not 0 < total <= bought.credit:
        raise IntegrityFault("A refund is of credit that was bought.")
    net = total * bought.net_minor // bought.credit - before.net_minor
    return net, total * bought.tax_minor // bought.credit - before.tax_minor
