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
>>> part = by_credit(bought, 83_330_000)
>>> part.clawed_back, part.net_minor, part.tax_minor
(16666000, 8333, 1583)
>>> by_gross(bought, 11_900).credit
100000000
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

    @property
    def gross_minor(self) -> int:
        """What was paid in all, in minor units."""
        return self.net_minor + self.tax_minor


@frozen(kw_only=True)
class Returned:
    """What goes back of a top-up: in one refund, or in all that have not failed and disputes that were lost.

    Attributes:
        credit: Credit that was bought, in ledger units.
        net_minor: What was paid for it without tax, in minor units.
        tax_minor: Tax on that.
        clawed_back: Bonus that is taken back with it, in ledger units.
    """

    credit: int = 0
    net_minor: int = 0
    tax_minor: int = 0
    clawed_back: int = 0

    @property
    def gross_minor(self) -> int:
        """The money that goes back, in minor units."""
        return self.net_minor + self.tax_minor

    def __add__(self, other: Returned) -> Returned:
        """Sum two."""
        return Returned(
            credit=self.credit + other.credit,
            net_minor=self.net_minor + other.net_minor,
            tax_minor=self.tax_minor + other.tax_minor,
            clawed_back=self.clawed_back + other.clawed_back,
        )

    def __sub__(self, other: Returned) -> Returned:
        """Leave one out of several."""
        return Returned(
            credit=self.credit - other.credit,
            net_minor=self.net_minor - other.net_minor,
            tax_minor=self.tax_minor - other.tax_minor,
            clawed_back=self.clawed_back - other.clawed_back,
        )


NOTHING = Returned()


def claw_back(bought: Bought, amount: int, before: Returned = NOTHING) -> int:
    """Give the bonus that a refund of ``amount`` credit takes back, rounded up to a ledger unit."""
    return max(0, ceil(bought.rate * (before.credit + amount)) - before.clawed_back)


def refundable(
    bought: Bought, *, paid_left: int, bonus_left: int, unit: int, before: Returned = NOTHING, free: int | None = None
) -> int:
    """Give the most credit that can be refunded, in whole minor units of ``unit`` ledger units.

    Args:
        bought: What the top-up was.
        paid_left: Unspent credit that was bought.
        bonus_left: Unspent bonus.
        unit: Ledger units of a minor unit.
        before: What went back before.
        free: What of the wallet nothing reserves; all of it if None.
    """
    # What is clawed back is rounded up; the whole of it with the credit still fits, as both are whole ledger units:
    # of earlier refunds at least as much was taken back, so that no more than this part is taken now.
    limit = min(Fraction(paid_left), Fraction(paid_left + bonus_left) / (1 + bought.rate))
    if free is not None:
        limit = min(limit, Fraction(free) / (1 + bought.rate))
    # Credit that a charge gave back after a dispute took the same from elsewhere is there, and was returned already.
    limit = max(Fraction(0), min(limit, Fraction(bought.credit - before.credit)))
    return floor(limit / unit) * unit


def by_credit(bought: Bought, amount: int, before: Returned = NOTHING) -> Returned:
    """Say what a refund of ``amount`` credit is in money and bonus; all of the credit gives all of them.

    Raises:
        IntegrityFault: More credit than was bought.
    """
    total = before.credit + amount
    if amount <= 0 or total > bought.credit:
        raise IntegrityFault("A refund is of credit that was bought.")
    # After a refund that failed, those made while it counted may be a minor unit ahead.
    net = max(0, total * bought.net_minor // bought.credit - before.net_minor)
    tax = max(0, total * bought.tax_minor // bought.credit - before.tax_minor)
    return Returned(credit=amount, net_minor=net, tax_minor=tax, clawed_back=claw_back(bought, amount, before))


def by_gross(bought: Bought, gross_minor: int, before: Returned = NOTHING) -> Returned:
    """Say what credit, net, tax and bonus an amount of money is that went back without being asked for.

    No more than is left of what was paid: `Returned.gross_minor` may be less than
    ``gross_minor``.

    Args:
        bought: What the top-up was; something was paid for it.
        gross_minor: Money that a gateway gave back or a bank took back, above zero, in minor units.
        before: What went back before.
    """
    gross = min(gross_minor, bought.gross_minor - before.gross_minor)
    if gross <= 0:
        return NOTHING
    total = before.gross_minor + gross
    tax = max(0, total * bought.tax_minor // bought.gross_minor - before.tax_minor)
    net = gross - tax
    credit = max(0, ceil(Fraction((before.net_minor + net) * bought.credit, bought.net_minor)) - before.credit)
    return Returned(credit=credit, net_minor=net, tax_minor=tax, clawed_back=claw_back(bought, credit, before))
