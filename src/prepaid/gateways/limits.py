"""Whether a gateway takes an amount: asked before anything is sent, by what its capabilities say."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.errors import GatewayError
from ..core.money import Money
from ..ports import CurrencyLimits


def check_amount(amount: Money, limits: Mapping[str, CurrencyLimits]) -> None:
    """Refuse the total of a checkout that is not within the limits of its currency; nothing is rounded.

    >>> least, most = Money.of("1.00", "EUR"), Money.of("9.00", "EUR")
    >>> taken = {"EUR": CurrencyLimits(minimum=least, maximum=most, step=Money.of("0.01", "EUR"))}
    >>> check_amount(Money.of("9.00", "EUR"), taken)
    >>> check_amount(Money.of("9.01", "EUR"), taken)
    Traceback (most recent call last):
    prepaid.core.errors.GatewayError: This gateway takes from 1.00 EUR to 9.00 EUR at once.

    Raises:
        GatewayError: Of another currency, too fine, too little or too much;
            for good, and nothing was done.
    """
    taken = limits.get(amount.currency)
    if taken is None:
        raise GatewayError(f"This gateway does not take {amount.currency}.", code="currency-not-supported")
    if amount.units % taken.step.units:
        raise GatewayError(f"This gateway takes whole multiples of {taken.step}.", code="amount-too-fine")
    if not taken.minimum <= amount <= taken.maximum:
        raise GatewayError(
            f"This gateway takes from {taken.minimum} to {taken.maximum} at once.", code="amount-invalid"
        )
