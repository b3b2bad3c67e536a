"""What people type, read into values; what is wrong is said next to the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from prepaid import Address, Money, PromotionRefused, Quote, RequestRefused, TaxProfile
from wiring import CURRENCY

CHIPS = ("10.00", "25.00", "50.00", "100.00")
_WITH_COMMA = re.compile(r"([0-9]+),([0-9]{1,2})", re.ASCII)


def sentence(refusal: RequestRefused) -> str:
    """Give a refusal's words as a sentence."""
    return refusal.message[:1].upper() + refusal.message[1:]


def read_money(typed: str) -> Money:
    """Read an amount; ``50,00`` is as good as ``50.00``, but ``1,000`` could be either.

    Raises:
        InvalidAmount: It is none.
    """
    comma = _WITH_COMMA.fullmatch(typed)
    return Money.of(".".join(comma.groups()) if comma else typed, CURRENCY)


@frozen(kw_only=True)
class Order:
    """What stands in the add-funds form.

    Attributes:
        amount: As typed.
        gateway: Name of the gateway chosen, or empty.
        code: Promotion code as typed.
    """

    amount: str = ""
    gateway: str = ""
    code: str = ""

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Order:
        """Read what was sent; as long as a person types, no longer."""
        amount, gateway, code = (values.get(name, "").strip()[:64] for name in ("amount", "gateway", "code"))
        return cls(amount=amount, gateway=gateway, code=code)

    def money(self) -> Money:
        """Give the amount.

        Raises:
            InvalidAmount: It is none.
        """
        return read_money(self.amount)


@frozen(kw_only=True)
class Priced:
    """A summary to show, and what is wrong with the order.

    Attributes:
        quote: The summary, or None if there is nothing to price.
        errors: Messages by field.
    """

    quote: Quote | None = None
    errors: dict[str, str] = field(factory=dict)

    @property
    def payable(self) -> bool:
        """Tell whether the customer may go on to pay."""
        return self.quote is not None and not self.errors


def price(door: Any, order: Order) -> Priced:
    """Price an order; with a refused code, the order without it is shown, but cannot be paid."""
    if not order.amount:
        return Priced()
    try:
        amount = order.money()
        return Priced(quote=door.topups.quote(amount, gateway=order.gateway or None, code=order.code or None))
    except PromotionRefused as refused:
        without = price(door, Order(amount=order.amount, gateway=order.gateway))
        return Priced(quote=without.quote, errors={**without.errors, "code": sentence(refused)})
    except RequestRefused as refused:
        place = refused.field if refused.field in ("amount", "gateway", "country") else "amount"
        return Priced(errors={place: sentence(refused)})


PROFILE_FIELDS = ("kind", "name", "company", "tax_id", "line1", "line2", "postcode", "city", "country")


def profile_values(profile: TaxProfile | None) -> dict[str, str]:
    """Give a profile as the form shows it."""
    if profile is None:
        return {**dict.fromkeys(PROFILE_FIELDS, ""), "kind": "consumer"}
    return {name: getattr(profile if hasattr(profile, name) else profile.address, name) for name in PROFILE_FIELDS}


def read_profile(values: Mapping[str, str]) -> TaxProfile:
    """Read the tax profile form.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    sent = {name: values.get(name, "").strip() for name in PROFILE_FIELDS}
    address = Address(**{name: sent[name] for name in ("line1", "line2", "postcode", "city", "country")})
    return TaxProfile(
        kind=sent["kind"],  # type: ignore[arg-type]
        name=sent["name"],
        company=sent["company"],
        tax_id=sent["tax_id"],
        address=address,
    )
