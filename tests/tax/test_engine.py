"""The decision of one sale, as a pure function: what it says, and what it takes into account."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from attrs import evolve

from prepaid import Address, Evidence, Money, Registration, Seller, TaxProfile, TaxProfileInvalid, TaxRule, TaxUndecided
from prepaid.core.tax_ids import TaxId
from prepaid.tax.engine import KnownTaxId, Sale, decide
from prepaid.tax.rules import RuleSet

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = date(2014, 1, 1)
FRANCE = Address(country="FR")
SELLER = Seller("Nimbus GmbH", Address(country="DE"), registrations=(Registration(country="DE"),))
FRENCH = TaxId(kind="eu_vat", country="FR", number="FR40303265045")


def rule(country: str = "FR", percent: str | None = "20", **more: Any) -> TaxRule:
    components = () if percent is None else (("VAT", percent),)
    return TaxRule(country, components, **{"valid_from": SINCE, **more})


def decided(*rules: TaxRule, address: Address = FRANCE, kind: str = "consumer", **more: Any) -> Any:
    profile = TaxProfile(kind=kind, company="Acme" if kind == "business" else "", address=address)
    sale = {"price": Money.of("100.00", "EUR"), "at": AT, "day": AT.date(), "seller": SELLER, "profile": profile}
    return decide(Sale(**{**sale, **more}), RuleSet(rules))


@pytest.mark.parametrize(
    ("treatment", "said"),
    [
        ({"treatment": "zero"}, "No tax: the rate is zero for customers in FR."),
        ({"treatment": "exempt", "note": "Art. 132"}, "No tax: this sale is exempt (Art. 132)."),
        ({"treatment": "exempt", "reason": "VATEX-EU-132"}, "No tax: this sale is exempt (VATEX-EU-132)."),
        ({"treatment": "out_of_scope"}, "No tax: customers in FR are outside its scope."),
        ({"treatment": "not_collecting"}, "No tax is collected for customers in FR."),
        ({"treatment": "reverse_charge"}, "Reverse charge: you owe the tax in FR yourself."),
    ],
)
def test_a_treatment_without_tax_says_why(treatment: dict[str, str], said: str) -> None:
    tax = decided(rule(percent=None, **treatment))

    assert (tax.explanation, tax.total, tax.treatment) == (said, Money.zero("EUR"), treatment["treatment"])
    assert ("A rule says to collect nothing in FR." in tax.warnings) == (tax.treatment == "not_collecting")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("malformed", "not a number of its country"),
        ("format_only", "is not verified"),
        ("pending", "is being verified"),
        ("invalid", "not valid in its register"),
        ("unavailable", "does not answer"),
        ("expired", "verified too long ago"),
    ],
)
def test_a_tax_id_that_does_not_count_is_explained_where_it_matters(state: Any, said: str) -> None:
    reverse = rule(percent=None, tax_id="valid", customer="business", treatment="reverse_charge")
    known = KnownTaxId(state=state, tax_id=None if state == "malformed" else FRENCH)

    tax = decided(rule(), reverse, kind="business", tax_id=known)
    assert said in tax.explanation
    assert tax.tax_id_matters
    assert not tax.tax_id_counted
    without = decided(rule(), kind="business", tax_id=known)
    assert without.explanation == "VAT 20 % added to the price, because you are in FR."
    assert (without.tax_id_matters, without.policy) == (False, "")


def test_where_the_other_answer_cannot_be_decided_the_tax_id_matters() -> None:
    ended = rule(percent=None, tax_id="valid", treatment="reverse_charge", priority=1, valid_to=AT.date())
    tax = decided(rule(), ended, kind="business", tax_id=KnownTaxId(state="invalid", tax_id=FRENCH))

    assert tax.tax_id_matters


def test_two_treatments_without_tax_do_not_wait_for_a_register() -> None:
    seller = Seller("S", Address(country="DE"), outage_policy="hold")
    rules = (
        rule(percent=None, treatment="out_of_scope"),
        rule(percent=None, tax_id="valid", customer="business", treatment="reverse_charge"),
    )

    tax = decided(*rules, kind="business", seller=seller, tax_id=KnownTaxId(state="pending", tax_id=FRENCH))

    assert (tax.treatment, tax.policy, tax.tax_id_matters) == ("out_of_scope", "", False)


def test_nothing_waits_for_a_register_where_nothing_is_collected() -> None:
    seller = Seller("S", Address(country="DE"), outage_policy="hold")
    known = KnownTaxId(state="pending", tax_id=FRENCH)

    tax = decided(rule(requires_registration="oss"), kind="business", seller=seller, tax_id=known)

    assert (tax.treatment, tax.policy, tax.warnings[-1]) == ("not_collecting", "", "No registration (oss) for FR.")


def test_a_number_of_another_country_than_the_place_does_not_count() -> None:
    reverse = rule(percent=None, tax_id="valid", customer="business", treatment="reverse_charge")
    spanish = TaxId(kind="eu_vat", country="ES", number="ESB64717838")

    tax = decided(rule(), reverse, kind="business", tax_id=KnownTaxId(state="valid", tax_id=spanish))

    assert (tax.treatment, tax.tax_id_counted) == ("standard", False)
    assert "The tax id is of ES, the customer in FR." in tax.warnings


INDIAN = (
    rule("IN", "9", seller="same_subdivision"),
    rule("IN", "18", seller="other_subdivision"),
)


def test_a_place_by_evidence_has_no_state_and_that_is_warned_of() -> None:
    mumbai = Seller("S", Address(country="IN", subdivision="IN-MH"))
    evidence = (Evidence(kind="ip", country="IN"), Evidence(kind="card", country="IN"))

    tax = decided(*INDIAN, rule("FR"), seller=mumbai, evidence=evidence)

    assert (tax.place, tax.lines[0].rate_percent) == ("IN", 18)
    assert "The state in IN is not known, and rules ask for it." in tax.warnings


def test_a_seller_without_a_state_is_warned_where_rules_ask_for_it() -> None:
    somewhere = Seller("S", Address(country="IN"))

    tax = decided(*INDIAN, address=Address(country="IN", subdivision="IN-MH"), seller=somewhere)

    assert "The seller's own state is not known, and rules may ask for it." in tax.warnings


def test_a_gstin_tells_the_state_better_than_the_address() -> None:
    mumbai = Seller("S", Address(country="IN", subdivision="IN-MH"))
    gstin = TaxId(kind="in_gst", country="IN", number="29AAPFU0939F1ZR", subdivision="IN-KA")

    tax = decided(
        *INDIAN, address=Address(country="IN"), seller=mumbai, tax_id=KnownTaxId(state="format_only", tax_id=gstin)
    )

    assert (tax.place, tax.lines[0].rate_percent) == ("IN-KA", 18)
    with pytest.raises(TaxProfileInvalid):
        decided(*INDIAN, address=Address(country="IN"), seller=mumbai)


LATER = date(2027, 1, 1)
AMERICAN = rule("US", None, treatment="not_collecting")


@pytest.mark.parametrize(
    "other",
    [
        rule("US", "8", subdivision="US-TX", valid_from=LATER),
        rule("US", "8", postcode="100##", valid_from=LATER),
    ],
)
def test_what_only_a_planned_rule_depends_on_is_not_asked_for_yet(other: TaxRule) -> None:
    address = Address(country="US")

    assert decided(AMERICAN, other, address=address) == decided(AMERICAN, address=address)
    with pytest.raises(TaxProfileInvalid):
        decided(AMERICAN, other, address=address, day=LATER)


@pytest.mark.parametrize(
    ("planned", "field"),
    [
        (rule("US", "8", subdivision="US-TX", valid_from=LATER), "subdivision"),
        (rule("US", "8", postcode="100##", valid_from=LATER), "postcode"),
    ],
)
@pytest.mark.parametrize("others", [(rule("DE"),), (rule("*", None, treatment="out_of_scope"),)])
def test_who_leaves_out_a_state_that_has_no_rate_yet_does_not_buy_without_tax(
    planned: TaxRule, field: str, others: tuple[TaxRule, ...]
) -> None:
    with pytest.raises(TaxProfileInvalid) as refused:
        decided(planned, *others, address=Address(country="US"))

    assert refused.value.field == field
    with pytest.raises(TaxUndecided):
        decided(planned, *others, address=Address(country="US", subdivision="US-TX", postcode="10001"))


def test_the_state_is_not_asked_for_because_the_sellers_will_matter_later() -> None:
    mumbai = Seller("S", Address(country="IN", subdivision="IN-MH"))
    planned = rule("IN", "9", seller="same_subdivision", valid_from=LATER)
    address = Address(country="IN")

    assert decided(rule("IN", "18"), planned, address=address, seller=mumbai).lines[0].rate_percent == 18
    with pytest.raises(TaxProfileInvalid):
        decided(rule("IN", "18"), planned, address=address, seller=mumbai, day=LATER)


def test_a_postal_code_is_asked_for_in_the_states_whose_rules_depend_on_it() -> None:
    city = rule("US", "8", subdivision="US-NY", postcode="100##")

    assert decided(AMERICAN, city, address=Address(country="US", subdivision="US-TX")).treatment == "not_collecting"
    with pytest.raises(TaxProfileInvalid) as refused:
        decided(AMERICAN, city, address=Address(country="US", subdivision="US-NY"))
    assert refused.value.field == "postcode"


def test_a_tax_id_that_keeps_a_sale_from_a_tax_matters_although_nothing_is_collected() -> None:
    elsewhere = rule(percent=None, customer="business", tax_id="valid", treatment="reverse_charge", priority=1)
    without = evolve(elsewhere, requires_registration=("oss",))
    taxed = rule(tax_id="not_valid")

    tax = decided(taxed, without, kind="business", tax_id=KnownTaxId(state="valid", tax_id=FRENCH))

    assert (tax.treatment, tax.total, tax.tax_id_matters) == ("not_collecting", Money.zero("EUR"), True)


def test_a_contested_place_that_cannot_be_decided_does_not_stop_the_sale() -> None:
    seller = Seller("S", Address(country="DE"), evidence_required=2)
    rules = (
        rule("*", None, treatment="out_of_scope"),
        rule("EU", None, customer="business", tax_id="valid", treatment="reverse_charge"),
    )

    tax = decided(*rules, address=Address(country="CH"), seller=seller, evidence=(Evidence(kind="ip", country="FR"),))

    assert (tax.place, tax.treatment) == ("CH", "out_of_scope")
