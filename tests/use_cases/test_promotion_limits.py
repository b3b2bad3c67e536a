"""Who may use which promotion, on every engine: limits at their boundary, windows to the second, one identity."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from prepaid import (
    Bonus,
    Discount,
    Fixed,
    InvalidRequest,
    KeyConflict,
    Money,
    NotAllowed,
    NotFound,
    Percent,
    Promotion,
    PromotionRefused,
    TooManyAttempts,
    WrongState,
    permissions,
)
from prepaid.core.instants import day_start
from prepaid.gateways import SimulatedGateway
from tests.use_cases.promotion_steps import TEN, promote, quote, refused
from tests.use_cases.steps import ADA, EVE, SQLITE_FIRST, add_rule, counts, eur, live_in, operator, start, top_up, walk

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", date(2026, 12, 31)),
        ("Pacific/Kiritimati", date(2026, 12, 31)),
        ("America/New_York", date(2026, 12, 31)),
        ("America/New_York", date(2027, 3, 15)),
    ],
)
def test_a_window_is_half_open_to_the_second_in_its_zone(billing, clock, zone, day):
    edge = day_start(day, zone)
    promote(billing, "UNTIL", valid_until=day, timezone=zone)
    promote(billing, "SINCE", valid_from=day, timezone=zone)
    found = []
    for instant in (edge - SECOND, edge, edge + SECOND):
        clock.advance(seconds=(instant - clock.now()).total_seconds())
        found.append([reason_of(billing, code) for code in ("UNTIL", "SINCE")])
    assert found == [["", "not-yet-valid"], ["expired", ""], ["expired", ""]]


def reason_of(billing, code, **options):
    try:
        quote(billing, code=code, **options)
    except PromotionRefused as refused:
        return refused.reason
    return ""


SAME = ["SAVE10", "save10", " Save10 ", "ＳＡＶＥ１０", "save10\t", "SAVE10\u3000"]
OTHERS = [
    "SAVE1O",
    "SAV\u039510",
    "ſave1O",
    "SAVE\u200b10",
    "SAVE10\u200b",
    "SAVE10\x00",
    "SAVE 10",
    "saveı0",
    "SAVE10\u0307",
]


def test_a_code_has_one_identity_on_every_engine(billing, clock):
    promote(billing, "SAVE10", uses_per_customer=1)
    for typed in SAME:
        assert quote(billing, code=typed).code == "SAVE10"
        with pytest.raises((KeyConflict, InvalidRequest)) as known:
            operator(billing).promotions.create(Promotion(typed, Bonus(Percent("99"))))
        assert known.value.field == "code"
    for typed in OTHERS:
        assert refused(quote, billing, code=typed) == "unknown"
    clock.advance(minutes=15)  # they were many
    for odd in (0, False, b"SAVE10", ["SAVE10"], 10):
        with pytest.raises(InvalidRequest) as wrong:
            quote(billing, code=odd)
        assert wrong.value.field == "code"
    assert quote(billing, code="  ").bonus == eur("0")


def test_unknown_and_not_for_you_look_alike(billing, clock):
    promote(billing, "SECRET", customers=(EVE,), valid_until=clock.now() + timedelta(days=1), minimum=eur("40"))
    promote(billing, "BETA", groups=("beta",))
    said = set()
    for code in ("NOTHING", "SECRET", "BETA", "\x00"):
        with pytest.raises(PromotionRefused) as caught:
            quote(billing, code=code)
        said.add((caught.value.reason, caught.value.message, tuple(caught.value.params.items())))
    assert len(said) == 1
    assert quote(billing, code="SECRET", customer=EVE).bonus == eur("5.00")
    assert refused(quote, billing, "39.99", code="SECRET", customer=EVE) == "below-minimum"
    billing.customers.register(ADA, groups=("beta",))
    assert quote(billing, code="BETA").bonus == eur("5.00")


def test_codes_cannot_be_guessed(billing, clock):
    promote(billing)
    for number in range(10):
        assert refused(quote, billing, code=f"guess-{number}") == "unknown"
    for code in ("SAVE10", "guess-11"):
        with pytest.raises(TooManyAttempts) as stopped:
            quote(billing, code=code)
        assert stopped.value.field == "code"
    assert quote(billing, code=None).bonus == eur("0")
    assert quote(billing, customer=EVE).bonus == eur("5.00")
    clock.advance(minutes=15)
    assert quote(billing).bonus == eur("5.00")


@SQLITE_FIRST
def test_only_what_is_not_known_counts_as_a_guess(billing, clock):
    promote(billing, minimum=eur("40"))
    for _ in range(20):
        assert refused(quote, billing, "10.00") == "below-minimum"
    assert quote(billing).bonus == eur("5.00")


@SQLITE_FIRST
def test_a_country_is_that_of_the_tax_profile(billing):
    promote(billing, countries=("FR", "GR"))
    assert refused(quote, billing) == "country"
    live_in(billing, "DE")
    assert refused(quote, billing) == "country"
    live_in(billing, "GR")
    assert quote(billing).bonus == eur("5.00")


@SQLITE_FIRST
def test_a_promotion_of_some_gateways_chooses_among_them(open_billing, simulated, tmp_path, clock):
    other = SimulatedGateway(state=tmp_path / "other.db", name="other", clock=clock)
    billing = open_billing(gateways=[simulated, other])
    billing.customers.register(ADA, currency="EUR")
    promote(billing, gateways=("other",))
    assert quote(billing).gateway == "other"
    assert quote(billing, gateway="other").bonus == eur("5.00")
    assert refused(quote, billing, gateway="simulated") == "gateway"


def test_new_customers_are_new_for_a_while_to_the_second(billing, clock):
    promote(billing, customer_age=timedelta(days=30))
    billing.customers.register("new", currency="EUR", since=clock.now())
    clock.advance(days=30, seconds=-1)
    assert quote(billing, customer="new").bonus == eur("5.00")
    clock.advance(seconds=1)
    assert refused(quote, billing, customer="new") == "new-customers-only"


def test_uses_per_customer_are_counted_for_each(billing, simulated):
    promote(billing, uses_per_customer=2)
    for _ in range(2):
        top_up(billing, simulated, code="SAVE10")
    assert refused(quote, billing) == "already-used"
    assert quote(billing, customer=EVE).bonus == eur("5.00")


@SQLITE_FIRST
def test_a_limit_may_be_raised_and_not_set_below_what_is_used(billing, simulated):
    promote(billing, uses_total=1, budget=eur("10.00"))
    top_up(billing, simulated, code="SAVE10")
    ops = operator(billing)
    for limits, field in (({"uses_total": 1, "budget": eur("4.99")}, "budget"),):
        with pytest.raises(InvalidRequest) as low:
            ops.promotions.change(Promotion("SAVE10", Bonus(TEN), **limits))
        assert low.value.field == field
    ops.promotions.change(Promotion("SAVE10", Bonus(TEN), uses_total=3))
    start(billing, code="SAVE10", customer=EVE)
    with pytest.raises(InvalidRequest) as low:
        ops.promotions.change(Promotion("SAVE10", Bonus(TEN), uses_total=1))
    assert low.value.field == "uses_total"
    # What was given before there was a budget counts when there is one again.
    assert ops.promotions.change(Promotion("SAVE10", Bonus(TEN), budget=eur("10.00"))).budget_left == eur("0")
    assert refused(quote, billing) == "used-up"
    assert billing.check().ok


BAD = [
    ("promotion", lambda: "SAVE10"),
    ("budget", lambda: Promotion("A", Bonus(TEN), budget=Money.of("5", "GBP"))),
    ("currency", lambda: Promotion("A", Bonus(TEN), currencies=("EUR", "GBP"))),
    ("effect", lambda: Promotion("A", Bonus(Fixed(Money.of("5", "GBP"))))),
    ("gateway", lambda: Promotion("A", Bonus(TEN), gateways=("stripe",))),
]


@SQLITE_FIRST
@pytest.mark.parametrize(("field", "make"), BAD, ids=[field for field, _ in BAD])
def test_what_does_not_fit_the_book_is_refused_and_nothing_is_kept(billing, field, make):
    before = counts(billing)
    with pytest.raises(InvalidRequest) as wrong:
        operator(billing).promotions.create(make())
    assert wrong.value.field == field
    assert counts(billing) == before


@SQLITE_FIRST
def test_operators_make_list_change_and_end_promotions_with_an_audit(billing, simulated):
    ops, only_read = operator(billing), operator(billing, granted={permissions.PROMOTIONS_READ})
    made = ops.promotions.create(Promotion("ONE", Bonus(TEN)), reason="spring")
    assert ops.promotions.create(Promotion("ONE", Bonus(TEN))) == made
    for number in range(4):
        ops.promotions.create(Promotion(f"N{number}", Discount(TEN)))
    listed = walk(only_read.promotions.list, limit=2)
    assert [each.promotion.code for each in listed] == ["N3", "N2", "N1", "N0", "ONE"]
    top_up(billing, simulated, code="one")
    [used] = only_read.promotions.redemptions(" one ").items
    assert (used.code, used.customer, used.state, used.bonus, used.typed) == (
        "ONE",
        ADA,
        "redeemed",
        eur("5.00"),
        eur("50.00"),
    )
    assert ops.promotions.end("ONE", reason="over").state == "ended"
    assert ops.promotions.end("ONE").state == "ended"
    with pytest.raises(KeyConflict):
        ops.promotions.create(Promotion("ONE", Bonus(TEN)))
    with pytest.raises(WrongState):
        ops.promotions.change(Promotion("ONE", Bonus(TEN)))
    for act in (ops.promotions.get, ops.promotions.end, ops.promotions.redemptions):
        with pytest.raises(NotFound):
            act("NOTHING")
    with pytest.raises(NotFound):
        ops.promotions.change(Promotion("NOTHING", Bonus(TEN)))
    for act in (
        lambda: only_read.promotions.create(Promotion("X", Bonus(TEN))),
        lambda: only_read.promotions.end("ONE"),
    ):
        with pytest.raises(NotAllowed):
            act()
    acts = [(entry.action, entry.target) for entry in ops.audit.list().items if entry.action.startswith("promotion")]
    assert acts[0] == ("promotion-end", "one")
    assert acts.count(("promotion-create", "one")) == 1


def test_books_and_modes_share_no_promotion(open_billing, simulated, place):
    first, second = open_billing(), open_billing(book=f"{place.book}-2")
    for billing in (first, second):
        billing.customers.register(ADA, currency="EUR")
    promote(first, uses_total=1)
    assert refused(quote, second) == "unknown"
    promote(second, uses_total=1)
    start(first, code="SAVE10")
    assert quote(second).bonus == eur("5.00")


CASES = [
    # prices, currency, tax, typed, effect; then credit, bonus, discount, net, tax, total
    ("exclusive", "EUR", "20", "100.00", (Discount(TEN), Bonus(TEN)), "100 10 10 90 18 108"),
    ("inclusive", "EUR", "20", "120.00", (Discount(TEN), Bonus(TEN)), "100 10 10 90 18 108"),
    ("inclusive", "EUR", "19", "100.00", Discount(Percent("12.5")), "84.03 0 10.50 73.53 13.97 87.50"),
    ("exclusive", "JPY", "10", "155", (Discount(TEN), Bonus(TEN)), "155 15 15 140 14 154"),
    ("inclusive", "JPY", "10", "1000", Discount(Percent("33")), "909 0 299 610 61 671"),
    ("exclusive", "KWD", "5", "1.555", Discount(TEN), "1.555 0 0.155 1.400 0.070 1.470"),
    (
        "inclusive",
        "KWD",
        "5",
        "10.500",
        (Discount(Fixed(Money.of("0.100", "KWD"))), Bonus(TEN)),
        "10 1 0.1 9.9 0.495 10.395",
    ),
    ("exclusive", "EUR", "20", "19.99", Discount(Percent("100")), "19.99 0 19.99 0 0 0"),
    ("inclusive", "EUR", "20", "19.99", Discount(Percent("100")), "16.66 0 16.66 0 0 0"),
]


@SQLITE_FIRST
@pytest.mark.parametrize(("prices", "currency", "percent", "typed", "effect", "figures"), CASES)
def test_summary_ledger_and_invoice_agree_to_the_unit(
    open_billing, simulated, prices, currency, percent, typed, effect, figures
):
    from tests.use_cases.steps import seller

    billing = open_billing(currencies=("EUR", "JPY", "KWD"), seller=seller(prices=prices))
    billing.customers.register(ADA, currency="EUR")
    add_rule(billing, components=(("VAT", percent),))
    live_in(billing, "FR")
    promote(billing, effect=effect)
    ada = billing.customer(ADA)
    offered = ada.topups.quote(Money.of(typed, currency), code="SAVE10")
    shown = (offered.credit, offered.bonus, offered.discount, offered.net, offered.tax.total, offered.total)
    credit, bonus, discount, net, tax, total = (Money.of(each, currency) for each in figures.split())
    assert shown == (credit, bonus, discount, net, tax, total)
    topup = ada.topups.start(offered.token, return_url="https://a.example/b", cancel_url="https://a.example/c", key="k")
    if total:
        simulated.pay(topup.checkout.redirect_url.rsplit("/", 1)[1])
    topup = ada.topups.confirm(topup.id)
    assert (topup.state, topup.credit, topup.bonus, topup.total) == ("credited", credit, bonus, total)
    balance = ada.balance(currency)
    assert (balance.settled, balance.paid, balance.promotional) == (credit + bonus, credit, bonus)
    [invoice] = ada.invoices.list().items
    assert (invoice.net, invoice.tax.total, invoice.total) == (net, tax, total)
    assert sum((line.net.units for line in invoice.lines), 0) == net.units
    summary = operator(billing).reports.summary(date(2026, 1, 1), date(2027, 1, 1), currency=currency)
    assert (summary.funds_in, summary.tax_collected, summary.bonus_granted) == (total, tax, bonus)
    assert billing.check().ok
