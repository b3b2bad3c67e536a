"""Tax as values: dated rules, the decision one sale got, and its arithmetic.

A decision is stored whole, with the rules it rests on and a sentence a person
can read; it is never recomputed for a document. Tax is rounded once per
component on the document's net (EN 16931, BR-CO-17); with inclusive prices the
gross is given and the net is what remains.

>>> vat = (TaxComponent("VAT", "19"),)
>>> add_tax(1000, vat, rounding="half_up")
TaxedAmounts(net=1000, tax=(190,), gross=1190)
>>> contained_tax(10000, vat, rounding="half_up")
TaxedAmounts(net=8403, tax=(1597,), gross=10000)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

from .errors import InvalidRequest
from .ids import check_text
from .money import EXACT, Money, largest_remainder, parse_decimal
from .parties import check_country

Treatment = Literal["standard", "not_collecting"]

NOT_SOLD: Final = "not-sold"
"""Reason of a decision for money that is only there to be given back."""

_MODES: Final = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
_FINEST_PERCENT: Final = Decimal("0.0001")


def _percent(value: object) -> Decimal:
    percent = parse_decimal(value, field="percent")
    if not 0 <= percent <= 100 or percent != percent.quantize(_FINEST_PERCENT, context=EXACT):
        raise InvalidRequest("A tax percent is from 0 to 100 with at most 4 decimal digits.", field="percent")
    return percent


@frozen
class TaxComponent:
    """One tax among those of a place.

    Attributes:
        name: What invoices print, such as ``"VAT"`` or ``"CGST"``.
        percent: Rate in percent; a decimal string or ``Decimal``.
    """

    name: str = field()
    percent: Decimal = field(converter=_percent)

    @name.validator
    def _named(self, attribute: object, value: str) -> None:
        check_text(value, field="components", longest=40, empty=False)


def _components(value: Iterable[TaxComponent | tuple[str, str]]) -> tuple[TaxComponent, ...]:
    try:
        return tuple(item if isinstance(item, TaxComponent) else TaxComponent(*item) for item in value)
    except TypeError:
        raise InvalidRequest("components are pairs of (name, percent).", field="components") from None


@frozen
class TaxRule:
    """What tax applies in a country between two dates.

    Attributes:
        country: ISO 3166-1 alpha-2 code of the customer's country.
        components: Taxes of that place; pairs of name and percent will do.
        valid_from: First day, in the seller's zone.
        valid_to: First day after, or None.
        source: Where the rate is published.
        id: Given when the rule is stored.
    """

    country: str = field()
    components: tuple[TaxComponent, ...] = field(converter=_components)
    valid_from: date = field(kw_only=True)
    valid_to: date | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)
    id: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_country(self.country)
        check_text(self.source, field="source", longest=200)
        if not 1 <= len(self.components) <= 8:
            raise InvalidRequest("A rule has one to eight components.", field="components")
        if len({component.name for component in self.components}) != len(self.components):
            raise InvalidRequest("Two components of a rule have the same name.", field="components")
        if type(self.valid_from) is not date or (self.valid_to is not None and type(self.valid_to) is not date):
            raise InvalidRequest("valid_from and valid_to are dates.", field="valid_from")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise InvalidRequest("valid_to is the first day after valid_from's span.", field="valid_to")

    def covers(self, day: date) -> bool:
        """Tell whether the rule is in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@frozen(kw_only=True)
class TaxLine:
    """One tax of a sale, as a document prints it.

    Attributes:
        name: The component's name.
        rate_percent: Rate in percent.
        base: What the rate was applied to.
        amount: The tax, in whole minor units.
    """

    name: str
    rate_percent: Decimal
    base: Money
    amount: Money


@frozen(kw_only=True)
class TaxDecision:
    """How one sale is taxed, and why.

    Attributes:
        treatment: ``"standard"`` or ``"not_collecting"``.
        lines: One per component; empty when nothing is collected.
        net: Price without tax.
        total: Sum of the taxes.
        gross: Net and tax.
        category: EN 16931 VAT category code: S for taxed, O for not collected.
        reason: Machine reason for a treatment without tax, or empty.
        note: Sentence the document must print, or empty.
        jurisdiction: Country whose tax this is, or empty.
        rule_ids: Stored rules the decision rests on.
        tax_id_state: What is known of the customer's tax id: ``"none"`` or ``"unchecked"``.
        explanation: One or two sentences a customer can read.
        warnings: What an operator should look at.
    """

    treatment: Treatment
    lines: tuple[TaxLine, ...] = ()
    net: Money
    total: Money
    gross: Money
    category: str
    reason: str = ""
    note: str = ""
    jurisdiction: str = ""
    rule_ids: tuple[str, ...] = ()
    tax_id_state: str = "none"
    explanation: str = ""
    warnings: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.net + self.total != self.gross:
            raise InvalidRequest("Net and tax do not add up to the gross.", field="tax")
        if sum((line.amount.units for line in self.lines), 0) != self.total.units:
            raise InvalidRequest("The tax lines do not add up to the tax.", field="tax")


@frozen
class TaxedAmounts:
    """A sale split in minor units: net, one tax per component, gross."""

    net: int
    tax: tuple[int, ...]
    gross: int

    def __attrs_post_init__(self) -> None:
        if self.net + sum(self.tax) != self.gross:
            raise InvalidRequest("Net and tax do not add up to the gross.", field="tax")


def _round(value: Decimal, rounding: str) -> int:
    return int(value.to_integral_value(_MODES[rounding]))


def add_tax(net: int, components: tuple[TaxComponent, ...], *, rounding: str) -> TaxedAmounts:
    """Put each component's tax on ``net`` minor units, rounded once per component."""
    with localcontext(EXACT):
        taxes = tuple(_round(net * component.percent / 100, rounding) for component in components)
    return TaxedAmounts(net, taxes, net + sum(taxes))


def contained_tax(gross: int, components: tuple[TaxComponent, ...], *, rounding: str) -> TaxedAmounts:
    """Take the tax out of ``gross`` minor units; the components share it by largest remainder."""
    with localcontext(EXACT):
        percent = sum((component.percent for component in components), Decimal(0))
        net = _round(Decimal(gross) * 100 / (100 + percent), rounding)
        weights = tuple(int(component.percent * 10_000) for component in components)
    return TaxedAmounts(net, largest_remainder(gross - net, weights), gross)


def split_gross(decision: TaxDecision, gross: Money, *, rounding: str, net: Money | None = None) -> TaxDecision:
    """Tax another total as a decision taxed its own: a price that contains its tax.

    Args:
        decision: The frozen decision.
        gross: The total, in whole minor units of the decision's currency.
        rounding: The seller's rounding.
        net: What of it is without tax, if that is known already.
    """
    currency = gross.currency
    components = tuple(TaxComponent(line.name, line.rate_percent) for line in decision.lines)
    if net is None:
        net = Money.from_minor(contained_tax(gross.minor, components, rounding=rounding).net, currency)
    weights = tuple(int(line.rate_percent * 10_000) for line in decision.lines)
    shares = largest_remainder((gross - net).minor, weights) if weights else ()
    lines = tuple(
        evolve(line, base=net, amount=Money.from_minor(share, currency))
        for line, share in zip(decision.lines, shares, strict=True)
    )
    return evolve(decision, lines=lines, net=net, total=gross - net, gross=gross)


def decision_record(decision: TaxDecision) -> dict[str, Any]:
    """Give a decision as plain values that freeze it in a row or a document."""
    record: dict[str, Any] = {
        name: getattr(decision, name)
        for name in ("treatment", "category", "reason", "note", "jurisdiction", "tax_id_state", "explanation")
    }
    record["currency"] = decision.net.currency
    record |= {name: getattr(decision, name).minor for name in ("net", "total", "gross")}
    record["rule_ids"], record["warnings"] = list(decision.rule_ids), list(decision.warnings)
    record["lines"] = [
        {"name": line.name, "percent": str(line.rate_percent), "base": line.base.minor, "amount": line.amount.minor}
        for line in decision.lines
    ]
    return record


def decision_from_record(record: dict[str, Any]) -> TaxDecision:
    """Undo `decision_record`."""
    currency = record["currency"]

    def money(minor: int) -> Money:
        return Money.from_minor(minor, currency)

    return TaxDecision(
        treatment=record["treatment"],
        lines=tuple(
            TaxLine(
                name=line["name"],
                rate_percent=Decimal(line["percent"]),
                base=money(line["base"]),
                amount=money(line["amount"]),
            )
            for line in record["lines"]
        ),
        net=money(record["net"]),
        total=money(record["total"]),
        gross=money(record["gross"]),
        category=record["category"],
        reason=record["reason"],
        note=record["note"],
        jurisdiction=record["jurisdiction"],
        rule_ids=tuple(record["rule_ids"]),
        tax_id_state=record["tax_id_state"],
        explanation=record["explanation"],
        warnings=tuple(record["warnings"]),
    )
