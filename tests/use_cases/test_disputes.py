"""Disputes: held while they are open, taken when they are lost, given back when they are won after all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from prepaid import GatewayError, Money, NotFound, RefundRefused
from prepaid.ports import RefundSnapshot
from tests.use_cases.refund_steps import (
    ask,
    checkout_id,
    disputes_of,
    eligible,
    give_back,
    hear,
    look,
    proven,
    refunds_of,
)
from tests.use_cases.steps import (
    ADA,
    add_rule,
    alarms,
    charge,
    checkout_of,
    eur,
    flow,
    give,
    hold,
    kept,
    lines,
    live_in,
    operator,
    parts,
    rows,
    start,
    told,
    top_up,
    value,
)
from tests.use_cases.test_refunds import documents, sell_with_bonus


def disputed(billing, simulated, topup, amount=None, **options):
    """Dispute a top-up's payment, let the host hear of it, and give the gateway's id."""
    wanted = None if amount is None else eur(amount)
    dispute_id = simulated.dispute(checkout_id(billing, topup), amount=wanted, **options)
    hear(billing, simulated, topup)
    return dispute_id


def with_tax(billing):
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")


def test_an_open_dispute_holds_what_is_left_of_its_top_up(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    give(billing, "5")
    charge(billing, "30")

    disputed(billing, simulated, topup)

    assert kept(ada.balance()) == ("95.00", "95.00", "0.00")
    assert flow(billing, "disputes", "clearing") == "100.00"
    [reserve] = ada.holds()
    assert (reserve.amount, reserve.description) == (eur("95"), "Disputed payment")
    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("0"), "disputed")
    with pytest.raises(RefundRefused):
        ask(billing, topup, "10")
    [dispute] = operator(billing).disputes.list().items
    assert (dispute.state, dispute.booked, dispute.withdrawn) == ("open", "withdrawn", eur("100"))
    proven(billing)


def test_the_hold_of_a_dispute_is_nobodys_to_capture_or_release(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    disputed(billing, simulated, topup)
    [reserve] = ada.holds()
    for act in (
        lambda: billing.usage.capture(reserve.id, eur("5")),
        lambda: billing.usage.release(reserve.id),
    ):
        with pytest.raises(NotFound):
            act()
    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")


def test_usage_that_happened_burns_on_in_its_order(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    disputed(billing, simulated, topup)
    charge(billing, "30", allow_negative=True)
    assert kept(ada.balance()) == ("90.00", "120.00", "-30.00")
    proven(billing)


def test_a_dispute_that_is_won_gives_everything_free_again(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    dispute_id = disputed(billing, simulated, topup)
    simulated.win(dispute_id)
    hear(billing, simulated, topup)

    assert kept(ada.balance()) == ("120.00", "0.00", "120.00")
    assert flow(billing, "clearing", "disputes") == "100.00"
    assert ada.holds() == ()
    assert eligible(billing, topup).credit == eur("100")
    assert len(ada.invoices.list().items) == 1
    proven(billing)


def test_a_dispute_that_is_lost_takes_the_credit_the_bonus_and_the_tax(billing, ada, simulated):
    with_tax(billing)
    topup = sell_with_bonus(billing, simulated)
    dispute_id = disputed(billing, simulated, topup)
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)

    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert lines(ada)[-2:] == [("dispute", "-100.00"), ("clawback", "-20.00")]
    assert (flow(billing, "wallet", "disputes"), flow(billing, "tax_payable", "disputes")) == ("100.00", "20.00")
    assert documents(ada)[-1][:3] == ("credit-note", "100.00", "20.00")
    [dispute] = disputes_of(billing, topup)
    assert (dispute.booked, dispute.credit, dispute.clawback, dispute.tax) == ("lost", eur("100"), eur("20"), eur("20"))
    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("0"), "refunded")
    proven(billing)


def test_what_was_spent_becomes_a_debt_that_the_next_credit_pays_first(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    charge(billing, "40")
    dispute_id = disputed(billing, simulated, topup)
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)
    assert parts(ada.balance()) == ("-40.00", "0.00", "0.00")
    proven(billing)
    second = top_up(billing, simulated, "100")
    assert parts(ada.balance()) == ("60.00", "60.00", "0.00")
    assert eligible(billing, second).credit == eur("60")
    proven(billing)


def test_other_credit_pays_before_a_debt_is_made(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    charge(billing, "40")
    give(billing, "25")
    dispute_id = disputed(billing, simulated, topup)
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)
    assert parts(ada.balance()) == ("-15.00", "0.00", "0.00")
    proven(billing)


def test_a_part_that_is_disputed_takes_a_part(billing, ada, simulated):
    with_tax(billing)
    topup = sell_with_bonus(billing, simulated)
    dispute_id = disputed(billing, simulated, topup, "60")
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)
    assert parts(ada.balance()) == ("60.00", "50.00", "10.00")
    assert documents(ada)[-1][:3] == ("credit-note", "50.00", "10.00")
    proven(billing)
    give_back(billing, topup, "50")
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert flow(billing, "tax_payable", "clearing") == "10.00"
    proven(billing)


def test_a_dispute_that_is_won_by_an_appeal_gives_back_what_was_taken(billing, ada, gateway, shop):
    with_tax(shop)
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    charge(shop, "30")
    before = parts(shop.customer(ADA).balance())
    dispute_id = gateway.dispute(checkout_id(shop, topup))
    look(shop, topup)
    gateway.lose(dispute_id)
    look(shop, topup)
    assert parts(shop.customer(ADA).balance())[0] == "-30.00"
    note = shop.customer(ADA).invoices.list().items[0]

    appeal(gateway, dispute_id, "open")
    look(shop, topup)
    assert parts(shop.customer(ADA).balance())[0] == "-30.00"
    appeal(gateway, dispute_id, "won")
    look(shop, topup)

    assert parts(shop.customer(ADA).balance()) == before
    again = shop.customer(ADA).invoices.list().items[0]
    assert (again.kind, again.corrects, again.total) == ("invoice", note.number, eur("120"))
    assert flow(shop, "clearing", "disputes") == "120.00"
    proven(shop)

    appeal(gateway, dispute_id, "lost")
    look(shop, topup)
    assert parts(shop.customer(ADA).balance())[0] == "-30.00"
    kinds = [each.kind for each in reversed(shop.customer(ADA).invoices.list().items)]
    assert kinds == ["invoice", "credit-note", "invoice", "credit-note"]
    proven(shop)


def appeal(gateway, dispute_id, state):
    """Let a dispute that ended move on, as banks do."""
    gateway.disputes[dispute_id] = {"state": state}


def test_another_amount_is_booked_anew(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    ada = shop.customer(ADA)
    ada.topups.confirm(topup.id)
    dispute_id = gateway.dispute(checkout_id(shop, topup), amount=eur("40"))
    look(shop, topup)
    assert flow(shop, "disputes", "clearing") == "40.00"
    gateway.disputes[dispute_id] = {"amount": eur("70")}
    look(shop, topup)
    assert (flow(shop, "disputes", "clearing"), flow(shop, "clearing", "disputes")) == ("110.00", "40.00")
    assert len(ada.holds()) == 1
    gateway.disputes[dispute_id] = {"amount": eur("70"), "state": "lost"}
    look(shop, topup)
    assert ada.balance().settled == eur("30")
    gateway.disputes[dispute_id] = {"amount": eur("90"), "state": "lost"}
    look(shop, topup)
    assert ada.balance().settled == eur("10")
    proven(shop)


def test_the_fee_of_a_dispute_is_posted_once_and_given_back_if_the_gateway_does(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    dispute_id = gateway.dispute(checkout_id(shop, topup))
    gateway.disputes[dispute_id] = {"fee": eur("15")}
    look(shop, topup)
    look(shop, topup)
    assert flow(shop, "fees", "clearing") == "15.00"
    proven(shop)
    gateway.disputes[dispute_id] = {"fee": eur("0"), "state": "won"}
    look(shop, topup)
    assert flow(shop, "clearing", "fees") == "15.00"
    proven(shop)


def test_a_fee_that_is_told_later_in_another_currency_is_posted_in_its_own(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    dispute_id = gateway.dispute(checkout_id(shop, topup))
    look(shop, topup)
    gateway.disputes[dispute_id] = {"fee": Money.of("20", "USD")}
    look(shop, topup)
    found = rows(shop, "SELECT currency, amount FROM prepaid_transfer WHERE book_id = :book AND kind = 'fee'")
    assert [tuple(row) for row in found] == [("USD", 20_000_000)]
    proven(shop)


def test_an_inquiry_takes_nothing_until_it_is_a_dispute(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    dispute_id = disputed(billing, simulated, topup, inquiry=True)
    assert kept(ada.balance()) == ("50.00", "0.00", "50.00")
    assert eligible(billing, topup).credit == eur("50")
    simulated.escalate(dispute_id)
    hear(billing, simulated, topup)
    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    proven(billing)


def test_one_that_is_lost_at_first_sight_is_booked_whole(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    simulated.lose(simulated.dispute(checkout_id(billing, topup)))
    look(billing, topup)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert flow(billing, "disputes", "clearing") == "50.00"
    proven(billing)


def test_a_customer_who_disputes_is_frozen_if_the_book_says_so(billing, simulated):
    operator(billing).settings.disputes(freeze=True)
    topup = top_up(billing, simulated, "50")
    disputed(billing, simulated, topup)
    frozen = [entry for entry in operator(billing).audit.list().items if entry.action == "freeze"]
    assert [(entry.actor, entry.target) for entry in frozen] == [("system", ADA)]
    assert rows(billing, "SELECT frozen_at FROM prepaid_customer WHERE id = 'user-42' AND book_id = :book")[0][0]
    proven(billing)


def test_what_another_hold_reserves_is_not_held_twice(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    hold(billing, "20")
    dispute_id = disputed(billing, simulated, topup)
    assert kept(ada.balance()) == ("50.00", "50.00", "0.00")
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)
    assert kept(ada.balance()) == ("0.00", "20.00", "-20.00")
    proven(billing)


def test_dispute_and_refund_together_take_no_more_than_was_paid(billing, ada, simulated):
    with_tax(billing)
    topup = top_up(billing, simulated, "100")
    give_back(billing, topup, "40")
    dispute_id = disputed(billing, simulated, topup)
    simulated.lose(dispute_id)
    hear(billing, simulated, topup)
    [dispute] = disputes_of(billing, topup)
    assert (dispute.withdrawn, dispute.net, dispute.tax) == (eur("120"), eur("60"), eur("12"))
    assert ada.balance().settled == eur("0")
    assert [str(note.total.amount) for note in ada.invoices.list().items] == ["72.00", "48.00", "120.00"]
    proven(billing)


def test_no_more_of_a_payment_goes_back_than_a_bank_left(billing, ada, simulated):
    with_tax(billing)
    topup = top_up(billing, simulated, "100")
    simulated.script_refund("pending")
    give_back(billing, topup, "100")
    [refund] = refunds_of(billing, topup)
    simulated.lose(simulated.dispute(checkout_id(billing, topup), amount=eur("60")))
    look(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    look(billing, topup)

    [dispute] = disputes_of(billing, topup)
    assert (dispute.net, dispute.tax, ada.balance().settled) == (eur("50"), eur("10"), eur("50"))
    [note] = [each for each in ada.invoices.list().items if each.kind == "credit-note"]
    assert note.total == eur("60")
    found = eligible(billing, topup)
    assert (found.credit, found.cash, found.reason) == (eur("50"), eur("60"), "refunded")
    with pytest.raises(RefundRefused) as refused:
        operator(billing).refunds.record(topup.id, eur("50.01"), reference="cheque 9", reason="agreed")
    assert refused.value.reason == "refunded"
    give_back(billing, topup, "50")
    assert eligible(billing, topup).credit == eur("0")
    proven(billing)


def test_a_lost_dispute_takes_the_rest_once_a_refund_that_was_on_its_way_fails(billing, ada, simulated):
    with_tax(billing)
    topup = top_up(billing, simulated, "100")
    simulated.script_refund("pending")
    give_back(billing, topup, "70")
    [refund] = refunds_of(billing, topup)
    dispute_id = simulated.dispute(checkout_id(billing, topup), amount=eur("60"))
    simulated.lose(dispute_id)
    look(billing, topup)
    [dispute] = disputes_of(billing, topup)
    assert (dispute.net + dispute.tax, ada.balance().settled) == (eur("36"), eur("0"))
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    look(billing, topup)
    look(billing, topup)
    [dispute] = disputes_of(billing, topup)
    assert (dispute.net, dispute.tax, ada.balance().settled) == (eur("50"), eur("10"), eur("50"))
    proven(billing)
    simulated.appeal(dispute_id)
    simulated.win(dispute_id)
    look(billing, topup)
    assert ada.balance().settled == eur("100")
    proven(billing)


def test_a_refund_at_the_gateway_of_what_a_dispute_took_is_the_sellers_loss_and_told(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    ada = shop.customer(ADA)
    ada.topups.confirm(topup.id)
    gateway.lose(gateway.dispute(checkout_id(shop, topup)))
    look(shop, topup)
    made = RefundSnapshot(
        gateway_refund_id="re_late",
        payment_id=paid_by(shop, topup),
        amount=eur("30"),
        state="succeeded",
        mode="test",
    )
    gateway.further_refunds.append(made)
    look(shop, topup)
    look(shop, topup)
    [refund] = refunds_of(shop, topup)
    assert (refund.amount, refund.credit) == (eur("30"), eur("0"))
    assert ada.balance().settled == eur("0")
    assert flow(shop, "disputes", "clearing") == "130.00"
    assert alarms(shop) == ["refund-exceeds-payment"]
    assert [topup.id for topup in operator(shop).topups.review().items] == [topup.id]
    proven(shop)
    gateway.dispute(checkout_id(shop, topup), amount=eur("10"))
    look(shop, topup)
    assert [(each.credit, each.turn) for each in refunds_of(shop, topup)] == [(eur("0"), 0)]
    proven(shop)
    gateway.further_refunds[:] = [evolve(made, state="failed")]
    look(shop, topup)
    assert flow(shop, "clearing", "disputes") == "30.00"
    proven(shop)


def test_a_refund_at_the_gateway_takes_the_rest_once_one_of_ours_fails(billing, ada, simulated, clock):
    with_tax(billing)
    topup = top_up(billing, simulated, "100")
    simulated.fault_next("refund", "unavailable")
    give_back(billing, topup, "70")
    simulated.refund_at_provider(checkout_id(billing, topup))
    look(billing, topup)
    ours, theirs = refunds_of(billing, topup)
    assert (ours.state, theirs.state) == ("starting", "succeeded")
    assert (theirs.credit, theirs.net, theirs.tax, ada.balance().settled) == (eur("30"), eur("30"), eur("6"), eur("0"))
    assert flow(billing, "disputes", "clearing") == "84.00"
    proven(billing)

    clock.advance(minutes=1)
    billing.run_due(only="refunds")
    look(billing, topup)
    ours, theirs = refunds_of(billing, topup)
    assert (theirs.credit, theirs.net, theirs.tax) == (eur("100"), eur("100"), eur("20"))
    assert ada.balance().settled == eur("0")
    assert flow(billing, "clearing", "disputes") == "84.00"
    assert [each[:3] for each in documents(ada)] == [
        *(("invoice", "100.00", "20.00"), ("credit-note", "30.00", "6.00")),
        *(("invoice", "30.00", "6.00"), ("credit-note", "100.00", "20.00")),
    ]
    assert told(billing, "refund-settled") == [{"refund": theirs.id, "topup": topup.id}]
    found = operator(billing).audit.list().items
    assert [each.action for each in found if each.target == theirs.id] == [
        *("refund-rebooked", "security", "refund-at-gateway"),
    ]
    proven(billing)


def test_a_refund_at_the_gateway_that_is_pending_takes_the_rest_too_and_gives_all_back(billing, ada, simulated, clock):
    topup = sell_with_bonus(billing, simulated)
    simulated.fault_next("refund", "unavailable")
    give_back(billing, topup, "50")
    simulated.script_refund("pending")
    made = simulated.refund_at_provider(checkout_id(billing, topup))
    look(billing, topup)
    clock.advance(minutes=1)
    billing.run_due(only="refunds")
    ours, theirs = refunds_of(billing, topup)
    assert ours.state == "failed"
    assert (theirs.state, theirs.credit, theirs.clawback) == ("pending", eur("100"), eur("20"))
    assert ada.balance().settled == eur("0")
    proven(billing)
    simulated.finish_refund(made, succeed=False)
    look(billing, topup)
    assert ada.balance().settled == eur("120")
    assert [each[0] for each in documents(ada)] == ["invoice"]
    proven(billing)


def test_a_refund_at_the_gateway_takes_what_a_dispute_had_once_that_is_won(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    ada = shop.customer(ADA)
    ada.topups.confirm(topup.id)
    dispute_id = gateway.dispute(checkout_id(shop, topup))
    gateway.lose(dispute_id)
    look(shop, topup)
    gateway.further_refunds.append(
        RefundSnapshot(
            gateway_refund_id="re_late",
            payment_id=paid_by(shop, topup),
            amount=eur("30"),
            state="succeeded",
            mode="test",
        )
    )
    look(shop, topup)
    gateway.appeal(dispute_id)
    gateway.win(dispute_id)
    look(shop, topup)
    [refund] = refunds_of(shop, topup)
    assert (refund.credit, ada.balance().settled) == (eur("30"), eur("70"))
    assert flow(shop, "disputes", "clearing") == flow(shop, "clearing", "disputes")
    proven(shop)


def test_two_disputes_of_one_payment_hold_its_credit_once(billing, ada, simulated):
    topup = top_up(billing, simulated, "100")
    give(billing, "50")
    first = disputed(billing, simulated, topup, "60")
    second = disputed(billing, simulated, topup, "40")
    assert (ada.balance().held, ada.balance().available) == (eur("100"), eur("50"))
    proven(billing)
    simulated.win(first)
    hear(billing, simulated, topup)
    assert (ada.balance().held, ada.balance().available) == (eur("100"), eur("50"))
    [hold] = ada.holds()
    assert hold.dispute_id == next(each.id for each in disputes_of(billing, topup) if each.dispute_id == second)
    simulated.lose(second)
    hear(billing, simulated, topup)
    assert (ada.balance().settled, ada.balance().held) == (eur("110"), eur("0"))
    proven(billing)


@pytest.mark.parametrize(("lost", "left"), [("40", "60"), ("100", "0")])
def test_a_dispute_holds_no_more_than_may_still_be_lost(billing, ada, simulated, lost, left):
    topup = top_up(billing, simulated, "100")
    give(billing, "50")
    disputed(billing, simulated, topup, "60")
    second = disputed(billing, simulated, topup, lost)
    assert (ada.balance().held, ada.balance().available) == (eur("100"), eur("50"))
    simulated.lose(second)
    hear(billing, simulated, topup)
    assert (ada.balance().held, ada.balance().available) == (eur(left), eur("50"))
    assert [hold.amount for hold in ada.holds()] == ([eur(left)] if left != "0" else [])
    proven(billing)


def test_what_goes_back_at_the_gateway_is_held_no_more(billing, ada, simulated):
    topup = top_up(billing, simulated, "100")
    give(billing, "50")
    disputed(billing, simulated, topup, "60")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("40"))
    look(billing, topup)
    assert (ada.balance().held, ada.balance().available) == (eur("60"), eur("50"))
    charge(billing, "30")
    assert (ada.balance().held, ada.balance().available) == (eur("60"), eur("20"))
    proven(billing)


@pytest.mark.parametrize(("share", "back"), [("1", "99"), ("1", "40"), ("60", "40")])
@pytest.mark.parametrize("percent", ["20", "150"])
def test_a_bonus_that_only_a_dispute_kept_lapses_when_it_is_held_no_more(
    billing, ada, simulated, clock, percent, share, back
):
    topup = sell_with_bonus(billing, simulated, percent=percent, bonus_expires_after=timedelta(days=1))
    disputed(billing, simulated, topup, share)
    clock.advance(days=1)
    billing.run_due("credit")
    assert kept(ada.balance())[2] == "0.00"
    proven(billing)
    simulated.refund_at_provider(checkout_id(billing, topup), eur(back))
    look(billing, topup)
    left = str((eur("100") - eur(back)).amount)
    assert kept(ada.balance()) == (left, left, "0.00")
    proven(billing)


def test_credit_that_comes_back_while_its_payment_is_disputed_is_held(billing, ada, simulated):
    topup = top_up(billing, simulated, "100")
    simulated.script_refund("pending")
    give_back(billing, topup, "70")
    [refund] = refunds_of(billing, topup)
    disputed(billing, simulated, topup, "30")
    assert (ada.balance().settled, ada.balance().available) == (eur("30"), eur("0"))
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    look(billing, topup)
    look(billing, topup)
    assert (ada.balance().settled, ada.balance().available) == (eur("100"), eur("0"))
    assert len(ada.holds()) == 1
    proven(billing)


def test_a_refund_in_another_currency_than_was_paid_is_told_and_not_booked(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    made = RefundSnapshot(
        gateway_refund_id="re_odd",
        payment_id=paid_by(shop, topup),
        amount=Money.of("30", "USD"),
        state="succeeded",
        mode="test",
    )
    gateway.further_refunds.append(made)
    look(shop, topup)
    assert alarms(shop) == ["refund-currency"]
    assert shop.customer(ADA).balance().settled == eur("100")
    proven(shop)


def paid_by(billing, topup):
    return value(
        billing, "SELECT payment_id FROM prepaid_payment WHERE topup_id = :topup AND book_id = :book", topup=topup.id
    )


def test_a_dispute_of_a_payment_in_review_is_booked_when_that_is_credited(billing, ada, simulated):
    topup = start(billing, "50")
    simulated.pay(checkout_of(topup), amount=eur("40"))
    assert ada.topups.confirm(topup.id).state == "review"
    simulated.dispute(checkout_of(topup))
    look(billing, topup)
    [dispute] = disputes_of(billing, topup)
    assert dispute.booked == ""
    proven(billing)
    operator(billing).topups.resolve(topup.id, action="credit_received", reason="they paid it", key="k")
    assert kept(ada.balance()) == ("40.00", "40.00", "0.00")
    proven(billing)


def test_disputes_of_a_payment_in_review_share_its_credit_when_that_is_credited(billing, ada, simulated):
    give(billing, "10")
    topup = start(billing, "50")
    simulated.pay(checkout_of(topup), amount=eur("40"))
    assert ada.topups.confirm(topup.id).state == "review"
    simulated.dispute(checkout_of(topup), amount=eur("20"))
    simulated.lose(simulated.dispute(checkout_of(topup), amount=eur("20")))
    look(billing, topup)
    operator(billing).topups.resolve(topup.id, action="credit_received", reason="they paid it", key="k")
    assert [each.booked for each in disputes_of(billing, topup)] == ["withdrawn", "lost"]
    assert kept(ada.balance()) == ("30.00", "20.00", "10.00")
    proven(billing)


def test_told_again_and_again_it_is_booked_once(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    dispute_id = disputed(billing, simulated, topup)
    simulated.lose(dispute_id)
    for _ in range(3):
        hear(billing, simulated, topup)
        look(billing, topup)
    assert flow(billing, "wallet", "disputes") == "100.00"
    assert len(ada.invoices.list().items) == 2
    proven(billing)


# Told by two workers at once


@pytest.fixture
def bought(shop, gateway):
    """Give a credited top-up at the provider that can be made to lie."""
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    return shop.customer(ADA).topups.confirm(topup.id)


@pytest.mark.parametrize("inquiry", [False, True], ids=["unknown before", "an inquiry before"])
def test_a_newer_answer_is_not_hidden_by_what_another_worker_recorded_meanwhile(shop, gateway, bought, inquiry):
    dispute_id = gateway.dispute(checkout_id(shop, bought), inquiry=inquiry)
    if inquiry:
        look(shop, bought)
        gateway.escalate(dispute_id)

    def meanwhile():
        look(shop, bought)
        gateway.lose(dispute_id)

    gateway.on_disputes.append(meanwhile)
    look(shop, bought)

    [dispute] = disputes_of(shop, bought)
    assert (dispute.state, dispute.booked) == ("lost", "lost")
    assert shop.customer(ADA).balance().settled == eur("0")
    proven(shop)


def test_who_is_overtaken_again_and_again_leaves_it_for_later(shop, gateway, bought):
    dispute_id = gateway.dispute(checkout_id(shop, bought))
    states = ["open", "lost"] * 3

    def meanwhile():
        gateway.disputes[dispute_id] = {"state": states.pop()}
        later = gateway.on_disputes[:]
        gateway.on_disputes.clear()
        look(shop, bought)
        gateway.disputes[dispute_id] = {"state": "won"}
        gateway.on_disputes.extend(later)

    gateway.on_disputes.extend([meanwhile] * len(states))
    with pytest.raises(GatewayError) as overtaken:
        look(shop, bought)

    assert (overtaken.value.code, overtaken.value.retryable) == ("overtaken", True)
    proven(shop)
    gateway.on_disputes.clear()
    look(shop, bought)
    assert disputes_of(shop, bought)[0].booked == "won"
    proven(shop)
