"""Tax rules as values: what is taxed how, where, between which days, and who says so.

Rules are data that an operator keeps; no rate stands in the code. What a rule
leaves open matches everything; `prepaid.tax.rules` says which of several rules
is the nearest.

>>> from datetime import date
>>> rule = TaxRule("FR", (("TVA", "20"),), valid_from=date(2014, 1, 1), source="CGI art. 278")
>>> rule.category, rule.jurisdiction_for("FR")
('S', 'FR')

Sources: EN 16931-1 (VAT category codes, BT-118; exemption reasons, BT-120 and BT-121); CEF VATEX code list;
Directive 2006/112/EC Art. 226(11a) (the words *Reverse charge*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from attrs import Factory, field, frozen

from .countries import check_subdivision, country_code, subdivision_code
from .errors import InvalidRequest
from .ids import check_text
from .money import EXACT, parse_decimal
from .parties import SCHEMES
from .postcodes import PostcodePattern

Treatment = Literal["standard", "zero", "exempt", "reverse_charge", "out_of_scope", "not_collecting"]
CustomerMatch = Literal["any", "consumer", "business"]
TaxIdMatch = Literal["any", "valid", "not_valid"]
SellerMatch = Literal["any", "same_country", "other_country", "same_subdivision", "other_subdivision"]

EVERYWHERE: Final = "*"
"""In place of a country: all of them."""

EU: Final = "EU"
"""In place of a country: where the law of the European Union on VAT applies."""

CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "standard": ("S", "L", "M"),
    "zero": ("Z", "G", "K"),
    "exempt": ("E",),
    "reverse_charge": ("AE",),
    "out_of_scope": ("O", "G"),
    "not_collecting": ("O",),
}
"""EN 16931 category codes that a treatment may have; the first is taken if none is given."""

_REASONS: Final = {
    "reverse_charge": "VATEX-EU-AE",
    "out_of_scope": "VATEX-EU-O",
    "not_collecting": "not-collecting",
}
_NOTES: Final = {"reverse_charge": "Reverse charge"}
_CATEGORY: Final = {treatment: codes[0] for treatment, codes in CATEGORIES.items()}

REQUIREMENTS: Final = (*SCHEMES, "state")
"""What a rule may require: a scheme, or a local registration with the customer's own state or province."""

MOST_COMPONENTS: Final = 8
MOST_PERCENT: Final = 100
MAX_NAME: Final = 120
"""Characters of the name of a tax, at most."""

MOST_PRIORITY: Final = 1000

_FINEST_PERCENT: Final = Decimal("0.0001")
_REASON: Final = re.compile(r"[A-Za-z0-9-]{1,40}", re.ASCII)
_JURISDICTION: Final = re.compile(r"(?:[A-Z]{2}-[A-Z0-9]{1,8})?", re.ASCII)
_TERRITORY: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,8})?", re.ASCII)
_DAYS: Final = (date(1970, 1, 1), date(9000, 1, 1))


def tax_percent(value: object, *, field: str = "percent") -> Decimal:
    """Read a rate in percent, in its shortest form: 20 for ``"20.0"``.

    Raises:
        InvalidAmount: Not a plain decimal.
        InvalidRequest: Not from 0 to 100 with at most 4 decimal digits.
    """
    percent = parse_decimal(value, field=field)
    if not 0 <= percent <= MOST_PERCENT or percent != percent.quantize(_FINEST_PERCENT, context=EXACT):
        raise InvalidRequest("A tax percent is from 0 to 100 with at most 4 decimal digits.", field=field)
    whole, point, part = f"{percent:f}".partition(".")
    part = part.rstrip("0")
    return Decimal(f"{whole}.{part}" if point and part else whole)


def _percent(value: object) -> Decimal:
    return tax_percent(value)


def _base_percent(value: object) -> Decimal:
    return tax_percent(value, field="base_percent")


def _names(value: object) -> tuple[str, ...]:
    names = () if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if (not names and value not in ((), [])) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("compound_on is a tuple of names of earlier components.", field="compound_on")
    return names


def _whose(value: object) -> str:
    if isinstance(value, str) and _JURISDICTION.fullmatch(value):
        return value
    return country_code(value, field="jurisdiction")


@frozen
class TaxComponent:
    """One tax among those of a place.

    Attributes:
        name: What invoices print, such as ``"VAT"`` or ``"CGST"``.
        percent: Rate in percent; a decimal string or ``Decimal``.
        compound_on: Names of earlier components whose tax is taxed with the price.
        base_percent: Part of the price that is taxed, in percent.
        jurisdiction: Whose tax it is, if not that of the rule: a country, or a state such as ``"CA-QC"``; or empty.
    """

    name: str = field()
    percent: Decimal = field(converter=_percent)
    compound_on: tuple[str, ...] = field(default=(), converter=_names)
    base_percent: Decimal = field(default=Decimal(100), converter=_base_percent)
    jurisdiction: str = field(default="", converter=_whose, kw_only=True)

    @name.validator
    def _named(self, attribute: object, value: str) -> None:
        check_text(value, field="components", longest=MAX_NAME, empty=False)


def _pair(name: str, percent: str) -> TaxComponent:
    return TaxComponent(name, percent)


def _components(value: Iterable[TaxComponent | tuple[str, str]]) -> tuple[TaxComponent, ...]:
    try:
        return tuple(item if isinstance(item, TaxComponent) else _pair(*item) for item in value)
    except TypeError:
        raise InvalidRequest("components are pairs of (name, percent).", field="components") from None


def check_components(components: tuple[TaxComponent, ...]) -> None:
    """Make sure that components can be computed one after the other.

    Raises:
        InvalidRequest: Too many, a name twice, or one that builds on what does not come before it.
    """
    if len(components) > MOST_COMPONENTS:
        raise InvalidRequest("A rule has one to eight components.", field="components")
    earlier: set[str] = set()
    for component in components:
        if component.name in earlier:
            raise InvalidRequest("Two components of a rule have the same name.", field="components")
        if not earlier.issuperset(component.compound_on) or len(set(component.compound_on)) < len(
            component.compound_on
        ):
            raise InvalidRequest("compound_on names earlier components, each once.", field="compound_on")
        earlier.add(component.name)


def _registrations(value: object) -> tuple[str, ...]:
    schemes = (value,) if isinstance(value, str) else value
    if not isinstance(schemes, Iterable):
        raise InvalidRequest(f"requires_registration names some of {REQUIREMENTS}.", field="requires_registration")
    named = tuple(schemes)
    if named == ("",):
        return ()
    if any(scheme not in REQUIREMENTS for scheme in named) or len(set(named)) < len(named):
        raise InvalidRequest(f"requires_registration names some of {REQUIREMENTS}.", field="requires_registration")
    return tuple(sorted(named))


def _place(value: object) -> str:
    return value if isinstance(value, str) and value in (EU, EVERYWHERE) else country_code(value)


def _jurisdiction(value: object) -> str:
    return "" if value == "" else country_code(value, field="jurisdiction")


def _from_treatment(words: dict[str, str]) -> Any:
    return Factory(lambda rule: words.get(str(rule.treatment), ""), takes_self=True)


@frozen
class TaxRule:
    """How sales of one sort are taxed between two days.

    Attributes:
        country: ISO 3166-1 alpha-2 code of the customer's country, ``"EU"`` or ``"*"``.
        components: Taxes of that place; pairs of name and percent will do.
        subdivision: ISO 3166-2 code of the customer's state or province, or empty.
        postcode: Pattern of postal codes, or empty; see `prepaid.core.postcodes`.
        territory: Id of a special territory, or empty; see `prepaid.tax.territories`.
        customer: ``"any"``, ``"consumer"`` or ``"business"``.
        tax_id: ``"any"``, ``"valid"`` or ``"not_valid"``.
        seller: Where the seller is, seen from the customer.
        treatment: What happens to such a sale.
        category: EN 16931 code; that of the treatment if not given.
        reason: Code of why nothing is charged; that of the treatment if not given.
        note: Sentence that documents print; that of the treatment if not given.
        requires_registration: Schemes one of which the seller must be in, for the rule to apply; ``"state"`` is a
            local registration with the customer's state or province itself.
        jurisdiction: Whose tax it is, if not that of the customer's place.
        priority: The higher one wins, before everything else; 0 for what is as near as it says.
        valid_from: First day, in the seller's zone.
        valid_to: First day after, or None.
        source: Where the rate is published.
        id: Given when the rule is stored.
    """

    country: str = field(converter=_place)
    components: tuple[TaxComponent, ...] = field(default=(), converter=_components)
    subdivision: str = field(default="", converter=subdivision_code, kw_only=True)
    postcode: str = field(default="", kw_only=True)
    territory: str = field(default="", kw_only=True)
    customer: CustomerMatch = field(default="any", kw_only=True)
    tax_id: TaxIdMatch = field(default="any", kw_only=True)
    seller: SellerMatch = field(default="any", kw_only=True)
    treatment: Treatment = field(default="standard", kw_only=True)
    category: str = field(default=_from_treatment(_CATEGORY), kw_only=True)
    reason: str = field(default=_from_treatment(_REASONS), kw_only=True)
    note: str = field(default=_from_treatment(_NOTES), kw_only=True)
    requires_registration: tuple[str, ...] = field(default=(), converter=_registrations, kw_only=True)
    jurisdiction: str = field(default="", converter=_jurisdiction, kw_only=True)
    priority: int = field(default=0, kw_only=True)
    valid_from: date = field(kw_only=True)
    valid_to: date | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)
    id: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._check_words()
        self._check_treatment()
        self._check_place()
        self._check_days()

    def _check_words(self) -> None:
        for name, kind in (
            ("customer", CustomerMatch),
            ("tax_id", TaxIdMatch),
            ("seller", SellerMatch),
            ("treatment", Treatment),
        ):
            if getattr(self, name) not in get_args(kind):
                raise InvalidRequest(f"{name} is one of {', '.join(get_args(kind))}.", field=name)
        check_text(self.note, field="note", longest=300)
        check_text(self.source, field="source", longest=200)
        if type(self.priority) is not int or not -MOST_PRIORITY <= self.priority <= MOST_PRIORITY:
            raise InvalidRequest(
                f"priority is a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}.", field="priority"
            )

    def _check_treatment(self) -> None:
        check_components(self.components)
        taxed = any(component.percent for component in self.components)
        if self.treatment == "standard" and not self.components:
            raise InvalidRequest("A rule has one to eight components.", field="components")
        if self.treatment != "standard" and taxed:
            raise InvalidRequest(f"A rule of the treatment {self.treatment} charges nothing.", field="components")
        if self.category not in CATEGORIES[self.treatment]:
            allowed = ", ".join(CATEGORIES[self.treatment])
            raise InvalidRequest(f"category of {self.treatment} is one of {allowed}.", field="category")
        if not isinstance(self.reason, str) or (self.reason and not _REASON.fullmatch(self.reason)):
            raise InvalidRequest("reason is a code such as 'VATEX-EU-AE'.", field="reason")
        if self.treatment == "exempt" and not (self.reason or self.note):
            raise InvalidRequest("An exemption says why, by a reason or a note.", field="reason")

    def _check_place(self) -> None:
        check_subdivision(self.subdivision, country=self.country)
        if not isinstance(self.territory, str) or (self.territory and not _TERRITORY.fullmatch(self.territory)):
            raise InvalidRequest("territory is the id of a territory, such as 'ES-CN'.", field="territory")
        if self.postcode != "":
            PostcodePattern.of(self.postcode)
        for name in ("subdivision", "postcode", "territory"):
            if getattr(self, name) and self.country in (EU, EVERYWHERE):
                raise InvalidRequest(f"{name} needs a country.", field=name)

    def _check_days(self) -> None:
        for name, day in (("valid_from", self.valid_from), ("valid_to", self.valid_to)):
            if day is None and name == "valid_to":
                continue
            if type(day) is not date or not _DAYS[0] <= day <= _DAYS[1]:
                raise InvalidRequest(f"{name} is a date from 1970 on.", field=name)
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise InvalidRequest("valid_to is the first day after valid_from's span.", field="valid_to")

    def covers(self, day: date) -> bool:
        """Tell whether the rule is in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def jurisdiction_for(self, place: str) -> str:
        """Name whose tax it is, for a customer in a place."""
        return self.jurisdiction or self.territory or self.subdivision or place


_WORDS: Final = (
    "subdivision postcode territory customer tax_id seller treatment category reason note jurisdiction priority source"
).split()


def rule_record(rule: TaxRule) -> dict[str, Any]:
    """Give a rule as plain values, without its id and country, which are columns."""
    record: dict[str, Any] = {name: getattr(rule, name) for name in _WORDS}
    record["components"] = [
        [item.name, str(item.percent), list(item.compound_on), str(item.base_percent), item.jurisdiction]
        for item in rule.components
    ]
    record["requires_registration"] = list(rule.requires_registration)
    record["valid_from"] = rule.valid_from.isoformat()
    record["valid_to"] = rule.valid_to.isoformat() if rule.valid_to else None
    return record


def rule_from_record(record: dict[str, Any], *, country: str, rule_id: str) -> TaxRule:
    """Undo `rule_record`."""
    return TaxRule(
        country,
        tuple(
            TaxComponent(name, percent, on, part, jurisdiction=whose)
            for name, percent, on, part, whose in record["components"]
        ),
        **{name: record[name] for name in _WORDS},
        requires_registration=tuple(record["requires_registration"]),
        valid_from=date.fromisoformat(record["valid_from"]),
        valid_to=date.fromisoformat(record["valid_to"]) if record["valid_to"] else None,
        id=rule_id,
    )
