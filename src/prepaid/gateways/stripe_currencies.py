"""Stripe's own table of currencies: how an amount is written on the wire, and what is taken.

Stripe counts in units that are not always those of ISO 4217: ISK and UGX have
no minor unit there, yet are sent times one hundred; MGA has two digits there
and none here. Deriving this table from ISO 4217 would charge a hundredfold.

>>> to_wire(Money.of("10.00", "USD")), to_wire(Money.of("500", "JPY")), to_wire(Money.of("500", "ISK"))
(1000, 500, 50000)

Sources: https://docs.stripe.com/currencies (presentment currencies,
zero-decimal, three-decimal and special-case currencies, minimum and maximum
charge amounts). Where a minimum depends on the account's settlement currency,
none is listed and Stripe itself refuses what is too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from ..core.errors import GatewayError
from ..core.money import Money, scale_of
from ..ports import CurrencyLimits
from .replies import unusable

_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE "
    "CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT "
    "LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD "
    "YER ZAR ZMW"
).split()
_NO_DIGITS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
_WHOLE_BUT_SENT_TIMES_100 = "ISK UGX".split()
_THREE_DIGITS_LAST_ZERO = "BHD JOD KWD OMR TND".split()

_MAX_DIGITS: Final = {"INR": 9, "COP": 10, "IDR": 12}
"""Digits of the largest number that every payment method takes, where it is not eight."""

_MINIMUMS: Final = {
    "0.30": "GBP",
    "0.50": "ARS AUD BRL CAD CHF COP EUR IDR ILS INR NZD PHP RUB SGD USD ZAR",
    "2.00": "AED MYR PLN RON",
    "2.50": "DKK",
    "3.00": "NOK SEK",
    "4.00": "HKD",
    "10.00": "MXN THB",
    "15.00": "CZK",
    "50": "JPY KRW",
    "175.00": "HUF",
}


@frozen
class WireForm:
    """How Stripe writes amounts of a currency.

    Attributes:
        digits: Decimal digits that one unit on the wire stands for.
        step: The number on the wire is a multiple of it.
    """

    digits: int
    step: int


WIRE_FORMS: Final[Mapping[str, WireForm]] = MappingProxyType(
    dict.fromkeys(_TWO_DIGITS, WireForm(2, 1))
    | dict.fromkeys(_NO_DIGITS, WireForm(0, 1))
    | dict.fromkeys(_WHOLE_BUT_SENT_TIMES_100, WireForm(2, 100))
    | dict.fromkeys(_THREE_DIGITS_LAST_ZERO, WireForm(3, 10))
)

# Not upper(): it makes codes of currencies out of letters of other scripts.
_CODES = {code.lower(): code for code in WIRE_FORMS}


def to_wire(amount: Money) -> int:
    """Give the number that stands for ``amount`` in a request.

    Raises:
        GatewayError: Stripe does not take the currency, or not so fine an amount.
    """
    form = WIRE_FORMS.get(amount.currency)
    if form is None:
        raise GatewayError(f"Stripe does not take {amount.currency}.", code="currency-not-supported")
    finer: int = 10 ** (scale_of(amount.currency) - form.digits)
    number, lost = divmod(amount.units, finer)
    if lost or number % form.step:
        raise GatewayError(f"Stripe takes no amount of {amount.currency} so fine.", code="amount-too-fine")
    return number


def from_wire(number: int, currency: str) -> Money:
    """Give the money that ``number`` stands for in a reply, where codes are in lower case.

    Raises:
        GatewayError: The currency is none of Stripe's.
    """
    code = _CODES.get(currency)
    if code is None:
        raise unusable("currency is not known")
    return Money(number * 10 ** (scale_of(code) - WIRE_FORMS[code].digits), code)


def _limits(currency: str, form: WireForm) -> CurrencyLimits:
    code = currency.lower()
    step = from_wire(form.step, code)
    largest = 10 ** _MAX_DIGITS.get(currency, 8) - 1
    return CurrencyLimits(
        minimum=next((Money.of(least, currency) for least, codes in _MINIMUMS.items() if currency in codes), step),
        maximum=from_wire(largest - largest % form.step, code),
        step=step,
    )


LIMITS: Final[Mapping[str, CurrencyLimits]] = MappingProxyType(
    {currency: _limits(currency, form) for currency, form in WIRE_FORMS.items()}
)
"""What Stripe takes, by currency code."""
