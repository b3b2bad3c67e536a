"""Looking before deciding: what one top-up or charge has left, for its customer and for operators, and the rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import NotAllowed, NotFound, RefundRefused, RefundRules
from prepaid.gateways import BankTransferGateway
from tests.use_cases.refund_steps import approve, ask, checkout_id, eligible, hear, look
from tests.use_cases.steps import ADA, EVE, SQLITE, charge, checkout_of, eur, operator, start, top_up
from tests.use_cases.test_refunds import sell_with_bonus, transferred

NOBODYS = ("top_01m82v7m000000000000000000", "txn_01m82v7m000000000000000000", "inv_x", "", None, 7)


@pytest.fixture
def bank(open_billing):
    """Give a book whose money comes by bank transfer."""
    gateway = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    return billing


def of_operator(billing, subject_id, **options):
    found = operator(billing).refunds.eligible_of(subject_id, **options)
    return str(found.credit.amount), found.reason


# The customer


def test_one_top_up_or_charge_says_what_the_list_says_of_it(billing, ada, simulated):
    topup = sell_with_bonus(billing, simulated)
    used = charge(billing, "30")

    assert ada.refunds.eligible_of(topup.id) == eligible(billing, topup)
    assert ada.refunds.eligible_of(used.transaction_id) == eligible(billing, used)

    ask(billing, topup, "5")
    assert ada.refunds.eligible_of(topup.id).reason == "requested"


def test_what_is_nobodys_or_anothers_is_not_found_by_a_customer(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "5")
    bought = ada.transactions(kind="topup").items[0]
    for subject_id in (*NOBODYS, bought.id):
        with pytest.raises(NotFound):
            ada.refunds.eligible_of(subject_id)
    for subject_id in (topup.id, used.transaction_id):
        with pytest.raises(NotFound):
            billing.customer(EVE).refunds.eligible_of(subject_id)


@pytest.mark.parametrize(("paid", "reason"), [(None, "unpaid"), ("40", "review")])
def test_a_top_up_that_is_not_credited_says_why(billing, ada, simulated, paid, reason):
    topup = start(billing, "50")
    if paid:
        simulated.pay(checkout_of(topup), amount=eur(paid))
        ada.topups.confirm(topup.id)
    for door in (ada, operator(billing)):
        with pytest.raises(RefundRefused) as refused:
            door.refunds.eligible_of(topup.id)
        assert (refused.value.reason, refused.value.field) == (reason, "refund")


# The operator


def test_an_operator_sees_what_is_left_although_it_was_asked_for_and_is_too_late(billing, simulated, clock):
    operator(billing).settings.refunds(topups_within=timedelta(days=1), charges_within=timedelta(days=1))
    topup = top_up(billing, simulated, "50")
    used = charge(billing, "30")
    asked = ask(billing, topup, "20")
    ask(billing, used, "10")
    clock.advance(days=2)

    assert eligible(billing, topup).credit == eligible(billing, used).credit == eur("0")
    assert of_operator(billing, topup.id) == ("20.00", "spent")
    assert of_operator(billing, used.transaction_id) == ("30.00", "")

    approve(billing, asked, "15")
    assert of_operator(billing, topup.id) == ("5.00", "spent")


def test_what_an_operator_is_shown_is_what_can_be_approved(billing, simulated):
    topup = sell_with_bonus(billing, simulated)
    asked = ask(billing, topup, "100")
    charge(billing, "20")
    shown = operator(billing).refunds.eligible_of(topup.id)
    assert (shown.credit, shown.cash, shown.reason) == (eur("83.33"), eur("83.33"), "promotional")

    with pytest.raises(RefundRefused):
        approve(billing, asked, "83.34")
    done = approve(billing, asked, "83.33")

    assert (done.state, done.cash) == ("refunded", shown.cash)


def test_a_disputed_payment_goes_back_by_no_means(billing, simulated):
    topup = top_up(billing, simulated, "50")
    simulated.dispute(checkout_id(billing, topup))
    hear(billing, simulated, topup)
    look(billing, topup)
    for by_hand in (False, True):
        assert of_operator(billing, topup.id, by_hand=by_hand) == ("0.00", "disputed")


def test_what_no_gateway_gives_back_is_given_by_hand(bank):
    topup = transferred(bank)
    found = operator(bank).refunds.eligible_of(topup.id, by_hand=True)
    assert (found.credit, found.by_hand) == (eur("50"), True)


def test_what_is_nobodys_is_not_found_by_an_operator(billing, ada, simulated):
    top_up(billing, simulated, "50")
    bought = ada.transactions(kind="topup").items[0]
    for subject_id in (*NOBODYS, bought.id):
        with pytest.raises(NotFound) as refused:
            operator(billing).refunds.eligible_of(subject_id)
        assert refused.value.field == "refund"


# The rules


def test_the_rules_are_those_that_were_set(billing):
    ops = operator(billing)
    assert ops.refunds.rules() == RefundRules(
        two_person_above=(), topups_within=None, charges_within=None, freezes=False
    )

    ops.settings.approvals(two_person_above=eur("500"))
    ops.settings.refunds(topups_within=timedelta(days=90))
    ops.settings.disputes(freeze=True)

    assert ops.refunds.rules() == RefundRules(
        two_person_above=(eur("500"),), topups_within=timedelta(days=90), charges_within=None, freezes=True
    )
    assert ops.refunds.rules().needs_two(eur("500.01"))
    assert not ops.refunds.rules().needs_two(eur("500"))


@SQLITE
def test_looking_needs_the_permission_to_read(billing, simulated):
    topup = top_up(billing, simulated, "50")
    ops = operator(billing, granted={"refunds.write", "settings.write"})
    for act in (ops.refunds.rules, lambda: ops.refunds.eligible_of(topup.id)):
        with pytest.raises(NotAllowed):
            act()


# What a customer was told


def test_a_note_to_the_customer_stays_when_another_operator_records_the_refund(bank):
    operator(bank).settings.approvals(two_person_above=eur("10"))
    topup = transferred(bank)
    asked = ask(bank, topup, "20")
    approve(bank, asked, note="We send it to your account.")

    operator(bank, "bob").refunds.record(topup.id, eur("20"), reference="S1", reason="asked", refund_id=asked.id)

    assert bank.customer(ADA).refunds.get(asked.id).note == "We send it to your account."
