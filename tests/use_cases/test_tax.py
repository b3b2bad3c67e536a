"""Tax rules: dated data that operators add and retire, and what a sale gets from them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from prepaid import (
    Address,
    InvalidRequest,
    Money,
    NotFound,
    RequestRefused,
    TaxProfile,
    TaxProfileInvalid,
    TaxRule,
    TaxUndecided,
)
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    add_rule,
    counts,
    eur,
    give,
    live_in,
    operator,
    seller,
    start,
    top_up,
)

FRANCE = TaxProfile(address=Address(country="FR"))


def test_a_rule_is_kept_with_its_dates_and_components(billing):
    rule = add_rule(billing, "CA", (("GST", "5"), ("QST", "9.975")), valid_to=date(2030, 1, 1), source="law.example")

    [kept] = operator(billing).tax.list()

    assert kept == rule
    assert kept.id.startswith("tax_")
    assert [(component.name, component.percent) for component in kept.components] == [
        ("GST", Decimal("5")),
        ("QST", Decimal("9.975")),
    ]
    assert (kept.valid_from, kept.valid_to, kept.source) == (date(2014, 1, 1), date(2030, 1, 1), "law.example")


def test_rules_are_listed_by_country_and_date_and_retired_ones_not(billing, clock):
    late = add_rule(billing, since=date(2020, 1, 1))
    operator(billing).tax.retire(late.id)
    add_rule(billing, valid_to=date(2020, 1, 1))
    again = add_rule(billing, since=date(2020, 1, 1))
    add_rule(billing, "AT", (("USt", "20"),))

    found = [(rule.country, rule.valid_from.year) for rule in operator(billing).tax.list()]

    assert found == [("AT", 2014), ("FR", 2014), ("FR", 2020)]
    assert again.id != late.id
    clock.advance(seconds=1)
    with pytest.raises(NotFound):
        operator(billing).tax.retire(late.id)


@pytest.mark.parametrize(
    "dates",
    [
        (date(2014, 1, 1), None),  # the same day
        (date(2020, 1, 1), None),  # the first never ends
        (date(2010, 1, 1), date(2014, 1, 2)),  # one day of overlap
        (date(2010, 1, 1), date(2013, 12, 31)),  # one day of gap
    ],
)
@SQLITE
def test_rules_that_overlap_or_leave_a_gap_are_refused(billing, dates):
    add_rule(billing)
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        add_rule(billing, components=(("TVA", "19"),), since=dates[0], valid_to=dates[1])

    assert refused.value.field == "valid_from"
    assert counts(billing) == before


@SQLITE
def test_rules_of_other_countries_may_overlap(billing):
    for country in ("FR", "DE", "IT"):
        add_rule(billing, country)

    assert len(operator(billing).tax.list()) == 3


@SQLITE
def test_a_day_without_a_rule_in_a_country_that_has_some_is_an_error_never_zero(billing, ada):
    add_rule(billing, since=date(2027, 1, 1))
    live_in(billing, "FR")

    with pytest.raises(TaxUndecided, match="do not cover 2026-11-23") as refused:
        ada.topups.quote(eur("50.00"))

    assert refused.value.field == "country"


@SQLITE
def test_a_country_no_rule_names_is_not_collected_for_with_a_warning(billing, ada):
    add_rule(billing)
    live_in(billing, "BR")

    tax = ada.topups.quote(eur("50.00")).tax

    assert (tax.treatment, tax.total, tax.category) == ("not_collecting", eur("0"), "O")
    assert tax.warnings == ("No tax rule names BR.",)
    assert "BR" in tax.explanation


@SQLITE
def test_a_decision_says_why_and_on_which_rule_it_rests(billing, ada):
    rule = add_rule(billing)
    ada.tax_profile.set(TaxProfile(address=Address(country="FR"), tax_id="FR40303265045"))

    tax = ada.topups.quote(eur("50.00")).tax

    assert (tax.treatment, tax.category, tax.jurisdiction, tax.rule_ids) == ("standard", "S", "FR", (rule.id,))
    assert tax.tax_id_state == "format_only"
    assert tax.explanation == "TVA 20 % added to the price, because you are in FR."
    assert (tax.net, tax.total, tax.gross) == (eur("50"), eur("10"), eur("60"))


@SQLITE
@pytest.mark.parametrize(("rounding", "tax"), [("half_up", "0.03"), ("half_even", "0.02"), ("down", "0.02")])
def test_the_sellers_rounding_is_applied_once_per_component(open_billing, billing, rounding, tax):
    add_rule(billing, "FR", (("A", "25"), ("B", "25")))
    live_in(billing, "FR")
    rounded = open_billing(seller=seller(rounding=rounding))

    quote = rounded.customer(ADA).topups.quote(eur("0.10"))

    assert [line.amount for line in quote.tax.lines] == [eur(tax)] * 2


@SQLITE
def test_tax_of_a_currency_without_minor_units_is_whole(billing, ada):
    add_rule(billing, "JP", (("JCT", "10"),))
    live_in(billing, "JP")

    assert ada.topups.quote(Money.of("55", "JPY")).tax.total == Money.of("6", "JPY")  # 5.5 half up


@SQLITE
def test_an_operator_can_try_a_sale_out_without_writing_anything(billing):
    add_rule(billing)
    before = counts(billing)
    tax = operator(billing).tax

    assert tax.explain(FRANCE, eur("50.00")).total == eur("10")
    with pytest.raises(TaxProfileInvalid):
        tax.explain(None, eur("50.00"))
    for wrong in (eur("0.001"), eur("0"), None, "50.00"):
        with pytest.raises(RequestRefused) as refused:
            tax.explain(FRANCE, wrong)
        assert refused.value.field == "amount"
    assert counts(billing) == before


def test_what_was_decided_at_the_start_is_what_is_invoiced(billing, ada, simulated):
    rule = add_rule(billing)
    live_in(billing, "FR")
    topup = start(billing)
    operator(billing).tax.retire(rule.id)
    add_rule(billing, components=(("TVA", "25"),))
    live_in(billing, "DE")
    simulated.pay(topup.checkout.redirect_url.rsplit("/", 1)[1])

    ada.topups.confirm(topup.id)

    [invoice] = ada.invoices.list().items
    assert (invoice.tax, invoice.total) == (topup.tax, eur("60"))
    assert (invoice.tax.jurisdiction, invoice.buyer.address) == ("FR", ("FR",))


def test_every_version_of_a_profile_is_kept_and_the_same_again_is_not_a_new_one(billing, ada):
    for country in ("FR", "FR", "IT", "FR"):
        live_in(billing, country)

    assert counts(billing)["tax_profile"] == 3
    assert ada.tax_profile.get() == FRANCE
    assert billing.customer("eve").tax_profile.get() is None


@SQLITE
def test_a_profile_that_is_none_is_refused(billing, ada):
    for wrong in (None, {"country": "FR"}, Address(country="FR"), b""):
        with pytest.raises(RequestRefused) as refused:
            ada.tax_profile.set(wrong)
        assert refused.value.field == "profile"
    with pytest.raises(RequestRefused) as refused:
        operator(billing).tax.add({"country": "FR"})
    assert refused.value.field == "rule"
    assert counts(billing)["tax_profile"] == 0


@pytest.mark.parametrize("rule_id", ["", "tax_01m82v7m000000000000000000", "x" * 500, "tax\x00", None, 5, b"tax_"])
def test_retiring_a_rule_that_does_not_exist_is_not_found(billing, rule_id):
    with pytest.raises(NotFound) as refused:
        operator(billing).tax.retire(rule_id)
    assert refused.value.field == "rule_id"
    assert counts(billing)["audit"] == 0


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("country", {"country": "France"}),
        ("country", {"country": None}),
        ("components", {"components": ()}),
        ("components", {"components": (("A", "1"), ("A", "2"))}),
        ("components", {"components": 5}),
        ("components", {"components": (("", "1"),)}),
        ("percent", {"components": (("A", "101"),)}),
        ("percent", {"components": (("A", "-1"),)}),
        ("percent", {"components": (("A", "1.00001"),)}),
        ("percent", {"components": (("A", 20.0),)}),
        ("valid_from", {"valid_from": "2014-01-01"}),
        ("valid_to", {"valid_to": date(2014, 1, 1)}),
        ("source", {"source": "a" * 201}),
    ],
)
def test_a_rule_that_cannot_be_is_not_even_made(field, wrong):
    values = {"country": "FR", "components": (("TVA", "20"),), "valid_from": date(2014, 1, 1)}
    with pytest.raises(RequestRefused) as refused:
        TaxRule(**{**values, **wrong})
    assert refused.value.field == field


@SQLITE
def test_the_tax_state_stands_on_every_grant(billing, ada, simulated):
    top_up(billing, simulated)
    for kind in ("promotional", "goodwill", "migrated"):
        give(billing, "5", kind=kind)
    give(billing, "5", kind="external", system="acme")

    grants = ada.grants()

    assert len(grants) == 5
    assert {grant.tax_state for grant in grants} == {"taxed"}


def test_a_rule_is_ended_by_one_that_takes_its_place(billing):
    rule = add_rule(billing)
    tax = operator(billing).tax

    ended = tax.end(rule.id, date(2027, 1, 1))

    assert tax.list() == (ended,)
    assert (ended.valid_to, ended.components) == (date(2027, 1, 1), rule.components)
    assert ended.id != rule.id
    with pytest.raises(NotFound):
        tax.end(rule.id, date(2027, 1, 1))
    for wrong in (date(2014, 1, 1), "2027-01-01", None):
        with pytest.raises(InvalidRequest) as refused:
            tax.end(ended.id, wrong)
        assert refused.value.field == "valid_to"


@SQLITE
@pytest.mark.parametrize(
    ("since", "until", "field"),
    [
        ("2026-01-01", date(2027, 1, 1), "since"),
        (date(2026, 1, 1), None, "until"),
        (datetime(2026, 1, 1, tzinfo=UTC), date(2027, 1, 1), "since"),
        (date(2026, 1, 1), date(2026, 1, 1), "until"),
    ],
)
def test_a_tax_report_is_of_some_days(billing, since, until, field):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).reports.tax(since, until)

    assert refused.value.field == field
