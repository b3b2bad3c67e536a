"""The two sides of a sale: the seller, and the customer's tax profile."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import field, frozen

from .errors import ConfigurationError, InvalidRequest, TaxProfileInvalid
from .ids import check_key, check_text
from .money import check_currency

CUSTOMER_KINDS: Final = ("consumer", "business")
PRICE_MODES: Final = ("exclusive", "inclusive")
ROUNDINGS: Final = ("half_up", "half_even", "down")

_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)
# Narrower than the standard: no quotes, comments or routes, which mail servers read in different ways.
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?")


def check_email(value: object, *, field: str = "email") -> str:
    """Return one plain mail address.

    Raises:
        InvalidRequest: Not a single ASCII ``name@host`` of at most 254 characters.
    """
    if not isinstance(value, str) or len(value) > 254 or not _EMAIL.fullmatch(value):
        raise InvalidRequest(f"{field} is one mail address such as ada@example.com.", field=field)
    return value


def check_country(value: object, *, field: str = "country") -> str:
    """Return an upper-case ISO 3166-1 alpha-2 code.

    Raises:
        InvalidRequest: Another form.
    """
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        raise InvalidRequest(f"{field} is a two-letter country code such as 'DE'.", field=field)
    return value


@frozen
class Address:
    """A postal address.

    Attributes:
        line1: Street and number.
        line2: Second line.
        city: Town.
        postcode: Postal code, as written by the customer.
        subdivision: ISO 3166-2 code such as ``US-TX``, or empty.
        country: ISO 3166-1 alpha-2 code.
    """

    line1: str = field(default="", repr=False)
    line2: str = field(default="", repr=False)
    city: str = field(default="", repr=False)
    postcode: str = field(default="", repr=False, kw_only=True)
    subdivision: str = field(default="", kw_only=True)
    country: str = field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name, longest in (("line1", 120), ("line2", 120), ("city", 80), ("postcode", 16), ("subdivision", 6)):
            check_text(getattr(self, name), field=name, longest=longest)
        check_country(self.country)
        if self.subdivision and (
            not _SUBDIVISION.fullmatch(self.subdivision) or not self.subdivision.startswith(f"{self.country}-")
        ):
            raise InvalidRequest(
                "subdivision is an ISO 3166-2 code of the country, such as 'US-TX'.", field="subdivision"
            )

    def lines(self) -> tuple[str, ...]:
        """Give the address as lines to print, without empty ones."""
        town = " ".join(part for part in (self.postcode, self.city) if part)
        return tuple(line for line in (self.line1, self.line2, town, self.subdivision, self.country) if line)


@frozen
class Seller:
    """Who sells the credit: printed on invoices, and the frame of tax and days.

    Attributes:
        name: Legal name.
        address: Place of business.
        tax_ids: Tax identification numbers to print.
        email: Address that customers may write to.
        phone: Telephone number to print, or empty.
        website: Address to print, or empty.
        timezone: IANA zone in which the seller's days begin.
        prices: ``"exclusive"`` adds tax to the amount typed, ``"inclusive"`` contains it.
        rounding: How tax, or with inclusive prices the net, is rounded to minor
            units: ``"half_up"``, ``"half_even"``, ``"down"``.
        fiscal_year_start: Month and day on which invoice numbers begin anew.
    """

    name: str
    address: Address
    tax_ids: tuple[str, ...] = ()
    email: str = field(default="", kw_only=True)
    phone: str = field(default="", kw_only=True)
    website: str = field(default="", kw_only=True)
    timezone: str = field(default="UTC", kw_only=True)
    prices: Literal["exclusive", "inclusive"] = field(default="exclusive", kw_only=True)
    rounding: Literal["half_up", "half_even", "down"] = field(default="half_up", kw_only=True)
    fiscal_year_start: tuple[int, int] = field(default=(1, 1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_text(self.name, field="name", longest=120, empty=False)
        if not isinstance(self.address, Address):
            raise ConfigurationError("Seller.address is an Address.")
        if not isinstance(self.tax_ids, tuple):
            raise ConfigurationError("Seller.tax_ids is a tuple of numbers.")
        for tax_id in self.tax_ids:
            check_text(tax_id, field="tax_ids", longest=40, empty=False)
        for name, longest in (("phone", 40), ("website", 120)):
            check_text(getattr(self, name), field=name, longest=longest)
        if self.email != "":
            check_email(self.email)
        self._check_frame()

    def _check_frame(self) -> None:
        if self.prices not in PRICE_MODES:
            raise ConfigurationError(f"Seller.prices is one of {PRICE_MODES}.")
        if self.rounding not in ROUNDINGS:
            raise ConfigurationError(f"Seller.rounding is one of {ROUNDINGS}.")
        if not _is_yearly_day(self.fiscal_year_start):
            raise ConfigurationError("Seller.fiscal_year_start is (month, day) with a day from 1 to 28.")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise ConfigurationError(f"Seller.timezone {self.timezone!r} is not an IANA time zone.") from None


def _is_yearly_day(value: object) -> bool:
    match value:
        case (int(month), int(day)) if isinstance(value, tuple):
            return 1 <= month <= 12 and 1 <= day <= 28
    return False


@frozen(kw_only=True)
class TaxProfile:
    """What a customer says about their tax situation.

    Attributes:
        kind: ``"consumer"`` or ``"business"``.
        address: Where the customer is established or lives.
        name: A person's name for the invoice.
        company: Legal name of a business.
        tax_id: Tax identification number as typed; printed, not yet verified.
    """

    kind: Literal["consumer", "business"] = "consumer"
    address: Address
    name: str = field(default="", repr=False)
    company: str = field(default="", repr=False)
    tax_id: str = field(default="", repr=False)

    def __attrs_post_init__(self) -> None:
        if self.kind not in CUSTOMER_KINDS:
            raise TaxProfileInvalid(f"kind is one of {CUSTOMER_KINDS}.", field="kind")
        if not isinstance(self.address, Address):
            raise TaxProfileInvalid("address is an Address.", field="address")
        for name, longest in (("name", 120), ("company", 120), ("tax_id", 40)):
            check_text(getattr(self, name), field=name, longest=longest)
        if self.kind == "business" and not self.company.strip():
            raise TaxProfileInvalid("A business gives its company name.", field="company")


@frozen(kw_only=True)
class Customer:
    """A customer as the host registered them.

    Attributes:
        id: The host's own id, never interpreted.
        email: Where invoices go, or empty.
        name: Name for invoices, or empty.
        currency: Currency used where none is given.
        locale: Language of documents and mail, such as ``"en"`` or ``"de_DE"``.
        groups: Names of groups the host sorts customers into.
    """

    id: str
    email: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    currency: str
    locale: str = "en"
    groups: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_key(self.id, field="customer")
        check_text(self.name, field="name", longest=120)
        check_text(self.locale, field="locale", longest=16, empty=False)
        check_currency(self.currency)
        if self.email != "":
            check_email(self.email)
        for group in self.groups:
            check_text(group, field="groups", longest=64, empty=False)


def address_record(address: Address) -> dict[str, Any]:
    """Give an address as plain values for a frozen document."""
    return {name: getattr(address, name) for name in ("line1", "line2", "city", "postcode", "subdivision", "country")}
