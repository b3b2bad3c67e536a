"""The two sides of a sale: the seller, and the customer's tax profile."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final, Literal

from attrs import field, frozen

from .countries import check_subdivision, country_code, subdivision_code
from .errors import ConfigurationError, InvalidRequest, TaxProfileInvalid
from .ids import check_key, check_text
from .instants import is_timezone
from .money import check_currency
from .tax_ids import MAX_TAX_ID

CUSTOMER_KINDS: Final = ("consumer", "business")
PRICE_MODES: Final = ("exclusive", "inclusive")
ROUNDINGS: Final = ("half_up", "half_even", "down")
SCHEMES: Final = ("local", "oss", "non_union_oss", "small_business", "export")
EVIDENCE_KINDS: Final = ("billing", "ip", "card", "bank", "phone", "other")
MOST_FURTHER_TAX_IDS: Final = 4
OUTAGE_POLICIES: Final = ("charge", "accept_recent", "hold", "accept_format")

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


@frozen
class Address:
    """A postal address.

    Attributes:
        line1: Street and number.
        line2: Second line.
        city: Town.
        postcode: Postal code, as written by the customer.
        country: ISO 3166-1 alpha-2 code.
        subdivision: ISO 3166-2 code such as ``US-TX``, or empty.
    """

    line1: str = field(default="", repr=False)
    line2: str = field(default="", repr=False)
    city: str = field(default="", repr=False)
    postcode: str = field(default="", repr=False, kw_only=True)
    country: str = field(converter=country_code, kw_only=True)
    subdivision: str = field(default="", converter=subdivision_code, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name, longest in (("line1", 120), ("line2", 120), ("city", 80), ("postcode", 16)):
            check_text(getattr(self, name), field=name, longest=longest)
        check_subdivision(self.subdivision, country=self.country)

    def lines(self) -> tuple[str, ...]:
        """Give the address as lines to print, without empty ones."""
        town = " ".join(part for part in (self.postcode, self.city) if part)
        return tuple(line for line in (self.line1, self.line2, town, self.subdivision, self.country) if line)


@frozen(kw_only=True)
class Registration:
    """Where the seller is registered for tax, and as what.

    Attributes:
        country: ISO 3166-1 code of the country that registered them.
        scheme: ``"local"`` collects the tax of that country; ``"oss"`` (Union) and ``"non_union_oss"`` that of
            consumers in the EU; ``"small_business"`` collects none; ``"export"`` may export without tax, as with
            a letter of undertaking in India.
        number: Registration number, or empty.
        subdivision: ISO 3166-2 code if a state or province registered them, or empty.
        valid_from: First day, or None if it always was.
        valid_to: First day after, or None.

    Sources: Directive 2006/112/EC Art. 282 to 292 (small enterprises), 358a to 369k (OSS); CGST Rules r. 96A (LUT).
    """

    country: str = field(converter=country_code)
    scheme: Literal["local", "oss", "non_union_oss", "small_business", "export"] = "local"
    number: str = ""
    subdivision: str = field(default="", converter=subdivision_code)
    valid_from: date | None = None
    valid_to: date | None = None

    def __attrs_post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InvalidRequest(f"scheme is one of {SCHEMES}.", field="scheme")
        check_text(self.number, field="number", longest=MAX_TAX_ID)
        check_subdivision(self.subdivision, country=self.country)
        for name in ("valid_from", "valid_to"):
            if (day := getattr(self, name)) is not None and type(day) is not date:
                raise InvalidRequest(f"{name} is a date, or None.", field=name)
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise InvalidRequest("valid_to is after valid_from.", field="valid_to")

    def covers(self, day: date) -> bool:
        """Tell whether the registration is in force on ``day``."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)


@frozen
class Seller:
    """Who sells the credit: printed on invoices, and the frame of tax and days.

    Attributes:
        name: Legal name.
        address: Place of business.
        tax_ids: Tax identification numbers to print; the first VAT number of the EU says who asks its register.
        registrations: Where the seller is registered for tax.
        email: Address that customers may write to.
        phone: Telephone number to print, or empty.
        website: Address to print, or empty.
        timezone: IANA zone in which the seller's days begin.
        prices: ``"exclusive"`` adds tax to the amount typed, ``"inclusive"`` contains it.
        rounding: How tax, or with inclusive prices the net, is rounded to minor
            units: ``"half_up"``, ``"half_even"``, ``"down"``.
        tax_point: ``"at_topup"`` taxes credit when it is bought, and its use no more. ``"at_use"`` is refused until
            there are invoices of what was used.
        outage_policy: What a tax id is worth while its register does not answer: ``"charge"`` as if there were
            none, ``"accept_recent"`` if the register found it valid in the last 30 days, ``"hold"`` refuses the
            top-up until it answers, ``"accept_format"`` takes the right form for proof.
        evidence_required: How many agreeing pieces of evidence place a consumer, 1 or 2; fewer are a warning.
        fiscal_year_start: Month and day on which invoice numbers begin anew.
    """

    name: str
    address: Address
    tax_ids: tuple[str, ...] = ()
    registrations: tuple[Registration, ...] = field(default=(), kw_only=True)
    email: str = field(default="", kw_only=True)
    phone: str = field(default="", kw_only=True)
    website: str = field(default="", kw_only=True)
    timezone: str = field(default="UTC", kw_only=True)
    prices: Literal["exclusive", "inclusive"] = field(default="exclusive", kw_only=True)
    rounding: Literal["half_up", "half_even", "down"] = field(default="half_up", kw_only=True)
    tax_point: Literal["at_topup", "at_use"] = field(default="at_topup", kw_only=True)
    outage_policy: Literal["charge", "accept_recent", "hold", "accept_format"] = field(default="charge", kw_only=True)
    evidence_required: Literal[1, 2] = field(default=1, kw_only=True)
    fiscal_year_start: tuple[int, int] = field(default=(1, 1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_text(self.name, field="name", longest=120, empty=False)
        if not isinstance(self.address, Address):
            raise ConfigurationError("Seller.address is an Address.")
        if not isinstance(self.tax_ids, tuple):
            raise ConfigurationError("Seller.tax_ids is a tuple of numbers.")
        for tax_id in self.tax_ids:
            check_text(tax_id, field="tax_ids", longest=MAX_TAX_ID, empty=False)
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
        self._check_tax()
        if not _is_yearly_day(self.fiscal_year_start):
            raise ConfigurationError("Seller.fiscal_year_start is (month, day) with a day from 1 to 28.")
        if not is_timezone(self.timezone):
            raise ConfigurationError(f"Seller.timezone {self.timezone!r} is not an IANA time zone.")

    def _check_tax(self) -> None:
        if not isinstance(self.registrations, tuple) or not all(
            isinstance(registration, Registration) for registration in self.registrations
        ):
            raise ConfigurationError("Seller.registrations is a tuple of Registration.")
        if self.tax_point == "at_use":
            raise ConfigurationError(
                "Seller.tax_point 'at_use' needs invoices of what was used, which do not exist yet: use 'at_topup'."
            )
        if self.tax_point != "at_topup":
            raise ConfigurationError("Seller.tax_point is 'at_topup'.")
        if self.outage_policy not in OUTAGE_POLICIES:
            raise ConfigurationError(f"Seller.outage_policy is one of {OUTAGE_POLICIES}.")
        required: object = self.evidence_required
        if type(required) is not int or required not in (1, 2):
            raise ConfigurationError("Seller.evidence_required is 1 or 2.")


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
        tax_id: Tax identification number as typed: the one that decides the tax.
        further_tax_ids: Other numbers to print.
    """

    kind: Literal["consumer", "business"] = "consumer"
    address: Address
    name: str = field(default="", repr=False)
    company: str = field(default="", repr=False)
    tax_id: str = field(default="", repr=False)
    further_tax_ids: tuple[str, ...] = field(default=(), repr=False)

    def __attrs_post_init__(self) -> None:
        if self.kind not in CUSTOMER_KINDS:
            raise TaxProfileInvalid(f"kind is one of {CUSTOMER_KINDS}.", field="kind")
        if not isinstance(self.address, Address):
            raise TaxProfileInvalid("address is an Address.", field="address")
        for name, longest in (("name", 120), ("company", 120), ("tax_id", MAX_TAX_ID)):
            check_text(getattr(self, name), field=name, longest=longest)
        if not isinstance(self.further_tax_ids, tuple) or len(self.further_tax_ids) > MOST_FURTHER_TAX_IDS:
            raise TaxProfileInvalid(
                f"further_tax_ids is a tuple of at most {MOST_FURTHER_TAX_IDS} numbers.", field="further_tax_ids"
            )
        for number in self.further_tax_ids:
            check_text(number, field="further_tax_ids", longest=MAX_TAX_ID, empty=False)
        if self.kind == "business" and not self.company.strip():
            raise TaxProfileInvalid("A business gives its company name.", field="company")


@frozen(kw_only=True)
class Evidence:
    """Something that tells where a customer is, as the host learned it; never taken from a form.

    Attributes:
        kind: ``"billing"``, ``"ip"``, ``"card"``, ``"bank"``, ``"phone"`` or ``"other"``.
        country: ISO 3166-1 code that it points to.
        reference: What it is, such as the address of a network or the first digits of a card; never a whole number.

    Sources: Implementing Regulation (EU) 282/2011 Art. 24b and 24f.
    """

    kind: Literal["billing", "ip", "card", "bank", "phone", "other"]
    country: str = field(converter=country_code)
    reference: str = field(default="", repr=False)

    def __attrs_post_init__(self) -> None:
        if self.kind not in EVIDENCE_KINDS:
            raise InvalidRequest(f"kind is one of {EVIDENCE_KINDS}.", field="kind")
        check_text(self.reference, field="reference", longest=120)


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
