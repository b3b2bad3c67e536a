"""What operators and hosts say of a customer: an exemption, a number they vouch for, evidence of a place."""

from __future__ import annotations

from datetime import date

import pytest
from attrs import evolve

import prepaid
from prepaid import (
    Address,
    Evidence,
    NotAllowed,
    NotFound,
    TaxProfile,
    TaxProfileInvalid,
    TaxRule,
    WrongState,
    permissions,
)
from tests.use_cases.steps import ADA, EVE, SQLITE, at, counts, eur, operator, rows, start, top_up
from tests.use_cases.tax_steps import (
    OTHER_FRENCH,
    WRONG_DIGIT,
    at_once,
    be,
    business,
    buy,
    consumer,
    pay,
    quoted,
    run_checks,
    state,
)

TOMORROW = date(2026, 11, 24)


def audited(billing, *actions):
    """Give actor, action and reason of audit rows, the oldest first."""
    entries = reversed(operator(billing).audit.list().items)
    return [(entry.actor, entry.action, entry.reason) for entry in entries if entry.action in actions]


# An operator's word


def test_an_operator_vouches_for_a_number_until_a_day_and_it_is_audited(wired, register, simulated, clock):
    billing = wired()
    be(billing, business(OTHER_FRENCH))
    tax = operator(billing).tax

    tax.verify_id(ADA, reason="letter of the tax office", valid_to=date(2026, 12, 1))

    decision = buy(billing, simulated)[1].tax
    assert (decision.treatment, decision.tax_id_state) == ("reverse_charge", "manual")
    assert decision.approved_by == "alice@nimbus.example"
    clock.set(at(2026, 11, 30, 22, 59))
    assert quoted(billing).tax_id_state == "manual"
    clock.set(at(2026, 11, 30, 23, 0))  # midnight in Berlin
    assert (quoted(billing).tax_id_state, state(billing)) == ("invalid", "invalid")
    assert audited(billing, "tax-tax-id") == [("alice@nimbus.example", "tax-tax-id", "letter of the tax office")]
    assert billing.check().ok


def test_what_an_operator_vouched_for_ends_when_they_say_so(wired, register):
    billing = wired()
    be(billing, business(OTHER_FRENCH))
    tax = operator(billing).tax
    tax.verify_id(ADA, reason="letter")
    assert state(billing) == "manual"

    tax.unverify_id(ADA, reason="the letter was forged")

    assert (state(billing), quoted(billing).treatment) == ("invalid", "standard")
    assert [entry[1:] for entry in audited(billing, "tax-tax-id", "tax-tax-id-end")] == [
        ("tax-tax-id", "letter"),
        ("tax-tax-id-end", "the letter was forged"),
    ]
    assert tax.of_customer(ADA).approvals == ()


@SQLITE
def test_an_operators_word_is_about_one_number_of_one_customer(wired, register):
    billing = wired()
    be(billing, business(OTHER_FRENCH))
    be(billing, business(OTHER_FRENCH), customer=EVE)
    operator(billing).tax.verify_id(ADA, reason="letter")

    assert (state(billing), state(billing, EVE)) == ("manual", "invalid")
    be(billing, business("FR83404833048"))
    assert state(billing) == "invalid"
    be(billing, business(OTHER_FRENCH))
    assert state(billing) == "manual"


@SQLITE
def test_an_operators_word_asks_nobody_and_an_answer_does_not_end_it(wired, register, clock):
    billing = wired()
    register.down()
    be(billing, business(OTHER_FRENCH))
    operator(billing).tax.verify_id(ADA, reason="letter")
    register.up()
    clock.advance(days=3)

    asked = len(register.asked)
    assert start(billing).tax.tax_id_state == "manual"
    assert len(register.asked) == asked
    run_checks(billing)
    assert state(billing) == "manual"


@SQLITE
@pytest.mark.parametrize("profile", [None, consumer(), business(WRONG_DIGIT)])
def test_nobody_can_vouch_for_what_is_no_number(wired, profile):
    billing = wired()
    if profile is not None:
        billing.customer(ADA).tax_profile.set(profile)
    before = counts(billing)

    with pytest.raises(WrongState) as refused:
        operator(billing).tax.verify_id(ADA, reason="letter")

    assert (refused.value.field, counts(billing)) == ("tax_id", before)


@SQLITE
def test_nothing_to_end_is_not_found(wired):
    billing = wired()
    be(billing, business())
    before = counts(billing)

    for end in (operator(billing).tax.unverify_id, operator(billing).customers.end_exemption):
        with pytest.raises(NotFound):
            end(ADA, reason="why not")
    assert counts(billing) == before


# Exemptions


def test_d25_an_exempt_customer_pays_no_tax_and_the_document_says_why_and_who_approved_it(wired, simulated):
    billing = wired()
    be(billing, consumer())
    operator(billing).customers.exempt(ADA, reason="Embassy of Freedonia", code="VATEX-EU-151")

    topup, invoice = buy(billing, simulated)

    for tax in (topup.tax, invoice.tax):
        assert (tax.treatment, tax.category, tax.reason, tax.note) == (
            "exempt", "E", "VATEX-EU-151", "Embassy of Freedonia",
        )  # fmt: skip
        assert (tax.total, tax.gross, tax.approved_by) == (eur("0"), eur("10"), "alice@nimbus.example")
    assert audited(billing, "tax-exemption") == [("alice@nimbus.example", "tax-exemption", "Embassy of Freedonia")]
    assert billing.check().ok


def test_an_exemption_ends_on_its_day_or_when_an_operator_says_so(wired, clock):
    billing = wired()
    be(billing, consumer())
    door = operator(billing).customers
    door.exempt(ADA, reason="school", valid_to=TOMORROW)
    assert quoted(billing).treatment == "exempt"

    clock.set(at(2026, 11, 23, 23, 0))  # midnight in Berlin
    assert quoted(billing).treatment == "standard"
    door.exempt(ADA, reason="school again")
    assert quoted(billing).note == "school again"
    door.end_exemption(ADA, reason="closed")
    assert quoted(billing).treatment == "standard"
    assert [entry[1:] for entry in audited(billing, "tax-exemption", "tax-exemption-end")] == [
        ("tax-exemption", "school"), ("tax-exemption", "school again"), ("tax-exemption-end", "closed"),
    ]  # fmt: skip


@SQLITE
def test_an_exemption_changes_no_sale_that_bears_no_tax_anyway(wired):
    billing = wired()
    operator(billing).tax.add(prepaid.TaxRule("US", treatment="out_of_scope", valid_from=date(2014, 1, 1)))
    for customer in (ADA, EVE):
        be(billing, consumer("US"), customer=customer)
    operator(billing).customers.exempt(ADA, reason="school")

    assert evolve(quoted(billing), approved_by="") == quoted(billing, EVE)
    be(billing, consumer("BR"))
    assert quoted(billing).treatment == "not_collecting"
    be(billing, business())
    assert quoted(billing).treatment == "reverse_charge"


@SQLITE
def test_approvals_need_the_permission_to_write_tax(wired):
    billing = wired()
    be(billing, business())
    before = counts(billing)
    door = operator(billing, granted=permissions.ALL - {permissions.TAX_WRITE})

    for call in (door.tax.verify_id, door.tax.unverify_id, door.customers.exempt, door.customers.end_exemption):
        with pytest.raises(NotAllowed):
            call(ADA, reason="because")
    with pytest.raises(NotAllowed):
        operator(billing, granted=permissions.ALL - {permissions.TAX_READ}).tax.of_customer(ADA)
    assert counts(billing) == before


def test_two_operators_who_exempt_at_once_leave_one_exemption(wired, open_billing):
    billing = wired()
    other = open_billing(tax_id_registers=[])
    be(billing, consumer())

    results = at_once(
        lambda: operator(billing).customers.exempt(ADA, reason="school"),
        lambda: operator(other, "bob@nimbus.example").customers.exempt(ADA, reason="embassy"),
    )

    assert results == [None, None]
    operator(billing).customers.end_exemption(ADA, reason="both were wrong")
    assert quoted(billing).treatment == "standard"


# Where a customer is


def learn(billing, *pieces, customer=ADA):
    for kind, country in pieces:
        billing.customers.evidence(customer, Evidence(kind=kind, country=country, reference="203.0.113.0/24"))


@SQLITE
@pytest.mark.parametrize(
    ("pieces", "country", "warnings"),
    [
        ((), "FR", ()),
        ((("ip", "FR"),), "FR", ()),
        ((("ip", "ES"),), "FR", ("Some evidence points to ES, the address to FR.",)),
        ((("ip", "ES"), ("card", "ES")), "ES", ("Evidence points to ES, the address to FR.",)),
        ((("ip", "ES"), ("card", "ES"), ("bank", "FR")), "FR", ("Some evidence points to ES, the address to FR.",)),
        ((("ip", "ES"), ("card", "DE")), "FR",
         ("Some evidence points to ES, the address to FR.", "Some evidence points to DE, the address to FR.")),
        ((("billing", "ES"), ("ip", "ES")), "ES", ("Evidence points to ES, the address to FR.",)),
        ((("ip", "MC"), ("card", "MC")), "FR", ()),
    ],
)  # fmt: skip
def test_a_consumer_is_where_most_of_the_evidence_says(wired, pieces, country, warnings):
    billing = wired()
    be(billing, consumer())
    learn(billing, *pieces)

    tax = quoted(billing)

    assert (tax.place, tax.jurisdiction, set(tax.warnings)) == (country, country, set(warnings))
    assert tax.evidence[0] == "address FR"


@SQLITE
def test_two_pieces_of_evidence_are_asked_for_by_a_warning(wired):
    billing = wired(evidence_required=2)
    be(billing, consumer())
    assert quoted(billing).warnings == ("Too little tells the place; 2 agreeing pieces of evidence are asked for.",)
    learn(billing, ("ip", "FR"))
    assert (quoted(billing).warnings, quoted(billing).evidence) == ((), ("address FR", "ip FR"))


@SQLITE
def test_a_contradiction_that_nothing_settles_goes_to_the_place_with_tax(wired):
    abroad = TaxRule("*", seller="other_country", treatment="out_of_scope", valid_from=date(2014, 1, 1))
    billing = wired(evidence_required=2)
    operator(billing).tax.add(abroad)
    be(billing, TaxProfile(address=Address(country="US")))
    assert quoted(billing).treatment == "out_of_scope"

    learn(billing, ("ip", "FR"))

    tax = quoted(billing)
    assert (tax.place, tax.treatment) == ("FR", "standard")
    assert "Evidence points to FR, the address to US." in tax.warnings
    learn(billing, ("card", "US"))
    assert quoted(billing).treatment == "out_of_scope"


@SQLITE
def test_whoever_only_says_to_be_a_business_is_placed_by_the_evidence(wired):
    abroad = TaxRule("*", seller="other_country", treatment="out_of_scope", valid_from=date(2014, 1, 1))
    billing = wired()
    operator(billing).tax.add(abroad)
    be(billing, TaxProfile(kind="business", company="Shell Inc.", address=Address(country="US")))
    learn(billing, ("ip", "FR"), ("card", "FR"))

    assert (quoted(billing).place, quoted(billing).treatment) == ("FR", "standard")


@SQLITE
@pytest.mark.parametrize(("required", "where"), [(1, "RE"), (2, "FR")])
def test_cards_of_the_country_around_an_island_move_nobody_but_settle_nothing(wired, required, where):
    billing = wired(evidence_required=required)
    operator(billing).tax.add(TaxRule("FR", territory="RE", treatment="out_of_scope", valid_from=date(2014, 1, 1)))
    be(billing, TaxProfile(address=Address(country="FR", postcode="97400")))
    learn(billing, ("ip", "FR"), ("card", "FR"))

    assert quoted(billing).place == where
    learn(billing, ("ip", "RE"))
    assert quoted(billing).place == "RE"


@SQLITE
def test_cards_of_the_country_speak_for_a_part_of_it_without_a_code_of_its_own(wired):
    billing = wired(evidence_required=2)
    operator(billing).tax.add(TaxRule("ES", territory="ES-CN", treatment="out_of_scope", valid_from=date(2014, 1, 1)))
    be(billing, TaxProfile(address=Address(country="ES", postcode="35001")))
    learn(billing, ("ip", "ES"), ("card", "ES"))

    assert (quoted(billing).place, quoted(billing).warnings) == ("ES-CN", ())


@SQLITE
def test_of_several_countries_that_evidence_names_the_one_with_tax_decides(wired):
    billing = wired(evidence_required=2)
    operator(billing).tax.add(
        TaxRule("*", seller="other_country", treatment="out_of_scope", valid_from=date(2014, 1, 1))
    )
    be(billing, TaxProfile(address=Address(country="CH")))
    learn(billing, ("card", "US"), ("ip", "FR"))

    assert (quoted(billing).place, quoted(billing).treatment) == ("FR", "standard")


@SQLITE
def test_a_postal_code_that_decides_the_tax_is_asked_for(wired):
    billing = wired(rules=False)
    austin = TaxRule("US", (("Sales tax", "8.25"),), postcode="787##", valid_from=date(2014, 1, 1))
    for rule in (austin, TaxRule("US", treatment="not_collecting", valid_from=date(2014, 1, 1))):
        operator(billing).tax.add(rule)
    be(billing, TaxProfile(address=Address(country="US")))

    with pytest.raises(TaxProfileInvalid) as refused:
        quoted(billing)

    assert refused.value.field == "postcode"
    be(billing, TaxProfile(address=Address(country="US", postcode="78701-1234")))
    assert quoted(billing).treatment == "standard"


@SQLITE
def test_an_operators_word_is_about_a_number_of_one_country(wired):
    billing = wired(rules=False)
    for country in ("NZ", "HK"):
        for more in (
            {"components": (("GST", "15"),)},
            {"treatment": "reverse_charge", "tax_id": "valid", "customer": "business"},
        ):
            operator(billing).tax.add(TaxRule(country, valid_from=date(2014, 1, 1), **more))
    numbered = TaxProfile(kind="business", company="Acme", address=Address(country="HK"), tax_id="49091850")
    be(billing, numbered)
    operator(billing).tax.verify_id(ADA, reason="seen")
    assert quoted(billing).treatment == "reverse_charge"

    be(billing, evolve(numbered, address=Address(country="NZ")))

    assert (quoted(billing).tax_id_state, quoted(billing).treatment) == ("format_only", "standard")


@SQLITE
def test_an_operators_word_between_start_and_payment_counts(wired, register, simulated):
    billing = wired()
    register.down()
    be(billing, business())
    topup = start(billing, "10.00")
    operator(billing).tax.verify_id(ADA, reason="certificate seen")

    pay(billing, simulated, topup)

    [offered] = operator(billing).tax.corrections().items
    assert offered.kind == "tax-to-return"


@SQLITE
def test_evidence_of_more_than_half_a_year_ago_tells_nothing(wired, clock):
    billing = wired()
    be(billing, consumer())
    learn(billing, ("ip", "ES"), ("card", "ES"))
    clock.advance(days=179)
    assert quoted(billing).place == "ES"

    clock.advance(days=2)

    assert (quoted(billing).place, quoted(billing).evidence) == ("FR", ("address FR",))


@SQLITE
def test_a_state_that_decides_the_tax_is_asked_for(wired):
    texas = TaxRule("US", (("Sales tax", "8.25"),), subdivision="US-TX", valid_from=date(2014, 1, 1))
    abroad = TaxRule("*", treatment="out_of_scope", valid_from=date(2014, 1, 1))
    billing = wired(rules=False)
    for rule in (texas, abroad):
        operator(billing).tax.add(rule)
    be(billing, TaxProfile(address=Address(country="US")))

    with pytest.raises(TaxProfileInvalid) as refused:
        quoted(billing)

    assert refused.value.field == "subdivision"
    be(billing, TaxProfile(address=Address(country="US", subdivision="US-TX")))
    assert quoted(billing).treatment == "standard"
    be(billing, TaxProfile(address=Address(country="US", subdivision="US-OR")))
    assert quoted(billing).treatment == "out_of_scope"


@SQLITE
def test_an_operators_word_offers_what_was_charged_before_it(wired, register, simulated):
    billing = wired()
    register.down()
    for customer in (ADA, EVE):
        be(billing, business(), customer=customer)
        top_up(billing, simulated, "10.00", customer=customer)

    operator(billing).tax.verify_id(ADA, reason="certificate seen")

    [offered] = operator(billing).tax.corrections().items
    assert (offered.customer, offered.kind) == (ADA, "tax-to-return")
    [waiting] = operator(billing).tax.corrections(state="waiting").items
    assert waiting.customer == EVE


@SQLITE
def test_a_business_is_where_its_address_is(wired):
    billing = wired()
    be(billing, business())
    learn(billing, ("ip", "ES"), ("card", "ES"), ("bank", "ES"))

    assert (quoted(billing).place, quoted(billing).treatment) == ("FR", "reverse_charge")


def test_the_same_evidence_again_is_kept_once_and_all_other_for_ever(wired, simulated):
    billing = wired()
    be(billing, consumer())
    for country in ("FR", "FR", "ES", "ES", "FR"):
        learn(billing, ("ip", country))

    kept = rows(billing, "SELECT country FROM prepaid_location_evidence WHERE book_id = :book ORDER BY id")
    assert [country for (country,) in kept] == ["FR", "ES", "FR"]
    assert [piece.country for piece in operator(billing).tax.of_customer(ADA).evidence] == ["FR"]
    assert "203.0.113" not in repr(quoted(billing))
    buy(billing, simulated)
    assert billing.check().ok
