"""Tax ids as their customers see them: what one is worth when something is bought, and what is frozen then."""

from __future__ import annotations

import pytest

from prepaid import Address, QuoteChanged, TaxProfileInvalid
from tests.use_cases.steps import ADA, BACK, BILLING, SQLITE, counts, eur, operator, start
from tests.use_cases.tax_steps import (
    FRENCH,
    OTHER_FRENCH,
    SPANISH_PERSON,
    WRONG_DIGIT,
    be,
    business,
    buy,
    consumer,
    pay,
    quoted,
    run_checks,
    state,
)


def begin(billing, quote, key="order"):
    return billing.customer(ADA).topups.start(quote, return_url=BACK, cancel_url=BILLING, key=key)


# A profile that changes


@SQLITE
def test_a_new_country_or_number_counts_with_the_next_quote(wired):
    billing = wired()
    found = []
    for profile in (consumer(), business(), business(OTHER_FRENCH), business("", "FR"), business(FRENCH, "ES"),
                    business(FRENCH, "DE"), business(WRONG_DIGIT), business()):  # fmt: skip
        be(billing, profile)
        tax = quoted(billing)
        found.append((tax.treatment, str(tax.total.amount), tax.tax_id_state))

    assert found == [
        ("standard", "2.00", "none"),
        ("reverse_charge", "0.00", "valid"),
        ("standard", "2.00", "invalid"),
        ("standard", "2.00", "none"),
        ("standard", "2.10", "valid"),
        ("standard", "1.90", "valid"),
        ("standard", "2.00", "malformed"),
        ("reverse_charge", "0.00", "valid"),
    ]


@SQLITE
def test_d06_a_number_with_a_wrong_digit_is_taxed_with_a_warning_and_nobody_is_asked(wired, register, simulated):
    billing = wired()
    assert be(billing, business(WRONG_DIGIT)) == "malformed"

    _, invoice = buy(billing, simulated)

    assert (invoice.tax.total, invoice.tax.warnings) == (eur("2"), ("The tax id is not a number of its country.",))
    assert billing.customer(ADA).tax_profile.status().problem
    assert register.asked == []


@SQLITE
def test_d07_a_number_that_is_not_valid_is_taxed(wired, simulated):
    billing = wired()
    assert be(billing, business(OTHER_FRENCH)) == "invalid"

    _, invoice = buy(billing, simulated)

    assert (invoice.tax.total, invoice.tax.treatment, invoice.tax.note) == (eur("2"), "standard", "")


@SQLITE
def test_what_was_set_is_read_back_though_the_register_is_down(wired, register):
    billing = wired()
    register.down()

    assert billing.customer(ADA).tax_profile.set(business()) == business()
    assert billing.customer(ADA).tax_profile.get() == business()


@SQLITE
def test_a_customer_in_northern_ireland_is_told_both_prefixes_of_a_number(wired):
    billing = wired()
    belfast = Address(country="GB", postcode="BT1 5GS")
    be(billing, business("802311781", address=belfast))

    assert "GB or XI" in billing.customer(ADA).tax_profile.status().problem


# An answer of more than a day ago


@pytest.fixture
def stale(wired, register, clock):
    """Give a function that gives a billing system and a quote without tax whose answer is more than a day old."""

    def make(policy="charge", verdict="valid"):
        billing = wired(policy)
        be(billing, business())
        clock.advance(hours=24)
        register.answer(FRENCH, verdict)
        quote = billing.customer(ADA).topups.quote(eur("10"))
        assert (quote.tax.treatment, len(register.asked)) == ("reverse_charge", 1)
        return billing, quote

    return make


@SQLITE
def test_a_sale_without_tax_on_an_old_answer_asks_once_more(stale, register, simulated, clock):
    billing, quote = stale()

    topup = begin(billing, quote)

    assert (topup.tax.total, topup.tax.checked_at) == (eur("0"), clock.now())
    assert register.asked == [FRENCH, FRENCH]
    assert pay(billing, simulated, topup)[1].tax == topup.tax
    start(billing)
    assert len(register.asked) == 2  # good for a day


@SQLITE
def test_a_sale_without_tax_on_an_answer_of_the_last_day_asks_nobody(wired, register, clock):
    billing = wired()
    be(billing, business())
    clock.advance(hours=23, minutes=59, seconds=59)

    assert start(billing).tax.treatment == "reverse_charge"
    assert len(register.asked) == 1


@pytest.mark.parametrize("policy", ["charge", "accept_recent", "hold", "accept_format"])
@SQLITE
def test_a_number_that_is_invalid_by_now_changes_the_quote_whatever_the_policy(stale, policy):
    billing, quote = stale(policy, "invalid")
    before = counts(billing)["topup"]

    with pytest.raises(QuoteChanged) as changed:
        begin(billing, quote)

    fresh = changed.value.quote
    assert (fresh.tax.total, fresh.tax.tax_id_state) == (eur("2"), "invalid")
    assert counts(billing)["topup"] == before
    assert begin(billing, fresh).tax.total == eur("2")


@SQLITE
def test_an_old_answer_that_cannot_be_renewed_changes_the_quote_where_the_policy_is_to_charge(stale, register):
    billing, quote = stale()
    register.down()

    with pytest.raises(QuoteChanged) as changed:
        begin(billing, quote)

    assert (changed.value.quote.tax.total, changed.value.quote.tax.policy) == (eur("2"), "charge")
    asked = len(register.asked)
    topup = begin(billing, changed.value.quote)
    assert (topup.tax.total, topup.tax.policy, len(register.asked)) == (eur("2"), "charge", asked)


@SQLITE
def test_an_old_answer_that_is_too_slow_to_renew_changes_the_quote_and_the_new_one_can_be_started(
    stale, register, monkeypatch
):
    billing, quote = stale()
    monkeypatch.setattr("prepaid.tax.registers.BUDGET_S", 0.1)
    register.hold()

    with pytest.raises(QuoteChanged) as changed:
        begin(billing, quote)

    assert begin(billing, changed.value.quote).tax.total == eur("2")
    register.gate.set()


@SQLITE
def test_an_old_answer_that_cannot_be_renewed_goes_on_with_a_warning_where_recent_ones_count(
    stale, register, simulated
):
    billing, quote = stale("accept_recent")
    register.down()

    topup = begin(billing, quote)

    assert (topup.tax.total, topup.tax.policy, topup.tax.tax_id_state) == (eur("0"), "accept_recent", "unavailable")
    assert topup.tax.warnings == ("The tax id was last found valid on 2026-11-23.",)
    assert "verified lately" in topup.tax.explanation
    assert pay(billing, simulated, topup)[1].tax == topup.tax


@SQLITE
def test_recent_is_thirty_days_and_no_more(wired, register, clock):
    billing = wired("accept_recent")
    be(billing, business())
    register.down()
    clock.advance(days=30)

    assert start(billing, "10.00").tax.policy == "accept_recent"
    clock.advance(seconds=1)
    with pytest.raises(QuoteChanged) as changed:
        start(billing, "10.00")
    assert changed.value.quote.tax.treatment == "standard"


@SQLITE
def test_a_number_that_was_valid_counts_at_the_quote_while_its_register_is_down(wired, register, clock):
    billing = wired()
    be(billing, business())
    register.down()
    clock.advance(days=31)
    run_checks(billing)
    billing.customer(ADA).tax_profile.verify()

    assert (state(billing), quoted(billing).treatment) == ("valid", "reverse_charge")
    clock.advance(days=60)
    assert (state(billing), quoted(billing).treatment) == ("expired", "standard")


@SQLITE
def test_recent_counts_for_no_number_that_was_never_valid_or_is_not_any_more(wired, register, clock):
    billing = wired("accept_recent")
    be(billing, business())
    clock.advance(days=1)
    register.answer(FRENCH, "invalid")
    billing.customer(ADA).tax_profile.verify()
    register.down()
    clock.advance(hours=2)
    billing.customer(ADA).tax_profile.verify()

    assert (quoted(billing).treatment, quoted(billing).tax_id_state) == ("standard", "invalid")
    be(billing, business(OTHER_FRENCH))
    assert quoted(billing).treatment == "standard"


@SQLITE
def test_a_seller_who_waits_refuses_quote_and_start_until_the_register_answers(wired, stale, register):
    billing, quote = stale("hold")
    register.down()

    with pytest.raises(TaxProfileInvalid) as refused:
        begin(billing, quote)
    assert refused.value.field == "tax_id"
    assert billing.customer(ADA).topups.gateways(eur("10"))  # what can be offered is shown all the same
    register.up()
    billing.customer(ADA).tax_profile.verify()
    assert begin(billing, quote).tax.total == eur("0")


@SQLITE
def test_the_form_of_a_number_counts_only_if_it_is_no_persons(wired, register):
    billing = wired("accept_format")
    register.down()

    be(billing, business(OTHER_FRENCH))
    tax = quoted(billing)
    assert (tax.treatment, tax.policy) == ("reverse_charge", "accept_format")
    assert tax.warnings == ("The tax id is accepted by its form alone.",)
    be(billing, business(SPANISH_PERSON, "ES"))
    tax = quoted(billing)
    assert (tax.treatment, tax.warnings) == ("standard", ("The tax id is not verified yet.",))
    be(billing, business("ESB64717838", "ES"))
    assert quoted(billing).treatment == "reverse_charge"


@SQLITE
def test_a_sale_whose_tax_the_number_does_not_change_asks_nobody(wired, register, clock):
    billing = wired()
    be(billing, business(FRENCH, "BR"))
    clock.advance(days=2)
    register.down()

    assert start(billing).tax.treatment == "not_collecting"
    assert len(register.asked) == 1


# What is frozen


def test_a_decision_is_frozen_with_policy_state_time_and_proof_whatever_is_said_later(
    wired, register, simulated, clock
):
    billing = wired()
    be(billing, business())
    said_at = clock.now()
    clock.advance(hours=2)
    topup, invoice = buy(billing, simulated)
    pdf = billing.customer(ADA).invoices.pdf(invoice.number)
    register.answer(FRENCH, "invalid")
    clock.advance(days=31)
    run_checks(billing)
    be(billing, consumer("ES"))

    assert state(billing) == "none"
    for tax in (billing.customer(ADA).topups.get(topup.id).tax, billing.customer(ADA).invoices.get(invoice.number).tax):
        assert (tax.tax_id, tax.tax_id_state, tax.checked_at, tax.consultation, tax.policy) == (
            FRENCH, "valid", said_at, "scripted-1", "",
        )  # fmt: skip
        assert tax == topup.tax
    assert billing.customer(ADA).invoices.pdf(invoice.number) == pdf
    assert billing.check().ok


# What reads asks nobody


@SQLITE
def test_no_quote_no_status_and_no_try_out_asks_a_register(wired, register, clock):
    billing = wired()
    be(billing, business())
    register.check = lambda *given, **named: pytest.fail("asked")
    door = billing.customer(ADA)

    for days in (0, 1, 30, 100):
        clock.advance(days=days)
        door.topups.quote(eur("10"))
        door.topups.gateways(eur("10"))
        door.tax_profile.status()
        operator(billing).tax.of_customer(ADA)
        operator(billing).tax.explain(business(OTHER_FRENCH), eur("10"))
    start(billing)  # too old to rest on, and taxed: nobody is asked

    assert len(register.asked) == 1
