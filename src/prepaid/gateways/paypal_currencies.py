"""PayPal's own table of currencies: how an amount is written on the wire, and what is taken.

PayPal writes amounts as decimal strings. HUF and TWD have no decimals there,
although ISO 4217 gives them two; writing some is an error.

>>> to_wire(Money.of("10.00", "USD")), to_wire(Money.of("500", "JPY")), to_wire(Money.of("500", "HUF"))
('10.00', '500', '500')
>>> from_wire("10.5", "EUR")
Money.of('10.50', 'EUR')

Sources: https://developer.paypal.com/api/rest/reference/currency-codes/ (which
currencies, which without decimals, and which for accounts of one country only:
BRL, CNY and MYR); the Orders API's description of ``money`` (at most 32
characters). INR, which only accounts in India take, and RUB, which is
suspended, are read but not offered. A transaction's upper limit depends on the
account and is not published; the one here bounds what is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..core.errors import GatewayError
from ..core.money import Money, scale_of
from ..ports import CurrencyLimits
from .replies import Reply, require_object, require_str, unusable

OFFERED: Final = (
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD".split()
)
_READ_ONLY = ("INR", "RUB")
_NO_DECIMALS = frozenset({"HUF", "JPY", "TWD"})

DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {code: 0 if code in _NO_DECIMALS else 2 for code in (*OFFERED, *_READ_ONLY)}
)
"""Decimals that PayPal writes, by currency code."""

_LARGEST: Final = "9999999"
_DECIMAL = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,4}))?", re.ASCII)


def to_wire(amount: Money) -> str:
    """Give the decimal string that stands for ``amount`` in a request.

    Raises:
        GatewayError: PayPal does not take the currency, or not so fine an amount.
    """
    if amount.currency not in OFFERED:
        raise GatewayError(f"PayPal does not take {amount.currency}.", code="currency-not-supported")
    digits = DIGITS[amount.currency]
    number, lost = divmod(amount.units, 10 ** (scale_of(amount.currency) - digits))
    if lost or number <= 0:
        raise GatewayError(f"PayPal takes no amount of {amount.currency} so fine.", code="amount-too-fine")
    whole, part = divmod(number, 10**digits)
    return f"{whole}.{part:0{digits}}" if digits else str(whole)


def money_on_wire(amount: Money) -> dict[str, str]:
    """Give the object that stands for ``amount`` in a request.

    Raises:
        GatewayError: As `to_wire`.
    """
    return {"currency_code": amount.currency, "value": to_wire(amount)}


def from_wire(value: str, currency: str, *, signed: bool = False) -> Money:
    """Give the money that a decimal string stands for in a reply.

    Args:
        value: As PayPal wrote it; zeros beyond its decimals are accepted.
        currency: Code as PayPal wrote it.
        signed: It may be negative.

    Raises:
        GatewayError: No currency of PayPal's, no decimal, or finer than it has.
    """
    digits, written = DIGITS.get(currency), _DECIMAL.fullmatch(value)
    if digits is None:
        raise unusable("currency_code is not known")
    if written is None or (written[1] and not signed):
        raise unusable("value is not a plain decimal")
    part = written[3] or ""
    if part[digits:].strip("0"):
        raise unusable("value is finer than its currency")
    units = int(written[2] + part[:digits].ljust(digits, "0")) * 10 ** (scale_of(currency) - digits)
    return Money(-units if written[1] else units, currency)


def read_money(reply: Reply, name: str, *, signed: bool = False) -> Money:
    """Read the amount called ``name``.

    Raises:
        GatewayError: Missing, mistyped, or as `from_wire`.
    """
    money = require_object(reply, name)
    return from_wire(require_str(money, "value", longest=32), require_str(money, "currency_code"), signed=signed)


def _limits(currency: str) -> CurrencyLimits:
    step = from_wire("0.01" if DIGITS[currency] else "1", currency)
    largest = from_wire(f"{_LARGEST}.99" if DIGITS[currency] else _LARGEST, currency)
    return CurrencyLimits(minimum=step, maximum=largest, step=step)


LIMITS: Final[Mapping[str, CurrencyLimits]] = MappingProxyType({currency: _limits(currency) for currency in OFFERED})
"""What PayPal takes, by currency code."""
