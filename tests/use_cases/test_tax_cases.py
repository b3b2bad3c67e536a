"""The worked cases of tax, each with its source: explicit rules, a customer, a top-up that is paid, its invoice.

Electronically supplied services; 22 November 2026 unless a case says otherwise.
"""

from __future__ import annotations

from datetime import date, datetime

import pytest
from attrs import frozen

from prepaid import (
    Address,
    Bonus,
    Fixed,
    InvalidRequest,
    Money,
    Registration,
    TaxComponent,
    TaxProfile,
    TaxRule,
)
from prepaid.core.taxation import TaxDecision
from prepaid.testing.registers import ScriptedRegister
from tests.use_cases.promotion_steps import promote
from tests.use_cases.steps import ADA, SQLITE, checkout_of, operator, rows, seller, start, top_up

pytestmark = SQLITE

SINCE = date(2014, 1, 1)
RATES = {"DE": "19", "FR": "20", "ES": "21", "FI": "25.5", "EE": "24", "PT": "23", "AT": "20", "IT": "22"}
DIRECTIVE = "2006/112/EC Art. 44, 45, 58, 196"


def rule(country: str, *components: tuple[str, str], **more: object) -> TaxRule:
    return TaxRule(country, components, **{"valid_from": SINCE, "source": "case", **more})


UNION = tuple(rule(country, ("VAT", rate), requires_registration=("local", "oss")) for country, rate in RATES.items())
REVERSED = rule(
    "EU", customer="business", tax_id="valid", seller="other_country", treatment="reverse_charge", priority=1
)
ABROAD = rule("*", seller="other_country", treatment="out_of_scope")
AT_HOME = rule("EU", ("USt", "19"), seller="other_country", jurisdiction="DE")
BRITISH = rule("GB", ("VAT", "20"), requires_registration="local")
ISLANDS = rule("ES", ("IGIC", "7"), territory="ES-CN", category="L", requires_registration="local")
EUROPEAN = (*UNION, ABROAD, BRITISH, ISLANDS)
WITH_REVERSE = (*EUROPEAN, REVERSED)

INDIAN = (
    rule("IN", ("CGST", "9"), ("SGST", "9"), seller="same_subdivision"),
    rule("IN", ("IGST", "18"), seller="other_subdivision"),
)
CANADIAN = (
    rule("CA", ("GST", "5")),
    rule("CA", ("HST", "13"), subdivision="CA-ON"),
    rule("CA", ("GST", "5"), ("QST", "9.975"), subdivision="CA-QC"),
    rule("CA", ("GST", "5"), ("PST", "7"), subdivision="CA-BC"),
)

DE_LOCAL, OSS = Registration(country="DE"), Registration(country="DE", scheme="oss")
GERMAN = {"registrations": (DE_LOCAL, OSS)}
GERMAN_ALONE = {"registrations": (DE_LOCAL,)}
SPANISH = {
    "address": Address(city="Madrid", postcode="28001", country="ES"),
    "tax_ids": ("ESB64717838",),
    "registrations": (Registration(country="ES"), Registration(country="ES", scheme="oss")),
}
MUMBAI = {"address": Address(city="Mumbai", country="IN", subdivision="IN-MH"), "tax_ids": ("27AAPFU0939F1ZV",)}
TORONTO = {"address": Address(city="Toronto", country="CA", subdivision="CA-ON"), "tax_ids": ()}


def person(country: str, **where: str) -> TaxProfile:
    return TaxProfile(address=Address(country=country, **where))


def firm(country: str, tax_id: str, **where: str) -> TaxProfile:
    return TaxProfile(kind="business", company="Ada & Co", address=Address(country=country, **where), tax_id=tax_id)


@frozen(kw_only=True)
class Case:
    """One row: what is known, what must come out, and who says so."""

    seller: dict
    rules: tuple[TaxRule, ...]
    buyer: TaxProfile
    net: str = "10.00"
    currency: str = "EUR"
    treatment: str = "standard"
    category: str = "S"
    taxes: tuple[tuple[str, str], ...] = ()
    jurisdiction: str = ""
    reason: str = ""
    source: str


CASES = {
    "D01 consumer at home": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("DE"), taxes=(("VAT", "1.90"),), jurisdiction="DE",
        source="2006/112/EC Art. 45 and 58",
    ),
    "D02 business at home, with a valid id": Case(
        seller=GERMAN, rules=WITH_REVERSE, buyer=firm("DE", "DE136695976"), taxes=(("VAT", "1.90"),),
        jurisdiction="DE", source="2006/112/EC Art. 193",
    ),
    "D03 business abroad, with a valid id": Case(
        seller=GERMAN, rules=WITH_REVERSE, buyer=firm("FR", "FR40303265045"), treatment="reverse_charge",
        category="AE", reason="VATEX-EU-AE", jurisdiction="FR", source="2006/112/EC Art. 44, 196, 226(4) and (11a)",
    ),
    "D04 consumer abroad, OSS": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("FR"), taxes=(("VAT", "2.00"),), jurisdiction="FR",
        source="2006/112/EC Art. 58",
    ),
    "D05 consumer abroad, below the threshold": Case(
        seller=GERMAN_ALONE, rules=(*EUROPEAN, AT_HOME), buyer=person("FR"), taxes=(("USt", "1.90"),),
        jurisdiction="DE", source="2006/112/EC Art. 59c",
    ),
    "D06 a number of the wrong form": Case(
        seller=GERMAN, rules=WITH_REVERSE, buyer=firm("FR", "FR40303265046"), taxes=(("VAT", "2.00"),),
        jurisdiction="FR", source="282/2011 Art. 18; check digits of French VAT numbers",
    ),
    "D07 a number its register does not know": Case(
        seller=GERMAN, rules=WITH_REVERSE, buyer=firm("FR", "FR23334175221"), taxes=(("VAT", "2.00"),),
        jurisdiction="FR", source="282/2011 Art. 18(2)",
    ),
    "D10 consumer outside the EU": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("US"), treatment="out_of_scope", category="O",
        reason="VATEX-EU-O", jurisdiction="US", source="2006/112/EC Art. 58",
    ),
    "D11 consumer in the UK, registered there": Case(
        seller={"registrations": (DE_LOCAL, OSS, Registration(country="GB"))}, rules=EUROPEAN, buyer=person("GB"),
        taxes=(("VAT", "2.00"),), jurisdiction="GB", source="VATA 1994 Sch. 4A para. 15",
    ),
    "D12 consumer in the UK, not registered there": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("GB"), treatment="not_collecting", category="O",
        reason="not-collecting", source="docs.stripe.com/tax/zero-tax: not_collecting",
    ),
    "D13 consumer on the Canary Islands": Case(
        seller=SPANISH, rules=EUROPEAN, buyer=person("ES", postcode="35001"), treatment="not_collecting",
        category="O", reason="not-collecting", source="2006/112/EC Art. 6(1)(b)",
    ),
    "D13 the same, with a rule for those who are not registered there": Case(
        seller=SPANISH, rules=(*EUROPEAN, rule("ES", territory="ES-CN", treatment="out_of_scope")),
        buyer=person("ES", postcode="35001"), treatment="out_of_scope", category="O", reason="VATEX-EU-O",
        jurisdiction="ES-CN", source="2006/112/EC Art. 6(1)(b)",
    ),
    "D13 the same, registered there": Case(
        seller={**SPANISH, "registrations": (Registration(country="ES", subdivision="ES-CN"),)},
        rules=EUROPEAN, buyer=person("ES", postcode="35001"), category="L", taxes=(("IGIC", "0.70"),),
        jurisdiction="ES-CN", source="Ley 20/1991 Art. 27; EN 16931 category L",
    ),
    "D14 consumer on Åland": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("FI", postcode="22100"), treatment="out_of_scope", category="O",
        reason="VATEX-EU-O", jurisdiction="AX", source="2006/112/EC Art. 6(1)(d)",
    ),
    "D14 consumer in Helsinki": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("FI", postcode="00100"), taxes=(("VAT", "2.55"),),
        jurisdiction="FI", source="Arvonlisäverolaki 84 §",
    ),
    "D15 consumer in Monaco": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("MC"), taxes=(("VAT", "2.00"),), jurisdiction="FR",
        source="2006/112/EC Art. 7",
    ),
    "D16 India, same state": Case(
        seller=MUMBAI, rules=INDIAN, buyer=person("IN", subdivision="IN-MH"), net="1000.00", currency="INR",
        taxes=(("CGST", "90.00"), ("SGST", "90.00")), jurisdiction="IN", source="IGST Act s. 8",
    ),
    "D17 India, other state by the GSTIN": Case(
        seller=MUMBAI, rules=INDIAN, buyer=firm("IN", "29AAPFU0939F1ZR"), net="1000.00", currency="INR",
        taxes=(("IGST", "180.00"),), jurisdiction="IN", source="IGST Act s. 7 and 12(2)",
    ),
    "D18 Ontario": Case(
        seller=TORONTO, rules=CANADIAN, buyer=person("CA", subdivision="CA-ON"), net="100.00", currency="CAD",
        taxes=(("HST", "13.00"),), jurisdiction="CA-ON", source="Excise Tax Act s. 165(2); CRA table of rates",
    ),
    "D19 Quebec": Case(
        seller=TORONTO, rules=CANADIAN, buyer=person("CA", subdivision="CA-QC"), net="100.00", currency="CAD",
        taxes=(("GST", "5.00"), ("QST", "9.98")), jurisdiction="CA-QC", source="example of Revenu Québec",
    ),
    "D20 British Columbia": Case(
        seller=TORONTO, rules=CANADIAN, buyer=person("CA", subdivision="CA-BC"), net="100.00", currency="CAD",
        taxes=(("GST", "5.00"), ("PST", "7.00")), jurisdiction="CA-BC", source="CRA and British Columbia tables",
    ),
    "D23 rounded once on the document": Case(
        seller=GERMAN, rules=EUROPEAN, buyer=person("DE"), net="0.99", taxes=(("VAT", "0.19"),), jurisdiction="DE",
        source="EN 16931 BR-CO-17",
    ),
}  # fmt: skip


@pytest.fixture
def register():
    """Give a register that knows one German and one French number."""
    return ScriptedRegister(["DE136695976", "FR40303265045"])


@pytest.fixture
def shop(open_billing, register):
    """Give a function that opens a billing system with a seller and rules, for a customer with a profile."""

    def open_shop(case_seller: dict, rules, buyer: TaxProfile | None, currency: str = "EUR", **changes):
        billing = open_billing(
            seller=seller(**{**case_seller, **changes}),
            currencies=(currency,),
            tax_id_registers=[register],
        )
        billing.customers.register(ADA, email="ada@example.com", name="Ada", currency=currency)
        for each in rules:
            operator(billing).tax.add(each)
        if buyer is not None:
            billing.customer(ADA).tax_profile.set(buyer)
        return billing

    return open_shop


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_taxed_as_its_source_says(shop, simulated, name):
    case = CASES[name]
    billing = shop(case.seller, case.rules, case.buyer, case.currency)

    topup = top_up(billing, simulated, case.net, currency=case.currency)

    tax = topup.tax
    assert (tax.treatment, tax.category) == (case.treatment, case.category)
    assert [(line.name, line.amount) for line in tax.lines] == [
        (component, Money.of(amount, case.currency)) for component, amount in case.taxes
    ]
    assert (tax.jurisdiction, tax.reason) == (case.jurisdiction, case.reason)
    assert tax.net == Money.of(case.net, case.currency)
    assert tax.explanation
    assert case.source
    [invoice] = billing.customer(ADA).invoices.list().items
    assert (invoice.tax, invoice.total) == (tax, tax.gross)
    assert billing.check().ok


def decided(billing, buyer: TaxProfile, amount: str = "100.00", **options) -> TaxDecision:
    return operator(billing).tax.explain(buyer, Money.of(amount, "EUR"), **options)


def test_d03_the_invoice_has_the_note_and_both_ids(shop, simulated):
    billing = shop(GERMAN, WITH_REVERSE, firm("FR", "fr 40 303 265 045"))

    top_up(billing, simulated, "10.00")

    [invoice] = billing.customer(ADA).invoices.list().items
    assert invoice.tax.note == "Reverse charge"
    assert (invoice.seller.tax_ids, invoice.buyer.tax_ids) == (("DE136695976",), ("FR40303265045",))
    assert (invoice.tax.tax_id_state, invoice.tax.consultation) == ("valid", "scripted-1")
    assert invoice.tax.checked_at is not None


def test_d06_a_malformed_number_is_warned_of(shop):
    billing = shop(GERMAN, WITH_REVERSE, firm("FR", "FR40303265046"))

    tax = billing.customer(ADA).topups.quote(Money.of("10.00", "EUR")).tax

    assert tax.tax_id_state == "malformed"
    assert "The tax id is not a number of its country." in tax.warnings
    assert "not a number of its country" in tax.explanation


def test_d07_a_number_that_is_not_valid_is_not_printed(shop, simulated):
    billing = shop(GERMAN, WITH_REVERSE, firm("FR", "FR23334175221"))

    top_up(billing, simulated, "10.00")

    [invoice] = billing.customer(ADA).invoices.list().items
    assert (invoice.tax.tax_id_state, invoice.buyer.tax_ids) == ("invalid", ())


def test_d08_and_d09_an_outage_is_charged_and_a_late_answer_is_a_correction_to_offer(shop, register, simulated, clock):
    register.down()
    billing = shop(GERMAN, WITH_REVERSE, firm("FR", "FR40303265045"))
    top_up(billing, simulated, "10.00")
    [before] = billing.customer(ADA).invoices.list().items
    assert (before.tax.tax_id_state, before.tax.policy, before.tax.total) == (
        "unavailable", "charge", Money.of("2.00", "EUR"),
    )  # fmt: skip
    assert operator(billing).tax.corrections().items == ()

    clock.advance(days=2)
    register.up()
    billing.run_due()

    [offered] = operator(billing).tax.corrections().items
    assert (offered.kind, offered.invoice_number, offered.tax) == (
        "tax-to-return", before.number, Money.of("2.00", "EUR"),
    )  # fmt: skip
    assert billing.customer(ADA).invoices.list().items == (before,)
    assert billing.customer(ADA).topups.quote(Money.of("10.00", "EUR")).tax.treatment == "reverse_charge"


def test_d12_what_is_missing_is_named(shop):
    billing = shop(GERMAN, EUROPEAN, person("GB"))

    tax = billing.customer(ADA).topups.quote(Money.of("10.00", "EUR")).tax

    assert tax.warnings == ("No registration (local) for GB.",)


def test_d21_a_price_that_contains_its_tax(shop, simulated):
    billing = shop(GERMAN, EUROPEAN, person("DE"), prices="inclusive")

    topup = top_up(billing, simulated, "100.00")

    assert (topup.credit, topup.tax.total) == (Money.of("84.03", "EUR"), Money.of("15.97", "EUR"))
    assert topup.total == Money.of("100.00", "EUR")


@pytest.mark.parametrize(("day", "tax"), [(date(2025, 6, 30), "22.00"), (date(2025, 7, 1), "24.00")])
def test_d22_estonia_changes_its_rate_at_midnight(shop, day, tax):
    """Käibemaksuseadus § 15, RT I, 31.12.2024, 1."""
    rates = (
        rule("EE", ("KM", "22"), valid_from=date(2024, 1, 1), valid_to=date(2025, 7, 1)),
        rule("EE", ("KM", "24"), valid_from=date(2025, 7, 1)),
    )
    billing = shop(GERMAN, rates, None)

    assert decided(billing, person("EE"), day=day).total == Money.of(tax, "EUR")


@pytest.mark.parametrize(
    ("at", "tax"),
    [
        ("2020-06-30T23:59:59+02:00", "19.00"),
        ("2020-07-01T00:00:00+02:00", "16.00"),
        ("2020-12-31T23:59:59+01:00", "16.00"),
        ("2021-01-01T00:00:00+01:00", "19.00"),
    ],
)
def test_d24_germany_lowers_its_rate_for_half_a_year(shop, clock, at, tax):
    """Zweites Corona-Steuerhilfegesetz, BGBl. I 2020 S. 1512; the day is the seller's."""
    spans = [("19", (2007, 1), (2020, 7)), ("16", (2020, 7), (2021, 1)), ("19", (2021, 1), (2100, 1))]
    rates = [
        rule("DE", ("USt", rate), valid_from=date(*begin, 1), valid_to=date(*end, 1)) for rate, begin, end in spans
    ]
    # Each rule follows the one before, so that none may be missing between them.
    billing = shop(GERMAN, rates, person("DE"))
    clock.set(datetime.fromisoformat(at))

    assert billing.customer(ADA).topups.quote(Money.of("100.00", "EUR")).tax.total == Money.of(tax, "EUR")


def test_d25_an_exemption_of_an_operator_is_on_the_invoice(shop, simulated):
    billing = shop(GERMAN, EUROPEAN, person("DE"))
    operator(billing).customers.exempt(ADA, reason="Diplomatic mission", code="VATEX-EU-151-1A")

    tax = top_up(billing, simulated, "10.00").tax

    assert (tax.treatment, tax.category, tax.reason) == ("exempt", "E", "VATEX-EU-151-1A")
    assert (tax.note, tax.approved_by, tax.total) == ("Diplomatic mission", "alice@nimbus.example", Money.zero("EUR"))
    [invoice] = billing.customer(ADA).invoices.list().items
    assert invoice.tax == tax


def test_d26_two_rules_of_equal_rank_are_refused_when_the_second_is_added(shop):
    billing = shop(GERMAN, [rule("PT", ("IVA", "22"), postcode="9[0-4]#####")], None)

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).tax.add(rule("PT", ("IVA", "16"), postcode="94#####|9[5-9]#####"))

    assert refused.value.field == "priority"
    assert len(operator(billing).tax.list()) == 1
    operator(billing).tax.add(rule("PT", ("IVA", "16"), postcode="9[5-9]#####"))


def test_d27_a_number_that_was_taken_by_an_issue_that_failed_is_the_next_ones(shop, simulated, monkeypatch):
    billing = shop(GERMAN, EUROPEAN, person("DE"))
    topup = start(billing, "10.00")
    simulated.pay(checkout_of(topup))
    with monkeypatch.context() as broken:
        broken.setattr("prepaid.documents.tax_entries.add_invoice", lambda tx, invoice: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            billing.customer(ADA).topups.confirm(topup.id)
    assert rows(billing, "SELECT 1 FROM prepaid_invoice WHERE book_id = :book") == []

    billing.customer(ADA).topups.confirm(topup.id)

    [invoice] = billing.customer(ADA).invoices.list().items
    assert invoice.number == "TINV26-000001"


def test_d28_a_bonus_bears_no_tax(shop, simulated):
    """2006/112/EC Art. 79(b): a price reduction, so that the taxable amount is what was paid."""
    billing = shop(GERMAN, EUROPEAN, person("DE"))
    promote(billing, effect=Bonus(Fixed(Money.of("20.00", "EUR"))))
    topup = top_up(billing, simulated, "100.00", code="SAVE10")

    assert (topup.tax.lines[0].base, topup.tax.total) == (Money.of("100.00", "EUR"), Money.of("19.00", "EUR"))
    assert billing.customer(ADA).balance().settled == Money.of("120.00", "EUR")
    [owed] = operator(billing).reports.tax(date(2026, 1, 1), date(2027, 1, 1))
    assert (owed.jurisdiction, owed.name, owed.base, owed.amount) == (
        "DE", "VAT", Money.of("100.00", "EUR"), Money.of("19.00", "EUR"),
    )  # fmt: skip


def test_components_may_build_on_each_other_and_on_a_part_of_the_price(shop, simulated):
    """As the QST did before 2013, and as service tax is taken on a part of the value."""
    compound = TaxRule(
        "CA",
        (TaxComponent("GST", "5"), TaxComponent("QST", "9.5", ("GST",)), TaxComponent("Levy", "10", (), "60")),
        valid_from=SINCE,
    )
    billing = shop(GERMAN, [compound], person("CA"))

    tax = top_up(billing, simulated, "100.00").tax

    assert [(line.name, str(line.base.amount), str(line.amount.amount)) for line in tax.lines] == [
        ("GST", "100.00", "5.00"),
        ("QST", "105.00", "9.98"),
        ("Levy", "60.00", "6.00"),
    ]


@pytest.mark.parametrize("state", ["valid", "manual"])
def test_an_operator_may_suppose_a_state_of_a_tax_id_that_nobody_has(shop, state):
    billing = shop(GERMAN, WITH_REVERSE, None)
    nobody = TaxProfile(kind="business", company="Any", address=Address(country="FR"))

    assert decided(billing, nobody).treatment == "standard"
    assert decided(billing, nobody, tax_id_state=state).treatment == "reverse_charge"
    for other in ("none", "malformed", "format_only", "pending", "invalid", "unavailable", "expired"):
        assert decided(billing, nobody, tax_id_state=other).treatment == "standard"


@pytest.mark.parametrize(
    ("buyer", "matters"),
    [
        (person("FR"), False),
        (firm("FR", "FR40303265045"), True),
        (firm("FR", "FR23334175221"), True),
        (firm("FR", "FR1"), True),
        (firm("DE", "DE136695976"), False),
        (firm("US", "91-1144442"), False),
    ],
)
def test_a_decision_says_whether_the_tax_id_matters(shop, buyer, matters):
    billing = shop(GERMAN, WITH_REVERSE, buyer)

    assert billing.customer(ADA).topups.quote(Money.of("10.00", "EUR")).tax.tax_id_matters is matters
