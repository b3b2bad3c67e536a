"""How long one tax decision takes when the rules of the whole EU are loaded."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import cycle, islice

from prepaid import Address, Evidence, Money, Registration, Seller, TaxProfile, TaxRule
from prepaid.core.tax_ids import TaxId
from prepaid.tax.engine import KnownTaxId, Sale, decide
from prepaid.tax.rules import RuleSet

from ..books import CURRENCY
from ..figures import Figure
from ..rounds import seconds
from ..stage import Stage, timed

_STATES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
_SINCE, _CHANGE, _DAY = date(2014, 1, 1), date(2025, 7, 1), date(2026, 11, 22)
_TERRITORIES = (("ES", "ES-CN"), ("ES", "ES-CE"), ("PT", "PT-20"), ("PT", "PT-30"), ("AT", "AT-JUN"), ("DE", "DE-HEL"))

_SELLER = Seller(
    "Nimbus GmbH",
    Address(city="Berlin", postcode="10115", country="DE"),
    registrations=(Registration(country="DE"), Registration(country="DE", scheme="oss")),
)

_BUYERS = (
    TaxProfile(address=Address(country="FR", postcode="75001")),
    TaxProfile(kind="business", company="Firma", address=Address(country="DE", postcode="10115"), tax_id="DE136695976"),
    TaxProfile(kind="business", company="SARL", address=Address(country="FR"), tax_id="FR40303265045"),
    TaxProfile(address=Address(country="ES", postcode="35001")),
    TaxProfile(address=Address(country="PT", postcode="9000-100")),
    TaxProfile(address=Address(country="US", subdivision="US-TX")),
)


def _rules() -> list[TaxRule]:
    """Two dated rates for each member state, special territories, the reverse charge, and everywhere else."""
    schemes = ("local", "oss")
    rates = [
        TaxRule(
            state,
            (("VAT", percent),),
            requires_registration=schemes,
            valid_from=start,
            valid_to=end,
            id=f"{state}{end}",
        )
        for state in _STATES
        for percent, start, end in (("20", _SINCE, _CHANGE), ("21", _CHANGE, None))
    ]
    special = [
        TaxRule(state, (("VAT", "7"),), territory=territory, requires_registration=schemes, valid_from=_SINCE)
        for state, territory in _TERRITORIES
    ]
    reverse = TaxRule(
        "EU",
        customer="business",
        tax_id="valid",
        seller="other_country",
        treatment="reverse_charge",
        priority=1,
        valid_from=_SINCE,
    )
    abroad = TaxRule("*", seller="other_country", treatment="out_of_scope", valid_from=_SINCE)
    return [*rates, *special, reverse, abroad]


def _sales() -> list[Sale]:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return [
        Sale(
            price=Money.of("50.00", CURRENCY),
            at=at,
            day=_DAY,
            seller=_SELLER,
            profile=buyer,
            tax_id=_known(buyer, at),
            evidence=(Evidence(kind="ip", country=buyer.address.country),),
        )
        for buyer in _BUYERS
    ]


def _known(buyer: TaxProfile, at: datetime) -> KnownTaxId:
    if not buyer.tax_id:
        return KnownTaxId()
    tax_id = TaxId(kind="eu_vat", country=buyer.address.country, number=buyer.tax_id)
    return KnownTaxId(state="valid", tax_id=tax_id, checked_at=at, valid_at=at)


def taxes(stage: Stage) -> list[Figure]:
    """Decide sales of six sorts in turn.

    Raises:
        RuntimeError: The rules do not tell them apart.
    """
    rules, sales, count = RuleSet(_rules()), _sales(), stage.size(3000, 30)
    treatments = [decide(sale, rules).treatment for sale in sales]
    if treatments != ["standard", "standard", "reverse_charge", "not_collecting", "standard", "out_of_scope"]:
        raise RuntimeError(f"the sales are taxed as {treatments}")

    def all_sales() -> None:
        for sale in islice(cycle(sales), count):
            decide(sale, rules)

    found = stage.in_turn({"decision, ms": lambda: seconds(all_sales) * 1000 / count}, rounds=9)
    note = f"{len(rules)} rules; net, tax and explanation of each sale included"
    return [timed("tax-decision", found["decision, ms"], unit="ms", note=note)]
