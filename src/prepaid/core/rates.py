"""Rates: the exact price of running something for an hour.

A rate is never rounded; only what is charged is. An hour is charged whole once
it has begun (*started hours*).

>>> rate = Rate.hourly("0.00744", "EUR")
>>> rate.cost_of(hours=3)
Money.of('0.02232', 'EUR')
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from attrs import field, frozen

from .errors import InvalidAmount
from .money import EXACT, MAX_UNITS, Money, check_currency, parse_decimal, scale_of

_MAX_RATE = Decimal(10) ** 9
_MAX_RATE_DIGITS = 12
_FINEST_RATE = Decimal(1).scaleb(-_MAX_RATE_DIGITS)


@frozen
class Rate:
    """A price per hour.

    Attributes:
        amount: Major units per hour, exact, above zero, at most 12 decimals.
        currency: ISO 4217 code.
    """

    amount: Decimal = field()
    currency: str

    @amount.validator
    def _check(self, attribute: object, value: Decimal) -> None:
        check_currency(self.currency)
        if not isinstance(value, Decimal) or not value.is_finite():
            raise InvalidAmount("A rate is a finite Decimal.", field="rate")
        if not 0 < value <= _MAX_RATE:
            raise InvalidAmount(f"A rate is above zero and at most {_MAX_RATE}.", field="rate")
        if value != value.quantize(_FINEST_RATE, context=EXACT):
            raise InvalidAmount(f"A rate has at most {_MAX_RATE_DIGITS} decimal digits.", field="rate")

    @classmethod
    def hourly(cls, amount: str | Decimal, currency: str) -> Rate:
        """Make a rate per started hour from a decimal string or ``Decimal``.

        Raises:
            InvalidAmount: Not a plain decimal above zero, too fine, or an
                unknown currency.
        """
        return cls(parse_decimal(amount, field="rate"), currency)

    def cost_of(self, *, hours: int) -> Money:
        """Price whole hours, rounded half-even to a ledger unit once for all of them.

        Raises:
            InvalidAmount: ``hours`` is no int of zero or more, or costs more
                than the ledger can hold.
        """
        if type(hours) is not int or hours < 0:
            raise InvalidAmount("Hours are an int of zero or more.", field="hours")
        exact = EXACT.multiply(self.amount, hours).scaleb(scale_of(self.currency), EXACT)
        units = exact.to_integral_value(ROUND_HALF_EVEN)
        if units > MAX_UNITS:
            raise InvalidAmount("The cost is larger than the ledger can hold.", field="hours")
        return Money(int(units), self.currency)

    def cost_of_hour(self, number: int) -> Money:
        """Price the hour with this number (from 0) so that all hours add up exactly.

        Telescoped: what is owed up to the end of this hour less what was owed
        before it, so that a rate finer than a ledger unit is never lost.

        >>> fine = Rate.hourly("0.0000004", "EUR")
        >>> [fine.cost_of_hour(n).units for n in range(5)]
        [0, 1, 0, 1, 0]
        """
        return self.cost_of(hours=number + 1) - self.cost_of(hours=number)
