"""How a sale is taxed: one pure function for quote, invoice and the operator's try-out.

First cut: rules by country. A book without rules does not collect tax and needs
no profile; once a rule exists, a customer without a country cannot be taxed and
is asked for one; a country that no rule names is not collected for, with a
warning for the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from attrs import frozen

from ..core.errors import InvalidRequest, TaxProfileInvalid
from ..core.money import EXACT, Money
from ..core.parties import Seller, TaxProfile
from ..core.taxation import TaxDecision, TaxedAmounts, TaxLine, TaxRule, add_tax, contained_tax


@frozen(kw_only=True)
class Sale:
    """What is to be taxed.

    Attributes:
        price: In whole minor units: without tax, or containing it if the
            seller's prices are inclusive.
        day: Tax point, in the seller's zone.
        seller: Who sells.
        profile: The customer's tax profile, or None.
    """

    price: Money
    day: date
    seller: Seller
    profile: TaxProfile | None


def decide(sale: Sale, rules: Sequence[TaxRule]) -> TaxDecision:
    """Decide one sale.

    Raises:
        TaxProfileInvalid: Rules exist, and the customer has no country.
        InvalidRequest: The customer's country has rules, and none for the day.
    """
    if not rules:
        return _not_collecting(sale, "No tax rule is set up, so no tax is collected.")
    if sale.profile is None:
        raise TaxProfileInvalid("Tell us your country first: it decides the tax.", field="country")
    country = sale.profile.address.country
    of_country = [rule for rule in rules if rule.country == country]
    if not of_country:
        explanation = f"No tax is collected for customers in {country}."
        return _not_collecting(sale, explanation, warnings=(f"No tax rule names {country}.",))
    in_force = [rule for rule in of_country if rule.covers(sale.day)]
    if len(in_force) != 1:
        # A gap is an error, never zero: somebody forgot a rate.
        raise InvalidRequest(f"The tax rules of {country} do not cover {sale.day}.", field="country")
    return _standard(sale, in_force[0])


def _standard(sale: Sale, rule: TaxRule) -> TaxDecision:
    amounts = _amounts(sale, rule)
    currency = sale.price.currency
    net = Money.from_minor(amounts.net, currency)
    gross = Money.from_minor(amounts.gross, currency)
    lines = tuple(
        TaxLine(
            name=component.name,
            rate_percent=component.percent,
            base=net,
            amount=Money.from_minor(amount, currency),
        )
        for component, amount in zip(rule.components, amounts.tax, strict=True)
    )
    return TaxDecision(
        treatment="standard",
        lines=lines,
        net=net,
        total=gross - net,
        gross=gross,
        category="S",
        jurisdiction=rule.country,
        rule_ids=(rule.id,) if rule.id else (),
        tax_id_state=_tax_id_state(sale.profile),
        explanation=_explain(sale, rule),
    )


def _amounts(sale: Sale, rule: TaxRule) -> TaxedAmounts:
    compute = contained_tax if sale.seller.prices == "inclusive" else add_tax
    return compute(sale.price.minor, rule.components, rounding=sale.seller.rounding)


def _explain(sale: Sale, rule: TaxRule) -> str:
    taxes = " and ".join(f"{component.name} {component.percent.normalize(EXACT):f} %" for component in rule.components)
    how = "contained in the price" if sale.seller.prices == "inclusive" else "added to the price"
    return f"{taxes} {how}, because you are in {rule.country}."


def _not_collecting(sale: Sale, explanation: str, *, warnings: tuple[str, ...] = ()) -> TaxDecision:
    return TaxDecision(
        treatment="not_collecting",
        net=sale.price,
        total=Money.zero(sale.price.currency),
        gross=sale.price,
        category="O",
        reason="not-collecting",
        tax_id_state=_tax_id_state(sale.profile),
        explanation=explanation,
        warnings=warnings,
    )


def _tax_id_state(profile: TaxProfile | None) -> str:
    return "unchecked" if profile is not None and profile.tax_id else "none"
