"""What a promotion gives, and to whom: a rule as its operator wrote it.

Bonus and discount are of the credit bought, floored to minor units and never
above a cap. Amounts are never converted: a promotion that names amounts in some
currencies is for top-ups in those alone.

>>> half = Bonus(Percent("12.5"), cap=Money.of("25.00", "EUR"))
>>> half.of(Money.of("99.99", "EUR"), typed=Money.of("99.99", "EUR"))
Money.of('12.49', 'EUR')
>>> half.of(Money.of("500.00", "EUR"), typed=Money.of("500.00", "EUR"))
Money.of('25.00', 'EUR')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from attrs import field, frozen

from .amounts import Amounts, currencies_of, of_currency, one_per_currency
from .codes import code_identity
from .countries import country_code
from .errors import InvalidRequest
from .grants import check_priority
from .ids import check_key, check_text
from .instants import check_instant, check_timezone, day_start
from .money import EXACT, Money, check_currency, minor_unit, parse_decimal

MOST_BONUS_PERCENT: Final = 1000
MOST_DISCOUNT_PERCENT: Final = 100
MOST_USES: Final = 1_000_000_000
MOST_TIERS: Final = 20
MOST_NAMED: Final = 1000
"""Customers, groups, countries, gateways or currencies that a promotion may name."""

_PARTS: Final = 10_000
"""Of one percent: the finest percentage is one of them."""


def _percentage(value: object) -> Decimal:
    percent = parse_decimal(value, field="percent")
    if not 0 < percent <= MOST_BONUS_PERCENT or EXACT.multiply(percent, Decimal(_PARTS)) % 1:
        raise InvalidRequest(
            f"percent is above 0 and at most {MOST_BONUS_PERCENT}, with at most 4 decimal digits.", field="percent"
        )
    return percent


@frozen
class Percent:
    """A part of the credit bought, in percent."""

    percent: Decimal = field(converter=_percentage)

    def of(self, credit: Money) -> Money:
        """Give that part, floored to minor units."""
        unit, parts = minor_unit(credit.currency), int(self.percent * _PARTS)
        return Money(credit.units * parts // (100 * _PARTS * unit) * unit, credit.currency)

    def currencies(self) -> frozenset[str] | None:
        """Name the currencies it is for; None for any."""
        return None


@frozen(init=False)
class Fixed:
    """The same amount whatever is bought: one per currency, and for top-ups in those alone."""

    amounts: Amounts

    def __init__(self, *amounts: Money) -> None:
        """Name the amounts.

        Raises:
            InvalidRequest: None, or a currency twice.
            InvalidAmount: Not above zero, or not in whole minor units.
        """
        if not amounts:
            raise InvalidRequest("fixed names one amount per currency.", field="fixed")
        self.__attrs_init__(one_per_currency(amounts, field="fixed"))

    def of(self, credit: Money) -> Money:
        """Give the amount in the currency of the credit; zero if there is none."""
        return of_currency(self.amounts, credit.currency) or Money.zero(credit.currency)

    def currencies(self) -> frozenset[str] | None:
        """Name the currencies it is for."""
        return currencies_of(self.amounts)


@frozen(init=False)
class Tiers:
    """More for larger top-ups: each step from an amount on, as the customer types it; nothing below the first."""

    steps: tuple[tuple[Amounts, Percent | Fixed], ...]

    def __init__(self, *steps: tuple[Money | Sequence[Money], Percent | Fixed]) -> None:
        """Name the steps, the smallest first.

        Raises:
            InvalidRequest: None, too many, of another kind, not rising, or not in the same currencies.
            InvalidAmount: An amount that is not above zero, or not in whole minor units.
        """
        if not 1 <= len(steps) <= MOST_TIERS:
            raise InvalidRequest(f"tiers are 1 to {MOST_TIERS} steps.", field="tiers")
        self.__attrs_init__(tuple(_step(step) for step in steps))
        for (lower, _), (upper, _) in zip(self.steps, self.steps[1:], strict=False):
            rising = all(amount > (of_currency(lower, amount.currency) or amount) for amount in upper)
            if currencies_of(lower) != currencies_of(upper) or not rising:
                raise InvalidRequest("Each tier begins above the one before, in the same currencies.", field="tiers")

    def of(self, credit: Money, *, typed: Money) -> Money:
        """Give what the highest step that is reached gives."""
        reached = [value for start, value in self.steps if (of_currency(start, typed.currency) or typed) <= typed]
        return reached[-1].of(credit) if reached else Money.zero(credit.currency)

    def begins_at(self, currency: str) -> Money | None:
        """Give the smallest amount for which there is anything."""
        return of_currency(self.steps[0][0], currency)

    def currencies(self) -> frozenset[str] | None:
        """Name the currencies it is for."""
        return _common(currencies_of(self.steps[0][0]), *(value.currencies() for _, value in self.steps))


def _step(step: object) -> tuple[Amounts, Percent | Fixed]:
    if not isinstance(step, tuple) or len(step) != 2 or not isinstance(step[1], (Percent, Fixed)):
        raise InvalidRequest("A tier is a pair of where it begins and a Percent or Fixed.", field="tiers")
    start = one_per_currency(step[0], field="tiers")
    if not start:
        raise InvalidRequest("A tier says from which amount it begins.", field="tiers")
    return start, step[1]


def _common(*sets: frozenset[str] | None) -> frozenset[str] | None:
    """Give the currencies that all of several sets have; None stands for any."""
    known = [each for each in sets if each is not None]
    return frozenset.intersection(*known) if known else None


def _cap(value: Money | Sequence[Money] | None) -> Amounts:
    return one_per_currency(value, field="cap")


@frozen
class _Effect:
    """What a promotion gives: a part of the credit or an amount, up to a cap."""

    value: Percent | Fixed | Tiers = field()
    cap: Amounts = field(default=(), converter=_cap, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.value, (Percent, Fixed, Tiers)):
            raise InvalidRequest("effect is of a Percent, Fixed or Tiers.", field="effect")
        if self.cap and isinstance(self.value, Fixed):
            raise InvalidRequest("A cap limits a percentage; a fixed amount is as high as it is.", field="cap")

    def of(self, credit: Money, *, typed: Money) -> Money:
        """Give what it comes to for credit bought by an amount that was typed."""
        value = self.value
        found = value.of(credit, typed=typed) if isinstance(value, Tiers) else value.of(credit)
        cap = of_currency(self.cap, credit.currency)
        return found if cap is None else min(found, cap)

    def begins_at(self, currency: str) -> Money | None:
        """Give the smallest amount typed for which there is anything, if tiers say so."""
        return self.value.begins_at(currency) if isinstance(self.value, Tiers) else None

    def currencies(self) -> frozenset[str] | None:
        """Name the currencies it is for; None for any."""
        return _common(self.value.currencies(), currencies_of(self.cap) if self.cap else None)


@frozen
class Bonus(_Effect):
    """Promotional credit on top of what is bought."""


@frozen
class Discount(_Effect):
    """Taken off the price, before tax; the credit is the same."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        values = [value for _, value in self.value.steps] if isinstance(self.value, Tiers) else [self.value]
        if any(isinstance(value, Percent) and value.percent > MOST_DISCOUNT_PERCENT for value in values):
            raise InvalidRequest(f"A discount is at most {MOST_DISCOUNT_PERCENT} percent.", field="percent")


Effect = Bonus | Discount | tuple[Bonus, Discount]


def _effect(value: object) -> Effect:
    parts = value if isinstance(value, (tuple, list)) else (value,)
    kinds = sorted(type(part).__name__ for part in parts)
    if kinds not in (["Bonus"], ["Discount"], ["Bonus", "Discount"]):
        raise InvalidRequest("effect is a Bonus, a Discount, or one of each.", field="effect")
    ordered = sorted(parts, key=lambda part: type(part).__name__)
    return ordered[0] if len(ordered) == 1 else (ordered[0], ordered[1])


def _minimum(value: Money | Sequence[Money] | None) -> Amounts:
    return one_per_currency(value, field="minimum")


def _maximum(value: Money | Sequence[Money] | None) -> Amounts:
    return one_per_currency(value, field="maximum")


def _names(value: Iterable[str] | None, field: str, check: Callable[..., str]) -> tuple[str, ...]:
    listed = () if value is None else value
    if not isinstance(listed, (list, tuple, set, frozenset)) or len(listed) > MOST_NAMED:
        raise InvalidRequest(f"{field} is a tuple of at most {MOST_NAMED} names.", field=field)
    return tuple(sorted({check(each, field=field) for each in listed}))


def _currencies(value: Iterable[str] | None) -> tuple[str, ...]:
    return _names(value, "currencies", check_currency)


def _countries(value: Iterable[str] | None) -> tuple[str, ...]:
    return _names(value, "countries", country_code)


def _gateways(value: Iterable[str] | None) -> tuple[str, ...]:
    return _names(value, "gateways", check_key)


def _customers(value: Iterable[str] | None) -> tuple[str, ...]:
    return _names(value, "customers", check_key)


def _groups(value: Iterable[str] | None) -> tuple[str, ...]:
    return _names(value, "groups", lambda group, *, field: check_text(group, field=field, longest=191, empty=False))


def _window_end(value: date | datetime | None, timezone: str, *, field: str) -> datetime | None:
    """Give the instant that a day, which begins in its zone, or an instant stands for."""
    if value is None:
        return None
    if type(value) is not date:
        instant = check_instant(value, field=field)
        if not 1970 <= instant.year <= 9000:
            raise InvalidRequest(f"{field} is an instant from 1970 on.", field=field)
        return instant
    if not 1970 <= value.year <= 9000:
        raise InvalidRequest(f"{field} is a day from 1970 on.", field=field)
    return day_start(value, timezone)


def _count(name: str) -> Any:
    def check(_: object, __: object, value: int | None) -> None:
        if value is not None and (type(value) is not int or not 1 <= value <= MOST_USES):
            raise InvalidRequest(f"{name} is a whole number from 1 to {MOST_USES}, or None.", field=name)

    return check


def _span(name: str) -> Any:
    def check(_: object, __: object, value: timedelta | None) -> None:
        if value is not None and (
            not isinstance(value, timedelta)
            or not timedelta(minutes=1) <= value <= timedelta(days=36_500)
            or value % timedelta(seconds=1)
        ):
            raise InvalidRequest(
                f"{name} is a timedelta of whole seconds, from a minute to 100 years, or None.", field=name
            )

    return check


def _written_code(value: object) -> str:
    code_identity(value)
    # Customers may paste what they like around a code; an operator writes it as it is.
    if not str(value).isprintable():
        raise InvalidRequest("code has no control or invisible characters.", field="code")
    return str(value).strip()


@frozen
class Promotion:
    """A promotion: its code, what it gives, and the limits within which it does. One code per top-up.

    Attributes:
        code: What customers type; see `prepaid.core.codes`.
        effect: A `Bonus`, a `Discount`, or the pair.
        timezone: IANA zone of days, and of what customers read; UTC by default.
        valid_from: First instant, or first day in its zone; at once if None.
        valid_until: First instant, or day, after; without end if None.
        uses_total: How often in all; without limit if None.
        uses_per_customer: How often per customer, refunded top-ups counted; without limit if None.
        first_topup_only: Only for the first top-up that a customer pays.
        minimum: Smallest amount typed, one per currency.
        maximum: Largest amount typed, one per currency.
        currencies: Currencies; all if empty.
        countries: Countries of the tax profile; all if empty.
        gateways: Names of gateways; all if empty.
        customers: Host's ids of the only customers who may know of it.
        groups: Groups whose customers alone may know of it.
        customer_age: Only for customers who joined the host less than this ago.
        budget: What bonus and discount may come to in all, in its currency alone.
        bonus_expires_after: How long the bonus lasts from the moment it is credited; without end if None.
        bonus_priority: Burn priority of the bonus; that of its kind if None.
    """

    code: str = field(converter=_written_code)
    effect: Effect = field(converter=_effect)
    timezone: str = field(default="UTC", converter=check_timezone, kw_only=True)
    valid_from: date | datetime | None = field(default=None, kw_only=True)
    valid_until: date | datetime | None = field(default=None, kw_only=True)
    uses_total: int | None = field(default=None, validator=_count("uses_total"), kw_only=True)
    uses_per_customer: int | None = field(default=None, validator=_count("uses_per_customer"), kw_only=True)
    first_topup_only: bool = field(default=False, kw_only=True)
    minimum: Amounts = field(default=(), converter=_minimum, kw_only=True)
    maximum: Amounts = field(default=(), converter=_maximum, kw_only=True)
    currencies: tuple[str, ...] = field(default=(), converter=_currencies, kw_only=True)
    countries: tuple[str, ...] = field(default=(), converter=_countries, kw_only=True)
    gateways: tuple[str, ...] = field(default=(), converter=_gateways, kw_only=True)
    customers: tuple[str, ...] = field(default=(), converter=_customers, kw_only=True, repr=False)
    groups: tuple[str, ...] = field(default=(), converter=_groups, kw_only=True)
    customer_age: timedelta | None = field(default=None, validator=_span("customer_age"), kw_only=True)
    budget: Money | None = field(default=None, kw_only=True)
    bonus_expires_after: timedelta | None = field(default=None, validator=_span("bonus_expires_after"), kw_only=True)
    bonus_priority: int | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if type(self.first_topup_only) is not bool:
            raise InvalidRequest("first_topup_only is True or False.", field="first_topup_only")
        begins, ends = self.begins_at, self.ends_at
        if begins is not None and ends is not None and ends <= begins:
            raise InvalidRequest("valid_until is after valid_from; the window is empty.", field="valid_until")
        self._check_bonus()
        self._check_currencies()

    def _check_bonus(self) -> None:
        for name in ("bonus_expires_after", "bonus_priority"):
            if getattr(self, name) is not None and self.bonus is None:
                raise InvalidRequest(f"{name} is of a promotion that gives a bonus.", field=name)
        if self.bonus_priority is not None:
            check_priority(self.bonus_priority, field="bonus_priority")

    def _check_currencies(self) -> None:
        if self.budget is not None:
            one_per_currency((self.budget,), field="budget")
        for least in self.minimum:
            most = of_currency(self.maximum, least.currency)
            if most is not None and most < least:
                raise InvalidRequest(f"The maximum in {least.currency} is below the minimum.", field="maximum")
        left: frozenset[str] | None = None
        # In this order, so that the field that is named is the one that fits nothing before it.
        for name, currencies in self.currency_sets():
            left = _common(left, currencies)
            if left is not None and not left:
                raise InvalidRequest(f"{name} is in no currency that the promotion is for.", field=name)

    def currency_sets(self) -> Iterable[tuple[str, frozenset[str] | None]]:
        """Give the fields that name currencies, with those; None where one is for any."""
        yield "currencies", frozenset(self.currencies) if self.currencies else None
        for effect in self.effects:
            yield "effect", effect.currencies()
        for name in ("minimum", "maximum"):
            amounts = getattr(self, name)
            yield name, currencies_of(amounts) if amounts else None
        yield "budget", None if self.budget is None else frozenset((self.budget.currency,))

    @property
    def begins_at(self) -> datetime | None:
        """The first instant at which it can be used, or None."""
        return _window_end(self.valid_from, self.timezone, field="valid_from")

    @property
    def ends_at(self) -> datetime | None:
        """The first instant at which it can be used no more, or None."""
        return _window_end(self.valid_until, self.timezone, field="valid_until")

    @property
    def identity(self) -> str:
        """The one form of its code, however it is typed."""
        return code_identity(self.code)

    @property
    def effects(self) -> tuple[Bonus | Discount, ...]:
        """What it gives, in parts."""
        return self.effect if isinstance(self.effect, tuple) else (self.effect,)

    @property
    def bonus(self) -> Bonus | None:
        """The bonus it gives, or None."""
        return next((effect for effect in self.effects if isinstance(effect, Bonus)), None)

    @property
    def is_public(self) -> bool:
        """Anybody may know that it exists."""
        return not self.customers and not self.groups

    def is_for(self, customer: str, groups: Iterable[str]) -> bool:
        """Tell whether a customer may know of it."""
        return self.is_public or customer in self.customers or bool(set(self.groups) & set(groups))

    def takes(self, currency: str) -> bool:
        """Tell whether it is for top-ups in a currency."""
        return all(currencies is None or currency in currencies for _, currencies in self.currency_sets())

    def smallest(self, currency: str) -> Money | None:
        """Give the smallest amount it is for, by its minimum or where its tiers begin."""
        starts = [of_currency(self.minimum, currency), *(effect.begins_at(currency) for effect in self.effects)]
        return max((start for start in starts if start is not None), default=None)
