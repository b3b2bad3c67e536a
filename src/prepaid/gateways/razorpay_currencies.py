"""Razorpay's own table of currencies: how an amount is written on the wire, and what is taken.

The exponents are those that Razorpay publishes, whatever ISO 4217 says of a
currency now or later. An amount of three digits has to end in a zero.

>>> to_wire(Money.of("500.00", "INR")), to_wire(Money.of("500", "JPY")), to_wire(Money.of("99.990", "KWD"))
(50000, 500, 99990)

Sources: https://razorpay.com/docs/payments/international-payments/#supported-currencies
(codes and exponents); https://razorpay.com/docs/api/orders/create/ (three-decimal
currencies, minimum of INR 1.00). Codes that ISO 4217 has withdrawn since (HRK,
SLL) are left out. A maximum is agreed with each merchant and not documented:
Razorpay itself refuses what is too large.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from ..core.errors import GatewayError
from ..core.money import Money, scale_of
from ..ports import CurrencyLimits
from .replies import MAX_INT, unusable

_TWO_DIGITS = (
    "AED ALL AMD AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BZD CAD CHF CNY COP CRC CUP CVE CZK DKK DOP "
    "DZD EGP ETB EUR FJD GBP GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LKR LRD LSL "
    "MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PEN PGK PHP PKR PLN QAR RON RSD RUB "
    "SAR SCR SEK SGD SOS SVC SZL THB TRY TTD TWD TZS UAH USD UYU UZS XCD YER ZAR ZMW"
).split()
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()
_THREE_DIGITS_LAST_ZERO = "BHD IQD JOD KWD OMR TND".split()

_MINIMUMS: Final = {"INR": "1.00"}


@frozen
class WireForm:
    """How Razorpay writes amounts of a currency.

    Attributes:
        digits: Decimal digits that one unit on the wire stands for.
        step: The number on the wire is a multiple of it.
    """

    digits: int
    step: int


WIRE_FORMS: Final[Mapping[str, WireForm]] = MappingProxyType(
    dict.fromkeys(_TWO_DIGITS, WireForm(2, 1))
    | dict.fromkeys(_NO_DIGITS, WireForm(0, 1))
    | dict.fromkeys(_THREE_DIGITS_LAST_ZERO, WireForm(3, 10))
)


def to_wire(amount: Money) -> int:
    """Give the number that stands for ``amount`` in a request.

    Raises:
        GatewayError: Razorpay does not take the currency, or not so fine an amount.
    """
    form = WIRE_FORMS.get(amount.currency)
    if form is None:
        raise GatewayError(f"Razorpay does not take {amount.currency}.", code="currency-not-supported")
    finer: int = 10 ** (scale_of(amount.currency) - form.digits)
    number, lost = divmod(amount.units, finer)
    if lost or number % form.step:
        raise GatewayError(f"Razorpay takes no amount of {amount.currency} so fine.", code="amount-too-fine")
    return number


def from_wire(number: int, currency: str) -> Money:
    """Give the money that ``number`` stands for in a reply.

    Raises:
        GatewayError: The currency is none of Razorpay's.
    """
    form = WIRE_FORMS.get(currency)
    if form is None:
        raise unusable("currency is not known")
    return Money(number * 10 ** (scale_of(currency) - form.digits), currency)


def _limits(currency: str, form: WireForm) -> CurrencyLimits:
    step = from_wire(form.step, currency)
    least = _MINIMUMS.get(currency)
    return CurrencyLimits(
        minimum=Money.of(least, currency) if least else step,
        maximum=from_wire(MAX_INT - MAX_INT % form.step, currency),
        step=step,
    )


LIMITS: Final[Mapping[str, CurrencyLimits]] = MappingProxyType(
    {currency: _limits(currency, form) for currency, form in WIRE_FORMS.items()}
)
"""What Razorpay takes, by currency code."""
