"""Rates: the exact price of running something for an hour.

A rate is never rounded; only what is charged is, see `prepaid.core.metering`.

>>> rate = Rate.hourly("0.00744", "EUR", monthly_cap="5.00")
>>> rate.cost_of(hours=3)
Money.of('0.02232', 'EUR')
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal, get_args

from attrs import field, frozen

from .errors import InvalidAmount, InvalidRequest
from .money import EXACT, MAX_UNITS, Money, check_currency, parse_decimal, scale_of

Increment = Literal["hour", "second"]

StoredRate = tuple[str, Increment, str | None, int]
"""Amount, increment, monthly cap and minimum, as they are stored."""

RATE_DIGITS: Final = 12
"""Decimal digits that a rate may have."""

LONGEST_MINIMUM_S: Final = 3600

_MAX_RATE = Decimal(10) ** 9
_FINEST_RATE = Decimal(1).scaleb(-RATE_DIGITS)


@frozen
class Rate:
    """A price per hour.

    Attributes:
        amount: Major units per hour, exact, above zero, at most 12 decimals.
        currency: ISO 4217 code.
        monthly_cap: The most that a resource costs in a calendar month of the
            seller's zone, in major units; None for no cap.
        increment: ``"hour"`` charges each begun hour whole, ``"second"`` pro
            rata by begun seconds.
        minimum_s: Seconds from its start for which a meter is charged at
            least; only with increment ``"second"``.
    """

    amount: Decimal = field()
    currency: str
    monthly_cap: Decimal | None = field(default=None, kw_only=True)
    increment: Increment = field(default="hour", kw_only=True)
    minimum_s: int = field(default=0, kw_only=True)

    @amount.validator
    def _check_amount(self, attribute: object, value: Decimal) -> None:
        check_currency(self.currency)
        _check_decimal(value, "A rate", field="rate", largest=_MAX_RATE, digits=RATE_DIGITS)

    @monthly_cap.validator
    def _check_cap(self, attribute: object, value: Decimal | None) -> None:
        if value is not None:
            digits = scale_of(self.currency)
            largest = Decimal(MAX_UNITS).scaleb(-digits, EXACT)
            _check_decimal(value, "A monthly cap", field="monthly_cap", largest=largest, digits=digits)

    @increment.validator
    def _check_increment(self, attribute: object, value: str) -> None:
        if not isinstance(value, str) or value not in get_args(Increment):
            raise InvalidRequest("An increment is 'hour' or 'second'.", field="increment")

    @minimum_s.validator
    def _check_minimum(self, attribute: object, value: int) -> None:
        if type(value) is not int or not 0 <= value <= LONGEST_MINIMUM_S:
            raise InvalidRequest(f"A minimum is whole seconds, at most {LONGEST_MINIMUM_S}.", field="minimum_s")
        if value and self.increment != "second":
            raise InvalidRequest("A minimum goes with the increment 'second'.", field="minimum_s")

    @classmethod
    def hourly(
        cls,
        amount: str | Decimal,
        currency: str,
        *,
        monthly_cap: str | Decimal | None = None,
        increment: Increment = "hour",
        minimum_s: int = 0,
    ) -> Rate:
        """Make a rate per hour from a decimal string or ``Decimal``.

        Args:
            amount: Major units per hour, at most 12 decimals.
            currency: ISO 4217 code.
            monthly_cap: Major units, at most the decimals that the ledger
                keeps; None for no cap.
            increment: ``"hour"`` or ``"second"``.
            minimum_s: Seconds, 0 to 3600; only with ``"second"``.

        Raises:
            InvalidAmount: ``rate`` or ``monthly_cap`` is no plain decimal
                above zero, or too fine, or the currency is unknown.
            InvalidRequest: ``increment`` or ``minimum_s`` is none of the above.
        """
        return cls(
            parse_decimal(amount, field="rate"),
            currency,
            monthly_cap=None if monthly_cap is None else parse_decimal(monthly_cap, field="monthly_cap"),
            increment=increment,
            minimum_s=minimum_s,
        )

    def cost_of(self, *, hours: int) -> Money:
        """Price whole hours without a cap, rounded half-even to a ledger unit once for all of them.

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


def read_rate(currency: str, stored: StoredRate) -> Rate:
    """Make a rate of what was stored.

    Raises:
        RequestRefused: It is none.
        ArithmeticError: Its figures are no numbers.
    """
    amount, increment, cap, minimum_s = stored
    monthly_cap = None if cap is None else Decimal(cap)
    return Rate(Decimal(amount), currency, monthly_cap=monthly_cap, increment=increment, minimum_s=minimum_s)


def stored_rate(rate: Rate) -> StoredRate:
    """Write a rate for `read_rate`, without trailing zeros, so that it always fits its column."""
    amount, cap = (
        None if figure is None else format(figure.normalize(EXACT), "f") for figure in (rate.amount, rate.monthly_cap)
    )
    return str(amount), rate.increment, cap, rate.minimum_s


def _check_decimal(value: object, what: str, *, field: str, largest: Decimal, digits: int) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidAmount(f"{what} is a finite Decimal.", field=field)
    if not 0 < value <= largest:
        raise InvalidAmount(f"{what} is above zero and at most {largest}.", field=field)
    if value != value.quantize(Decimal(1).scaleb(-digits), context=EXACT):
        raise InvalidAmount(f"{what} has at most {digits} decimal digits here.", field=field)
