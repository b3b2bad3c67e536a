"""Money as whole ledger units of one currency; floats never come in.

The ledger keeps amounts as 64-bit integers at a scale fixed per currency: six
decimal digits, four for currencies without minor units or with tiny ones, so
that large balances of weak currencies fit. *Minor units* are those of ISO 4217;
gateways have tables of their own and convert in their adapter.

>>> price = Money.of("50.00", "EUR")
>>> price.units, price.minor, str(price)
(50000000, 5000, '50.00 EUR')
>>> price + Money.of("0.00744", "EUR")
Money.of('50.00744', 'EUR')

Sources: ISO 4217 (currency codes and minor units, list one).
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from typing import Final

from attrs import frozen

from .errors import CurrencyMismatch, IntegrityFault, InvalidAmount

MAX_UNITS: Final = 2**63 - 1
_MIN_UNITS: Final = -MAX_UNITS

EXACT: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])
"""Arithmetic wide enough for every amount and rate; the host's own context may round or trap."""

_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
).split()
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND".split()

MINOR_DIGITS: Final[dict[str, int]] = (
    dict.fromkeys(_TWO_DIGITS, 2) | dict.fromkeys(_NO_DIGITS, 0) | dict.fromkeys(_THREE_DIGITS, 3)
)
"""Digits after the point that the currency's minor unit has, by ISO 4217."""

_COARSE = frozenset(_NO_DIGITS) | {"COP", "IDR", "IRR", "KHR", "LAK", "LBP", "MMK", "UZS"}

_SCALES = {code: 4 if code in _COARSE else 6 for code in MINOR_DIGITS}

# ASCII only: int() and Decimal() also take full-width digits, blanks, underscores, exponents and NaN.
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,18})?", re.ASCII)


def scale_of(currency: str) -> int:
    """Give the decimal digits of one ledger unit of ``currency``.

    Raises:
        InvalidAmount: The code is not a currency of ISO 4217.
    """
    return _SCALES[check_currency(currency)]


def check_currency(currency: object, *, field: str = "currency") -> str:
    """Return ``currency`` if it is an upper-case ISO 4217 code.

    Raises:
        InvalidAmount: It is not; ``field`` names the argument.
    """
    if not isinstance(currency, str) or currency not in MINOR_DIGITS:
        shown = currency if isinstance(currency, str) and len(currency) <= 8 else type(currency).__name__
        raise InvalidAmount(f"{shown!r} is not a currency code of ISO 4217.", field=field)
    return currency


def parse_decimal(value: object, *, field: str = "amount") -> Decimal:
    """Read a plain decimal: ASCII digits, at most one point, an optional minus.

    Raises:
        InvalidAmount: For floats, bools, NaN, exponents, blanks, separators or
            digits of other scripts.
    """
    return Decimal(_plain_digits(value, field))


def _plain_digits(value: object, field: str) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        # A Decimal may carry any exponent; the written form decides like a string does.
        value = format(value, "f") if abs(value.adjusted()) < 40 else "out of range"
    if isinstance(value, int) and not isinstance(value, bool):
        raise InvalidAmount("An amount is a decimal string such as '50.00', not an int.", field=field)
    if not isinstance(value, str):
        raise InvalidAmount(f"An amount is a decimal string such as '50.00', not {type(value).__name__}.", field=field)
    written = _DECIMAL.fullmatch(value)
    if written is None:
        raise InvalidAmount("An amount is written in plain digits such as '50.00'.", field=field)
    return written[0]


@lru_cache(maxsize=1024)
def _written(units: int, currency: str) -> str:
    """Write ledger units in plain digits; the keys of thousands of charges are made of the same few amounts."""
    scale = _SCALES[currency]
    digits = f"{abs(units):0{scale + 1}d}"
    part = digits[-scale:].rstrip("0").ljust(MINOR_DIGITS[currency], "0")
    return f"{'-' if units < 0 else ''}{digits[:-scale]}{'.' if part else ''}{part}"


@frozen(repr=False, order=False)
class Money:
    """An amount of one currency, exact to the ledger unit.

    Adding, subtracting and ordering need the same currency; there is no
    division and no implicit rounding.

    Attributes:
        units: Ledger units (a signed 64-bit integer), ``10 ** -scale`` each.
        currency: ISO 4217 code.
    """

    units: int
    currency: str

    def __attrs_post_init__(self) -> None:
        units, currency = self.units, self.currency
        if type(units) is not int:
            raise InvalidAmount("Ledger units are an int.", field="units")
        if not _MIN_UNITS <= units <= MAX_UNITS:
            raise InvalidAmount("The amount is larger than the ledger can hold.", field="amount")
        if type(currency) is not str or currency not in MINOR_DIGITS:
            # An Enum's member is written by its own name.
            object.__setattr__(self, "currency", str.__str__(check_currency(currency)))

    @classmethod
    def of(cls, amount: str | Decimal, currency: str) -> Money:
        """Make money from a decimal string or ``Decimal`` in major units.

        Raises:
            InvalidAmount: Not a plain decimal, more digits than the ledger
                keeps, out of range, or an unknown currency.
        """
        check_currency(currency)
        return _read(amount if type(amount) is str else _plain_digits(amount, "amount"), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Make the zero of a currency."""
        return cls(0, currency)

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> Money:
        """Make money from whole minor units (cents) of ISO 4217."""
        if type(minor) is not int:
            raise InvalidAmount("Minor units are an int.", field="minor")
        return cls(minor * minor_unit(currency), currency)

    @property
    def amount(self) -> Decimal:
        """The value in major units, with at least the minor digits."""
        digits = MINOR_DIGITS[self.currency]
        value = Decimal(self.units).scaleb(-scale_of(self.currency), EXACT).normalize(EXACT)
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - a finite Decimal has an int exponent; tells the type checker
        return value if exponent < -digits else value.quantize(Decimal(1).scaleb(-digits, EXACT), context=EXACT)

    @property
    def minor(self) -> int:
        """The value in whole minor units.

        Raises:
            InvalidAmount: A part of a minor unit would be lost.
        """
        whole, rest = divmod(self.units, minor_unit(self.currency))
        if rest:
            raise InvalidAmount(f"{self} is not a whole number of minor units.", field="amount")
        return whole

    def floor_minor(self) -> int:
        """Give the value in minor units, rounded towards minus infinity."""
        return self.units // minor_unit(self.currency)

    def format(self, locale: str = "en") -> str:
        """Write the amount for a reader of ``locale``, never rounded; in English if the locale is unknown."""
        from babel import Locale, UnknownLocaleError  # only where something is shown
        from babel.numbers import parse_pattern

        try:
            known = Locale.parse(str(locale).replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            known = Locale("en")
        # Babel rounds to the digits people use; several currencies have minor units by ISO 4217 that it hides.
        pattern = parse_pattern(known.currency_formats["standard"].pattern)
        pattern.frac_prec = (MINOR_DIGITS[self.currency], MINOR_DIGITS[self.currency])
        shown = pattern.apply(
            self.amount, known, currency=self.currency, currency_digits=False, decimal_quantization=False
        )
        return str(shown)

    def _same(self, other: object) -> Money:
        if not isinstance(other, Money):
            raise InvalidAmount(f"Money does not mix with {type(other).__name__}.", field="amount")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} does not mix with {other.currency}.", field="currency")
        return other

    def __add__(self, other: Money) -> Money:
        return Money(self.units + self._same(other).units, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.units - self._same(other).units, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.units, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.units), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.units < self._same(other).units

    def __le__(self, other: Money) -> bool:
        return self.units <= self._same(other).units

    def __gt__(self, other: Money) -> bool:
        return self.units > self._same(other).units

    def __ge__(self, other: Money) -> bool:
        return self.units >= self._same(other).units

    def __bool__(self) -> bool:
        return self.units != 0

    def __str__(self) -> str:
        return f"{self.plain()} {self.currency}"

    def __repr__(self) -> str:
        return f"Money.of('{self.plain()}', '{self.currency}')"

    def plain(self) -> str:
        """Write `amount` in plain digits and a point, exactly; without making a Decimal, as keys are made of it."""
        return _written(self.units, self.currency)


@lru_cache(maxsize=1024)
def _read(written: str, currency: str) -> Money:
    """Read an amount, once: a host prices thousands of charges by the same few texts."""
    scale = _SCALES[currency]
    whole, _, part = _plain_digits(written, "amount").partition(".")
    kept, beyond = part[:scale].ljust(scale, "0"), part[scale:]
    if beyond.strip("0"):
        raise InvalidAmount(f"An amount of {currency} has at most {scale} decimal digits.", field="amount")
    return Money(int(whole + kept), currency)


def minor_unit(currency: str) -> int:
    """Give the ledger units of one minor unit of ``currency``.

    >>> minor_unit("EUR"), minor_unit("JPY"), minor_unit("KWD")
    (10000, 10000, 1000)
    """
    return int(10 ** (scale_of(currency) - MINOR_DIGITS[currency]))


def require_positive(amount: object, *, field: str = "amount") -> Money:
    """Return ``amount`` if it is money above zero.

    Raises:
        InvalidAmount: Another type, zero or negative.
    """
    if not isinstance(amount, Money):
        raise InvalidAmount(f"{field} is Money, not {type(amount).__name__}.", field=field)
    if amount.units <= 0:
        raise InvalidAmount(f"{field} is above zero.", field=field)
    return amount


def require_whole_minor(amount: object, *, field: str = "amount") -> Money:
    """Return ``amount`` if it is positive money in whole minor units.

    Raises:
        InvalidAmount: Another type, zero, negative, or finer than a minor unit.
    """
    money = require_positive(amount, field=field)
    if money.units % minor_unit(money.currency):
        digits = MINOR_DIGITS[money.currency]
        raise InvalidAmount(f"{field} of {money.currency} has at most {digits} decimal digits here.", field=field)
    return money


def require_minor(amount: Money) -> None:
    """Make sure that an amount, of whatever sign, is in whole minor units.

    Raises:
        InvalidAmount: It is finer.
    """
    if amount.units % minor_unit(amount.currency):
        raise InvalidAmount(f"{amount} is not a whole number of minor units.", field="amount")


def largest_remainder(total: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Split ``total`` in proportion to ``weights`` so that the parts add up exactly.

    Ties go to the earlier part (Hamilton's method).

    Raises:
        IntegrityFault: Nothing to split over, or a weight below zero.

    >>> largest_remainder(100, (1, 1, 1))
    (34, 33, 33)
    """
    if (total and not weights) or any(weight < 0 for weight in weights):
        raise IntegrityFault("An amount is split over weights of zero or more.")
    whole = sum(weights)
    if whole == 0:
        return tuple(total if i == 0 else 0 for i in range(len(weights)))
    shares = [divmod(total * weight, whole) for weight in weights]
    parts = [share for share, _ in shares]
    order = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)
