"""Promotions from the quote to the invoice: what they give, who may use them, and what becomes of a reservation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import (
    Bonus,
    Discount,
    Fixed,
    GatewayError,
    Money,
    Percent,
    Promotion,
    PromotionRefused,
    QuoteChanged,
    WrongState,
    settlement,
)
from prepaid.settlement import free
from tests.use_cases.promotion_steps import TEN, discounting, promote, quote, redemptions, refused, status
from tests.use_cases.steps import (
    BACK,
    BILLING,
    EVE,
    add_rule,
    checkout_of,
    eur,
    flow,
    lines,
    live_in,
    operator,
    parts,
    start,
    told,
    top_up,
)


def test_a_bonus_is_quoted_reserved_credited_and_printed(billing, simulated, ada):
    promote(billing, effect=Bonus(TEN, cap=eur("4.00")))
    offered = quote(billing, "50.00", " save10 ")
    assert (offered.code, offered.bonus, offered.discount, offered.total) == ("SAVE10", eur("4"), eur("0"), eur("50"))
    assert offered.balance_after == eur("54")
    topup = start(billing, code="save10")
    assert (topup.code, topup.promotion, status(billing).reserved) == ("SAVE10", "reserved", 1)
    simulated.pay(checkout_of(topup))
    credited = ada.topups.confirm(topup.id)
    assert (credited.state, credited.promotion, credited.bonus) == ("credited", "redeemed", eur("4.00"))
    assert parts(ada.balance()) == ("54.00", "50.00", "4.00")
    assert lines(ada) == [("topup", "50.00"), ("bonus", "4.00")]
    [invoice] = ada.invoices.list().items
    assert [(line.description, str(line.net)) for line in invoice.lines] == [
        ("Account credit 50.00 EUR", "50.00 EUR"),
        ("Bonus credit 4.00 EUR (SAVE10)", "0.00 EUR"),
    ]
    [event] = told(billing, "topup-credited")
    assert (event["code"], event["promotion"]) == ("SAVE10", "redeemed")
    now = status(billing)
    assert (now.state, now.reserved, now.redeemed, now.granted) == ("active", 0, 1, (eur("4.00"),))
    assert billing.check().ok


def test_a_discount_lowers_what_is_paid_before_tax(billing, simulated, ada):
    add_rule(billing)
    live_in(billing, "FR")
    promote(billing, effect=discounting("10"))
    offered = quote(billing, "50.00")
    assert [
        str(each) for each in (offered.credit, offered.discount, offered.net, offered.tax.total, offered.total)
    ] == [
        "50.00 EUR",
        "5.00 EUR",
        "45.00 EUR",
        "9.00 EUR",
        "54.00 EUR",
    ]
    top_up(billing, simulated, code="SAVE10")
    assert parts(ada.balance()) == ("50.00", "50.00", "0.00")
    assert (flow(billing, "promotion", "wallet"), flow(billing, "clearing", "wallet")) == ("5.00", "45.00")
    assert flow(billing, "clearing", "tax_payable") == "9.00"
    [invoice] = ada.invoices.list().items
    assert [(line.description, str(line.net)) for line in invoice.lines] == [
        ("Account credit 50.00 EUR", "50.00 EUR"),
        ("Promotion discount (SAVE10)", "-5.00 EUR"),
    ]
    assert (invoice.net, invoice.total) == (eur("45.00"), eur("54.00"))
    assert status(billing).discounted == (eur("5.00"),)
    assert billing.check().ok


def test_a_promotion_may_give_both(billing, simulated, ada):
    promote(billing, effect=(Discount(Fixed(eur("3.00"))), Bonus(TEN)))
    top_up(billing, simulated, code="SAVE10")
    assert parts(ada.balance()) == ("55.00", "50.00", "5.00")
    assert flow(billing, "clearing", "wallet") == "47.00"
    assert billing.check().ok


def test_a_discount_of_everything_is_credited_without_a_gateway_and_documented(billing, ada):
    add_rule(billing)
    live_in(billing, "FR")
    promote(billing, effect=discounting("100"), uses_per_customer=1)
    offered = quote(billing, "20.00", gateway="simulated")
    assert (offered.gateway, offered.total, offered.tax.total) == ("none", eur("0"), eur("0"))
    topup = ada.topups.start(offered.token, return_url=BACK, cancel_url=BILLING, key="free")
    assert (topup.state, topup.promotion, topup.checkout.redirect_url) == ("credited", "redeemed", None)
    assert ada.topups.start(offered.token, return_url=BACK, cancel_url=BILLING, key="free").id == topup.id
    assert ada.topups.confirm(topup.id).state == "credited"
    assert operator(billing).topups.recheck(topup.id).state == "credited"
    assert lines(ada) == [("topup", "20.00")]
    assert (flow(billing, "promotion", "wallet"), flow(billing, "clearing", "wallet")) == ("20.00", "0.00")
    [invoice] = ada.invoices.list().items
    assert (invoice.number, invoice.total, invoice.payment) == (
        topup.invoice_number or invoice.number,
        eur("0"),
        ("", ""),
    )
    assert refused(quote, billing, "20.00") == "already-used"
    assert billing.check().ok


def interrupted(billing, ada, monkeypatch):
    """Start a top-up of nothing, and let the process end before it is credited."""
    promote(billing, effect=discounting("100"))
    offered = quote(billing, "20.00")

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prepaid.settlement.free._credit", dies)
        with pytest.raises(KeyboardInterrupt):
            ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="free")
    [topup] = ada.topups.list().items
    assert (topup.state, topup.promotion) == ("starting", "reserved")
    return topup, offered


@pytest.mark.parametrize("by", ["the same key", "a job", "the customer"])
def test_a_top_up_of_nothing_that_was_interrupted_is_credited_by_whoever_comes_next(billing, ada, monkeypatch, by):
    topup, offered = interrupted(billing, ada, monkeypatch)
    match by:
        case "the same key":
            ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="free")
        case "a job":
            billing.run_due("topups")
        case _:
            ada.topups.confirm(topup.id)
    assert ada.topups.get(topup.id).state == "credited"
    assert lines(ada) == [("topup", "20.00")]
    assert billing.check().ok


def test_two_who_come_to_a_top_up_of_nothing_at_once_credit_it_once(billing, ada, monkeypatch):
    topup, _ = interrupted(billing, ada, monkeypatch)
    context = billing._context
    stored = settlement.load(context, topup.id)  # both have read it before either credits it
    assert [free.complete(context, stored, close=None).outcome for _ in range(2)] == ["credited", "duplicate"]
    assert lines(ada) == [("topup", "20.00")]
    assert billing.check().ok


def test_a_top_up_of_nothing_that_was_interrupted_can_be_given_up_or_expires(billing, ada, monkeypatch, clock):
    topup, offered = interrupted(billing, ada, monkeypatch)
    assert ada.topups.cancel(topup.id).promotion == "released"
    monkeypatch.setattr("prepaid.settlement.free._credit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="again")
    monkeypatch.undo()
    clock.advance(minutes=60)
    billing.run_due("promotions")
    operator(billing).promotions.change(Promotion("SAVE10", discounting("100"), uses_total=1))
    start(billing, "10.00", code="SAVE10", customer=EVE)
    billing.run_due("topups")
    states = {each.state: each.failure for each in ada.topups.list().items}
    assert states == {"canceled": "canceled", "expired": "promotion-lost"}
    assert lines(ada) == []
    assert billing.check().ok


def test_a_bonus_expires_and_burns_as_its_promotion_says(billing, simulated, ada, clock):
    promote(billing, bonus_expires_after=timedelta(days=30), bonus_priority=5)
    credited = top_up(billing, simulated, code="SAVE10")
    grant = next(each for each in ada.grants() if each.kind == "promotional")
    assert (grant.size, grant.priority, grant.topup_id) == (eur("5.00"), 5, credited.id)
    assert grant.expires_at == clock.now() + timedelta(days=30)
    clock.advance(days=30)
    billing.run_due("credit")
    assert parts(ada.balance()) == ("50.00", "50.00", "0.00")
    assert billing.check().ok


@pytest.mark.parametrize("ending", ["cancel", "lapse"])
def test_what_ends_unpaid_gives_its_use_back(billing, ada, clock, ending):
    promote(billing, uses_total=1, uses_per_customer=1)
    topup = start(billing, code="SAVE10")
    assert refused(quote, billing, customer=EVE) == "used-up"
    if ending == "cancel":
        ada.topups.cancel(topup.id)
    else:
        clock.advance(minutes=61)
        billing.run_due("topups")
    assert (redemptions(billing), status(billing).reserved) == (["released"], 0)
    assert quote(billing, customer=EVE).bonus == eur("5.00")
    assert billing.check().ok


def test_a_reservation_lapses_after_an_hour_whatever_its_checkout_does(billing, ada, clock):
    promote(billing, uses_total=1)
    topup = start(billing, code="SAVE10")
    clock.advance(minutes=59, seconds=59)
    billing.run_due("promotions")
    assert ada.topups.get(topup.id).promotion == "reserved"
    clock.advance(seconds=1)
    billing.run_due("promotions")
    assert ada.topups.get(topup.id).promotion == "released"
    assert status(billing).reserved == 0
    assert billing.check().ok


def test_what_lapsed_is_free_for_others_without_any_job(billing, clock):
    promote(billing, uses_total=1)
    start(billing, code="SAVE10")
    clock.advance(minutes=60)
    assert start(billing, code="SAVE10", customer=EVE).promotion == "reserved"
    assert redemptions(billing) == ["released", "reserved"]
    assert billing.check().ok


def test_a_late_payment_takes_its_promotion_again(billing, simulated, ada, clock):
    promote(billing, uses_total=1)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup))
    clock.advance(minutes=60)
    billing.run_due("promotions")
    assert ada.topups.get(topup.id).promotion == "released"
    assert ada.topups.confirm(topup.id).promotion == "redeemed"
    assert parts(ada.balance()) == ("55.00", "50.00", "5.00")
    assert billing.check().ok


@pytest.mark.parametrize(
    "effect", [Bonus(TEN), Discount(TEN), (Bonus(TEN), Discount(TEN))], ids=["bonus", "discount", "both"]
)
def test_a_late_payment_that_finds_the_promotion_used_up_is_credited_net_and_says_so(
    billing, simulated, ada, clock, effect
):
    promote(billing, effect=effect, uses_total=1)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup))
    clock.advance(minutes=60)
    billing.run_due("promotions")
    start(billing, code="SAVE10", customer=EVE)
    credited = ada.topups.confirm(topup.id)
    assert (credited.state, credited.promotion, credited.bonus) == ("credited", "lost", eur("0"))
    assert credited.credit == credited.net == credited.total
    assert ada.balance().settled == topup.total
    [invoice] = ada.invoices.list().items
    assert invoice.total == topup.total
    assert invoice.lines[-1].description == "Paid too late for the promotion (SAVE10)"
    assert told(billing, "topup-credited")[-1]["promotion"] == "lost"
    assert (status(billing).reserved, status(billing).redeemed, status(billing).lost) == (1, 0, 1)
    assert billing.check().ok


def test_an_ended_or_changed_promotion_does_not_change_what_was_started(billing, simulated, ada):
    promote(billing, uses_total=5)
    topup = start(billing, code="SAVE10")
    ops = operator(billing)
    ops.promotions.change(Promotion("SAVE10", Bonus(Percent("50")), uses_total=5))
    assert quote(billing, customer=EVE).bonus == eur("25.00")
    ops.promotions.end("SAVE10")
    assert refused(quote, billing, customer=EVE) == "ended"
    simulated.pay(checkout_of(topup))
    assert ada.topups.confirm(topup.id).bonus == eur("5.00")
    assert parts(ada.balance()) == ("55.00", "50.00", "5.00")
    assert billing.check().ok


def test_a_rule_that_changes_between_quote_and_start_is_shown_anew(billing, ada):
    promote(billing)
    offered = quote(billing)
    operator(billing).promotions.change(Promotion("SAVE10", Bonus(Percent("5"))))
    with pytest.raises(QuoteChanged) as changed:
        ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="k")
    assert changed.value.quote.bonus == eur("2.50")
    operator(billing).promotions.end("SAVE10")
    with pytest.raises(PromotionRefused):
        ada.topups.start(changed.value.quote, return_url=BACK, cancel_url=BILLING, key="k")
    assert ada.topups.list().items == ()


def test_a_rule_that_changes_at_the_last_moment_is_not_reserved(billing, ada, monkeypatch):
    promote(billing)
    better = Promotion("SAVE10", Bonus(Percent("20")))
    monkeypatch.setattr("prepaid.topups._give_up_earlier", lambda *_: operator(billing).promotions.change(better))
    assert refused(start, billing, code="SAVE10") == "changed"
    assert ada.topups.list().items == ()
    assert status(billing).reserved == 0


def test_an_operator_sees_how_far_a_promotion_is(billing, clock):
    day = timedelta(days=1)
    promote(billing, valid_from=clock.now() + day, valid_until=clock.now() + 2 * day, budget=eur("5.00"))
    seen = [status(billing).state]
    for _ in range(2):
        clock.advance(days=1)
        seen.append(status(billing).state)
    promote(billing, "SPENT", budget=eur("5.00"))
    start(billing, code="SPENT")
    assert (seen, status(billing, "SPENT").state) == (["scheduled", "active", "expired"], "used-up")


def test_a_new_start_moves_the_reservation_and_gives_the_earlier_checkout_up(billing, simulated, ada):
    promote(billing, uses_total=1, uses_per_customer=1)
    first = start(billing, code="SAVE10")
    assert quote(billing, "80.00").bonus == eur("8.00")
    second = start(billing, "80.00", code="SAVE10")
    assert [ada.topups.get(each.id).state for each in (first, second)] == ["canceled", "pending"]
    assert redemptions(billing) == ["released", "reserved"]
    simulated.pay(checkout_of(second))
    assert ada.topups.confirm(second.id).promotion == "redeemed"
    assert billing.check().ok


def test_an_earlier_checkout_that_was_paid_is_credited_and_keeps_its_promotion(billing, simulated, ada):
    promote(billing, uses_per_customer=1)
    first = start(billing, code="SAVE10")
    simulated.pay(checkout_of(first))
    assert refused(start, billing, "80.00", code="SAVE10") == "already-used"
    assert [(each.state, each.promotion) for each in ada.topups.list().items] == [("credited", "redeemed")]
    assert billing.check().ok


def test_an_earlier_checkout_that_nobody_can_close_keeps_its_promotion(billing, simulated, ada, monkeypatch):
    promote(billing)
    start(billing, code="SAVE10")

    def down(*_):
        raise GatewayError("away", retryable=True)

    monkeypatch.setattr(type(simulated), "fetch_payment", down)
    assert refused(start, billing, "80.00", code="SAVE10") == "in-use"
    assert redemptions(billing) == ["reserved"]
    assert len(ada.topups.list().items) == 1


def test_a_reservation_in_review_does_not_lapse_and_ends_as_the_operator_decides(billing, simulated, ada, clock):
    promote(billing, uses_total=3)
    ended = {}
    for action in ("credit_quoted", "credit_received", "refund"):
        topup = start(billing, code="SAVE10", customer=EVE, amount="50.00")
        simulated.pay(checkout_of(topup), amount=eur("49.00"))
        assert billing.customer(EVE).topups.confirm(topup.id).state == "review"
        clock.advance(hours=2)
        billing.run_due("promotions")
        assert billing.customer(EVE).topups.get(topup.id).promotion == "reserved"
        operator(billing).topups.resolve(topup.id, action=action, reason="agreed", key=action)
        ended[action] = billing.customer(EVE).topups.get(topup.id).promotion
    assert ended == {"credit_quoted": "redeemed", "credit_received": "released", "refund": "released"}
    assert status(billing).redeemed == 1
    assert billing.check().ok


def test_a_review_cannot_end_as_quoted_when_its_promotion_is_used_up(billing, simulated, ada, clock):
    promote(billing, uses_total=1)
    topup = start(billing, code="SAVE10")
    simulated.pay(checkout_of(topup), amount=eur("49.00"))
    clock.advance(minutes=60)
    start(billing, code="SAVE10", customer=EVE)
    assert ada.topups.confirm(topup.id).state == "review"
    ops = operator(billing)
    with pytest.raises(WrongState, match="used up"):
        ops.topups.resolve(topup.id, action="credit_quoted", reason="agreed", key="a")
    assert ada.topups.get(topup.id).state == "review"
    assert ops.topups.resolve(topup.id, action="credit_received", reason="agreed", key="b").state == "credited"
    assert parts(ada.balance()) == ("49.00", "49.00", "0.00")
    assert billing.check().ok


def test_a_use_stays_used_after_the_payment_went_back(billing, simulated, ada):
    promote(billing, uses_per_customer=1, first_topup_only=True)
    top_up(billing, simulated, code="SAVE10")
    assert refused(quote, billing) == "already-used"


def test_a_promotion_of_first_topups_is_for_one_of_them_alone(billing, simulated, ada):
    for code in ("HELLO", "WELCOME"):
        promote(billing, code, first_topup_only=True)
    first = start(billing, code="HELLO")
    second = start(billing, code="WELCOME")
    assert ada.topups.get(first.id).state == "canceled"
    third = start(billing)
    simulated.pay(checkout_of(third))
    ada.topups.confirm(third.id)
    assert refused(quote, billing, code="HELLO") == "first-topup-only"
    simulated.pay(checkout_of(second))
    assert ada.topups.confirm(second.id).promotion == "redeemed"  # it was the first when it was started
    assert billing.check().ok
    assert quote(billing, code="HELLO", customer=EVE).bonus == eur("5.00")


def test_nobody_pays_below_zero(billing, ada):
    promote(billing, effect=Discount(Fixed(eur("30.00"))))
    offered = quote(billing, "20.00")
    assert (offered.discount, offered.total) == (eur("20.00"), eur("0"))


def test_money_of_other_currencies_is_never_converted(billing, ada):
    promote(billing, effect=Bonus(Fixed(eur("5.00"), Money.of("6.00", "USD"))))
    assert ada.topups.quote(Money.of("10.00", "USD"), code="SAVE10").bonus == Money.of("6.00", "USD")
    assert refused(ada.topups.quote, Money.of("1000", "JPY"), code="SAVE10") == "currency"
