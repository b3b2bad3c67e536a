"""Amounts given as one Money, or as one Money per currency."""

from __future__ import annotations

from .errors import InvalidRequest
from .money import Money, require_whole_minor

Amounts = tuple[Money, ...]


def one_per_currency(value: object, *, field: str, zero: bool = False) -> Amounts:
    """Read what may be one Money, several of different currencies, or None for none.

    Raises:
        InvalidRequest: Anything else, a currency twice, or less than zero where ``zero`` may be.
        InvalidAmount: An amount is not above zero where it has to be, or not in whole minor units.
    """
    listed = [value] if isinstance(value, Money) else value or ()
    if not isinstance(listed, (list, tuple)) or not all(isinstance(amount, Money) for amount in listed):
        raise InvalidRequest(f"{field} is a Money, or one Money per currency.", field=field)
    if zero and any(amount.units < 0 for amount in listed):
        raise InvalidRequest(f"{field} is not below zero.", field=field)
    amounts: Amounts = tuple(
        amount if zero and not amount else require_whole_minor(amount, field=field) for amount in listed
    )
    if len({amount.currency for amount in amounts}) != len(amounts):
        raise InvalidRequest(f"{field} names a currency twice.", field=field)
    # In one order: what is kept of them, and read back, is the same value.
    return tuple(sorted(amounts, key=lambda amount: amount.currency))


def of_currency(amounts: Amounts, currency: str) -> Money | None:
    """Give the amount in a currency, or None."""
    return next((amount for amount in amounts if amount.currency == currency), None)


def currencies_of(amounts: Amounts) -> frozenset[str]:
    """Name the currencies of amounts."""
    return frozenset(amount.currency for amount in amounts)
