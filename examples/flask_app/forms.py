"""What people type, read into values; what is wrong is said next to the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from attrs import field, frozen

from display import clock
from prepaid import (
    Address,
    InvalidRequest,
    Money,
    PromotionRefused,
    Quote,
    RequestRefused,
    TaxComponent,
    TaxProfile,
    TaxRule,
    TooManyAttempts,
)
from wiring import CURRENCY, TAXED_WHERE

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 30)
DAY = timedelta(days=1)
SPAN_FIELDS = ("since", "until")
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
        unknown: The code is not known; to ask again counts as another try.
    """

    quote: Quote | None = None
    errors: dict[str, str] = field(factory=dict)
    unknown: bool = False

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
    except (PromotionRefused, TooManyAttempts) as refused:
        return without_code(door, order, refused)
    except RequestRefused as refused:
        place = refused.field if refused.field in ("amount", "gateway", "country") else "amount"
        return Priced(errors={place: sentence(refused)})


def without_code(door: Any, order: Order, refused: RequestRefused) -> Priced:
    """Price an order without its code, which was refused."""
    without = price(door, Order(amount=order.amount, gateway=order.gateway))
    unknown = isinstance(refused, PromotionRefused) and refused.reason == "unknown"
    return Priced(quote=without.quote, errors={**without.errors, "code": said_of_code(refused)}, unknown=unknown)


def said_of_code(refused: RequestRefused) -> str:
    """Say why a code is refused; of one too many, until when."""
    until = refused.params.get("retry_at") if isinstance(refused, TooManyAttempts) else None
    return sentence(refused) if until is None else f"Too many codes were tried. Try again after {clock(until)}."


def typed(values: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Give what was sent under some names, without blanks around it."""
    return {name: values.get(name, "").strip() for name in names}


PROFILE_FIELDS = ("kind", "name", "company", "tax_id", "line1", "line2", "postcode", "city", "subdivision", "country")


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
    sent = typed(values, PROFILE_FIELDS)
    sent["subdivision"] = sent["subdivision"].upper()
    address = Address(**{name: sent[name] for name in ("line1", "line2", "postcode", "city", "subdivision", "country")})
    return TaxProfile(
        kind=sent["kind"],  # type: ignore[arg-type]
        name=sent["name"],
        company=sent["company"],
        tax_id=sent["tax_id"],
        address=address,
    )


def read_day(written: str, *, field: str) -> date:
    """Read a day as date fields send it.

    Raises:
        InvalidRequest: It is none, or out of any use.
    """
    try:
        day = date.fromisoformat(written)
    except ValueError:
        raise InvalidRequest("Give a day such as 2027-01-01.", field=field) from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidRequest("Give a day of this time.", field=field)
    return day


def read_span(sent: Mapping[str, str]) -> tuple[date, date]:
    """Read the first and the last day of a span; the library asks for the day after the last.

    Raises:
        InvalidRequest: They are none, or in the wrong order.
    """
    since, until = (read_day(sent[name], field=name) for name in SPAN_FIELDS)
    if until < since:
        raise InvalidRequest("The last day is not before the first.", field="until")
    return since, until


RULE_FIELDS = ("country", "name", "percent", "valid_from", "source")


def read_rule(sent: Mapping[str, str]) -> TaxRule:
    """Read the form of a simple rule: one tax, for everybody in a country where the seller is registered.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    if not sent["name"]:
        raise InvalidRequest("Give the name that invoices print.", field="name")
    try:
        component = TaxComponent(sent["name"], sent["percent"])  # type: ignore[arg-type]
    except InvalidRequest as refused:
        raise InvalidRequest(refused.message, field="percent" if refused.field == "percent" else "name") from None
    return TaxRule(
        sent["country"],
        (component,),
        requires_registration=TAXED_WHERE,
        valid_from=read_day(sent["valid_from"], field="valid_from"),
        source=sent["source"],
    )


TRIAL_FIELDS = ("country", "postcode", "kind", "tax_id", "state", "amount", "day")


def read_trial(sent: Mapping[str, str]) -> tuple[TaxProfile, Money, date]:
    """Read the try-out: a customer, what they would buy, and when.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    profile = TaxProfile(
        kind=sent["kind"],  # type: ignore[arg-type]
        company="Somebody" if sent["kind"] == "business" else "",
        tax_id=sent["tax_id"],
        address=Address(country=sent["country"], postcode=sent["postcode"]),
    )
    return profile, read_money(sent["amount"]), read_day(sent["day"], field="day")
