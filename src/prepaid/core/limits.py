"""Limits of top-ups that an operator sets: what may be asked for, how much may wait, and how much may stand.

All are of the credit bought, one amount per currency; what is not named is not
limited. They are looked at when a top-up is started, never when it is settled:
captured money is credited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import field, fields, frozen

from .amounts import Amounts, of_currency, one_per_currency
from .errors import AmountOutOfRange, InvalidRequest
from .money import Money

LIMITS_SETTING: Final = "topup-limits"


def _amounts(value: object) -> Amounts:
    return one_per_currency(value, field="limits")


@frozen(kw_only=True)
class TopupLimits:
    """Limits of top-ups: each a `Money`, or one per currency.

    Attributes:
        minimum: Smallest amount of one top-up.
        maximum: Largest amount of one top-up.
        step: Amounts are whole multiples of it.
        maximum_balance: What balance and open top-ups may come to together.
        daily: What a customer may start in a day of the seller's zone; what
            ended unpaid does not count.
        pending: What may be open, per customer, at any time.
    """

    minimum: Amounts = field(default=(), converter=_amounts)
    maximum: Amounts = field(default=(), converter=_amounts)
    step: Amounts = field(default=(), converter=_amounts)
    maximum_balance: Amounts = field(default=(), converter=_amounts)
    daily: Amounts = field(default=(), converter=_amounts)
    pending: Amounts = field(default=(), converter=_amounts)

    def __attrs_post_init__(self) -> None:
        for least in self.minimum:
            most = of_currency(self.maximum, least.currency)
            if most is not None and most < least:
                raise InvalidRequest(f"The maximum in {least.currency} is below the minimum.", field="maximum")

    def of(self, currency: str) -> CurrencyTopupLimits:
        """Give the limits in one currency."""
        return CurrencyTopupLimits(
            **{
                attribute.name: of_currency(getattr(self, attribute.name), currency)
                for attribute in fields(TopupLimits)
            }
        )

    def currencies(self) -> set[str]:
        """Name the currencies that are limited."""
        return {amount.currency for attribute in fields(TopupLimits) for amount in getattr(self, attribute.name)}

    def record(self) -> dict[str, Any]:
        """Give the limits as plain values."""
        return {
            attribute.name: {amount.currency: str(amount.units) for amount in getattr(self, attribute.name)}
            for attribute in fields(TopupLimits)
        }


@frozen(kw_only=True)
class CurrencyTopupLimits:
    """The limits of `TopupLimits` in one currency; None where there is none."""

    minimum: Money | None
    maximum: Money | None
    step: Money | None
    maximum_balance: Money | None
    daily: Money | None
    pending: Money | None

    def check_amount(self, amount: Money) -> None:
        """Refuse an amount that no top-up may have.

        Raises:
            AmountOutOfRange: Below the minimum, above the maximum or off the step.
        """
        if self.minimum is not None and amount < self.minimum:
            raise out_of_range(f"The smallest top-up is {self.minimum}.", minimum=str(self.minimum))
        if self.maximum is not None and amount > self.maximum:
            raise out_of_range(f"The largest top-up is {self.maximum}.", maximum=str(self.maximum))
        if self.step is not None and amount.units % self.step.units:
            raise out_of_range(f"A top-up is a multiple of {self.step}.", step=str(self.step))

    def check_room(self, credit: Money, *, balance: Money, pending: Money, of_day: Money) -> None:
        """Refuse credit for which there is no room beside what stands, waits, or was started today.

        Raises:
            AmountOutOfRange: With the limit that is met.
        """
        for name, limit, taken, words in (
            ("pending", self.pending, pending, "may wait to be paid"),
            ("daily", self.daily, of_day, "may be added in a day"),
            ("maximum_balance", self.maximum_balance, balance + pending, "may stand on the balance"),
        ):
            if limit is not None and taken + credit > limit:
                raise out_of_range(f"No more than {limit} {words}.", **{name: str(limit)})


def out_of_range(message: str, **params: str) -> AmountOutOfRange:
    """Make the refusal of an amount."""
    return AmountOutOfRange(message, field="amount", **params)


def limits_from_record(record: Mapping[str, Any] | None) -> TopupLimits:
    """Undo `TopupLimits.record`; without a record nothing is limited."""
    known = record or {}
    return TopupLimits(
        **{
            attribute.name: [Money(int(units), code) for code, units in known.get(attribute.name, {}).items()]
            for attribute in fields(TopupLimits)
        }
    )
