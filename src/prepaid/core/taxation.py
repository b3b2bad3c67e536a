"""The decision that one sale got: how it is taxed, on what grounds, and in words.

A decision is stored whole, with the rules it rests on, what was known of the
customer's place and tax id, and a sentence a person can read; it is never
recomputed for a document.

Sources: Directive 2006/112/EC Art. 226 (what an invoice says of its tax); Implementing Regulation (EU) 282/2011
Art. 18, 24b and 24f (what a seller keeps of a customer's status and place).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from attrs import evolve, field, frozen

from .errors import InvalidRequest
from .ids import MAX_KEY, check_text
from .instants import from_micros, to_micros
from .money import Money, require_minor
from .parties import OUTAGE_POLICIES, Evidence, Seller, TaxProfile
from .tax_amounts import add_tax, contained_tax, share_tax, take_back, tax_bases
from .tax_ids import MAX_TAX_ID, TAX_ID_STATES, TaxIdState
from .tax_rules import CATEGORIES, TaxComponent, Treatment, check_components, tax_percent

NOT_SOLD: Final = "not-sold"
"""Reason of a decision for money that is only there to be given back."""


_ONE_OF: Final[dict[str, tuple[str, ...]]] = {
    "treatment": tuple(CATEGORIES),
    "tax_id_state": TAX_ID_STATES,
    "policy": ("", *OUTAGE_POLICIES),
}
_LISTS: Final = {"rule_ids": MAX_KEY, "evidence": 120, "warnings": 500}
"""Lists of texts, with the characters that each may have."""

MAX_SENTENCE: Final = 2000
"""Characters of a note or an explanation, at most."""

_LONGEST: Final = {
    "category": 4,
    "reason": 40,
    "note": MAX_SENTENCE,
    "jurisdiction": 16,
    "place": 16,
    "tax_id": MAX_TAX_ID,
    "tax_id_country": 2,
    "consultation": MAX_KEY,
    "approved_by": MAX_KEY,
    "explanation": MAX_SENTENCE,
}


@frozen(kw_only=True)
class TaxLine:
    """One tax of a sale, as a document prints it.

    Attributes:
        name: The component's name.
        rate_percent: Rate in percent.
        base: What the rate was applied to.
        amount: The tax, in whole minor units.
        compound_on: Names of the earlier taxes that the base contains.
        base_percent: Part of the price that the base contains, in percent.
        jurisdiction: Whose tax it is, if not that of the decision; or empty.
        component: The component that made the line.
    """

    name: str
    rate_percent: Decimal = field(converter=tax_percent)
    base: Money
    amount: Money
    compound_on: tuple[str, ...] = ()
    base_percent: Decimal = field(default=Decimal(100), converter=tax_percent)
    jurisdiction: str = ""
    component: TaxComponent = field(init=False, repr=False, eq=False)

    @component.default
    def _made_by(self) -> TaxComponent:
        return TaxComponent(
            self.name, self.rate_percent, self.compound_on, self.base_percent, jurisdiction=self.jurisdiction
        )

    def __attrs_post_init__(self) -> None:
        if self.base.currency != self.amount.currency:
            raise InvalidRequest("Base and amount of a tax are of one currency.", field="base")
        for money in (self.base, self.amount):
            require_minor(money)


@frozen(kw_only=True)
class TaxDecision:
    """How one sale is taxed, and why.

    Attributes:
        treatment: ``"standard"``, ``"zero"``, ``"exempt"``, ``"reverse_charge"``, ``"out_of_scope"`` or
            ``"not_collecting"``.
        lines: One per component; empty when nothing is collected.
        net: Price without tax.
        total: Sum of the taxes.
        gross: Net and tax.
        category: EN 16931 VAT category code.
        reason: Machine reason for a treatment without tax, or empty.
        note: Sentence the document must print, or empty.
        jurisdiction: Country, state or territory whose tax this is, or empty.
        place: Country, state or territory where the customer is taken to be, or empty.
        rule_ids: Stored rules the decision rests on.
        tax_id: The customer's tax id as documents print it, or empty.
        tax_id_country: Country that issued it, or empty.
        tax_id_state: What is known of it; see `prepaid.core.tax_ids.TaxIdState`.
        tax_id_matters: Another state of it would lead to another tax.
        tax_id_counted: It was taken for valid.
        checked_at: When its register answered last, or None.
        consultation: The number under which the register keeps that it was asked, or empty.
        policy: The seller's outage policy, if it decided what the tax id is worth; or empty.
        approved_by: The operator who exempted the customer or vouched for the tax id, or empty.
        evidence: What tells where the customer is, such as ``"address FR"``.
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
    place: str = ""
    rule_ids: tuple[str, ...] = ()
    tax_id: str = field(default="", repr=False)
    tax_id_country: str = ""
    tax_id_state: TaxIdState = "none"
    tax_id_matters: bool = False
    tax_id_counted: bool = False
    checked_at: datetime | None = None
    consultation: str = field(default="", repr=False)
    policy: str = ""
    approved_by: str = ""
    evidence: tuple[str, ...] = ()
    explanation: str = ""
    warnings: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.net + self.total != self.gross:
            raise InvalidRequest("Net and tax do not add up to the gross.", field="tax")
        if sum((line.amount.units for line in self.lines), 0) != self.total.units:
            raise InvalidRequest("The tax lines do not add up to the tax.", field="tax")
        self._check_words()

    def _check_words(self) -> None:
        # Whoever decided it, it must fit the rows of a payment that is captured already.
        for name, allowed in _ONE_OF.items():
            if getattr(self, name) not in allowed:
                raise InvalidRequest(f"{name} of a decision is one of {', '.join(allowed)}.", field=name)
        if self.category not in CATEGORIES[self.treatment]:
            raise InvalidRequest(f"{self.category!r} is no category of {self.treatment}.", field="category")
        if self.total and self.treatment != "standard":
            raise InvalidRequest(f"A sale that is {self.treatment} bears no tax.", field="treatment")
        for name, longest in _LONGEST.items():
            check_text(getattr(self, name), field=name, longest=longest)
        for name, longest in _LISTS.items():
            for text in getattr(self, name):
                check_text(text, field=name, longest=longest)
        # What is paid otherwise than it was started is split again by the same components.
        check_components(tuple(line.component for line in self.lines))
        for money in (self.net, self.gross):
            require_minor(money)
        if self.policy and not self.tax_id:
            raise InvalidRequest("A policy decides about a tax id.", field="tax_id")


def tax_lines(
    net: Money, components: Sequence[TaxComponent], taxes: Sequence[int], *, rounding: str
) -> tuple[TaxLine, ...]:
    """Give a line for each component, with taxes in minor units."""
    bases = tax_bases(net.minor, components, taxes, rounding=rounding)
    return tuple(
        TaxLine(
            name=component.name,
            rate_percent=component.percent,
            base=Money.from_minor(base, net.currency),
            amount=Money.from_minor(tax, net.currency),
            compound_on=component.compound_on,
            base_percent=component.base_percent,
            jurisdiction=component.jurisdiction,
        )
        for component, base, tax in zip(components, bases, taxes, strict=True)
    )


def split_gross(decision: TaxDecision, gross: Money, *, rounding: str, net: Money | None = None) -> TaxDecision:
    """Tax another total as a decision taxed its own: a price that contains its tax.

    Args:
        decision: The frozen decision.
        gross: The total, in whole minor units of the decision's currency.
        rounding: The seller's rounding.
        net: What of it is without tax, if that is known already.
    """
    components = tuple(line.component for line in decision.lines)
    if net is None:
        net = Money.from_minor(contained_tax(gross.minor, components, rounding=rounding).net, gross.currency)
    taxes = share_tax((gross - net).minor, components)
    lines = tax_lines(net, components, taxes, rounding=rounding)
    return evolve(decision, lines=lines, net=net, total=gross - net, gross=gross)


def discounted(decision: TaxDecision, discount: Money, *, rounding: str) -> TaxDecision:
    """Tax a price that a discount lowers before tax: the same taxes, on what is left of the net.

    Args:
        decision: The decision over the whole price.
        discount: What is taken off its net, in whole minor units; at most all of it.
        rounding: The seller's rounding.
    """
    if not discount:
        return decision
    net = decision.net - discount
    components = tuple(line.component for line in decision.lines)
    taxes = add_tax(net.minor, components, rounding=rounding).tax
    if sum(taxes) > decision.total.minor:
        # The tax contained in a price is rounded once, that put on one once per component: less is never taxed more.
        taxes = share_tax(decision.total.minor, components)
    total = Money.from_minor(sum(taxes), net.currency)
    lines = tax_lines(net, components, taxes, rounding=rounding)
    return evolve(decision, lines=lines, net=net, total=total, gross=net + total)


def refunded_part(
    decision: TaxDecision, *, net: Money, tax: Money, before: Sequence[TaxDecision] = (), rounding: str
) -> TaxDecision:
    """Give the decision of a refund: the same tax, over a part of the sale.

    Args:
        decision: The frozen decision of the sale.
        net: What of the net goes back.
        tax: What of the tax goes back.
        before: Decisions of the sale's earlier refunds.
        rounding: The seller's rounding.

    Raises:
        IntegrityFault: More tax than is left.
    """
    left = [
        line.amount.minor - sum(earlier.lines[place].amount.minor for earlier in before)
        for place, line in enumerate(decision.lines)
    ]
    components = tuple(line.component for line in decision.lines)
    lines = tax_lines(net, components, take_back(tax.minor, left), rounding=rounding)
    return evolve(decision, lines=lines, net=net, total=tax, gross=net + tax)


@frozen(kw_only=True)
class TaxRequest:
    """A sale that somebody is asked to decide the tax of.

    Attributes:
        customer_id: The host's id of the buyer, or None for the try-out of an operator.
        price: In whole minor units: without tax, or containing it if the seller's prices are inclusive.
        day: Tax point, in the seller's zone.
        seller: Who sells.
        profile: The customer's tax profile, or None.
        tax_id_state: What is known of their tax id.
        exempt: An operator exempted them.
        evidence: What tells where they are, the newest of each kind.
    """

    customer_id: str | None
    price: Money
    day: date
    seller: Seller = field(repr=False)
    profile: TaxProfile | None
    tax_id_state: TaxIdState
    exempt: bool
    evidence: tuple[Evidence, ...]


_WORDS: Final = (
    "treatment category reason note jurisdiction place tax_id tax_id_country tax_id_state tax_id_matters "
    "tax_id_counted consultation policy approved_by explanation"
).split()


def decision_record(decision: TaxDecision) -> dict[str, Any]:
    """Give a decision as plain values that freeze it in a row or a document."""
    record: dict[str, Any] = {name: getattr(decision, name) for name in _WORDS}
    record["currency"] = decision.net.currency
    record |= {name: getattr(decision, name).minor for name in ("net", "total", "gross")}
    record |= {name: list(getattr(decision, name)) for name in _LISTS}
    record["checked_at"] = None if decision.checked_at is None else to_micros(decision.checked_at)
    record["lines"] = [
        {
            "name": line.name,
            "percent": str(line.rate_percent),
            "base": line.base.minor,
            "amount": line.amount.minor,
            "compound_on": list(line.compound_on),
            "base_percent": str(line.base_percent),
            "jurisdiction": line.jurisdiction,
        }
        for line in decision.lines
    ]
    return record


def decision_from_record(record: dict[str, Any]) -> TaxDecision:
    """Undo `decision_record`; what a record of an earlier version does not have is as it is by default."""
    currency, checked_at = record["currency"], record.get("checked_at")

    def money(minor: int) -> Money:
        return Money.from_minor(minor, currency)

    values: dict[str, Any] = {name: record[name] for name in _WORDS if name in record}
    values |= {name: tuple(record[name]) for name in _LISTS if name in record}
    values |= {name: money(record[name]) for name in ("net", "total", "gross")}
    return TaxDecision(
        **values,
        checked_at=None if checked_at is None else from_micros(checked_at),
        lines=tuple(
            TaxLine(
                name=line["name"],
                rate_percent=Decimal(line["percent"]),
                base=money(line["base"]),
                amount=money(line["amount"]),
                compound_on=tuple(line.get("compound_on", ())),
                base_percent=Decimal(line.get("base_percent", "100")),
                jurisdiction=line.get("jurisdiction", ""),
            )
            for line in record["lines"]
        ),
    )
