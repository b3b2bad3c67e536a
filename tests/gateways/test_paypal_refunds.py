"""Refunds, disputes and lists of the PayPal adapter, against the simulator."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from prepaid.core.money import Money
from prepaid.ports import PaymentRef, RefundRef
from prepaid.testing.clock import MovableClock
from tests.gateways.paypal_world import (
    MERCHANT_ID,
    NOW,
    REFUND,
    TEN,
    TOPUP,
    a_refund,
    answering,
    bound,
    created,
    paid,
    refused,
    sent,
    simulated,
)

DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def ref(gateway, simulator):
    return paid(gateway, simulator)


# Refunds


def test_a_refund_is_made_under_our_key_and_reference(gateway, simulator, ref):
    refund = gateway.refund(a_refund(ref))
    assert (refund.payment_id, refund.refund_id, refund.state) == (ref.payment_id, REFUND, "succeeded")
    assert (refund.amount, refund.failure, refund.created_at) == (Money.of("4.00", "EUR"), "", NOW)
    request = sent(simulator)[-1]
    assert request.path == f"/v2/payments/captures/{ref.payment_id}/refund"
    assert request.headers["paypal-request-id"] == f"prepaid:{REFUND}:refund"
    assert request.json() == {
        "amount": {"currency_code": "EUR", "value": "4.00"},
        "custom_id": REFUND,
        "invoice_id": REFUND,
        "note_to_payer": "As agreed",
    }


def test_the_same_refund_again_is_the_same_for_45_days(gateway, simulator, ref, clock):
    first = gateway.refund(a_refund(ref))
    clock.advance(days=44)
    assert gateway.refund(a_refund(ref)) == first
    assert gateway.fetch_payment(ref).refunded == Money.of("4.00", "EUR")
    clock.advance(days=2)
    assert gateway.refund(a_refund(ref)) != first


def test_a_reason_is_left_out_or_cut(gateway, simulator, ref):
    gateway.refund(a_refund(ref, amount="1.00", reason=""))
    assert "note_to_payer" not in sent(simulator)[-1].json()
    gateway.refund(a_refund(ref, amount="1.00", reason="x" * 300, key="another", refund_id="ref_2"))
    assert sent(simulator)[-1].json()["note_to_payer"] == "x" * 255


@pytest.mark.parametrize(
    ("status", "state", "failure"),
    [
        ("PENDING", "pending", ""),
        ("COMPLETED", "succeeded", ""),
        ("FAILED", "failed", "ECHECK"),
        ("CANCELLED", "canceled", "ECHECK"),
    ],
)
def test_the_state_of_a_refund_is_read_anew(gateway, simulator, ref, status, state, failure):
    made = gateway.refund(a_refund(ref))
    simulator.set_refund(made.gateway_refund_id, status, reason="ECHECK")
    by_id = gateway.fetch_refund(RefundRef(payment=ref, refund_id=REFUND, gateway_refund_id=made.gateway_refund_id))
    by_reference = gateway.fetch_refund(RefundRef(payment=ref, refund_id=REFUND))
    assert by_id == by_reference
    assert (by_id.state, by_id.failure, by_id.refund_id) == (state, failure, REFUND)
    left = Money.of("4.00", "EUR") if state in {"pending", "succeeded"} else Money.zero("EUR")
    assert gateway.fetch_payment(ref).refunded == left


def test_a_failure_without_a_reason_is_named_by_its_state(gateway, simulator, ref):
    made = gateway.refund(a_refund(ref))
    simulator.set_refund(made.gateway_refund_id, "FAILED")
    assert gateway.refunds_of(ref)[0].failure == "failed"


def test_a_refund_that_paypal_does_not_have_is_none(gateway, ref):
    assert gateway.fetch_refund(RefundRef(payment=ref, refund_id=REFUND)) is None
    unknown = RefundRef(payment=ref, refund_id=REFUND, gateway_refund_id="1JU08902781691411")
    assert gateway.fetch_refund(unknown) is None


def test_a_refund_that_cannot_be_read_is_not_none(gateway, simulator, ref):
    unknown = RefundRef(payment=ref, refund_id=REFUND, gateway_refund_id="1JU08902781691411")
    simulator.fault_next(answering(404, b"<html>"))
    assert refused(gateway.fetch_refund, unknown).retryable


def test_a_refund_of_the_dashboard_is_not_ours(gateway, simulator, ref):
    simulator.refund(ref.checkout_id, "1.00")
    gateway.refund(a_refund(ref))
    assert [(refund.refund_id, refund.amount.minor) for refund in gateway.refunds_of(ref)] == [
        (None, 100),
        (REFUND, 400),
    ]


def test_a_reference_of_which_only_one_is_echoed_is_still_ours(gateway, simulator, ref):
    gateway.refund(a_refund(ref))

    def leave_one_out(order):
        order["purchase_units"][0]["payments"]["refunds"][0].pop("custom_id")

    simulator.rewrite_next(leave_one_out)
    assert gateway.refunds_of(ref)[0].refund_id == REFUND


@pytest.mark.parametrize(("amount", "code"), [("10.01", "REFUND_AMOUNT_EXCEEDED"), ("10.005", "amount-too-fine")])
def test_a_refund_that_cannot_be_made_is_refused_clearly(gateway, ref, amount, code):
    error = refused(gateway.refund, a_refund(ref, amount=amount))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)


def test_what_is_refunded_whole_or_not_there_yet_is_refused(gateway, simulator, ref):
    simulator.refund(ref.checkout_id, "10.00")
    assert refused(gateway.refund, a_refund(ref)).code == "CAPTURE_FULLY_REFUNDED"
    other = created(gateway, topup_id="order-2", key="order-2")
    simulator.pend_next_capture(other.checkout_id)
    payment_id = simulator.pay(other.checkout_id)
    pending = a_refund(attrs.evolve(other, payment_id=payment_id), key="order-2-refund")
    assert refused(gateway.refund, pending).code == "PENDING_CAPTURE"


def test_a_refund_without_a_payment_is_never_asked_for(gateway, simulator):
    ref = PaymentRef(topup_id=TOPUP, checkout_id="5O190127TN364715T")
    assert refused(gateway.refund, a_refund(ref)).code == "unknown-checkout"
    assert simulator.requests == []


@pytest.mark.parametrize(
    "change",
    [
        lambda refund: refund.pop("id"),
        lambda refund: refund.update(status="DONE"),
        lambda refund: refund["amount"].update(value="4.01"),
        lambda refund: refund["amount"].update(value="0.00"),
        lambda refund: refund["amount"].update(currency_code="USD"),
        lambda refund: refund.update(custom_id="ref_other", invoice_id="ref_other"),
        lambda refund: refund.update(custom_id="ref_other"),
        lambda refund: refund.update(links=[]),
        lambda refund: refund["links"][1].update(href="https://x/v2/payments/captures/ANOTHER"),
        lambda refund: refund.update(create_time="yesterday"),
    ],
)
def test_a_reply_that_is_not_the_refund_asked_for_leaves_the_outcome_open(gateway, simulator, ref, change):
    simulator.rewrite_next(change)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)
    assert gateway.refund(a_refund(ref)).refund_id == REFUND
    assert len(gateway.refunds_of(ref)) == 1


@pytest.mark.parametrize("fault", ["drop", "accept-then-drop", "500", "html", "truncated"])
def test_a_lost_answer_is_repaired_by_the_same_key_and_refunds_once(gateway, simulator, ref, fault):
    simulator.fault_next(fault)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.retryable, error.outcome_unknown) == (True, True)
    gateway.refund(a_refund(ref))
    assert len(gateway.refunds_of(ref)) == 1


def test_the_answer_must_be_about_the_refund_asked_for(gateway, simulator, ref):
    made = gateway.refund(a_refund(ref))
    asked = RefundRef(payment=ref, refund_id=REFUND, gateway_refund_id=made.gateway_refund_id)
    simulator.fault_next("wrong-id")
    assert refused(gateway.fetch_refund, asked).code == "unusable-reply"
    other = attrs.evolve(asked, payment=attrs.evolve(ref, payment_id="2GG279541U471931P"))
    assert refused(gateway.fetch_refund, other).code == "unusable-reply"
    assert refused(gateway.refunds_of, other.payment).code == "unusable-reply"
    simulator.fault_next("wrong-id")
    assert refused(gateway.refunds_of, ref).code == "unusable-reply"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda unit: unit["payments"]["refunds"][0]["amount"].update(value="11.00"),
        lambda unit: unit["payments"]["refunds"][0]["amount"].update(currency_code="USD"),
        lambda unit: unit["payments"].pop("refunds"),
        lambda unit: unit["payments"]["captures"][0].update(status="COMPLETED"),
    ],
)
def test_refunds_that_contradict_the_capture_are_unusable(gateway, simulator, ref, spoil):
    gateway.refund(a_refund(ref))
    simulator.rewrite_next(lambda order: spoil(order["purchase_units"][0]))
    assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


def test_a_reversal_that_is_no_refund_in_the_list_counts_whole(gateway, simulator, ref):
    def reverse(order):
        order["purchase_units"][0]["payments"]["captures"][0]["status"] = "REFUNDED"

    simulator.rewrite_next(reverse)
    assert gateway.fetch_payment(ref).refunded == TEN


# Disputes


def test_a_payment_without_disputes_has_none(gateway, ref):
    assert gateway.disputes_of(ref) == ()


@pytest.mark.parametrize(
    ("happening", "state"),
    [
        (lambda sim, at: None, "inquiry"),
        (lambda sim, at: sim.escalate(at), "open"),
        (lambda sim, at: sim.escalate(at, "PRE_ARBITRATION"), "open"),
        (lambda sim, at: sim.escalate(at, "ARBITRATION"), "open"),
        (lambda sim, at: sim.resolve(at, "RESOLVED_BUYER_FAVOUR"), "lost"),
        (lambda sim, at: sim.resolve(at, "ACCEPTED"), "lost"),
        (lambda sim, at: sim.resolve(at, "RESOLVED_SELLER_FAVOUR"), "won"),
        (lambda sim, at: sim.resolve(at, "CANCELED_BY_BUYER"), "won"),
        (lambda sim, at: sim.resolve(at, "DENIED"), "won"),
        (lambda sim, at: sim.resolve(at, "NONE"), "won"),
        (lambda sim, at: sim.resolve(at, "RESOLVED_WITH_PAYOUT"), "won"),
        (lambda sim, at: sim.resolve(at, "RESOLVED_WITH_PAYOUT", seller_pays=True), "lost"),
    ],
)
def test_how_far_a_dispute_is(gateway, simulator, ref, happening, state):
    dispute_id = simulator.dispute(ref.checkout_id, "3.00")
    happening(simulator, dispute_id)
    [dispute] = gateway.disputes_of(ref)
    assert (dispute.dispute_id, dispute.payment_id, dispute.state) == (dispute_id, ref.payment_id, state)
    assert (dispute.amount, dispute.reason, dispute.created_at) == (Money.of("3.00", "EUR"), "UNAUTHORISED", NOW)


MOVED = [
    ("SELLER", "DEBIT", "CHARGEBACK_FEE", "20.00"),
    ("SELLER", "DEBIT", "DISPUTE_FEE", "8.00"),
    ("SELLER", "CREDIT", "CHARGEBACK_FEE", "5.00"),
    ("SELLER", "DEBIT", "DISPUTE_SETTLEMENT", "10.00"),
    ("SELLER", "CREDIT", "DISPUTE_SETTLEMENT_FEE", "0.49"),
    ("BUYER", "DEBIT", "DISPUTE_FEE", "3.00"),
]


EUROS = ("EUR",) * len(MOVED)


def moving(name, party, currencies=EUROS):
    """Let a dispute tell what money moved for it."""
    movements = [
        {party: who, "type": way, "reason": reason, "amount": {"currency_code": currency, "value": value}}
        for (who, way, reason, value), currency in zip(MOVED, currencies, strict=True)
    ]
    return lambda dispute: dispute.update({name: movements})


@pytest.mark.parametrize(
    ("change", "fee"),
    [
        (lambda dispute: None, None),
        (moving("money_movements", "affected_party"), Money.of("23.00", "EUR")),
        (moving("fund_movements", "party"), Money.of("23.00", "EUR")),
        (moving("money_movements", "party"), None),
        (moving("fund_movements", "party", ("EUR", "USD", *("EUR",) * 4)), None),
    ],
)
def test_the_fee_of_a_dispute_is_what_was_taken_from_us_for_it_and_not_given_back(gateway, simulator, ref, change, fee):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(lambda page: None)  # the list is as it is
    simulator.rewrite_next(change)
    [dispute] = gateway.disputes_of(ref)
    assert dispute.fee == fee


def test_disputes_of_other_payments_are_not_among_them(gateway, simulator, ref):
    other = paid(gateway, simulator, topup_id="order-2", key="order-2")
    simulator.dispute(other.checkout_id)
    assert gateway.disputes_of(ref) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda dispute: dispute.update(dispute_id="PP-D-9"),
        lambda dispute: dispute.update(status="CLOSED"),
        lambda dispute: dispute.update(dispute_life_cycle_stage="LATE"),
        lambda dispute: dispute.update(status="RESOLVED"),
        lambda dispute: dispute.update(status="RESOLVED", dispute_outcome={"outcome_code": "MAYBE"}),
        lambda dispute: dispute.pop("dispute_amount"),
        lambda dispute: dispute.pop("disputed_transactions"),
        lambda dispute: dispute.update(disputed_transactions=[]),
        lambda dispute: dispute.update(disputed_transactions=[7]),
        lambda dispute: dispute["disputed_transactions"][0].update(seller_transaction_id="A/B"),
        lambda dispute: dispute["disputed_transactions"][0].update(seller_transaction_id="ANOTHER"),
        lambda dispute: dispute.update(
            status="RESOLVED", dispute_outcome={"outcome_code": "RESOLVED_WITH_PAYOUT"}, money_movements=[7]
        ),
        lambda dispute: dispute.update(money_movements=7),
        lambda dispute: dispute.update(fund_movements=[7]),
        lambda dispute: dispute.update(fund_movements=[{"party": "SELLER", "reason": "DISPUTE_FEE"}]),
        lambda dispute: dispute.update(
            status="RESOLVED",
            dispute_outcome={"outcome_code": "RESOLVED_WITH_PAYOUT"},
            fund_movements=[
                {
                    "party": "SELLER",
                    "type": "DEBIT",
                    "reason": "DISPUTE_SETTLEMENT",
                    "amount": {"currency_code": currency, "value": "1.00"},
                }
                for currency in ("EUR", "USD")
            ],
        ),
    ],
)
def test_a_dispute_that_cannot_be_read_is_unusable(gateway, simulator, ref, change):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(lambda page: None)  # the list is as it is
    simulator.rewrite_next(change)
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.update(items=7),
        lambda page: page.update(items=[7]),
        lambda page: page["items"][0].update(dispute_id="../../orders"),
        lambda page: page["items"][0].pop("dispute_id"),
        lambda page: page.update(links=7),
        lambda page: page.update(links=[{"rel": "next", "href": "https://x/?page=2"}]),
        lambda page: page.update(links=[{"rel": "next", "href": "https://x/?next_page_token=a%20b"}]),
        lambda page: page.update(links=[{"rel": "next", "href": "https://x/?next_page_token=AB"}]),
    ],
)
def test_a_list_of_disputes_that_cannot_be_read_is_unusable(gateway, simulator, ref, change):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(change)
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


# Lists


def every(listing, since, until):
    items, cursor = [], None
    while True:
        page = listing(since, until, cursor=cursor)
        items += page.items
        if page.next is None:
            return items
        cursor = page.next


def test_payments_are_listed_over_windows_and_pages_with_ours_read_anew(gateway, simulator, clock):
    refs = []
    for number in range(23):
        refs.append(paid(gateway, simulator, topup_id=f"order-{number}", key=f"order-{number}"))
        clock.advance(hours=1)
    clock.advance(days=20)
    late = paid(gateway, simulator, topup_id="order-late", key="order-late")
    unpaid = created(gateway, topup_id="order-unpaid", key="order-unpaid")
    listed = every(gateway.list_payments, NOW, clock.now() + DAY)
    assert [payment.payment_id for payment in listed] == [ref.payment_id for ref in (*refs, late)]
    assert unpaid.checkout_id not in {payment.checkout_id for payment in listed}
    first = listed[0]
    assert (first.checkout_id, first.topup_id, first.captured) == (refs[0].checkout_id, "order-0", TEN)
    assert (first.state, first.account, first.created_at) == ("captured", MERCHANT_ID, NOW)
    assert first.fee == Money.of("0.84", "EUR")


def test_the_end_of_a_range_is_not_in_it(gateway, simulator, ref, clock):
    assert gateway.list_payments(NOW, NOW + timedelta(seconds=1)).items
    assert not gateway.list_payments(NOW - DAY, NOW).items
    assert not gateway.list_payments(NOW + timedelta(seconds=1), NOW + DAY).items


def test_every_search_keeps_to_31_days(gateway, simulator):
    assert every(gateway.list_payments, NOW - timedelta(days=90), NOW) == []
    assert len(sent(simulator)) == 13


def foreign(content):
    for detail in content["transaction_details"]:
        detail["transaction_info"].update(custom_field="Thank you, Ada <ada@example.com>", invoice_id="Invoice-5")


def test_a_payment_of_somebody_elses_is_listed_as_the_row_tells(gateway, simulator, ref):
    simulator.refund(ref.checkout_id, "10.00")
    simulator.rewrite_next(foreign)
    [payment] = gateway.list_payments(NOW, NOW + DAY).items
    assert (payment.payment_id, payment.topup_id, payment.checkout_id) == (ref.payment_id, None, "")
    assert (payment.captured, payment.refunded, payment.fee) == (TEN, TEN, Money.of("0.84", "EUR"))
    assert sent(simulator, f"/v2/payments/captures/{ref.payment_id}") == []


@pytest.mark.parametrize(
    "change",
    [
        {"transaction_event_code": "T0400"},
        {"transaction_event_code": "T1107"},
        {"transaction_amount": {"currency_code": "EUR", "value": "-10.00"}},
        {"transaction_status": "P"},
        {"transaction_status": "D"},
    ],
)
def test_what_is_no_completed_payment_to_us_is_not_listed(gateway, simulator, ref, change):
    simulator.rewrite_next(lambda page: page["transaction_details"][0]["transaction_info"].update(change))
    assert gateway.list_payments(NOW, NOW + DAY).items == ()


def test_a_payment_that_is_no_capture_is_listed_as_the_row_tells(gateway, simulator, ref):
    def rename(page):
        page["transaction_details"][0]["transaction_info"]["transaction_id"] = "5TY05013RG002845M"

    simulator.rewrite_next(rename)
    [payment] = gateway.list_payments(NOW, NOW + DAY).items
    assert (payment.payment_id, payment.topup_id) == ("5TY05013RG002845M", TOPUP)
    simulator.rewrite_next(lambda page: None)
    simulator.fault_next("500")
    assert refused(gateway.list_payments, NOW, NOW + DAY).retryable


def test_refunds_are_listed_with_our_reference_and_without_that_of_the_payment(gateway, simulator, ref, clock):
    simulator.refund(ref.checkout_id, "1.00")
    made = gateway.refund(a_refund(ref))
    simulator.set_refund(made.gateway_refund_id, "PENDING")
    listed = gateway.list_refunds(NOW, NOW + DAY).items
    assert [(refund.refund_id, refund.amount.minor, refund.state) for refund in listed] == [
        (None, 100, "succeeded"),
        (REFUND, 400, "pending"),
    ]
    assert {refund.payment_id for refund in listed} == {ref.payment_id}


def test_a_refund_of_another_kind_of_payment_is_listed_as_the_row_tells(gateway, simulator, ref):
    simulator.refund(ref.checkout_id, "1.00")

    def rename(page):
        page["transaction_details"][0]["transaction_info"]["transaction_id"] = "5TY05013RG002845M"

    simulator.rewrite_next(rename)
    [refund] = gateway.list_refunds(NOW, NOW + DAY).items
    assert (refund.gateway_refund_id, refund.payment_id) == ("5TY05013RG002845M", ref.payment_id)
    assert (refund.refund_id, refund.amount, refund.state) == (None, Money.of("1.00", "EUR"), "succeeded")
    simulator.rewrite_next(lambda page: None)
    simulator.fault_next("500")
    assert refused(gateway.list_refunds, NOW, NOW + DAY).retryable
    simulator.rewrite_next(lambda page: None)
    simulator.rewrite_next(lambda refund: refund.update(links=[]))
    assert refused(gateway.list_refunds, NOW, NOW + DAY).code == "unusable-reply"


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.pop("transaction_details"),
        lambda page: page.update(transaction_details=[7]),
        lambda page: page["transaction_details"][0].pop("transaction_info"),
        lambda page: page.update(total_pages="1"),
        lambda page: page["transaction_details"][0]["transaction_info"].update(transaction_id="../x"),
        lambda page: page["transaction_details"][0]["transaction_info"].update(transaction_status="X"),
        lambda page: page["transaction_details"][0]["transaction_info"].pop("transaction_initiation_date"),
        lambda page: page["transaction_details"][0]["transaction_info"].update(transaction_initiation_date="now"),
        lambda page: page["transaction_details"][0]["transaction_info"].pop("transaction_amount"),
        lambda page: page["transaction_details"][0]["transaction_info"].pop("transaction_event_code"),
        lambda page: page["transaction_details"][0]["transaction_info"].update(fee_amount={"value": 1}),
    ],
)
def test_a_report_that_cannot_be_read_is_unusable(gateway, simulator, ref, change):
    simulator.rewrite_next(change)
    assert refused(gateway.list_payments, NOW, NOW + DAY).code == "unusable-reply"


def test_a_row_without_a_fee_has_none(gateway, simulator, ref):
    def strip(page):
        foreign(page)
        page["transaction_details"][0]["transaction_info"].pop("fee_amount")

    simulator.rewrite_next(strip)
    assert gateway.list_payments(NOW, NOW + DAY).items[0].fee is None


@pytest.mark.parametrize(
    "change",
    [
        lambda capture: capture.update(id="ANOTHER"),
        lambda capture: capture.update(status="PENDING"),
        lambda capture: capture.update(status="DECLINED"),
        lambda capture: capture.update(supplementary_data=7),
    ],
)
def test_a_listed_capture_that_contradicts_its_row_is_unusable(gateway, simulator, ref, change):
    simulator.rewrite_next(lambda page: None)
    simulator.rewrite_next(change)
    assert refused(gateway.list_payments, NOW, NOW + DAY).code == "unusable-reply"


@pytest.mark.parametrize("cursor", ["", "x", "1:1", "-1:1", "1795435200000000:", "9" * 17 + ":1", "1:1; DROP"])
def test_a_cursor_that_is_not_ours_is_refused(gateway, simulator, cursor):
    for listing in (gateway.list_payments, gateway.list_refunds):
        assert refused(listing, NOW, NOW + DAY, cursor=cursor).code == "invalid-cursor"
    assert simulator.requests == []


def test_disputes_are_listed_in_pages_by_when_they_were_opened(gateway, simulator, clock):
    opened = []
    for number in range(12):
        ref = paid(gateway, simulator, topup_id=f"order-{number}", key=f"order-{number}")
        opened.append(simulator.dispute(ref.checkout_id))
        clock.advance(hours=1)
    listed = every(gateway.list_disputes, NOW + timedelta(hours=1), NOW + timedelta(hours=11))
    assert [dispute.dispute_id for dispute in listed] == opened[1:11]
    assert refused(gateway.list_disputes, NOW, NOW + DAY, cursor="a b").code == "invalid-cursor"


@pytest.mark.parametrize("written", [None, "yesterday", "1999-01-01T00:00:00Z"])
def test_a_listed_dispute_without_a_time_is_unusable(gateway, simulator, ref, written):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(lambda page: page["items"][0].update(create_time=written))
    assert refused(gateway.list_disputes, NOW, NOW + DAY).code == "unusable-reply"


def test_a_search_that_the_app_may_not_make_is_told(gateway, simulator):
    body = json.dumps({"name": "NOT_AUTHORIZED", "message": "no", "debug_id": "f5a1c0de"}).encode()
    simulator.fault_next(answering(403, body))
    error = refused(gateway.list_payments, NOW, NOW + DAY)
    assert (error.code, error.retryable) == ("NOT_AUTHORIZED", False)
