"""Quotes: what a top-up costs and gives, and which gateway may take it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from prepaid import (
    AmountOutOfRange,
    InvalidRequest,
    Money,
    PromotionRefused,
    TaxProfileInvalid,
)
from tests.use_cases.providers import NarrowGateway
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    SQLITE,
    add_rule,
    charge,
    counts,
    eur,
    live_in,
    seller,
    top_up,
)

URLS = {"return_url": BACK, "cancel_url": BILLING}


# What is priced


def test_without_tax_rules_the_amount_typed_is_the_credit_and_the_total(billing, ada):
    before = counts(billing)

    quote = ada.topups.quote(eur("50.00"))

    assert (quote.amount, quote.credit, quote.net, quote.total) == (eur("50"),) * 4
    assert (quote.bonus, quote.discount, quote.tax.total) == (eur("0"),) * 3
    assert (quote.gateway, quote.code) == ("simulated", None)
    assert quote.tax.treatment == "not_collecting"
    assert quote.balance_after == eur("50")
    assert counts(billing) == before  # a quote is a value, kept nowhere


def test_exclusive_tax_of_several_components_is_added_line_by_line(billing, ada):
    add_rule(billing, "CA", (("GST", "5"), ("QST", "9.975")))
    live_in(billing, "CA")

    quote = ada.topups.quote(eur("50.00"))

    assert [(line.name, line.rate_percent, line.base, line.amount) for line in quote.tax.lines] == [
        ("GST", Decimal("5"), eur("50"), eur("2.50")),
        ("QST", Decimal("9.975"), eur("50"), eur("4.99")),
    ]
    assert (quote.credit, quote.net, quote.tax.total, quote.total) == (eur("50"), eur("50"), eur("7.49"), eur("57.49"))


def test_inclusive_tax_is_contained_in_the_amount_typed(open_billing, billing, ada):
    add_rule(billing, "CA", (("GST", "5"), ("QST", "9.975")))
    live_in(billing, "CA")
    inclusive = open_billing(seller=seller(prices="inclusive"))

    quote = inclusive.customer(ADA).topups.quote(eur("57.49"))

    assert quote.total == quote.amount == eur("57.49")
    assert quote.credit == quote.net == eur("50.00")
    assert [line.amount for line in quote.tax.lines] == [eur("2.50"), eur("4.99")]
    assert quote.net + quote.tax.total == quote.total


def test_the_balance_after_counts_what_is_there_and_what_is_owed(billing, ada, simulated):
    top_up(billing, simulated, "10.00")
    charge(billing, "30", allow_negative=True)

    assert ada.topups.quote(eur("50.00")).balance_after == eur("30")


def test_a_quote_says_until_when_it_may_be_started(ada, clock):
    assert ada.topups.quote(eur("50.00")).expires_at == clock.now() + timedelta(minutes=30)


@SQLITE
def test_an_amount_that_tax_would_eat_up_is_refused(open_billing, billing):
    add_rule(billing, "FR", (("TVA", "100"),))
    live_in(billing, "FR")
    inclusive = open_billing(seller=seller(prices="inclusive", rounding="down"))

    with pytest.raises(AmountOutOfRange) as refused:
        inclusive.customer(ADA).topups.quote(eur("0.01"))

    assert refused.value.field == "amount"


@SQLITE
def test_once_rules_exist_a_customer_without_a_country_is_asked_for_it(billing, ada):
    add_rule(billing)

    with pytest.raises(TaxProfileInvalid) as refused:
        ada.topups.quote(eur("50.00"))

    assert refused.value.field == "country"
    assert [offer.name for offer in ada.topups.gateways(eur("50.00"))] == ["simulated"]  # offered all the same


@SQLITE
def test_a_code_that_is_not_known_is_refused_with_its_reason(ada):
    with pytest.raises(PromotionRefused) as refused:
        ada.topups.quote(eur("50.00"), code="WELCOME10")

    assert (refused.value.field, refused.value.reason) == ("code", "unknown")
    assert ada.topups.quote(eur("50.00"), code="").code is None


# What is offered


@pytest.fixture
def three_gateways(tmp_path, clock, open_billing):
    """Only dollars; up to 100 euros in whole ones; from 50 euros."""
    state = tmp_path / "three.db"
    gateways = [
        NarrowGateway(state=state, clock=clock, name=name, label=name.title(), takes=takes)
        for name, takes in (
            ("dollars", {"USD": ("1", "1000", "0.01")}),
            ("small", {"EUR": ("1", "100", "1")}),
            ("large", {"EUR": ("50", "1000", "0.01")}),
        )
    ]
    billing = open_billing(gateways=gateways)
    billing.customers.register(ADA, currency="EUR")
    return billing


@SQLITE
@pytest.mark.parametrize(
    ("amount", "currency", "offered"),
    [
        ("0.99", "EUR", []),
        ("1.00", "EUR", ["small"]),
        ("20.50", "EUR", []),  # not a multiple of the step
        ("50.00", "EUR", ["small", "large"]),
        ("50.50", "EUR", ["large"]),
        ("100.00", "EUR", ["small", "large"]),
        ("100.01", "EUR", ["large"]),
        ("1000.01", "EUR", []),
        ("5.00", "USD", ["dollars"]),
        ("500", "JPY", []),
    ],
)
def test_only_gateways_that_take_the_total_are_offered_in_the_operators_order(
    three_gateways, amount, currency, offered
):
    topups = three_gateways.customer(ADA).topups
    found = topups.gateways(Money.of(amount, currency))

    assert [offer.name for offer in found] == offered
    if offered:
        assert topups.quote(Money.of(amount, currency)).gateway == offered[0]  # the first is the default


@SQLITE
def test_an_offer_shows_label_and_limits(three_gateways):
    [offer] = three_gateways.customer(ADA).topups.gateways(eur("1.00"))

    assert (offer.name, offer.label, offer.minimum, offer.maximum) == ("small", "Small", eur("1"), eur("100"))


@SQLITE
def test_the_total_with_tax_decides_what_a_gateway_takes(three_gateways):
    add_rule(three_gateways, "FR", (("TVA", "20"),))
    live_in(three_gateways, "FR")
    topups = three_gateways.customer(ADA).topups

    assert [offer.name for offer in topups.gateways(eur("90.00"))] == ["large"]  # 108.00 to pay
    assert topups.quote(eur("90.00")).gateway == "large"


@SQLITE
@pytest.mark.parametrize(
    ("amount", "gateway", "words"),
    [
        ("0.50", "small", "below the minimum of 1.00 EUR"),
        ("100.50", "small", "above the maximum of 100.00 EUR"),
        ("99.50", "small", "not a multiple of 1.00 EUR"),
        ("5000.00", None, "above the maximum of 1000.00 EUR"),
    ],
)
def test_a_total_out_of_range_is_refused_with_the_limits(three_gateways, amount, gateway, words):
    with pytest.raises(AmountOutOfRange, match=words) as refused:
        three_gateways.customer(ADA).topups.quote(eur(amount), gateway=gateway)

    assert refused.value.field == "amount"
    assert {"minimum", "maximum"} <= refused.value.params.keys()


@SQLITE
def test_a_gateway_that_does_not_take_the_currency_or_does_not_exist_is_refused(three_gateways):
    for gateway in ("dollars", "paypal", "", 5):
        with pytest.raises(InvalidRequest) as refused:
            three_gateways.customer(ADA).topups.quote(eur("50.00"), gateway=gateway)
        assert refused.value.field == "gateway"


@SQLITE
def test_a_billing_system_without_gateways_prices_nothing(open_billing):
    billing = open_billing(gateways=[])
    billing.customers.register(ADA)

    with pytest.raises(InvalidRequest, match="No gateway") as refused:
        billing.customer(ADA).topups.quote(eur("50.00"))

    assert refused.value.field == "gateway"
