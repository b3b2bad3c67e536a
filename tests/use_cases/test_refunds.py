"""Refunds, asked for and decided: only unspent paid credit goes back, to its payment, to the unit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from prepaid import (
    AmountOutOfRange,
    Bonus,
    CurrencyMismatch,
    CustomerFrozen,
    Discount,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    Money,
    NotAllowed,
    NotFound,
    Percent,
    RefundRefused,
    WrongState,
    permissions,
    returning,
)
from prepaid.gateways import BankTransferGateway
from prepaid.ports import RefundSnapshot
from prepaid.store import topups
from tests.use_cases.promotion_steps import promote
from tests.use_cases.refund_steps import approve, ask, checkout_id, eligible, give_back, hear, look, proven, refunds_of
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    alarms,
    charge,
    checkout_of,
    eur,
    flow,
    give,
    hold,
    lines,
    live_in,
    operator,
    parts,
    start,
    told,
    top_up,
)


def documents(door):
    """Give kind, net, tax and what it corrects of each document, the oldest first."""
    found = reversed(door.invoices.list().items)
    return [(each.kind, str(each.net.amount), str(each.tax.total.amount), each.corrects) for each in found]


def sell_with_bonus(billing, simulated, amount="100", percent="20", **limits):
    promote(billing, "PLUS", Bonus(Percent(percent)), **limits)
    return top_up(billing, simulated, amount, code="PLUS")


# What may be asked back


EXAMPLES = [
    ("nothing spent", "100", "20", "0", "100", "120"),
    ("20 spent, all of it bonus", "100", "20", "20", "83.33", "99.996"),
    ("100 and 50, 120 spent", "100", "50", "120", "20", "30"),
]


@pytest.mark.parametrize(
    ("bought", "percent", "spent", "most", "leaves"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_the_published_examples(billing, ada, simulated, bought, percent, spent, most, leaves):
    topup = sell_with_bonus(billing, simulated, bought, percent)
    if spent != "0":
        charge(billing, spent)

    found = eligible(billing, topup)
    assert found.credit == eur(most)
    assert found.cash == eur(most)
    before = ada.balance().settled

    done = give_back(billing, topup, most)

    assert done.state == "refunded"
    assert before - ada.balance().settled == eur(leaves)
    assert flow(billing, "refunds_in_transit", "clearing") == str(eur(most).amount)
    proven(billing)


def test_a_discount_goes_back_with_the_credit_that_it_gave(billing, ada, simulated):
    promote(billing, "LESS", Discount(Percent("10")))
    topup = top_up(billing, simulated, "100", code="LESS")
    charge(billing, "20")

    found = eligible(billing, topup)
    assert (found.credit, found.cash, found.reason) == (eur("80"), eur("72"), "spent")
    for part in ("26.67", "26.67", "26.66"):
        give_back(billing, topup, part)

    assert flow(billing, "refunds_in_transit", "clearing") == "72.00"
    assert flow(billing, "refunds_in_transit", "promotion") == "8.00"
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    proven(billing)


def test_every_top_up_and_charge_says_how_much_and_why_not_more(billing, ada, simulated, clock):
    first = top_up(billing, simulated, "30")
    clock.advance(hours=1)
    second = top_up(billing, simulated, "20")
    spent = charge(billing, "40", description="vm-1, 1 h")
    give(billing, "5")

    found = ada.refunds.eligible()

    assert found.next is None
    shown = [(each.kind, each.id, str(each.credit.amount), each.reason) for each in found.items]
    assert shown == [
        ("topup", second.id, "10.00", "spent"),
        ("topup", first.id, "0.00", "spent"),
        ("charge", spent.transaction_id, "40.00", ""),
    ]
    assert found.items[2].description == "vm-1, 1 h"
    assert all(bool(each.message) == bool(each.reason) for each in found.items)


def test_pages_of_what_is_eligible_show_each_thing_once(billing, ada, simulated, clock):
    bought = []
    for _ in range(3):
        bought.append(top_up(billing, simulated, "10").id)
        clock.advance(minutes=1)
    used = [charge(billing, "1").transaction_id for _ in range(4)]

    for limit in (1, 2, 3, 4, 7, 50):
        seen, cursor = [], None
        while True:
            page = ada.refunds.eligible(cursor=cursor, limit=limit)
            assert len(page.items) <= limit
            seen += [each.id for each in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen == [*reversed(bought), *reversed(used)]


def test_credit_that_nobody_paid_for_is_not_refunded(billing, ada, simulated):
    promote(billing, "FREE", Discount(Percent("100")))
    topup = start(billing, "10.00", code="FREE")
    free = ada.topups.confirm(topup.id)
    give(billing, "50")

    found = eligible(billing, free)
    assert (found.credit, found.reason) == (eur("0"), "unpaid")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, free, "1")
    assert refused.value.reason == "unpaid"
    proven(billing)


def test_what_a_hold_reserves_is_not_refunded(billing, simulated):
    topup = top_up(billing, simulated, "50")
    hold(billing, "30")

    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("20"), "held")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "20.01")
    assert (refused.value.reason, refused.value.field) == ("held", "amount")


def test_a_hold_that_has_lapsed_keeps_nothing_from_being_asked_back(billing, simulated, clock):
    topup = top_up(billing, simulated, "50")
    hold(billing, "30", hours=2)
    clock.advance(hours=2)
    assert eligible(billing, topup).credit == eur("50")
    assert approve(billing, ask(billing, topup, "50")).state == "refunded"
    proven(billing)


def test_a_hold_and_a_bonus_that_was_taken_back_leave_all_that_is_free(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    give_back(billing, topup, "50")
    [bonus] = [grant.id for grant in operator(billing).customers.grants(ADA) if grant.kind == "promotional"]
    operator(billing).customers.void_grant(bonus, reason="given twice")
    hold(billing, "20")
    # Half of what is left of the promotion was taken back before: with the next part goes no more.
    found = eligible(billing, topup)
    assert (found.credit, found.clawback, found.reason) == (eur("30"), eur("0"), "held")
    give_back(billing, topup, "30")
    assert (ada.balance().settled, ada.balance().available) == (eur("20"), eur("0"))
    proven(billing)


def test_an_overdraft_is_no_money_to_give_back(billing, simulated):
    topup = top_up(billing, simulated, "50")
    operator(billing).customers.overdraft(ADA, eur("100"), reason="good customer")
    charge(billing, "50")
    assert eligible(billing, topup).credit == eur("0")


def test_a_bonus_that_expired_is_not_clawed_back(billing, ada, simulated, clock):
    topup = sell_with_bonus(billing, simulated, "100", "20", bonus_expires_after=timedelta(days=1))
    clock.advance(days=2)
    found = eligible(billing, topup)
    assert (found.credit, found.clawback) == (eur("100"), eur("0"))
    give_back(billing, topup, "100")
    assert parts(ada.balance())[0] == "0.00"
    assert ("clawback", "-20.00") not in lines(ada)
    proven(billing)


def test_customers_ask_in_time(billing, ada, simulated, clock):
    operator(billing).settings.refunds(topups_within=timedelta(days=30), charges_within=timedelta(days=2))
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "10")
    clock.advance(days=2, seconds=1)
    assert eligible(billing, used).reason == "too-old"
    clock.advance(days=28)
    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("0"), "too-old")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "10")
    assert refused.value.reason == "too-old"
    operator(billing).settings.refunds()
    assert eligible(billing, topup).credit == eur("40")


# Asking


def test_a_request_moves_no_money_and_waits_for_an_operator(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20", reason="not needed")

    assert (asked.state, asked.amount, asked.kind, asked.subject_id) == ("requested", eur("20"), "topup", topup.id)
    assert ada.balance().settled == eur("50")
    assert [each.id for each in ada.refunds.list().items] == [asked.id]
    assert [each.id for each in operator(billing).refunds.queue().items] == [asked.id]
    assert told(billing, "refund-requested") == [{"request": asked.id, "subject": topup.id}]
    assert eligible(billing, topup).reason == "requested"
    proven(billing)


def test_the_same_key_is_the_same_request_and_other_content_a_conflict(billing, simulated):
    topup = top_up(billing, simulated, "50")
    first = ask(billing, topup, "20", key="k1")
    assert ask(billing, topup, "20", key="k1") == first
    with pytest.raises(KeyConflict) as refused:
        ask(billing, topup, "21", key="k1")
    assert refused.value.field == "key"
    approve(billing, first)
    assert ask(billing, topup, "20", key="k1").state == "refunded"


def test_of_one_thing_one_request_is_open(billing, simulated):
    topup = top_up(billing, simulated, "50")
    ask(billing, topup, "20")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "10")
    assert refused.value.reason == "requested"


def test_a_customer_takes_a_request_back_once_and_for_all(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    assert ada.refunds.withdraw(asked.id).state == "withdrawn"
    assert ada.refunds.withdraw(asked.id).state == "withdrawn"
    with pytest.raises(WrongState):
        approve(billing, asked)
    with pytest.raises(WrongState):
        operator(billing).refunds.reject(asked.id, reason="no")
    again = ask(billing, topup, "50")
    approve(billing, again)
    with pytest.raises(WrongState):
        ada.refunds.withdraw(again.id)
    proven(billing)


BAD_REQUESTS = [
    ({"amount": "50.01"}, RefundRefused, "amount"),
    ({"amount": "0"}, InvalidAmount, "amount"),
    ({"amount": "-5"}, InvalidAmount, "amount"),
    ({"amount": "1.005"}, InvalidAmount, "amount"),
    ({"currency": "USD"}, CurrencyMismatch, "amount"),
    ({"reason": ""}, InvalidRequest, "reason"),
    ({"reason": "  "}, InvalidRequest, "reason"),
    ({"reason": "x" * 501}, InvalidRequest, "reason"),
    ({"reason": "a\x00b"}, InvalidRequest, "reason"),
    ({"reason": None}, InvalidRequest, "reason"),
    ({"key": ""}, InvalidRequest, "key"),
    ({"key": "k" * 192}, InvalidRequest, "key"),
    ({"subject": "top_01m82v7m000000000000000000"}, NotFound, "refund"),
    ({"subject": "txn_01m82v7m000000000000000000"}, NotFound, "refund"),
    ({"subject": "inv_01m82v7m000000000000000000"}, NotFound, "refund"),
    ({"subject": ""}, NotFound, "refund"),
    ({"subject": None}, NotFound, "refund"),
    ({"subject": "top_'; DROP"}, NotFound, "refund"),
]


@SQLITE
@pytest.mark.parametrize(("change", "error", "field"), BAD_REQUESTS, ids=[str(each[0])[:40] for each in BAD_REQUESTS])
def test_what_cannot_be_asked_for_is_refused_by_its_field(billing, ada, simulated, change, error, field):
    topup = top_up(billing, simulated, "50")
    subject = change.get("subject", topup.id)
    amount = Money.of(change.get("amount", "10"), change.get("currency", "EUR"))
    with pytest.raises(error) as refused:
        ada.refunds.request(subject, amount, reason=change.get("reason", "why"), key=change.get("key", "k"))
    assert refused.value.field == field
    assert ada.refunds.list().items == ()
    assert ada.balance().settled == eur("50")


@SQLITE
def test_money_that_is_none_is_refused(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    for amount in ("10", 10, 10.0, None):
        with pytest.raises(InvalidAmount):
            ada.refunds.request(topup.id, amount, reason="why", key="k")


def test_nobody_sees_or_touches_the_refunds_of_another(billing, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "5")
    asked = ask(billing, topup, "20")
    eve = billing.customer(EVE)
    for act in (
        lambda: eve.refunds.request(topup.id, eur("1"), reason="mine", key="k"),
        lambda: eve.refunds.request(used.transaction_id, eur("1"), reason="mine", key="k"),
        lambda: eve.refunds.get(asked.id),
        lambda: eve.refunds.withdraw(asked.id),
    ):
        with pytest.raises(NotFound) as refused:
            act()
        assert refused.value.message == "There is no such refund, top-up or charge."
    assert eve.refunds.list().items == ()
    assert eve.refunds.eligible().items == ()


def test_a_customer_who_is_frozen_asks_for_nothing(billing, simulated):
    topup = top_up(billing, simulated, "50")
    operator(billing).customers.freeze(ADA, reason="looked into")
    with pytest.raises(CustomerFrozen):
        ask(billing, topup, "20")


def test_a_refund_or_an_expiry_is_nothing_to_ask_back(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    give_back(billing, topup, "10")
    for line in ada.transactions().items:
        if line.kind != "charge":
            with pytest.raises(NotFound):
                ada.refunds.request(line.id, eur("1"), reason="why", key=line.id)


# Deciding


def test_credit_leaves_at_approval_and_is_booked_when_the_gateway_gave_it(billing, ada, simulated, clock):
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")
    topup = top_up(billing, simulated, "50")
    simulated.script_refund("pending")
    asked = ask(billing, topup, "20")

    done = approve(billing, asked, note="You will have it in five days.")

    assert (done.state, done.approved, done.cash, done.tax) == ("approved", eur("20"), eur("24"), eur("4"))
    assert done.note == "You will have it in five days."
    assert ada.balance().settled == eur("30")
    assert flow(billing, "wallet", "refunds_in_transit") == "20.00"
    assert flow(billing, "tax_payable", "clearing") == "0.00"
    assert len(documents(ada)) == 1
    proven(billing)

    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id)
    hear(billing, simulated, topup)

    assert ada.refunds.get(asked.id).state == "refunded"
    assert flow(billing, "refunds_in_transit", "clearing") == "20.00"
    assert flow(billing, "tax_payable", "clearing") == "4.00"
    number = ada.invoices.list().items[-1].number
    assert documents(ada) == [("invoice", "50.00", "10.00", None), ("credit-note", "20.00", "4.00", number)]
    assert told(billing, "refund-settled")[0]["topup"] == topup.id
    proven(billing)


def test_an_operator_approves_a_part(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    done = approve(billing, ask(billing, topup, "40"), "15")
    assert (done.state, done.amount, done.approved) == ("refunded", eur("40"), eur("15"))
    assert ada.balance().settled == eur("35")
    assert eligible(billing, topup).credit == eur("35")


def test_the_same_approval_again_changes_nothing_and_another_amount_is_a_conflict(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    first = approve(billing, asked)
    assert approve(billing, asked) == first
    assert approve(billing, asked, actor="bob") == first
    with pytest.raises(KeyConflict) as refused:
        approve(billing, asked, "10")
    assert refused.value.field == "amount"
    assert ada.balance().settled == eur("30")
    with pytest.raises(WrongState):
        operator(billing).refunds.reject(asked.id, reason="changed my mind")


def test_a_rejection_says_why_and_gives_the_customer_a_note(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    done = operator(billing).refunds.reject(asked.id, reason="abuse, see ticket 4", note="Please write to us.")
    assert (done.state, done.note, done.decided_by) == ("rejected", "Please write to us.", "alice@nimbus.example")
    assert operator(billing).refunds.reject(asked.id, reason="again") == done
    assert ada.balance().settled == eur("50")
    assert told(billing, "refund-decided")[0]["decision"] == "rejected"
    case = operator(billing).refunds.get(asked.id)
    assert [(entry.action, entry.reason) for entry in case.history] == [
        ("refund-request", ""),
        ("refund-reject", "abuse, see ticket 4"),
    ]
    assert case.refund is None
    assert ask(billing, topup, "20").state == "requested"
    proven(billing)


def test_what_was_spent_meanwhile_is_not_given_back(billing, ada, simulated):
    topup = top_up(billing, simulated, "100")
    asked = ask(billing, topup, "100")
    charge(billing, "30")
    with pytest.raises(RefundRefused) as refused:
        approve(billing, asked)
    assert (refused.value.reason, refused.value.params["eligible"]) == ("spent", "70.00 EUR")
    assert operator(billing).refunds.queue().items[0].state == "requested"
    assert approve(billing, asked, "70").state == "refunded"
    assert ada.balance().settled == eur("0")
    proven(billing)


def test_two_operators_approve_above_the_limit(billing, ada, simulated):
    operator(billing).settings.approvals(two_person_above=eur("50"))
    topup = top_up(billing, simulated, "100")
    asked = ask(billing, topup, "60")

    assert approve(billing, asked).state == "confirming"
    assert approve(billing, asked).state == "confirming"
    assert ada.balance().settled == eur("100")
    assert [each.state for each in operator(billing).refunds.queue().items] == ["confirming"]
    with pytest.raises(KeyConflict):
        approve(billing, asked, "55", actor="bob")
    proven(billing)

    done = approve(billing, asked, actor="bob")
    assert (done.state, done.decided_by) == ("refunded", "bob")
    history = [(e.action, e.actor) for e in operator(billing).refunds.get(asked.id).history]
    assert ("refund-confirm", "alice@nimbus.example") in history
    assert ("refund-approve", "bob") in history
    proven(billing)


def test_what_one_of_two_operators_approved_and_is_ended_was_not_approved(billing, ada, simulated):
    operator(billing).settings.approvals(two_person_above=eur("50"))
    topup = top_up(billing, simulated, "100")
    ends = (ada.refunds.withdraw, lambda asked: operator(billing).refunds.reject(asked, reason="no"))
    for state, end in zip(("withdrawn", "rejected"), ends, strict=True):
        asked = ask(billing, topup, "60")
        assert approve(billing, asked).approved == eur("60")
        ended = end(asked.id)
        assert (ended.state, ended.approved) == (state, None)
    proven(billing)


def test_one_operator_is_enough_up_to_the_limit_and_for_a_part(billing, simulated):
    operator(billing).settings.approvals(two_person_above=eur("50"))
    assert give_back(billing, top_up(billing, simulated, "100"), "50").state == "refunded"
    assert approve(billing, ask(billing, top_up(billing, simulated, "100"), "80"), "50").state == "refunded"


def test_parts_of_one_payment_are_no_way_around_the_limit(billing, simulated):
    operator(billing).settings.approvals(two_person_above=eur("50"))
    topup = top_up(billing, simulated, "100")
    simulated.script_refund("failed")
    assert give_back(billing, topup, "40").state == "failed"  # nothing went back: it counts for nothing
    simulated.script_refund("pending")
    assert give_back(billing, topup, "30").state == "approved"
    assert give_back(billing, topup, "20").state == "refunded"

    rest = ask(billing, topup, "0.01")

    assert operator(billing).refunds.get(rest.id).given_back == eur("50")
    assert approve(billing, rest).state == "confirming"
    assert approve(billing, rest).state == "confirming"
    assert approve(billing, rest, actor="bob").state == "refunded"
    proven(billing)


def test_parts_of_one_charge_are_no_way_around_the_limit(billing, simulated):
    operator(billing).settings.approvals(two_person_above=eur("5"))
    top_up(billing, simulated, "50")
    charge = billing.usage.charge(ADA, eur("20"), key="vm-1")
    billing.usage.reverse(charge.transaction_id, eur("9"), key="by-the-host", reason="an outage")
    assert give_back(billing, charge, "3").state == "refunded"
    assert give_back(billing, charge, "2").state == "refunded"

    rest = ask(billing, charge, "1")

    assert operator(billing).refunds.get(rest.id).given_back == eur("5")
    assert approve(billing, rest).state == "confirming"
    assert approve(billing, rest, actor="bob").state == "refunded"


def test_nobody_approves_their_own_account(billing, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    own = billing.operator("ada-at-work", permissions=permissions.ALL, customer_id=ADA)
    for act in (
        lambda: own.refunds.approve(asked.id, reason="me"),
        lambda: own.refunds.reject(asked.id, reason="me"),
        lambda: own.refunds.record(topup.id, eur("5"), reference="r", reason="me"),
        lambda: operator(billing, ADA).refunds.approve(asked.id, reason="me"),
    ):
        with pytest.raises(NotAllowed) as refused:
            act()
        assert refused.value.field == "customer"
    assert billing.customer(ADA).balance().settled == eur("50")


@SQLITE
@pytest.mark.parametrize(
    ("granted", "act"),
    [
        ({"refunds.read"}, lambda ops, asked, topup: ops.refunds.approve(asked.id, reason="x")),
        ({"refunds.read"}, lambda ops, asked, topup: ops.refunds.reject(asked.id, reason="x")),
        ({"refunds.read"}, lambda ops, asked, topup: ops.refunds.record(topup.id, eur("1"), reference="r", reason="x")),
        ({"refunds.write"}, lambda ops, asked, topup: ops.refunds.queue()),
        ({"refunds.write"}, lambda ops, asked, topup: ops.refunds.get(asked.id)),
        ({"refunds.write"}, lambda ops, asked, topup: ops.disputes.list()),
        ({"refunds.write"}, lambda ops, asked, topup: ops.settings.approvals(two_person_above=None)),
        ({"refunds.write"}, lambda ops, asked, topup: ops.settings.refunds()),
        ({"refunds.write"}, lambda ops, asked, topup: ops.settings.disputes(freeze=True)),
    ],
)
def test_each_act_needs_its_permission(billing, simulated, granted, act):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    with pytest.raises(NotAllowed):
        act(operator(billing, granted=granted), asked, topup)


BAD_DECISIONS = [
    ({"amount": eur("20.01")}, AmountOutOfRange, "amount"),
    ({"amount": eur("0")}, InvalidAmount, "amount"),
    ({"amount": eur("1.001")}, InvalidAmount, "amount"),
    ({"amount": Money.of("5", "USD")}, CurrencyMismatch, "amount"),
    ({"amount": "5"}, InvalidAmount, "amount"),
    ({"reason": ""}, InvalidRequest, "reason"),
    ({"reason": None}, InvalidRequest, "reason"),
    ({"note": "x" * 501}, InvalidRequest, "note"),
    ({"note": None}, InvalidRequest, "note"),
]


@SQLITE
@pytest.mark.parametrize(("change", "error", "field"), BAD_DECISIONS, ids=[str(each[0])[:30] for each in BAD_DECISIONS])
def test_a_bad_decision_is_refused_by_its_field(billing, ada, simulated, change, error, field):
    asked = ask(billing, top_up(billing, simulated, "50"), "20")
    with pytest.raises(error) as refused:
        operator(billing).refunds.approve(asked.id, **{"reason": "fair", **change})
    assert refused.value.field == field
    assert ada.refunds.get(asked.id) == asked


@SQLITE
def test_settings_of_the_desk_are_checked_and_audited(billing):
    ops = operator(billing)
    for act, field in (
        (lambda: ops.settings.approvals(two_person_above="500"), "two_person_above"),
        (lambda: ops.settings.approvals(two_person_above=eur("-1")), "two_person_above"),
        (lambda: ops.settings.approvals(two_person_above=Money.of("5", "GBP")), "currency"),
        (lambda: ops.settings.refunds(topups_within=30), "topups_within"),
        (lambda: ops.settings.disputes(freeze="yes"), "freeze"),
        (lambda: ops.refunds.queue(state="lost"), "state"),
        (lambda: ops.refunds.queue(limit=0), "limit"),
        (lambda: ops.refunds.queue(cursor="x.1"), "cursor"),
        (lambda: ops.disputes.list(state="gone"), "state"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            act()
        assert refused.value.field == field
    ops.settings.approvals(two_person_above=[eur("500"), Money.of("600", "USD")])
    ops.settings.refunds(topups_within=timedelta(days=90))
    ops.settings.disputes(freeze=True)
    acts = [entry.target for entry in ops.audit.list().items if entry.action == "settings"]
    assert acts == ["disputes", "refunds", "approvals"]


# Charges


def test_a_charge_goes_back_to_the_grants_that_it_came_from(billing, ada, simulated):
    top_up(billing, simulated, "50")
    give(billing, "10")
    used = charge(billing, "15", resource="vm-1", period=None)
    assert parts(ada.balance()) == ("45.00", "45.00", "0.00")

    done = approve(billing, ask(billing, used, "12"), note="Sorry for the outage.")

    assert (done.state, done.kind, done.refund_id) == ("refunded", "charge", None)
    assert parts(ada.balance()) == ("57.00", "50.00", "7.00")
    back = ada.transactions(kind="reversal").items[0]
    assert (back.id, back.resource, back.description) == (
        done.transaction_id,
        "vm-1",
        "Refund. Sorry for the outage.",
    )
    assert flow(billing, "refunds_in_transit", "clearing") == "0.00"
    found = eligible(billing, used)
    assert (found.credit, found.reason) == (eur("3"), "refunded")
    proven(billing)


def test_a_charge_is_corrected_in_its_own_period(billing, ada, simulated, clock):
    top_up(billing, simulated, "50")
    period = (clock.now() - timedelta(hours=3), clock.now() - timedelta(hours=2))
    used = charge(billing, "15", resource="vm-1", period=period)
    clock.advance(days=40)
    approve(billing, ask(billing, used, "15"))
    statement = ada.usage(since=period[0] - timedelta(days=1), until=period[1] + timedelta(days=1))
    assert statement.total == eur("0")
    proven(billing)


def test_of_a_charge_no_more_goes_back_than_was_charged(billing, simulated):
    top_up(billing, simulated, "50")
    used = charge(billing, "15")
    asked = ask(billing, used, "15")
    billing.usage.reverse(used.transaction_id, eur("10"), key="r", reason="outage")
    with pytest.raises(RefundRefused) as refused:
        approve(billing, asked)
    assert refused.value.reason == "refunded"
    assert approve(billing, asked, "5").state == "refunded"
    proven(billing)


def test_a_charge_finer_than_a_cent_goes_back_whole(billing, ada, simulated):
    top_up(billing, simulated, "50")
    used = charge(billing, "0.00744")
    approve(billing, ask(billing, used, "0.00744"))
    assert ada.balance().settled == eur("50")


# What becomes of it at the gateway


def test_a_refund_that_fails_gives_the_credit_back(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    charge(billing, "10")
    before = parts(ada.balance())
    simulated.script_refund("pending")
    done = approve(billing, ask(billing, topup, "60"))
    [refund] = refunds_of(billing, topup)
    assert parts(ada.balance()) == ("38.00", "38.00", "0.00")

    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    hear(billing, simulated, topup)

    assert parts(ada.balance()) == before
    assert ada.refunds.get(done.id).state == "failed"
    assert [kind for kind, _ in documents_kinds(ada)] == ["invoice"]
    assert told(billing, "refund-failed")[0]["refund"] == refund.id
    assert lines(ada)[-2:] == [("clawback", "12.00"), ("refund-reversal", "60.00")]
    proven(billing)
    assert eligible(billing, topup).credit == eur("91.66")


def documents_kinds(door):
    return [(kind, corrects) for kind, _, _, corrects in documents(door)]


def test_a_refund_that_fails_after_it_succeeded_is_booked_back_with_a_new_invoice(billing, ada, simulated):
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")
    topup = sell_with_bonus(billing, simulated)
    done = give_back(billing, topup, "50")
    [refund] = refunds_of(billing, topup)
    note = ada.invoices.list().items[0]
    assert note.kind == "credit-note"

    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    hear(billing, simulated, topup)

    assert ada.refunds.get(done.id).state == "failed"
    assert parts(ada.balance()) == ("120.00", "100.00", "20.00")
    again = ada.invoices.list().items[0]
    assert (again.kind, again.corrects, again.net, again.total) == ("invoice", note.number, eur("50"), eur("60"))
    assert operator(billing).reports.tax(again.issued_on, again.issued_on + timedelta(days=1))[0].amount == eur("20")
    proven(billing)

    give_back(billing, topup, "100")
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert flow(billing, "tax_payable", "clearing") == "30.00"
    assert flow(billing, "clearing", "tax_payable") == "30.00"
    proven(billing)


def test_a_refund_that_came_back_onto_a_debt_pays_it(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    simulated.script_refund("pending")
    approve(billing, ask(billing, topup, "100"))
    charge(billing, "30", allow_negative=True)
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    hear(billing, simulated, topup)
    assert parts(ada.balance()) == ("90.00", "90.00", "0.00")
    proven(billing)


def test_a_refund_whose_answer_is_lost_is_made_once(billing, ada, simulated, clock):
    topup = top_up(billing, simulated, "50")
    simulated.fault_next("refund", "timeout-after-accept")
    done = approve(billing, ask(billing, topup, "20"))
    assert done.state == "approved"
    assert ada.balance().settled == eur("30")
    clock.advance(days=1)
    billing.run_due(only="refunds")
    assert ada.refunds.get(done.id).state == "refunded"
    assert len(refunds_of(billing, topup)) == 1
    proven(billing)


def test_a_refund_that_the_gateway_refuses_gives_the_credit_back(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    simulated.fault_next("refund", "garbage")
    done = approve(billing, ask(billing, topup, "20"))
    assert done.state == "failed"
    assert ada.balance().settled == eur("50")
    proven(billing)


def test_three_uneven_parts_add_up_to_the_invoice(billing, ada, simulated):
    add_rule(billing, "DE", (("USt", "19"),))
    live_in(billing, "DE")
    topup = top_up(billing, simulated, "99.99")
    for part in ("33.34", "0.01", "66.64"):
        give_back(billing, topup, part)
    found = documents(ada)
    assert found[0][:3] == ("invoice", "99.99", "19.00")
    assert sum(eur(net).minor for _, net, _, _ in found[1:]) == 9999
    assert sum(eur(tax).minor for _, _, tax, _ in found[1:]) == 1900
    assert eligible(billing, topup).reason == "refunded"
    proven(billing)


def test_several_taxes_go_back_each_to_the_cent(billing, ada, simulated):
    add_rule(billing, "DE", (("CGST", "9"), ("SGST", "9")))
    live_in(billing, "DE")
    topup = top_up(billing, simulated, "10.03")
    for part in ("3.33", "3.37", "3.33"):
        give_back(billing, topup, part)
    sums = {}
    for note in ada.invoices.list().items:
        for line in note.tax.lines:
            sign = -1 if note.kind == "credit-note" else 1
            sums[line.name] = sums.get(line.name, 0) + sign * line.amount.minor
    assert sums == {"CGST": 0, "SGST": 0}
    proven(billing)


def test_a_credit_note_is_mailed_with_its_own_number(billing, ada, simulated, mailer):
    topup = top_up(billing, simulated, "50")
    give_back(billing, topup, "20")
    billing.run_due(only="outbox")
    note = ada.invoices.list().items[0]
    assert note.number.startswith("TCN")
    assert note.number.endswith("-000001")
    assert [message.attachments[0].filename for message in mailer.sent][-1] == f"{note.number}.pdf"
    assert ada.invoices.pdf(note.number) == ada.invoices.pdf(note.id)


# By other means


@pytest.fixture
def bank(open_billing, clock):
    """Give a book whose money comes by bank transfer."""
    gateway = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    return billing


def transferred(billing, amount="50"):
    topup = start(billing, amount)
    received = topup.total
    return operator(billing).topups.confirm_bank_transfer(topup.id, received=received, reference=f"line {topup.id}")


def test_what_no_gateway_can_give_back_is_recorded_with_its_evidence(bank):
    topup = transferred(bank)
    ada = bank.customer(ADA)
    found = eligible(bank, topup)
    assert (found.credit, found.by_hand) == (eur("50"), True)
    asked = ask(bank, topup, "20")
    with pytest.raises(WrongState) as refused:
        approve(bank, asked)
    assert "record what you gave back" in refused.value.message

    ops = operator(bank)
    refund = ops.refunds.record(topup.id, eur("20"), reference="SEPA 77", reason="asked", refund_id=asked.id)

    assert (refund.state, refund.amount, refund.origin) == ("succeeded", eur("20"), "outside")
    assert ops.refunds.record(topup.id, eur("20"), reference="SEPA 77", reason="asked").id == refund.id
    with pytest.raises(KeyConflict):
        ops.refunds.record(topup.id, eur("10"), reference="SEPA 77", reason="asked")
    assert ada.balance().settled == eur("30")
    assert ada.refunds.get(asked.id).state == "refunded"
    assert documents_kinds(ada)[-1][0] == "credit-note"
    assert ops.refunds.record(topup.id, eur("30"), reference="SEPA 78", reason="left us").state == "succeeded"
    with pytest.raises(RefundRefused):
        ops.refunds.record(topup.id, eur("0.01"), reference="SEPA 79", reason="more")
    proven(bank)


def test_a_record_above_the_limit_takes_two_operators(bank):
    operator(bank).settings.approvals(two_person_above=eur("10"))
    topup = transferred(bank)
    alice, bob = operator(bank), operator(bank, "bob")
    with pytest.raises(NotAllowed):
        alice.refunds.record(topup.id, eur("20"), reference="S1", reason="asked")
    asked = ask(bank, topup, "20")
    with pytest.raises(NotAllowed):
        alice.refunds.record(topup.id, eur("20"), reference="S1", reason="asked", refund_id=asked.id)
    assert approve(bank, asked).state == "confirming"
    with pytest.raises(NotAllowed):
        alice.refunds.record(topup.id, eur("20"), reference="S1", reason="asked", refund_id=asked.id)
    assert bob.refunds.record(topup.id, eur("20"), reference="S1", reason="asked", refund_id=asked.id).credit == eur(
        "20"
    )
    assert bank.customer(ADA).refunds.get(asked.id).decided_by == "bob"
    proven(bank)


def test_records_in_parts_are_no_way_around_the_limit(bank):
    operator(bank).settings.approvals(two_person_above=eur("10"))
    topup, alice = transferred(bank), operator(bank)
    alice.refunds.record(topup.id, eur("6"), reference="S1", reason="asked")
    alice.refunds.record(topup.id, eur("4"), reference="S2", reason="asked")
    with pytest.raises(NotAllowed) as refused:
        alice.refunds.record(topup.id, eur("0.01"), reference="S3", reason="asked")
    assert refused.value.field == "amount"
    assert alice.refunds.record(topup.id, eur("6"), reference="S1", reason="asked").credit == eur("6")


@SQLITE
def test_a_record_is_of_a_top_up_and_its_own_request(bank):
    first, second = transferred(bank), transferred(bank)
    asked = ask(bank, first, "20")
    ops = operator(bank)
    nobodys = "top_01m82v7m000000000000000000"

    def record(topup_id=first.id, amount=None, *, reference="r", reason="x", refund_id=None):
        return ops.refunds.record(topup_id, amount or eur("1"), reference=reference, reason=reason, refund_id=refund_id)

    for act, error, field in (
        (lambda: record(nobodys), NotFound, "topup"),
        (lambda: record(second.id, refund_id=asked.id), WrongState, "refund"),
        (lambda: record(reference=""), InvalidRequest, "reference"),
        (lambda: record(reason=""), InvalidRequest, "reason"),
        (lambda: record(amount=Money.of("1", "USD")), CurrencyMismatch, "amount"),
        (lambda: record(amount=eur("0.001")), InvalidAmount, "amount"),
    ):
        with pytest.raises(error) as refused:
            act()
        assert refused.value.field == field
    bank.customer(ADA).refunds.withdraw(asked.id)
    with pytest.raises(WrongState):
        ops.refunds.record(first.id, eur("1"), reference="r", reason="x", refund_id=asked.id)
    assert bank.customer(ADA).balance().settled == eur("100")


def test_a_reference_counts_once_whatever_gateways_the_payments_came_by(open_billing, simulated):
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[simulated, bank])
    billing.customers.register(ADA, currency="EUR")
    ops, paid = operator(billing), top_up(billing, simulated, "50")
    other = start(billing, "50", gateway="bank-transfer")
    ops.topups.confirm_bank_transfer(other.id, received=other.total, reference="line 1")
    ops.refunds.record(paid.id, eur("20"), reference="SEPA 77", reason="asked")
    with pytest.raises(KeyConflict):
        ops.refunds.record(other.id, eur("20"), reference="SEPA 77", reason="asked")
    proven(billing)


def test_so_little_that_it_is_no_money_is_not_recorded(billing, ada, simulated):
    promote(billing, "ALMOST", Discount(Percent("90")))
    topup = top_up(billing, simulated, "100", code="ALMOST")
    with pytest.raises(RefundRefused) as refused:
        operator(billing).refunds.record(topup.id, eur("0.05"), reference="cheque 9", reason="agreed")
    assert (refused.value.reason, refused.value.field) == ("gateway-limit", "amount")
    assert refunds_of(billing, topup) == ()
    assert ada.balance().settled == eur("100")
    proven(billing)


# Made at the gateway


def test_a_refund_made_at_the_gateway_is_booked_without_a_request(billing, ada, simulated):
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")
    topup = sell_with_bonus(billing, simulated)
    checkout = checkout_id(billing, topup)
    simulated.refund_at_provider(checkout, eur("60"))
    hear(billing, simulated, topup)
    hear(billing, simulated, topup)

    [refund] = refunds_of(billing, topup)
    assert (refund.origin, refund.credit, refund.net, refund.tax) == ("gateway", eur("50"), eur("50"), eur("10"))
    assert refund.actor == "gateway:simulated"
    assert parts(ada.balance()) == ("60.00", "50.00", "10.00")
    assert documents(ada)[-1][:3] == ("credit-note", "50.00", "10.00")
    assert lines(ada)[-2:] == [("refund", "-50.00"), ("clawback", "-10.00")]
    proven(billing)

    simulated.refund_at_provider(checkout)
    look(billing, topup)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert flow(billing, "tax_payable", "clearing") == "20.00"
    proven(billing)


def test_what_was_spent_is_taken_from_other_credit_then_below_zero(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    charge(billing, "50")
    give(billing, "10")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("30"))
    look(billing, topup)
    assert parts(ada.balance()) == ("-20.00", "0.00", "0.00")
    proven(billing)
    top_up(billing, simulated, "50")
    assert parts(ada.balance()) == ("30.00", "30.00", "0.00")
    proven(billing)


def test_a_refund_at_the_gateway_that_fails_gives_all_of_it_back(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    charge(billing, "90")
    before = parts(ada.balance())
    gateway_id = simulated.refund_at_provider(checkout_id(billing, topup), eur("60"))
    look(billing, topup)
    assert ada.balance().settled == eur("-42")
    simulated.finish_refund(gateway_id, succeed=False)
    hear(billing, simulated, topup)
    assert parts(ada.balance()) == before
    proven(billing)


def test_a_refund_at_the_gateway_and_one_of_ours_add_up(billing, ada, simulated):
    add_rule(billing, "DE", (("USt", "19"),))
    live_in(billing, "DE")
    topup = top_up(billing, simulated, "33.33")
    give_back(billing, topup, "11.11")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("7.77"))
    look(billing, topup)
    simulated.refund_at_provider(checkout_id(billing, topup))
    look(billing, topup)
    found = documents(ada)
    assert sum(eur(net).minor for _, net, _, _ in found[1:]) == eur(found[0][1]).minor
    assert sum(eur(tax).minor for _, _, tax, _ in found[1:]) == eur(found[0][2]).minor
    assert ada.balance().settled == eur("0")
    proven(billing)


def test_a_newer_answer_of_a_refund_there_is_not_hidden_by_what_another_worker_recorded(shop, gateway, monkeypatch):
    topup = start(shop, "50")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    payment_id = shop._context.database.read(lambda tx: topups.payment_ref(tx, topup.id)).payment_id
    made = RefundSnapshot(
        gateway_refund_id="re_there", payment_id=payment_id, amount=eur("30"), state="succeeded", mode="test"
    )
    gateway.further_refunds.append(made)
    prepare, others = returning.prepare, ["pending"]

    def meanwhile(*parts, **options):
        """Let another worker record an older answer when ours is about to be recorded."""
        if others:
            gateway.further_refunds[:] = [evolve(made, state=others.pop())]
            look(shop, topup)
            gateway.further_refunds[:] = [made]
        return prepare(*parts, **options)

    monkeypatch.setattr(returning, "prepare", meanwhile)
    look(shop, topup)

    [refund] = refunds_of(shop, topup)
    assert refund.state == "succeeded"
    assert flow(shop, "refunds_in_transit", "clearing") == "30.00"
    proven(shop)


# What else there is


def test_a_line_of_a_refund_names_its_top_up_and_its_credit_note(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    give_back(billing, topup, "50")
    note = ada.invoices.list().items[0]
    found = {line.kind: (line.topup_id, line.invoice_number) for line in ada.transactions().items}
    assert found["refund"] == (topup.id, note.number)
    assert found["clawback"] == (topup.id, note.number)
    assert found["topup"] == (topup.id, note.corrects)


def test_money_that_no_listed_refund_accounts_for_is_told_once(shop, gateway):
    topup = start(shop, "100")
    gateway.pay(checkout_of(topup))
    ada = shop.customer(ADA)
    ada.topups.confirm(topup.id)
    gateway.lies["refunded"] = eur("30")
    look(shop, topup)
    look(shop, topup)
    assert alarms(shop) == ["refund-unlisted"]
    assert [each.failure for each in operator(shop).topups.review().items] == ["refund-unlisted"]
    assert ada.balance().settled == eur("100")
    proven(shop)
